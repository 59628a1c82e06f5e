"""JSON values beside their text, so that a value that did not change is never written twice; no AWS rules."""

from __future__ import annotations

import json
from typing import Any

from mlops_kit.asl import jackson

LIMIT = 262_144  # bytes of UTF-8 that a state's input or output may have (Step Functions service quotas)

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def dumps(value: Any) -> str:
    """Write a value as compact JSON text, as Step Functions does."""
    return _encode(value)


_decode = json.JSONDecoder(parse_constant=jackson.no_constant, parse_float=jackson.finite).decode


def loads(text: str) -> Any:
    """Read JSON text; NaN and Infinity are refused, and numbers that would become infinite.

    Raises
    ------
    ValueError
        The text is not JSON.
    """
    return _decode(text)


class Doc:
    """A JSON value and its text, each made from the other when first asked for.

    Nothing changes a value in place: a Doc may be shared by states, branches and events.
    """

    __slots__ = ("_text", "_value")
    _missing = object()

    def __init__(self, value: Any = _missing, text: str | None = None) -> None:
        self._value = value
        self._text = text

    @property
    def value(self) -> Any:
        """The parsed value."""
        if self._value is Doc._missing:
            self._value = loads(self._text or "null")
        return self._value

    @property
    def text(self) -> str:
        """The JSON text."""
        if self._text is None:
            self._text = _encode(self._value)
        return self._text

    @property
    def too_large(self) -> bool:
        """Whether the text exceeds the service's limit of 262,144 bytes."""
        text = self.text
        return len(text) > LIMIT // 4 and len(text.encode("utf-8", "surrogatepass")) > LIMIT


EMPTY = Doc({}, "{}")
