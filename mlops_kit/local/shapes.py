"""Values by botocore's shapes: from JSON, checked as AWS checks them, and back; must not know HTTP.

Sources: the service models that botocore ships; AWS's words for a broken constraint as its services answer
them ("N validation errors detected: Value ... at '...' failed to satisfy constraint: ...").
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from mlops_kit.local.service import AwsError

_JSON_NAMES = {str: "STRING_VALUE", bool: "BOOLEAN_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE"}
_TARGET_NAMES = {"string": "String", "integer": "Integer", "long": "Long", "boolean": "Boolean"}


def parse(shape: Any, value: Any) -> Any:
    """A JSON value as Python by its shape: blobs as bytes, timestamps as aware datetimes.

    Unknown members are dropped and nulls are absent, as AWS's JSON services read them.

    Raises
    ------
    AwsError
        ``SerializationException`` when the JSON type does not fit.
    """
    kind = shape.type_name
    if kind == "structure":
        return _parse_structure(shape, value)
    if kind == "list":
        _expect(value, list, "START_ARRAY")
        return [parse(shape.member, item) for item in value if item is not None]
    if kind == "map":
        _expect(value, dict, "START_OBJECT")
        return {str(key): parse(shape.value, item) for key, item in value.items() if item is not None}
    return _parse_scalar(shape, value)


def serialise(shape: Any, value: Any) -> Any:
    """A Python value as JSON by its shape; what is None, and what the shape does not have, is left out."""
    return _writer(shape)(value)


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": bool,
}


@functools.cache
def _writer(shape: Any) -> Callable[[Any], Any]:
    """What writes values of a shape, made once: a page of history has thousands of them."""
    kind = shape.type_name
    if kind == "structure":
        return _structure_writer(shape)
    if kind == "list":
        return lambda value: [*map(_writer(shape.member), value)]
    if kind == "map":
        return lambda value: {k: _writer(shape.value)(item) for k, item in value.items() if item is not None}
    if kind == "timestamp":
        return functools.partial(_timestamp, shape.serialization.get("timestampFormat") == "iso8601")
    if kind == "blob":
        return lambda value: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
    return _SCALARS.get(kind, str)


def _structure_writer(shape: Any) -> Callable[[Any], Any]:
    if getattr(shape, "is_document_type", False):
        return lambda value: value
    members = shape.members
    known: dict[str, tuple[str, Callable[[Any], Any]]] = {}  # filled as they come: shapes may be recursive

    def write(value: Any) -> dict[str, Any]:
        answer = {}
        for name, item in value.items():
            if item is None or name not in members:
                continue
            if name not in known:
                known[name] = members[name].serialization.get("name", name), _writer(members[name])
            wire_name, write_member = known[name]
            answer[wire_name] = write_member(item)
        return answer

    return write


def check(shape: Any, params: dict[str, Any], code: str = "ValidationException") -> None:
    """Refuse parameters that break the model's constraints.

    Raises
    ------
    AwsError
        Of that code, with all broken constraints in AWS's words.
    """
    problems = list(_structure_problems(shape, params, ""))
    if problems:
        errors = "error" if len(problems) == 1 else "errors"
        raise AwsError(code, f"{len(problems)} validation {errors} detected: {'; '.join(problems)}")


def _parse_structure(shape: Any, value: Any) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    _expect(value, dict, "START_OBJECT")
    parsed = {}
    for name, member in shape.members.items():
        item = value.get(member.serialization.get("name", name))
        if item is not None:
            parsed[name] = parse(member, item)
    return parsed


def _parse_scalar(shape: Any, value: Any) -> Any:
    kind = shape.type_name
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("integer", "long") and number and float(value).is_integer():
        return int(value)
    if kind in ("float", "double"):
        if number:
            return float(value)
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind in ("string", "character") and isinstance(value, str):
        return value
    if kind == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise AwsError("SerializationException", "Invalid base64 in a blob member") from error
    if kind == "timestamp":
        return parse_timestamp(value)
    raise AwsError(
        "SerializationException",
        f"{_json_name(value)} can not be converted to {_TARGET_NAMES.get(kind, kind.capitalize())}",
    )


def parse_timestamp(value: Any) -> datetime:
    """Epoch seconds, ISO 8601 or an HTTP date as an aware datetime.

    Raises
    ------
    AwsError
        ``SerializationException`` when it is none of these.
    """
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        iso = value[:1].isdigit()
        moment = datetime.fromisoformat(value) if iso else parsedate_to_datetime(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError) as error:
        raise AwsError("SerializationException", f"{value!r} can not be converted to a timestamp") from error


def _timestamp(iso: bool, value: Any) -> float | str:
    epoch = value.timestamp() if isinstance(value, datetime) else float(value)
    if iso:
        moment = datetime.fromtimestamp(epoch, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return round(epoch, 3)


def _expect(value: Any, kind: type, wanted: str) -> None:
    if not isinstance(value, kind):
        raise AwsError("SerializationException", f"Unexpected {_json_name(value)}, expected {wanted}")


def _json_name(value: Any) -> str:
    if isinstance(value, list):
        return "START_ARRAY"
    return _JSON_NAMES.get(type(value), "START_OBJECT")


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure_problems(shape, value, path)
    elif kind == "list":
        yield from _length_problems(shape, value, path)
        for index, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{index}.member")
    elif kind == "map":
        yield from _length_problems(shape, value, path)
        for key, item in value.items():
            yield from _problems(shape.key, key, f"{path}.{key}.key")
            yield from _problems(shape.value, item, f"{path}.{key}.member")
    elif kind == "string":
        yield from _string_problems(shape, value, path)
    elif kind == "blob":
        yield from _length_problems(shape, value, path)
    elif kind in ("integer", "long", "float", "double"):
        yield from _range_problems(shape, value, path)


def _structure_problems(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    if getattr(shape, "is_document_type", False):
        return
    for name, member in shape.members.items():
        where = f"{path}.{_lower(name)}" if path else _lower(name)
        if name in value:
            yield from _problems(member, value[name], where)
        elif name in shape.required_members:
            yield _broken("null", where, "Member must not be null")


def _string_problems(shape: Any, value: str, path: str) -> Iterator[str]:
    yield from _length_problems(shape, value, path)
    if shape.enum and value not in shape.enum:
        yield _broken(f"'{value}'", path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    compiled = _compile(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield _broken(f"'{value}'", path, f"Member must satisfy regular expression pattern: {pattern}")


def _length_problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _broken(_shown(value), path, f"Member must have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _broken(_shown(value), path, f"Member must have length less than or equal to {high}")


def _range_problems(shape: Any, value: float, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _broken(f"'{value}'", path, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _broken(f"'{value}'", path, f"Member must have value less than or equal to {high}")


def _broken(value: str, path: str, constraint: str) -> str:
    return f"Value {value} at '{path}' failed to satisfy constraint: {constraint}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "'[" + ", ".join(str(item) for item in value) + "]'"
    if isinstance(value, dict):
        return "'{" + ", ".join(f"{key}={item}" for key, item in value.items()) + "}'"
    return "'java.nio.HeapByteBuffer'" if isinstance(value, bytes) else f"'{value}'"


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


_JAVA_CLASSES = {
    "L": r"\w",
    "N": r"\w",
    "Z": r"\s",
    "IsAlphabetic": "a-zA-Z",
    "Alnum": "a-zA-Z0-9",
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
}


@functools.cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """AWS's (Java) pattern for Python; None when Python cannot say it, which then is not checked."""
    text = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")  # UTF-16 in Java
    parts = re.split(r"(\\.(?:\{\w+\})?|\[|\])", text.replace(r"\z", r"\Z"))
    inside = False
    for index, part in enumerate(parts):
        inside = part == "[" or (inside and part != "]")
        name = re.fullmatch(r"\\p\{(\w+)\}", part)
        if name:
            known = _JAVA_CLASSES.get(name[1], _JAVA_CLASSES.get(name[1][:1], part))
            parts[index] = known if inside else f"[{known}]"
    try:
        return re.compile("".join(parts))
    except re.error:
        return None
