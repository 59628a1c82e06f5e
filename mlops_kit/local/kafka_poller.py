"""Reads one mapping's topic and calls its function, batch by batch; must not know requests or other mappings.

At least once: the group's offset moves on only behind what a function has taken or a destination has got.
A batch that failed waits for its next attempt, and so do the partitions it came from, while others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from botocore.exceptions import BotoCoreError, ClientError

from mlops_kit.local import kafka_calls
from mlops_kit.local.kafka_batch import Ending, Record, fitting, too_large
from mlops_kit.local.kafka_calls import Client
from mlops_kit.local.kafka_plan import Plan
from mlops_kit.local.kafka_reader import Reader, Unreachable

IDLE = 1.0  # seconds of one wait for records: how long a stop may take
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts, doubled each time
_NEW_PARTITIONS = 60.0  # seconds between two looks for them

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reports:
    """What a poller says, from its thread.

    Attributes
    ----------
    result : callable
        ``result(text)``: the last processing result.
    begun : callable
        ``begun(partitions)``: it reads these; None when the topic cannot be reached yet.
    now : callable
        ``now()``: epoch seconds of the embedded clock.
    real : callable
        ``real()``: epoch seconds in which brokers and producers live.
    """

    result: Callable[[str], None]
    begun: Callable[[list[int] | None], None]
    now: Callable[[], float]
    real: Callable[[], float]


@dataclass(frozen=True)
class _Batch:
    """Records on their way.

    `attempts` counts calls of the function that failed, `pauses` all that went wrong; `ending` says that the
    function gets it no more, only the destination.
    """

    records: tuple[Record, ...]
    attempts: int = 0
    pauses: int = 0
    due: float = 0.0
    ending: Ending | None = None

    def later(self, **changes: object) -> _Batch:
        pause = min(_FIRST_PAUSE * 2**self.pauses, _LONGEST_PAUSE)
        return replace(self, pauses=self.pauses + 1, due=time.monotonic() + pause, **changes)  # type: ignore[arg-type]


@dataclass
class Poller:
    """A thread that works for one mapping until it is stopped.

    Attributes
    ----------
    plan : Plan
    client : callable
        ``client(service)``: a botocore client of the port.
    as_role : callable
        The same, for the function's role: it is whom a destination sees.
    reports : Reports
    """

    plan: Plan
    client: Client
    as_role: Client
    reports: Reports
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _waiting: list[_Batch] = field(default_factory=list, init=False)
    _read: dict[int, int] = field(default_factory=dict, init=False)  # by partition, the last one's offset + 1
    _paused: set[int] = field(default_factory=set, init=False)
    _known: Sequence[int] | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to read."""
        self._known = self.plan.known
        name = f"kafka-{self.plan.uuid[:8]}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more; returns at once."""
        self._stopping.set()

    def join(self, patience: float | None = None) -> None:
        """Wait for its end: it lets the function finish that it has called."""
        if self._thread is not None:
            self._thread.join(patience)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                with closing(Reader(self.plan.source.servers, self.plan.topic, self.plan.group)) as reader:
                    self._found(reader.begin(self.plan.position, self.plan.moment, self._known))
                    pause = _FIRST_PAUSE
                    self._work(reader)
            except Unreachable as problem:
                self._report_problem(str(problem))
                self.reports.begun(None)
            except Exception:
                logger.exception("the poller of mapping %s failed and begins again", self.plan.uuid)
                self.reports.result("PROBLEM: internal error of the embedded AWS; its log has the traceback")
            self._stopping.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _found(self, partitions: list[int]) -> None:
        self._known = partitions
        self.reports.begun(partitions)

    def _work(self, reader: Reader) -> None:
        """Read from the group's offsets until stopped."""
        self._waiting, self._read, self._paused = [], {}, set()
        look = time.monotonic() + _NEW_PARTITIONS
        while not self._stopping.is_set():
            for batch in [one for one in self._waiting if one.due <= time.monotonic()]:
                self._waiting.remove(batch)
                self._attempt(batch)
            wait, enough = self._wait(), self._stopping.is_set
            self._take(reader.gather(self.plan.most, self.plan.window, wait, enough))
            self._commit(reader)
            if problem := reader.problem():
                self._report_problem(problem)
            if time.monotonic() > look:
                look = time.monotonic() + _NEW_PARTITIONS
                self._look(reader)

    def _wait(self) -> float:
        """Seconds until the next batch is due, at most `IDLE`."""
        due = min((one.due for one in self._waiting), default=float("inf"))
        return max(0.0, min(IDLE, due - time.monotonic()))

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self._read[record.partition] = record.offset + 1
        for batch in fitting(records):
            self._attempt(_Batch(batch))

    def _attempt(self, batch: _Batch) -> None:
        """Call the function, or the destination; what is not done then waits."""
        if self._stopping.is_set():
            self._waiting.append(batch)
            return
        try:
            if batch.ending is None:
                batch = replace(batch, records=self._wanted(batch))
            if not batch.records:
                return
            if batch.ending is not None:
                self._discard(batch, batch.ending)
            else:
                self._call(batch)
        except (BotoCoreError, ClientError) as error:
            self.reports.result(f"PROBLEM: {error}")
            self._waiting.append(batch.later())

    def _wanted(self, batch: _Batch) -> tuple[Record, ...]:
        """The records that the function is to see, in this attempt; what is too old is discarded."""
        records = batch.records
        if batch.attempts == 0:
            records = kafka_calls.matching(self.client, self.plan, records)
        if self.plan.oldest < 0:
            return records
        before = (self.reports.real() - self.plan.oldest) * 1000
        old = tuple(one for one in records if 0 <= one.timestamp < before)
        if not old:
            return records
        ending = Ending("RecordAgeExceeded", batch.attempts)
        self._attempt(replace(batch, records=old, ending=ending))
        return tuple(one for one in records if not 0 <= one.timestamp < before)

    def _call(self, batch: _Batch) -> None:
        if len(batch.records) == 1 and too_large(self.plan.source, batch.records):
            self._attempt(replace(batch, ending=Ending("MaximumPayloadSizeExceeded", batch.attempts)))
            return
        answer = kafka_calls.invoke(self.client, self.plan, batch.records)
        if answer.again and self._stopping.is_set():  # perhaps it was ended together with us
            self._waiting.append(batch)
            return
        if not answer.again:
            self.reports.result("OK")
            return
        self.reports.result(f"PROBLEM: Function call failed: {answer.error}")
        if answer.whole and self.plan.bisect and len(batch.records) > 1:
            half = len(batch.records) // 2
            for part in (batch.records[:half], batch.records[half:]):
                self._waiting.append(batch.later(records=part))  # to split is no attempt
            return
        attempts = batch.attempts + 1
        if 0 <= self.plan.retries < attempts:
            ending = Ending("RetryAttemptsExhausted", attempts, answer.request_id)
            self._attempt(replace(batch, records=answer.again, attempts=attempts, ending=ending))
            return
        self._waiting.append(batch.later(records=answer.again, attempts=attempts))

    def _discard(self, batch: _Batch, ending: Ending) -> None:
        first, last = batch.records[0], batch.records[-1]
        logger.warning(
            "mapping %s discards %d records, %s@%d to %s@%d: %s",
            *(self.plan.uuid, len(batch.records), first.place, first.offset, last.place, last.offset),
            ending.condition,
        )
        kafka_calls.discard(self.as_role, self.plan, batch.records, ending, self.reports.now())

    def _commit(self, reader: Reader) -> None:
        """Move the group behind what is done, and let partitions rest whose records wait."""
        held: dict[int, int] = {}
        for record in (record for batch in self._waiting for record in batch.records):
            held[record.partition] = min(record.offset, held.get(record.partition, record.offset))
        reader.commit({**self._read, **held})
        if more := held.keys() - self._paused:
            reader.pause(more)
        if free := self._paused - held.keys():
            reader.resume(free)
        self._paused = set(held)

    def _look(self, reader: Reader) -> None:
        try:
            self._found(reader.begin(self.plan.position, None, ()))
        except Unreachable as problem:
            self._report_problem(str(problem))

    def _report_problem(self, words: str) -> None:
        self.reports.result(f"PROBLEM: Connection error: {words}")
