"""Every path, intrinsic and JSONata expression of a state, found where the language has them, and checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mlops_kit.asl import intrinsics, jsonata, paths
from mlops_kit.asl.choice import COMBINERS
from mlops_kit.asl.diagnostics import Diagnostic, error, schema
from mlops_kit.asl.fieldtypes import is_token
from mlops_kit.asl.jsonatareferences import unsupported
from mlops_kit.asl.states import JSONATA, Place

PATH, REFERENCE, EITHER, TEMPLATE, JSONATA_TEXT = (
    "path",
    "reference path",
    "path or intrinsic",
    "template",
    "jsonata",
)
_PATH_FIELDS = {
    "InputPath": PATH,
    "OutputPath": PATH,
    "ResultPath": REFERENCE,
    "ItemsPath": REFERENCE,
    "ErrorPath": EITHER,
    "CausePath": EITHER,
} | dict.fromkeys(
    (
        "TimeoutSecondsPath",
        "HeartbeatSecondsPath",
        "SecondsPath",
        "TimestampPath",
        "MaxConcurrencyPath",
        "ToleratedFailurePercentagePath",
        "ToleratedFailureCountPath",
    ),
    PATH,
)
_MAY_BE_NULL = frozenset({"InputPath", "OutputPath", "ResultPath"})
_TEMPLATES = ("Parameters", "ResultSelector", "ItemSelector", "Assign", "Credentials")
_INNER_TEMPLATES = (
    ("ItemReader", "Parameters"),
    ("ResultWriter", "Parameters"),
    ("ItemBatcher", "BatchInput"),
)
_NO_JSONATA = frozenset(
    {"Type", "Comment", "QueryLanguage", "Resource", "Next", "Default", "End", "Label", "ErrorEquals"}
    | {"ItemProcessor", "Iterator", "Branches", "Retry"}
)
_NOT_ONE_PLACE = re.compile(r"[*?@]|\.\.")
_VARIABLE = re.compile(r"[^\W\d]\w*")


class Expression(NamedTuple):
    """A text that is evaluated when a state runs.

    Attributes
    ----------
    kind : str
        ``path``, ``reference path``, ``path or intrinsic``, ``template`` (of a ``key.$``) or ``jsonata``.
    text : Any
        The text; a definition may hold something else by mistake.
    location : str
        JSON pointer of the field.
    field : str
        The key it stands under.
    catcher : bool
        Whether it stands in a Catch.
    inner : str
        JSON pointer from the location on, for a text inside a template, which AWS does not name.
    """

    kind: str
    text: Any
    location: str
    field: str
    catcher: bool = False
    inner: str = ""


def find(place: Place, language: str) -> Iterator[Expression]:
    """Every expression of a state, without those of states inside it."""
    if language == JSONATA:
        for name, value in place.state.items():
            if name not in _NO_JSONATA:
                yield from _jsonata(value, f"{place.path}/{name}", name, name == "Catch")
    else:
        yield from _jsonpath(place)


def check(place: Place, language: str) -> Iterator[Diagnostic]:
    """AWS's diagnostics of a state's expressions and variable names; ``${Token}`` is left alone."""
    for found in find(place, language):
        if not is_token(found.text):
            yield from _jsonata_problem(found) if found.kind == JSONATA_TEXT else _path_problem(found)
    yield from names(place)


def names(place: Place) -> Iterator[Diagnostic]:
    """AWS's diagnostics of the names of variables that a state assigns."""
    for location, assign in _assigns(place):
        for name in assign:
            yield from _name_problem(name.removesuffix(".$"), f"{location}/{name}")


def _jsonpath(place: Place) -> Iterator[Expression]:
    state, path = place.state, place.path
    for name, kind in _PATH_FIELDS.items():
        if state.get(name) is not None or (name in state and name not in _MAY_BE_NULL):
            yield Expression(kind, state[name], f"{path}/{name}", name)
    for name in _TEMPLATES:
        yield from _template(state.get(name), f"{path}/{name}")
    for outer, inner in _INNER_TEMPLATES:
        if isinstance(state.get(outer), Mapping):
            yield from _template(state[outer].get(inner), f"{path}/{outer}/{inner}")
    for i, rule in _entries(state, "Choices"):
        yield from _rule(rule, f"{path}/Choices[{i}]")
        yield from _template(rule.get("Assign"), f"{path}/Choices[{i}]/Assign")
    for i, catcher in _entries(state, "Catch"):
        where = f"{path}/Catch[{i}]"
        if catcher.get("ResultPath") is not None:
            yield Expression(REFERENCE, catcher["ResultPath"], f"{where}/ResultPath", "ResultPath", True)
        yield from _template(catcher.get("Assign"), f"{where}/Assign", True)


def _template(value: Any, path: str, catcher: bool = False, inner: str = "") -> Iterator[Expression]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key.endswith(".$"):
                yield Expression(TEMPLATE, item, path, key, catcher, f"{inner}/{key}")
            else:
                yield from _template(item, path, catcher, f"{inner}/{key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _template(item, path, catcher, f"{inner}[{i}]")


def _rule(rule: Mapping[str, Any], path: str) -> Iterator[Expression]:
    for name, value in rule.items():
        if name == "Variable" or (name.endswith("Path") and name not in _PATH_FIELDS):
            yield Expression(PATH, value, f"{path}/{name}", name)
        elif name in COMBINERS:
            for i, part in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(part, Mapping):
                    yield from _rule(
                        part, f"{path}/{name}[{i}]" if isinstance(value, list) else f"{path}/{name}"
                    )


def _jsonata(value: Any, path: str, field: str, catcher: bool) -> Iterator[Expression]:
    if isinstance(value, str):
        if value.startswith("{%"):
            yield Expression(JSONATA_TEXT, value, path, field, catcher)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _NO_JSONATA or field not in ("Choices", "Catch"):
                yield from _jsonata(item, f"{path}/{key}", field, catcher)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _jsonata(item, f"{path}[{i}]", field, catcher)


def _entries(state: Mapping[str, Any], field: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    entries = state.get(field)
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            yield i, entry


def _assigns(place: Place) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(place.state.get("Assign"), Mapping):
        yield f"{place.path}/Assign", place.state["Assign"]
    for field in ("Choices", "Catch"):
        for i, entry in _entries(place.state, field):
            if isinstance(entry.get("Assign"), Mapping):
                yield f"{place.path}/{field}[{i}]/Assign", entry["Assign"]


def assigned(place: Place) -> Iterator[str]:
    """Names of the variables that a state assigns."""
    for _, assign in _assigns(place):
        for name in assign:
            yield name.removesuffix(".$")


def problem(found: Expression) -> str | None:
    """What is wrong with an expression, in words for a person, or ``None``."""
    text = found.text
    if not isinstance(text, str):
        return f"it must be a text, not {jsonata.type_name(text)}"
    if found.kind == JSONATA_TEXT:
        if not jsonata.is_expression(text):
            return "a JSONata text begins with {% and ends with %}, with nothing around"
        return jsonata.check(text) or unsupported(text, catcher=found.catcher)
    if text.startswith("States.") and found.kind in (EITHER, TEMPLATE):
        return intrinsics.check(text)
    if not text.startswith("$"):
        return "it must begin with $" + (" or States." if found.kind in (EITHER, TEMPLATE) else "")
    if found.kind == REFERENCE and _NOT_ONE_PLACE.search(re.sub(r"'[^']*'", "''", text)):
        return "it must name one place: no wildcard, filter or descent"
    if found.field == "ResultPath":
        return paths.reference_problem(text)
    return paths.check(text)


def _path_problem(found: Expression) -> Iterator[Diagnostic]:
    words = problem(found)
    if words is None:
        return
    if found.kind == TEMPLATE:
        words = (
            f"The value for the field '{found.field}' must be a valid JSONPath or a valid intrinsic "
            "function call"
        )
    elif found.field == "Variable" or found.location.rpartition("/")[0].endswith("]"):
        words = "Value is not a Reference Path: Reference path didn't start with '$'"
    elif found.kind == REFERENCE and isinstance(found.text, str) and found.text.startswith("$"):
        words = "Value is not a Reference Path"
    else:
        words = "Value must be a valid JSONPath."
    yield schema(words, found.location)


def _jsonata_problem(found: Expression) -> Iterator[Diagnostic]:
    if not jsonata.is_expression(found.text):
        yield schema("JSONata string must start with {% and end with %}", found.location)
    elif words := jsonata.check(found.text):
        yield error("INVALID_JSONATA_EXPRESSION", words, found.location)
    elif words := unsupported(found.text, catcher=found.catcher):
        yield error("UNSUPPORTED_JSONATA_EXPRESSION", words, found.location)


def _name_problem(name: str, location: str) -> Iterator[Diagnostic]:
    if name == "states":
        yield error("RESERVED_VARIABLE_NAME", "Cannot assign to reserved variable '$states'.", location)
    elif not _VARIABLE.fullmatch(name) and not is_token(name):
        words = f"Invalid variable name '{name}': the variable name contains invalid characters."
        yield error("INVALID_VARIABLE_NAME", words, location)
