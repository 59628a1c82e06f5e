"""Start an execution with a checked input, wait for it state by state, stop it; must not keep history.

Event types and quotas: AWS Step Functions API Reference, "HistoryEvent"; Developer Guide, "Service quotas".
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from mlops_kit.deploy.aws import Session
from mlops_kit.errors import KitError, UsageError

INPUT_LIMIT = 262_144  # bytes of UTF-8
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_FAILED = ("Failed", "TimedOut")


@dataclass(frozen=True)
class Change:
    """Something that happened to a state.

    Attributes
    ----------
    what : {"entered", "failed", "left"}
        A failed state may be retried, or caught; a state that is left is done, with an error where a Catch
        took over.
    state, kind : str
        Its name and type, such as ``Task``.
    at : datetime
        When.
    seconds : float
        Since it was entered.
    error : str or None
        Error name.
    """

    what: Literal["entered", "failed", "left"]
    state: str
    kind: str
    at: datetime
    seconds: float = 0.0
    error: str | None = None


Told = Callable[[Change], None]


def check_input(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Check an input against a pipeline's JSON Schema.

    The schema may hold a keyword of the kit's own, which other readers of it pass over:
    ``"before": {"train_start": ["train_end", "as_of"]}`` wants a day before the first of these that is given.

    Parameters
    ----------
    value : mapping
        The input; dates become ISO texts.
    schema : mapping
        JSON Schema.

    Returns
    -------
    str
        The input as JSON.

    Raises
    ------
    UsageError
        Names the field that is wrong; or the input is no JSON, or over 262,144 bytes.
    """
    import fastjsonschema

    try:
        text = json.dumps(value, default=_as_text, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise UsageError("The input cannot be written as JSON.", cause=str(error)) from None
    if len(text.encode()) > INPUT_LIMIT:
        raise UsageError(
            f"The input has {len(text.encode()):,} bytes; Step Functions takes {INPUT_LIMIT:,}.",
            suggestion="put the data into S3 and name its address.",
        )
    given = json.loads(text)
    try:
        fastjsonschema.compile(dict(schema), use_default=False)(given)
    except fastjsonschema.JsonSchemaValueException as error:
        raise _not_valid(error, schema) from None
    for first, others in schema.get("before", {}).items():
        last = next((name for name in others if name in given), None)
        if first in given and last and given[first] >= given[last][:10]:
            raise UsageError(
                f"The input's {first} is {given[first]}, which is not before its {last}, {given[last]}.",
                suggestion=f"give {first} an earlier day, or another {' or '.join(others)}.",
            )
    return text


def start(
    session: Session,
    state_machine_arn: str,
    input: Mapping[str, Any],
    schema: Mapping[str, Any],
    name: str | None = None,
) -> str:
    """Start an execution.

    Parameters
    ----------
    session : Session
        Where to.
    state_machine_arn : str
        What to execute.
    input : mapping
        Checked against the schema before anything starts.
    schema : mapping
        JSON Schema.
    name : str, optional
        Name of the execution, 1 to 80 characters; AWS gives one where it is missing, and gives back the one
        that runs under this name with the same input.

    Returns
    -------
    str
        The execution's ARN.

    Raises
    ------
    UsageError
        The input or the name is wrong, or the name is taken.
    KitError
        There is no such state machine.
    """
    from botocore.exceptions import ClientError

    text = check_input(input, schema)
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be an execution's name.",
            suggestion='use 1 to 80 characters without spaces and without <>{}[]?*"#%\\^|~`$&,;:/',
        )
    request = {"stateMachineArn": state_machine_arn, "input": text} | ({} if name is None else {"name": name})
    try:
        return str(session.client("stepfunctions").start_execution(**request)["executionArn"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ExecutionAlreadyExists":
            raise UsageError(
                f"An execution named {name!r} exists already: with another input, or it has ended.",
                suggestion="give another --name, or none; AWS keeps a name for 90 days after the end.",
            ) from None
        if code in ("StateMachineDoesNotExist", "StateMachineDeleting"):
            machine = state_machine_arn.rpartition(":")[2]
            raise KitError(
                f"There is no state machine {machine}.", suggestion="make it: mlops-kit apply PIPELINE"
            ) from None
        raise


def wait(session: Session, arn: str, on_change: Told | None = None) -> dict[str, Any]:
    """Wait until an execution has ended.

    Parameters
    ----------
    session : Session
        Where it runs.
    arn : str
        The execution.
    on_change : callable, optional
        Called with each Change as it is seen.

    Returns
    -------
    dict
        DescribeExecution's answer.

    Raises
    ------
    KeyboardInterrupt
        Interrupted: the execution goes on; carries the command that stops it.
    """
    client, feed = session.client("stepfunctions"), _Feed()
    try:
        while True:
            answer = client.describe_execution(executionArn=arn)
            for change in feed.read(client, arn):
                if on_change:
                    on_change(change)
            if answer["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                return dict(answer)
            time.sleep(0.2 if session.settings.target == "local" else 3)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"The execution goes on. To stop it: mlops-kit stop {arn}") from None


def await_start(
    session: Session, state_machine_arn: str, given: Mapping[str, Any], since: datetime, patience: float
) -> str | None:
    """Wait until something else has started an execution.

    Parameters
    ----------
    session : Session
        Where.
    state_machine_arn : str
        Of what.
    given : mapping
        What its input must hold; of a mapping in it, what that must hold.
    since : datetime
        Older executions are not looked at.
    patience : float
        Seconds.

    Returns
    -------
    str or None
        The execution's ARN; ``None`` when there is none in time.
    """
    client, pause = session.client("stepfunctions"), 0.2 if session.settings.target == "local" else 3
    deadline, seen = time.monotonic() + patience, set[str]()
    while True:
        for one in client.list_executions(stateMachineArn=state_machine_arn, maxResults=100)["executions"]:
            arn = one["executionArn"]
            if one["startDate"] >= since and arn not in seen:
                seen.add(arn)
                if _holds(json.loads(client.describe_execution(executionArn=arn)["input"]), given):
                    return str(arn)
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)


def stop(session: Session, arn: str, cause: str = "Stopped by a person.") -> str:
    """Stop an execution.

    Returns
    -------
    str
        Its status afterwards; one that had ended before keeps its status.

    Raises
    ------
    UsageError
        There is no such execution.
    """
    client = session.client("stepfunctions")
    arn = find(session, arn)
    if client.describe_execution(executionArn=arn)["status"] == "RUNNING":
        client.stop_execution(executionArn=arn, error="MlopsKit.Stopped", cause=cause)
    return str(client.describe_execution(executionArn=arn)["status"])


def find(session: Session, execution: str) -> str:
    """The ARN of an execution that is given by ARN or by name.

    Raises
    ------
    UsageError
        No state machine of the project has such an execution.
    """
    from botocore.exceptions import ClientError

    client = session.client("stepfunctions")
    for arn in [execution] if ":execution:" in execution else _candidates(session, execution):
        try:
            client.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] not in (
                "ExecutionDoesNotExist",
                "InvalidArn",
                "ValidationException",
            ):
                raise
        else:
            return arn
    raise UsageError(
        f"The project {session.settings.project!r} has no execution {execution}.",
        suggestion="take a name or an ARN from: mlops-kit history",
    )


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(value, dict) and all(_holds(value.get(key), one) for key, one in wanted.items())
    return bool(value == wanted)


def _candidates(session: Session, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        return
    for page in session.client("stepfunctions").get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            if machine["name"].startswith(f"{session.settings.project}-"):
                yield machine["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{name}"


@dataclass
class _Feed:
    """Reads a growing history without reading its full pages twice."""

    token: str | None = None
    last: int = 0
    entered: dict[int, tuple[str, str, datetime]] = field(default_factory=dict)  # event id: its state
    failed: dict[str, str] = field(default_factory=dict)  # state: error of its last try

    def read(self, client: Any, arn: str) -> Iterator[Change]:
        """What is new since the last time."""
        while True:
            request = {"executionArn": arn, "maxResults": 1000, "includeExecutionData": False}
            page = client.get_execution_history(
                **request, **({"nextToken": self.token} if self.token else {})
            )
            for event in page["events"]:
                if event["id"] > self.last:
                    self.last = event["id"]
                    yield from self._changes(event)
            if not page.get("nextToken"):
                return
            self.token = page["nextToken"]

    def _changes(self, event: Mapping[str, Any]) -> Iterator[Change]:
        kind, when = event["type"], event["timestamp"]
        current = self.entered.get(event.get("previousEventId", 0))
        if kind.endswith("StateEntered"):
            current = (event["stateEnteredEventDetails"]["name"], kind.removesuffix("StateEntered"), when)
            yield Change("entered", *current)
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            started = next((e for e in reversed(self.entered.values()) if e[0] == name), None)
            seconds = (when - started[2]).total_seconds() if started else 0.0
            error = self.failed.pop(name, None)
            yield Change("left", name, kind.removesuffix("StateExited"), when, seconds, error)
        elif current and kind.endswith(_FAILED) and not kind.startswith("Execution"):
            details: Mapping[str, Any] = next((v for k, v in event.items() if k.endswith("EventDetails")), {})
            seconds = (when - current[2]).total_seconds()
            error = self.failed[current[0]] = details.get("error") or "States.Timeout"
            yield Change("failed", current[0], current[1], when, seconds, error)
        elif current and kind.endswith("Succeeded"):
            self.failed.pop(current[0], None)
        if current:
            self.entered[event["id"]] = current


def _as_text(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} {value!r} is no JSON value")


def _not_valid(error: Any, schema: Mapping[str, Any]) -> UsageError:
    """fastjsonschema's complaint, about the input's field instead of its own ``data``."""
    place = ".".join(str(part) for part in error.path[1:])
    words = error.message.removeprefix(error.name).strip()
    properties: Mapping[str, Any] = schema.get("properties", {})
    described = properties.get(str(error.path[1]), {}).get("description") if len(error.path) > 1 else None
    if error.rule == "additionalProperties":
        unknown = sorted(set(error.value) - set(error.definition.get("properties", {})))
        known = ", ".join(error.definition.get("properties", {})) or "none"
        return UsageError(
            f"The input has an unknown field {place + '.' if place else ''}{unknown[0]}.",
            suggestion=f"fields are: {known}.",
        )
    if error.rule == "required":
        missing = [name for name in error.rule_definition if name not in error.value]
        return UsageError(
            f"The input lacks the field {place + '.' if place else ''}{missing[0]}.", suggestion="add it."
        )
    if error.rule == "pattern" and described:  # which says more than a pattern
        return UsageError(f"The input's {place} cannot be {json.dumps(error.value)}.", suggestion=described)
    return UsageError(
        f"The input's {place} is {json.dumps(error.value)}: it {words}." if place else f"The input {words}.",
        suggestion=described,
    )
