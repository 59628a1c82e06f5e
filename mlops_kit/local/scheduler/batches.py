"""Items that one thread handles as they come, all that wait at once; must not know what they are."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_AGAIN = 1.0  # real seconds until a disk that took nothing is tried again

logger = logging.getLogger(__name__)


class Batches(Generic[T]):
    """A thread that brings items to disk in groups, so that many pay for one write.

    Parameters
    ----------
    name : str
        Of the thread.
    handle : callable
        Takes a group in the order of `put`; called again with the same one when the disk took nothing.
    done : callable
        Takes each item of a group after that, whatever became of it.
    """

    def __init__(self, name: str, handle: Callable[[Sequence[T]], None], done: Callable[[T], None]) -> None:
        self._handle = handle
        self._done = done
        self._queue: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to handle."""
        self._thread.start()

    def stop(self) -> None:
        """Handle what waits and end."""
        self._closing.set()
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(timeout=5)

    def put(self, item: T) -> None:
        """Have an item handled; from any thread, returns at once."""
        self._queue.put(item)

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._take()
            if group:
                self._try(group)
            for item in group:
                self._done(item)

    def _take(self) -> tuple[list[T], bool]:
        group: list[T] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if self._queue.empty():
                return group, False
            item = self._queue.get()
        return group, True

    def _try(self, group: Sequence[T]) -> None:
        while True:
            try:
                self._handle(group)
                return
            except sqlite3.Error as error:
                logger.error("schedules wait for the disk: %s", error)
                if self._closing.wait(_AGAIN):
                    return
            except Exception:
                logger.exception("schedules could not be handled")
                return
