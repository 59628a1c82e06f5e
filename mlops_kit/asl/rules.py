"""Checks of what stands in lists inside a state: Choice rules, retriers, catchers; and of Map's parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.choice import COMBINERS, OPERATORS
from mlops_kit.asl.diagnostics import Diagnostic, schema
from mlops_kit.asl.schema import Mode, numbers, other_language
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
_RETRY_RANGES: dict[str, tuple[float | None, float | None]] = {
    "IntervalSeconds": (0, 99_999_999),
    "MaxAttempts": (0, 99_999_999),
    "BackoffRate": (1, None),
    "MaxDelaySeconds": (1, 31_622_400),
}


def check(place: Place, language: str, mode: Mode) -> Iterator[Diagnostic]:
    """AWS's diagnostics of a state's rules, retriers, catchers and Map processor."""
    for i, rule in _objects(place, "Choices"):
        yield from _rule(rule, f"{place.path}/Choices[{i}]", language, top=True)
    for field in ("Retry", "Catch"):
        entries = list(_objects(place, field))
        for i, entry in entries:
            where = f"{place.path}/{field}[{i}]"
            closed = {name: item for name, item in entry.items() if not mode.open(item) or name == "Next"}
            yield from _handler(closed, where, field, last=i == len(place.state[field]) - 1)
            if field == "Catch":
                wrong = {"Output"} if language == JSONPATH else {"ResultPath"}
                yield from other_language((name for name in entry if name in wrong), language, where)
    for field in ("ItemProcessor", "Iterator"):
        processor = place.state.get(field)
        if isinstance(processor, Mapping) and isinstance(processor.get("ProcessorConfig"), Mapping):
            yield from _processor(processor["ProcessorConfig"], f"{place.path}/{field}/ProcessorConfig")
    if isinstance(place.state.get("ItemReader"), Mapping):
        yield from _reader(place.state["ItemReader"], f"{place.path}/ItemReader")


def _objects(place: Place, field: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    entries = place.state.get(field)
    for i, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            yield i, entry


def _rule(rule: Mapping[str, Any], path: str, language: str, *, top: bool) -> Iterator[Diagnostic]:
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
    wrong = {"Condition", "Output"} if language == JSONPATH else {"Variable", "And", "Or", "Not"}
    yield from other_language((name for name in rule if name in wrong), language, path)
    if "Variable" in rule and sum(name in OPERATORS for name in rule) != 1:
        yield schema(
            f"There should only be one of the following fields: [{', '.join(sorted(OPERATORS))}]", path
        )
    for name in ("And", "Or"):
        inner = rule.get(name)
        for i, part in enumerate(inner if isinstance(inner, list) else ()):
            if isinstance(part, Mapping):
                yield from _rule(part, f"{path}/{name}[{i}]", language, top=False)
    if isinstance(rule.get("Not"), Mapping):
        yield from _rule(rule["Not"], f"{path}/Not", language, top=False)


def _handler(entry: Mapping[str, Any], path: str, field: str, *, last: bool) -> Iterator[Diagnostic]:
    required = ("ErrorEquals",) if field == "Retry" else ("ErrorEquals", "Next")
    if missing := [name for name in required if name not in entry]:
        yield schema(f"These fields are required: [{', '.join(missing)}]", path)
    for name in entry:
        if name not in (_RETRIER if field == "Retry" else _CATCHER):
            yield schema(f"Field '{name}' is not supported", path)
    errors = entry.get("ErrorEquals")
    if errors == []:
        yield schema("Value cannot be empty", f"{path}/ErrorEquals")
    elif "ErrorEquals" in entry and not isinstance(errors, list):
        yield schema("Expected value of type [ARRAY]", f"{path}/ErrorEquals")
    elif isinstance(errors, list) and "States.ALL" in errors and (len(errors) > 1 or not last):
        yield schema("States.ALL must appear alone and at end of list", f"{path}/ErrorEquals")
    if field == "Retry":
        yield from numbers(entry, path, _RETRY_RANGES, expressions=False)
        jitter = entry.get("JitterStrategy", "NONE")
        if jitter not in ("NONE", "FULL"):
            yield schema("Value should be one of the following: [NONE, FULL]", f"{path}/JitterStrategy")


def _processor(config: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    mode, kind = config.get("Mode", "INLINE"), config.get("ExecutionType")
    if mode not in ("INLINE", "DISTRIBUTED"):
        yield schema("Value should be one of the following: [INLINE, DISTRIBUTED]", f"{path}/Mode")
    elif mode == "DISTRIBUTED" and kind is None:
        yield schema("These fields are required: [ExecutionType]", path)
    elif mode == "INLINE" and kind is not None:
        yield schema("Field 'ExecutionType' is not supported", path)
    elif kind is not None and kind not in ("STANDARD", "EXPRESS"):
        yield schema("Value should be one of the following: [STANDARD, EXPRESS]", f"{path}/ExecutionType")


def _reader(reader: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    if "Resource" not in reader:
        yield schema("These fields are required: [Resource]", path)
    config = reader.get("ReaderConfig")
    if not isinstance(config, Mapping):
        return
    where, header = f"{path}/ReaderConfig", config.get("CSVHeaderLocation")
    if config.get("InputType") == "CSV" and header is None:
        yield schema("The field 'CSVHeaderLocation' is required", where)
    if config.get("InputType") == "JSON" and header is not None:
        yield schema("Field 'CSVHeaderLocation' is not supported", where)
    if header == "GIVEN" and "CSVHeaders" not in config:
        yield schema("These fields are required: [CSVHeaders]", where)
