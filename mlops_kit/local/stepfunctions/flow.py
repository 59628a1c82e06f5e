"""Moves a frame from state to state: enter, work, leave, retry, catch; the work itself is elsewhere."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mlops_kit.asl.errors import StatesError
from mlops_kit.local.stepfunctions import fanout, states, tasks
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import LIMIT, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed, data_limit, variables_limit
from mlops_kit.local.stepfunctions.frames import BACKOFF, ENTER, FAILED, RUNNING, SUCCEEDED, WORK, Frame
from mlops_kit.local.stepfunctions.outcome import Outcome
from mlops_kit.local.stepfunctions.program import State, matches

_STRIDE = 32  # states that a frame passes before others get their turn

_INSTANT: Mapping[str, Callable[[Reader], Outcome]] = {
    "Pass": states.pass_,
    "Choice": states.choice,
    "Succeed": states.succeed,
    "Fail": states.fail,
}
_LASTING: Mapping[str, Callable[[Reader], Awaitable[Outcome]]] = {
    "Wait": states.wait,
    "Task": tasks.perform,
    "Parallel": fanout.parallel,
    "Map": fanout.map_,
}


async def drive(frame: Frame) -> None:
    """Walk until the frame has succeeded or failed; its status, result and error say how."""
    engine = frame.execution.engine
    steps = 0
    while frame.status == RUNNING:
        state = frame.spec
        try:
            if frame.phase == ENTER:
                _enter(frame, state)
            elif frame.phase == BACKOFF:
                await engine.sleep_until(frame.until or 0)
                frame.phase, frame.until, frame.task = WORK, None, {}
            instant = _INSTANT.get(state.kind)
            reader = Reader(frame, state)
            outcome = instant(reader) if instant else await _LASTING[state.kind](reader)
            _leave(frame, state, outcome)
        except StateFailed as failure:
            _fail(frame, state, failure)
        except StatesError as error:
            _fail(frame, state, _evaluated(frame, state, error))
        steps += 1
        if steps % _STRIDE == 0:
            await engine.breathe()


def _enter(frame: Frame, state: State) -> None:
    execution = frame.execution
    frame.entered_id = execution.record(
        frame, f"{state.kind}StateEntered", {"name": state.name, "input": frame.input.text}
    )
    frame.entered_at = execution.events[-1].time
    frame.phase = WORK
    execution.mark(frame)


def _leave(frame: Frame, state: State, outcome: Outcome) -> None:
    """Record the state's end and go on; `flow` is the only one that moves a frame."""
    if outcome.output.too_large:
        raise data_limit(state.name)
    details: dict[str, Any] = {"name": state.name, "output": outcome.output.text}
    if outcome.assigned:
        texts = {name: dumps(value) for name, value in outcome.assigned.items()}
        if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values()) > LIMIT:
            raise variables_limit(state.name)
        details["assignedVariables"] = texts
    execution = frame.execution
    execution.record(frame, f"{state.kind}StateExited", details)
    if outcome.assigned:
        frame.assign(outcome.assigned)
    if frame.children:
        execution.drop_children(frame)
    if outcome.next is None:
        frame.status, frame.result, frame.task = SUCCEEDED, outcome.output, {}
    else:
        frame.move(outcome.next, outcome.output)
    execution.mark(frame)


def _evaluated(frame: Frame, state: State, error: StatesError) -> StateFailed:
    """An evaluation that failed, in AWS's words and with its event."""
    cause = (
        f"An error occurred while executing the state '{state.name}' (entered at the event id "
        f"#{frame.entered_id}). {error.cause or ''}"
    )
    if error.error != "States.QueryEvaluationError":
        return StateFailed(error.error, cause, runtime=error.error == "States.Runtime")
    details = {"error": error.error, "cause": cause, "state": state.name}
    if error.location:
        details["location"] = error.location
    frame.execution.record(frame, "EvaluationFailed", details)
    return StateFailed(error.error, cause)


def _fail(frame: Frame, state: State, failure: StateFailed) -> None:
    """Retry, catch, or end the frame."""
    execution = frame.execution
    if not failure.fatal and _retries(frame, state, failure):
        execution.mark(frame)
        return
    if state.kind in ("Map", "Parallel") and not failure.runtime:
        execution.record(frame, f"{state.kind}StateFailed")
    if not failure.fatal and _catches(frame, state, failure):
        return
    frame.status, frame.error, frame.cause = FAILED, failure.error, failure.cause
    execution.mark(frame)


def _retries(frame: Frame, state: State, failure: StateFailed) -> bool:
    for index, retrier in enumerate(state.retry):
        if not matches(retrier.errors, failure.names):
            continue
        used = frame.retries.get(str(index), 0)
        if used >= retrier.attempts:
            return False
        delay = retrier.delay(used)
        if retrier.jitter:
            delay = random.uniform(0, delay)  # noqa: S311
        frame.retries[str(index)] = used + 1
        frame.retry_count += 1
        frame.phase, frame.until = BACKOFF, frame.execution.engine.now() + delay
        return True
    return False


def _catches(frame: Frame, state: State, failure: StateFailed) -> bool:
    for catcher in state.catch:
        if matches(catcher["ErrorEquals"], failure.names):
            try:
                output, assigned = Reader(frame, state).caught(catcher, failure.output)
                _leave(frame, state, Outcome(catcher["Next"], output, assigned))
            except StatesError as error:
                broken = _evaluated(frame, state, error)
                frame.status, frame.error, frame.cause = FAILED, broken.error, broken.cause
                frame.execution.mark(frame)
            return True
    return False
