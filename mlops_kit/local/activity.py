"""What is in motion in the embedded AWS, so that a clock that is moved can wait for it; knows no service.

In motion is what goes on in real time: a request that is being answered, a function, a job, a call whose
effect is being brought to disk. What waits for the embedded clock is not.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

from mlops_kit.local.guard import App, Receive, Scope, Send

_LOOK = 0.015  # real seconds between two looks
_QUIET, _CAREFUL = 3, 8  # looks in a row that must find nothing; while executions go on, which think between
_PATIENCE = 30.0  # real seconds for requests and functions: one may itself wait for the clock
# What waits by its nature, mostly for what others will do.
_WAITS = re.compile(r"\.(ReceiveMessage|GetActivityTask|StartSyncExecution)$|^/_mlops_kit/")


class Activity:
    """Counts requests under way.

    Parameters
    ----------
    app : callable
        The ASGI application that answers them.
    jobs : callable
        ``jobs()`` names what runs in processes of its own and comes to an end.
    calls : callable
        ``calls()`` is the number of functions that run, with a request or without, and of calls that are
        about to be made, or were answered and wait for the disk.
    executions : callable
        ``executions()`` is the number of state machines' executions that go on, waiting or not.
    """

    def __init__(
        self,
        app: App,
        jobs: Callable[[], Sequence[str]],
        calls: Callable[[], int],
        executions: Callable[[], int],
    ) -> None:
        self._app = app
        self._jobs = jobs
        self._calls = calls
        self._executions = executions
        self._requests = 0
        self._begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http" or _waits(scope):
            await self._app(scope, receive, send)
            return
        self._requests += 1
        self._begun += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1

    def rest(self, told: Callable[[Sequence[str]], bool]) -> None:
        """Block a worker thread until nothing is in motion.

        Parameters
        ----------
        told : callable
            Takes the names of the jobs that are waited for, again and again; False ends the waiting.
        """
        quiet, begun = 0, self._begun
        deadline = time.monotonic() + _PATIENCE
        while quiet < (_CAREFUL if self._executions() else _QUIET):
            time.sleep(_LOOK)
            jobs = self._jobs()
            if jobs:
                deadline = time.monotonic() + _PATIENCE
            if not told(jobs) or time.monotonic() > deadline:
                return
            still = not jobs and not self._requests and not self._calls() and begun == self._begun
            quiet, begun = quiet + 1 if still else 0, self._begun


def _waits(scope: Scope) -> bool:
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    target = headers.get(b"x-amz-target", b"").decode("latin-1")
    return _WAITS.search(target) is not None or _WAITS.search(scope["path"]) is not None
