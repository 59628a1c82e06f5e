"""The functions that Step Functions adds to JSONata; must not evaluate expressions.

Source: "Transforming data with JSONata in Step Functions" (AWS developer guide) and AWS's own answers.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

ALGORITHMS = {"SHA-1": "sha1", "SHA-384": "sha384", "SHA-256": "sha256", "SHA-512": "sha512", "MD5": "md5"}
MAX_RANGE = 360_145


class ExpressionError(Exception):
    """An expression fails; the message begins with JSONata's code."""


def partition(*arguments: Any) -> Any:
    """``$partition(array, size)``: the array in pieces; nothing for a missing or empty array."""
    array, size = _arguments("partition", arguments, 2)
    if array is None:
        return None
    if not isinstance(array, list):
        raise ExpressionError('T0412: Argument 1 of function "partition" must be an array of undefined')
    if size is None:
        return [array] if array else None
    count = _whole("partition", 2, size)
    if count < 0:
        raise ExpressionError("D3137: Second argument must be zero or greater")
    return [array[i : i + count] for i in range(0, len(array), count)] or None if count else None


def numbers(*arguments: Any) -> Any:
    """``$range(first, last, step)``: numbers, the last included; a single number stands alone."""
    first, last, step = _arguments("range", arguments, 3)
    start, end = _whole("range", 1, first), _whole("range", 2, last)
    by = 0 if step is None else _whole("range", 3, step)
    if by == 0:
        return None
    found = range(start, end + (1 if by > 0 else -1), by)
    if len(found) > MAX_RANGE:
        raise ExpressionError("Expression evaluation memory limit exceeded: Check for excessive memory usage")
    return found[0] if len(found) == 1 else list(found) or None


def digest(*arguments: Any) -> Any:
    """``$hash(text, algorithm)``: hexadecimal digest."""
    text, algorithm = _arguments("hash", arguments, 2)
    if not isinstance(text, str):
        raise _signature("hash", 1)
    if algorithm is None:
        return None
    if not isinstance(algorithm, str):
        raise _signature("hash", 2)
    if algorithm not in ALGORITHMS:
        raise ExpressionError(f"D3137: Hash algorithm '{algorithm}' must be one of {', '.join(ALGORITHMS)}")
    return hashlib.new(ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()


def drawn(*arguments: Any) -> float:
    """``$random([seed])``: a number in [0, 1); a seed gives what Java's ``Random`` gives."""
    (seed,) = _arguments("random", arguments, 1)
    if seed is None:
        return random.random()  # noqa: S311
    mask, step = (1 << 48) - 1, 0x5DEECE66D
    state = (_whole("random", 1, seed) ^ step) & mask
    state = (state * step + 0xB) & mask
    high = state >> 22
    state = (state * step + 0xB) & mask
    return ((high << 27) + (state >> 21)) / (1 << 53)


def identifier(*arguments: Any) -> str:
    """``$uuid()``: a random UUID (version 4)."""
    if arguments:
        raise _signature("uuid", 1)
    return str(uuid.uuid4())


def parsed(*arguments: Any) -> Any:
    """``$parse(text)``: the value of a JSON text."""
    (text,) = _arguments("parse", arguments, 1)
    if text is None:
        return None
    if not isinstance(text, str):
        raise _signature("parse", 1)
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique_keys, parse_float=_float)
    except (ValueError, RecursionError) as error:
        raise ExpressionError("D3137: Invalid JSON") from error
    return null() if value is None else value


def null() -> Any:
    """The library's mark for JSON null; its ``None`` means "nothing"."""
    from jsonata.utils import Utils

    return Utils.NULL_VALUE


def forbidden(*_arguments: Any) -> Any:
    """``$eval``, which AWS does not have."""
    raise ExpressionError("T1006: Attempted to invoke a non-function")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "partition": partition,
    "range": numbers,
    "hash": digest,
    "random": drawn,
    "uuid": identifier,
    "parse": parsed,
    "eval": forbidden,
}


def _arguments(name: str, given: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    if len(given) > most:
        raise _signature(name, most + 1)
    return given + (None,) * (most - len(given))


def _signature(name: str, index: int) -> ExpressionError:
    return ExpressionError(f'T0410: Argument {index} of function "{name}" does not match function signature')


def _whole(name: str, index: int, value: Any) -> int:
    """AWS cuts towards zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _signature(name, index)
    return int(value)


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _float(text: str) -> int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value
