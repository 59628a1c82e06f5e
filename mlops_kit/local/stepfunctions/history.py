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
_TRUNCATABLE = {
    name: f'"{name}Details":{{"truncated":false}}' for name in (*_DATA_FIELDS, "assignedVariables")
}


def encode(events: Iterable[Event]) -> str:
    """Text of a run of events for the history table: as GetExecutionHistory shows them, between commas.

    The answer is then spliced from the rows, and no event that is read is parsed.
    """
    return ",".join(map(_text, events))


def _text(event: Event) -> str:
    number, previous, time, kind, details = event
    head = f'{{"timestamp":{round(time, 3)},"type":"{kind}","id":{number},"previousEventId":{previous}'
    if kind in _WITHOUT_DETAILS:
        return head + "}"
    members = []
    for name, value in details.items():
        if value.__class__ is str:
            members.append(f'"{name}":{_quote(value)}')
        elif value is not None:
            members.append(f'"{name}":{json.dumps(value)}')
        if name in _TRUNCATABLE:
            members.append(_TRUNCATABLE[name])
    return f'{head},"{_details_member(kind)}":{{{",".join(members)}}}}}'


class Row(NamedTuple):
    """A row of the history table: ids of its first and last event, and its text."""

    first: int
    last: int
    text: str


def splice(rows: Iterable[Row], first: int, last: int) -> str:
    """Text of the events with ids from first to last, out of the rows that hold them."""
    parts = []
    for row in rows:
        text = row.text if row.text.startswith("{") else _renewed(row.text)
        if row.first < first or row.last > last:
            kept = [event for event in json.loads(f"[{text}]") if first <= event["id"] <= last]
            text = json.dumps(kept)[1:-1]
        parts.append(text)
    return ",".join(filter(None, parts))


def _renewed(text: str) -> str:
    """A row as it was written before its text was the answer's."""
    return encode(Event(*event) for event in json.loads(text))


def reshaped(text: str, backwards: bool, with_data: bool) -> str:
    """A spliced text in the other order, or without inputs and outputs."""
    events = json.loads(f"[{text}]")
    if not with_data:
        for event in events:
            details = event.get(_details_member(event["type"]), {})
            for name in _DATA_FIELDS:
                details.pop(name, None)
                details.pop(f"{name}Details", None)
    return json.dumps(events[::-1] if backwards else events)[1:-1]


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
