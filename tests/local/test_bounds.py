"""What ministack would keep for ever is bounded: the newest stays."""

from __future__ import annotations

import time
import uuid

import pytest

from mlops_kit.local.corrections import bounds
from mlops_kit.local.corrections.bounds import Lines
from tests.conftest import EmbeddedAws


def _stream(number: int, lines: int) -> dict[str, object]:
    events = [{"timestamp": number * 1000 + n, "message": "x" * 100} for n in range(lines)]
    ends = {"firstEventTimestamp": number * 1000, "lastEventTimestamp": number * 1000 + lines - 1}
    return {"events": events, **ends}


def _added(lines: Lines, group: dict[str, dict[str, dict[str, object]]], number: int, count: int) -> None:
    stream = _stream(number, count)
    group["streams"][str(number)] = stream
    lines.added(stream, stream["events"])  # type: ignore[arg-type]


def test_the_oldest_streams_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LINES", 100_000)
    group: dict[str, dict[str, dict[str, object]]] = {"streams": {}}
    lines = Lines({"g": group})
    for number in range(50):
        _added(lines, group, number, 100)
    kept = list(group["streams"])
    assert kept == [str(number) for number in range(50)][-len(kept) :]
    assert 7 <= len(kept) <= 10


def test_a_stream_that_is_too_long_loses_its_older_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LINES", 100_000)
    group: dict[str, dict[str, dict[str, object]]] = {"streams": {}}
    _added(Lines({"g": group}), group, 1, 5000)
    events = group["streams"]["1"]["events"]
    assert events == _stream(1, 5000)["events"][-len(events) :]  # type: ignore[arg-type, index]
    assert 0 < len(events) <= 750
    assert group["streams"]["1"]["firstEventTimestamp"] == events[0]["timestamp"]


def test_a_metric_keeps_its_newest_points(aws: EmbeddedAws) -> None:
    client, name = aws.client("cloudwatch"), uuid.uuid4().hex
    begin = int(time.time()) // 60 * 60 - 60
    for start in range(0, bounds.POINTS * 2, 1000):
        data = [{"MetricName": name, "Value": start + n, "Timestamp": begin} for n in range(1000)]
        client.put_metric_data(Namespace="Test", MetricData=data)
    shown = client.get_metric_statistics(
        Namespace="Test", MetricName=name, StartTime=begin - 60, EndTime=begin + 120, Period=60,
        Statistics=["SampleCount", "Maximum"],
    )["Datapoints"][0]  # fmt: skip
    assert shown["Maximum"] == bounds.POINTS * 2 - 1
    assert bounds.POINTS <= shown["SampleCount"] <= bounds.POINTS * 5 // 4 + 1
