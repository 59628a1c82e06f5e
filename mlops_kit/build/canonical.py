"""One order and no nulls for what the SDK emits, so that the same pipeline gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_kit.errors import KitError

_ORDER = (
    *("Type", "Comment", "QueryLanguage", "StartAt", "Resource", "Condition", "ErrorEquals", "Arguments"),
    *(
        "ItemProcessor",
        "Branches",
        "Choices",
        "Default",
        "Assign",
        "Output",
        "TimeoutSeconds",
        "Retry",
        "Catch",
    ),
    *("Next", "End", "States"),
)
_MEANT_NULL = {"InputPath", "OutputPath", "ResultPath"}  # null says "nothing" there; elsewhere AWS refuses it


def canonical(value: Any, path: str = "") -> Any:
    """A definition in one order.

    Parameters
    ----------
    value : Any
        What the SDK emitted.
    path : str
        Where it stands; set by the recursion.

    Returns
    -------
    Any
        The language's own members in the order in which one reads them, all others sorted, states in the
        order in which they are reached; no nulls but where the language gives them a meaning.

    Raises
    ------
    KitError
        A Python object slipped into the definition.
    """
    if isinstance(value, Mapping):
        names = list(value) if path.endswith("/States") else sorted(value, key=_rank)
        return {
            name: canonical(value[name], f"{path}/{name}")
            for name in names
            if value[name] is not None or name in _MEANT_NULL
        }
    if isinstance(value, str):
        if " object at 0x" in value:
            raise KitError(f"A Python object stands in the definition at {path}: {value}")
        return value
    if isinstance(value, Sequence):
        return [canonical(inner, f"{path}/{index}") for index, inner in enumerate(value)]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise KitError(f"A {type(value).__name__} stands in the definition at {path}, which JSON cannot hold.")


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name), "") if name in _ORDER else (len(_ORDER), name)
