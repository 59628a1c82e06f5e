"""What the reader of a topic does where a mapping is not needed to see it."""

from __future__ import annotations

import sys
import uuid
from contextlib import closing

import pytest

from mlops_kit.local.kafka_reader import Reader, Unreachable, loopback
from tests.local.kafka_place import Broker, broker

__all__ = ["broker"]


def test_a_partition_that_came_later_is_read_from_its_beginning(broker: Broker) -> None:
    topic = f"later-{uuid.uuid4().hex[:8]}"
    broker.put(topic, "a")
    broker.put(topic, "b", partition=1)
    with closing(Reader([broker.server], topic, topic)) as reader:
        assert reader.begin("LATEST", None, known=[0, 2, 3]) == [0, 1, 2, 3]
        assert [one.value for one in reader.gather(10, 0.2, 10, lambda: False)] == [b"b"]
        assert reader.begin("LATEST", None, known=()) == [0, 1, 2, 3], "nothing new is read again"
        assert reader.gather(10, 0.2, 0.5, lambda: False) == []


def test_what_was_committed_is_with_the_broker_when_the_reader_is_closed(broker: Broker) -> None:
    topic = f"closed-{uuid.uuid4().hex[:8]}"
    broker.put(topic, "a", "b", "c")
    with closing(Reader([broker.server], topic, topic)) as reader:
        reader.begin("TRIM_HORIZON", None, None)
        reader.commit({0: 2})
        reader.commit({0: 1})  # it never goes back
    assert broker.committed(topic, topic) == 2


def test_a_paused_partition_rests_and_goes_on_where_it_was(broker: Broker) -> None:
    topic = f"paused-{uuid.uuid4().hex[:8]}"
    broker.put(topic, "a", "b")
    with closing(Reader([broker.server], topic, topic)) as reader:
        reader.begin("TRIM_HORIZON", None, None)
        assert [one.value for one in reader.gather(1, 0, 10, lambda: False)] == [b"a"]
        reader.pause([0])
        broker.put(topic, "c", partition=1)
        assert [one.value for one in reader.gather(10, 0.2, 10, lambda: False)] == [b"c"]
        reader.resume([0])
        assert [one.value for one in reader.gather(10, 0.2, 10, lambda: False)] == [b"b"]


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(Unreachable, match=r"pip install 'mlops-kit\[kafka\]'"):
        Reader(["127.0.0.1:9092"], "topic", "group")


@pytest.mark.parametrize("server", ["127.0.0.1:9092", "127.9.9.9:1", "localhost:9092", "[::1]:9092"])
def test_this_machine_is_known_by_name(server: str) -> None:
    assert loopback(server)


@pytest.mark.parametrize(
    "server", ["kafka:9092", "10.0.0.1:9092", "127.0.0.1.example.com:9092", "0.0.0.0:1", ":1"]
)
def test_any_other_name_is_not_this_machine(server: str) -> None:
    assert not loopback(server)
