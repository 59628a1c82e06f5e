"""A timetable as people look at it: what is scheduled, when it fires, what came of it; asks AWS nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlops_kit import cron
from mlops_kit.deploy.plan import Shown, html_table, text_table
from mlops_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.scheduled import Scheduled

_HEAD = ("schedule", "next", "on this machine's clock", "last")
_STATES = {"ENABLED": "enabled", "DISABLED": "paused", "NOT_APPLIED": "not applied"}


@dataclass(frozen=True, repr=False)
class Timetable(Shown):
    """Everything that is scheduled, in the order of the next fire.

    Attributes
    ----------
    schedules : tuple of Scheduled
        As they stand.
    now : datetime
        When they were read, by AWS's clock.
    where : str
        On which target, in words.
    """

    schedules: tuple[Scheduled, ...]
    now: datetime
    where: str

    def calendar(self, days: int = 7) -> Chart:
        """The coming fires, drawn: a row a schedule, time to the right.

        Parameters
        ----------
        days : int
            How far ahead.
        """
        from mlops_kit.observe.charts_schedules import calendar

        return calendar(self.schedules, self.now, days)

    def __len__(self) -> int:
        return len(self.schedules)

    def frame(self) -> pd.DataFrame:
        """One row a schedule; times are UTC."""
        import pandas as pd

        return pd.DataFrame([self._record(one) for one in self.schedules])

    def json(self) -> str:
        """One object a schedule; times are UTC as 2026-01-12T09:00:00Z."""
        return json.dumps([self._record(one) for one in self.schedules], default=utc, indent=2)

    @staticmethod
    def _record(one: Scheduled) -> dict[str, Any]:
        return {
            "name": one.name,
            "group": one.group,
            "pipeline": one.pipeline,
            "expression": one.expression,
            "timezone": one.timezone,
            "window": one.window,
            "target": one.target,
            "state": _STATES[one.body["State"]],
            "next": list(one.next),
            "last": one.last,
            "result": one.result,
            "dead_letters": len(one.letters),
        }

    def _rows(self) -> list[tuple[str, ...]]:
        return [self._row(one) for one in self.schedules]

    @staticmethod
    def _row(one: Scheduled) -> tuple[str, ...]:
        zone = ZoneInfo(one.timezone)
        when = f"{one.expression} {one.timezone}" + (f", within {one.window} min" if one.window else "")
        state = _STATES[one.body["State"]]
        coming = "\n".join(moment(fire, zone) for fire in one.next) or ("over" if one.enabled else state)
        here = "\n".join(moment(fire, None) for fire in one.next)
        last = [moment(one.last, zone), one.result] if one.last else ["never" if one.stands else state]
        if one.letters:
            last.append(f"{len(one.letters)} dead letter{'' if len(one.letters) == 1 else 's'}")
        return "\n".join((one.name, when, one.target)), coming, here, "\n".join(last)

    @property
    def _title(self) -> str:
        count = len(self.schedules)
        words = f"{count} schedule{'' if count == 1 else 's'} on the {self.where}"
        return f"{words}, its clock at {self.now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def __rich__(self) -> Any:
        return text_table(_HEAD, self._rows(), self._title) if self.schedules else f"{self._title}."

    def _html(self) -> str:
        rows = [tuple(escape(cell).replace("\n", "<br>") for cell in row) for row in self._rows()]
        return f"<p>{escape(self._title)}</p>" + (html_table(_HEAD, rows) if rows else "")


@dataclass(frozen=True, repr=False)
class Occurrences(Shown):
    """When an expression fires, without any server.

    Attributes
    ----------
    expression, timezone : str
        As given.
    next : tuple of datetime
        UTC.
    """

    expression: str
    timezone: str
    next: tuple[datetime, ...]

    @classmethod
    def of(cls, expression: str, timezone: str, after: datetime, count: int) -> Occurrences:
        """The first occurrences after a moment.

        Raises
        ------
        UsageError
            The expression or the zone cannot be used.
        """
        return cls(expression, timezone, tuple(islice(cron.occurrences(expression, timezone, after), count)))

    def json(self) -> str:
        """``{"expression", "timezone", "next"}``, the times as 2026-01-12T09:00:00Z."""
        return json.dumps({"expression": self.expression, "timezone": self.timezone, "next": self._utc()})

    def _utc(self) -> list[str]:
        return [utc(one) for one in self.next]

    def _rows(self) -> list[tuple[str, str, str]]:
        zone = ZoneInfo(self.timezone)
        return [
            (f"{one.astimezone(zone):%A}", moment(one, zone), instant)
            for one, instant in zip(self.next, self._utc(), strict=True)
        ]

    def __str__(self) -> str:  # without rich: an expression is tried in a fraction of a second
        if not self.next:
            return f"{self.expression} {self.timezone} fires no more."
        return "\n".join(f"{day:9}  {local:24}  {instant}" for day, local, instant in self._rows())

    def __rich__(self) -> Any:
        return str(self)

    def _html(self) -> str:
        head = ("day", self.timezone, "UTC")
        return f"<p>{escape(self.expression)}</p>{html_table(head, [tuple(row) for row in self._rows()])}"


def moment(when: datetime, zone: tzinfo | None) -> str:
    """A time on a zone's clock with the zone's name then; ``None`` is this machine's zone."""
    local = when.astimezone(zone)
    seconds = ":%S" if local.second else ""
    return local.strftime(f"%Y-%m-%d %H:%M{seconds} %Z")


def utc(when: datetime) -> str:
    """A time as 2026-01-12T09:00:00Z."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str) -> datetime:
    """A time as people write it, UTC unless it says otherwise.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time.", suggestion="write it as 2026-01-31 or 2026-01-31T09:00:00Z."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def find(schedules: Sequence[Scheduled], name: str, project: str) -> Scheduled:
    """The one schedule that a name means: ``NAME`` or ``GROUP/NAME``, the project left out or not.

    Raises
    ------
    UsageError
        There is none, or more than one; names them.
    """
    forms = {name, f"{project}-{name}"}
    found = [one for one in schedules if {one.name, f"{one.group}/{one.name}"} & forms]
    if len(found) == 1:
        return found[0]
    known = (
        ", ".join(f"{one.group}/{one.name}" if found else one.name for one in found or schedules) or "none"
    )
    raise UsageError(
        f"{len(found)} schedules are named {name!r}." if found else f"There is no schedule {name!r}.",
        suggestion=f"{'name one of' if found else 'there are'}: {known}.",
    )
