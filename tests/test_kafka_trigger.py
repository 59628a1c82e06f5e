"""A drift record starts one execution; one that never can is put aside with the reason, no other is lost."""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.deploy.stack import outputs
from mlops_kit.handlers import kafka_trigger
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from tests.conftest import REGION, EmbeddedAws
from tests.local.kafka_place import Broker, broker, eventually

__all__ = ["broker"]

EVENTS = Path(__file__).parent / "events"
WAITING = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}}}


def load(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def records(event: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for part in event["records"].values() for record in part]


class Place:
    """A state machine and a queue of the embedded AWS, and the environment that names them."""

    def __init__(self, aws: EmbeddedAws) -> None:
        name = f"kafka-{uuid.uuid4().hex[:8]}"
        self.states, self.sqs = aws.client("stepfunctions"), aws.client("sqs")
        role = "arn:aws:iam::000000000000:role/any"
        made = self.states.create_state_machine(name=name, definition=json.dumps(WAITING), roleArn=role)
        self.machine = made["stateMachineArn"]
        self.queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]

    def executions(self) -> list[dict[str, Any]]:
        found = self.states.list_executions(stateMachineArn=self.machine)["executions"]
        return [self.states.describe_execution(executionArn=one["executionArn"]) for one in found]

    def inputs(self) -> list[dict[str, Any]]:
        given = [json.loads(one["input"]) for one in self.executions()]
        return sorted(given, key=lambda one: str(one["trigger"]["id"]))

    def letters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            )
            if "Messages" not in answer:
                return found
            for one in answer["Messages"]:
                attributes = {key: v["StringValue"] for key, v in one["MessageAttributes"].items()}
                found.append({**attributes, "body": json.loads(one["Body"])})


@pytest.fixture
def place(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(aws)
    environment = {
        "STATE_MACHINE": made.machine,
        "DEAD_LETTERS": made.queue,
        "MAXIMUM_AGE": str(10**10),
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    kafka_trigger._client.cache_clear()
    return made


def failures(answer: Any) -> list[tuple[str, int]]:
    items = [one["itemIdentifier"] for one in answer["batchItemFailures"]]
    return [(one["partition"], one["offset"]) for one in items]


def test_each_record_starts_an_execution_that_names_it_and_its_moment(place: Place) -> None:
    assert failures(kafka_trigger.handler(load("kafka_msk"), None)) == []
    assert place.inputs() == [
        {
            "as_of": "2011-07-01",  # of the detail
            "trigger": {"kind": "kafka", "name": "drift", "id": "drift-0@15"},
        },
        {
            "as_of": "2025-11-05T11:00:00Z",  # of the record
            "trigger": {"kind": "kafka", "name": "drift", "id": "drift-0@16"},
        },
        {
            "as_of": "2025-11-05T09:40:00Z",  # of the event
            "trigger": {"kind": "kafka", "name": "drift", "id": "drift-1@7"},
        },
    ]
    assert all(len(one["name"]) <= 80 for one in place.executions())


def test_a_record_that_comes_again_in_any_form_starts_nothing_twice(place: Place) -> None:
    for name in ("kafka_self_managed", "kafka_self_managed_short", "kafka_self_managed"):
        assert failures(kafka_trigger.handler(load(name), None)) == []
    assert len(place.executions()) == 1
    place.states.stop_execution(executionArn=place.executions()[0]["executionArn"])
    assert failures(kafka_trigger.handler(load("kafka_msk"), None)) == [], "it has even ended meanwhile"
    assert [one["trigger"]["id"] for one in place.inputs()] == ["drift-0@15", "drift-0@16", "drift-1@7"]
    assert place.letters() == []


def test_poison_is_put_aside_with_the_reason_and_the_rest_of_its_partition_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXIMUM_AGE", str(150_000_000))
    event = load("kafka_poison")
    event["records"]["drift-3"][-1]["timestamp"] = 4102444800000
    assert failures(kafka_trigger.handler(event, None)) == []
    letters = {int(one["offset"]): one for one in place.letters()}
    reasons = {offset: one["reason"].partition(":")[0] for offset, one in letters.items()}
    expected = ["MalformedValue", "MalformedValue", "MalformedJson", "WrongSchema", "MissingField"]
    expected += ["MissingField", "MissingField", "WrongSchema", "WrongEvent", "WrongSchema", "TooOld"]
    assert reasons == dict(enumerate([*expected, "MissingField"]))
    assert {(one["topic"], one["partition"], one["whole"]) for one in letters.values()} == {
        ("drift", "3", "true")
    }
    assert [letters[offset]["body"] for offset in sorted(letters)] == records(event)[:-1]
    assert [one["trigger"]["id"] for one in place.inputs()] == ["drift-3@12"]


def test_a_record_about_another_model_starts_nothing_and_is_no_poison(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL", "damage")
    assert failures(kafka_trigger.handler(load("kafka_msk"), None)) == []
    assert place.executions() == [] and place.letters() == []


def test_a_record_too_large_for_a_message_is_named_instead(place: Place) -> None:
    event = load("kafka_self_managed")
    records(event)[0]["value"] = base64.b64encode(b"x" * 250_000).decode()
    assert failures(kafka_trigger.handler(event, None)) == []
    (letter,) = place.letters()
    assert letter["whole"] == "false"
    assert letter["body"] == {"topic": "drift", "partition": 0, "offset": 15, "timestamp": 1762335600000}


def test_what_aws_refuses_for_good_is_put_aside_and_names_its_error(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_MACHINE", place.machine + "-gone")
    assert failures(kafka_trigger.handler(load("kafka_self_managed"), None)) == []
    assert [one["reason"].partition(":")[0] for one in place.letters()] == ["StateMachineDoesNotExist"]


def test_without_a_network_every_record_comes_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    event = load("kafka_msk")
    event["records"]["drift-1"][0]["value"] = "!"  # its letter cannot be sent either
    again = [("drift-0", 15), ("drift-0", 16), ("drift-1", 7)]
    assert failures(kafka_trigger.handler(event, None)) == again


NASTY = (
    *(
        "",
        " ",
        "null",
        "1",
        '"x"',
        "[]",
        "{}",
        "NaN",
        "{" * 2000,
        "[" * 100_000,
        "9" * 5000,
        '{"model": NaN}',
    ),
    *(
        '{"model": null}',
        '{"model": ""}',
        '{"model": "m", "as_of": null}',
        '{"model": "m", "as_of": 20110701}',
    ),
    *(
        '{"model": "m", "as_of": ""}',
        '{"model": "m", "as_of": "\\ud800"}',
        '{"model": "m", "as_of": "2011-13-01"}',
    ),
    *(
        '{"model": "m", "as_of": "２０１１-07-01"}',
        '{"model": "m", "as_of": "2011-07-01\\n"}',
        '{"detail": null}',
    ),
    *('{"model": "m", "as_of": "2011-07-01T25:00Z"}', '{"model": "m", "time": []}', '{"detail-type": {}}'),
)


def test_whatever_a_record_holds_it_blocks_nothing_and_is_not_lost(place: Place) -> None:
    now = int(time.time() * 1000)
    given = [
        {
            "topic": "t",
            "partition": 0,
            "offset": offset,
            "timestamp": now,
            "value": base64.b64encode(value).decode(),
        }
        for offset, value in enumerate((*(text.encode() for text in NASTY), b"\xff", b"\x00"))
    ]
    assert (
        failures(kafka_trigger.handler({"eventSource": "aws:kafka", "records": {"t-0": given}}, None)) == []
    )
    assert place.executions() == []
    assert sorted(int(one["offset"]) for one in place.letters()) == list(range(len(given)))


class Refusing(BaseHTTPRequestHandler):
    """AWS when it is asked too much: StartExecution of the second offset is throttled."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        throttled = "@16" in asked["input"]
        now = {"executionArn": "arn:aws:states:us-east-1:000000000000:execution:m:n", "startDate": 1.0}
        error = {"__type": "ThrottlingException", "message": "Rate exceeded"}
        body = json.dumps(error if throttled else now).encode()
        self.send_response(400 if throttled else 200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_only_the_record_that_was_throttled_comes_again(
    place: Place, busy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", busy)
    assert failures(kafka_trigger.handler(load("kafka_msk"), None)) == [("drift-0", 16)]
    assert place.letters() == []


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[EmbeddedAws]:
    """An embedded AWS that holds roles to their policies."""
    server = EmbeddedAws(tmp_path / "state", ("--enforce-iam",))
    server.start()
    yield server
    server.stop()


def test_an_applied_pipeline_is_started_by_a_record_within_what_its_role_may(
    strict: EmbeddedAws, broker: Broker, tmp_path: Path
) -> None:
    project = f"kafka{uuid.uuid4().hex[:6]}"
    settings = Settings(endpoint_url=strict.url, region=REGION, project=project, state_dir=tmp_path)
    session = kit.session(settings)
    trigger = kit.KafkaTrigger(project, bootstrap_servers=(broker.server,), starting_position="TRIM_HORIZON")
    pipeline = Pipeline("waiting", "Waits.", WAITING, model="demand").adding(trigger)
    broker.put(project, "{", json.dumps({"model": "demand", "as_of": "2011-07-01"}))
    kit.apply(session, pipeline, on_progress=lambda _: None)
    found = outputs(session, f"{project}-waiting")
    states = session.client("stepfunctions")

    def started() -> list[dict[str, Any]]:
        listed = states.list_executions(stateMachineArn=found["StateMachineArn"])["executions"]
        return [
            json.loads(states.describe_execution(executionArn=one["executionArn"])["input"]) for one in listed
        ]

    assert eventually(started) == [
        {"as_of": "2011-07-01", "trigger": {"kind": "kafka", "name": project, "id": f"{project}-0@1"}}
    ]
    assert list(kit.history(session, pipeline)["trigger"]) == [f"kafka {project}"]
    url = session.client("sqs").get_queue_url(QueueName=f"{project}-waiting-Kafka-dead-letters")["QueueUrl"]
    received = session.client("sqs").receive_message(QueueUrl=url, MessageAttributeNames=["All"])
    (letter,) = received["Messages"]
    assert letter["MessageAttributes"]["reason"]["StringValue"].startswith("MalformedJson")
