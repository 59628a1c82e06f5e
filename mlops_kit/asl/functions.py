"""What each of the 18 intrinsic functions computes, with AWS's limits; must not parse any text.

Source: "Intrinsic functions for JSONPath states in Step Functions" (AWS developer guide).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import random
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl import jackson
from mlops_kit.asl.jsontext import compact, same

MAX_ITEMS = 1000
MAX_CHARACTERS = 10_000
INT_RANGE = range(-(2**31), 2**31)
ALGORITHMS = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
ANY_NUMBER = 10_000


class FunctionError(ValueError):
    """An argument has the wrong type or is beyond a limit."""


@dataclass(frozen=True)
class Function:
    """An intrinsic function.

    Attributes
    ----------
    apply : callable
        Takes the arguments' values.
    least, most : int
        Number of arguments.
    """

    apply: Callable[..., Any]
    least: int
    most: int

    @property
    def arity(self) -> str:
        """Number of arguments, in words."""
        if self.most == ANY_NUMBER:
            return f"{self.least} or more arguments" if self.least else "any number of arguments"
        noun = "argument" if self.most == 1 else "arguments"
        return f"{self.least} {noun}" if self.least == self.most else f"{self.least} to {self.most} {noun}"


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FunctionError(f"Argument must be an array, but was: {compact(value)}")
    return value


def _text(value: Any, limit: int | None = None) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"Argument must be a string, but was: {compact(value)}")
    if limit is not None and len(value) > limit:
        raise FunctionError(f"Argument must have at most {limit} characters, but has {len(value)}")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FunctionError(f"Argument must be a number, but was: {compact(value)}")
    return value


def _integer(value: Any) -> int:
    """AWS rounds a half up, towards positive infinity (-1.5 gives -1)."""
    number = math.floor(_number(value) + 0.5)
    if number not in INT_RANGE:
        raise FunctionError(f"Argument must be between {INT_RANGE[0]} and {INT_RANGE[-1]}, but was: {value}")
    return number


def _java(value: Any) -> str:
    """A value as States.Format shows it: JSON, but objects and arrays as Java prints maps and lists."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_java, value)) + "]"
    return compact(value)


def _format(template: Any, *values: Any) -> str:
    parts = re.split(r"(\\.|\{\})", _text(template))
    wanted = parts.count("{}")
    if wanted != len(values):
        raise FunctionError(
            f"The template has {wanted} occurrences of '{{}}', but there are {len(values)} arguments"
        )
    rest = iter(values)
    return "".join(
        _java(next(rest)) if part == "{}" else part[1:] if part.startswith("\\") else part for part in parts
    )


def _string_to_json(text: Any) -> Any:
    if not _text(text).strip():
        return None
    try:
        return json.loads(text, parse_constant=jackson.no_constant, parse_float=jackson.finite)
    except ValueError as error:
        raise FunctionError(f"Invalid JSON: {jackson.words(text)}") from error


def _partition(array: Any, size: Any) -> list[Any]:
    items, count = _array(array), _integer(size)
    if count < 1:
        raise FunctionError(f"The chunk size must be a positive integer, but was: {compact(size)}")
    return [items[i : i + count] for i in range(0, len(items), count)]


def _range(first: Any, last: Any, step: Any) -> list[int]:
    start, end, by = _integer(first), _integer(last), _integer(step)
    if by == 0:
        raise FunctionError("The step must not be zero")
    numbers = range(start, end + (1 if by > 0 else -1), by)
    if len(numbers) > MAX_ITEMS:
        raise FunctionError(f"The array would have more than {MAX_ITEMS} items")
    return list(numbers)


def _item(array: Any, index: Any) -> Any:
    items, place = _array(array), _integer(index)
    if not 0 <= place < len(items):
        raise FunctionError(f"The index {place} is outside the array of {len(items)} items")
    return items[place]


def _unique(array: Any) -> list[Any]:
    found: list[Any] = []
    for item in _array(array):
        if not any(same(item, other) for other in found):
            found.append(item)
    return found


def _encode(text: Any) -> str:
    return base64.b64encode(_text(text, MAX_CHARACTERS).encode()).decode()


def _decode(text: Any) -> str:
    try:
        return base64.b64decode(_text(text, MAX_CHARACTERS), validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise FunctionError(f"Invalid Base64: {error}") from error


def _hash(data: Any, algorithm: Any) -> str:
    text = _text(data if isinstance(data, str) else compact(data), MAX_CHARACTERS)
    if algorithm not in ALGORITHMS:
        raise FunctionError(
            f"The algorithm must be one of {', '.join(ALGORITHMS)}, but was: {compact(algorithm)}"
        )
    return hashlib.new(ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def _merge(first: Any, second: Any, deep: Any) -> dict[str, Any]:
    if not isinstance(first, dict) or not isinstance(second, dict):
        raise FunctionError("The first and the second argument must be objects")
    if deep is not False:
        raise FunctionError("The third argument must be false: only shallow merging is supported")
    return {**first, **second}


def _random(start: Any, end: Any, seed: Any = None) -> int:
    low, high = _integer(start), _integer(end)
    if high <= low:
        raise FunctionError(f"The end {high} must be greater than the start {low}")
    source = random.Random() if seed is None else random.Random(_integer(seed))  # noqa: S311
    return source.randrange(low, high)


def _add(first: Any, second: Any) -> int:
    return _integer(_integer(first) + _integer(second))


def _split(text: Any, delimiters: Any) -> list[str]:
    marks = _text(delimiters)
    parts = re.split(f"[{re.escape(marks)}]", _text(text)) if marks else [text]
    found = [part for part in parts if part]
    if len(found) > MAX_ITEMS:
        raise FunctionError(f"The array would have more than {MAX_ITEMS} items")
    return found


FUNCTIONS = {
    "States.Format": Function(_format, 1, ANY_NUMBER),
    "States.StringToJson": Function(_string_to_json, 1, 1),
    "States.JsonToString": Function(compact, 1, 1),
    "States.Array": Function(lambda *items: list(items), 0, ANY_NUMBER),
    "States.ArrayPartition": Function(_partition, 2, 2),
    "States.ArrayContains": Function(
        lambda array, value: any(same(item, value) for item in _array(array)), 2, 2
    ),
    "States.ArrayRange": Function(_range, 3, 3),
    "States.ArrayGetItem": Function(_item, 2, 2),
    "States.ArrayLength": Function(lambda array: len(_array(array)), 1, 1),
    "States.ArrayUnique": Function(_unique, 1, 1),
    "States.Base64Encode": Function(_encode, 1, 1),
    "States.Base64Decode": Function(_decode, 1, 1),
    "States.Hash": Function(_hash, 2, 2),
    "States.JsonMerge": Function(_merge, 3, 3),
    "States.MathRandom": Function(_random, 2, 3),
    "States.MathAdd": Function(_add, 2, 2),
    "States.StringSplit": Function(_split, 2, 2),
    "States.UUID": Function(lambda: str(uuid.uuid4()), 0, 0),
}
