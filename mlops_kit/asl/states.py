"""Ways through a definition: every state, every edge, every nested machine; must not judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

JSONPATH, JSONATA = "JSONPath", "JSONata"


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


def walk(definition: Mapping[str, Any], path: str = "") -> Iterator[Place]:
    """Every state, in order of definition, those inside Map and Parallel after the state that holds them.

    Parameters
    ----------
    definition : mapping
        A state machine, or one nested in a state.
    path : str
        Where it stands; set by the recursion.
    """
    for place in own(definition, path):
        yield place
        for field, machine in machines(place.state):
            yield from walk(machine, f"{place.path}/{field}")


def own(machine: Mapping[str, Any], path: str = "") -> Iterator[Place]:
    """The states of a machine itself, without those inside Map and Parallel."""
    states = machine.get("States")
    if isinstance(states, Mapping):
        for name, state in states.items():
            if isinstance(state, Mapping):
                yield Place(f"{path}/States/{name}", name, state)


def nested(definition: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every machine with its path: the definition itself (``""``), then those inside Map and Parallel."""
    yield "", definition
    for place in walk(definition):
        for field, machine in machines(place.state):
            yield f"{place.path}/{field}", machine


def targets(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Edges out of a state within its machine.

    Yields
    ------
    tuple of str and Any
        Field and target, such as ``("Next", "Train")``, ``("Catch[0]/Next", ...)``,
        ``("Choices[1]/Next", ...)`` or ``("Default", ...)``.
    """
    if "Next" in state:
        yield "Next", state["Next"]
    for field in ("Choices", "Catch"):
        entries = state.get(field)
        for i, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, Mapping) and "Next" in entry:
                yield f"{field}[{i}]/Next", entry["Next"]
    if "Default" in state:
        yield "Default", state["Default"]


def machines(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Machines inside a state: ("ItemProcessor", {...}), ("Iterator", {...}) or ("Branches[0]", {...})."""
    for field in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field), Mapping):
            yield field, state[field]
    branches = state.get("Branches")
    for i, branch in enumerate(branches if isinstance(branches, list) else ()):
        if isinstance(branch, Mapping):
            yield f"Branches[{i}]", branch


def query_language(state: Mapping[str, Any], definition: Mapping[str, Any] | None = None) -> str:
    """``JSONPath`` or ``JSONata``: the state's own, else the whole definition's, else JSONPath.

    A state inside a Map or Parallel takes the whole definition's, not that of the state around it.
    """
    language = state.get("QueryLanguage") or (definition or {}).get("QueryLanguage") or JSONPATH
    return str(language)


def ends(state: Mapping[str, Any]) -> bool:
    """Whether an execution, or a branch, can end in a state."""
    return state.get("Type") in ("Succeed", "Fail") or state.get("End") is True
