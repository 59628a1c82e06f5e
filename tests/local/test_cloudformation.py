"""Stacks of the embedded AWS: what they make, what they refuse, and what a change set shows."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_kit.local.corrections.stacks import resource_types
from tests.conftest import EmbeddedAws
from tests.local.resource_types import FILE, text

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "lambda.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    },
}
PASS = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Word}", "End": True}}})


class Stack:
    """One stack, made and changed through change sets, as the kit does."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.name = f"s-{uuid.uuid4().hex[:8]}"
        self.client = aws.client("cloudformation")
        self.made = False

    def plan(self, resources: dict[str, Any], **template: Any) -> dict[str, Any]:
        """Make a change set; its description with property values."""
        parameters = template.pop("ParameterValues", {})
        body = json.dumps({"Resources": resources, **template})
        answer = self.client.create_change_set(
            StackName=self.name,
            ChangeSetName=f"c-{uuid.uuid4().hex[:8]}",
            ChangeSetType="UPDATE" if self.made else "CREATE",
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            Tags=[{"Key": "team", "Value": "ml"}],
        )
        return self.client.describe_change_set(ChangeSetName=answer["Id"], IncludePropertyValues=True)

    def apply(self, resources: dict[str, Any], **template: Any) -> str:
        """Plan and execute; the final status."""
        plan = self.plan(resources, **template)
        assert plan["Status"] == "CREATE_COMPLETE", plan
        self.client.execute_change_set(ChangeSetName=plan["ChangeSetId"])
        self.made = True
        return self.settled()

    def settled(self) -> str:
        for _ in range(600):
            status = self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            if not status.endswith("IN_PROGRESS"):
                return status
            time.sleep(0.05)
        raise AssertionError(f"{self.name} does not settle: {status}")

    def id_of(self, logical_id: str) -> str:
        resource = self.client.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    def outputs(self) -> dict[str, str]:
        stack = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}

    def events(self) -> list[dict[str, Any]]:
        """Oldest first."""
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=self.name)
        return [event for page in pages for event in page["StackEvents"]][::-1]

    def failure(self, logical_id: str) -> str:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        found = [
            e
            for e in events
            if e["LogicalResourceId"] == logical_id and e["ResourceStatus"].endswith("FAILED")
        ]
        return found[0]["ResourceStatusReason"]


@pytest.fixture
def stack(aws: EmbeddedAws) -> Stack:
    return Stack(aws)


def _zip(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", text)
    return buffer.getvalue()


def _machine(**properties: Any) -> dict[str, Any]:
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any"}
    return {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**role, **properties}}


def test_a_bucket_keeps_its_lifecycle_and_its_tags_and_those_of_the_stack(
    aws: EmbeddedAws, stack: Stack
) -> None:
    rule = {"Id": "old", "Status": "Enabled", "Prefix": "tmp/", "ExpirationInDays": 7}
    bucket = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            "LifecycleConfiguration": {"Rules": [rule]},
            "Tags": [{"Key": "own", "Value": "yes"}],
        },
    }
    assert stack.apply({"Bucket": bucket}) == "CREATE_COMPLETE"
    s3, name = aws.client("s3"), stack.id_of("Bucket")
    kept = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]
    assert (kept["ID"], kept["Filter"]["Prefix"], kept["Expiration"]["Days"]) == ("old", "tmp/", 7)
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
    assert tags == {"own": "yes", "team": "ml"}

    del bucket["Properties"]["LifecycleConfiguration"]
    assert stack.apply({"Bucket": bucket}) == "UPDATE_COMPLETE"
    assert stack.id_of("Bucket") == name
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=name)


def test_a_bucket_that_holds_objects_is_not_deleted(aws: EmbeddedAws, stack: Stack) -> None:
    stack.apply({"Bucket": {"Type": "AWS::S3::Bucket"}})
    name = stack.id_of("Bucket")
    aws.client("s3").put_object(Bucket=name, Key="precious", Body=b"1")
    stack.client.delete_stack(StackName=stack.name)
    assert stack.settled() == "DELETE_FAILED"
    assert "not empty" in stack.failure("Bucket")
    assert aws.client("s3").get_object(Bucket=name, Key="precious")["Body"].read() == b"1"


def test_a_table_keeps_its_time_to_live(aws: EmbeddedAws, stack: Stack) -> None:
    table = {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        },
    }
    assert stack.apply({"Table": table}) == "CREATE_COMPLETE"
    dynamodb, name = aws.client("dynamodb"), stack.id_of("Table")
    kept = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (kept["AttributeName"], kept["TimeToLiveStatus"]) == ("expires_at", "ENABLED")
    del table["Properties"]["TimeToLiveSpecification"]
    assert stack.apply({"Table": table}) == "UPDATE_COMPLETE"
    kept = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert kept["TimeToLiveStatus"] == "DISABLED"


def test_a_function_keeps_its_concurrency_and_its_dead_letter_queue(aws: EmbeddedAws, stack: Stack) -> None:
    function: dict[str, Any] = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": "def handler(event, context):\n    return event\n"},
            "ReservedConcurrentExecutions": 3,
            "DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Queue", "Arn"]}},
        },
    }
    resources = {"Role": ROLE, "Queue": {"Type": "AWS::SQS::Queue"}, "Function": function}
    assert stack.apply(resources) == "CREATE_COMPLETE"
    client, name = aws.client("lambda"), stack.id_of("Function")
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 3
    target = client.get_function_configuration(FunctionName=name)["DeadLetterConfig"]["TargetArn"]
    assert target.startswith("arn:aws:sqs:")
    del function["Properties"]["ReservedConcurrentExecutions"]
    assert stack.apply(resources) == "UPDATE_COMPLETE"
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)


def test_a_schedule_keeps_its_time_zone(aws: EmbeddedAws, stack: Stack) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}},
    }
    group = {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Tags": [{"Key": "a", "Value": "1"}]}}
    schedule = {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "GroupName": {"Ref": "Group"},
            "ScheduleExpression": "cron(0 3 ? * MON *)",
            "ScheduleExpressionTimezone": "Europe/Berlin",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "DISABLED",
            "Target": {
                "Arn": "arn:aws:sqs:us-east-1:000000000000:q",
                "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "RetryPolicy": {"MaximumRetryAttempts": "2"},
            },
        },
    }
    assert stack.apply({"Role": role, "Group": group, "Schedule": schedule}) == "CREATE_COMPLETE"
    kept = aws.client("scheduler").get_schedule(Name=stack.id_of("Schedule"), GroupName=stack.id_of("Group"))
    assert kept["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert kept["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 2
    schedule["Properties"]["ScheduleExpressionTimezone"] = "Asia/Tokyo"
    assert stack.apply({"Role": role, "Group": group, "Schedule": schedule}) == "UPDATE_COMPLETE"
    kept = aws.client("scheduler").get_schedule(Name=stack.id_of("Schedule"), GroupName=stack.id_of("Group"))
    assert kept["ScheduleExpressionTimezone"] == "Asia/Tokyo"
    arn = aws.client("scheduler").get_schedule_group(Name=stack.id_of("Group"))["Arn"]
    assert {"Key": "a", "Value": "1"} in aws.client("scheduler").list_tags_for_resource(ResourceArn=arn)[
        "Tags"
    ]


def test_a_queue_has_the_url_of_the_port(aws: EmbeddedAws, stack: Stack) -> None:
    stack.apply({"Queue": {"Type": "AWS::SQS::Queue"}})
    assert stack.id_of("Queue").startswith(f"{aws.url}/")


def test_a_state_machine_keeps_what_its_template_says(aws: EmbeddedAws, stack: Stack) -> None:
    destination = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Logs", "Arn"]}}}
    logging = {"Level": "ALL", "IncludeExecutionData": True, "Destinations": [destination]}
    resources = {
        "Logs": {"Type": "AWS::Logs::LogGroup"},
        "Machine": _machine(
            DefinitionString=PASS,
            DefinitionSubstitutions={"Word": "one"},
            LoggingConfiguration=logging,
            TracingConfiguration={"Enabled": True},
            Tags=[{"Key": "own", "Value": "yes"}],
        ),
        "Version": {
            "Type": "AWS::StepFunctions::StateMachineVersion",
            "Properties": {"StateMachineArn": {"Ref": "Machine"}, "Description": "first"},
        },
        "Alias": {
            "Type": "AWS::StepFunctions::StateMachineAlias",
            "Properties": {
                "Name": "live",
                "RoutingConfiguration": [{"StateMachineVersionArn": {"Ref": "Version"}, "Weight": 100}],
            },
        },
        "Activity": {
            "Type": "AWS::StepFunctions::Activity",
            "Properties": {"Name": f"{stack.name}-activity"},
        },
    }
    outputs = {"Name": {"Value": {"Fn::GetAtt": ["Machine", "Name"]}}}
    assert stack.apply(resources, Outputs=outputs) == "CREATE_COMPLETE"
    client, arn = aws.client("stepfunctions"), stack.id_of("Machine")
    machine = client.describe_state_machine(stateMachineArn=arn)
    assert stack.outputs() == {"Name": machine["name"]}
    assert json.loads(machine["definition"])["States"]["A"]["Result"] == "one"
    assert machine["loggingConfiguration"]["level"] == "ALL"
    assert machine["loggingConfiguration"]["destinations"][0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    assert machine["tracingConfiguration"] == {"enabled": True}
    tags = {tag["key"]: tag["value"] for tag in client.list_tags_for_resource(resourceArn=arn)["tags"]}
    assert tags == {"own": "yes", "team": "ml"}
    assert client.describe_state_machine_alias(stateMachineAliasArn=stack.id_of("Alias"))["name"] == "live"
    assert client.describe_activity(activityArn=stack.id_of("Activity"))["name"] == f"{stack.name}-activity"

    resources["Machine"]["Properties"]["DefinitionSubstitutions"]["Word"] = "two"
    assert stack.apply(resources) == "UPDATE_COMPLETE"
    assert stack.id_of("Machine") == arn
    run = client.start_execution(stateMachineArn=arn)["executionArn"]
    for _ in range(100):
        execution = client.describe_execution(executionArn=run)
        if execution["status"] != "RUNNING":
            break
        time.sleep(0.05)
    assert json.loads(execution["output"]) == "two"

    stack.client.delete_stack(StackName=stack.name)
    with pytest.raises(ClientError, match="does not exist"):
        stack.settled()
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        client.describe_state_machine(stateMachineArn=arn)


def test_a_definition_may_come_from_s3_or_as_an_object(aws: EmbeddedAws, stack: Stack) -> None:
    s3, bucket = aws.client("s3"), f"b-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="d.json", Body=PASS.encode())
    word = {"Word": "x"}
    resources = {
        "Stored": _machine(
            DefinitionS3Location={"Bucket": bucket, "Key": "d.json"}, DefinitionSubstitutions=word
        ),
        "Written": _machine(Definition=json.loads(PASS), DefinitionSubstitutions=word),
    }
    assert stack.apply(resources) == "CREATE_COMPLETE"
    client = aws.client("stepfunctions")
    definitions = [
        client.describe_state_machine(stateMachineArn=stack.id_of(x))["definition"] for x in resources
    ]
    assert [json.loads(d)["States"]["A"]["Result"] for d in definitions] == ["x", "x"]


def test_a_bad_definition_fails_and_everything_is_rolled_back(aws: EmbeddedAws, stack: Stack) -> None:
    machine = _machine(DefinitionString=json.dumps({"StartAt": "Nowhere", "States": {}}))
    machine["DependsOn"] = "Queue"
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{stack.name}-q"}}
    assert stack.apply({"Queue": queue, "Machine": machine}) == "ROLLBACK_COMPLETE"
    assert "Resource handler returned message" in stack.failure("Machine")
    with pytest.raises(ClientError):
        aws.client("sqs").get_queue_url(QueueName=f"{stack.name}-q")


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"Type": "AWS::SQS::Queue", "Properties": {"Nope": 1}}, "Encountered unsupported property Nope"),
        (
            {"Type": "AWS::Lambda::Function", "Properties": {"Role": "arn:aws:iam::000000000000:role/r"}},
            "Property Code cannot be empty.",
        ),
        (
            {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Role": "arn:aws:iam::000000000000:role/r",
                    "Runtime": "python3.12",
                    "Handler": "i.h",
                    "Code": {"S3Bucket": "there-is-none", "S3Key": "nothing.zip"},
                },
            },
            "S3 Error Code: NoSuch",
        ),
        (
            {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "BillingMode": "PAY_PER_REQUEST",
                },
            },
            "not defined in AttributeDefinitions",
        ),
    ],
)
def test_a_bad_resource_fails_with_its_reason(stack: Stack, resource: dict[str, Any], words: str) -> None:
    assert stack.apply({"Bad": resource}) == "ROLLBACK_COMPLETE"
    assert words in stack.failure("Bad")


def test_a_role_needs_a_capability(aws: EmbeddedAws, stack: Stack) -> None:
    body = json.dumps({"Resources": {"Role": ROLE}})
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM\]") as caught:
        stack.client.create_stack(StackName=stack.name, TemplateBody=body)
    assert caught.value.response["Error"]["Code"] == "InsufficientCapabilitiesException"


def test_an_unknown_type_is_refused_before_anything_is_made(stack: Stack) -> None:
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::Nope::Thing\]"):
        stack.plan({"A": {"Type": "AWS::Nope::Thing"}})


def test_two_stacks_cannot_export_one_name(aws: EmbeddedAws) -> None:
    name = f"e-{uuid.uuid4().hex[:8]}"
    outputs = {"Url": {"Value": {"Ref": "Queue"}, "Export": {"Name": name}}}
    resources = {"Queue": {"Type": "AWS::SQS::Queue"}}
    first, second = Stack(aws), Stack(aws)
    assert first.apply(resources, Outputs=outputs) == "CREATE_COMPLETE"
    assert (
        first.apply({**resources, "More": {"Type": "AWS::SQS::Queue"}}, Outputs=outputs) == "UPDATE_COMPLETE"
    )
    assert second.apply(resources, Outputs=outputs) == "ROLLBACK_COMPLETE"
    events = second.client.describe_stack_events(StackName=second.name)["StackEvents"]
    reasons = [event.get("ResourceStatusReason", "") for event in events]
    assert any(
        f"Export with name {name} is already exported by stack {first.name}" in text for text in reasons
    )


def test_a_change_set_shows_values_before_and_after(stack: Stack) -> None:
    parameters = {"Seconds": {"Type": "String"}}
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Seconds"}}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 7}},
        "Reader": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Fn::GetAtt": ["Queue", "Arn"]}},
        },
    }
    plan = stack.plan(resources, Parameters=parameters, ParameterValues={"Seconds": "10"})
    added = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in plan["Changes"]}
    assert json.loads(added["Queue"]["AfterContext"])["Properties"] == {"VisibilityTimeout": "10"}
    assert "KNOWN_AFTER_APPLY" in added["Reader"]["AfterContext"]
    stack.client.delete_change_set(ChangeSetName=plan["ChangeSetId"])
    stack.apply(resources, Parameters=parameters, ParameterValues={"Seconds": "10"})

    resources["Logs"]["Properties"]["RetentionInDays"] = 14
    resources["New"] = {"Type": "AWS::SNS::Topic"}
    plan = stack.plan(resources, Parameters=parameters, ParameterValues={"Seconds": "20"})
    changed = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in plan["Changes"]}
    assert {name: change["Action"] for name, change in changed.items()} == {
        "Queue": "Modify",
        "Logs": "Modify",
        "New": "Add",
        "Reader": "Modify",
    }
    assert [d["Evaluation"] for d in changed["Reader"]["Details"]] == [
        "Dynamic"
    ]  # it reads a changed resource
    assert changed["Logs"]["Replacement"] == changed["Queue"]["Replacement"] == "False"
    target = changed["Logs"]["Details"][0]["Target"]
    assert (target["Path"], target["BeforeValue"], target["AfterValue"], target["AttributeChangeType"]) == (
        "/Properties/RetentionInDays",
        "7",
        "14",
        "Modify",
    )
    assert any(d["Target"].get("AfterValue") == "20" for d in changed["Queue"]["Details"])
    assert json.loads(changed["Queue"]["BeforeContext"])["Properties"]["VisibilityTimeout"] == "10"


def test_a_change_set_knows_what_replaces(stack: Stack) -> None:
    def resources(name: str) -> dict[str, Any]:
        return {
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/{stack.name}/{name}"}}
        }

    stack.apply(resources("a"))
    change = stack.plan(resources("b"))["Changes"][0]["ResourceChange"]
    assert change["Replacement"] == "True"
    assert change["Details"][0]["Target"]["RequiresRecreation"] == "Always"
    assert stack.plan(resources("a"))["StatusReason"].startswith("The submitted information didn't contain")


def test_a_reference_to_something_new_does_not_make_other_properties_look_changed(stack: Stack) -> None:
    parameters = {"Text": {"Type": "String", "Default": "hello"}}
    queue = {"Type": "AWS::SQS::Queue"}
    note = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Ref": "Text"}}}
    stack.apply({"Queue": queue, "Note": note}, Parameters=parameters)
    note["Properties"]["Description"] = {"Fn::Sub": "${New.Arn} of ${AWS::StackName}"}
    plan = stack.plan({"Queue": queue, "Note": note, "New": queue}, Parameters=parameters)
    changed = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in plan["Changes"]}
    assert set(changed) == {"Note", "New"}
    assert {d["Target"]["Name"] for d in changed["Note"]["Details"]} == {"Description"}


def test_events_are_told_one_by_one(stack: Stack) -> None:
    stack.apply({"A": {"Type": "AWS::SQS::Queue"}, "B": {"Type": "AWS::SNS::Topic"}})
    events = stack.client.describe_stack_events(StackName=stack.name)["StackEvents"][::-1]
    told = [(e["LogicalResourceId"], e["ResourceStatus"]) for e in events if e["LogicalResourceId"] in "AB"]
    assert sorted(told) == sorted((x, s) for x in "AB" for s in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"))


def test_an_update_creates_what_it_adds_and_deletes_what_it_leaves_in_its_cleanup(stack: Stack) -> None:
    def queue(seconds: int, **properties: Any) -> dict[str, Any]:
        return {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": seconds, **properties}}

    former = {"QueueName": f"{stack.name}-former"}
    stack.apply({"Changed": queue(10), "Gone": queue(10), "Anew": queue(10, **former)})
    old, before = stack.id_of("Anew"), len(stack.events())
    latter = {"QueueName": f"{stack.name}-latter"}
    assert (
        stack.apply({"Changed": queue(20), "Added": queue(10), "Anew": queue(10, **latter)})
        == "UPDATE_COMPLETE"
    )
    events = stack.events()[before:]
    told = {
        name: [e["ResourceStatus"] for e in events if e["LogicalResourceId"] == name]
        for name in ("Changed", "Added", "Gone", stack.name)
    }
    cleanup = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    assert told == {
        "Changed": ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"],
        "Added": ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"],
        "Gone": ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"],
        stack.name: ["UPDATE_IN_PROGRESS", cleanup, "UPDATE_COMPLETE"],
    }
    anew = [
        (e["ResourceStatus"], e["PhysicalResourceId"]) for e in events if e["LogicalResourceId"] == "Anew"
    ]
    assert anew[-3:] == [
        ("UPDATE_COMPLETE", stack.id_of("Anew")),
        ("DELETE_IN_PROGRESS", old),
        ("DELETE_COMPLETE", old),
    ]
    order = [e["ResourceStatus"] for e in events]
    assert order.index("DELETE_IN_PROGRESS") > order.index(cleanup)
    resources = stack.client.list_stack_resources(StackName=stack.name)["StackResourceSummaries"]
    assert {one["LogicalResourceId"]: one["ResourceStatus"] for one in resources} == {
        "Changed": "UPDATE_COMPLETE",
        "Added": "CREATE_COMPLETE",
        "Anew": "UPDATE_COMPLETE",
    }
    before = len(stack.events())
    stack.apply({"Changed": queue(20), "Bad": queue(10, Nope=1)})
    told = [e["ResourceStatus"] for e in stack.events()[before:] if e["LogicalResourceId"] == "Bad"]
    assert told[:2] == ["CREATE_IN_PROGRESS", "CREATE_FAILED"]


def test_a_rule_reaches_our_engine(aws: EmbeddedAws, stack: Stack) -> None:
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": [stack.name]},
            "Targets": [
                {"Id": "m", "Arn": {"Ref": "Machine"}, "RoleArn": "arn:aws:iam::000000000000:role/any"}
            ],
        },
    }
    machine = _machine(DefinitionString=PASS.replace('"Result": "${Word}", ', ""))
    assert stack.apply({"Machine": machine, "Rule": rule}) == "CREATE_COMPLETE"
    entry = {"Source": stack.name, "DetailType": "t", "Detail": json.dumps({"n": 1})}
    aws.client("events").put_events(Entries=[entry])
    client, arn = aws.client("stepfunctions"), stack.id_of("Machine")
    for _ in range(100):
        done = client.list_executions(stateMachineArn=arn, statusFilter="SUCCEEDED")["executions"]
        if done:
            break
        time.sleep(0.05)
    output = json.loads(client.describe_execution(executionArn=done[0]["executionArn"])["output"])
    assert output["detail"] == {"n": 1}


def test_another_region_is_served_whole(aws: EmbeddedAws) -> None:
    region = "eu-central-1"
    stack = Stack(aws)
    stack.client = aws.client("cloudformation", region)
    destination = {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["Logs", "Arn"]}}}
    logging = {"Level": "ALL", "IncludeExecutionData": True, "Destinations": [destination]}
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "${Queue}", "MessageBody": "hello"},
        "End": True,
    }
    resources = {
        "Logs": {"Type": "AWS::Logs::LogGroup"},
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Machine": _machine(
            DefinitionString=json.dumps({"StartAt": "Send", "States": {"Send": send}}),
            DefinitionSubstitutions={"Queue": {"Ref": "Queue"}},
            LoggingConfiguration=logging,
        ),
    }
    assert stack.apply(resources) == "CREATE_COMPLETE"
    client, arn = aws.client("stepfunctions", region), stack.id_of("Machine")
    assert f":{region}:" in arn
    run = client.start_execution(stateMachineArn=arn)["executionArn"]
    message = aws.client("sqs", region).receive_message(QueueUrl=stack.id_of("Queue"), WaitTimeSeconds=10)
    assert message["Messages"][0]["Body"] == "hello"
    logs = aws.client("logs", region)
    for _ in range(100):
        events = logs.filter_log_events(logGroupName=stack.id_of("Logs"))["events"]
        if any("ExecutionSucceeded" in event["message"] for event in events):
            break
        time.sleep(0.05)
    assert run in events[0]["message"]


def test_a_model_package_group_is_made_and_removed(aws: EmbeddedAws, stack: Stack) -> None:
    group = {
        "Type": "AWS::SageMaker::ModelPackageGroup",
        "Properties": {"ModelPackageGroupName": f"{stack.name}-group", "ModelPackageGroupDescription": "d"},
    }
    outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Group", "ModelPackageGroupArn"]}}}
    assert stack.apply({"Group": group}, Outputs=outputs) == "CREATE_COMPLETE"
    client = aws.client("sagemaker")
    found = client.describe_model_package_group(ModelPackageGroupName=f"{stack.name}-group")
    assert stack.outputs()["Arn"] == found["ModelPackageGroupArn"] == stack.id_of("Group")
    tags = client.list_tags(ResourceArn=found["ModelPackageGroupArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "ml"}]
    group["Properties"]["Tags"] = [{"Key": "own", "Value": "yes"}]
    assert stack.apply({"Group": group}) == "UPDATE_COMPLETE"
    tags = client.list_tags(ResourceArn=found["ModelPackageGroupArn"])["Tags"]
    assert {tag["Key"] for tag in tags} == {"team", "own"}


def test_what_keeps_its_name_cannot_be_replaced(stack: Stack) -> None:
    def resources(description: str) -> dict[str, Any]:
        properties = {
            "ModelPackageGroupName": f"{stack.name}-group",
            "ModelPackageGroupDescription": description,
        }
        return {"Group": {"Type": "AWS::SageMaker::ModelPackageGroup", "Properties": properties}}

    stack.apply(resources("one"))
    assert stack.apply(resources("two")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "a custom-named resource requires replacing" in stack.failure("Group")


def test_a_glue_job_is_made_changed_and_removed(aws: EmbeddedAws, stack: Stack) -> None:
    job: dict[str, Any] = {
        "Type": "AWS::Glue::Job",
        "Properties": {
            "Name": f"{stack.name}-job",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Command": {"Name": "pythonshell", "PythonVersion": "3.9", "ScriptLocation": "s3://b/s.py"},
            "MaxRetries": "2",
            "MaxCapacity": "0.0625",
            "ExecutionProperty": {"MaxConcurrentRuns": 4},
        },
    }
    assert stack.apply({"Job": job}) == "CREATE_COMPLETE"
    client = aws.client("glue")
    found = client.get_job(JobName=f"{stack.name}-job")["Job"]
    assert (found["MaxRetries"], found["ExecutionProperty"]["MaxConcurrentRuns"]) == (2, 4)
    job["Properties"]["MaxRetries"] = 0
    assert stack.apply({"Job": job}) == "UPDATE_COMPLETE"
    assert client.get_job(JobName=f"{stack.name}-job")["Job"]["MaxRetries"] == 0


def test_the_table_of_types_is_that_of_awss_schemas() -> None:
    assert FILE.read_text() == text()
    assert "AWS::StepFunctions::StateMachine" in resource_types()
