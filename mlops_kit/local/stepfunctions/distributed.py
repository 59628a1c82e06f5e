"""Distributed Map: a Map Run whose items are child executions; `reading.py` and `writing.py` know S3."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mlops_kit.local.stepfunctions import identity, ledger, lifecycle, maps, reading, writing
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.engine import halt
from mlops_kit.local.stepfunctions.execution import Birth, Execution
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.frames import ABORTED, CHILDREN, FAILED, RUNNING, SUCCEEDED, WORK, Frame
from mlops_kit.local.stepfunctions.outcome import Outcome
from mlops_kit.local.stepfunctions.writing import Child

_LANES = 400  # child executions at a time, whatever MaxConcurrency allows (AWS: 10,000)
_ENDED_BADLY = (FAILED, "TIMED_OUT", ABORTED)
_AGAIN = "PENDING_REDRIVE"
_THRESHOLD = "States.ExceedToleratedFailureThreshold"


@dataclass
class Run:
    """A Map Run while its state works on it."""

    reader: Reader
    arn: str
    inputs: list[Any] = field(default_factory=list)
    children: dict[int, Child] = field(default_factory=dict)
    failures: int = 0

    @property
    def frame(self) -> Frame:
        """The Map state's frame."""
        return self.reader.frame

    @property
    def notes(self) -> dict[str, Any]:
        """What the frame's row keeps of the run."""
        return self.frame.task

    def put(self, child: Child) -> None:
        """Note how an item's execution stands."""
        known = self.children.get(child.index)
        self.failures += (child.status in _ENDED_BADLY) - (known is not None and known.status in _ENDED_BADLY)
        self.children[child.index] = child


async def map_(reader: Reader) -> Outcome:
    """Map in distributed mode: start or take up the Map Run, and give its results."""
    frame = reader.frame
    execution = frame.execution
    run = await _begin(reader) if frame.phase == WORK else await _take_up(reader)
    try:
        try:
            if run.notes.get("stage") == "read":
                await _read(run)
            await _work(run)
            result = await _results(run)
        except StateFailed as failure:
            _save(run, "FAILED", failure)
            execution.record(frame, "MapRunFailed", failure.details)
            raise
    except asyncio.CancelledError:
        if not execution.engine.closing:
            _save(run, "ABORTED")
            execution.record(frame, "MapRunAborted")
        raise
    _save(run, "SUCCEEDED")
    execution.record(frame, "MapRunSucceeded")
    execution.record(frame, "MapStateSucceeded", lane=False)
    return Outcome(reader.state.next, *reader.close(result))


# ------------------------------------------------------------------------- begin
async def _begin(reader: Reader) -> Run:
    frame, execution, spec = reader.frame, reader.frame.execution, reader.state.spec
    limit = maps.whole_number(reader, "MaxConcurrency")
    has_reader = "ItemReader" in spec
    values = [] if has_reader else maps.items(reader)
    execution.record(frame, "MapStateStarted", {"length": len(values)})
    tolerance = maps.tolerance(reader)
    label = spec.get("Label") or str(uuid.uuid4())
    machine = execution.birth.machine_arn.split("/")[0]
    arn = f"{machine.replace(':stateMachine:', ':mapRun:', 1)}/{label}:{uuid.uuid4()}"
    execution.record(frame, "MapRunStarted", {"mapRunArn": arn})
    frame.task = {
        "arn": arn, "label": label, "machine": machine, "limit": limit or 0, "count": tolerance.count,
        "share": tolerance.percentage, "stage": "read", "began": execution.engine.now(), "redrives": 0,
    }  # fmt: skip
    frame.phase = CHILDREN
    execution.mark(frame)
    run = Run(reader, arn)
    if not has_reader:
        run.inputs = _inputs(run, values)
        _keep_inputs(run)
    _save(run, "RUNNING")
    return run


async def _read(run: Run) -> None:
    """Read the items from where ItemReader says."""
    engine = run.frame.execution.engine
    plan = reading.plan(run.reader)
    context = identity.acting(engine.context, run.frame.execution.birth.role_arn)
    values = await engine.blocking(reading.read, context, plan)
    run.inputs = _inputs(run, values)
    _keep_inputs(run)


def _keep_inputs(run: Run) -> None:
    run.notes["stage"] = "work"
    maps.store_items(run.frame, run.inputs)
    run.frame.execution.mark(run.frame)


def _inputs(run: Run, values: list[Any]) -> list[Any]:
    """What each child execution starts with, after ItemSelector and ItemBatcher."""
    selected = [
        maps.selected(run.reader, {"Index": index, "Value": value}) for index, value in enumerate(values)
    ]
    return reading.batches(run.reader, selected)


async def _take_up(reader: Reader) -> Run:
    """A Map Run after a restart or for a redrive, with the children that it has had."""
    frame = reader.frame
    engine = frame.execution.engine
    run = Run(reader, frame.task["arn"])
    if frame.task.get("stage") == "read":
        return run
    run.inputs = await maps.stored_items(frame)
    rows = await engine.blocking(engine.book.search, {"map_run": run.arn}, None, -1)
    for row in rows:
        run.put(_from_row(row))
    for index, frame_child in frame.children.items():
        run.put(_from_frame(frame_child, run.inputs[index]))
    since = frame.task.get("redriven")
    for child in list(run.children.values()):
        if since is not None and child.status != SUCCEEDED and (child.stopped or 0) <= since:
            run.put(replace(child, status=_AGAIN))
    if frame.task.pop("announce", False):
        frame.execution.record(
            frame, "MapRunRedriven", {"mapRunArn": run.arn, "redriveCount": frame.task["redrives"]}
        )
        _save(run, "RUNNING")
    return run


def _from_row(row: ledger.Row) -> Child:
    return Child(
        index=int(row.extra["index"]),
        arn=row.arn,
        name=row.name,
        status=row.status,
        input=row.input,
        output=row.output,
        error=row.error,
        cause=row.cause,
        started=row.started,
        stopped=row.stopped,
        redrives=row.redrives,
    )


def _from_frame(frame: Frame, value: Any) -> Child:
    about = frame.task
    return Child(
        index=frame.ordinal,
        arn=about["arn"],
        name=about["name"],
        status=frame.status,
        input=dumps(value),
        output=frame.result.text if frame.result else None,
        error=frame.error,
        cause=frame.cause,
        started=about["started"],
        stopped=about["stopped"],
    )


# -------------------------------------------------------------------------- work
async def _work(run: Run) -> None:
    """Run the items by as many lanes as MaxConcurrency allows.

    Raises
    ------
    StateFailed
        The role may not start them, or more items failed than the state tolerates.
    """
    todo = [index for index in range(len(run.inputs)) if not _is_done(run, index)]
    if todo:
        execution = run.frame.execution
        identity.check_start(execution.engine.context, execution.birth.role_arn, run.notes["machine"])
    lanes = min(run.notes["limit"] or _LANES, _LANES, max(len(todo), 1))
    queue = iter(todo)
    workers = [asyncio.ensure_future(_lane(run, queue)) for _ in range(lanes)]
    try:
        await asyncio.gather(*workers)
    finally:
        await halt(workers)
    _judge(run)


def _is_done(run: Run, index: int) -> bool:
    child = run.children.get(index)
    return child is not None and child.status in (SUCCEEDED, *_ENDED_BADLY)


def _judge(run: Run) -> None:
    tolerance = maps.Tolerance(run.notes["count"], run.notes["share"])
    if tolerance.exceeded(run.failures, len(run.inputs)):
        raise StateFailed(_THRESHOLD, "The specified tolerated failure threshold was exceeded")


async def _lane(run: Run, queue: Iterator[int]) -> None:
    for number, index in enumerate(queue):
        await _one(run, index)
        _judge(run)
        if number % 8 == 7:
            await run.frame.execution.engine.breathe()


async def _one(run: Run, index: int) -> None:
    """Run one item's execution to its end."""
    execution = run.frame.execution
    known = run.children.get(index)
    child = await _again(run, known) if known else _start(run, index)
    try:
        await lifecycle.ended(child)
    except asyncio.CancelledError:
        if not execution.engine.closing:
            child.engine.spawn(lifecycle.halt(child, None, None))
            _note(run, index, child, ABORTED)
        raise
    _note(run, index, child, child.status)


def _note(run: Run, index: int, child: Execution, status: str) -> None:
    birth = child.birth
    done = Child(
        index=index,
        arn=birth.arn,
        name=birth.name,
        status=status,
        input=birth.input.text,
        output=child.output.text if child.output else None,
        error=child.error,
        cause=child.cause,
        started=birth.started,
        stopped=child.stopped,
        redrives=child.redrives,
    )
    run.put(done)
    if not child.durable and run.frame.execution.durable:
        _keep_express(run, done, child)


def _keep_express(run: Run, done: Child, child: Execution) -> None:
    """An Express child leaves no row of its own: keep its end as a frame of the Map state."""
    scope = run.reader.state.processor
    assert scope is not None  # noqa: S101
    frame = run.frame.execution.new_frame(scope, run.frame, done.index)
    frame.status = done.status if done.status == SUCCEEDED else FAILED
    frame.result, frame.error, frame.cause = child.output, done.error, done.cause
    frame.task = {"arn": done.arn, "name": done.name, "started": done.started, "stopped": done.stopped}
    frame.execution.mark(frame)


def _start(run: Run, index: int) -> Execution:
    execution, notes = run.frame.execution, run.notes
    engine, parent = execution.engine, execution.birth
    scope = run.reader.state.processor
    assert scope is not None  # noqa: S101
    express = scope.config.get("ExecutionType") == "EXPRESS"
    machine = f"{notes['machine']}/{notes['label']}"
    name = str(uuid.uuid4())
    kind = "express" if express else "execution"
    arn = f"{machine.replace(':stateMachine:', f':{kind}:', 1)}:{name}"
    birth = Birth(
        id=0 if express else engine.new_id(),
        arn=arn,
        name=name,
        machine_arn=machine,
        machine_name=machine.rsplit(":", maxsplit=1)[-1],
        role_arn=parent.role_arn,
        revision=parent.revision,
        kind="EXPRESS" if express else "STANDARD",
        input=Doc(run.inputs[index]),
        started=engine.now(),
        extra={"map_run": run.arn, "index": index, "label": notes["label"]},
        logging=parent.logging,
    )
    return lifecycle.begin(engine, birth, scope, machine)


async def _again(run: Run, known: Child) -> Execution:
    """A child that was running when the server stopped, or that a redrive repeats."""
    engine = run.frame.execution.engine
    running = engine.executions.get(known.arn)
    if running is not None and running.ending is None:
        return running
    if running is not None:
        await lifecycle.ended(running)
    row = await engine.blocking(engine.book.find, known.arn)
    scope = run.reader.state.processor
    if row is None or scope is None:
        return _start(run, known.index)
    parent = run.frame.execution.birth
    birth = Birth(
        id=row.id,
        arn=row.arn,
        name=row.name,
        machine_arn=row.machine,
        machine_name=row.machine.rpartition(":")[2],
        role_arn=parent.role_arn,
        revision=row.revision,
        kind=row.kind,
        input=Doc(text=row.input),
        started=row.started,
        extra={**row.extra, "map_run": run.arn},
        logging=parent.logging,
    )
    child = lifecycle.revive(engine, birth, scope, row)
    if row.status == RUNNING:
        lifecycle.resume(child)
    else:
        await lifecycle.redrive(child)
    return child


# ------------------------------------------------------------------------ results
async def _results(run: Run) -> Any:
    engine = run.frame.execution.engine
    done = [run.children[index] for index in range(len(run.inputs))]
    if "ResultWriter" in run.reader.state.spec:
        plan = writing.writing(run.reader, run.arn)
        if plan.bucket is not None:
            context = identity.acting(engine.context, run.frame.execution.birth.role_arn)
            return await engine.blocking(writing.write, context, plan, done)
        return writing.transformed(plan, done)
    return [Doc(text=child.output).value if child.output is not None else _error(child) for child in done]


def _error(child: Child) -> dict[str, Any]:
    """What stands for a tolerated failure among the results."""
    return {
        key: value for key, value in (("Error", child.error), ("Cause", child.cause)) if value is not None
    }


def _save(run: Run, status: str, failure: StateFailed | None = None) -> None:
    """Write the Map Run's row."""
    frame, execution = run.frame, run.frame.execution
    if not execution.durable:
        return
    notes = run.notes
    body = {
        "execution": execution.birth.arn,
        "status": status,
        "began": notes["began"],
        "ended": None if status == RUNNING else execution.engine.now(),
        "limit": notes["limit"],
        "count": notes["count"] or 0,
        "share": notes["share"] or 0.0,
        "total": len(run.inputs),
        "frame": frame.id,
        "redrives": notes["redrives"],
        "redriven": notes.get("redriven"),
        "machine": execution.birth.machine_arn,
        "express": {str(index): child.status for index, child in run.children.items()}
        if _express(run)
        else None,
        "error": failure.details if failure else None,
    }
    execution.engine.write(ledger.map_run(run.arn, execution.birth.id, execution.next_event, body))


def _express(run: Run) -> bool:
    scope = run.reader.state.processor
    return scope is not None and scope.config.get("ExecutionType") == "EXPRESS"
