"""What EventBridge Scheduler would refuse in a schedule, or would never fire; makes no resources.

Sources: EventBridge Scheduler API Reference, "CreateSchedule", "RetryPolicy", "FlexibleTimeWindow"; User
Guide, "Schedule types in EventBridge Scheduler", "Adding context attributes to schedule inputs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_kit import cron
from mlops_kit.errors import UsageError
from mlops_kit.trigger import Schedule

PAYLOAD_LIMIT = 262_144  # bytes of UTF-8, of an invocation
_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_ATTRIBUTE = re.compile(r"<(aws\.scheduler[^<>]*)>")
_ATTRIBUTES = {  # each with an example
    "aws.scheduler.schedule-arn": "arn:aws:scheduler:eu-central-1:111122223333:schedule/group/name",
    "aws.scheduler.scheduled-time": "2026-01-31T03:00:00Z",
    "aws.scheduler.execution-id": "d32c5kddcf5bb8c3",
    "aws.scheduler.attempt-number": "1",
}


def check(schedule: Schedule, name: str, group: str) -> None:
    """Refuse what AWS would refuse, and what would never fire.

    Parameters
    ----------
    schedule : Schedule
    name, group : str
        As they will stand in AWS.

    Raises
    ------
    UsageError
        Says which part is wrong and what may stand there.
    """
    for what, text in (("schedule", name), ("schedule group", group)):
        if not _NAME.fullmatch(text):
            raise UsageError(
                f"{text!r} cannot be the name of a {what}.",
                suggestion="use 1 to 64 of A-Z, a-z, 0-9, '-', '_' and '.'.",
            )
    bounds = (
        ("retry attempts", schedule.retry.attempts, 0, 185),
        ("seconds as the maximum age of a retry", schedule.retry.maximum_age, 60, 86_400),
        ("minutes of flexible window", schedule.flexible_window, 0, 1440),
    )
    for words, value, least, most in bounds:
        if type(value) is not int or not least <= value <= most:
            raise UsageError(
                f"The schedule {name!r} has {value!r} {words}; AWS takes {least:,} to {most:,}, whole."
            )
    cron.check(schedule.expression, schedule.timezone)
    _check_times(schedule, name)


def _check_times(schedule: Schedule, name: str) -> None:
    start, end = (_time(name, what, getattr(schedule, what)) for what in ("start", "end"))
    if start is None and end is None:
        return
    if schedule.expression.startswith("at("):
        raise UsageError(
            f"The schedule {name!r} fires once, at its own time; AWS ignores its start and end.",
            suggestion="leave them out, or use cron(...) or rate(...).",
        )
    if start is not None and end is not None and start >= end:
        raise UsageError(
            f"The schedule {name!r} starts at {schedule.start} and ends at {schedule.end}, not later."
        )
    after = datetime(1970, 1, 1, tzinfo=UTC)
    fires = cron.occurrences(schedule.expression, schedule.timezone, after, start=start, end=end)
    if next(fires, None) is None:
        between = " and ".join(filter(None, (schedule.start, schedule.end)))
        raise UsageError(
            f"The schedule {name!r} never fires: {schedule.expression} {schedule.timezone} has no occurrence "
            f"{'between' if start and end else 'after' if start else 'before'} {between}."
        )


def _time(name: str, what: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(
        f"The schedule {name!r} has the {what} {text!r}, which is no time.",
        suggestion="write UTC as yyyy-mm-ddThh:mm:ssZ, such as 2026-01-31T03:00:00Z.",
    )


def check_input(what: str, given: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse an input with which every execution would fail; context attributes stand for an example.

    Parameters
    ----------
    what : str
        Whose input, such as ``the schedule 'weekly'``.
    given : mapping
        The input.
    schema : mapping
        The pipeline's.

    Raises
    ------
    UsageError
        Says what the pipeline's schema does not take, and its fields.
    """
    import fastjsonschema

    try:
        fastjsonschema.compile(dict(schema), use_default=False)(_example(given))
    except fastjsonschema.JsonSchemaValueException as error:
        words = f"{error.name} cannot be {error.value!r}" if error.rule == "pattern" else error.message
        fields = ", ".join(schema.get("properties", {})) or "none"
        raise UsageError(
            f"The pipeline would refuse the input of {what}: {words}.",
            suggestion=f"its fields are: {fields}; as_of and trigger are filled in unless they are given.",
        ) from None


def filled_in(ours: Mapping[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """An input with those members of ours that it lacks and that the pipeline's schema takes."""
    known, is_open = schema.get("properties", {}), schema.get("additionalProperties", True)
    return {key: value for key, value in ours.items() if key in known or is_open} | dict(given)


def _example(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _example(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_example(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return _ATTRIBUTE.sub(lambda match: _ATTRIBUTES.get(match[1], match[0]), value)


def text_of(name: str, given: Mapping[str, Any]) -> str:
    """An input as JSON.

    Raises
    ------
    UsageError
        It is no JSON, too large, or holds a context attribute that Scheduler does not know.
    """
    try:
        text = json.dumps(given, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The input of the schedule {name!r} is no JSON: {error}.") from None
    if (size := len(text.encode())) > PAYLOAD_LIMIT:
        raise UsageError(
            f"The input of the schedule {name!r} has {size:,} bytes; AWS delivers {PAYLOAD_LIMIT:,}.",
            suggestion="put the data into S3 and name its address.",
        )
    for attribute in _ATTRIBUTE.findall(text):
        if attribute not in _ATTRIBUTES:
            raise UsageError(
                f"The schedule {name!r}: Scheduler knows no context attribute <{attribute}>.",
                suggestion=f"use one of {', '.join(f'<{one}>' for one in _ATTRIBUTES)}.",
            )
    return text
