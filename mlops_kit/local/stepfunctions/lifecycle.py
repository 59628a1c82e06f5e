"""An execution's life: started, run, ended, stopped, timed out, redriven, taken up again after a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from mlops_kit.asl.errors import StatesError
from mlops_kit.local.stepfunctions import ledger, reports
from mlops_kit.local.stepfunctions.engine import Engine
from mlops_kit.local.stepfunctions.execution import Birth, Execution, HistoryFull
from mlops_kit.local.stepfunctions.frames import (
    ABORTED,
    CALLED,
    CHILDREN,
    ENTER,
    FAILED,
    RUNNING,
    SUCCEEDED,
    WORK,
    Frame,
    mark_aborted,
)
from mlops_kit.local.stepfunctions.history import MAX_EVENTS
from mlops_kit.local.stepfunctions.program import Scope

logger = logging.getLogger(__name__)

_EXPRESS = 300.0  # seconds that an Express workflow may run (Choosing workflow type)
_FULL = f"The execution reached the maximum number of history events ({MAX_EVENTS})."


async def launch(engine: Engine, birth: Birth, scope: Scope, machine: str) -> Execution:
    """Start an execution; it is on disk when this returns, unless somebody waits for its end.

    Parameters
    ----------
    machine : str
        The state machine's ARN, under which ListExecutions finds it.
    """
    execution = begin(engine, birth, scope, machine)
    if execution.kept:
        await engine.committed()
    return execution


def begin(engine: Engine, birth: Birth, scope: Scope, machine: str) -> Execution:
    """Start an execution; the caller waits for the disk."""
    execution = Execution(engine, birth, scope)
    engine.executions[birth.arn] = execution
    details: dict[str, Any] = {"input": birth.input.text, "roleArn": birth.role_arn}
    for member in ("stateMachineVersionArn", "stateMachineAliasArn", "mapRunArn"):
        if birth.extra.get(member):
            details[member] = birth.extra[member]
    execution.record(execution.root, "ExecutionStarted", details, lane=False)
    execution.mark(execution.root)
    if execution.kept:
        engine.write(ledger.insert(birth, machine))
    reports.started(execution)
    _go(execution)
    return execution


def _go(execution: Execution) -> None:
    timeout = execution.scope.timeout
    if execution.birth.kind == "EXPRESS":
        timeout = min(timeout or _EXPRESS, _EXPRESS)
    if timeout is not None:
        start = execution.redriven_at or execution.birth.started
        execution.deadline = start + timeout
    execution.task = asyncio.ensure_future(_live(execution))


async def _live(execution: Execution) -> None:
    """Run to the end, however it comes, and take it down."""
    engine = execution.engine
    try:
        await engine.within(execution.deadline, engine.drive(execution.root))
    except HistoryFull:
        execution.ending = (FAILED, "States.Runtime", _FULL)
    except TimeoutError:
        execution.ending = ("TIMED_OUT", "States.Timeout", None)
    except asyncio.CancelledError:
        if engine.closing or execution.ending is None:
            raise
    except StatesError as error:
        execution.ending = (FAILED, error.error, error.cause)
    except Exception as error:  # a mistake of ours: better failed with words than running for ever
        logger.exception("%s failed inside the embedded AWS", execution.birth.arn)
        execution.ending = (FAILED, "States.Runtime", f"The embedded AWS failed: {error!r}")
    if execution.ending is None:
        _natural_end(execution)
    else:
        mark_aborted(execution.root)
        execution.status, execution.error, execution.cause = execution.ending
    await _conclude(execution)


def _natural_end(execution: Execution) -> None:
    root = execution.root
    execution.status, execution.error, execution.cause = root.status, root.error, root.cause
    if root.status == SUCCEEDED:
        execution.output = root.result


_ENDS = {
    SUCCEEDED: "ExecutionSucceeded",
    FAILED: "ExecutionFailed",
    ABORTED: "ExecutionAborted",
    "TIMED_OUT": "ExecutionTimedOut",
}


async def _conclude(execution: Execution) -> None:
    """Record the end; those who wait for it are told when it is on disk."""
    engine, birth = execution.engine, execution.birth
    execution.ending = execution.ending or (execution.status, None, None)
    if execution.status == SUCCEEDED and execution.output is not None:
        details: Mapping[str, Any] = {"output": execution.output.text}
    else:
        pairs = {"error": execution.error, "cause": execution.cause}
        details = {key: value for key, value in pairs.items() if value is not None}
    execution.record(execution.root, _ENDS[execution.status], details)
    execution.stopped = execution.events[-1].time
    if execution.durable:
        engine.write(ledger.end(execution))
        if execution.status == SUCCEEDED:
            execution.dirty = {}
            engine.write(*ledger.drop_all_frames(birth.id))
    elif execution.kept:
        engine.write(("DELETE FROM sfn_executions WHERE id = ?", (birth.id,)))
    if execution.durable:
        await engine.committed()
    engine.executions.pop(birth.arn, None)
    reports.ended(execution)
    for waiter in execution.waiters:
        if not waiter.done():
            waiter.set_result(None)


async def ended(execution: Execution) -> None:
    """Wait until an execution has ended, on disk."""
    if execution.engine.executions.get(execution.birth.arn) is not execution:
        return
    waiter = asyncio.get_running_loop().create_future()
    execution.waiters.append(waiter)
    await waiter


async def halt(execution: Execution, error: str | None, cause: str | None) -> float:
    """Abort a running execution; gives the time of its end, on disk.

    Its jobs are asked to stop by the tasks that wait for them.
    """
    if execution.ending is None:
        execution.ending = (ABORTED, error, cause)
        if execution.task:
            execution.task.cancel()
    await ended(execution)
    return execution.stopped or execution.engine.now()


# ---------------------------------------------------------------------- restart
def revive(engine: Engine, birth: Birth, scope: Scope, row: ledger.Row) -> Execution:
    """An execution as its row and frames have it, not yet running."""
    execution = Execution(engine, birth, scope)
    execution.redrives, execution.redriven_at = row.redrives, row.redriven
    execution.next_event = engine.book.last_event(row.id) + 1
    frames: dict[int, Frame] = {}
    for number, body in engine.book.frames(row.id).items():
        frame = execution.root if body["p"] is None else _below(execution, frames[body["p"]], number, body)
        frame.restore(body)
        frames[number] = frame
    execution.next_frame = max(max(frames, default=0) + 1, row.frames)
    return execution


def _below(execution: Execution, parent: Frame, number: int, body: Mapping[str, Any]) -> Frame:
    state = parent.spec
    scope = state.branches[body["n"]] if state.branches else state.processor
    if scope is None:
        raise ValueError(f"frame {number} of {execution.birth.arn} belongs to no branch")
    frame = Frame(execution, number, scope, parent, body["n"])
    parent.children[body["n"]] = frame
    return frame


def resume(execution: Execution) -> None:
    """Go on with a RUNNING execution after a restart."""
    _walk(execution.root, _note_repeat)
    execution.engine.executions[execution.birth.arn] = execution
    _go(execution)


def _walk(frame: Frame, visit: Any) -> None:
    visit(frame)
    for child in frame.children.values():
        _walk(child, visit)


def _note_repeat(frame: Frame) -> None:
    """The call that was out when the former process ended may have been made."""
    if frame.phase == CALLED:
        frame.task["repeated"] = True


# ---------------------------------------------------------------------- redrive
async def redrive(execution: Execution) -> None:
    """Run an ended execution again from where it did not succeed; what succeeded is kept."""
    engine = execution.engine
    execution.redriven(engine.now())
    execution.record(execution.root, "ExecutionRedriven", {"redriveCount": execution.redrives})
    _reopen(execution.root, execution.root.previous)
    engine.write(ledger.reopen(execution))
    engine.executions[execution.birth.arn] = execution
    reports.started(execution, redriven=True)
    _go(execution)
    await engine.committed()


def _reopen(frame: Frame, previous: int) -> None:
    """Set a frame that failed or was cut short back to the beginning of its state's work."""
    if frame.status == SUCCEEDED:
        return
    frame.status, frame.error, frame.cause = RUNNING, None, None
    frame.retries, frame.retry_count = {}, 0
    frame.previous = previous
    if frame.phase == CHILDREN:
        for child in frame.children.values():
            _reopen(child, previous)
        if frame.spec.distributed:
            frame.task["redrives"] += 1
            frame.task["redriven"] = frame.execution.redriven_at
            frame.task["announce"] = True
    elif frame.spec.kind == "Fail":
        frame.phase = ENTER
    elif frame.phase != ENTER:
        frame.phase, frame.task, frame.until = WORK, {}, None
    frame.execution.mark(frame)


__all__ = ["begin", "ended", "halt", "launch", "redrive", "resume", "revive"]
