"""A real broker over TCP, the kit's own handler, kills and outages: each record starts one execution."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from mlops_kit.handlers import kafka_trigger
from tests.conftest import EmbeddedAws
from tests.local.kafka_place import (
    PARTIAL,
    RECORDER,
    Broker,
    Place,
    eventually,
    free_port,
    powertools,
    real_broker,
)

SLOW = "\n\nimport time\n\n\ndef slow(event, context):\n    answer = start(event, context)\n    "
SLOW += "answer = handler(event, context) and answer\n    time.sleep(2)\n    return answer\n"
# The kit's handler, as it is, and the recorder that shows what it was called with.
BOTH = inspect.getsource(kafka_trigger).replace("\ndef handler(", "\ndef start(") + RECORDER + SLOW
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


class Started(Place):
    """The kit's handler as a function, its state machine and its dead letters."""

    def __init__(self, aws: EmbeddedAws) -> None:
        super().__init__(aws)
        self.states = aws.client("stepfunctions")
        role = "arn:aws:iam::000000000000:role/any"
        made = self.states.create_state_machine(name=self.name, definition=json.dumps(WAITING), roleArn=role)
        self.machine = made["stateMachineArn"]
        self.letters, _ = self.queue("-dead")
        self.function(BOTH, powertools())
        self.lambdas.update_function_configuration(
            FunctionName=self.name,
            Handler="app.slow",
            Environment={
                "Variables": {
                    "BUCKET": self.name,
                    "STATE_MACHINE": self.machine,
                    "DEAD_LETTERS": self.letters,
                    "MAXIMUM_AGE": "604800",
                }
            },
        )

    def started(self) -> dict[str, str]:
        """By the place of the record, what the execution is about."""
        found = self.states.list_executions(stateMachineArn=self.machine)["executions"]
        given = [self.states.describe_execution(executionArn=one["executionArn"])["input"] for one in found]
        assert len({one["name"] for one in found}) == len(found)
        return {
            one["trigger"]["id"].partition("@")[0][-1] + "@" + one["trigger"]["id"].partition("@")[2]: one[
                "as_of"
            ]
            for one in map(json.loads, given)
        }


def drift(as_of: str) -> str:
    return json.dumps({"detail-type": "ModelDriftDetected", "detail": {"model": "demand", "as_of": as_of}})


def rewind(broker: Broker, topic: str, group: str) -> None:
    """Let a group read a topic from its beginning again."""
    consumer = Consumer({"bootstrap.servers": broker.server, "group.id": group})
    parts = [TopicPartition(topic, one, 0) for one in range(3)]
    assert all(one.error is None for one in consumer.commit(offsets=parts, asynchronous=False))
    consumer.close()


@pytest.fixture
def place(fresh_aws: EmbeddedAws) -> Iterator[Started]:
    yield Started(fresh_aws)


@pytest.mark.slow
def test_records_out_of_order_malformed_and_delivered_again_start_one_execution_each(place: Started) -> None:
    with real_broker(free_port(), place.topic) as broker:
        broker.put(place.topic, drift("2011-07-08"), "{", drift("2011-07-01"))
        broker.put(place.topic, b"\xff\x00", drift("2011-06-24"), partition=2)
        broker.put(place.topic, drift("2011-07-15"), timestamp=int((time.time() - 8 * 86400) * 1000))
        id = place.mapping(broker.server, **PARTIAL)
        expected = {"0@0": "2011-07-08", "0@2": "2011-07-01", "2@1": "2011-06-24"}
        eventually(lambda: place.started() == expected)
        eventually(lambda: broker.committed(place.topic, id) == 4)
        letters: list[dict[str, Any]] = []

        def collected() -> bool:
            letters.extend(place.received(place.letters))
            return len(letters) == 3

        eventually(collected)
        reasons = {
            f"{one['MessageAttributes']['partition']['StringValue']}"
            f"@{one['MessageAttributes']['offset']['StringValue']}": one["MessageAttributes"]["reason"][
                "StringValue"
            ].partition(":")[0]
            for one in letters
        }
        assert reasons == {"0@1": "MalformedJson", "0@3": "TooOld", "2@0": "MalformedValue"}

        place.lambdas.update_event_source_mapping(UUID=id, Enabled=False)
        place.settled(id, "Disabled")
        before = len(place.places())
        rewind(broker, place.topic, id)
        place.lambdas.update_event_source_mapping(UUID=id, Enabled=True)
        eventually(lambda: len(place.places()) == before + 6)
        eventually(lambda: broker.committed(place.topic, id, partition=2) == 2)
        assert place.started() == expected


@pytest.mark.slow
def test_a_kill_between_the_call_and_the_commit_delivers_again_and_starts_nothing_twice(
    place: Started,
) -> None:
    place.aws.restart()  # the function is on disk
    place = refreshed(place)
    with real_broker(free_port(), place.topic) as broker:
        broker.put(place.topic, drift("2011-07-01"))
        id = place.mapping(broker.server, **PARTIAL)
        eventually(lambda: place.places() == ["0@0"] and place.started())
        place.aws.kill()
        assert broker.committed(place.topic, id) == 0
        place.aws.start()
        place = refreshed(place)
        eventually(lambda: broker.committed(place.topic, id) == 1)
        assert place.places() == ["0@0", "0@0"] and place.started() == {"0@0": "2011-07-01"}
        assert place.get(id)["State"] == "Enabled"


def refreshed(place: Started) -> Started:
    """The same with clients of the server that runs now."""
    again = Started.__new__(Started)
    again.__dict__ = dict(place.__dict__)
    for name in ("lambdas", "s3", "sqs", "states"):
        service = {"lambdas": "lambda", "states": "stepfunctions"}.get(name, name)
        setattr(again, name, place.aws.client(service))
    return again


@pytest.mark.slow
def test_a_broker_that_is_away_is_said_and_read_when_it_comes(aws: EmbeddedAws) -> None:
    place, port = Place(aws), free_port()
    place.function()
    id = place.mapping(f"127.0.0.1:{port}", StartingPosition="LATEST")
    eventually(lambda: place.result(id).startswith("PROBLEM: Connection error: "))
    with real_broker(port) as broker:
        eventually(lambda: f"topic {place.topic}: " in place.result(id))
    with real_broker(port, place.topic) as broker:
        eventually(lambda: broker.committed(place.topic, id) == 0)
        broker.put(place.topic, "a")
        eventually(lambda: place.places() == ["0@0"] and place.result(id) == "OK")
    eventually(lambda: place.result(id).startswith("PROBLEM: Connection error: "))
    with real_broker(port, place.topic) as broker:  # it has forgotten its records, and counts from 0 again
        broker.put(place.topic, "b", "c")
        eventually(lambda: "0@1" in place.places())
        eventually(lambda: place.result(id) == "OK")


def test_a_broker_that_sends_its_clients_elsewhere_is_not_followed(aws: EmbeddedAws) -> None:
    place, port = Place(aws), free_port()
    place.function()
    with real_broker(port, place.topic, advertised="tcp://kafka.example.com:9092"):
        id = place.mapping(f"127.0.0.1:{port}")
        words = "a broker calls itself kafka.example.com:9092; the embedded AWS never leaves this machine"
        eventually(lambda: place.result(id) == f"PROBLEM: Connection error: {words}")


def test_a_time_to_begin_at_is_looked_up_by_the_broker(aws: EmbeddedAws) -> None:
    place = Place(aws)
    place.function()
    with real_broker(free_port(), place.topic) as broker:
        now = int(time.time())
        broker.put(place.topic, "a", "b")  # for every time, this broker's answer is the beginning
        id = place.mapping(broker.server, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=now)
        eventually(lambda: place.places() == ["0@0", "0@1"])
        assert int(place.get(id)["StartingPositionTimestamp"].timestamp()) == now
