"""The schedule expressions of AWS: which are valid, and when each fires; reads no clock and starts nothing.

The arithmetic is done on the wall clock of the schedule's zone and then converted: a time that the spring
change skips does not fire, one that the autumn change repeats fires once. Sources: EventBridge Scheduler User
Guide, "Schedule types in EventBridge Scheduler"; EventBridge User Guide, "Cron expressions reference".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlops_kit.errors import UsageError

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_NO_ZONES = ("right/", "posix/", "posixrules", "localtime")  # of a machine's own database
_EXAMPLES = "cron(0 3 ? * MON *), rate(1 day) or at(2026-01-31T03:00:00)"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = 2199  # that a cron expression can name


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    words: Mapping[str, int]


_FIELDS = (
    _Field("minutes", 0, 59, {}),
    _Field("hours", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 1, 7, _DAYS),
    _Field("year", 1970, LAST_YEAR, {}),
)


def check(expression: str, timezone: str = "UTC", *, after: datetime | None = None) -> None:
    """Refuse a schedule that EventBridge Scheduler would refuse, or that can never fire.

    Parameters
    ----------
    expression : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    timezone : str
        IANA name.
    after : datetime, optional
        Aware; also refuse what never fires after this moment, such as a cron for a past year.

    Raises
    ------
    UsageError
        Says which part is wrong and what may stand there.
    """
    zone = _zone(expression, timezone)
    kind, body = _parts(expression)
    if problem := _READERS[kind](body):
        raise _refusal(expression, problem)
    if kind == "rate":
        return
    if next(_calendar(kind, body, zone, _BEGINNING), None) is None:
        raise _refusal(expression, _why_never(kind, body, timezone))
    if after is not None and next(_calendar(kind, body, zone, after), None) is None:
        raise _refusal(expression, f"it never fires after {after.astimezone(zone):%Y-%m-%dT%H:%M:%S}")


def occurrences(
    expression: str,
    timezone: str,
    after: datetime,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Iterator[datetime]:
    """The moments at which a schedule fires, strictly after one moment, in order.

    Parameters
    ----------
    expression, timezone : str
        As for `check`.
    after : datetime
        Aware.
    start : datetime, optional
        Aware; nothing fires before it. A rate fires first at ``start`` and counts from there in exact
        periods (a day is 24 hours whatever the clock does); without it, it counts from ``after``.
    end : datetime, optional
        Aware; nothing fires after it. A one-time schedule ignores ``start`` and ``end``, as AWS does.

    Yields
    ------
    datetime
        Aware, in UTC, without end for a schedule that fires for ever.

    Raises
    ------
    UsageError
        The expression or the zone cannot be used.
    """
    check(expression, timezone)
    kind, body = _parts(expression)
    after = after.astimezone(UTC)
    if kind == "rate":
        found = _every(_period(body), after, after if start is None else start.astimezone(UTC))
    else:
        found = _calendar(kind, body, ZoneInfo(timezone), after)
    for moment in found:
        if kind != "at" and end is not None and moment > end:
            return
        if kind == "at" or start is None or moment >= start:
            yield moment


def _refusal(expression: str, problem: str) -> UsageError:
    return UsageError(
        f"The schedule {expression!r} cannot be used: {problem}.", suggestion=f"compare {_EXAMPLES}."
    )


def _parts(expression: str) -> tuple[str, str]:
    kind, _, body = expression.partition("(")
    if kind not in _READERS or not body.endswith(")") or len(expression) > 256:
        raise UsageError(
            f"{expression!r} is no schedule.",
            suggestion=f"write it in at most 256 characters, as {_EXAMPLES}.",
        )
    return kind, body[:-1]


def _zone(expression: str, timezone: str) -> ZoneInfo:
    try:
        if len(timezone) > 50 or timezone.startswith(_NO_ZONES):
            raise ValueError
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"The schedule {expression!r} names the time zone {timezone!r}, which does not exist.",
            suggestion="use an IANA name such as 'UTC' or 'Europe/Berlin'.",
        ) from error


def _rate(body: str) -> str | None:
    match = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", body, re.ASCII)
    if match is None:
        return "a rate is a positive whole number and minute(s), hour(s) or day(s)"
    number, unit, plural = match.groups()
    if (number == "1") == bool(plural):
        return f"write {number} {unit}{'' if number == '1' else 's'}"
    return None if len(number) <= 7 else f"{number} {unit}s are too many"


def _at(body: str) -> str | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", body, re.ASCII):
        return "a time is yyyy-mm-ddThh:mm:ss, without a zone (the schedule's time zone holds)"
    try:
        datetime.fromisoformat(body)
    except ValueError as error:
        return str(error)
    return None


def _cron(body: str) -> str | None:
    fields = body.split()
    if len(fields) != 6:
        return f"cron has six fields (minutes hours day-of-month month day-of-week year), not {len(fields)}"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "exactly one of day of month and day of week is '?'"
    for field, text in zip(_FIELDS, fields, strict=True):
        if not (text == "?" and field.name.startswith("day")) and (problem := _problem(field, text)):
            return f"{field.name}: {problem}"
    return None


_READERS = {"cron": _cron, "rate": _rate, "at": _at}


def _problem(field: _Field, text: str) -> str | None:
    items = text.split(",")
    for item in items:
        special = _special(field, item)
        if special == "" and len(items) > 1:
            return f"{item!r} stands alone, not in a list"
        if problem := special if special is not None else _item(field, item):
            return problem
    return None


def _item(field: _Field, item: str) -> str | None:
    """Words when an item of a list is neither ``*`` nor a value nor a range, with or without a step."""
    base, slash, step = item.partition("/")
    if slash and field.name == "day of week":
        return f"{item!r}: days of the week take no step"
    if slash and not (_is_number(step) and 0 < int(step) <= field.high):
        return f"{item!r} needs a positive step after '/', at most {field.high}"
    if base == "*":
        return None
    ends = [str(field.words.get(end.upper(), end)) for end in base.split("-")]
    if len(ends) > 2 or not all(map(_is_number, ends)):
        return f"{item!r} is neither a value, a range, nor '*'"
    numbers = [int(end) for end in ends]
    if not all(field.low <= number <= field.high for number in numbers):
        return f"{item!r} is outside {field.low} to {field.high}"
    if field.name == "year" and numbers != sorted(numbers):
        return f"{item!r} ends before it begins"
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _special(field: _Field, item: str) -> str | None:
    """Empty for L, W and # where they may stand, words where they may not, ``None`` without any."""
    text = item.upper()
    if field.name == "day of month" and re.fullmatch(r"L|LW|([1-9]|[12]\d|3[01])W", text, re.ASCII):
        return ""
    if field.name == "day of week" and (
        match := re.fullmatch(r"([A-Z]{3}|[1-7])?L|([A-Z]{3}|[1-7])#[1-5]", text)
    ):
        day = match[1] or match[2]
        return "" if day is None or day.isdigit() or day in _DAYS else f"{item!r} names no day"
    if text in field.words or text.split("-")[0] in field.words or not re.search(r"[LW#]", text):
        return None
    if field.name == "day of month" and "#" not in text:
        return f"{item!r} is none of L (the last day), LW (the last weekday), and 1W to 31W"
    if field.name == "day of week" and "W" not in text.replace("WED", ""):
        return f"{item!r} is none of L, 6L (the last Friday), and 6#3 (the third): days 1 to 7, places 1 to 5"
    return f"{item!r}: L and W stand for days of the month, L and # for days of the week"


def _why_never(kind: str, body: str, timezone: str) -> str:
    if kind == "at":
        return f"it never fires, as the clocks of {timezone} skip that time"
    _, _, days, months, _, years = body.split()
    if "?" not in days and not re.search(r"[LW]", days.upper()):
        numbers = _numbers(_FIELDS[3], months)
        longest = max(calendar.monthrange(2000, month)[1] for month in numbers)
        if min(_numbers(_FIELDS[2], days)) > longest:
            return f"it never fires, as the month has {longest} days at most"
    return f"it never fires: no such day in the years {years}, or the clocks of {timezone} skip that time"


def _period(body: str) -> timedelta:
    number, unit = body.split()
    return int(number) * _UNITS[unit.rstrip("s")]


def _every(period: timedelta, after: datetime, start: datetime) -> Iterator[datetime]:
    for number in count(max(0, (after - start) // period + 1)):
        try:
            yield start + number * period
        except OverflowError:
            return


def _calendar(kind: str, body: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments after one of a cron or at expression: its wall clock times, converted."""
    if kind == "at":
        walls: Iterator[datetime] = iter((datetime.fromisoformat(body),))
    else:
        walls = _Cron.read(body).walls(after.astimezone(zone).replace(tzinfo=None))
    for wall in walls:
        moment = wall.replace(tzinfo=zone).astimezone(UTC)
        skipped = moment.astimezone(zone).replace(tzinfo=None) != wall
        if moment > after and not skipped:
            yield moment


@dataclass(frozen=True)
class _Cron:
    """A cron expression, read: numbers in order, the two fields of days as they were written."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    month_days: str
    week_days: str

    @staticmethod
    def read(body: str) -> _Cron:
        fields = body.upper().split()
        minutes, hours, months, years = (_numbers(_FIELDS[place], fields[place]) for place in (0, 1, 3, 5))
        return _Cron(minutes, hours, months, years, month_days=fields[2], week_days=fields[4])

    def walls(self, after: datetime) -> Iterator[datetime]:
        """Times on the wall clock from the minute of ``after`` on."""
        after = after.replace(second=0, microsecond=0)
        for year in self.years:
            for month in self.months:
                if (year, month) >= (after.year, after.month):
                    yield from self._of_month(year, month, after)

    def _of_month(self, year: int, month: int, after: datetime) -> Iterator[datetime]:
        for day in self._days(year, month):
            if (year, month, day) < (after.year, after.month, after.day):
                continue
            for hour in self.hours:
                for minute in self.minutes:
                    wall = datetime(year, month, day, hour, minute)
                    if wall >= after:
                        yield wall

    def _days(self, year: int, month: int) -> Iterator[int]:
        length = calendar.monthrange(year, month)[1]
        if self.month_days == "?":
            yield from _days_of_week(self.week_days, year, month, length)
        elif self.month_days == "L":
            yield length
        elif self.month_days.endswith("W"):
            text = self.month_days[:-1]
            day = length if text == "L" else int(text)
            if day <= length:
                yield _nearest_weekday(year, month, day, length)
        else:
            yield from (day for day in _numbers(_FIELDS[2], self.month_days) if day <= length)


def _days_of_week(text: str, year: int, month: int, length: int) -> Iterator[int]:
    """Days of a month on which a day-of-week field holds; a lone L is Saturday, the last day of the week."""
    field = _FIELDS[4]
    name, hash_, place = text.partition("#")
    last = text.endswith("L") and text != "L"
    wanted = _numbers(field, name[:-1] if last else "SAT" if text == "L" else name)
    for day in range(1, length + 1):
        in_place = not hash_ or (day - 1) // 7 + 1 == int(place)
        if _day_of_week(year, month, day) in wanted and in_place and (not last or day + 7 > length):
            yield day


def _day_of_week(year: int, month: int, day: int) -> int:
    """Day of the week as AWS counts: Sunday is 1, Saturday 7."""
    return (calendar.weekday(year, month, day) + 1) % 7 + 1


def _nearest_weekday(year: int, month: int, day: int, length: int) -> int:
    """The weekday nearest to a day, in the same month."""
    near = (day, day + 1, day - 1, day + 2, day - 2)  # those two away from a first or last day at a weekend
    return next(one for one in near if 1 <= one <= length and 2 <= _day_of_week(year, month, one) <= 6)


def _numbers(field: _Field, text: str) -> tuple[int, ...]:
    """The values of a checked field, in order; a range may wrap round, such as FRI-MON."""
    found: set[int] = set()
    span = field.high - field.low + 1
    for item in text.upper().split(","):
        base, slash, step = item.partition("/")
        first, dash, last = base.partition("-")
        if base == "*":
            low, high = field.low, field.high
        else:
            low = int(field.words.get(first, first))
            high = int(field.words.get(last, last)) if dash else field.high if slash else low
        for offset in range(0, (high - low) % span + 1, int(step) if slash else 1):
            found.add((low - field.low + offset) % span + field.low)
    return tuple(sorted(found))
