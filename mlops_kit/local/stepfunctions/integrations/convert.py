"""Arguments to botocore's members and answers back to Step Functions' members, by the model; calls nothing.

Step Functions spells every member in PascalCase, whatever the service's API does.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_kit.local.stepfunctions.docs import dumps
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations.names import pascal

_NUMBERS = {"integer": int, "long": int, "float": float, "double": float}


@functools.cache
def _members(shape: Any) -> dict[str, str]:
    return {pascal(name): name for name in shape.members}


def arguments(shape: Any, value: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a call from a Task's arguments; nulls are absent.

    Raises
    ------
    StateFailed
        States.Runtime for a member that the API does not have.
    """
    members, answer = _members(shape), {}
    for key, item in value.items():
        name = members.get(key)
        if name is None:
            words = f'The field "{key}" is not supported by Step Functions'
            raise StateFailed("States.Runtime", words, runtime=True)
        if item is not None:
            answer[name] = _argument(shape.members[name], item)
    return answer


def _argument(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return dict(value) if getattr(shape, "is_document_type", False) else arguments(shape, value)
    if kind == "list" and isinstance(value, list):
        return [_argument(shape.member, item) for item in value]
    if kind == "map" and isinstance(value, Mapping):
        return {key: _argument(shape.value, item) for key, item in value.items() if item is not None}
    if kind == "string":
        return value if isinstance(value, str) else dumps(value)
    if kind == "blob":
        return (value if isinstance(value, str) else dumps(value)).encode()
    if kind in _NUMBERS and isinstance(value, str):
        return _number(_NUMBERS[kind], value)
    if kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "boolean" and value in ("true", "false"):
        return value == "true"
    return value


def _number(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        return text


def missing(shape: Any, params: Mapping[str, Any]) -> list[str]:
    """Paths of required members that are absent, as AWS writes them in a validation error."""
    absent = [name for name in shape.required_members if name not in params]
    found = [name[:1].lower() + name[1:] for name in absent]
    for name, value in params.items():
        member = shape.members[name]
        if member.type_name == "structure" and isinstance(value, Mapping):
            if getattr(member, "is_document_type", False):
                continue
            found += [f"{name[:1].lower()}{name[1:]}.{path}" for path in missing(member, value)]
        elif member.type_name == "list" and member.member.type_name == "structure":
            for index, item in enumerate(value if isinstance(value, list) else ()):
                if isinstance(item, Mapping):
                    start = f"{name[:1].lower()}{name[1:]}.{index + 1}.member"
                    found += [f"{start}.{path}" for path in missing(member.member, item)]
    return found


def validation_words(paths: list[str]) -> str:
    """AWS's words for absent members."""
    count = f"{len(paths)} validation error{'s' if len(paths) > 1 else ''} detected: "
    return count + "; ".join(
        f"Value null at '{path}' failed to satisfy constraint: Member must not be null" for path in paths
    )


def answer(shape: Any, value: Mapping[str, Any], sdk: bool) -> dict[str, Any]:
    """An answer as the state machine sees it.

    Parameters
    ----------
    sdk : bool
        ``aws-sdk`` writes times as ISO text, an optimised integration as epoch milliseconds.
    """
    return {
        pascal(name): _value(shape.members[name], item, sdk)
        for name, item in value.items()
        if item is not None and shape is not None and name in shape.members
    }


def _value(shape: Any, value: Any, sdk: bool) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        return answer(shape, value, sdk)
    if kind == "list":
        return [_value(shape.member, item, sdk) for item in value]
    if kind == "map":
        return {key: _value(shape.value, item, sdk) for key, item in value.items()}
    if kind == "timestamp" and isinstance(value, datetime):
        return _time(value, sdk)
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes | bytearray):
        return _text(bytes(value))
    return value


def _time(value: datetime, sdk: bool) -> Any:
    if not sdk:
        return int(value.timestamp() * 1000)
    moment = value.astimezone(UTC)
    if not moment.microsecond:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
