"""Checks of what stands in lists inside a state: Choice rules, retriers, catchers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl import timestamps
from mlops_kit.asl.choice import COMBINERS, OPERATORS
from mlops_kit.asl.diagnostics import Diagnostic, schema
from mlops_kit.asl.fieldtypes import Ranges, numbers, objects, one_of, types, wrong
from mlops_kit.asl.jsonata import is_expression
from mlops_kit.asl.schema import Mode, other_language
from mlops_kit.asl.states import JSONPATH, Place

_RETRIER = frozenset(
    {
        "ErrorEquals",
        "IntervalSeconds",
        "MaxAttempts",
        "BackoffRate",
        "MaxDelaySeconds",
        "JitterStrategy",
        "Comment",
    }
)
_CATCHER = frozenset({"ErrorEquals", "Next", "ResultPath", "Comment", "Assign", "Output"})
_RULE = frozenset({"Next", "Comment", "Assign", "Output"})
_SELECTORS = ("And", "Or", "Not", "Variable", "Condition")
_RETRY_RANGES: Ranges = {
    "IntervalSeconds": (1, 99_999_999),
    "MaxAttempts": (0, 99_999_999),
    "BackoffRate": (1, None),
    "MaxDelaySeconds": (1, 31_622_400),
}


def check(place: Place, language: str, mode: Mode) -> Iterator[Diagnostic]:
    """AWS's diagnostics of a state's rules, retriers and catchers."""
    for i, rule in _objects(place, "Choices"):
        yield from _rule(rule, f"{place.path}/Choices[{i}]", language, mode, top=True)
    for field in ("Retry", "Catch"):
        entries = list(_objects(place, field))
        for i, entry in entries:
            where = f"{place.path}/{field}[{i}]"
            closed = mode.closed(entry) | {name: entry[name] for name in ("Next",) if name in entry}
            yield from _handler(closed, where, field, last=i == len(place.state[field]) - 1)
            if field == "Catch":
                other = {"Output"} if language == JSONPATH else {"ResultPath"}
                yield from other_language((name for name in entry if name in other), language, where)


def _objects(place: Place, field: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    entries = place.state.get(field)
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            yield i, entry


def _rule(
    rule: Mapping[str, Any], path: str, language: str, mode: Mode, *, top: bool
) -> Iterator[Diagnostic]:
    found = [name for name in _SELECTORS if name in rule]
    if len(found) != 1:
        yield schema(
            f"The object must have only one of the following fields, [{', '.join(_SELECTORS)}]", path
        )
    allowed = OPERATORS | COMBINERS | {"Variable", "Condition"} | (_RULE if top else {"Comment"})
    for name in rule:
        if name not in allowed:
            yield schema(f"Field '{name}' is not supported", path)
    if top and "Next" not in rule:
        yield schema("These fields are required: [Next]", path)
    other = {"Condition", "Output"} if language == JSONPATH else {"Variable", "And", "Or", "Not"}
    yield from other_language((name for name in rule if name in other), language, path)
    if "Variable" in rule and sum(name in OPERATORS for name in rule) != 1:
        yield schema(
            f"There should only be one of the following fields: [{', '.join(sorted(OPERATORS))}]", path
        )
    closed = mode.closed(rule)
    yield from types(closed, path)
    for name, operand in closed.items():
        if kind := _operand(name, operand):
            yield wrong(kind, f"{path}/{name}")
    for name in ("And", "Or"):
        inner = rule.get(name)
        if name in rule:
            yield from objects(inner, f"{path}/{name}")
        for i, part in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(part, Mapping):
                yield from _rule(part, f"{path}/{name}[{i}]", language, mode, top=False)
    if isinstance(rule.get("Not"), Mapping):
        yield from _rule(rule["Not"], f"{path}/Not", language, mode, top=False)


def _operand(name: str, value: Any) -> str | None:
    """The type that a member of a rule should have, where it has another."""
    if name == "Not":
        return None if isinstance(value, Mapping) else "OBJECT"
    if name == "Condition":
        return None if isinstance(value, bool) or is_expression(value) else "BOOLEAN"
    if name in OPERATORS and (name.startswith("String") or name.endswith("Path")):
        return None if isinstance(value, str) else "STRING"
    if name in OPERATORS and name.startswith(("Is", "Boolean")):
        return None if isinstance(value, bool) else "BOOLEAN"
    if name in OPERATORS and name.startswith("Numeric"):
        return None if isinstance(value, (int, float)) and not isinstance(value, bool) else "NUMBER"
    if name in OPERATORS and name.startswith("Timestamp"):
        return None if timestamps.parse(value) is not None else "TIMESTAMP"
    return None


def _handler(entry: Mapping[str, Any], path: str, field: str, *, last: bool) -> Iterator[Diagnostic]:
    required = ("ErrorEquals",) if field == "Retry" else ("ErrorEquals", "Next")
    if missing := [name for name in required if name not in entry]:
        yield schema(f"These fields are required: [{', '.join(missing)}]", path)
    for name in entry:
        if name not in (_RETRIER if field == "Retry" else _CATCHER):
            yield schema(f"Field '{name}' is not supported", path)
    yield from types(entry, path)
    errors = entry.get("ErrorEquals")
    if errors == []:
        yield schema("Value cannot be empty", f"{path}/ErrorEquals")
    elif "ErrorEquals" in entry and not isinstance(errors, list):
        yield wrong("ARRAY", f"{path}/ErrorEquals")
    elif isinstance(errors, list) and any(not isinstance(error, str) for error in errors):
        yield wrong("STRING", f"{path}/ErrorEquals")
    elif isinstance(errors, list) and "States.ALL" in errors and (len(errors) > 1 or not last):
        yield schema("States.ALL must appear alone and at end of list", f"{path}/ErrorEquals")
    if field == "Retry":
        yield from numbers(entry, path, _RETRY_RANGES, expressions=False)
        yield from one_of(entry, "JitterStrategy", ("NONE", "FULL"), path)
        first, most = entry.get("IntervalSeconds", 1), entry.get("MaxDelaySeconds")
        if isinstance(first, int) and isinstance(most, int) and most <= first:
            yield schema("MaxDelaySeconds must be greater than IntervalSeconds", f"{path}/MaxDelaySeconds")
