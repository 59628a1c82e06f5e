"""A stack that the kill test changes again and again: queues, a table, a Glue job and a state machine."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from tests.local.stepfunctions import walk

NAME = "changing"
LAST = 899  # number of a change that no world reaches
PATIENCE = 60.0  # seconds in which a change must have ended, whatever was killed


def template(number: int) -> str:
    """What the stack is to be at this change; every second one has a Glue job and a table of a fixed name."""
    definition = walk.states(*((f"S{n}", {"Type": "Pass"}) for n in range(1 + number % 5)))
    resources: dict[str, Any] = {
        f"Queue{n}": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": number % 900}}
        for n in range(1 + number % 4)
    }
    resources["Machine"] = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "of-the-stack",
            "RoleArn": walk.ROLE,
            "DefinitionString": json.dumps(definition),
        },
    }
    if number % 2:
        command = {"Name": "pythonshell", "ScriptLocation": "s3://nowhere/script.py"}
        resources["Job"] = {
            "Type": "AWS::Glue::Job",
            "Properties": {"Name": "of-the-stack", "Role": walk.ROLE, "Command": command},
        }
    return json.dumps({"Resources": resources})


class Changes:
    """Makes and executes one change set after another, whatever became of the last one."""

    def __init__(self, aws: Any) -> None:
        self._aws = aws
        self._number = 0
        self._since = 0.0
        self.stuck = ""
        client = aws.client("cloudformation")
        client.create_stack(StackName=NAME, TemplateBody=template(0))
        client.get_waiter("stack_create_complete").wait(StackName=NAME, WaiterConfig={"Delay": 1})

    def step(self) -> None:
        """Begin a change when none is under way."""
        status = self.status()
        if status.endswith("_IN_PROGRESS"):
            self._since = self._since or time.monotonic()
            if time.monotonic() - self._since > PATIENCE:
                self.stuck = status
            return
        self._since = 0.0
        self._number += 1
        with contextlib.suppress(ClientError, WaiterError):  # the change set went with the kill
            self.change(template(self._number))

    def change(self, body: str) -> None:
        """Make a change set and execute it."""
        client, name = self._aws.client("cloudformation"), f"c{time.time_ns()}"
        client.create_change_set(StackName=NAME, ChangeSetName=name, TemplateBody=body)
        waiter = client.get_waiter("change_set_create_complete")
        waiter.wait(StackName=NAME, ChangeSetName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        client.execute_change_set(StackName=NAME, ChangeSetName=name)

    def status(self) -> str:
        """The stack's status."""
        answer = self._aws.client("cloudformation").describe_stacks(StackName=NAME)
        return str(answer["Stacks"][0]["StackStatus"])

    def settled(self) -> str:
        """The status once nothing is under way."""
        deadline = time.monotonic() + PATIENCE
        while (status := self.status()).endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, f"the stack stays {status}"
            time.sleep(0.1)
        return status
