"""How the runner's one thread sleeps without polling; must not know what it is woken for."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Sequence

_TICK = 0.15  # seconds between two looks at growing output


class Wake:
    """Sleeps until a process ends, something changed, or it is time to look at growing output."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def set(self) -> None:
        """End the present sleep, or the next."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b".")

    def wait(self, pidfds: Sequence[int | None], *, followed: bool) -> None:
        """Sleep; at most 0.15 s where output is followed or a process's end cannot be waited for."""
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        for pidfd in pidfds:
            if pidfd is not None:
                poll.register(pidfd, select.POLLIN)
        tick = followed or None in pidfds
        ready = poll.poll(_TICK * 1000 if tick else None)
        if any(handle == self._read for handle, _ in ready):
            os.read(self._read, 4096)


def pidfd_of(pid: int) -> int | None:
    """A handle that becomes readable at the process's end; None where the system has none (macOS)."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None
