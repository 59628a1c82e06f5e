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
_PATIENCE = 30.0  # and those that it waits at most for what holds it: that may itself wait for the clock

logger = logging.getLogger(__name__)


@dataclass(order=True)
class Timer:
    """A callback that waits for its time."""

    when: float
    quiet: bool  # before the number: of what is due at one time, what may stir comes first
    number: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Never call back, unless that has begun already."""
        self.cancelled = True


class Hold:
    """Keeps `Clock.advance` where it is, until what a timer set in motion has come to rest.

    Parameters
    ----------
    release : callable
        Called once, at the first `release`.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let the clock go on; a second time does nothing."""
        release, self._release = self._release, None
        if release is not None:
            release()


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
        self._held = 0
        self._stirred = False
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

    def call_at(self, when: float, callback: Callable[[], None], quiet: bool = False) -> Timer:
        """Call back in the clock's thread when the embedded time reaches ``when``; it must be quick.

        Parameters
        ----------
        quiet : bool
            What it does ends with the callback, so that `advance` neither waits for what comes of it nor
            keeps the time before it; a callback that sets something in motion after all takes a `hold`.
        """
        timer = Timer(when, quiet, next(self._numbers), callback)
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

    @property
    def advancing(self) -> bool:
        """Whether `advance` is on its way."""
        return self._advancing.locked()

    def hold(self) -> Hold:
        """Keep `advance` from moving on; from any thread. The clock itself goes on as always."""
        with self._changed:
            self._held += 1
            self._stirred = True
        return Hold(self._let_go)

    def _let_go(self) -> None:
        with self._changed:
            self._held -= 1
            self._changed.notify_all()

    def advance(
        self,
        seconds: float,
        keep: Callable[[float], None] = lambda offset: None,
        rest: Callable[[], None] = lambda: time.sleep(_REST),
        stop: threading.Event | None = None,
    ) -> bool:
        """Move on by ``seconds``, halting at each due time so that all fires in its order.

        Blocks until everything that was due has been called back and no `hold` is left.

        Parameters
        ----------
        keep : callable
            Takes the offset that each step leads to, before anything of that step fires.
        rest : callable
            Waits in real time, after a step that fired, until what it set in motion has come to rest.
        stop : threading.Event, optional
            Ends it after the present step.

        Returns
        -------
        bool
            Whether it came to its end.
        """
        if seconds < 0:
            raise ValueError("the embedded clock never goes back")
        with self._advancing:
            target = self.now() + seconds
            while stop is None or not stop.is_set():
                self._wait_until_fired(self.now())  # what fires now may set the next timer
                due = self._next_due()
                if due is None or due.when >= target:
                    step, quiet = target, False
                else:
                    step, quiet = due.when, due.quiet
                self._step(step, (lambda offset: None) if quiet else keep)
                if self._stirred:
                    rest()
                if step >= target and not self._is_due(target):
                    return True
            return False

    def _step(self, step: float, keep: Callable[[float], None]) -> None:
        ahead = max(0.0, step - self.now())
        self._stirred = False
        if ahead:
            keep(self.offset + ahead)
            self._shift(ahead)
        self._wait_until_fired(step)

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

    def _next_due(self) -> Timer | None:
        with self._changed:
            while self._timers and self._timers[0].cancelled:
                heapq.heappop(self._timers)
            return self._timers[0] if self._timers else None

    def _wait_until_fired(self, step: float) -> None:
        with self._changed:
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or not self._is_firing(step), _PATIENCE)

    def _is_firing(self, step: float) -> bool:
        return bool(self._firing or self._held) or self._is_due(step)

    def _is_due(self, step: float) -> bool:
        return bool(self._timers) and self._timers[0].when <= step

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
                self._stirred = self._stirred or not (timer.quiet or timer.cancelled)
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
