"""What a state reads from its input and what it passes on, by the members' names; must not judge."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl import expressions, intrinsics, jsonata
from mlops_kit.asl.jsonatafunctions import ExpressionError
from mlops_kit.asl.pathparse import BadPath, parse
from mlops_kit.asl.states import JSONATA, Place

_ALL = (None, "$")
_INPUT_FIELDS = re.compile(
    r"/(InputPath|Parameters|ItemsPath|ItemSelector|ItemReader|ResultWriter|Credentials|ErrorPath|CausePath"
    r"|\w+SecondsPath|SecondsPath|TimestampPath|MaxConcurrencyPath|Tolerated\w+Path|Choices\[\d+\](?!/Assign))"
)
_PLAIN_INPUT = re.compile(r"\{%\s*\$states\.input\.([A-Za-z_]\w*)(\.[A-Za-z_]\w*)*\s*%\}")
_WHOLE_INPUT = re.compile(r"\{%\s*\$states\.input\s*%\}")


def reads(place: Place, language: str) -> Iterator[tuple[str, str]]:
    """Members of its input that a state cannot do without, each with the text that reads it.

    Texts that may find nothing (JSONata around a path, an ``IsPresent`` test) are left out.
    """
    if language == JSONATA:
        for found in expressions.find(place, language):
            match = _PLAIN_INPUT.fullmatch(found.text) if not found.catcher else None
            if match and "/Output" not in found.location and "/Assign" not in found.location:
                yield match[1], match[0]
        return
    narrowed = place.state.get("InputPath") not in _ALL
    tested = set(guarded(place.state))
    for found in expressions.find(place, language):
        field = found.location.removeprefix(place.path)
        if not _INPUT_FIELDS.match(field) or (narrowed and found.field != "InputPath"):
            continue
        for path in _paths(found.text):
            name = member(path)
            if name is not None and name not in tested:
                yield name, path


def guarded(state: Mapping[str, Any]) -> Iterator[str]:
    """Members that a Choice asks for with IsPresent."""
    waiting: list[Any] = [state.get("Choices")]
    while waiting:
        rule = waiting.pop()
        if isinstance(rule, list):
            waiting.extend(rule)
        elif isinstance(rule, Mapping):
            waiting.extend(rule.get(name) for name in ("And", "Or", "Not"))
            if "IsPresent" in rule and (name := member(rule.get("Variable"))):
                yield name


def member(path: Any) -> str | None:
    """The member of the input that a path goes through first, or ``None``."""
    if not isinstance(path, str):
        return None
    try:
        parsed = parse(path)
    except BadPath:
        return None
    first = parsed.steps[0] if parsed.root == "$" and parsed.steps else None
    return first if isinstance(first, str) else None


def passes(state: Mapping[str, Any], language: str) -> frozenset[str] | None:
    """What a state adds to its input when it passes it on, or ``None`` when it passes on something else."""
    works = state.get("Type") in ("Task", "Map", "Parallel")
    if language == JSONATA:
        rules = state.get("Choices")
        if isinstance(rules, list) and any(isinstance(rule, Mapping) and "Output" in rule for rule in rules):
            return None
        if "Output" not in state:
            return None if works else frozenset()
        return _kept(state["Output"])
    if state.get("OutputPath", "$") != "$":
        return None
    if not works and state.get("InputPath", "$") != "$":
        return None
    return _through_result_path(state, works or "Result" in state or "Parameters" in state)


def _kept(output: Any) -> frozenset[str] | None:
    """What ``{% $merge([$states.input, {...}]) %}`` adds to the input; ``None`` for other outputs."""
    if not jsonata.is_expression(output):
        return None
    if _WHOLE_INPUT.fullmatch(output):
        return frozenset()
    try:
        tree = jsonata.compiled(jsonata.unwrap(output)).ast
        (array,) = tree.arguments
        first, *objects = array.expressions
        whole = [step.value for step in first.steps] == ["states", "input"]
        if tree.procedure.value != "merge" or not whole:
            return None
        return frozenset(
            str(key.value) for item in objects for key, _ in item.lhs_object if key.type == "string"
        )
    except (ExpressionError, AttributeError, TypeError, ValueError):  # any other form of expression
        return None


def _through_result_path(state: Mapping[str, Any], makes: bool) -> frozenset[str] | None:
    if "ResultPath" in state and state["ResultPath"] is None:
        return frozenset()
    name = member(state.get("ResultPath", "$"))
    if name is not None:
        return frozenset({name})
    return None if makes else frozenset()


def _paths(text: Any) -> list[str]:
    if not isinstance(text, str) or not text.startswith("States."):
        return [text]
    try:
        return intrinsics.references(intrinsics.parse(text))
    except intrinsics.BadIntrinsic:
        return []
