"""Payload templates (Parameters, ResultSelector, ItemSelector, Assign) in JSONPath states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def render(
    template: Any, data: Any, context: Mapping[str, Any] | None = None, variables: Mapping[str, Any] | None = None
) -> Any:
    """A copy of the template with each ``"key.$"`` replaced by what its path or intrinsic gives.

    Raises
    ------
    StatesError
        A path finds nothing ("The JSONPath '$.x' specified for the field 'key.$' could not be found in the
        input '...'"), or an intrinsic fails.
    """
    raise NotImplementedError
