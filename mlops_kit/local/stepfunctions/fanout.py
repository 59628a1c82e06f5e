"""Parallel and inline Map states: branches and items as frames below one frame; no single state's work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from mlops_kit.local.stepfunctions import distributed, maps
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import Doc
from mlops_kit.local.stepfunctions.engine import Engine, halt
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.frames import CHILDREN, FAILED, RUNNING, WORK, Frame, mark_aborted
from mlops_kit.local.stepfunctions.outcome import Outcome

_INLINE = 40  # items of an inline Map that AWS runs at a time (Map state processing modes)
_STRIDE = 16  # items after which a worker lets others run
_ABORTABLE = ("Task", "Wait", "Parallel", "Map")


async def parallel(reader: Reader) -> Outcome:
    """Parallel: every branch on the same input; the first that fails ends the others."""
    frame, state = reader.frame, reader.state
    execution = frame.execution
    if frame.phase == WORK:
        data = Doc(reader.arguments())
        execution.drop_children(frame)
        execution.record(frame, "ParallelStateStarted")
        for number, scope in enumerate(state.branches):
            child = execution.new_frame(scope, frame, number)
            child.input, child.previous = data, frame.previous
            execution.mark(child)
        frame.phase = CHILDREN
        execution.mark(frame)
    failed = await _all(execution.engine, frame.children.values())
    if failed is not None:
        _abort_branches(frame)
        raise StateFailed(failed.error, failed.cause)
    children = [frame.children[number] for number in range(len(state.branches))]
    frame.previous = max(child.previous for child in children)
    execution.record(frame, "ParallelStateSucceeded", lane=False)
    return Outcome(state.next, *reader.close(_values(children)))


def _values(children: Iterable[Frame]) -> list[Any]:
    return [child.result.value if child.result else None for child in children]


async def _all(engine: Engine, children: Iterable[Frame]) -> Frame | None:
    """Drive all frames; the first that failed, with the others brought to a halt."""
    children = list(children)
    running = {
        asyncio.ensure_future(engine.drive(child)): child for child in children if child.status == RUNNING
    }
    try:
        waiting = set(running)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if any(running[task].status == FAILED for task in done):
                break
    finally:
        await halt(running)
    return next((child for child in children if child.status == FAILED), None)


def _abort_branches(frame: Frame) -> None:
    """Record what the failure cut short; AWS counts the failed Task itself among it (recorded)."""
    for child in frame.children.values():
        if child.status in (RUNNING, FAILED) and child.spec.kind in _ABORTABLE:
            frame.execution.record(child, f"{child.spec.kind}StateAborted")
        mark_aborted(child)


# ---------------------------------------------------------------------- inline Map
async def map_(reader: Reader) -> Outcome:
    """Map: the processor once an item, some at a time."""
    if reader.state.distributed:
        return await distributed.map_(reader)
    frame, state = reader.frame, reader.state
    execution = frame.execution
    items = await _begin(reader) if frame.phase == WORK else await maps.stored_items(frame)
    failed = await _iterate(reader, items)
    if failed is not None:
        for child in frame.children.values():
            if child.status == RUNNING:
                execution.record(child, "MapIterationAborted", {"name": state.name, "index": child.ordinal})
                mark_aborted(child)
        raise StateFailed(failed.error, failed.cause)
    children = [frame.children[number] for number in range(len(items))]
    execution.record(frame, "MapStateSucceeded", lane=False)
    return Outcome(state.next, *reader.close(_values(children)))


async def _begin(reader: Reader) -> list[Any]:
    frame, execution = reader.frame, reader.frame.execution
    limit = maps.whole_number(reader, "MaxConcurrency")
    items = maps.items(reader)
    maps.tolerance(reader)
    execution.drop_children(frame)
    execution.record(frame, "MapStateStarted", {"length": len(items)})
    maps.store_items(frame, items)
    frame.task = {"limit": limit or 0}
    frame.phase = CHILDREN
    execution.mark(frame)
    return items


async def _iterate(reader: Reader, items: list[Any]) -> Frame | None:
    """Drive the items by as many workers as the state allows."""
    frame = reader.frame
    lanes = min(frame.task.get("limit") or _INLINE, _INLINE, max(len(items), 1))
    queue = iter(range(len(items)))
    frame.execution.mark(frame)
    if lanes == 1:
        return await _worker(reader, items, queue)
    workers = [asyncio.ensure_future(_worker(reader, items, queue)) for _ in range(lanes)]
    try:
        waiting: set[asyncio.Future[Frame | None]] = set(workers)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for worker in done:
                failed = worker.result()
                if failed is not None:
                    return failed
    finally:
        await halt(workers)
    return None


async def _worker(reader: Reader, items: list[Any], queue: Iterator[int]) -> Frame | None:
    """One item after another; the first that failed ends it."""
    frame, execution, name = reader.frame, reader.frame.execution, reader.state.name
    previous = frame.previous
    for index in queue:
        child = frame.children.get(index)
        if child is None:
            child = _item_frame(reader, index, items[index], previous)
        if child.status == RUNNING:
            await execution.engine.drive(child)
            about = {"name": name, "index": index}
            if child.status == FAILED:
                frame.previous = child.previous
                execution.record(child, "MapIterationFailed", about, lane=False)
                return child
            frame.previous = execution.record(child, "MapIterationSucceeded", about, lane=False)
        previous = child.previous
        if index % _STRIDE == _STRIDE - 1:
            await execution.engine.breathe()
    return None


def _item_frame(reader: Reader, index: int, item: Any, previous: int) -> Frame:
    frame, execution, scope = reader.frame, reader.frame.execution, reader.state.processor
    assert scope is not None  # noqa: S101
    shown = {"Index": index, "Value": item}
    selected = maps.selected(reader, shown)
    child = execution.new_frame(scope, frame, index)
    child.item, child.item_ref = shown, True
    child.input, child.previous = Doc(selected), previous
    execution.record(child, "MapIterationStarted", {"name": reader.state.name, "index": index})
    execution.mark(child)
    return child
