"""An embedded AWS that holds roles to their policies, with roles, functions and machines for tests."""

from __future__ import annotations

import io
import json
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import boto3

from mlops_kit.local.authorization import Credentials
from mlops_kit.local.clients import client
from tests.conftest import REGION, EmbeddedAws

ACCOUNT = "000000000000"
SERVICES = ("states", "lambda", "glue", "sagemaker", "scheduler")


def allow(actions: str | Sequence[str], resource: str | Sequence[str] = "*", **more: Any) -> dict[str, Any]:
    """A statement that allows."""
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def unique(word: str) -> str:
    return f"{word}-{uuid.uuid4().hex[:8]}"


def denied(action: str, resource: str = "") -> str:
    """The end of AWS's refusal, from the action on."""
    where = f" on resource: {resource}" if resource else ""
    return (
        f"is not authorized to perform: {action}{where} "
        f"because no identity-based policy allows the {action} action"
    )


@dataclass(frozen=True)
class Enforcing:
    """The server and what tests make on it."""

    aws: EmbeddedAws

    def role(self, *statements: dict[str, Any], trusts: Sequence[str] = SERVICES) -> str:
        """ARN of a new role that services and the account may assume."""
        name, iam = unique("role"), self.aws.client("iam")
        principal = {"Service": [f"{one}.amazonaws.com" for one in trusts], "AWS": ACCOUNT}
        trust = document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})
        arn = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"])
        self.grant(arn, *statements)
        return arn

    def grant(self, role: str, *statements: dict[str, Any]) -> None:
        """Let a role do this, and nothing else."""
        iam, name = self.aws.client("iam"), role.rpartition("/")[2]
        if statements:
            iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(*statements))
        else:
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                iam.delete_role_policy(RoleName=name, PolicyName=policy)

    def assumed(self, role: str, session: str = "tester") -> Callable[[str], Any]:
        """Clients as a role, with credentials that STS gives to a person."""
        given = self.aws.client("sts").assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
        keys = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return lambda service: client(self.aws.url, REGION, service, keys)

    def boto(self, role: str, service: str, **more: Any) -> Any:
        """A client of boto3 itself as a role."""
        given = self.aws.client("sts").assume_role(RoleArn=role, RoleSessionName="tester")["Credentials"]
        return boto3.client(
            service,
            region_name=REGION,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            **{"endpoint_url": self.aws.url, **more},
        )

    def machine(self, role: str, definition: dict[str, Any], **more: Any) -> str:
        created = self.aws.client("stepfunctions").create_state_machine(
            name=unique("machine"), roleArn=role, definition=json.dumps(definition), **more
        )
        return str(created["stateMachineArn"])

    def task(self, role: str, resource: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """The end of an execution of one Task."""
        state = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters}
        return self.run(
            self.machine(role, {"StartAt": "Do", "States": {"Do": {**state, "End": True, **fields}}})
        )

    def run(self, machine: str, data: Any = None) -> dict[str, Any]:
        """The end of an execution."""
        states = self.aws.client("stepfunctions")
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(data or {}))
        return self.until(
            lambda: states.describe_execution(executionArn=started["executionArn"]),
            lambda shown: shown["status"] != "RUNNING",
        )

    def until(self, look: Callable[[], Any], done: Callable[[Any], Any] = bool) -> Any:
        for _ in range(1200):
            if done(found := look()):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never happened: {found}")

    def function(self, role: str, source: str) -> str:
        """Name of a new function whose module is this source."""
        code, name = io.BytesIO(), unique("function")
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("main.py", textwrap.dedent(source))
        self.aws.client("lambda").create_function(
            FunctionName=name,
            Role=role,
            Runtime="python3.11",
            Handler="main.handler",
            Timeout=30,
            Code={"ZipFile": code.getvalue()},
        )
        return name

    def bucket(self, **objects: str) -> str:
        s3, name = self.aws.client("s3"), unique("bucket")
        s3.create_bucket(Bucket=name)
        for key, text in objects.items():
            s3.put_object(Bucket=name, Key=key, Body=text.encode())
        return name

    def table(self) -> str:
        name = unique("table")
        self.aws.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name
