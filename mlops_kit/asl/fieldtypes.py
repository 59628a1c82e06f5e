"""Of which type, and in which range, the fields of a definition are; must not know which state has which.

Source: the pages of the state types in the AWS developer guide, the Amazon States Language specification, and
ValidateStateMachineDefinition's answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.diagnostics import Diagnostic, schema
from mlops_kit.asl.jsonata import is_expression

Ranges = Mapping[str, tuple[float | None, float | None]]

RANGES: Ranges = {
    "TimeoutSeconds": (1, 99_999_999),
    "HeartbeatSeconds": (1, 99_999_999),
    "Seconds": (0, 99_999_999),
    "MaxConcurrency": (0, None),
    "ToleratedFailurePercentage": (None, 100),
    "ToleratedFailureCount": (None, None),
}
_FRACTIONS = frozenset({"BackoffRate", "ToleratedFailurePercentage"})
_TEXTS = frozenset({"Comment", "Next", "Default", "StartAt", "Resource", "Error", "Cause", "Label", "Type"})
_LISTS = frozenset({"Branches", "Choices", "Retry", "Catch"})
_OBJECTS = frozenset(
    {"ItemProcessor", "Iterator", "States", "ItemReader", "ItemBatcher", "ResultWriter", "Assign"}
    | {"ProcessorConfig", "ReaderConfig", "WriterConfig"}
)


def is_token(value: Any) -> bool:
    """Whether a text holds a ``${Token}`` that CloudFormation replaces."""
    return isinstance(value, str) and "${" in value


def types(value: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    """Fields that have another type than AWS's."""
    for name, item in value.items():
        if name in _TEXTS and not isinstance(item, str):
            yield wrong("STRING", f"{path}/{name}")
        elif name in _LISTS:
            yield from objects(item, f"{path}/{name}", empty=name in ("Retry", "Catch"))
        elif name in _OBJECTS and not isinstance(item, Mapping):
            yield wrong("OBJECT", f"{path}/{name}")
        elif name == "End" and not isinstance(item, bool):
            yield wrong("BOOLEAN", f"{path}/{name}")


def objects(value: Any, path: str, *, empty: bool = False) -> Iterator[Diagnostic]:
    """What keeps a value from being a list of objects."""
    if not isinstance(value, list):
        yield wrong("ARRAY", path)
    elif not value and not empty:
        yield schema("Value cannot be empty", path)
    else:
        for i, item in enumerate(value):
            if not isinstance(item, Mapping):
                yield wrong("OBJECT", f"{path}[{i}]")


def wrong(kind: str, location: str) -> Diagnostic:
    """The refusal of a value that has not the type ``kind``, such as ``OBJECT``."""
    return schema(f"Expected value of type [{kind}]", location)


def numbers(
    value: Mapping[str, Any], path: str, ranges: Ranges, *, expressions: bool
) -> Iterator[Diagnostic]:
    """Numbers that have another type or are out of range; JSONata fields may hold ``expressions``."""
    for name, (least, most) in ranges.items():
        item = value.get(name)
        if name not in value or (expressions and is_expression(item)):
            continue
        where = f"{path}/{name}"
        kinds = (int, float) if name in _FRACTIONS else (int,)
        if isinstance(item, bool) or not isinstance(item, kinds):
            yield schema("Expected value of type Integer", where)
        elif least is not None and item < least:
            yield schema(f"Minimum value is {least}", where)
        elif most is not None and item > most:
            yield schema(f"Maximum value is {most}", where)


def one_of(value: Mapping[str, Any], name: str, known: tuple[str, ...], path: str) -> Iterator[Diagnostic]:
    """A field that is there with a value that AWS does not know; JSONata may compute it."""
    item = value.get(name)
    if name in value and item not in known and not is_expression(item):
        yield schema(f"Value should be one of the following: [{', '.join(known)}]", f"{path}/{name}")
