"""One topic of a real broker, read by a group's offsets on this machine; must not know functions or mappings.

The partitions are assigned, not subscribed to: there is one reader, and it begins at once. Its group holds
offsets only, so another consumer of the same group would not be noticed.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_kit.local.kafka_batch import Record

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, TopicPartition

MISSING = (
    "The embedded AWS reads Kafka by confluent-kafka, which is not installed: pip install 'mlops-kit[kafka]'"
)
_PATIENCE = 5.0  # seconds for one question to a broker
_PASSING = ("_TRANSPORT", "_TIMED_OUT", "_WAIT_COORD")  # tried again; when no broker is left, that is said
_STAMPS = {1: "CREATE_TIME", 2: "LOG_APPEND_TIME"}
_SETTINGS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # of an offset that the topic no longer has
    "reconnect.backoff.ms": 200,
    "reconnect.backoff.max.ms": 10_000,
    "socket.timeout.ms": 10_000,
    "max.poll.interval.ms": 86_400_000,  # a function may take as long as it likes
    "queued.max.messages.kbytes": 32_768,
    "log_level": 0,  # what is wrong comes through the callback
}


class Unreachable(Exception):
    """The topic cannot be read now; the text says why."""


def loopback(server: str) -> bool:
    """Whether ``host:port`` is on this machine by its name alone."""
    host = server.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Reader:
    """Reads one topic; made, used and closed by one thread.

    Parameters
    ----------
    servers : sequence of str
        ``host:port``.
    topic, group : str

    Raises
    ------
    Unreachable
        The library is not installed.
    """

    def __init__(self, servers: Sequence[str], topic: str, group: str) -> None:
        try:
            from confluent_kafka import Consumer
        except ImportError as error:
            raise Unreachable(MISSING) from error
        self._topic = topic
        self._committed: dict[int, int] = {}
        self._sent: dict[int, int] = {}
        self._problem = ""
        settings: dict[str, Any] = {"bootstrap.servers": ",".join(servers), "group.id": group, **_SETTINGS}
        settings |= {"error_cb": self._failed, "on_commit": self._answered}
        self._consumer: Consumer = Consumer(settings)

    def begin(self, position: str, moment: float | None, known: Iterable[int] | None) -> list[int]:
        """Read from where the group was, or else from a position, which is at once the group's.

        Parameters
        ----------
        position : str
            ``TRIM_HORIZON``, ``LATEST`` or ``AT_TIMESTAMP``.
        moment : float or None
            Epoch seconds of the latter.
        known : iterable of int or None
            The partitions that were there before: any other is new and read from its beginning. None: all
            are read from the position.

        Returns
        -------
        list of int
            The partitions.

        Raises
        ------
        Unreachable
            There is no broker, no such topic, or a broker that is not on this machine.
        """
        from confluent_kafka import KafkaException

        try:
            found = self._partitions()
            fresh = [one for one in found if one not in self._committed]
            stored = self._stored(fresh)
            missing = {}
            for one in (partition for partition in fresh if partition not in stored):
                new = known is not None and one not in known
                missing[one] = self._offset(one, "TRIM_HORIZON" if new else position, moment)
            self._commit_now(missing)
            self._committed |= stored | missing
            if fresh:
                self._consumer.incremental_assign([self._at(one, self._committed[one]) for one in fresh])
        except KafkaException as error:
            raise Unreachable(f"{error.args[0].str()} ({error.args[0].name()})") from error
        return found

    def gather(self, most: int, window: float, wait: float, enough: Callable[[], bool]) -> list[Record]:
        """Records: none after `wait` seconds, else what comes within `window` seconds after the first.

        `enough` is asked now and then whether to end before.
        """
        messages = self._consumer.consume(1, timeout=wait)
        if messages and most > 1:
            end = time.monotonic() + window
            while len(messages) < most and (left := end - time.monotonic()) > 0 and not enough():
                more = self._consumer.consume(most - len(messages), timeout=min(left, 0.1))
                messages += more
        found = []
        for message in messages:
            if problem := message.error():
                self._failed(problem)
            else:
                found.append(_record(message))
        if found:
            self._problem = ""  # what was wrong before has passed
        return found

    def problem(self) -> str:
        """What is wrong with the brokers, said once; empty when nothing new is."""
        problem, self._problem = self._problem, ""
        return problem

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Let the group go on at these offsets by partition; what fails is sent again by the next call."""
        due = {one: to for one, to in offsets.items() if to > self._sent.get(one, self._committed[one])}
        if due:
            self._sent |= due
            parts = [self._at(one, offset) for one, offset in due.items()]
            self._consumer.commit(offsets=parts, asynchronous=True)

    def pause(self, partitions: Iterable[int]) -> None:
        """Read no more of some partitions for now."""
        self._consumer.pause([self._at(one) for one in partitions])

    def resume(self, partitions: Iterable[int]) -> None:
        """Read some partitions again."""
        self._consumer.resume([self._at(one) for one in partitions])

    def close(self, patience: float = 2.0) -> None:
        """Wait a moment until the broker has what was committed, and let go."""
        end = time.monotonic() + patience
        while self._sent and time.monotonic() < end:
            self._consumer.poll(0.05)
        self._consumer.close()

    def _commit_now(self, offsets: Mapping[int, int]) -> None:
        if offsets:
            parts = [self._at(one, offset) for one, offset in offsets.items()]
            for part in self._consumer.commit(offsets=parts, asynchronous=False) or ():
                if part.error is not None:
                    raise Unreachable(f"{part.error.str()} ({part.error.name()})")

    def _partitions(self) -> list[int]:
        metadata = self._consumer.list_topics(self._topic, timeout=_PATIENCE)
        for broker in metadata.brokers.values():
            if not loopback(f"{broker.host}:{broker.port}"):
                words = "the embedded AWS never leaves this machine"
                raise Unreachable(f"a broker calls itself {broker.host}:{broker.port}; {words}")
        topic = metadata.topics[self._topic]
        if topic.error is not None:
            raise Unreachable(f"topic {self._topic}: {topic.error.str()}")
        return sorted(topic.partitions)

    def _stored(self, partitions: Iterable[int]) -> dict[int, int]:
        parts = [self._at(one) for one in partitions]
        if not parts:
            return {}
        found = self._consumer.committed(parts, timeout=_PATIENCE)
        return {one.partition: one.offset for one in found if one.offset >= 0}

    def _offset(self, partition: int, position: str, moment: float | None) -> int:
        low, high = self._consumer.get_watermark_offsets(self._at(partition), timeout=_PATIENCE)
        if position == "AT_TIMESTAMP":
            asked = [self._at(partition, int((moment or 0) * 1000))]
            offset = self._consumer.offsets_for_times(asked, timeout=_PATIENCE)[0].offset
            return int(offset if offset >= 0 else high)
        return int(low if position == "TRIM_HORIZON" else high)

    def _at(self, partition: int, offset: int | None = None) -> TopicPartition:
        from confluent_kafka import TopicPartition

        if offset is None:
            return TopicPartition(self._topic, partition)
        return TopicPartition(self._topic, partition, offset)

    def _failed(self, error: KafkaError) -> None:
        if error.name() not in _PASSING:
            self._problem = f"{error.str()} ({error.name()})"

    def _answered(self, error: KafkaError | None, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            problem = error or part.error
            if problem is None:
                self._committed[part.partition] = max(part.offset, self._committed.get(part.partition, -1))
            else:
                self._failed(problem)
            if problem is not None or self._sent.get(part.partition, -1) <= part.offset:
                self._sent.pop(part.partition, None)


def _record(message: Any) -> Record:
    kind, stamp = message.timestamp()
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=stamp if kind in _STAMPS else -1,
        timestamp_type=_STAMPS.get(kind, "NO_TIMESTAMP_TYPE"),
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple((name, _bytes(value)) for name, value in message.headers() or ()),
    )


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
