"""AWS's wire protocols: what botocore sends is understood, and refused in AWS's words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local import shapes, wire
from mlops_kit.local.service import AwsError, Context, Handler, Request, Service


class Fake(Service):
    """A service whose handlers are given."""

    def __init__(self, name: str, operations: Mapping[str, Handler]) -> None:
        super().__init__(cast(Context, SimpleNamespace(region="us-east-1")))
        self.name = name
        self.operations = dict(operations)


THREADS = ThreadPoolExecutor(1)
SIGNED = "AWS4-HMAC-SHA256 Credential=KEY/20110701/eu-central-1/states/aws4_request, SignedHeaders=host"


def send(service: Service, operation: str, params: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Send as botocore sends and read as botocore reads."""
    model = wire.model(service.name).operation_model(operation)
    protocol = model.metadata["protocol"]
    sent = create_serializer(protocol, include_validation=False).serialize_to_request(params, model)
    headers = {key.lower(): value for key, value in sent["headers"].items()} | {"authorization": SIGNED}
    body = sent["body"].encode() if isinstance(sent["body"], str) else bytes(sent["body"])
    query = "&".join(f"{k}={v}" for k, v in (sent.get("query_string") or {}).items())
    request = wire.HttpRequest(sent["method"], sent["url_path"], query, headers, body)
    answer = asyncio.run(wire.dispatch(service, request, THREADS))
    received = {"headers": dict(answer.headers), "status_code": answer.status, "body": answer.body}
    if model.has_streaming_output and answer.status < 300:
        return answer.status, {"Body": answer.body, **answer.headers}
    return answer.status, create_parser(protocol).parse(received, model.output_shape)


def test_json_goes_both_ways_with_times_and_types() -> None:
    seen: list[Request] = []

    def describe(request: Request) -> dict[str, Any]:
        seen.append(request)
        moment = datetime(2011, 7, 1, tzinfo=UTC)
        return {"executions": [{"executionArn": "a", "startDate": moment, "stopDate": None, "itemCount": 3}]}

    status, answer = send(
        Fake("stepfunctions", {"ListExecutions": describe}), "ListExecutions", {"maxResults": 5}
    )
    assert status == 200
    assert answer["executions"][0]["startDate"] == datetime(2011, 7, 1, tzinfo=UTC)
    assert "stopDate" not in answer["executions"][0]
    assert (seen[0].params, seen[0].region, seen[0].access_key) == ({"maxResults": 5}, "eu-central-1", "KEY")


def test_an_async_handler_runs_on_the_loop() -> None:
    async def create(request: Request) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"activityArn": "arn", "creationDate": 1.5}

    _, answer = send(Fake("stepfunctions", {"CreateActivity": create}), "CreateActivity", {"name": "a"})
    assert answer["creationDate"].timestamp() == 1.5


def test_rest_json_reads_path_header_query_and_body() -> None:
    def invoke(request: Request) -> dict[str, Any]:
        return {"Body": request.params.pop("Body")[::-1], "ContentType": json.dumps(request.params)}

    service = Fake("sagemaker-runtime", {"InvokeEndpoint": invoke})
    params = {"EndpointName": "e-1", "Body": b"\x00\x01", "TargetVariant": "v", "ContentType": "text/csv"}
    status, answer = send(service, "InvokeEndpoint", params)
    assert (status, answer["Body"]) == (200, b"\x01\x00")
    told = json.loads(answer["content-type"])
    assert told == {"EndpointName": "e-1", "TargetVariant": "v", "ContentType": "text/csv"}


@pytest.mark.parametrize(
    ("service", "operation", "params", "words"),
    [
        (
            "stepfunctions",
            "CreateStateMachine",
            {"name": "", "definition": "{}"},
            "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1; Value null at 'roleArn' failed to satisfy constraint: Member "
            "must not be null",
        ),
        (
            "sagemaker",
            "CreateModelPackageGroup",
            {"ModelPackageGroupName": "a_b"},
            "1 validation error detected: Value 'a_b' at 'modelPackageGroupName' failed to satisfy "
            "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            "stepfunctions",
            "ListExecutions",
            {"maxResults": 1001},
            "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member "
            "must have value less than or equal to 1000",
        ),
        (
            "stepfunctions",
            "CreateStateMachine",
            {"name": "a", "definition": "{}", "roleArn": "r", "type": "FAST"},
            "1 validation error detected: Value 'FAST' at 'type' failed to satisfy constraint: Member must "
            "satisfy enum value set: [STANDARD, EXPRESS]",
        ),
        (
            "stepfunctions",
            "TagResource",
            {"resourceArn": "r", "tags": [{"key": "k"}, {"key": "x" * 129}]},
            f"1 validation error detected: Value '{'x' * 129}' at 'tags.2.member.key' failed to satisfy "
            "constraint: Member must have length less than or equal to 128",
        ),
    ],
)
def test_a_broken_constraint_is_refused_as_aws_says(
    service: str, operation: str, params: dict[str, Any], words: str
) -> None:
    status, answer = send(Fake(service, {}), operation, params)
    assert status == 400
    assert (answer["Error"]["Code"], answer["Error"]["Message"]) == ("ValidationException", words)


def test_a_wrong_json_type_is_a_serialization_error() -> None:
    headers = {"x-amz-target": "AWSStepFunctions.CreateActivity"}
    for body in (b'{"name": 5}', b"[]", b"{"):
        request = wire.HttpRequest("POST", "/", "", headers, body)
        answer = asyncio.run(wire.dispatch(Fake("stepfunctions", {}), request, THREADS))
        assert (answer.status, json.loads(answer.body)["__type"]) == (400, "SerializationException")


def test_errors_keep_their_code_status_and_fields() -> None:
    def refuse(request: Request) -> dict[str, Any]:
        raise AwsError("TaskTimedOut", "late", fields={"reason": "r"})

    def fail(request: Request) -> dict[str, Any]:
        raise KeyError("secret detail")

    status, answer = send(
        Fake("stepfunctions", {"SendTaskHeartbeat": refuse}), "SendTaskHeartbeat", {"taskToken": "t"}
    )
    assert (status, answer["Error"]["Code"]) == (400, "TaskTimedOut")
    status, answer = send(
        Fake("stepfunctions", {"SendTaskHeartbeat": fail}), "SendTaskHeartbeat", {"taskToken": "t"}
    )
    assert (status, answer["Error"]["Code"]) == (500, "InternalFailure")
    assert "secret" not in answer["Error"]["Message"]
    status, answer = send(Fake("stepfunctions", {}), "ListActivities", {})
    assert (status, answer["Error"]["Code"]) == (400, "UnknownOperationException")


def test_members_that_the_model_does_not_know_are_dropped() -> None:
    seen: list[dict[str, Any]] = []
    service = Fake("stepfunctions", {"CreateActivity": lambda request: seen.append(request.params) or {}})
    headers = {"x-amz-target": "AWSStepFunctions.CreateActivity"}
    body = json.dumps({"name": "a", "new": 1, "tags": None}).encode()
    asyncio.run(wire.dispatch(service, wire.HttpRequest("POST", "/", "", headers, body), THREADS))
    assert seen == [{"name": "a"}]


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_times_keep_their_milliseconds(moment: datetime) -> None:
    shape = wire.model("stepfunctions").shape_for("Timestamp")
    assert abs((shapes.parse(shape, shapes.serialise(shape, moment)) - moment).total_seconds()) <= 0.001


@pytest.mark.parametrize("service", ["stepfunctions", "sagemaker", "glue", "sagemaker-runtime"])
def test_almost_every_pattern_of_awss_models_can_be_checked(service: str) -> None:
    model = wire.model(service)
    shapes_with = [model.shape_for(name).metadata.get("pattern") for name in model.shape_names]
    patterns = [pattern for pattern in shapes_with if pattern]
    unchecked = [pattern for pattern in patterns if shapes._compile(pattern) is None]
    assert len(unchecked) <= 0.03 * len(patterns), unchecked
