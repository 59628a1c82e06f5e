"""Delivers what schedules fire: attempts, retries, dead letters, and the end; must not know when they fire.

What was taken and not ended when a server was killed is delivered again under the same execution id, which
makes a state machine's execution one and the same. An end is written down when what the target changed is on
disk. Sources: EventBridge Scheduler User Guide, "Managing a schedule", "Configuring a schedule's dead-letter
queue", "Monitoring with Amazon CloudWatch".
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_kit.local.scheduler import book as entries
from mlops_kit.local.scheduler import letters, targets
from mlops_kit.local.scheduler.batches import Batches
from mlops_kit.local.scheduler.book import Book, Invocation
from mlops_kit.local.scheduler.targets import TargetRefused

if TYPE_CHECKING:
    from mlops_kit.local.clock import Hold
    from mlops_kit.local.service import Context

_ATTEMPTS, _AGE = 185, 86_400  # AWS's defaults: attempts after the first, seconds
_BACKOFF, _LONGEST = 10.0, 600.0  # seconds before the second attempt, doubled from one to the next up to this
_TARGETS = 32  # targets that are called at a time
_LINGER = 3.0  # real seconds that a stop waits for calls that are being made
_TOLD = 10_000  # ends that are remembered for whoever moves the clock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Ended:
    """An invocation that came to its end; the clock waits until that is written down."""

    invocation: Invocation
    result: str
    hold: Hold


class Delivery:
    """Invocations under way.

    Parameters
    ----------
    context : Context
        What the server hands out.
    book : Book
        The tables.
    ended : callable
        Takes invocations that have ended, and brings that to disk.
    """

    def __init__(self, context: Context, book: Book, ended: Callable[[Sequence[Invocation]], None]) -> None:
        self._context = context
        self._clock = context.clock
        self._book = book
        self._write_ends = ended
        self._pool = ThreadPoolExecutor(_TARGETS, "scheduler-target")
        self._ends = Batches[_Ended]("scheduler-ends", self._end, lambda one: one.hold.release())
        self._fired: deque[dict[str, Any]] = deque(maxlen=_TOLD)
        self._closing = False

    def start(self) -> None:
        """Begin to write down ends."""
        self._ends.start()

    def stop(self) -> None:
        """Call no more targets; what does not end in a moment goes on with the next start."""
        self._closing = True
        ending = threading.Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        ending.start()
        ending.join(timeout=_LINGER)
        self._ends.stop()

    def take_fired(self) -> list[dict[str, Any]]:
        """What has come to an end since this was last asked, in the order of its end."""
        return [self._fired.popleft() for _ in range(len(self._fired))]

    def begin(self, invocation: Invocation) -> None:
        """Make the next attempt at its time."""
        self._clock.call_at(invocation.next, lambda: self._submit(invocation))

    def _submit(self, invocation: Invocation) -> None:
        if not self._closing:
            self._pool.submit(self._attempt, invocation, self._clock.hold())

    def _attempt(self, invocation: Invocation, hold: Hold) -> None:
        ended = None
        try:
            ended = self._come_on(invocation, hold)
        except Exception:
            logger.exception("an invocation of %s waits for the next start", invocation.key.arn)
        finally:
            if ended is None:
                hold.release()
            else:
                self._ends.put(ended)

    def _come_on(self, invocation: Invocation, hold: Hold) -> _Ended | None:
        """Make an attempt; the end, or None when there is to be another."""
        if not self._still_wanted(invocation):
            return None
        if invocation.failures and self._clock.now() >= invocation.due + age(invocation.target):
            return self._give_up(invocation, "MaximumEventAgeInSeconds", hold)
        self._count(invocation, "InvocationAttemptCount")
        refused = self._call(invocation)
        if refused is None:
            return _Ended(invocation, "delivered", hold)
        self._count(invocation, "TargetErrorCount")
        if refused.throttled:
            self._count(invocation, "TargetErrorThrottledCount")
        failed = replace(invocation, failures=invocation.failures + 1, error=(refused.code, refused.message))
        if not refused.passing:
            return self._give_up(failed, "", hold)
        if failed.failures > invocation.target.get("RetryPolicy", {}).get("MaximumRetryAttempts", _ATTEMPTS):
            return self._give_up(failed, "MaximumRetryAttempts", hold)
        self._try_again(failed)
        return None

    def _call(self, invocation: Invocation) -> TargetRefused | None:
        try:
            targets.deliver(self._context, invocation)
        except TargetRefused as refused:
            return refused
        except Exception as error:
            logger.exception("an invocation of %s failed", invocation.key.arn)
            return TargetRefused("InternalFailure", str(error), passing=True)
        return None

    def _still_wanted(self, invocation: Invocation) -> bool:
        """A deleted schedule fires no more; what it has begun to deliver is brought to an end."""
        return bool(invocation.failures) or any(
            known.id == invocation.id for known in self._book.invocations(invocation.key)
        )

    def _try_again(self, failed: Invocation) -> None:
        delay = min(_LONGEST, _BACKOFF * 2 ** min(failed.failures - 1, 16))
        again = replace(failed, next=min(self._clock.now() + delay, failed.due + age(failed.target)))
        self._book.write([entries.put_invocation(again)])
        self.begin(again)

    def _give_up(self, invocation: Invocation, exhausted: str, hold: Hold) -> _Ended:
        self._count(invocation, "InvocationDroppedCount")
        sent = "DeadLetterConfig" in invocation.target and self._send_letter(invocation, exhausted)
        words = f"{'dead letter' if sent else 'dropped'}: {': '.join(invocation.error)}"
        return _Ended(invocation, words, hold)

    def _send_letter(self, invocation: Invocation, exhausted: str) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            truncated = letters.send(self._context, invocation, exhausted)
        except (ClientError, BotoCoreError) as error:
            logger.warning("a dead letter of %s was lost: %s", invocation.key.arn, error)
            self._count(invocation, "InvocationsFailedToBeSentToDeadLetterCount")
            return False
        self._count(invocation, "InvocationsSentToDeadLetterCount")
        if truncated:
            self._count(invocation, "InvocationsSentToDeadLetterCount_Truncated_MessageSizeExceeded")
        return True

    def _end(self, group: Sequence[_Ended]) -> None:
        """Write down ends, once what the targets changed is on disk."""
        self._context.settle()
        self._write_ends([one.invocation for one in group])
        for one in group:
            key = one.invocation.key
            told = {"schedule": f"{key.group}/{key.name}", "at": one.invocation.scheduled}
            self._fired.append({**told, "target": one.invocation.target["Arn"], "result": one.result})

    def _count(self, invocation: Invocation, name: str) -> None:
        of_group = {"ScheduleGroup": invocation.key.group}
        self._context.metric("AWS/Scheduler", name, 1, "Count", of_group, invocation.key.region)


def age(target: Mapping[str, Any]) -> float:
    """Seconds in which an invocation may be tried again."""
    return float(target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds", _AGE))
