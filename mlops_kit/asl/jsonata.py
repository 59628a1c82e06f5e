"""JSONata as Step Functions evaluates it; must not let a library's exception through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def evaluate(
    value: Any, states: Mapping[str, Any], variables: Mapping[str, Any], field: str, expect: str | None = None
) -> Any:
    """A JSON value with every string ``{% ... %}`` in it replaced by the expression's result.

    Parameters
    ----------
    value : Any
        A field of a definition.
    states : mapping
        ``$states``: ``input``, ``context`` and, where they exist, ``result`` and ``errorOutput``.
    variables : mapping
        The workflow's variables, without ``$``.
    field : str
        Name for messages, such as ``Output`` or ``Assign``; nested keys are appended (``Assign/x``).
    expect : {"array", "boolean", "number", "integer", "string", "object"}, optional
        The type that the field takes.

    Raises
    ------
    StatesError
        ``States.QueryEvaluationError`` in AWS's words, with ``location``.
    """
    raise NotImplementedError


def check(expression: str) -> str | None:
    """What is wrong with a string ``{% ... %}``, or ``None``."""
    raise NotImplementedError


def is_expression(value: Any) -> bool:
    """Whether a value is a string that begins with ``{%`` and ends with ``%}``."""
    raise NotImplementedError
