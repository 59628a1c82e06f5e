"""Kafka records as Lambda functions see them: event, batches, answer, and what is said of a failure; pure.

Source: AWS Lambda Developer Guide, "Using Lambda with Apache Kafka" (example event), "Configuring error
handling controls for Kafka event sources", "Capturing discarded batches" (invocation record).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PAYLOAD_LIMIT = 6_291_456  # bytes of a synchronous invocation
_ENVELOPE = 4096  # bytes spared for what stands around the records


@dataclass(frozen=True)
class Source:
    """The cluster that records come from.

    Attributes
    ----------
    servers : tuple of str
        ``host:port`` of its brokers.
    arn : str
        Of an MSK cluster; empty for a self-managed one.
    """

    servers: tuple[str, ...]
    arn: str = ""

    def shown(self) -> dict[str, str]:
        """Its members of an event."""
        named = {"eventSource": "aws:kafka", "eventSourceArn": self.arn}
        return {
            **(named if self.arn else {"eventSource": "SelfManagedKafka"}),
            "bootstrapServers": ",".join(self.servers),
        }


@dataclass(frozen=True)
class Record:
    """One record of a topic.

    Attributes
    ----------
    topic : str
    partition, offset : int
    timestamp : int
        Milliseconds since the epoch; -1 without one.
    timestamp_type : str
        ``CREATE_TIME``, ``LOG_APPEND_TIME`` or ``NO_TIMESTAMP_TYPE``.
    key, value : bytes or None
    headers : tuple of (str, bytes or None)
    """

    topic: str
    partition: int
    offset: int
    timestamp: int = -1
    timestamp_type: str = "NO_TIMESTAMP_TYPE"
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def place(self) -> str:
        """Topic and partition as events name them."""
        return f"{self.topic}-{self.partition}"

    def shown(self) -> dict[str, Any]:
        """The record as an event holds it."""
        shown: dict[str, Any] = {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp,
            "timestampType": self.timestamp_type,
            "headers": [{name: [*(value or b"")]} for name, value in self.headers],
        }
        for name, value in (("key", self.key), ("value", self.value)):
            if value is not None:
                shown[name] = base64.b64encode(value).decode()
        return shown


def event(source: Source, records: Sequence[Record]) -> dict[str, Any]:
    """The event of one invocation: records by topic and partition, in order."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        parts.setdefault(record.place, []).append(record.shown())
    return {**source.shown(), "records": parts}


def fitting(records: Sequence[Record], limit: int = PAYLOAD_LIMIT) -> Iterator[tuple[Record, ...]]:
    """Records in batches whose events fit into an invocation; one that does not fit stands alone."""
    batch: list[Record] = []
    size = _ENVELOPE
    for record in records:
        more = len(json.dumps(record.shown())) + 2
        if batch and size + more > limit:
            yield tuple(batch)
            batch, size = [], _ENVELOPE
        batch.append(record)
        size += more
    if batch:
        yield tuple(batch)


def too_large(source: Source, records: Sequence[Record]) -> bool:
    """Whether an event is larger than an invocation takes."""
    return len(json.dumps(event(source, records))) > PAYLOAD_LIMIT


def failed(answer: Any, records: Sequence[Record]) -> tuple[Record, ...]:
    """The records that a function wants again, by its ``batchItemFailures``.

    Nothing, or an empty list, is a success; what cannot be understood, or names a record that was not in the
    batch, wants all of them again.
    """
    if answer is None or answer == {}:
        return ()
    items = answer.get("batchItemFailures") if isinstance(answer, Mapping) else ()
    if items is None or items == []:
        return ()
    known = {(record.place, record.offset): record for record in records}
    try:
        wanted = [(one["itemIdentifier"]["partition"], int(one["itemIdentifier"]["offset"])) for one in items]
        chosen = {known[one] for one in wanted}
    except (KeyError, TypeError, ValueError):
        return tuple(records)
    return tuple(record for record in records if record in chosen) or tuple(records)


@dataclass(frozen=True)
class Ending:
    """How the invocations of a batch ended.

    Attributes
    ----------
    condition : str
        ``RetryAttemptsExhausted``, ``RecordAgeExceeded`` or ``MaximumPayloadSizeExceeded``.
    invocations : int
    request_id : str
        Of the last invocation.
    """

    condition: str
    invocations: int
    request_id: str = ""


def failure(
    source: Source, records: Sequence[Record], function_arn: str, ending: Ending, now: float
) -> dict[str, Any]:
    """The invocation record of a discarded batch, as a destination gets it (S3 gets ``payload`` too)."""
    parts: dict[str, list[Record]] = {}
    for record in records:
        parts.setdefault(record.place, []).append(record)
    response = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    shown = source.shown()
    batch = {
        "batchSize": len(records),
        **({"eventSourceArn": source.arn} if source.arn else {}),
        "bootstrapServers": shown["bootstrapServers"],
        "payloadSize": len(json.dumps(event(source, records))),
        "recordsInfo": {place: _range(group) for place, group in parts.items()},
    }
    return {
        "requestContext": {
            "requestId": ending.request_id,
            "functionArn": function_arn,
            "condition": ending.condition,
            "approximateInvokeCount": ending.invocations,
        },
        "responseContext": response if ending.condition == "RetryAttemptsExhausted" else None,
        "version": "1.0",
        "timestamp": _moment(now),
        "KafkaBatchInfo": batch,
    }


def _range(records: Sequence[Record]) -> dict[str, str]:
    first, last = records[0], records[-1]
    return {
        "firstRecordOffset": str(first.offset),
        "lastRecordOffset": str(last.offset),
        "firstRecordTimestamp": _moment(first.timestamp / 1000),
        "lastRecordTimestamp": _moment(last.timestamp / 1000),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
