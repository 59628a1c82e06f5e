"""Replays time offline: which windows fire which rule, when schedules fire, and what each would start.

Must not know a model: the pipeline's `Replay` trains and measures. Decides as the event rules do, by the same
`windows.detail`, and holds to the same lock: one retraining a model and ISO week.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from mlops_kit.cron import occurrences
from mlops_kit.drift.windows import Window, above, detail
from mlops_kit.errors import UsageError
from mlops_kit.trigger import DriftRule, Schedule

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.drift.profile import Profile

RETRAINED, HELD, COOLING = "retrained", "already retrained this week", "cooling down"


class Replay(Protocol):
    """What only the pipeline knows of its model."""

    days: int  # length of a window
    limits: Mapping[str, float]  # as for `windows.detail`

    def train(self, until: str) -> Any:
        """The model of a retraining as of a day (``yyyy-mm-dd``)."""

    def measure(self, champion: Any, start: str, end: str) -> Window:
        """The measures of a window against a champion, as the monitor takes them.

        Raises
        ------
        UsageError
            The data do not hold the window.
        """

    def profiles(self, champion: Any, start: str, end: str) -> tuple[Profile, Profile]:
        """The profiles of a champion's training and of a window."""


@dataclass(frozen=True)
class Happening:
    """A trigger that fired, or would have but for its cooldown.

    Attributes
    ----------
    day : str
        UTC day.
    trigger : str
        Kind and name, such as ``drift-rule drift-bias``.
    outcome : str
        ``retrained``, ``already retrained this week`` or ``cooling down``.
    """

    day: str
    trigger: str
    outcome: str


@dataclass(frozen=True)
class Plan:
    """What is replayed.

    Attributes
    ----------
    model : str
        Name of the model.
    start, end : str
        Days; the first champion is trained as of the start.
    rules : tuple of DriftRule
        On the monitor's events.
    schedules : tuple of Schedule
        That start the retraining.
    days : int
        Length of a window, and of the pause from one to the next.
    limits : mapping of str to float
        As for `windows.detail`.
    """

    model: str
    start: str
    end: str
    rules: tuple[DriftRule, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    days: int = 28
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Simulation:
    """What would have happened.

    Attributes
    ----------
    plan : Plan
        What was replayed.
    windows : tuple of (str, Window)
        Each with the day until which its champion was trained.
    happenings : tuple of Happening
        In the order of time.
    """

    plan: Plan
    windows: tuple[tuple[str, Window], ...]
    happenings: tuple[Happening, ...]

    @property
    def retrainings(self) -> tuple[str, ...]:
        """Days of the retrainings, the first champion's left out."""
        return tuple(one.day for one in self.happenings if one.outcome == RETRAINED)

    @property
    def wape(self) -> float | None:
        """Mean of the windows' WAPE; ``None`` without a window."""
        found = [window.error["wape"] for _, window in self.windows]
        return sum(found) / len(found) if found else None

    def rows(self) -> list[dict[str, Any]]:
        """One row a window: its days, its champion, its errors, and what fired until its end."""
        return [
            {
                "window": f"{window.start} to {window.end}",
                "champion until": trained,
                **{name: round(value, 3) for name, value in window.error.items()},
                "fired": _told(one for one in self.happenings if before < one.day <= window.end),
            }
            for before, (trained, window) in zip(self._starts(), self.windows, strict=True)
        ]

    def _starts(self) -> list[str]:
        """Days after which what fires is told with each window; the first has its own start, too."""
        return ["", *(window.end for _, window in self.windows)][: len(self.windows)]

    def _afterwards(self) -> str:
        """What fired after the last window's end, in a line, or nothing."""
        last = self.windows[-1][1].end if self.windows else ""
        told = _told(one for one in self.happenings if one.day > last)
        return f"after {last}: {told}" if told else ""

    def frame(self) -> pd.DataFrame:
        """`rows` as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def to_json(self) -> str:
        """Windows and happenings as JSON."""
        body = {
            "model": self.plan.model,
            "from": self.plan.start,
            "to": self.plan.end,
            "retrainings": list(self.retrainings),
            "wape": self.wape,
            "happenings": [vars(one) for one in self.happenings],
            "windows": [{"champion_until": until, **vars(window)} for until, window in self.windows],
        }
        return json.dumps(body, indent=2)

    def summary(self) -> str:
        """How many retrainings, and what was swallowed, in a sentence."""
        counts = dict.fromkeys((RETRAINED, HELD, COOLING), 0)
        for one in self.happenings:
            counts[one.outcome] += 1
        error = f"mean WAPE {self.wape:.3f} over {len(self.windows)} windows" if self.windows else "no window"
        return (
            f"{self.plan.model} from {self.plan.start} to {self.plan.end}: {counts[RETRAINED]} retrainings, "
            f"{counts[HELD]} held by the week's lock, {counts[COOLING]} swallowed by a cooldown; {error}"
        )

    def __repr__(self) -> str:
        rows = self.rows()
        if not rows:
            return self.summary()
        head = tuple(rows[0])
        texts = [head, *(tuple(str(row.get(name, "")) for name in head) for row in rows)]
        widths = [max(len(line[at]) for line in texts) for at in range(len(head))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in texts
        ]
        after = self._afterwards()
        return "\n".join(
            (self.summary(), "", *(line.rstrip() for line in lines), *([after] if after else []))
        )

    def _repr_html_(self) -> str:
        rows = self.rows()
        head = "".join(f"<th>{escape(name)}</th>" for name in (rows[0] if rows else ()))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row.values()) + "</tr>"
            for row in rows
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
        after = self._afterwards()
        return f"<p>{escape(self.summary())}</p>{table}" + (f"<p>{escape(after)}</p>" if after else "")


def _told(happenings: Iterable[Happening]) -> str:
    """Triggers and outcomes in words, each once with how often."""
    counts = Counter(f"{one.trigger}: {one.outcome}" for one in happenings)
    return ", ".join(words + (f" {number} times" if number > 1 else "") for words, number in counts.items())


def simulate(replay: Replay, plan: Plan) -> Simulation:
    """Replay a plan.

    Raises
    ------
    UsageError
        It ends before its first window does, the data do not hold one of its windows, or a rule names a
        feature that has no such statistic.

    Notes
    -----
    Every retraining's model takes the champion's place; a real one that is worse would be rejected.
    """
    first, last = date.fromisoformat(plan.start), date.fromisoformat(plan.end)
    if last - first < timedelta(days=plan.days):
        raise UsageError(
            f"From {plan.start} to {plan.end} there is no window of {plan.days} days.",
            suggestion=f"let it end on {first + timedelta(days=plan.days)} or later.",
        )
    return _Course(replay, plan).run(first, last)


class _Course:
    """The state of a replay as it goes."""

    def __init__(self, replay: Replay, plan: Plan) -> None:
        self.replay = replay
        self.plan = plan
        self.trained = plan.start
        self.champion: Any = None
        self.locked = {_week(plan.start)}
        self.windows: list[tuple[str, Window]] = []
        self.happenings: list[Happening] = []

    def run(self, first: date, last: date) -> Simulation:
        self.champion = self.replay.train(self.plan.start)
        for day, schedule in sorted(
            _times(self.plan, first, last), key=lambda one: (one[0], one[1] is not None)
        ):
            if schedule is None:
                self._look(day.isoformat())
            else:
                self._trigger(day.isoformat(), f"schedule {schedule.name or schedule.expression}")
        return Simulation(self.plan, tuple(self.windows), tuple(self.happenings))

    def _look(self, end: str) -> None:
        """Measure the window that ends on a day, and let the rules decide."""
        start = (date.fromisoformat(end) - timedelta(days=self.plan.days)).isoformat()
        window = self.replay.measure(self.champion, start, end)
        self.windows.append((self.trained, window))
        row = [one for trained, one in self.windows if trained == self.trained]
        said = detail(self.plan.model, self.trained, row, self.plan.limits)
        for rule in self.plan.rules:
            _check_measured(rule, window)
            if above(said, rule.statistic, rule.threshold, rule.features, rule.windows):
                cooling = said["champion"]["age_days"] < rule.cooldown
                self._trigger(end, f"drift-rule {rule.label}", cooling)

    def _trigger(self, day: str, who: str, cooling: bool = False) -> None:
        if cooling or _week(day) in self.locked:
            self.happenings.append(Happening(day, who, COOLING if cooling else HELD))
            return
        self.locked.add(_week(day))
        self.champion, self.trained = self.replay.train(day), day
        self.happenings.append(Happening(day, who, RETRAINED))


def _check_measured(rule: DriftRule, window: Window) -> None:
    """Refuse a rule on what no window has: of a category there is no ``ks``."""
    measured = [name for name, found in window.features.items() if rule.statistic in found]
    for name in rule.features:
        if measured and name not in measured:
            raise UsageError(
                f"The rule {rule.label} can never fire: there is no {rule.statistic} of {name!r}.",
                suggestion=f"there is one of {', '.join(measured)}.",
            )


def _week(day: str) -> str:
    """The lock's window: the ISO week of a day."""
    return date.fromisoformat(day).strftime("%G-W%V")


def _times(plan: Plan, first: date, last: date) -> Iterator[tuple[date, Schedule | None]]:
    """Days on which the monitor looks (``None``) and schedules fire."""
    for number in range(1, (last - first).days // plan.days + 1):
        yield first + timedelta(days=number * plan.days), None
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    for schedule in plan.schedules:
        for when in occurrences(schedule.expression, schedule.timezone, begin, start=begin):
            if when.date() > last:
                break
            yield when.date(), schedule


def parse(text: str) -> DriftRule:
    """A rule from ``STATISTIC>THRESHOLD [windows=N] [cooldown=DAYS] [features=A,B]``.

    Raises
    ------
    UsageError
        It reads otherwise.
    """
    known: dict[str, Any] = {
        "windows": int,
        "cooldown": int,
        "features": lambda value: tuple(value.split(",")),
    }
    try:
        head, *options = text.replace(" > ", ">").split()
        statistic, sign, threshold = head.partition(">")
        given = dict(option.split("=", 1) for option in options)
        return DriftRule(
            statistic, float(threshold if sign else ""), **{name: known[name](given[name]) for name in given}
        )
    except (ValueError, KeyError):
        raise UsageError(
            f"{text!r} is no drift rule.",
            suggestion="write one as 'bias>0.15 windows=2 cooldown=14' or 'psi>0.2 features=temp,hum'.",
        ) from None
