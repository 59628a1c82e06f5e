"""Checks of a Map's processor, reader, batcher, writer and label; must not look into its states.

Source: the pages "Map state" and below (AWS developer guide), and CreateStateMachine's answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl import fieldtypes
from mlops_kit.asl.diagnostics import Diagnostic, schema
from mlops_kit.asl.fieldtypes import one_of, wrong
from mlops_kit.asl.jsonata import is_expression
from mlops_kit.asl.schema import Mode, unrecognized
from mlops_kit.asl.states import JSONATA, Place

_READER_RANGES: fieldtypes.Ranges = {"MaxItems": (0, 100_000_000)}
_BATCHER_RANGES: fieldtypes.Ranges = {"MaxItemsPerBatch": (1, None), "MaxInputBytesPerBatch": (1, 262_144)}
_BATCHER = frozenset(
    {"BatchInput", "MaxItemsPerBatch", "MaxItemsPerBatchPath", "MaxInputBytesPerBatch"}
    | {"MaxInputBytesPerBatchPath"}
)
_INPUT_TYPES = ("CSV", "JSON", "JSONL", "PARQUET", "MANIFEST")
_READERS = ("getObject", "listObjectsV2")
_LABEL_LENGTH = 40
_NOT_IN_A_LABEL = frozenset(' ?*<>{}[]:;,\\|^~$#%&`"')


def check(place: Place, language: str, mode: Mode) -> Iterator[Diagnostic]:
    """AWS's diagnostics of a Map's parts."""
    state, path = mode.closed(place.state), place.path
    for field in ("ItemProcessor", "Iterator"):
        processor = state.get(field)
        if isinstance(processor, Mapping):
            yield from fieldtypes.types(_only(processor, "ProcessorConfig"), f"{path}/{field}")
            if isinstance(processor.get("ProcessorConfig"), Mapping):
                config = mode.closed(processor["ProcessorConfig"])
                yield from _processor(config, f"{path}/{field}/ProcessorConfig", mode)
    expressions = language == JSONATA
    for field, part in (("ItemReader", _reader), ("ItemBatcher", _batcher), ("ResultWriter", _writer)):
        if isinstance(state.get(field), Mapping):
            yield from part(mode.closed(state[field]), f"{path}/{field}", expressions)
    yield from _items(state, path, expressions)
    label = state.get("Label")
    if isinstance(label, str):
        if len(label) > _LABEL_LENGTH:
            yield schema(f"Label must not exceed {_LABEL_LENGTH} characters", f"{path}/Label")
        elif any(char in _NOT_IN_A_LABEL or ord(char) < 32 for char in label):
            yield schema("Label contains invalid characters", f"{path}/Label")


def _only(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return {name: item for name, item in value.items() if name in names}


def _processor(config: Mapping[str, Any], path: str, machine: Mode) -> Iterator[Diagnostic]:
    mode, kind = config.get("Mode", "INLINE"), config.get("ExecutionType")
    if mode not in ("INLINE", "DISTRIBUTED"):
        yield from one_of(config, "Mode", ("INLINE", "DISTRIBUTED"), path)
    elif mode == "DISTRIBUTED" and machine.express:
        yield schema("Express state machine does not support Map state in DISTRIBUTED mode", path)
    elif mode == "DISTRIBUTED" and kind is None:
        yield schema("These fields are required: [ExecutionType]", path)
    elif mode == "INLINE" and kind is not None:
        yield schema("Field 'ExecutionType' is not supported", path)
    else:
        yield from one_of(config, "ExecutionType", ("STANDARD", "EXPRESS"), path)


def _reader(reader: Mapping[str, Any], path: str, expressions: bool) -> Iterator[Diagnostic]:
    yield from _s3(reader, path, _READERS)
    yield from fieldtypes.types(_only(reader, "ReaderConfig"), path)
    config = reader.get("ReaderConfig")
    if not isinstance(config, Mapping):
        return
    where, header = f"{path}/ReaderConfig", config.get("CSVHeaderLocation")
    yield from one_of(config, "InputType", _INPUT_TYPES, where)
    yield from fieldtypes.numbers(config, where, _READER_RANGES, expressions=expressions)
    yield from _alone(config, "MaxItems", where)
    if config.get("InputType") == "CSV" and header is None:
        yield schema("The field 'CSVHeaderLocation' is required", where)
    if config.get("InputType") == "JSON" and header is not None:
        yield schema("Field 'CSVHeaderLocation' is not supported", where)
    if header == "GIVEN" and "CSVHeaders" not in config:
        yield schema("These fields are required: [CSVHeaders]", where)
    headers = config.get("CSVHeaders", [])
    if not isinstance(headers, list) and not (expressions and is_expression(headers)):
        yield wrong("ARRAY", f"{where}/CSVHeaders")


def _batcher(batcher: Mapping[str, Any], path: str, expressions: bool) -> Iterator[Diagnostic]:
    for name in batcher:
        if name not in _BATCHER:
            yield schema(f"Field '{name}' is not supported", path)
    yield from fieldtypes.numbers(batcher, path, _BATCHER_RANGES, expressions=expressions)
    for name in _BATCHER_RANGES:
        yield from _alone(batcher, name, path)
    if not any(name in batcher for name in _BATCHER - {"BatchInput"}):
        names = ", ".join(f"{name}, {name}Path" for name in _BATCHER_RANGES)
        yield schema(f"This object should have at least one of the following fields: [{names}]", path)


def _writer(writer: Mapping[str, Any], path: str, expressions: bool) -> Iterator[Diagnostic]:
    if "Resource" in writer or "WriterConfig" not in writer:
        yield from _s3(writer, path, ("putObject",))
    yield from fieldtypes.types(_only(writer, "WriterConfig"), path)
    config = writer.get("WriterConfig")
    if isinstance(config, Mapping):
        yield from one_of(config, "Transformation", ("NONE", "COMPACT", "FLATTEN"), f"{path}/WriterConfig")
        yield from one_of(config, "OutputType", ("JSON", "JSONL"), f"{path}/WriterConfig")


def _s3(part: Mapping[str, Any], path: str, actions: tuple[str, ...]) -> Iterator[Diagnostic]:
    for name in ("Parameters", "Arguments"):
        value = part.get(name, {})
        if not isinstance(value, Mapping) and (name == "Parameters" or not is_expression(value)):
            yield wrong("OBJECT", f"{path}/{name}")
    resource = part.get("Resource")
    if "Resource" not in part:
        yield schema("These fields are required: [Resource]", path)
    elif not isinstance(resource, str):
        yield wrong("STRING", f"{path}/Resource")
    elif not resource.endswith(tuple(f":states:::s3:{one}" for one in actions)):
        yield unrecognized(resource, f"{path}/Resource")


def _alone(value: Mapping[str, Any], name: str, path: str) -> Iterator[Diagnostic]:
    if name in value and f"{name}Path" in value:
        yield schema(f"There should only be one of the following fields: [{name}, {name}Path]", path)


def _items(state: Mapping[str, Any], path: str, expressions: bool) -> Iterator[Diagnostic]:
    items = state.get("Items")
    if (
        "Items" in state
        and expressions
        and not isinstance(items, (list, Mapping))
        and not is_expression(items)
    ):
        yield wrong("ARRAY", f"{path}/Items")
