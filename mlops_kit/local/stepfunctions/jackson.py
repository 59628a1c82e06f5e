"""What AWS's JSON parser says of text that is not JSON; used for inputs, never for definitions."""

from __future__ import annotations

import json
import re

_EXPECTING = "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def words(text: str) -> str:
    """The parser's first complaint, without the place where it met it."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return _words(error.msg, text[error.pos :])
    return "Invalid execution input."


def _words(problem: str, rest: str) -> str:
    if not rest.strip():
        return "Unexpected end-of-input: expected close marker"
    token = re.match(r"\w+", rest)
    if "property name" in problem:
        return f"{_unexpected(rest)}: was expecting double-quote to start field name"
    if "':' delimiter" in problem:
        return f"{_unexpected(rest)}: was expecting a colon to separate field name and value"
    if "',' delimiter" in problem:
        return f"{_unexpected(rest)}: was expecting comma to separate Object entries"
    if token:
        return f"Unrecognized token '{token[0]}': {_EXPECTING}"
    return f"{_unexpected(rest)}: expected a valid value {_EXPECTING.partition('expecting ')[2]}"


def _unexpected(rest: str) -> str:
    return f"Unexpected character ('{rest[0]}' (code {ord(rest[0])}))"
