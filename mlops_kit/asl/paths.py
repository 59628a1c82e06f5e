"""JSONPath in the Jayway dialect that AWS uses: read, write, check; must not know any state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def read(
    path: str, data: Any, context: Mapping[str, Any] | None = None, variables: Mapping[str, Any] | None = None
) -> Any:
    """What a path selects. ``$.x`` reads the data, ``$$.x`` the context object, ``$name.x`` a variable.

    A definite path gives one value; an indefinite one (wildcard, slice, filter, descent) a list.

    Raises
    ------
    PathError
        A definite path finds nothing ("Invalid path '$.x' : No results for path: $['x']").
    """
    raise NotImplementedError


def write(path: str | None, data: Any, value: Any) -> Any:
    """A copy of the data with the value put where a reference path (ResultPath) points; ``None`` keeps the data.

    Raises
    ------
    StatesError
        ``States.ResultPathMatchFailure`` where the path leads through something that is no object or array.
    """
    raise NotImplementedError


def is_reference_path(path: str) -> bool:
    """Whether a path names exactly one place by names and indexes only."""
    raise NotImplementedError


def check(path: str) -> str | None:
    """What is wrong with a path's text, or ``None``."""
    raise NotImplementedError
