"""The one clock of the embedded AWS: its time, its timers, and moving it; must not know who waits or why.

``time.time()`` and ``datetime.now`` of the process are this clock (time-machine shifts them);
``time.monotonic()`` stays real.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_LONGEST_WAIT = 3600.0  # real seconds; a suspended machine must not sleep past a due time
_REST = 0.02  # real seconds after each step of `advance`, in which what fired may set new timers

logger = logging.getLogger(__name__)


@dataclass(order=True)
class Timer:
    """A callback that waits for its time."""

    when: float
    number: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Never call back, unless that has begun already."""
        self.cancelled = True


class Clock:
    """Time and timers of one process.

    Parameters
    ----------
    offset : float
        Seconds by which the embedded time is ahead of the real one (negative: behind).
    """

    def __init__(self, offset: float = 0.0) -> None:
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._advancing = threading.Lock()
        self._firing = 0
        self._closed = False
        self._traveller: Any = None
        self._coordinates: Any = None
        if offset:
            self._shift(offset)
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def now(self) -> float:
        """Epoch seconds of the embedded AWS."""
        return time.time()

    @property
    def offset(self) -> float:
        """Seconds by which the embedded time is ahead of the real one."""
        return time.time() - _real_time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back in the clock's thread when the embedded time reaches ``when``; it must be quick."""
        timer = Timer(when, next(self._numbers), callback)
        with self._changed:
            heapq.heappush(self._timers, timer)
            if self._timers[0] is timer:
                self._changed.notify_all()
        return timer

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back in the clock's thread ``seconds`` of embedded time from now."""
        return self.call_at(self.now() + seconds, callback)

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds`` of embedded time."""
        woken = threading.Event()
        self.call_later(seconds, woken.set)
        woken.wait()

    async def async_sleep(self, seconds: float) -> None:
        """Wait ``seconds`` of embedded time without blocking the loop."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        timer = self.call_later(seconds, lambda: _wake(loop, woken))
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Move on by ``seconds``, halting at each due time so that all fires in its order.

        Blocks until everything that was due has been called back. What a callback sets in motion in
        another thread has a moment of real time to set its own timers before the next step.
        """
        if seconds < 0:
            raise ValueError("the embedded clock never goes back")
        with self._advancing:
            target = self.now() + seconds
            while True:
                due = self._next_due()
                step = target if due is None else min(due, target)
                self._shift(max(0.0, step - self.now()))
                self._wait_until_fired(step)
                if step >= target:
                    return
                time.sleep(_REST)

    def close(self) -> None:
        """Stop the thread, drop the timers, and give the process its real time back."""
        with self._changed:
            self._closed = True
            self._timers.clear()
            self._changed.notify_all()
        self._thread.join()
        if self._traveller is not None:
            self._traveller.stop()
            self._traveller = None

    def _next_due(self) -> float | None:
        with self._changed:
            while self._timers and self._timers[0].cancelled:
                heapq.heappop(self._timers)
            return self._timers[0].when if self._timers else None

    def _wait_until_fired(self, step: float) -> None:
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: (
                    self._closed
                    or (
                        not self._firing and not any(t.when <= step and not t.cancelled for t in self._timers)
                    )
                )
            )

    def _shift(self, seconds: float) -> None:
        import time_machine  # heavy, and only a shifted clock needs it

        if self._traveller is None:
            self._traveller = time_machine.travel(_real_time() + seconds, tick=True)
            self._coordinates = self._traveller.start()
        else:
            self._coordinates.shift(seconds)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._take_due()
                if self._closed:
                    return
            for timer in due:
                _call(timer)
            with self._changed:
                self._firing = 0
                self._changed.notify_all()

    def _take_due(self) -> list[Timer]:
        while not self._closed:
            due: list[Timer] = []
            now = self.now()
            while self._timers and (self._timers[0].when <= now or self._timers[0].cancelled):
                due.append(heapq.heappop(self._timers))
            if due:
                self._firing = len(due)
                return due
            wait = min(self._timers[0].when - now, _LONGEST_WAIT) if self._timers else None
            self._changed.wait(wait)
        return []


def _call(timer: Timer) -> None:
    if timer.cancelled:
        return
    try:
        timer.callback()
    except Exception:
        logger.exception("a timer's callback failed")


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(woken.set)


def _real_time() -> float:
    import sys

    if "time_machine" not in sys.modules:
        return time.time()
    import time_machine

    hatch = time_machine.escape_hatch
    return float(hatch.time.time()) if hatch.is_travelling() else time.time()
