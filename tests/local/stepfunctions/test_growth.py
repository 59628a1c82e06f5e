"""Work grows with states, items and history, and not faster: calls and bytes are counted, not seconds."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.local.clock import Clock
from mlops_kit.local.service import Context, Encoded, Request
from mlops_kit.local.stepfunctions.api import StepFunctions
from mlops_kit.local.store import Store
from tests.local.stepfunctions import walk

_TIMES = 4
_MOST = 5.5  # times the work for four times as much: constant parts make it less, group commits a little more


class Weighing(Store):
    """A store that counts the bytes of what is written."""

    written = 0

    def write(self, statements: Any) -> Future[None]:
        self.written += sum(len(str(param)) for _, params in statements for param in params)
        return super().write(statements)


class Counted:
    """An engine without a port, and what it does for one execution."""

    def __init__(self, service: StepFunctions) -> None:
        self.service = service
        self.calls = 0

    def ask(self, operation: str, **params: Any) -> Any:
        answer: Any = self.service.operations[operation](Request(operation, params, "us-east-1"))
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        return json.loads(answer.body) if isinstance(answer, Encoded) else answer

    def run(self, definition: dict[str, Any], value: Any = None) -> tuple[int, int, str]:
        """Calls on the engine's thread, bytes written, and the execution's ARN."""
        made = self.ask(
            "CreateStateMachine", name=uuid.uuid4().hex, definition=json.dumps(definition), roleArn=walk.ROLE
        )
        store: Any = self.service.context.store
        before, self.calls = store.written, 0
        self._profile(self.count)
        started = self.ask(
            "StartExecution", stateMachineArn=made["stateMachineArn"], input=json.dumps(value or {})
        )["executionArn"]
        deadline = time.monotonic() + 60
        while (shown := self.ask("DescribeExecution", executionArn=started))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self._profile(None)
        assert shown["status"] == "SUCCEEDED", shown
        return self.calls, store.written - before, started

    def count(self, frame: Any, event: str, argument: Any) -> None:
        """A profile function."""
        self.calls += event in ("call", "c_call")

    def _profile(self, profile: Callable[..., None] | None) -> None:
        async def switch() -> None:
            sys.setprofile(profile)

        self.service.engine.call(switch()).result()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    clock, store = Clock(), Weighing(tmp_path / "state.sqlite")
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
    yield Counted(made)
    made.stop()
    store.close()
    clock.close()


def _chain(length: int) -> dict[str, Any]:
    return walk.states(*((f"S{n}", {"Type": "Pass"}) for n in range(length)))


def _each(concurrency: int) -> dict[str, Any]:
    state = {"Type": "Map", "ItemProcessor": _chain(2), "MaxConcurrency": concurrency}
    return walk.states(("Each", state))


def test_work_grows_with_the_states(counted: Counted) -> None:
    counted.run(_chain(10))
    few, many = counted.run(_chain(300)), counted.run(_chain(300 * _TIMES))
    assert many[0] < few[0] * _MOST and many[1] < few[1] * _MOST


@pytest.mark.parametrize("concurrency", [0, 5])
def test_work_grows_with_the_items(counted: Counted, concurrency: int) -> None:
    counted.run(_each(concurrency), [1])
    few, many = (counted.run(_each(concurrency), list(range(count))) for count in (150, 150 * _TIMES))
    assert many[0] < few[0] * _MOST and many[1] < few[1] * _MOST


def test_reading_grows_with_the_history(counted: Counted) -> None:
    short, long = (counted.run(_chain(length))[2] for length in (500, 500 * _TIMES))
    (few, first), (many, second) = (_read(counted, execution) for execution in (short, long))
    assert (first, second) == (1002, 4002)
    assert many < few * _MOST


def _read(counted: Counted, execution: str) -> tuple[int, int]:
    """Calls to read a history in pages, and its number of events."""
    counted.calls, events = 0, 0
    token: dict[str, Any] = {}
    while True:
        sys.setprofile(counted.count)
        page = counted.ask("GetExecutionHistory", executionArn=execution, maxResults=100, **token)
        sys.setprofile(None)
        events += len(page["events"])
        if not page.get("nextToken"):
            return counted.calls, events
        token = {"nextToken": page["nextToken"]}
