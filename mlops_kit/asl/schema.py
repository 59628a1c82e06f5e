"""Which fields a state has, of which type and range; must not read paths or expressions.

Source: the pages of the state types in the AWS developer guide, and ValidateStateMachineDefinition's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl import resources, timestamps
from mlops_kit.asl.diagnostics import Diagnostic, schema
from mlops_kit.asl.fieldtypes import RANGES, is_token, numbers, types, wrong
from mlops_kit.asl.jsonata import is_expression
from mlops_kit.asl.states import JSONATA, JSONPATH, Place

COMMON = frozenset({"Type", "Comment", "QueryLanguage"})
_FLOW = frozenset({"InputPath", "OutputPath", "Output", "Assign", "Next", "End"})
_WORK = _FLOW | {"ResultPath", "Parameters", "ResultSelector", "Retry", "Catch"}
FIELDS: dict[str, frozenset[str]] = {
    "Pass": _FLOW | {"Result", "ResultPath", "Parameters"},
    "Task": _WORK
    | {"Arguments", "Resource", "Credentials"}
    | {"TimeoutSeconds", "TimeoutSecondsPath", "HeartbeatSeconds", "HeartbeatSecondsPath"},
    "Wait": _FLOW | {"Seconds", "Timestamp", "SecondsPath", "TimestampPath"},
    "Parallel": _WORK | {"Arguments", "Branches"},
    "Map": _WORK
    | {
        "ItemProcessor",
        "Iterator",
        "ItemsPath",
        "Items",
        "ItemSelector",
        "ItemReader",
        "ItemBatcher",
        "ResultWriter",
    }
    | {"MaxConcurrency", "MaxConcurrencyPath", "ToleratedFailurePercentage", "ToleratedFailurePercentagePath"}
    | {"ToleratedFailureCount", "ToleratedFailureCountPath", "Label"},
    "Choice": frozenset({"InputPath", "OutputPath", "Output", "Assign", "Choices", "Default"}),
    "Succeed": frozenset({"InputPath", "OutputPath", "Output"}),
    "Fail": frozenset({"Error", "Cause", "ErrorPath", "CausePath"}),
}
TOP_FIELDS = frozenset({"Comment", "QueryLanguage", "StartAt", "TimeoutSeconds", "Version", "States"})
PROCESSOR_FIELDS = frozenset({"Comment", "StartAt", "States", "ProcessorConfig"})
BRANCH_FIELDS = frozenset({"Comment", "StartAt", "States"})
ONLY_JSONPATH = frozenset(
    {"InputPath", "OutputPath", "ResultPath", "Parameters", "ResultSelector", "Result", "ItemsPath"}
    | {"TimeoutSecondsPath", "HeartbeatSecondsPath", "SecondsPath", "TimestampPath", "MaxConcurrencyPath"}
    | {"ToleratedFailurePercentagePath", "ToleratedFailureCountPath", "ErrorPath", "CausePath"}
)
ONLY_JSONATA = frozenset({"Arguments", "Output", "Items"})
_PAIRS = (
    ("TimeoutSeconds", "TimeoutSecondsPath"),
    ("HeartbeatSeconds", "HeartbeatSecondsPath"),
    ("MaxConcurrency", "MaxConcurrencyPath"),
    ("ToleratedFailurePercentage", "ToleratedFailurePercentagePath"),
    ("ToleratedFailureCount", "ToleratedFailureCountPath"),
    ("Error", "ErrorPath"),
    ("Cause", "CausePath"),
    ("ItemProcessor", "Iterator"),
    ("Next", "End"),
)
_WAITS = ("SecondsPath", "Seconds", "TimestampPath", "Timestamp")


Knows = Callable[[str, str], bool]


@dataclass(frozen=True)
class Mode:
    """What a definition is checked for.

    Attributes
    ----------
    express : bool
        An Express state machine.
    tokens : bool
        Texts may hold ``${Token}``, which CloudFormation will replace; such a text counts as right.
    knows : callable
        Whether AWS's SDKs have a service and an action, such as ``sfn`` and ``startExecution``.
    """

    express: bool = False
    tokens: bool = False
    knows: Knows = lambda service, action: True

    def open(self, value: Any) -> bool:
        """Whether a value is not known yet."""
        return self.tokens and is_token(value)

    def closed(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The members that are known."""
        return {name: item for name, item in value.items() if not self.open(item)}


def machine(value: Mapping[str, Any], path: str, fields: frozenset[str]) -> Iterator[Diagnostic]:
    """What is wrong with a machine's own fields."""
    where = path or "/"
    missing = [name for name in ("StartAt", "States") if name not in value]
    if missing:
        yield schema(f"These fields are required: [{', '.join(missing)}]", where)
    for name in value:
        if name not in fields:
            yield schema(f"Field '{name}' is not supported", where)
    yield from types(value, path)
    yield from numbers(value, path, {"TimeoutSeconds": RANGES["TimeoutSeconds"]}, expressions=False)
    if value.get("States") == {}:
        yield schema("Value cannot be empty", f"{path}/States")
    if "Version" in value and value["Version"] != "1.0":
        yield schema("Value should be one of the following: [1.0]", f"{path}/Version")
    yield from _language_value(value, path)
    states = value.get("States")
    for name, state in states.items() if isinstance(states, Mapping) else ():
        if not isinstance(state, Mapping):
            yield wrong("OBJECT", f"{path}/States/{name}")


def state(place: Place, language: str, mode: Mode) -> Iterator[Diagnostic]:
    """What is wrong with a state's own fields, in the query language that holds for it."""
    path, value, kind = place.path, place.state, place.state.get("Type")
    if "Type" not in value:
        yield schema("These fields are required: [Type]", path)
        return
    if not isinstance(kind, str) or kind not in FIELDS:
        yield schema(f"Value should be one of the following: [{', '.join(FIELDS)}]", f"{path}/Type")
        return
    for name in value:
        if name not in FIELDS[kind] and name not in COMMON:
            yield schema(f"Field '{name}' is not supported", path)
        elif name in (ONLY_JSONPATH if language != JSONPATH else ONLY_JSONATA):
            yield _other_language(name, language, path)
    yield from _language_value(value, path)
    closed = mode.closed(value)
    yield from types(closed, path)
    yield from _required(kind, value, path)
    yield from numbers(closed, path, RANGES, expressions=language == JSONATA)
    yield from _timestamp(closed, path, language)
    if kind == "Task":
        yield from _resource(closed, path, mode)


def other_language(names: Iterator[str], language: str, path: str) -> Iterator[Diagnostic]:
    """Fields of a rule or catcher that belong to the other query language."""
    for name in names:
        yield _other_language(name, language, path)


def _other_language(name: str, language: str, path: str) -> Diagnostic:
    mine, other = (JSONPATH, JSONATA) if language == JSONPATH else (JSONATA, JSONPATH)
    return schema(
        f"The QueryLanguage is set to '{mine}', but field '{name}' is only supported for the '{other}' "
        "QueryLanguage",
        path,
    )


def _language_value(value: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    if "QueryLanguage" not in value:
        return
    language = value["QueryLanguage"]
    if not isinstance(language, str):
        yield wrong("STRING", f"{path}/QueryLanguage")
    elif language not in (JSONPATH, JSONATA):
        yield schema("Value should be one of the following: [JSONPath, JSONata]", f"{path}/QueryLanguage")


def _required(kind: str, value: Mapping[str, Any], path: str) -> Iterator[Diagnostic]:
    needs = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}.get(kind)
    if needs and needs not in value:
        yield schema(f"These fields are required: [{needs}]", path)
    if kind == "Map" and "ItemProcessor" not in value and "Iterator" not in value:
        yield schema(
            "This object should have only one of the following fields: [ItemProcessor, Iterator]", path
        )
    if kind not in ("Choice", "Succeed", "Fail") and "Next" not in value and value.get("End") is not True:
        yield schema("This object should have only one of the following fields: [Next, End]", path)
    for pair in _PAIRS:
        if all(name in value for name in pair) and not (pair == ("Next", "End") and value["End"] is False):
            yield schema(f"There should only be one of the following fields: [{', '.join(pair)}]", path)
    waits = [name for name in _WAITS if name in value]
    if kind == "Wait" and len(waits) != 1:
        yield schema(f"There should only be one of the following fields: [{', '.join(_WAITS)}]", path)


def _timestamp(value: Mapping[str, Any], path: str, language: str) -> Iterator[Diagnostic]:
    moment = value.get("Timestamp")
    if moment is None or (language == JSONATA and is_expression(moment)):
        return
    if timestamps.parse(moment) is None:
        yield schema("String does not match RFC3339 timestamp", f"{path}/Timestamp")


def unrecognized(resource: str, location: str) -> Diagnostic:
    """The refusal of a Resource that names no integration."""
    words = (
        f"The resource provided {resource} is not recognized. The value is not a valid resource ARN, or the "
    )
    return schema(f"{words}resource is not available in this region.", location)


def _resource(value: Mapping[str, Any], path: str, mode: Mode) -> Iterator[Diagnostic]:
    text, where = value.get("Resource"), f"{path}/Resource"
    if not isinstance(text, str):
        return
    resource = resources.parse(text)
    if resource is None:
        yield schema("Value is not a valid resource ARN", where)
    elif not resources.recognized(resource) or (
        resource.kind == "sdk" and not mode.knows(resource.service, resource.action)
    ):
        yield unrecognized(text, where)
    elif mode.express and resource.kind == "activity":
        yield schema("Express state machine does not support activities", where)
    elif mode.express and resource.pattern in (resources.SYNC, resources.SYNC_2):
        yield schema("Express state machine does not support '.sync' service integration", where)
    elif mode.express and resource.pattern == resources.TOKEN:
        yield schema("Express state machine does not support '.waitForTaskToken' service integration ", where)
    credentials = value.get("Credentials")
    if isinstance(credentials, Mapping) and "RoleArn" not in credentials and "RoleArn.$" not in credentials:
        yield schema("The field 'RoleArn' is required but was missing", f"{path}/Credentials")
