"""What TestState takes instead of the world: mocked results, checked by the model, and context objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl import resources
from mlops_kit.asl.errors import StatesError
from mlops_kit.local.service import AwsError
from mlops_kit.local.stepfunctions import integrations
from mlops_kit.local.stepfunctions.docs import loads
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import names
from mlops_kit.local.stepfunctions.program import State

_MOCKABLE = ("Task", "Map", "Parallel")
_TEXT = {"Id": str, "Name": str, "RoleArn": str, "StartTime": str, "EnteredTime": str, "RedriveTime": str,
         "Token": str, "Source": str, "Key": str}  # fmt: skip
_CONTEXT: Mapping[str, tuple[str, ...]] = {
    "Execution": ("Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"),
    "State": ("EnteredTime", "Name", "RetryCount"),
    "StateMachine": ("Id", "Name"),
    "Task": ("Token",),
    "Map": ("Item",),
}


@dataclass(frozen=True)
class Mock:
    """A mocked result as text, or a mocked error."""

    result: str | None
    error: Mapping[str, str] | None


def _refused(words: str) -> AwsError:
    return AwsError("ValidationException", words)


def checked(params: Mapping[str, Any], state: State) -> Mock | None:
    """The request's mock, refused where AWS refuses it; None when there is none.

    Raises
    ------
    AwsError
        ValidationException, or InvalidDefinition for a state that needs a mock and has none.
    """
    mock = params.get("mock")
    if mock is None:
        if state.kind in ("Map", "Parallel"):
            raise AwsError(
                "InvalidDefinition",
                "TestState API does not support Map or Parallel states. Supported state types include: "
                "[Task, Wait, Pass, Succeed, Fail, Choice]",
            )
        _check_testable(state)
        return None
    result, error = mock.get("result"), mock.get("errorOutput")
    if result is not None and error is not None:
        raise _refused("A test mock should have only one of the following fields: [result, errorOutput].")
    if params.get("revealSecrets"):
        raise _refused("TestState does not support RevealSecrets when a mock is specified.")
    if state.kind not in _MOCKABLE:
        raise _refused(f"State type '{state.kind}' is not supported when a mock is specified")
    if result is not None:
        _check_result(result, state, mock.get("fieldValidationMode", "STRICT"))
    return Mock(result, error)


def _check_testable(state: State) -> None:
    """Refuse a Task whose work does not end with its call ("TestState", Step Functions Developer Guide)."""
    resource = resources.parse(str(state.spec.get("Resource"))) if state.kind == "Task" else None
    if resource is not None and (resource.kind == "activity" or resource.pattern):
        what = "activities" if resource.kind == "activity" else f"'{resource.pattern}' service integrations"
        raise AwsError("InvalidDefinition", f"TestState API does not support {what} without a mock")


def _check_result(text: str, state: State, mode: str) -> None:
    try:
        value = loads(text)
    except ValueError:
        raise _refused("Mocked result must be a valid JSON.") from None
    if state.kind == "Parallel":
        if not isinstance(value, list) or len(value) != len(state.branches):
            words = "Mocked result must contain the same number of items as number of Parallel branches."
            raise _refused(words)
    elif state.kind == "Map":
        if not isinstance(value, list) and "ResultWriter" not in state.spec:
            raise _refused("Mocked result must be an array.")
    elif mode != "NONE":
        _check_answer(value, state.spec["Resource"], strict=mode == "STRICT")


def _check_answer(value: Any, resource: str, strict: bool) -> None:
    try:
        target = integrations.resolve(resource)
    except (StateFailed, StatesError):
        return
    if target.kind != "service" or target.pattern:
        return
    service = names.botocore_service(target.service, target.sdk)
    operation = names.operation(service, target.action) if service else None
    if operation is not None and operation.output_shape is not None:
        free = ("Payload",) if target.service == "lambda" and target.action == "invoke" else ()
        _check(operation.output_shape, value, "Result", _Rules(strict, free))


@dataclass(frozen=True)
class _Rules:
    strict: bool
    free: tuple[str, ...]


def _wrong(field: str, words: str) -> AwsError:
    return _refused(f"Mock result schema validation error: Field '{field}' {words}")


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "must be a string"),
    "blob": (lambda value: isinstance(value, str), "must be a string"),
    "timestamp": (lambda value: isinstance(value, str), "must be a string"),
    "boolean": (lambda value: isinstance(value, bool), "must be a boolean"),
    "list": (lambda value: isinstance(value, list), "must be an array"),
    "structure": (lambda value: isinstance(value, dict), "must be an object"),
    "map": (lambda value: isinstance(value, dict), "must be an object"),
}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(shape: Any, value: Any, field: str, rules: _Rules) -> None:
    fits, words = _KINDS.get(shape.type_name, (_number, "must be a number"))
    if not fits(value):
        raise _wrong(field, words)
    if shape.type_name == "structure":
        _check_members(shape, value, rules)
    elif shape.type_name == "list":
        for item in value:
            _check(shape.member, item, field, rules)
    elif shape.type_name == "map":
        for item in value.values():
            _check(shape.value, item, field, rules)
    else:
        _check_limits(shape, value, field)


def _check_members(shape: Any, value: Mapping[str, Any], rules: _Rules) -> None:
    members = {names.pascal(name): member for name, member in shape.members.items()}
    if rules.strict:
        for name in shape.required_members:
            if names.pascal(name) not in value:
                words = (
                    f"Mock result schema validation error: Required field '{names.pascal(name)}' is missing"
                )
                raise _refused(words)
    for name, item in value.items():
        if name in members and name not in rules.free and item is not None:
            _check(members[name], item, name, rules)


def _check_limits(shape: Any, value: Any, field: str) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        raise _wrong(field, "is not an expected value")
    kind, size = ("length", len(value)) if isinstance(value, str) else ("value", value)
    if shape.type_name in ("boolean", "timestamp"):
        return
    if least is not None and size < least:
        raise _wrong(field, f"is smaller than the minimum {kind}")
    if most is not None and size > most:
        raise _wrong(field, f"exceeds the maximum {kind}")


def context(text: str | None) -> dict[str, Any]:
    """A context object that the caller gives.

    Raises
    ------
    AwsError
        ValidationException for what a context object cannot hold.
    """
    if not text:
        return {}
    try:
        value = loads(text)
    except ValueError:
        raise _refused("Invalid Context object provided: Context object must be a valid JSON") from None
    if not isinstance(value, dict):
        raise _refused("Invalid Context object provided: Context object must be a JSON object")
    for name, part in value.items():
        if name not in _CONTEXT:
            raise _refused(f"Invalid Context object provided: Field '{name}' is not allowed")
        if not isinstance(part, dict):
            raise _refused(f"Invalid Context object provided: {name} must be an object")
        for key, item in part.items():
            if key not in _CONTEXT[name]:
                raise _refused(f"Invalid Context object provided: Field '{key}' is not allowed")
            if key in _TEXT and not isinstance(item, str):
                raise _refused(f"Invalid Context object provided: {name}.{key} must be a string")
            if key in ("RedriveCount", "RetryCount") and not _number(item):
                raise _refused(f"Invalid Context object provided: {name}.{key} must be a number")
    return value
