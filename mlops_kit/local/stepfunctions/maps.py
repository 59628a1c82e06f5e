"""What inline and distributed Map states read of their fields: items, selection, limits, tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl.errors import StatesError
from mlops_kit.asl.jsonata import is_expression
from mlops_kit.local.stepfunctions import ledger
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import dumps, loads
from mlops_kit.local.stepfunctions.frames import Frame


def items(reader: Reader) -> list[Any]:
    """The items of a Map state without ItemReader; a distributed one also takes the pairs of an object.

    Raises
    ------
    StatesError
        They are no array, in AWS's words.
    """
    spec = reader.state.spec
    processor = spec.get("ItemProcessor", spec.get("Iterator", {}))
    takes_objects = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
    if reader.state.jsonata:
        if "Items" in spec:
            expect = None if takes_objects and is_expression(spec["Items"]) else "array"
            found = reader.jsonata(spec["Items"], "Items", expect=expect)
            if isinstance(found, dict) and takes_objects:
                return pairs(found)
            if not isinstance(found, list):
                words = f"Map state Items must be an array but was: {dumps(found)}"
                raise StatesError("States.QueryEvaluationError", words, "Items")
            return found
        data = reader.frame.input.value
        if not isinstance(data, list):
            words = f"Map state input must be an array but was: {dumps(data)}"
            raise StatesError("States.QueryEvaluationError", words)
        return data
    path = spec.get("ItemsPath", "$")
    found = reader.path(path, reader.narrowed())
    if isinstance(found, dict) and takes_objects:
        return pairs(found)
    if not isinstance(found, list):
        raise StatesError("States.Runtime", f'Reference path "{path}" must point to array.')
    return found


def pairs(value: Mapping[str, Any]) -> list[Any]:
    """The members of an object as items (Step Functions Developer Guide, "ItemsPath")."""
    return [{"Key": key, "Value": item} for key, item in value.items()]


def selected(reader: Reader, item: Mapping[str, Any]) -> Any:
    """Input of one item: ItemSelector (in old definitions Parameters), or the item itself."""
    spec = reader.state.spec
    selector = spec.get("ItemSelector", spec.get("Parameters"))
    if selector is None:
        return item["Value"]
    reader.show_item(item)
    if reader.state.jsonata:
        return reader.jsonata(selector, "ItemSelector")
    return reader.template(selector, reader.narrowed())


def whole_number(reader: Reader, field: str) -> int | None:
    """MaxConcurrency, ToleratedFailureCount or MaxItems, from the value, an expression or a path."""
    spec = reader.state.spec
    value: int | None
    if isinstance(spec.get(field), str):
        value = reader.jsonata(spec[field], field, expect="integer")
    elif f"{field}Path" in spec:
        path = spec[f"{field}Path"]
        found = reader.path(path, reader.narrowed())
        try:
            value = int(found) if isinstance(found, str) else found
        except ValueError:
            raise _not_a(f"{field}Path", found, "integer", path) from None
        if isinstance(value, bool) or not isinstance(value, int):
            raise _not_a(f"{field}Path", found, "integer", path)
    else:
        value = spec.get(field)
    if value is not None and value < 0:
        words = f"Expected non-negative integer for {field}, got {value} instead."
        raise _range(reader, field, words if field == "MaxConcurrency" else f"{field} cannot be negative.")
    return value


def _not_a(field: str, value: Any, kind: str, path: str) -> StatesError:
    shown = value if isinstance(value, str) else dumps(value)
    return StatesError(
        "States.Runtime", f'The {field} field refers to value "{shown}" which is not a valid {kind}: {path}'
    )


def _range(reader: Reader, field: str, words: str) -> StatesError:
    if reader.state.jsonata:
        return StatesError("States.QueryEvaluationError", words, field)
    return StatesError("States.Runtime", words)


@dataclass(frozen=True)
class Tolerance:
    """How many items may fail; None where the definition says nothing."""

    count: int | None
    percentage: float | None

    def exceeded(self, failed: int, total: int) -> bool:
        """Whether so many failures end the Map Run."""
        if not failed:
            return False
        if self.count is None and self.percentage is None:
            return True
        over_count = self.count is not None and failed > self.count
        over_share = self.percentage is not None and failed * 100 > self.percentage * max(total, 1)
        return over_count or over_share


def tolerance(reader: Reader) -> Tolerance:
    """ToleratedFailureCount and ToleratedFailurePercentage."""
    spec, field = reader.state.spec, "ToleratedFailurePercentage"
    count = whole_number(reader, "ToleratedFailureCount")
    share: Any = spec.get(field)
    if isinstance(share, str):
        share = reader.jsonata(share, field, expect="number")
    elif f"{field}Path" in spec:
        path = spec[f"{field}Path"]
        found = reader.path(path, reader.narrowed())
        try:
            share = float(found) if isinstance(found, str) else found
        except ValueError:
            raise _not_a(f"{field}Path", found, "float", path) from None
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise _not_a(f"{field}Path", found, "float", path)
    if share is not None and not 0 <= share <= 100:
        raise _range(reader, field, f"{field} must be between 0 and 100.")
    return Tolerance(count, share)


def store_items(frame: Frame, values: list[Any]) -> None:
    """Keep the items beside the frame, once."""
    execution = frame.execution
    if execution.durable:
        execution.engine.write(ledger.items(execution.birth.id, frame.id, dumps(values)))


async def stored_items(frame: Frame) -> list[Any]:
    """The items that `store_items` kept, after a restart or for a redrive."""
    execution = frame.execution
    text = await execution.engine.blocking(execution.engine.book.items, execution.birth.id, frame.id)
    return list(loads(text or "[]"))
