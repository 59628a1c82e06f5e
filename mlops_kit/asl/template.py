"""Payload templates of JSONPath states (Parameters, ResultSelector, Assign, ...); must not know any state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_kit.asl import intrinsics, paths
from mlops_kit.asl.errors import RUNTIME, PathError, StatesError
from mlops_kit.asl.jsontext import compact


def render(
    template: Any,
    data: Any,
    context: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Any:
    """A copy of the template with each ``"key.$"`` replaced by what its path or intrinsic gives.

    Raises
    ------
    StatesError
        A path finds nothing (``States.Runtime``: "The JSONPath '$.x' specified for the field 'key.$' could
        not be found in the input '...'"), or an intrinsic fails.
    """
    if isinstance(template, dict):
        return {
            (key[:-2] if key.endswith(".$") else key): (
                evaluate(value, data, context, variables, field=key)
                if key.endswith(".$")
                else render(value, data, context, variables)
            )
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [render(item, data, context, variables) for item in template]
    return template


def evaluate(
    expression: Any,
    data: Any,
    context: Mapping[str, Any] | None = None,
    variables: Mapping[str, Any] | None = None,
    *,
    field: str,
) -> Any:
    """The value of one path or intrinsic, for fields that take either (``key.$``, ``ErrorPath``, ...).

    Raises
    ------
    StatesError
        As for `render`; the field's name is in the words.
    """
    if isinstance(expression, str) and expression.startswith("$"):
        try:
            return paths.read(expression, data, context, variables)
        except PathError as error:
            source = context if expression.startswith("$$") else data
            raise StatesError(
                RUNTIME,
                f"The JSONPath '{expression}' specified for the field '{field}' could not be found in the "
                f"input '{compact(source)}'",
            ) from error
    if isinstance(expression, str) and expression.startswith("States."):
        return intrinsics.evaluate(expression, data, context, variables)
    raise StatesError(
        RUNTIME,
        f"The value for the field '{field}' must be a valid JSONPath or a valid intrinsic function call",
    )
