"""Fires schedules on the embedded clock: takes each occurrence once and hands it over; delivers none itself.

An occurrence is written down as taken before its target hears of it, and the next one is waited for before
the clock moves on. Sources: EventBridge Scheduler User Guide, "Schedule types", "Configuring flexible time
windows", "Deleting a schedule".
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from mlops_kit.local.scheduler import book as entries
from mlops_kit.local.scheduler.batches import Batches
from mlops_kit.local.scheduler.book import Book, Invocation, Key, Schedule
from mlops_kit.local.scheduler.delivery import Delivery, age

if TYPE_CHECKING:
    from mlops_kit.local.clock import Hold, Timer
    from mlops_kit.local.service import Context

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Armed:
    """A schedule and its next occurrence."""

    schedule: Schedule
    moment: float


@dataclass(frozen=True)
class _Due:
    """An occurrence whose time has come; the clock waits until it is taken."""

    armed: _Armed
    hold: Hold


class Firing:
    """The timers of all schedules.

    Parameters
    ----------
    context : Context
        What the server hands out.
    book : Book
        The tables.

    Attributes
    ----------
    guard : threading.RLock
        Held by whoever changes a schedule, so that no occurrence is taken of a former version of it.
    """

    def __init__(self, context: Context, book: Book) -> None:
        self.guard = threading.RLock()
        self._clock = context.clock
        self._book = book
        self._armed: dict[Key, tuple[_Armed, Timer]] = {}
        self._due = Batches[_Due]("scheduler", self._take, lambda due: due.hold.release())
        self._delivery = Delivery(context, book, self._end)

    def start(self) -> None:
        """Go on with what a former server left, and arm every schedule."""
        self._due.start()
        self._delivery.start()
        now = self._clock.now()
        with self.guard:
            for invocation in self._book.invocations():
                self._delivery.begin(invocation)
            for schedule in self._book.schedules():
                try:
                    self._catch_up(schedule, now)
                except Exception:  # one bad schedule never stops the others
                    logger.exception("schedule %s cannot fire", schedule.key.arn)

    def stop(self) -> None:
        """Fire no more; what is under way goes on with the next start."""
        with self.guard:
            for key in list(self._armed):
                self.disarm(key)
        self._due.stop()
        self._delivery.stop()

    def take_fired(self) -> list[dict[str, Any]]:
        """What has come to an end since this was last asked, in the order of its end."""
        return self._delivery.take_fired()

    def arm(self, schedule: Schedule) -> None:
        """Wait for a schedule's next occurrence, in place of what was waited for."""
        self.disarm(schedule.key)
        moment = next(schedule.occurrences(schedule.taken), None) if schedule.enabled else None
        if moment is not None:
            armed = _Armed(schedule, moment)
            timer = self._clock.call_at(moment, lambda: self._due.put(_Due(armed, self._clock.hold())))
            self._armed[schedule.key] = armed, timer

    def disarm(self, key: Key) -> None:
        """Wait for a schedule no more."""
        if known := self._armed.pop(key, None):
            known[1].cancel()

    def _take(self, group: Sequence[_Due]) -> None:
        """Write down that occurrences are taken, then wait for the next ones and deliver these."""
        with self.guard:
            current = [due.armed for due in group if self._is_current(due.armed)]
            invocations = [_invocation(armed.schedule, armed.moment) for armed in current]
            statements = [
                statement
                for armed, invocation in zip(current, invocations, strict=True)
                for statement in entries.take(armed.schedule, [invocation], armed.moment)
            ]
            self._book.write(statements)
            for armed, invocation in zip(current, invocations, strict=True):
                self.arm(replace(armed.schedule, taken=armed.moment))
                self._delivery.begin(invocation)

    def _is_current(self, armed: _Armed) -> bool:
        known = self._armed.get(armed.schedule.key)
        return known is not None and known[0] is armed

    def _catch_up(self, schedule: Schedule, now: float) -> None:
        """Take what fell due while no server ran and is not too old to deliver; then arm."""
        if schedule.enabled:
            oldest = max(schedule.taken, now - age(schedule.target) - _window(schedule))
            missed = list(takewhile(lambda moment: moment <= now, schedule.occurrences(oldest)))
            invocations = [_invocation(schedule, moment) for moment in missed]
            schedule = replace(schedule, taken=missed[-1] if missed else oldest)
            if missed:
                self._book.write(entries.take(schedule, invocations, schedule.taken))
            for invocation in invocations:
                self._delivery.begin(invocation)
        self.arm(schedule)

    def _end(self, ended: Sequence[Invocation]) -> None:
        """Forget invocations, and the schedules too that have completed and want that."""
        with self.guard:
            statements = [entries.drop_invocation(one) for one in ended]
            ids = {one.id for one in ended}
            for key in {one.key for one in ended}:
                schedule = self._book.schedule(key)
                if schedule is not None and self._is_complete(schedule, ids):
                    statements.append(entries.drop_schedule(key))
            self._book.write(statements)

    def _is_complete(self, schedule: Schedule, ended: Set[str]) -> bool:
        return (
            schedule.body["ActionAfterCompletion"] == "DELETE"
            and schedule.enabled
            and schedule.key not in self._armed
            and all(known.id in ended for known in self._book.invocations(schedule.key))
        )


def _invocation(schedule: Schedule, moment: float) -> Invocation:
    due = moment + _offset(schedule, moment)
    return Invocation(secrets.token_hex(8), schedule.key, schedule.target, moment, due, due)


def _window(schedule: Schedule) -> float:
    return float(schedule.body["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)) * 60


def _offset(schedule: Schedule, moment: float) -> float:
    """Seconds into the flexible window: anywhere in it, and for one occurrence always the same."""
    digest = hashlib.blake2b(f"{schedule.key.arn} {moment}".encode(), digest_size=8).digest()
    return float(int(_window(schedule) * int.from_bytes(digest) / 2**64))
