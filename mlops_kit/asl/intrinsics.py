"""The 18 intrinsic functions and their parser; must not know any state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def evaluate(
    expression: str, data: Any, context: Mapping[str, Any] | None = None, variables: Mapping[str, Any] | None = None
) -> Any:
    """The value of ``States.Name(...)``.

    Raises
    ------
    StatesError
        ``States.IntrinsicFailure`` with AWS's words.
    """
    raise NotImplementedError


def check(expression: str) -> str | None:
    """What is wrong with an intrinsic's text, or ``None``."""
    raise NotImplementedError
