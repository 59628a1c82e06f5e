"""What starts a pipeline: its schedules as resources, their expressions checked; computes no times.

Sources: EventBridge Scheduler User Guide, "Schedule types on EventBridge Scheduler" and "Adding context
attributes to schedule inputs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlops_kit.build.iam import schedule_role
from mlops_kit.build.policy import Tags
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline, Schedule

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
# A start that AWS refuses for a moment is tried again for an hour; a later one would be the next window's.
RETRY_POLICY = {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}

_MONTHS = {"JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6}
_MONTHS |= {"JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12}
_DAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_LONGEST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _DAYS),
    ("year", 1970, 2199, {}),
)
_EXAMPLES = "cron(0 3 ? * MON *), rate(1 day) or at(2026-01-31T03:00:00)"


def check(schedule: Schedule) -> None:
    """Refuse a schedule that EventBridge Scheduler would refuse, or that would never fire.

    Raises
    ------
    UsageError
        Says which part is wrong and what may stand there.
    """
    text = schedule.expression
    kind, _, body = text.partition("(")
    reader = {"cron": _cron, "rate": _rate, "at": _at}.get(kind)
    if reader is None or not body.endswith(")") or len(text) > 256:
        raise UsageError(
            f"{text!r} is no schedule.", suggestion=f"write it in at most 256 characters, as {_EXAMPLES}."
        )
    if problem := reader(body[:-1]):
        raise UsageError(
            f"The schedule {text!r} cannot be used: {problem}.", suggestion=f"compare {_EXAMPLES}."
        )
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"The schedule {text!r} names the time zone {schedule.timezone!r}, which does not exist.",
            suggestion="use an IANA name such as 'UTC' or 'Europe/Berlin'.",
        ) from error


def _rate(body: str) -> str | None:
    match = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", body)
    if match is None:
        return "a rate is a positive whole number and minute(s), hour(s) or day(s)"
    number, unit, plural = match.groups()
    if (number == "1") == bool(plural):
        return f"write {number} {unit}{'' if number == '1' else 's'}"
    return None


def _at(body: str) -> str | None:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", body):
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
    for (name, low, high, words), text in zip(_FIELDS, fields, strict=True):
        if not (text == "?" and name.startswith("day")):
            for item in text.split(","):
                if problem := _item(name, item, (low, high), words):
                    return f"{name}: {problem}"
    return _never(fields[2], fields[3])


def _item(name: str, item: str, bounds: tuple[int, int], words: Mapping[str, int]) -> str | None:
    if special := _special(name, item, words):
        return None if special == "fine" else special
    base, slash, step = item.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        return f"{item!r} needs a positive step after '/'"
    if base == "*":
        return None
    ends = [words.get(end.upper(), end) for end in base.split("-")]
    if len(ends) > 2 or not all(isinstance(end, int) or (end.isascii() and end.isdigit()) for end in ends):
        return f"{item!r} is neither a value, a range, nor '*'"
    numbers = [int(end) for end in ends]
    if not all(bounds[0] <= number <= bounds[1] for number in numbers):
        return f"{item!r} is outside {bounds[0]} to {bounds[1]}"
    if name == "year" and numbers != sorted(numbers):
        return f"{item!r} ends before it begins"
    return None


def _special(name: str, item: str, words: Mapping[str, int]) -> str | None:
    """``fine`` for L, W and # where they may stand, words where they may not, ``None`` without any."""
    text = item.upper()
    if name == "day of month" and re.fullmatch(r"L|LW|([1-9]|[12]\d|3[01])W", text):
        return "fine"
    if name == "day of week" and (
        match := re.fullmatch(r"([A-Z]{3}|[1-7])?L|([A-Z]{3}|[1-7])#([1-5])", text)
    ):
        day = match[1] or match[2]
        return "fine" if day is None or day.isdigit() or day in words else f"{item!r} names no day"
    if text not in words and text.split("-")[0] not in words and re.search(r"[LW#]", text):
        return f"{item!r}: L and W stand for days of the month, L and # for days of the week"
    return None


def _never(days: str, months: str) -> str | None:
    """Words when no month of the list has any of the days, such as 30 February."""
    if not re.fullmatch(r"\d+(,\d+)*", days) or not re.fullmatch(r"\w+(,\w+)*", months):
        return None
    longest = max(_LONGEST[_MONTHS.get(one.upper(), 0) or int(one)] for one in months.split(","))
    if min(int(day) for day in days.split(",")) > longest:
        return f"it never fires, as the month has {longest} days at most"
    return None


def schedule_input(schedule: Schedule) -> str:
    """Input of the execution as Scheduler hands it on, ``as_of`` being the scheduled time unless given."""
    return json.dumps({"as_of": SCHEDULED_TIME, **schedule.input}, ensure_ascii=False)


def resources(group: str, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """The schedules of a pipeline with their group and the role that starts it.

    Parameters
    ----------
    group : str
        Name of the schedule group, and prefix of the schedules' names.
    pipeline : Pipeline
        Whose state machine is the resource ``StateMachine`` of the same template.
    tags : list of dict

    Returns
    -------
    dict
        Resources by logical id; empty without schedules.

    Raises
    ------
    UsageError
        A schedule cannot be used.
    """
    if not pipeline.schedules:
        return {}
    found: dict[str, Any] = {
        "ScheduleGroup": {
            "Type": "AWS::Scheduler::ScheduleGroup",
            "Properties": {"Name": group, "Tags": tags},
        },
        **schedule_role(group, "${StateMachine}", tags),
    }
    for number, schedule in enumerate(pipeline.schedules, 1):
        check(schedule)
        found[f"Schedule{number}"] = _schedule(f"{group}-{number}", schedule)
    return found


def _schedule(name: str, schedule: Schedule) -> dict[str, Any]:
    return {
        "Type": "AWS::Scheduler::Schedule",
        "DependsOn": "SchedulePolicy",
        "Properties": {
            "Name": name,
            "GroupName": {"Ref": "ScheduleGroup"},
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": {"Ref": "StateMachine"},
                "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
                "Input": schedule_input(schedule),
                "RetryPolicy": RETRY_POLICY,
            },
        },
    }
