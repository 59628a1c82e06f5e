"""Schedules, queues and state machines for the tests of Scheduler."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.conftest import EmbeddedAws

QUEUE = "arn:aws:sqs:us-east-1:000000000000:nobody-looks"
_TRUST = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}


class Schedules:
    """A schedule group with a role of its own."""

    def __init__(self, aws: EmbeddedAws, group: str = "") -> None:
        self.aws = aws
        self.client = aws.client("scheduler")
        self.group = group or f"group-{uuid.uuid4().hex[:8]}"
        self.role = f"arn:aws:iam::000000000000:role/{self.group}"
        if not group:
            document = json.dumps({"Version": "2012-10-17", "Statement": [_TRUST]})
            aws.client("iam").create_role(RoleName=self.group, AssumeRolePolicyDocument=document)
            self.client.create_schedule_group(Name=self.group)

    def create(self, expression: str, name: str = "", **fields: Any) -> str:
        """Make a schedule; its ARN."""
        return str(self.client.create_schedule(**self._params(expression, name, fields))["ScheduleArn"])

    def update(self, expression: str, name: str, **fields: Any) -> None:
        """Replace a schedule."""
        self.client.update_schedule(**self._params(expression, name, fields))

    def get(self, name: str) -> Any:
        """What is kept of a schedule."""
        return self.client.get_schedule(Name=name, GroupName=self.group)

    def names(self) -> list[str]:
        """Schedules of the group."""
        found = self.client.list_schedules(GroupName=self.group)["Schedules"]
        return [one["Name"] for one in found]

    def remove(self) -> None:
        """Remove the group with all in it."""
        self.client.delete_schedule_group(Name=self.group)

    def queue(self, **attributes: str) -> Queue:
        """A new queue."""
        return Queue(self.aws, attributes)

    def _params(self, expression: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        target = {"Arn": QUEUE, "RoleArn": self.role, **fields.pop("Target", {})}
        window = {"FlexibleTimeWindow": {"Mode": "OFF"}, "GroupName": self.group}
        named = {"Name": name or f"s-{uuid.uuid4().hex[:8]}", "ScheduleExpression": expression}
        return {**window, **named, "Target": target, **fields}


class Queue:
    """A queue that is read as it fills."""

    def __init__(self, aws: EmbeddedAws, attributes: dict[str, str]) -> None:
        self._client = aws.client("sqs")
        self.name = f"queue-{uuid.uuid4().hex[:8]}"
        self.url = self._client.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:000000000000:{self.name}"

    def messages(self) -> list[dict[str, Any]]:
        """What lies in it, taken out."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                return found
            for message in answer["Messages"]:
                self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)

    def wait(self, number: int = 1) -> list[dict[str, Any]]:
        """As many messages as were awaited, or what came in 30 s."""
        found: list[dict[str, Any]] = []
        eventually(lambda: len(found.__iadd__(self.messages())) >= number)
        return found


def eventually(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What ``look`` gives as soon as it gives something, or after a time."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def attributes(message: dict[str, Any]) -> dict[str, str]:
    """Message attributes as plain text."""
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
