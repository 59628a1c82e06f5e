"""Ways through a definition: every state, every edge, every nested machine; must not judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A state and where it stands.

    Attributes
    ----------
    path : str
        JSON pointer, such as ``/States/Each/ItemProcessor/States/Train``.
    name : str
        The state's name.
    state : mapping
        Its definition.
    """

    path: str
    name: str
    state: Mapping[str, Any]


def walk(definition: Mapping[str, Any]) -> Iterator[Place]:
    """Every state, in order of definition, those inside Map and Parallel after the state that holds them."""
    raise NotImplementedError


def targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Edges out of a state within its machine: (field, name), such as ("Next", "Train") or ("Catch/0/Next", ...)."""
    raise NotImplementedError


def machines(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Machines inside a state: ("ItemProcessor", {...}), ("Iterator", {...}) or ("Branches/0", {...})."""
    raise NotImplementedError


def query_language(state: Mapping[str, Any], machine: Mapping[str, Any] | None = None) -> str:
    """``JSONPath`` or ``JSONata``: the state's own, else its top-level definition's, else JSONPath."""
    raise NotImplementedError
