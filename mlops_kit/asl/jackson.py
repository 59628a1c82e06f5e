"""What AWS's JSON parser (Jackson) says of text that is not JSON; must not know what the text is for."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def words(text: str) -> str:
    """The parser's first complaint, without the place where it met it; empty for what is JSON."""
    return complaint(text)[0]


def complaint(text: str) -> tuple[str, int]:
    """The parser's first complaint, and how many characters it had read by then.

    Returns
    -------
    tuple of str and int
        ``("", 0)`` for what is JSON.
    """
    try:
        json.loads(text, parse_constant=no_constant, parse_float=finite)
    except json.JSONDecodeError as error:
        return _words(error.msg, text, error.pos)
    except ValueError as error:  # NaN, Infinity, a number that is too long or too large
        return _words("", text, max(text.find(str(error)), 0))
    return "", 0


def no_constant(word: str) -> Any:
    """Refuse NaN and Infinity, which Python reads: a hook for ``parse_constant``."""
    raise ValueError(word)


def finite(text: str) -> float:
    """Read a number, and refuse one that is too large for JSON to be written again: ``parse_float``."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _words(problem: str, text: str, position: int) -> tuple[str, int]:
    rest = text[position:]
    if not rest.strip():
        return "Unexpected end-of-input: expected close marker", len(text)
    after = position + 1
    if "property name" in problem:
        return f"{_unexpected(rest)}: was expecting double-quote to start field name", after
    if "':' delimiter" in problem:
        return f"{_unexpected(rest)}: was expecting a colon to separate field name and value", after
    if "',' delimiter" in problem:
        return f"{_unexpected(rest)}: was expecting comma to separate Object entries", after
    token = re.match(r"[\w$]+", rest)
    if token and not token[0][0].isdigit():
        return f"Unrecognized token '{token[0]}': was expecting {_VALUE}", position + len(token[0])
    return f"{_unexpected(rest)}: expected a valid value {_VALUE}", after


def _unexpected(rest: str) -> str:
    return f"Unexpected character ('{rest[0]}' (code {ord(rest[0])}))"
