"""Many clients at once: every answer is right, nothing is lost, what is too much is refused as AWS does."""

from __future__ import annotations

import select
import socket
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from benchmarks import load
from mlops_kit.local import limits
from tests.conftest import EmbeddedAws
from tests.local.stepfunctions import walk


@pytest.mark.slow
def test_no_answer_is_wrong_and_nothing_is_lost_with_a_hundred_clients_at_once(
    fresh_aws: EmbeddedAws,
) -> None:
    load.prepare(fresh_aws.url)
    found = load.Crowd(fresh_aws.url, seed=1).run(count=100, seconds=6)
    assert load.settle(fresh_aws.url, [found]) == []
    assert min(found.requests[name] for name in ("start_execution", "put_object", "update_item")) > 0
    assert len(found.sent) > 0 and found.added > 0


_CALLS: list[tuple[str, str, dict[str, Any], str, int]] = [
    ("stepfunctions", "list_state_machines", {}, "ThrottlingException", 400),
    ("sagemaker", "list_models", {}, "ThrottlingException", 400),
    ("dynamodb", "list_tables", {}, "ThrottlingException", 400),
    ("sqs", "list_queues", {}, "RequestThrottled", 400),
    ("s3", "list_buckets", {}, "SlowDown", 503),
    ("iam", "list_roles", {}, "Throttling", 400),
    ("cloudformation", "list_stacks", {}, "Throttling", 400),
    ("lambda", "list_functions", {}, "TooManyRequestsException", 429),
]


def test_a_full_server_refuses_with_each_services_own_throttling_error(fresh_aws: EmbeddedAws) -> None:
    queue = fresh_aws.client("sqs").create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
    waiting = [_poll(fresh_aws, queue, seconds=10) for _ in range(limits.REQUESTS + 1)]
    try:
        assert _first_status(waiting) == b"400"
        for service, operation, params, code, status in _CALLS:
            assert _refused(fresh_aws, service, operation, params) == (code, status), service
    finally:
        for connection in waiting:
            connection.close()
    walk.holds(lambda: _refused(fresh_aws, "sqs", "list_queues", {}) is None)
    for service, operation, params, _, _ in _CALLS:
        assert _refused(fresh_aws, service, operation, params) is None, service


def _poll(aws: EmbeddedAws, queue: str, seconds: int) -> socket.socket:
    """A request that waits for a message."""
    connection = socket.create_connection(("127.0.0.1", aws.port))
    body = f'{{"QueueUrl": "{queue}", "WaitTimeSeconds": {seconds}}}'
    head = [
        "POST / HTTP/1.1", f"Host: 127.0.0.1:{aws.port}", "X-Amz-Target: AmazonSQS.ReceiveMessage",
        "Content-Type: application/x-amz-json-1.0", f"Content-Length: {len(body)}", "", "",
    ]  # fmt: skip
    connection.sendall("\r\n".join(head).encode() + body.encode())
    return connection


def _first_status(waiting: list[socket.socket]) -> bytes:
    """What the one that found no room is told: before that the server may not be full."""
    answered, _, _ = select.select(waiting, [], [], 20)
    return answered[0].recv(100).split()[1] if answered else b"none"


def _refused(
    aws: EmbeddedAws, service: str, operation: str, params: dict[str, Any]
) -> tuple[str, int] | None:
    try:
        getattr(aws.client(service), operation)(**params)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


def test_bodies_that_are_too_much_together_are_refused(fresh_aws: EmbeddedAws) -> None:
    fresh_aws.client("s3").create_bucket(Bucket="large")
    announced = [_announce(fresh_aws, limits.LARGEST_BODY) for _ in range(3)]
    body = b"x" * 1000
    try:
        assert _first_status(announced) == b"503"
        assert _put(fresh_aws, body) == ("SlowDown", 503)
        assert _refused(fresh_aws, "s3", "list_buckets", {}) is None  # no body, no memory
    finally:
        for connection in announced:
            connection.close()
    walk.holds(lambda: _put(fresh_aws, body) is None)


def _announce(aws: EmbeddedAws, size: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", aws.port))
    head = ["PUT /large/x HTTP/1.1", f"Host: 127.0.0.1:{aws.port}", f"Content-Length: {size}", "", "x"]
    connection.sendall("\r\n".join(head).encode())
    return connection


def _put(aws: EmbeddedAws, body: bytes) -> tuple[str, int] | None:
    return _refused(aws, "s3", "put_object", {"Bucket": "large", "Key": "small", "Body": body})
