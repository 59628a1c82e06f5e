"""Choice rules of JSONPath states: whether one matches; must not choose the next state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def matches(
    rule: Mapping[str, Any],
    data: Any,
    context: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> bool:
    """Whether a rule (data test, ``And``, ``Or``, ``Not``) holds for the input.

    Raises
    ------
    StatesError
        ``States.Runtime`` when the Variable, or the path of a ``...Path`` operator, finds nothing.
    """
    raise NotImplementedError
