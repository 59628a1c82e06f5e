"""A template's values in the types of an API: CloudFormation takes "5" for 5 and true for "true".

Must not know a resource type.
"""

from __future__ import annotations

import json
from typing import Any


def fit(shape: Any, value: Any) -> Any:
    """A value as botocore's shape has it; member names are matched whatever their case.

    Raises
    ------
    ValueError
        A member that the shape does not have, or a value that cannot be of its type.
    """
    match shape.type_name:
        case "structure":
            return _structure(shape, value)
        case "list":
            items = value if isinstance(value, list) else [value]
            return [fit(shape.member, item) for item in items]
        case "map":
            return {str(key): fit(shape.value, item) for key, item in _mapping(value).items()}
        case "string":
            return _text(value)
        case "integer" | "long":
            return _number(int, value)
        case "float" | "double":
            return _number(float, value)
        case "boolean":
            return str(value).lower() == "true"
        case _:
            return value


def _structure(shape: Any, value: Any) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    members = {name.lower(): name for name in shape.members}
    fitted = {}
    for key, item in _mapping(value).items():
        name = members.get(str(key).lower())
        if name is None:
            raise ValueError(f"Encountered unsupported property {key}")
        fitted[name] = fit(shape.members[name], item)
    return fitted


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"Value of property must be an object: {value}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


def _number(kind: type, value: Any) -> Any:
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Value of property must be a number: {value}") from error
