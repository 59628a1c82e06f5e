"""Whether every transition of a machine has a target and every state is reached; no other fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.diagnostics import Diagnostic, error
from mlops_kit.asl.states import ends, nested, own, targets, walk

MAX_NAME = 80


def check(definition: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """AWS's diagnostics of names and transitions, for the machine and every one nested in it."""
    yield from _names(definition)
    for path, machine in nested(definition):
        yield from _machine(machine, path)


def reached(machine: Mapping[str, Any]) -> set[str]:
    """Names of the states that an execution can come to from StartAt."""
    states = {place.name: place.state for place in own(machine)}
    found: set[str] = set()
    waiting = [machine.get("StartAt")]
    while waiting:
        name = waiting.pop()
        if isinstance(name, str) and name in states and name not in found:
            found.add(name)
            waiting.extend(target for _, target in targets(states[name]))
    return found


def _machine(machine: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    places = list(own(machine, path))
    names = {place.name for place in places}
    start = machine.get("StartAt")
    if isinstance(start, str) and start not in names:
        yield _missing(start, f"{path}/StartAt")
    for place in places:
        for field, target in targets(place.state):
            if isinstance(target, str) and target not in names:
                yield _missing(target, f"{place.path}/{field}")
    if places and not path and not any(ends(place.state) for place in places):
        yield error("MISSING_END_STATE", "Workflow has no terminal state")
        return
    found = reached(machine)
    for place in places:
        if place.name not in found:
            message = f'State "{place.name}" is not reachable.'
            yield error("MISSING_TRANSITION_TARGET", message, place.path)


def _missing(target: str, location: str) -> Diagnostic:
    # AWS says 'Next' whatever the field is
    return error("MISSING_TRANSITION_TARGET", f"Missing 'Next' target: {target}", location)


def _names(definition: Mapping[str, Any]) -> Iterator[Diagnostic]:
    places = list(walk(definition))
    counts = Counter(place.name for place in places)
    for place in places:
        if counts[place.name] > 1:
            yield error("DUPLICATE_STATE_NAME", f"Duplicate State name: {place.name}", place.path)
        if len(place.name) > MAX_NAME:
            words = f"State name {place.name} exceeds the {MAX_NAME}-character limit allowed by the service"
            yield error("INVALID_STATE_NAME", words, place.path)
