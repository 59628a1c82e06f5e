"""CloudFormation types whose services are ours (Step Functions, SageMaker, Glue jobs) or that ministack drops
properties of (schedules): each is defined in terms of calls to the port.

Runs on worker threads only: the calls would wait for the loop that makes them. Must not know ministack
beyond the handler table that it fills. Source of names, attributes and update behaviour: "Template
reference" of the AWS CloudFormation User Guide.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.local import wire
from mlops_kit.local.coercion import fit
from mlops_kit.local.corrections.interrupted import resuming

Properties = Mapping[str, Any]
Made = tuple[str, dict[str, str]]  # physical id (what Ref gives), attributes (what Fn::GetAtt gives)

_PATIENCE = 900.0  # real seconds for an endpoint, or for a state machine's executions to end
_GONE = re.compile(r"NotFound|DoesNotExist|Could not find|does not exist", re.IGNORECASE)
_THERE = re.compile(r"already ?exist", re.IGNORECASE)
_CODES = (
    (re.compile(r"NotFound|DoesNotExist"), "NotFound"),
    (re.compile(r"AlreadyExists|Conflict|InUse"), "AlreadyExists"),
    (re.compile(r"LimitExceeded"), "ServiceLimitExceeded"),
    (re.compile(r"AccessDenied"), "AccessDenied"),
    (re.compile(r"Throttling"), "Throttling"),
)


@dataclass(frozen=True)
class Calls:
    """Calls to the port in a resource handler's words.

    Attributes
    ----------
    client : callable
        ``client(service)``: a botocore client of the port for the region of the stack.
    name : callable
        ``name(stack, logical_id, longest)``: the physical name of a resource without one.
    """

    client: Callable[[str], Any]
    name: Callable[[str, str, int], str]

    def __call__(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        """Call an operation; parameters that are None are left out.

        Raises
        ------
        ValueError
            The service refused, in the words of a resource handler.
        """
        from botocore.exceptions import ClientError, ParamValidationError

        method = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
        given = {key: value for key, value in params.items() if value is not None}
        try:
            answer: dict[str, Any] = getattr(self.client(service), method)(**given)
        except ParamValidationError as error:
            raise ValueError(f"Properties validation failed: {error}") from error
        except ClientError as error:
            raise ValueError(_handler_message(service, error)) from error
        return answer

    def forgiving(self, service: str, operation: str, **params: Any) -> None:
        """Call an operation that removes something; that it is gone already is as good."""
        try:
            self(service, operation, **params)
        except ValueError as error:
            if not _GONE.search(str(error)):
                raise

    def fit(self, service: str, operation: str, props: Properties) -> dict[str, Any]:
        """Properties as the parameters of an operation: only what it takes, in its spelling and types."""
        shape = wire.model(service).operation_model(operation).input_shape
        members = {name.lower(): name for name in shape.members}
        chosen = {members[key.lower()]: value for key, value in props.items() if key.lower() in members}
        params: dict[str, Any] = fit(shape, chosen)
        return params


@dataclass(frozen=True)
class ResourceType:
    """How CloudFormation makes, changes and removes one type.

    Attributes
    ----------
    create : callable
        ``(calls, name, props) -> Made``; ``name`` is given or generated.
    delete : callable
        ``(calls, physical_id, props)``.
    update : callable or None
        ``(calls, physical_id, old, new) -> Made``; None when every property replaces.
    find : callable or None
        ``(calls, name) -> physical id`` of one that is there; None where creating it twice does no harm.
    name_property : str
        Where a template names the resource; empty when it has no name.
    longest : int
        Characters of a generated name.
    """

    create: Callable[[Calls, str, Properties], Made]
    delete: Callable[[Calls, str, Properties], None]
    update: Callable[[Calls, str, Properties, Properties], Made] | None = None
    name_property: str = ""
    longest: int = 63
    find: Callable[[Calls, str], str] | None = None


def handlers(calls: Calls) -> dict[str, dict[str, Any]]:
    """Our types in the form of ministack's handler table."""
    from mlops_kit.local import cloudformation_types

    return {name: _handler(calls, kind) for name, kind in cloudformation_types.TYPES.items()}


def _handler(calls: Calls, kind: ResourceType) -> dict[str, Any]:
    def create(logical_id: str, props: Properties, stack: str) -> Made:
        given = props.get(kind.name_property) if kind.name_property else None
        name = given or calls.name(stack, logical_id, kind.longest)
        try:
            return kind.create(calls, name, props)
        except ValueError as error:
            if not (kind.find and kind.update and resuming() and _THERE.search(str(error))):
                raise
            return kind.update(calls, kind.find(calls, name), {}, props)  # made just before the kill

    handler: dict[str, Any] = {"create": create, "delete": functools.partial(kind.delete, calls)}
    if kind.update is not None:
        change = functools.partial(kind.update, calls)
        handler["update"] = lambda physical_id, old, new, stack: change(physical_id, old, new)
    return handler


def tags(props: Properties) -> dict[str, str]:
    """Tags of a resource, without those that CloudFormation reserves for itself."""
    given = props.get("Tags") or []
    pairs = given.items() if isinstance(given, Mapping) else ((tag["Key"], tag["Value"]) for tag in given)
    return {str(key): str(value) for key, value in pairs if not str(key).startswith("aws:")}


def tag_changes(old: Properties, new: Properties) -> tuple[dict[str, str], list[str]]:
    """What to tag and which keys to untag."""
    before, after = tags(old), tags(new)
    return {k: v for k, v in after.items() if before.get(k) != v}, sorted(before.keys() - after.keys())


def wait_until(done: Callable[[], bool]) -> None:
    """Ask again and again, in real time.

    Raises
    ------
    ValueError
        It took too long.
    """
    deadline = time.monotonic() + _PATIENCE
    pause = 0.05
    while not done():
        if time.monotonic() > deadline:
            raise ValueError("Exceeded attempts to wait (HandlerErrorCode: NotStabilized)")
        time.sleep(pause)
        pause = min(1.0, pause * 1.5)


def substituted(definition: str, substitutions: Mapping[str, Any]) -> str:
    """A definition with ``${Name}`` replaced where the name is given; what comes in is not read again."""

    def replaced(match: re.Match[str]) -> str:
        value = substitutions.get(match[1])
        return match[0] if value is None else _text(value)

    return re.sub(r"\$\{([^}]+)\}", replaced, definition)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def _handler_message(service: str, error: Any) -> str:
    """Words as a resource handler reports a service's refusal."""
    code = error.response["Error"].get("Code", "")
    meta = error.response["ResponseMetadata"]
    status, request_id = meta.get("HTTPStatusCode"), meta.get("RequestId", "")
    kind = next((kind for pattern, kind in _CODES if pattern.search(code)), "InvalidRequest")
    message = error.response["Error"].get("Message", "")
    name = wire.model(service).metadata["serviceId"].replace(" ", "")
    return (
        f'Resource handler returned message: "{message} (Service: {name}, Status Code: {status}, '
        f'Request ID: {request_id})" (HandlerErrorCode: {kind})'
    )
