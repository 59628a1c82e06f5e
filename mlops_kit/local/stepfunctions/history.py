"""History events: how they are kept, and how GetExecutionHistory and CloudWatch Logs show them."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mlops_kit.local.stepfunctions.docs import dumps

MAX_EVENTS = 25_000  # of one execution (Step Functions service quotas)
_LOGGED_DATA = 248 * 1024  # bytes of input or output in one log line (Using CloudWatch Logs)
_DATA_FIELDS = ("input", "output")
_ERROR_TYPES = ("Failed", "TimedOut", "Aborted")
_FATAL_TYPES = frozenset({"ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


class Event(NamedTuple):
    """One history event.

    Attributes
    ----------
    id, previous : int
        Number of the event and of the one that led to it.
    time : float
        Epoch seconds.
    type : str
        AWS's event type.
    details : dict
        Members of the event's details.
    """

    id: int
    previous: int
    time: float
    type: str
    details: Mapping[str, Any]


@functools.cache
def _details_member(kind: str) -> str:
    for state in ("Entered", "Exited"):
        if kind.endswith(f"State{state}"):
            return f"state{state}EventDetails"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


_WITHOUT_DETAILS = frozenset(
    f"{kind}State{what}"
    for kind in ("Map", "Parallel", "Task", "Wait")
    for what in ("Aborted", "Failed", "Succeeded")
) | {"ParallelStateStarted", "LambdaFunctionStarted", "MapRunAborted", "MapRunSucceeded"}


_quote = json.encoder.encode_basestring_ascii
_TRUNCATED = {
    name: f',"{name}Details":{{"truncated":false}}' for name in (*_DATA_FIELDS, "assignedVariables")
}


def encode(events: Iterable[Event]) -> str:
    """Text of a run of events, for the history table."""
    return dumps([tuple(event) for event in events])


def decode(rows: Iterable[Iterable[Any]]) -> list[Event]:
    """Events of a text written by `encode`, already parsed as JSON."""
    return [Event(*row) for row in rows]


def shown(events: Iterable[Event], with_data: bool = True) -> str:
    """Events as GetExecutionHistory's answer has them, between commas.

    Written at once: as dictionaries that go by the model through `wire` they take three times as long.
    """
    return ",".join([_shown(event, with_data) for event in events])


def _shown(event: Event, with_data: bool) -> str:
    number, previous, time, kind, details = event
    head = f'{{"timestamp":{time:.3f},"type":"{kind}","id":{number},"previousEventId":{previous}'
    if kind in _WITHOUT_DETAILS:
        return head + "}"
    members = []
    for name, value in details.items():
        if value is None or (name in _DATA_FIELDS and not with_data):
            continue
        text = _quote(value) if value.__class__ is str else json.dumps(value)
        members.append(f'"{name}":{text}{_TRUNCATED.get(name, "")}')
    return f'{head},"{_details_member(kind)}":{{{",".join(members)}}}}}'


def _logged(level: str, kind: str) -> bool:
    if level == "ALL":
        return True
    if level == "FATAL":
        return kind in _FATAL_TYPES
    return level == "ERROR" and kind.endswith(_ERROR_TYPES)


def log_lines(
    events: Iterable[Event], level: str, with_data: bool, execution_arn: str, redrives: int
) -> list[tuple[float, str]]:
    """The lines that CloudWatch Logs gets for these events at a level.

    Notes
    -----
    Shape and levels: "Using CloudWatch Logs to log execution history in Step Functions".
    """
    lines = []
    for event in events:
        if not _logged(level, event.type):
            continue
        details = dict(event.details)
        for field in _DATA_FIELDS:
            text = details.get(field)
            if text is None:
                continue
            if not with_data:
                del details[field]
                continue
            truncated = len(text) > _LOGGED_DATA
            details[field] = text[:_LOGGED_DATA] if truncated else text
            details[f"{field}Details"] = {"truncated": truncated}
        line = {
            "id": str(event.id),
            "type": event.type,
            "details": details,
            "previous_event_id": str(event.previous),
            "event_timestamp": str(int(event.time * 1000)),
            "execution_arn": execution_arn,
            "redrive_count": str(redrives),
        }
        lines.append((event.time, dumps(line)))
    return lines
