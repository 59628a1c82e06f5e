"""Saves what ministack holds in memory, soon after it changed; must not know ministack's names.

Runs on the server's loop, which is where ministack changes its state; only the writing itself is done in a
thread. A service is written when its content differs from what is on disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path

from mlops_kit.local.state_folder import write_atomically

logger = logging.getLogger(__name__)

_DELAY = 0.5  # seconds from a change to its save; a save that takes long waits as long again, up to a second
_AGAIN = 1.0  # seconds until a disk that took nothing is tried again


class Saver:
    """Saves changed services.

    Parameters
    ----------
    folder : pathlib.Path
        One JSON file a service.
    snapshot : callable
        ``snapshot(names) -> {file stem: bytes}`` of the services named, taken on the loop.
    """

    def __init__(self, folder: Path, snapshot: Callable[[Iterable[str]], Mapping[str, bytes]]) -> None:
        self._folder = folder
        self._snapshot = snapshot
        self._changed: set[str] = set()
        self._awaited: set[str] = set()  # of these, what `settle` waits for
        self._settling: set[int] = set()  # threads that are in `settle`
        self._on_its_way = False  # something that `settle` waits for is being written
        self._written: dict[str, bytes] = {}
        self._saving = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._cost = 0.0
        self._complained = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that everything runs on."""
        self._loop = loop

    def touch(self, names: Set[str], awaited: bool = True) -> None:
        """Say that services may have changed; from any thread.

        Parameters
        ----------
        names : set of str
            The services.
        awaited : bool
            False for what is said about a change and is none: events, log lines and metrics of our own.
        """
        self._changed |= names
        if awaited:
            self._awaited |= names
        if self._loop is not None and self._timer is None:  # else the save that comes takes these along
            self._loop.call_soon_threadsafe(self._arm)

    def settle(self) -> None:
        """Block a worker thread until everything awaited that has changed so far is on disk.

        When the disk takes nothing it blocks until it does: what waits has not been acknowledged.
        """
        thread = threading.get_ident()
        self._settling.add(thread)
        try:
            self._settle()
        finally:
            self._settling.discard(thread)

    @property
    def settling(self) -> int:
        """How many threads wait in `settle`; from any thread."""
        return len(self._settling)

    def _settle(self) -> None:
        while self._loop is not None and (self._awaited or self._on_its_way):
            try:
                asyncio.run_coroutine_threadsafe(self._save(self._awaited), self._loop).result()
                return
            except OSError as error:
                self._complain(error)
                time.sleep(_AGAIN)

    async def save(self) -> None:
        """Write what has changed, and return when it is on disk."""
        await self._save(self._changed)

    async def _save(self, wanted: set[str]) -> None:
        async with self._saving:
            names = set(wanted)
            if not names:
                return
            self._on_its_way = not names.isdisjoint(self._awaited)  # before `settle` misses them below
            self._changed -= names
            self._awaited -= names
            try:
                began = time.monotonic()
                snapshot = self._snapshot(names)
                self._cost = time.monotonic() - began
                await asyncio.to_thread(self._write, snapshot)
            except BaseException:
                self._changed |= names
                self._awaited |= names
                raise
            finally:
                self._on_its_way = False

    def _arm(self) -> None:
        if self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(min(1.0, _DELAY + self._cost), self._fire)

    def _fire(self) -> None:
        self._timer = None
        task = asyncio.ensure_future(self._save_in_background())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _save_in_background(self) -> None:
        try:
            await self.save()
        except OSError as error:
            self._complain(error)
            await asyncio.sleep(_AGAIN)
            self._arm()

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            logger.error("state cannot be saved, trying again every second: %s", error)
        self._complained = True

    def _write(self, snapshot: Mapping[str, bytes]) -> None:
        # small ones first: a queue does not wait for the log
        for name, data in sorted(snapshot.items(), key=lambda item: len(item[1])):
            digest = hashlib.blake2b(data).digest()
            if self._written.get(name) != digest:
                write_atomically(self._folder / f"{name}.json", data)
                self._written[name] = digest
        self._complained = False
