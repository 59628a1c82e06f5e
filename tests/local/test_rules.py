"""Rules of EventBridge: those with a schedule follow the embedded clock, and an API can be their target."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mlops_kit.local import control
from tests.conftest import EmbeddedAws, _running
from tests.local.schedules import Queue, eventually
from tests.local.test_scheduler_fires import function


@pytest.fixture(scope="module")
def moving_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    yield from _running(tmp_path_factory.mktemp("rules"), "--at", "2026-03-27T12:00:10Z")


def rule(aws: EmbeddedAws, target: dict[str, Any], **fields: Any) -> str:
    name = f"rule-{uuid.uuid4().hex[:8]}"
    aws.client("events").put_rule(Name=name, **fields)
    aws.client("events").put_targets(Rule=name, Targets=[{"Id": "t", **target}])
    return name


def test_scheduled_rules_fire_when_the_clock_is_moved(moving_aws: EmbeddedAws) -> None:
    queue = Queue(moving_aws, {})
    name = rule(moving_aws, {"Arn": queue.arn}, ScheduleExpression="rate(6 hours)")
    daily = rule(moving_aws, {"Arn": queue.arn}, ScheduleExpression="cron(0 3 * * ? *)")
    off = rule(moving_aws, {"Arn": queue.arn}, ScheduleExpression="rate(1 hour)", State="DISABLED")
    fired = [
        one for line in control.advance(moving_aws.state_dir, 2 * 86400.0) for one in line.get("fired", ())
    ]
    events = [json.loads(message["Body"]) for message in queue.wait(10)]
    by_rule = {
        key: [one for one in events if one["resources"][0].endswith(key)] for key in (name, daily, off)
    }
    assert [len(by_rule[key]) for key in (name, daily, off)] == [8, 2, 0]
    assert [one["time"] for one in by_rule[daily]] == ["2026-03-28T03:00:00Z", "2026-03-29T03:00:00Z"]
    assert {one["schedule"] for one in fired} == {f"rule/{name}", f"rule/{daily}"} and len(fired) == 10
    moving_aws.client("events").enable_rule(Name=off)
    list(control.advance(moving_aws.state_dir, 3600.0))
    assert (
        len([one for one in queue.wait(1) if off in one["Body"]]) == 1
    )  # and not those of the time it was off


def test_a_scheduled_rule_of_a_stack_fires(moving_aws: EmbeddedAws) -> None:
    queue, stack = Queue(moving_aws, {}), f"stack-{uuid.uuid4().hex[:8]}"
    properties = {"ScheduleExpression": "rate(1 hour)", "Targets": [{"Id": "q", "Arn": queue.arn}]}
    body = json.dumps({"Resources": {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}})
    formation = moving_aws.client("cloudformation")
    formation.create_stack(StackName=stack, TemplateBody=body)
    formation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    list(control.advance(moving_aws.state_dir, 2 * 3600.0 + 60))
    assert len(queue.wait(2)) == 2


def test_an_event_reaches_an_api_of_api_gateway(moving_aws: EmbeddedAws) -> None:
    queue, name = Queue(moving_aws, {}), f"api-{uuid.uuid4().hex[:8]}"
    code = f"""
import boto3, json
def handler(event, context):
    told = {{"path": event["path"], "method": event["httpMethod"], "body": event["body"]}}
    boto3.client("sqs").send_message(QueueUrl={queue.url!r}, MessageBody=json.dumps(told))
    return {{"statusCode": 200, "body": "ok"}}
"""
    arn = function(moving_aws, name, code)
    apis = moving_aws.client("apigateway")
    api = apis.create_rest_api(name=name)["id"]
    root = apis.get_resources(restApiId=api)["items"][0]["id"]
    resource = apis.create_resource(restApiId=api, parentId=root, pathPart="warm")["id"]
    place = {"restApiId": api, "resourceId": resource, "httpMethod": "POST"}
    apis.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    apis.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    apis.create_deployment(restApiId=api, stageName="prod")
    target = {
        "Arn": f"arn:aws:execute-api:us-east-1:000000000000:{api}/prod/POST/warm",
        "InputPath": "$.detail",
    }
    rule(moving_aws, target, EventPattern=json.dumps({"source": [name]}))
    entry = {"Source": name, "DetailType": "Tick", "Detail": '{"n": 1}'}
    moving_aws.client("events").put_events(Entries=[entry])
    told = json.loads(queue.wait()[0]["Body"])
    assert told["path"] == "/warm" and told["method"] == "POST" and json.loads(told["body"]) == {"n": 1}


def test_an_event_reaches_an_api_destination_with_its_key(moving_aws: EmbeddedAws) -> None:
    heard: list[tuple[str, str | None, bytes]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["x-key"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    events, name = moving_aws.client("events"), f"dest-{uuid.uuid4().hex[:8]}"
    key = {"ApiKeyAuthParameters": {"ApiKeyName": "x-key", "ApiKeyValue": "secret"}}
    connection = events.create_connection(Name=name, AuthorizationType="API_KEY", AuthParameters=key)
    destination = events.create_api_destination(
        Name=name,
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=f"http://127.0.0.1:{server.server_port}/models/*",
        HttpMethod="PUT",
    )["ApiDestinationArn"]
    parameters = {"PathParameterValues": ["$.detail.model"]}
    target = {"Arn": destination, "InputPath": "$.detail", "HttpParameters": parameters}
    rule(moving_aws, target, EventPattern=json.dumps({"source": [name]}))
    events.put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": '{"model": "demand"}'}])
    eventually(lambda: heard)
    server.shutdown()
    assert heard == [("/models/demand", "secret", b'{"model": "demand"}')]


def test_entries_that_aws_does_not_take_fail_alone(aws: EmbeddedAws) -> None:
    queue = Queue(aws, {})
    rule(aws, {"Arn": queue.arn}, EventPattern='{"source": ["entries.test"]}')
    whole = {"Source": "entries.test", "DetailType": "Told", "Detail": '{"n": 1}'}
    entries = [
        {**whole, "Detail": "no json"},
        whole,
        {**whole, "Detail": "[1]"},
        {key: value for key, value in whole.items() if key != "Source"},
    ]
    answer = aws.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 3
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        "MalformedDetail", None, "MalformedDetail", "InvalidArgument"
    ]  # fmt: skip
    assert answer["Entries"][3]["ErrorMessage"] == (
        "Parameter Source is not valid. Reason: Source is a required argument."
    )
    assert [json.loads(message["Body"])["detail"] for message in queue.wait(1)] == [{"n": 1}]
