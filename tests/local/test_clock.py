"""The one clock: timers in order, and moving on from due time to due time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mlops_kit.local.clock import Clock


@pytest.fixture
def clock() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.close()


def test_a_shifted_clock_is_the_clock_of_the_process() -> None:
    before = datetime.now(UTC)
    clock = Clock(offset=-10 * 365 * 86400.0)
    try:
        assert clock.now() == pytest.approx(time.time(), abs=5)
        assert (before - datetime.now(UTC)).days == pytest.approx(3650, abs=1)
        assert clock.offset == pytest.approx(-10 * 365 * 86400.0, abs=1)
    finally:
        clock.close()
    assert datetime.now(UTC) >= before


def test_advancing_fires_everything_due_in_its_order_and_at_its_time(clock: Clock) -> None:
    began = clock.now()
    fired: list[tuple[str, float]] = []

    def note(name: str) -> None:
        fired.append((name, clock.now() - began))

    def first() -> None:
        note("first")
        clock.call_at(began + 60, lambda: note("set by the first"))

    clock.call_at(began + 300, lambda: note("last"))
    clock.call_at(began + 30, first)
    clock.call_at(began + 9000, lambda: note("never"))
    clock.advance(600)
    assert [name for name, _ in fired] == ["first", "set by the first", "last"]
    assert [when for _, when in fired] == pytest.approx([30, 60, 300], abs=5)
    assert clock.now() - began == pytest.approx(600, abs=5)


def test_advancing_waits_for_what_fired_just_before_it(clock: Clock) -> None:
    began = clock.now()
    fired: list[float] = []
    firing = threading.Event()

    def slow() -> None:
        hold = clock.hold()
        firing.set()

        def later() -> None:
            time.sleep(0.2)
            clock.call_at(began + 60, lambda: fired.append(clock.now() - began))
            hold.release()

        threading.Thread(target=later).start()

    clock.call_at(began, slow)
    firing.wait()
    clock.advance(86400)
    assert fired == pytest.approx([60], abs=5)


def test_a_thread_that_sleeps_again_and_again_is_woken_at_each_due_time(clock: Clock) -> None:
    woken: list[float] = []
    began = clock.now()

    def sleeper() -> None:
        for _ in range(4):
            clock.sleep(3600)
            woken.append(clock.now() - began)

    thread = threading.Thread(target=sleeper)
    thread.start()
    while not clock._timers:
        time.sleep(0.001)
    clock.advance(4 * 3600 + 60)
    thread.join()
    assert woken == pytest.approx([3600, 7200, 10800, 14400], abs=10)


def test_a_coroutine_sleeps_in_embedded_time(clock: Clock) -> None:
    async def main() -> float:
        began = clock.now()
        moving = asyncio.get_running_loop().run_in_executor(None, _advance_when_asked, clock, 3600.0)
        await clock.async_sleep(1800)
        slept = clock.now() - began
        await moving
        return slept

    assert asyncio.run(main()) == pytest.approx(1800, abs=10)


def test_a_cancelled_timer_and_a_failing_one_stop_nothing(clock: Clock) -> None:
    fired: list[str] = []
    clock.call_later(10, lambda: fired.append("cancelled")).cancel()
    clock.call_later(20, lambda: 1 / 0)
    clock.call_later(30, lambda: fired.append("after"))
    clock.advance(60)
    assert fired == ["after"]


def test_a_timer_fires_by_itself(clock: Clock) -> None:
    woken = threading.Event()
    clock.call_later(0.01, woken.set)
    assert woken.wait(10)


def test_the_clock_never_goes_back(clock: Clock) -> None:
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)


def _advance_when_asked(clock: Clock, seconds: float) -> None:
    while not clock._timers:
        time.sleep(0.001)
    clock.advance(seconds)
