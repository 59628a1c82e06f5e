"""The engine without a port: the moved clock, a full disk, and what frames and retriers promise."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.clock import Clock
from mlops_kit.local.service import Context, Encoded, Request
from mlops_kit.local.stepfunctions.api import StepFunctions
from mlops_kit.local.stepfunctions.docs import Doc
from mlops_kit.local.stepfunctions.frames import Frame
from mlops_kit.local.stepfunctions.program import Retrier, compile_scope
from mlops_kit.local.store import Store
from tests.local.stepfunctions import walk


class Stalling(Store):
    """A store whose disk is full for some writes, or slow."""

    refusals = 0
    seconds = 0.0

    def write(self, statements: Any) -> Future[None]:
        time.sleep(self.seconds)
        if self.refusals and any("sfn_history" in sql for sql, _ in statements):
            self.refusals -= 1
            refused: Future[None] = Future()
            refused.set_exception(sqlite3.OperationalError("database or disk is full"))
            return refused
        return super().write(statements)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[StepFunctions]:
    clock, store = Clock(), Stalling(tmp_path / "state.sqlite")
    context = Context(
        store=store,
        clock=clock,
        runner=None,  # type: ignore[arg-type]
        state_dir=tmp_path,
        url="http://127.0.0.1:1",
        region="us-east-1",
        emit=lambda *_: None,
        log=lambda *_: None,
        metric=lambda *_: None,
        settle=lambda: None,
    )
    made = StepFunctions(context)
    made.start()
    yield made
    made.stop()
    store.close()
    clock.close()


def call(service: StepFunctions, operation: str, **params: Any) -> Any:
    answer: Any = service.operations[operation](Request(operation, params, "us-east-1"))
    if inspect.iscoroutine(answer):
        answer = asyncio.run(answer)
    return json.loads(answer.body) if isinstance(answer, Encoded) else answer


def _start(service: StepFunctions, definition: dict[str, Any]) -> str:
    machine = call(
        service, "CreateStateMachine", name="m", definition=json.dumps(definition), roleArn=walk.ROLE
    )["stateMachineArn"]
    return str(call(service, "StartExecution", stateMachineArn=machine, input="{}")["executionArn"])


def wait(service: StepFunctions, execution: str) -> Any:
    deadline = time.monotonic() + 20
    while True:
        shown = call(service, "DescribeExecution", executionArn=execution)
        if shown["status"] != "RUNNING" or time.monotonic() > deadline:
            return shown
        time.sleep(0.01)


def test_advance_steps_through_every_wait_at_its_own_time(service: StepFunctions) -> None:
    definition = walk.states(*((f"W{n}", {"Type": "Wait", "Seconds": 3600}) for n in range(3)))
    execution = _start(service, definition)
    service.context.clock.advance(3 * 3600 + 60)
    shown = wait(service, execution)
    assert shown["status"] == "SUCCEEDED"
    assert (shown["stopDate"] - shown["startDate"]).total_seconds() == pytest.approx(3 * 3600, abs=30)


def test_a_full_disk_makes_executions_wait_and_loses_nothing(service: StepFunctions) -> None:
    store = service.context.store
    assert isinstance(store, Stalling)
    store.refusals = 1
    execution = _start(service, walk.states(("A", {"Type": "Pass"}), ("B", {"Type": "Pass"})))
    assert wait(service, execution)["status"] == "SUCCEEDED"
    events = call(service, "GetExecutionHistory", executionArn=execution)["events"]
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert store.refusals == 0


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_a_start_is_answered_when_the_disk_has_it(service: StepFunctions, tmp_path: Path, kind: str) -> None:
    waiting = json.dumps(walk.states(("W", {"Type": "Wait", "Seconds": 3600})))
    machine = call(service, "CreateStateMachine", name="m", definition=waiting, roleArn=walk.ROLE, type=kind)[
        "stateMachineArn"
    ]
    store = service.context.store
    assert isinstance(store, Stalling)
    store.seconds = 0.3
    started = call(service, "StartExecution", stateMachineArn=machine, input="{}")
    with sqlite3.connect(tmp_path / "state.sqlite") as disk:
        assert disk.execute("SELECT arn FROM sfn_executions").fetchall() == [(started["executionArn"],)]


def test_an_event_starts_an_execution_without_waiting_for_it(service: StepFunctions) -> None:
    machine = call(
        service,
        "CreateStateMachine",
        name="from-event",
        definition=json.dumps(walk.states(("A", {"Type": "Pass"}))),
        roleArn=walk.ROLE,
    )["stateMachineArn"]
    assert service.resolve(machine)
    assert not service.resolve(machine + "x")
    execution = service.start_from_event(machine, '{"x":1}')
    deadline = time.monotonic() + 20
    while service.engine.book.find(execution) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert wait(service, execution)["output"] == '{"x":1}'


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class _Owner:
    def mark(self, frame: Frame) -> None:
        """Nothing is written here."""


@given(
    _json.filter(lambda value: "\\ud" not in json.dumps(value)), st.dictionaries(st.text(), _json, max_size=3)
)
def test_a_frame_comes_back_from_its_row_as_it_was(value: Any, variables: dict[str, Any]) -> None:
    scope = compile_scope(walk.states(("A", {"Type": "Wait", "Seconds": 1}), ("B", {"Type": "Pass"})))
    frame = Frame(_Owner(), 0, scope)  # type: ignore[arg-type]
    frame.move("B", Doc(value))
    frame.assign(variables)
    frame.until, frame.task, frame.retries, frame.retry_count = 12.5, {"job": {"a": "b"}}, {"0": 2}, 2
    again = Frame(_Owner(), 0, scope)  # type: ignore[arg-type]
    again.restore(json.loads(frame.dump()))
    assert again.input.value == value
    assert (again.state, again.phase, again.visible) == ("B", frame.phase, variables)
    assert again.dump() == frame.dump()


@given(
    st.floats(min_value=1, max_value=100),
    st.floats(min_value=1, max_value=5),
    st.none() | st.floats(min_value=1, max_value=1000),
    st.integers(min_value=0, max_value=2000),
)
def test_backoff_never_shrinks_and_never_passes_its_cap(
    interval: float, backoff: float, cap: float | None, attempt: int
) -> None:
    retrier = Retrier(("States.ALL",), interval, 99, backoff, cap)
    assert retrier.delay(attempt) <= retrier.delay(attempt + 1)
    if cap is not None:
        assert retrier.delay(attempt) <= cap
