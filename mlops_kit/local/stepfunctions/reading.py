"""ItemReader and ItemBatcher of distributed Map: items from S3, and batches of them; starts nothing."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_kit.asl import jackson
from mlops_kit.asl.errors import StatesError
from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions import maps
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import dumps, loads
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations.calls import request, send
from mlops_kit.local.stepfunctions.integrations.target import Target

_GET = Target("service", "arn:aws:states:::aws-sdk:s3:getObject", "s3", "getObject", sdk=True)
_MOST = 100_000_000  # items that an ItemReader gives at most (ItemReader, ReaderConfig)


@dataclass(frozen=True)
class Plan:
    """What an ItemReader asks for.

    Attributes
    ----------
    action : str
        getObject or listObjectsV2.
    arguments : mapping
        Bucket, Key, Prefix and the like.
    config : mapping
        ReaderConfig, its computed fields evaluated.
    """

    action: str
    arguments: Mapping[str, Any]
    config: Mapping[str, Any]


def plan(reader: Reader) -> Plan:
    """Evaluate a state's ItemReader."""
    spec = reader.state.spec["ItemReader"]
    if reader.state.jsonata:
        arguments = reader.jsonata(spec.get("Arguments", {}), "ItemReader/Arguments", expect="object")
        config = reader.jsonata(spec.get("ReaderConfig", {}), "ItemReader/ReaderConfig")
        if "MaxItems" in config:
            config = {**config, "MaxItems": _max_items(config["MaxItems"], "MaxItems")}
    else:
        data = reader.narrowed()
        arguments = reader.template(spec.get("Parameters", {}), data)
        config = dict(spec.get("ReaderConfig", {}))
        if "MaxItemsPath" in config:
            path = config["MaxItemsPath"]
            config["MaxItems"] = _max_items(reader.path(path, data), "MaxItemsPath", f": {path}")
    return Plan(spec["Resource"].rpartition(":")[2], arguments, config)


def _max_items(value: Any, field: str, where: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        shown = value if isinstance(value, str) else dumps(value)
        words = f'The {field} field refers to value "{shown}" which is not a valid integer{where}'
        raise StateFailed("States.ItemReaderFailed", words)
    if value < 0:
        raise StateFailed("States.ItemReaderFailed", "field MaxItems must be positive")
    return value


def read(context: Context, plan: Plan) -> list[Any]:
    """The items that a plan names; for a worker thread.

    Raises
    ------
    StateFailed
        States.ItemReaderFailed.
    """
    limit = plan.config.get("MaxItems") or _MOST
    if plan.action == "listObjectsV2":
        return _listed(context, plan.arguments, limit)
    kind = plan.config.get("InputType", "JSON")
    if kind == "MANIFEST":
        return _inventory(context, plan, limit)
    body = _object(context, plan.arguments)
    return _parsed(kind, body, plan.config, limit)


def _parsed(kind: str, body: bytes, config: Mapping[str, Any], limit: int) -> list[Any]:
    if kind == "CSV":
        return _table(body.decode("utf-8-sig"), config, limit)
    if kind == "JSONL":
        return _lines(body.decode("utf-8-sig"), limit)
    if kind == "PARQUET":
        return _parquet(body, limit)
    return _array(body.decode("utf-8-sig"), config, limit)


def _object(context: Context, arguments: Mapping[str, Any]) -> bytes:
    try:
        return bytes(request(context, _GET, arguments)[1]["Body"].read())
    except StateFailed as failure:
        raise StateFailed("States.ItemReaderFailed", failure.cause) from None


def _listed(context: Context, arguments: Mapping[str, Any], limit: int) -> list[Any]:
    target = Target("service", "arn:aws:states:::aws-sdk:s3:listObjectsV2", "s3", "listObjectsV2", sdk=True)
    found: list[Any] = []
    more: dict[str, Any] = {}
    while len(found) < limit:
        try:
            answer = send(context, target, {**arguments, **more}).body
        except StateFailed as failure:
            raise StateFailed("States.ItemReaderFailed", failure.cause) from None
        found += [_as_item(entry) for entry in answer.get("Contents", [])]
        if not answer.get("NextContinuationToken"):
            break
        more = {"ContinuationToken": answer["NextContinuationToken"]}
    return found[:limit]


def _as_item(entry: dict[str, Any]) -> dict[str, Any]:
    """An object of a listing as AWS gives it to a Map: Etag, and epoch seconds."""
    renamed = {"Etag" if key == "ETag" else key: value for key, value in entry.items()}
    if "LastModified" in renamed:
        renamed["LastModified"] = int(datetime.fromisoformat(renamed["LastModified"]).timestamp())
    return renamed


def _array(text: str, config: Mapping[str, Any], limit: int) -> list[Any]:
    try:
        value = loads(text)
    except ValueError:
        raise _no_json(text) from None
    pointer = config.get("ItemsPointer")
    for part in (pointer or "").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise StateFailed("States.ItemReaderFailed", f"ItemsPointer {pointer} finds nothing.") from None
    if isinstance(value, dict) and pointer:
        value = maps.pairs(value)
    if not isinstance(value, list):
        raise StateFailed("States.ItemReaderFailed", "Attempting to map over non-iterable node.")
    return value[:limit]


def _lines(text: str, limit: int) -> list[Any]:
    found: list[Any] = []
    for line in text.splitlines():
        if len(found) < limit and line.strip():
            try:
                found.append(loads(line))
            except ValueError:
                raise _no_json(line) from None
    return found


def _no_json(text: str) -> StateFailed:
    words = f"Attempting to parse invalid JSON: {jackson.words(text)}"
    return StateFailed("States.ItemReaderFailed", words)


def _table(text: str, config: Mapping[str, Any], limit: int) -> list[Any]:
    delimiters = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
    delimiter = delimiters.get(config.get("CSVDelimiter", "COMMA"), ",")
    found = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows = [row for row in found if row]
    if config.get("CSVHeaderLocation") == "GIVEN":
        headers = list(config.get("CSVHeaders", ()))
    else:
        headers, rows = (rows[0], rows[1:]) if rows else ([], [])
    if len(set(headers)) != len(headers):
        raise StateFailed("States.ItemReaderFailed", "CSV headers cannot contain duplicates.")
    return [_record(headers, row) for row in rows[:limit]]


def _record(headers: list[str], row: list[str]) -> dict[str, str]:
    """A row by its headers: cells that are absent are empty, those that are too many are dropped."""
    padded = row + [""] * (len(headers) - len(row))
    return dict(zip(headers, padded, strict=False))


def _parquet(body: bytes, limit: int) -> list[Any]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(body)).slice(0, limit)
    return [json.loads(json.dumps(row, default=str)) for row in table.to_pylist()]


def _inventory(context: Context, plan: Plan, limit: int) -> list[Any]:
    """Objects of an S3 inventory: the manifest names CSV files without headers, gzipped."""
    text = _object(context, plan.arguments).decode("utf-8-sig")
    try:
        manifest = loads(text)
        headers = [name.strip() for name in manifest["fileSchema"].split(",")]
        bucket, files = str(manifest["destinationBucket"]).rpartition(":")[2], list(manifest["files"])
    except ValueError:
        raise _no_json(text) from None
    except (KeyError, TypeError, AttributeError):
        words = "The object is no manifest of an S3 inventory in CSV."
        raise StateFailed("States.ItemReaderFailed", words) from None
    found: list[Any] = []
    for entry in files:
        data = _object(context, {"Bucket": bucket, "Key": entry["key"]})
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
        found += [_record(headers, row) for row in csv.reader(io.StringIO(text)) if row]
        if len(found) >= limit:
            break
    return found[:limit]


# ------------------------------------------------------------------------ batches
def batches(reader: Reader, values: list[Any]) -> list[Any]:
    """Inputs of the child executions: the items, or batches of them."""
    spec = reader.state.spec.get("ItemBatcher")
    if spec is None:
        return values
    most, size = _batch_limit(reader, "MaxItemsPerBatch"), _batch_limit(reader, "MaxInputBytesPerBatch")
    common = _batch_input(reader, spec)
    groups: list[list[Any]] = []
    used = 0
    for value in values:
        length = len(dumps(value).encode()) + 1
        full = groups and ((most and len(groups[-1]) >= most) or (size and used + length > size))
        if not groups or full:
            groups.append([])
            used = len(dumps(common).encode()) + 12
        groups[-1].append(value)
        used += length
    return [{**common, "Items": group} for group in groups]


def _batch_input(reader: Reader, spec: Mapping[str, Any]) -> dict[str, Any]:
    if "BatchInput" not in spec:
        return {}
    if reader.state.jsonata:
        return {"BatchInput": reader.jsonata(spec["BatchInput"], "ItemBatcher/BatchInput")}
    return {"BatchInput": reader.template(spec["BatchInput"], reader.narrowed())}


def _batch_limit(reader: Reader, field: str) -> int | None:
    spec = reader.state.spec["ItemBatcher"]
    value = spec.get(field)
    if isinstance(value, str):
        value = reader.jsonata(value, f"ItemBatcher/{field}", expect="integer")
    elif f"{field}Path" in spec:
        value = reader.path(spec[f"{field}Path"], reader.narrowed())
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
        raise StatesError("States.Runtime", f"{field} must be a positive integer.")
    return value
