"""A definition's JSON text, read or refused in the words of AWS's parser; must not check its meaning."""

from __future__ import annotations

import json
from typing import Any

from mlops_kit.asl import jackson
from mlops_kit.asl.diagnostics import Diagnostic, error

_SHOWN = 500


class Unreadable(ValueError):
    """A text is no JSON."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def parse(text: str) -> tuple[Any, list[str]]:
    """The value of a JSON text, and names that stand twice in one of its ``States`` objects.

    Raises
    ------
    Unreadable
        The text is no JSON, or empty.
    """
    if not text.strip():
        raise Unreadable(error("MISSING_DESCRIPTION", "Received a null or empty workflow input"))
    repeated: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            names = [name for name, item in pairs if isinstance(item, dict) and "Type" in item]
            repeated.extend(sorted({name for name in names if names.count(name) > 1}))
        return value

    try:
        value = json.loads(
            text,
            object_pairs_hook=collect,
            parse_constant=jackson.no_constant,
            parse_float=jackson.finite,
        )
    except ValueError as problem:
        raise Unreadable(_refusal(text)) from problem
    except RecursionError as problem:
        raise Unreadable(error("TOO_DEEPLY_NESTED", "The states are too deeply nested")) from problem
    return value, repeated


def _refusal(text: str) -> Diagnostic:
    words, position = jackson.complaint(text)
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}[truncated {len(text) - _SHOWN} chars]"
    source = f'[Source: (String)"{shown}"; line: {line}, column: {column}]'
    return error("INVALID_JSON_DESCRIPTION", f"{words}\n at {source}", source)
