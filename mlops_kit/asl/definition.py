"""Checks of a definition as CreateStateMachine and ValidateStateMachineDefinition make them; must not run it.

What is checked here in AWS's words is what its answers are known for. Parameters of service integrations
are not: that needs the services' models, which the linter has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlops_kit.asl import expressions, mapparts, rules, schema, transitions
from mlops_kit.asl.diagnostics import Diagnostic, error, warning
from mlops_kit.asl.diagnostics import schema as refused
from mlops_kit.asl.jsonparse import Unreadable, parse
from mlops_kit.asl.states import JSONATA, JSONPATH, Place, machines, walk

__all__ = ["Diagnostic", "refusal", "validate", "variable_references"]
_EVALUATED = ("$.", "$$.", "$[", "States.")


def validate(
    definition: str | Mapping[str, Any],
    type: str = "STANDARD",
    *,
    tokens: bool = False,
    knows: schema.Knows | None = None,
) -> list[Diagnostic]:
    """What AWS would say of a definition, errors first; empty when it has nothing to say.

    Parameters
    ----------
    definition : str or mapping
        The JSON text that a caller sent, or the parsed definition.
    type : {"STANDARD", "EXPRESS"}
        Of the state machine.
    tokens : bool
        Whether texts may still hold CloudFormation's ``${Token}``, which the service never sees.
    knows : callable, optional
        Whether AWS's SDKs have a service and an action; default: whatever an ``aws-sdk`` resource names.
    """
    if isinstance(definition, str):
        try:
            value, repeated = parse(definition)
        except Unreadable as problem:
            return [problem.diagnostic]
        found = [
            error("DUPLICATE_STATE_NAME", f"Duplicate State name: {name}", f"/States/{name}")
            for name in repeated
        ]
        if not isinstance(value, Mapping):
            return [refused("Expected value of type [OBJECT]", "/")]
        definition = value
    else:
        found = []
    mode = schema.Mode(express=type == "EXPRESS", tokens=tokens)
    found.extend(_all(definition, mode if knows is None else replace(mode, knows=knows)))
    return sorted(dict.fromkeys(found), key=lambda diagnostic: diagnostic.severity != "ERROR")


def refusal(diagnostics: Sequence[Diagnostic]) -> str | None:
    """The message of ``InvalidDefinition`` ("Invalid State Machine Definition: '...'"), or ``None``."""
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "ERROR"]
    if not errors:
        return None
    parts = [f"{found.code}: {found.message.rstrip()} at {found.location or 'null'}" for found in errors]
    return f"Invalid State Machine Definition: '{', '.join(parts)}'"


def language_of(place: Place, definition: Mapping[str, Any]) -> str:
    """The query language that AWS checks a state in: JSONata for all that is not ``JSONPath``."""
    declared = place.state.get("QueryLanguage", definition.get("QueryLanguage", JSONPATH))
    return JSONPATH if declared == JSONPATH else JSONATA


def variable_references(definition: Mapping[str, Any]) -> dict[str, list[str]]:
    """The variables that each state reads, as DescribeStateMachine shows them; others are left out."""
    from mlops_kit.asl.variables import read

    found = {
        place.name: sorted(set(read(place, language_of(place, definition)))) for place in walk(definition)
    }
    return {name: names for name, names in found.items() if names}


def structure(definition: Mapping[str, Any], mode: schema.Mode) -> Iterator[Diagnostic]:
    """AWS's diagnostics of fields, rules and transitions; not of paths and expressions."""
    yield from schema.machine(definition, "", schema.TOP_FIELDS)
    for place in walk(definition):
        yield from _state(place, definition, mode)
    yield from transitions.check(definition)


def doubts(definition: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """AWS's warnings: texts that look like paths where none is read."""
    for place in walk(definition):
        if language_of(place, definition) == JSONPATH:
            yield from _doubts(place)


def is_downgraded(place: Place, definition: Mapping[str, Any]) -> bool:
    """Whether a state declares JSONPath in a JSONata machine, which AWS refuses without looking further."""
    return (
        place.state.get("QueryLanguage") == JSONPATH and definition.get("QueryLanguage", JSONPATH) != JSONPATH
    )


def _all(definition: Mapping[str, Any], mode: schema.Mode) -> Iterator[Diagnostic]:
    yield from structure(definition, mode)
    for place in walk(definition):
        if not is_downgraded(place, definition):
            yield from expressions.check(place, language_of(place, definition))
    yield from doubts(definition)


def _state(place: Place, definition: Mapping[str, Any], mode: schema.Mode) -> Iterator[Diagnostic]:
    if is_downgraded(place, definition):
        words = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
        yield refused(words, place.path)
        return
    language = language_of(place, definition)
    yield from schema.state(place, language, mode)
    yield from rules.check(place, language, mode)
    if place.state.get("Type") == "Map":
        yield from mapparts.check(place, language, mode)
    for field, machine in machines(place.state):
        fields = schema.BRANCH_FIELDS if field.startswith("Branches") else schema.PROCESSOR_FIELDS
        yield from schema.machine(machine, f"{place.path}/{field}", fields)


def _doubts(place: Place) -> Iterator[Diagnostic]:
    for field in ("Parameters", "ResultSelector", "ItemSelector"):
        for key in _undollared(place.state.get(field)):
            words = f"No .$ on the field '{key}' that appears to be a JSONPath or Intrinsic Function"
            yield warning("NO_DOLLAR", words, f"{place.path}/{field}")
    if place.state.get("Type") == "Pass" and _has_dollar(place.state.get("Result")):
        yield warning(
            "PASS_RESULT_IS_STATIC",
            "Attempt to use a path in the result of a pass state",
            f"{place.path}/Result",
        )


def _undollared(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and not key.endswith(".$") and item.startswith(_EVALUATED):
                yield key
            yield from _undollared(item)
    elif isinstance(value, list):
        for item in value:
            yield from _undollared(item)


def _has_dollar(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(
            (key.endswith(".$") and isinstance(item, str) and item.startswith(_EVALUATED))
            or _has_dollar(item)
            for key, item in value.items()
        )
    return isinstance(value, list) and any(_has_dollar(item) for item in value)
