"""What the tests of the engine share: make a machine, run it, read what happened."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/states"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


def create(aws: Any, definition: dict[str, Any], **arguments: Any) -> str:
    """A state machine under a name of its own."""
    name = arguments.pop("name", f"machine-{uuid.uuid4().hex[:12]}")
    answer = aws.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=ROLE, **arguments
    )
    return str(answer["stateMachineArn"])


def states(*chain: tuple[str, dict[str, Any]], **top: Any) -> dict[str, Any]:
    """A definition of states in a row; Next and End are filled in where they lack."""
    made = {}
    for (name, state), following in zip(chain, [*chain[1:], None], strict=True):
        ends = state["Type"] in ("Succeed", "Fail", "Choice") or "Next" in state or "End" in state
        made[name] = state if ends else {**state, **({"Next": following[0]} if following else {"End": True})}
    return {"StartAt": chain[0][0], "States": made, **top}


def start(aws: Any, machine: str, value: Any = None, **arguments: Any) -> str:
    """Start an execution; its ARN."""
    text = json.dumps({} if value is None else value)
    answer = aws.client("stepfunctions").start_execution(stateMachineArn=machine, input=text, **arguments)
    return str(answer["executionArn"])


def until(aws: Any, execution: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
    """DescribeExecution once it has one of these statuses (an ended one unless told)."""
    sfn, deadline = aws.client("stepfunctions"), time.monotonic() + seconds
    while True:
        shown = sfn.describe_execution(executionArn=execution)
        if shown["status"] in (statuses or ENDED):
            return dict(shown)
        assert time.monotonic() < deadline, f"still {shown['status']}: {types(aws, execution)}"
        time.sleep(0.05)


def run(aws: Any, definition: dict[str, Any], value: Any = None, **arguments: Any) -> dict[str, Any]:
    """Create, start and wait; output and cause parsed where they are JSON."""
    shown = until(aws, start(aws, create(aws, definition, **arguments), value))
    if "output" in shown:
        shown["output"] = json.loads(shown["output"])
    return shown


def events(aws: Any, execution: str) -> list[dict[str, Any]]:
    """The whole history."""
    pages = aws.client("stepfunctions").get_paginator("get_execution_history")
    found = pages.paginate(executionArn=execution, PaginationConfig={"PageSize": 1000})
    return [event for page in found for event in page["events"]]


def types(aws: Any, execution: str) -> list[str]:
    """The types of all events in order."""
    return [event["type"] for event in events(aws, execution)]


def entered(aws: Any, execution: str) -> list[str]:
    """Names of the states in the order in which they were entered."""
    found = (event.get("stateEnteredEventDetails") for event in events(aws, execution))
    return [details["name"] for details in found if details]


def when(aws: Any, execution: str, kind: str, seconds: float = 20) -> None:
    """Wait until the history has an event of a type."""
    deadline = time.monotonic() + seconds
    while kind not in types(aws, execution):
        assert time.monotonic() < deadline, f"no {kind} in {types(aws, execution)}"
        time.sleep(0.05)


def function(aws: Any, code: str) -> str:
    """A Lambda function with this code; its ARN."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("index.py", code)
    answer = aws.client("lambda").create_function(
        FunctionName=f"function-{uuid.uuid4().hex[:12]}",
        Runtime="python3.12",
        Handler="index.handler",
        Role=ROLE,
        Timeout=60,
        Code={"ZipFile": body.getvalue()},
    )
    return str(answer["FunctionArn"])


def table(aws: Any) -> str:
    """A DynamoDB table with the key ``id``; its name."""
    name = f"table-{uuid.uuid4().hex[:12]}"
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def queue(aws: Any) -> str:
    """A queue; its URL."""
    return str(aws.client("sqs").create_queue(QueueName=f"queue-{uuid.uuid4().hex[:12]}")["QueueUrl"])


def receive(aws: Any, url: str, seconds: float = 20) -> Any:
    """The next message of a queue, parsed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for message in aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", []):
            return json.loads(message["Body"])
    raise AssertionError("no message")


def holds(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def settle(aws: Any) -> None:
    """Bring what other services have changed to disk: a task's end is recorded after that only."""
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": queue(aws), "MessageBody": "x"},
    }
    assert run(aws, states(("Send", task)))["status"] == "SUCCEEDED"
