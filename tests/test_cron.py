"""The schedule expressions of AWS: what is refused, and the laws of when each fires."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from aws_croniter import AwsCroniter
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.cron import check, occurrences
from mlops_kit.errors import UsageError

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 3 ? * MON *)",
        "cron(0 10 * * ? *)",
        "cron(15 12 * * ? *)",
        "cron(0 18 ? * MON-FRI *)",
        "cron(0 8 1 * ? *)",
        "cron(0/15 * * * ? *)",
        "cron(*/5 8-17 ? * 2-6 *)",
        "cron(0 9 ? * 2#1 *)",
        "cron(0 9 ? * MON#1 *)",
        "cron(0 17 L * ? *)",
        "cron(0 17 15W * ? *)",
        "cron(0 17 ? * 6L 2022-2030)",
        "cron(0 17 ? * FRIL *)",
        "cron(0 0 29 FEB ? *)",
        "cron(0 12 1,15 JAN,jul ? 2027/2)",
        "cron(0 22 ? * FRI-MON *)",
        "cron(0 22 ? * L *)",
        "cron(0 22 LW * ? *)",
        "cron(05 09 31 * ? *)",
        "cron(0 3 ? * MON 2001)",
        "rate(1 minute)",
        "rate(5 minutes)",
        "rate(1 day)",
        "at(2026-11-20T13:00:00)",
    ],
)
def test_what_aws_takes_is_taken(expression: str) -> None:
    check(expression, "Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 3 * * *", "is no schedule"),
        ("cron(0 3 * * *", "is no schedule"),
        ("every(day)", "is no schedule"),
        ("cron(0 3 * * *)", "six fields"),
        ("cron(0 3 * * MON *)", "exactly one of day of month and day of week is '?'"),
        ("cron(0 3 ? * ? *)", "exactly one of day of month and day of week is '?'"),
        ("cron(60 3 ? * MON *)", "minutes: '60' is outside 0 to 59"),
        ("cron(0 24 ? * MON *)", "hours: '24' is outside 0 to 23"),
        ("cron(0 3 0 * ? *)", "day of month: '0' is outside 1 to 31"),
        ("cron(0 3 ? 13 MON *)", "month: '13' is outside 1 to 12"),
        ("cron(0 3 ? * 0 *)", "day of week: '0' is outside 1 to 7"),
        ("cron(0 3 ? * MOO *)", "day of week: 'MOO' is neither"),
        ("cron(0 3 ? * MON 1969)", "year: '1969' is outside 1970 to 2199"),
        ("cron(0 3 ? * MON 2030-2028)", "ends before it begins"),
        ("cron(0 3 ? * MON#6 *)", "'MON#6'"),
        ("cron(0 3 ? * 8#1 *)", "day of week: '8#1' is none of L, 6L (the last Friday), and 6#3"),
        ("cron(0 3 ? * 8L *)", "day of week: '8L' is none of"),
        ("cron(0 3 L-3 * ? *)", "day of month: 'L-3' is none of L (the last day)"),
        ("cron(0 3 32W * ? *)", "day of month: '32W' is none of"),
        ("cron(0 3 2#1 * ? *)", "day of month: '2#1': L and W stand for days of the month, L and # for"),
        ("cron(0 L ? * MON *)", "hours: 'L': L and W stand for days"),
        ("cron(0 3 ? * 3W *)", "day of week: '3W': L and W stand for days of the month"),
        ("cron(0/0 3 ? * MON *)", "needs a positive step"),
        ("cron(? 3 ? * MON *)", "minutes: '?'"),
        ("cron(0 3 ? * MON/2 *)", "days of the week take no step"),
        ("cron(0/60 3 ? * MON *)", "at most 59"),
        ("cron(0 3 ? * MON#1,TUE#2 *)", "stands alone, not in a list"),
        ("cron(0 3 L,15 * ? *)", "stands alone, not in a list"),
        ("cron(0 3 29 2 ? 2027)", "never fires"),
        ("cron(30 2 29 3 ? 2026)", "the clocks of Europe/Berlin skip that time"),
        ("at(2026-03-29T02:30:00)", "the clocks of Europe/Berlin skip that time"),
        ("cron(0 3 30 2 ? *)", "never fires, as the month has 29 days at most"),
        ("cron(0 3 31 APR,JUN ? *)", "never fires, as the month has 30 days at most"),
        ("rate(0 days)", "positive whole number"),
        ("rate(1 days)", "write 1 day"),
        ("rate(5 minute)", "write 5 minutes"),
        ("rate(1 week)", "minute(s), hour(s) or day(s)"),
        ("at(2026-02-30T03:00:00)", "day"),
        ("at(2026-02-20T03:00:00Z)", "without a zone"),
    ],
)
def test_what_aws_refuses_or_never_fires_is_refused_with_the_reason(expression: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(expression, "Europe/Berlin")
    assert words in str(caught.value) and expression in caught.value.message
    assert caught.value.suggestion and "cron(0 3 ? * MON *)" in caught.value.suggestion


@pytest.mark.parametrize(
    "zone",
    ["Berlin", "Europe/Hamburg", "", "../etc", "right/Europe/Berlin", "posix/UTC", "localtime", "A" * 51],
)
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="time zone"):
        check("rate(1 day)", zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def texts(moments: Iterator[datetime], number: int) -> list[str]:
    return [moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in islice(moments, number)]


def test_a_past_year_is_refused_when_asked_from_now() -> None:
    check("cron(0 3 ? * MON 2025)")
    with pytest.raises(UsageError, match="never fires after 2026-11-25T03:00:00"):
        check("cron(0 3 ? * MON 2025)", after=utc("2026-11-25T03:00:00"))
    with pytest.raises(UsageError, match="never fires after"):
        check("at(2026-11-25T03:00:00)", BERLIN, after=utc("2026-11-25T02:00:00"))


def test_a_time_that_the_spring_change_skips_does_not_fire() -> None:
    moments = occurrences("cron(30 2 * * ? *)", BERLIN, utc("2026-03-27T12:00:00"))
    assert texts(moments, 3) == ["2026-03-28T01:30:00", "2026-03-30T00:30:00", "2026-03-31T00:30:00"]


def test_a_time_that_the_autumn_change_repeats_fires_once() -> None:
    moments = occurrences("cron(0/30 2 * * ? *)", BERLIN, utc("2026-10-24T12:00:00"))
    assert texts(moments, 3) == ["2026-10-25T00:00:00", "2026-10-25T00:30:00", "2026-10-26T01:00:00"]


def test_a_cron_keeps_its_hour_on_the_wall_clock_and_a_rate_its_period() -> None:
    daily = occurrences("cron(0 9 * * ? *)", BERLIN, utc("2026-03-28T00:00:00"))
    assert texts(daily, 2) == ["2026-03-28T08:00:00", "2026-03-29T07:00:00"]
    start = utc("2026-03-28T08:00:00")
    rate = occurrences("rate(1 day)", BERLIN, start - timedelta(seconds=1), start=start)
    assert texts(rate, 2) == ["2026-03-28T08:00:00", "2026-03-29T08:00:00"]


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 9 ? * L *)", "2026-11-25T00:00:00", ["2026-11-28T09:00:00", "2026-12-05T09:00:00"]),
        ("cron(0 9 LW * ? *)", "2026-10-01T00:00:00", ["2026-10-30T09:00:00", "2026-11-30T09:00:00"]),
        ("cron(0 9 1W * ? *)", "2026-07-15T00:00:00", ["2026-08-03T09:00:00", "2026-09-01T09:00:00"]),
        ("cron(0 9 31W * ? *)", "2026-10-15T00:00:00", ["2026-10-30T09:00:00", "2026-12-31T09:00:00"]),
        ("cron(0 9 ? * 2#2 *)", "2026-01-01T00:00:00", ["2026-01-12T09:00:00", "2026-02-09T09:00:00"]),
        ("cron(0 9 ? * 6L *)", "2026-01-01T00:00:00", ["2026-01-30T09:00:00", "2026-02-27T09:00:00"]),
        ("cron(0 0 29 2 ? *)", "2096-03-01T00:00:00", ["2104-02-29T00:00:00", "2108-02-29T00:00:00"]),
        ("cron(0 0 ? 2 2#5 *)", "2026-01-01T00:00:00", ["2044-02-29T00:00:00", "2072-02-29T00:00:00"]),
        ("cron(0 12 1 1 ? 2027/2)", "2026-01-01T00:00:00", ["2027-01-01T12:00:00", "2029-01-01T12:00:00"]),
        ("cron(0 0 1 1 ? 2027)", "2026-01-01T00:00:00", ["2027-01-01T00:00:00"]),
        ("at(2026-11-20T13:00:07)", "2026-01-01T00:00:00", ["2026-11-20T13:00:07"]),
        ("at(2026-11-20T13:00:07)", "2026-11-20T13:00:07", []),
    ],
)
def test_special_days_and_rare_years(expression: str, after: str, expected: list[str]) -> None:
    assert texts(occurrences(expression, "UTC", utc(after)), 2) == expected


def test_a_schedule_fires_from_its_start_to_its_end_and_a_one_time_schedule_ignores_both() -> None:
    start, end = utc("2026-01-02T00:00:00"), utc("2026-01-03T00:00:00")
    daily = occurrences("cron(0 0 * * ? *)", "UTC", utc("2025-12-01T00:00:00"), start=start, end=end)
    assert texts(daily, 9) == ["2026-01-02T00:00:00", "2026-01-03T00:00:00"]
    once = occurrences("at(2026-02-01T00:00:00)", "UTC", utc("2025-12-01T00:00:00"), start=start, end=end)
    assert texts(once, 9) == ["2026-02-01T00:00:00"]


DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
ZONES = [BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
STARTS = st.datetimes(datetime(2009, 1, 1), datetime(2040, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    ranges = st.tuples(value, value).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.tuples(value, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    lists = st.lists(st.one_of(value.map(str), ranges, steps), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists)


MONTH_DAYS = st.one_of(numbers(1, 28), st.just("L"), st.just("LW"), st.integers(1, 28).map("{}W".format))
WEEK_DAYS = st.one_of(
    st.just("*"),
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3).map(",".join),
    st.sampled_from(DAYS).map("{}L".format),
    st.tuples(st.integers(1, 7), st.integers(1, 4)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
)
BOTH_DAYS = st.one_of(st.tuples(MONTH_DAYS, st.just("?")), st.tuples(st.just("?"), WEEK_DAYS))
CRONS = st.builds(
    lambda minute, hour, month, days: f"cron({minute} {hour} {days[0]} {month} {days[1]} *)",
    numbers(0, 59),
    numbers(0, 23),
    numbers(1, 12),
    BOTH_DAYS,
)


def holds(text: str, value: int, low: int, high: int) -> bool:
    """Whether a plain field holds for a value: the definition, item by item."""
    for item in text.split(","):
        base, _, step = item.partition("/")
        first, dash, last = base.partition("-")
        begin = low if base == "*" else int(first)
        end = int(last) if dash else high if step or base == "*" else begin
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def day_holds(days: str, weekdays: str, wall: datetime) -> bool:
    name, next_week = DAYS[(wall.weekday() + 1) % 7], wall + timedelta(days=7)
    if days == "?":
        day, _, place = weekdays.partition("#")
        if place:
            return DAYS[int(day) - 1] == name and (wall.day - 1) // 7 + 1 == int(place)
        if weekdays.endswith("L"):
            return weekdays == f"{name}L" and next_week.month != wall.month
        return weekdays == "*" or name in weekdays.split(",")
    last = (wall + timedelta(days=1)).month != wall.month
    if days == "L":
        return last
    if days == "LW":
        monday_is_in_the_next = wall.weekday() == 4 and (wall + timedelta(days=3)).month != wall.month
        return wall.weekday() < 5 and (last or monday_is_in_the_next)
    if days.endswith("W"):
        return wall.weekday() < 5 and abs(wall.day - int(days[:-1])) <= 2
    return holds(days, wall.day, 1, 31)


@settings(max_examples=150, deadline=None)
@given(CRONS, st.sampled_from(ZONES), STARTS)
def test_each_moment_matches_the_fields_on_the_wall_clock_in_order(
    cron: str, zone: str, after: datetime
) -> None:
    minute, hour, days, month, weekdays, _ = cron[5:-1].split()
    before = after
    for moment in islice(occurrences(cron, zone, after), 40):
        assert moment > before and moment.tzinfo is UTC
        before, wall = moment, moment.astimezone(ZoneInfo(zone))
        assert wall.second == 0 and wall.fold == 0
        assert holds(minute, wall.minute, 0, 59) and holds(hour, wall.hour, 0, 23)
        assert holds(month, wall.month, 1, 12) and day_holds(days, weekdays, wall.replace(tzinfo=None))


@settings(max_examples=60, deadline=None)
@given(CRONS, st.sampled_from(ZONES), STARTS, st.timedeltas(timedelta(0), timedelta(days=60)))
def test_going_on_from_a_later_moment_is_the_rest_of_the_same_sequence(
    cron: str, zone: str, after: datetime, later: timedelta
) -> None:
    middle, end = after + later, after + later + timedelta(days=2)
    whole = [moment for moment in occurrences(cron, zone, after, end=end) if moment > middle]
    assert list(occurrences(cron, zone, middle, end=end)) == whole


@settings(max_examples=100, deadline=None)
@given(CRONS.filter(lambda cron: "LW" not in cron), STARTS)
def test_an_independent_library_agrees_in_utc(cron: str, after: datetime) -> None:
    theirs = AwsCroniter(cron[5:-1]).get_next(after, 12)
    if None not in theirs:  # it gives up after ten steps without a day
        assert list(islice(occurrences(cron, "UTC", after), 12)) == theirs


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.sampled_from(["minute", "hour", "day"]),
    STARTS,
    st.timedeltas(timedelta(0), timedelta(days=900)),
)
def test_a_rate_counts_from_its_start_in_exact_periods(
    number: int, unit: str, start: datetime, later: timedelta
) -> None:
    period = number * {"minute": 60, "hour": 3600, "day": 86400}[unit]
    after = start + later
    found = list(
        islice(occurrences(f"rate({number} {unit}{'s' * (number > 1)})", BERLIN, after, start=start), 3)
    )
    assert found[0] > after and (found[0] - after).total_seconds() <= period
    assert all((moment - start).total_seconds() % period == 0 for moment in found)
    assert (found[2] - found[0]).total_seconds() == 2 * period
