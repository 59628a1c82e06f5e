"""Fires schedules on the embedded clock: takes each occurrence once, delivers it, tries again, gives up.

An occurrence is written down as taken before its target hears of it, and as ended after. A server that was
killed in between delivers it again under the same execution id, which makes a state machine's execution one
and the same. Must not know how a target is called.
Sources: EventBridge Scheduler User Guide, "Schedule types", "Configuring flexible time windows", "Deleting a
schedule", "Monitoring with Amazon CloudWatch".
"""

from __future__ import annotations

import hashlib
import logging
import queue
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from mlops_kit.local.scheduler import book as entries
from mlops_kit.local.scheduler import letters, targets
from mlops_kit.local.scheduler.book import Book, Invocation, Key, Schedule
from mlops_kit.local.scheduler.targets import TargetRefused

if TYPE_CHECKING:
    from mlops_kit.local.clock import Hold, Timer
    from mlops_kit.local.service import Context

_ATTEMPTS, _AGE = 185, 86_400  # AWS's defaults: attempts after the first, seconds
_BACKOFF, _LONGEST = 10.0, 600.0  # seconds before the second attempt, doubled from one to the next up to this
_TARGETS = 32  # targets that are called at a time
_TOLD = 10_000  # fired occurrences that are remembered for whoever moves the clock
_AGAIN = 1.0  # real seconds until a disk that took nothing is tried again

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
        self._context = context
        self._clock = context.clock
        self._book = book
        self._armed: dict[Key, tuple[_Armed, Timer]] = {}
        self._due: queue.SimpleQueue[_Due | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._pool = ThreadPoolExecutor(_TARGETS, "scheduler-target")
        self._closing = False
        self._fired: deque[dict[str, Any]] = deque(maxlen=_TOLD)

    def start(self) -> None:
        """Go on with what a former server left, and arm every schedule."""
        self._worker.start()
        now = self._clock.now()
        with self.guard:
            for invocation in self._book.invocations():
                self._await(invocation)
            for schedule in self._book.schedules():
                try:
                    self._catch_up(schedule, now)
                except Exception:  # one bad schedule never stops the others
                    logger.exception("schedule %s cannot fire", schedule.key.arn)

    def stop(self) -> None:
        """Fire no more; what is under way goes on with the next start."""
        self._closing = True
        with self.guard:
            for _, timer in self._armed.values():
                timer.cancel()
        if self._worker.is_alive():
            self._due.put(None)
            self._worker.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def take_fired(self) -> list[dict[str, Any]]:
        """What has come to an end since this was last asked, in the order of its end."""
        taken = []
        while self._fired:
            taken.append(self._fired.popleft())
        return taken

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

    # ------------------------------------------------------------------ taking
    def _run(self) -> None:
        while (first := self._due.get()) is not None:
            group = [first, *self._waiting()]
            try:
                self._take([due.armed for due in group])
            except sqlite3.Error as error:
                logger.error("schedules wait for the disk: %s", error)
                time.sleep(_AGAIN)
                for due in group:
                    self._due.put(due)
                continue
            except Exception:
                logger.exception("occurrences were lost")
            for due in group:
                due.hold.release()

    def _waiting(self) -> Iterator[_Due]:
        while not self._due.empty():
            due = self._due.get()
            if due is None:
                self._due.put(None)
                return
            yield due

    def _take(self, due: Iterable[_Armed]) -> None:
        """Write down that occurrences are taken, then wait for the next ones and deliver these."""
        with self.guard:
            current = [armed for armed in due if self._is_current(armed)]
            invocations = [_invocation(armed.schedule, armed.moment) for armed in current]
            statements = [
                statement
                for armed, invocation in zip(current, invocations, strict=True)
                for statement in entries.take(armed.schedule, [invocation], armed.moment)
            ]
            self._book.write(statements)
            for armed, invocation in zip(current, invocations, strict=True):
                self.arm(replace(armed.schedule, taken=armed.moment))
                self._await(invocation)

    def _is_current(self, armed: _Armed) -> bool:
        known = self._armed.get(armed.schedule.key)
        return known is not None and known[0] is armed

    def _catch_up(self, schedule: Schedule, now: float) -> None:
        """Take what fell due while no server ran and is not too old to deliver; then arm."""
        if schedule.enabled:
            oldest = max(schedule.taken, now - _age(schedule.target) - _window(schedule))
            missed = list(takewhile(lambda moment: moment <= now, schedule.occurrences(oldest)))
            invocations = [_invocation(schedule, moment) for moment in missed]
            schedule = replace(schedule, taken=missed[-1] if missed else oldest)
            if missed:
                self._book.write(entries.take(schedule, invocations, schedule.taken))
            for invocation in invocations:
                self._await(invocation)
        self.arm(schedule)

    # -------------------------------------------------------------- delivering
    def _await(self, invocation: Invocation) -> None:
        self._clock.call_at(invocation.next, lambda: self._submit(invocation))

    def _submit(self, invocation: Invocation) -> None:
        if not self._closing:
            hold = self._clock.hold()
            self._pool.submit(self._attempt, invocation).add_done_callback(lambda _: hold.release())

    def _attempt(self, invocation: Invocation) -> None:
        try:
            if not self._still_wanted(invocation):
                return
            if invocation.failures and self._clock.now() >= invocation.due + _age(invocation.target):
                self._give_up(invocation, "MaximumEventAgeInSeconds")
                return
            self._count(invocation, "InvocationAttemptCount")
            targets.deliver(self._context, invocation)
            self._context.settle()
            self._end(invocation, "delivered")
        except TargetRefused as refused:
            self._refused(invocation, refused)
        except Exception as error:
            logger.exception("an invocation of %s failed", invocation.key.arn)
            self._refused(invocation, TargetRefused("InternalFailure", str(error), passing=True))

    def _still_wanted(self, invocation: Invocation) -> bool:
        """A deleted schedule fires no more; what it has begun to deliver is brought to an end."""
        return bool(invocation.failures) or any(
            known.id == invocation.id for known in self._book.invocations(invocation.key)
        )

    def _refused(self, invocation: Invocation, refused: TargetRefused) -> None:
        self._count(invocation, "TargetErrorCount")
        if refused.throttled:
            self._count(invocation, "TargetErrorThrottledCount")
        failed = replace(invocation, failures=invocation.failures + 1, error=(refused.code, refused.message))
        policy = invocation.target.get("RetryPolicy", {})
        if not refused.passing:
            self._give_up(failed, "")
        elif failed.failures > policy.get("MaximumRetryAttempts", _ATTEMPTS):
            self._give_up(failed, "MaximumRetryAttempts")
        else:
            delay = min(_LONGEST, _BACKOFF * 2 ** min(invocation.failures, 16))
            end = invocation.due + _age(invocation.target)
            again = replace(failed, next=min(self._clock.now() + delay, end))
            self._book.write([entries.put_invocation(again)])
            self._await(again)

    def _give_up(self, invocation: Invocation, exhausted: str) -> None:
        self._count(invocation, "InvocationDroppedCount")
        sent = "DeadLetterConfig" in invocation.target and self._send_letter(invocation, exhausted)
        self._end(invocation, f"{'dead letter' if sent else 'dropped'}: {': '.join(invocation.error)}")

    def _send_letter(self, invocation: Invocation, exhausted: str) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            truncated = letters.send(self._context, invocation, exhausted)
        except (ClientError, BotoCoreError) as error:
            logger.warning("a dead letter of %s was lost: %s", invocation.key.arn, error)
            self._count(invocation, "InvocationsFailedToBeSentToDeadLetterCount")
            return False
        self._context.settle()
        self._count(invocation, "InvocationsSentToDeadLetterCount")
        if truncated:
            self._count(invocation, "InvocationsSentToDeadLetterCount_Truncated_MessageSizeExceeded")
        return True

    def _end(self, invocation: Invocation, result: str) -> None:
        """Forget the invocation, and the schedule too when it has completed and wants that."""
        told = {"schedule": f"{invocation.key.group}/{invocation.key.name}", "at": invocation.scheduled}
        self._fired.append({**told, "target": invocation.target["Arn"], "result": result})
        with self.guard:
            statements = [entries.drop_invocation(invocation)]
            schedule = self._book.schedule(invocation.key)
            if schedule is not None and self._is_complete(schedule, invocation):
                statements.append(entries.drop_schedule(schedule.key))
            self._book.write(statements)

    def _is_complete(self, schedule: Schedule, last: Invocation) -> bool:
        return (
            schedule.body["ActionAfterCompletion"] == "DELETE"
            and schedule.enabled
            and schedule.key not in self._armed
            and all(known.id == last.id for known in self._book.invocations(schedule.key))
        )

    def _count(self, invocation: Invocation, name: str) -> None:
        of_group = {"ScheduleGroup": invocation.key.group}
        self._context.metric("AWS/Scheduler", name, 1, "Count", of_group, invocation.key.region)


def _invocation(schedule: Schedule, moment: float) -> Invocation:
    due = moment + _offset(schedule, moment)
    return Invocation(secrets.token_hex(8), schedule.key, schedule.target, moment, due, due)


def _window(schedule: Schedule) -> float:
    return float(schedule.body["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0)) * 60


def _offset(schedule: Schedule, moment: float) -> float:
    """Seconds into the flexible window: anywhere in it, and for one occurrence always the same."""
    digest = hashlib.blake2b(f"{schedule.key.arn} {moment}".encode(), digest_size=8).digest()
    return float(int(_window(schedule) * int.from_bytes(digest) / 2**64))


def _age(target: dict[str, object]) -> float:
    policy = target.get("RetryPolicy")
    age = policy.get("MaximumEventAgeInSeconds", _AGE) if isinstance(policy, dict) else _AGE
    return float(age)
