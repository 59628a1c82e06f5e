"""One execution as its history tells it: states, visits, attempts; must not know pipelines or charts.

Event types and their members: AWS Step Functions API Reference, "HistoryEvent".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

_ENDED_EARLY = ("ExecutionAborted", "ExecutionTimedOut")
# Where a service says in a job's description why it failed.
_REASONS = ("FailureReason", "ErrorMessage", "errorMessage", "StateChangeReason", "Cause")
FAILURES = ("Failed", "TimedOut", "StartFailed", "SubmitFailed", "ScheduleFailed", "Aborted")


@dataclass(frozen=True)
class Attempt:
    """One try of a task.

    Attributes
    ----------
    number : int
        1 for the first try, 2 for the first retry, and so on.
    started, ended : datetime
        ``ended`` is ``None`` while it runs.
    error, cause : str or None
        As Step Functions reports them; ``None`` when it succeeded or still runs.
    parameters, output : str or None
        JSON text of what the service was asked and what it answered, where the history holds it.
    """

    number: int
    started: datetime
    ended: datetime | None = None
    error: str | None = None
    cause: str | None = None
    parameters: str | None = None
    output: str | None = None

    @property
    def failed(self) -> bool:
        """Whether this try ended in an error."""
        return self.error is not None


@dataclass(frozen=True)
class Visit:
    """One stay in a state, from entering to leaving it.

    Attributes
    ----------
    state : str
        Name of the state.
    kind : str
        ``Task``, ``Choice``, ``Map`` and so on.
    entered, exited : datetime
        ``exited`` is ``None`` while it lasts, and where it ended the execution.
    status : {"SUCCEEDED", "CAUGHT", "FAILED", "RUNNING"}
        ``CAUGHT``: it failed and a Catch took over.
    attempts : tuple of Attempt
        Empty for states that do no work of their own.
    input, output : str or None
        JSON text, where the history holds it.
    """

    state: str
    kind: str
    entered: datetime
    exited: datetime | None = None
    status: str = "RUNNING"
    attempts: tuple[Attempt, ...] = ()
    input: str | None = None
    output: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long the visit lasted, in seconds; ``None`` while it lasts."""
        return (self.exited - self.entered).total_seconds() if self.exited else None


@dataclass(frozen=True)
class StateSummary:
    """All visits to one state together, as a graph shows them."""

    status: str
    seconds: float | None
    attempts: int


@dataclass(frozen=True)
class Execution:
    """An execution and everything its history tells.

    Attributes
    ----------
    arn, name, state_machine_arn : str
        AWS's names.
    status : str
        ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``ABORTED`` or ``PENDING_REDRIVE``.
    started, stopped : datetime
        ``stopped`` is ``None`` while it runs.
    input, output : mapping or None
        Parsed.
    error, cause : str or None
        Why it failed.
    redrives : int
        How often it was redriven.
    visits : tuple of Visit
        In the order of entering.
    events : int
        Number of history events.
    """

    arn: str
    name: str
    state_machine_arn: str
    status: str
    started: datetime
    stopped: datetime | None = None
    input: Any = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    visits: tuple[Visit, ...] = ()
    events: int = 0

    @property
    def seconds(self) -> float | None:
        """Duration in seconds; ``None`` while it runs."""
        return (self.stopped - self.started).total_seconds() if self.stopped else None

    @property
    def states(self) -> dict[str, StateSummary]:
        """Per state name: the last visit's status, the seconds and tries of all visits."""
        summary: dict[str, StateSummary] = {}
        for visit in self.visits:
            former = summary.get(visit.state)
            seconds = (former.seconds or 0.0 if former else 0.0) + (visit.seconds or 0.0)
            tries = (former.attempts if former else 0) + len(visit.attempts)
            summary[visit.state] = StateSummary(visit.status, seconds, tries)
        return summary

    @property
    def failure(self) -> Visit | None:
        """The visit where things went wrong first: caught or not; ``None`` when nothing did."""
        return next((visit for visit in self.visits if visit.status in ("FAILED", "CAUGHT")), None)

    @property
    def why(self) -> tuple[str, str]:
        """Error name and reason of the failure; a Parallel's own event names none: the execution's then."""
        visit = self.failure
        own = visit is not None and visit.kind not in ("Parallel", "Map") and visit.attempts
        last = own[-1] if own else None
        error = (last.error if last else None) or self.error or self.status
        return error, reason((last.cause if last else None) or self.cause or "")


@dataclass
class _Open:
    """A visit that is being read."""

    visit: Visit
    attempts: list[Attempt] = field(default_factory=list)

    def start(self, when: datetime, parameters: str | None = None) -> None:
        self.attempts.append(Attempt(len(self.attempts) + 1, when, parameters=parameters))

    def end(self, when: datetime, **found: Any) -> None:
        if not self.attempts or self.attempts[-1].ended is not None:
            self.start(when)
        self.attempts[-1] = replace(self.attempts[-1], ended=when, **found)

    def interrupt(self, event: Mapping[str, Any]) -> None:
        """The execution ended while this was being tried: a redrive tries again."""
        if self.visit.exited is None and self.attempts and self.attempts[-1].ended is None:
            error, cause = _error(event)
            self.end(event["timestamp"], error=error, cause=cause)


def read(client: Any, arn: str) -> Execution:
    """An execution with its whole history, from the Step Functions API.

    Parameters
    ----------
    client : botocore client
        Of the service ``stepfunctions``.
    arn : str
        The execution's ARN.
    """
    answer = client.describe_execution(executionArn=arn)
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    events = [event for page in pages for event in page["events"]]
    return from_answers(answer, events)


def from_answers(answer: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Execution:
    """An execution from DescribeExecution's answer and GetExecutionHistory's events."""
    visits = _visits(events, answer.get("stopDate"))
    return Execution(
        arn=answer["executionArn"],
        name=answer["name"],
        state_machine_arn=answer["stateMachineArn"],
        status=answer["status"],
        started=answer["startDate"],
        stopped=answer.get("stopDate"),
        input=_parsed(answer.get("input")),
        output=_parsed(answer.get("output")),
        error=answer.get("error"),
        cause=answer.get("cause"),
        redrives=answer.get("redriveCount", 0),
        visits=tuple(visits),
        events=len(events),
    )


def reason(cause: str) -> str:
    """The reason in a cause: a job's description in JSON holds it in one member, a Lambda error likewise.

    A query's description holds it further in, so the members within are looked through too.
    """
    try:
        found = [json.loads(cause)]
    except ValueError:
        return cause
    while found:
        inner = [one for one in found if isinstance(one, dict)]
        for one in inner:
            if words := next((str(one[key]) for key in _REASONS if one.get(key)), None):
                return words
        found = [value for one in inner for value in one.values()]
    return cause


def _parsed(text: str | None) -> Any:
    return json.loads(text) if text else None


def _visits(events: Iterable[Mapping[str, Any]], stopped: datetime | None) -> list[Visit]:
    """Every visit; an event belongs to the state that its chain of ``previousEventId`` leads back to."""
    opened: list[_Open] = []
    owner: dict[int, _Open | None] = {}
    enclosing: dict[int, _Open | None] = {}
    for event in events:
        kind, when = event["type"], event["timestamp"]
        current = owner.get(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            details = event["stateEnteredEventDetails"]
            visit = Visit(
                details["name"], kind.removesuffix("StateEntered"), when, input=details.get("input")
            )
            before, current = current, _Open(visit)
            is_open = before is not None and before.visit.exited is None
            enclosing[id(current)] = before if is_open or before is None else enclosing[id(before)]
            opened.append(current)
        elif kind.endswith("StateExited"):
            details = event["stateExitedEventDetails"]
            current = _find(current, details["name"], enclosing)
            if current:
                _leave(current, when, details.get("output"))
        elif kind in _ENDED_EARLY:
            for entry in opened:
                entry.interrupt(event)
        elif current:
            _note(current, event)
        owner[event["id"]] = current
    return [_closed(entry, stopped) for entry in opened]


def _find(current: _Open | None, name: str, enclosing: Mapping[int, _Open | None]) -> _Open | None:
    """The open visit of that name: this one, or one that encloses it (a Map's or Parallel's end)."""
    while current is not None and current.visit.state != name:
        current = enclosing.get(id(current))
    return current


def _leave(entry: _Open, when: datetime, output: str | None) -> None:
    caught = bool(entry.attempts) and entry.attempts[-1].failed
    entry.visit = replace(entry.visit, exited=when, output=output, status="CAUGHT" if caught else "SUCCEEDED")


def _note(entry: _Open, event: Mapping[str, Any]) -> None:
    kind, when = event["type"], event["timestamp"]
    if kind.startswith(("Execution", "MapIteration", "ParallelStateS", "MapStateS", "MapRunS")):
        return
    if kind.endswith("Scheduled") or kind == "EvaluationFailed":
        entry.start(when, _details(event).get("parameters"))
    if kind.endswith("Succeeded"):
        entry.end(when, output=_details(event).get("output"))
    elif kind.endswith(FAILURES) or kind == "EvaluationFailed":
        error, cause = _error(event)
        entry.end(when, error=error, cause=cause)


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((value for key, value in event.items() if key.endswith("EventDetails")), {})


def _error(event: Mapping[str, Any]) -> tuple[str, str | None]:
    """Error and cause of a failure; what kind of end it was where AWS names no error."""
    kind, details = event["type"], _details(event)
    default = "States.TaskFailed"
    if kind.endswith(("TimedOut", "Aborted")):
        default = "States.Timeout" if kind.endswith("TimedOut") else "Aborted"
    return details.get("error") or default, details.get("cause")


def _closed(entry: _Open, stopped: datetime | None) -> Visit:
    """The visit as it stands at the end: what was never left either runs, or ended the execution."""
    visit = replace(entry.visit, attempts=tuple(entry.attempts))
    if visit.exited is not None or stopped is None:
        return visit
    ended = entry.attempts[-1].ended if entry.attempts else None
    return replace(visit, status="FAILED", exited=ended or stopped)
