"""Bounds what ministack's services would keep for ever: log lines, metric points, events; serves no request.

AWS keeps them on disks; here they are in memory, and each save writes them. The oldest go first.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.local.ministack import module

LINES = 32 << 20  # characters of log lines in all groups
POINTS = 5_000  # of one metric
_RECORDS = 10_000  # of lines that GetLogRecord finds after a query
_SWEEP = 60.0  # seconds between two looks for points older than CloudWatch keeps them


def install_logs() -> None:
    """Bound the lines, and what is known of them by pointer."""
    logs = module("services.cloudwatch_logs")
    logs._log_records = _newest(logs._log_records, _RECORDS)
    lines = Lines(logs._log_groups._data)
    append, get_record = logs._append_log_events, logs._get_log_record

    def appended(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        append(stream, events)
        lines.added(stream, events)

    def got(data: dict[str, Any]) -> Any:
        pointer = data.get("logRecordPointer")
        if pointer and pointer not in logs._log_records:
            _look_up(logs, pointer)
        return get_record(data)

    logs._append_log_events, logs._get_log_record = appended, got


def _look_up(logs: Any, pointer: str) -> None:
    """Put a line back among the records: one that was forgotten, or came before the last start."""
    for group, kept in logs._log_groups.items():
        for stream, lines in kept["streams"].items():
            for line in lines["events"]:
                if line.get("eventId") == pointer:
                    logs._log_records[pointer] = logs._build_log_record(
                        ptr=pointer,
                        timestamp_ms=line["timestamp"],
                        message=line["message"],
                        log_group=group,
                        log_stream=stream,
                    )


def _newest(scoped: Any, most: int) -> Any:
    """A store like ``scoped`` that forgets the oldest entries."""

    class Newest(type(scoped)):  # type: ignore[misc]
        __slots__ = ()

        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, value)
            if len(self._data) > most:
                del self._data[next(iter(self._data))]

    return Newest()


class Lines:
    """The lines of all log groups, of which the newest stay.

    Parameters
    ----------
    groups : mapping
        Of ministack's log groups by scoped name.
    """

    def __init__(self, groups: Mapping[Any, dict[str, Any]]) -> None:
        self._groups = groups
        self._size: int | None = None  # unknown; what was deleted meanwhile still counts

    def added(self, stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Count lines that a stream has got, and make room when that is too much."""
        if self._size is None:
            self._size = sum(_size(kept) for _, _, kept in self._streams())
        else:
            self._size += sum(len(event["message"]) for event in events)
        if self._size > LINES:
            self._make_room(stream)

    def _make_room(self, newest: dict[str, Any]) -> None:
        """Drop streams, the longest silent first, until a quarter is free; of the newest its older half."""
        streams = sorted(self._streams(), key=lambda found: found[2]["lastEventTimestamp"] or 0)
        self._size = sum(_size(stream) for _, _, stream in streams)
        for group, name, stream in streams:
            if self._size <= LINES * 3 // 4:
                return
            if stream is not newest:
                self._size -= _size(stream)
                del group["streams"][name]
        while self._size > LINES * 3 // 4 and len(newest["events"]) > 1:
            self._size -= _size(newest)
            newest["events"] = newest["events"][len(newest["events"]) // 2 :]
            newest["firstEventTimestamp"] = newest["events"][0]["timestamp"]
            self._size += _size(newest)

    def _streams(self) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
        for group in list(self._groups.values()):
            for name, stream in list(group["streams"].items()):
                yield group, name, stream


def _size(stream: Mapping[str, Any]) -> int:
    return sum(len(event["message"]) for event in stream["events"])


def install_metrics() -> None:
    """Keep the newest points of each metric, and look for old ones now and then, not at every call."""
    metrics = module("services.cloudwatch")
    evict, swept = metrics._evict_old_metrics, 0.0
    bucket = metrics._metric_bucket

    def evicted() -> None:
        nonlocal swept
        if not 0 <= time.time() - swept < _SWEEP:
            swept = time.time()
            evict()

    def bounded(key: Any) -> list[Any]:
        points: list[Any] = bucket(key)
        if len(points) > POINTS * 5 // 4:
            del points[:-POINTS]
        return points

    metrics._evict_old_metrics = evicted
    metrics._metric_bucket = bounded


def install_events() -> None:
    """Keep no list of all events: nothing ever reads it."""
    module("services.eventbridge")._events_log_list = lambda: deque(maxlen=0)
