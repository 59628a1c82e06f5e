"""Results and errors that replace the input by accident: a later state reads what is no longer there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl.definition import language_of
from mlops_kit.asl.states import JSONATA, Place, nested, own, targets
from mlops_kit.build.lint import flow, models
from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.tasks import resource_of


@dataclass(frozen=True)
class Origin:
    """A place where a state's output is something else than its input.

    Attributes
    ----------
    state : str
        Name of the state.
    field : str
        Field that would keep the input.
    what : str
        What replaces the input, as the beginning of a sentence.
    has : frozenset of str or None
        Members of the output in small letters; ``None`` where they are not known.
    fix : str
    targets : tuple of str
        States that take the output.
    meant : bool
        Whether a person wrote the output down, as a Pass does.
    """

    state: str
    field: str
    what: str
    has: frozenset[str] | None
    fix: str
    targets: tuple[str, ...]
    meant: bool = False


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of results, outputs and errors that lack what a later state reads."""
    for path, machine in nested(definition):
        places = {place.name: place for place in own(machine, path)}
        walker = _Walker(places, definition)
        for place in places.values():
            for origin in _origins(place, language_of(place, definition)):
                yield from walker.findings(origin)


class _Walker:
    """Follows an output through the states of one machine."""

    def __init__(self, places: Mapping[str, Place], definition: Mapping[str, Any]) -> None:
        self._places = places
        self._definition = definition

    def findings(self, origin: Origin) -> Iterator[Finding]:
        known = origin.has
        before = self._read_before(origin) if known is None else frozenset()
        told: set[str] = set()
        for reader, name, text in self._lacking(origin):
            if name in told or (known is None and name not in before):
                continue
            told.add(name)
            words = (
                "which is not in it"
                if known is not None
                else "as earlier states do: the result must carry it"
            )
            yield Finding(
                origin.state,
                origin.field,
                f"{origin.what} replaces its whole input, and {reader} reads {text} afterwards, {words}.",
                origin.fix,
                "warning" if known is None or origin.meant else "error",
            )

    def _lacking(self, origin: Origin) -> Iterator[tuple[str, str, str]]:
        """Readers of members that the output does not have, with the member and the reading text."""
        seen: set[str] = set()
        waiting = [(target, origin.has or frozenset()) for target in origin.targets]
        while waiting:
            target, has = waiting.pop(0)
            place = self._places.get(target)
            if place is None or target in seen:
                continue
            seen.add(target)
            language = language_of(place, self._definition)
            for name, text in flow.reads(place, language):
                if name.lower() not in has:
                    yield target, name, text
            added = flow.passes(place.state, language)
            if added is not None:
                has = has | {name.lower() for name in (*added, *flow.guarded(place.state))}
                waiting.extend((next_state, has) for next_state in _next(place.state))

    def _read_before(self, origin: Origin) -> frozenset[str]:
        """Members that a state, or one on a way to it and not behind it, reads."""
        forth: dict[str, set[str]] = {name: set() for name in self._places}
        back: dict[str, set[str]] = {name: set() for name in self._places}
        for place in self._places.values():
            for _, target in targets(place.state):
                forth[place.name].add(str(target))
                back.setdefault(str(target), set()).add(place.name)
        behind = _closure(set(origin.targets), forth)
        before = (_closure({origin.state}, back) - behind) | {origin.state}
        places = (self._places[name] for name in before if name in self._places)
        return frozenset(
            name for place in places for name, _ in flow.reads(place, language_of(place, self._definition))
        )


def _closure(start: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return found


def _next(state: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(target) for field, target in targets(state) if not field.startswith("Catch"))


def _origins(place: Place, language: str) -> Iterator[Origin]:
    state = place.state
    makes = state.get("Type") in ("Task", "Map", "Parallel", "Pass") and "ResultWriter" not in state
    if makes and flow.passes(state, language) is None:
        yield from (_jsonata if language == JSONATA else _jsonpath)(place)
    catchers = state.get("Catch")
    for i, catcher in enumerate(catchers if isinstance(catchers, list) else ()):
        if isinstance(catcher, Mapping):
            yield from _caught(place, i, catcher, language)


def _jsonpath(place: Place) -> Iterator[Origin]:
    state, name = place.state, place.name
    if state.get("OutputPath", "$") != "$" or (
        state["Type"] == "Pass" and state.get("InputPath", "$") != "$"
    ):
        return
    shown = name[:1].lower() + "".join(char for char in name[1:] if char.isalnum())
    fix = f'keep the input with "ResultPath": "$.{shown}", or null when the result is not needed.'
    is_pass = state["Type"] == "Pass"
    chosen = state.get("Result", state.get("Parameters")) if is_pass else state.get("ResultSelector")
    has: frozenset[str] | None = frozenset()
    if isinstance(chosen, Mapping):
        has = frozenset(key.removesuffix(".$").lower() for key in chosen)
    elif is_pass:
        return
    elif state["Type"] == "Task":
        has = _answers(state)
    yield Origin(name, "ResultPath", f"The result of {name}", has, fix, _next(state), meant=is_pass)


def _jsonata(place: Place) -> Iterator[Origin]:
    state, name = place.state, place.name
    output = state.get("Output")
    fix = "keep what is needed in Output, such as {% $merge([$states.input, {'result': $states.result}]) %}."
    if isinstance(output, Mapping):
        has: frozenset[str] | None = frozenset(key.lower() for key in output)
        meant = state.get("Type") == "Pass"
        yield Origin(name, "Output", f"The Output of {name}", has, fix, _next(state), meant)
    elif output is None and state.get("Type") == "Task":
        yield Origin(name, "Output", f"The result of {name}", _answers(state), fix, _next(state))


def _answers(state: Mapping[str, Any]) -> frozenset[str] | None:
    resource = resource_of(state)
    names = models.answers(resource) if resource else None
    return None if names is None else frozenset(name.lower() for name in names)


def _caught(place: Place, index: int, catcher: Mapping[str, Any], language: str) -> Iterator[Origin]:
    error = frozenset({"error", "cause"})
    if language == JSONATA:
        output = catcher.get("Output")
        if output is not None and not isinstance(output, Mapping):
            return
        has = error if output is None else frozenset(key.lower() for key in output)
        field, fix = (
            "Output",
            "keep the input in the catcher's Output: {'input': '{% $states.input %}', ...}.",
        )
    elif catcher.get("ResultPath", "$") == "$":
        has, field, fix = error, "ResultPath", 'keep the input with "ResultPath": "$.error" in the catcher.'
    else:
        return
    what = f"The error that {place.name} catches"
    yield Origin(place.name, f"Catch[{index}]/{field}", what, has, fix, (str(catcher.get("Next")),))
