"""A stack that was being made, changed or removed when the server was killed is brought to its end."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import Any

from tests.conftest import EmbeddedAws
from tests.local.stepfunctions import walk

# Answers after a while, so that there is time to kill the server in the middle.
SLOW = """
import json, time, urllib.request
def handler(event, context):
    time.sleep(2)
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"Status": "SUCCESS", "PhysicalResourceId": "slow"}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=20)
"""


def _template(function: str, delay: int, **more: Any) -> str:
    properties = {"ServiceToken": function, "Delay": delay}
    resources = {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": delay}},
        "Job": {
            "Type": "AWS::Glue::Job",
            "DependsOn": "Queue",
            "Properties": {
                "Name": "made-once",
                "Role": walk.ROLE,
                "Command": {"Name": "pythonshell", "ScriptLocation": "s3://nowhere/script.py"},
            },
        },
        "Slow": {"Type": "Custom::Slow", "DependsOn": "Job", "Properties": properties},
        "Topic": {"Type": "AWS::SNS::Topic", "DependsOn": "Slow"},
        **more,
    }
    return json.dumps({"Resources": resources})


def _execute(aws: EmbeddedAws, kind: str, body: str) -> str:
    client = aws.client("cloudformation")
    name = f"change-{time.time_ns()}"
    client.create_change_set(StackName="s", ChangeSetName=name, TemplateBody=body, ChangeSetType=kind)
    waiter = client.get_waiter("change_set_create_complete")
    waiter.wait(StackName="s", ChangeSetName=name, WaiterConfig={"Delay": 1})
    client.execute_change_set(StackName="s", ChangeSetName=name)
    return name


def _events(aws: EmbeddedAws) -> list[tuple[str, str]]:
    events = aws.client("cloudformation").describe_stack_events(StackName="s")["StackEvents"]
    return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]


def _kill_when(aws: EmbeddedAws, logical_id: str, status: str, after: float) -> None:
    walk.holds(lambda: (logical_id, status) in _events(aws))
    time.sleep(after)
    aws.kill()
    aws.start()


def _settled(aws: EmbeddedAws) -> str:
    def status() -> str:
        stacks = aws.client("cloudformation").describe_stacks(StackName="s")["Stacks"]
        return str(stacks[0]["StackStatus"])

    walk.holds(lambda: not status().endswith("_IN_PROGRESS"), seconds=30)
    return status()


def _change_set(aws: EmbeddedAws, name: str) -> str:
    shown = aws.client("cloudformation").describe_change_set(StackName="s", ChangeSetName=name)
    return str(shown["ExecutionStatus"])


def test_a_half_applied_change_set_is_applied_to_its_end_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    function = walk.function(fresh_aws, SLOW)
    walk.settle(fresh_aws)
    name = _execute(fresh_aws, "CREATE", _template(function, 0))
    _kill_when(fresh_aws, "Slow", "CREATE_IN_PROGRESS", after=1.2)  # what was made is saved
    assert _settled(fresh_aws) == "CREATE_COMPLETE"
    assert _change_set(fresh_aws, name) == "EXECUTE_COMPLETE"
    sqs = fresh_aws.client("sqs")
    (queue,) = sqs.list_queues(QueueNamePrefix="s-")["QueueUrls"]

    second = {"Type": "AWS::SQS::Queue", "DependsOn": "Slow"}
    name = _execute(fresh_aws, "UPDATE", _template(function, 7, Second=second))
    _kill_when(fresh_aws, "Slow", "UPDATE_IN_PROGRESS", after=1.2)
    assert _settled(fresh_aws) == "UPDATE_COMPLETE"
    assert _change_set(fresh_aws, name) == "EXECUTE_COMPLETE"
    shown = fresh_aws.client("cloudformation").describe_stack_resources(StackName="s")["StackResources"]
    made = {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in shown}
    assert made.keys() == {"Queue", "Job", "Slow", "Topic", "Second"} and made["Queue"] == queue
    delay = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["DelaySeconds"])["Attributes"]
    assert delay == {"DelaySeconds": "7"}


def test_what_was_made_just_before_the_kill_does_not_stand_in_the_way(fresh_aws: EmbeddedAws) -> None:
    function = walk.function(fresh_aws, SLOW)
    walk.settle(fresh_aws)
    _execute(fresh_aws, "CREATE", _template(function, 0))
    time.sleep(0.8)
    _kill_when(
        fresh_aws, "Job", "CREATE_COMPLETE", after=0
    )  # the job is on disk, that the stack has it is not
    assert _settled(fresh_aws) == "CREATE_COMPLETE"
    assert fresh_aws.client("glue").get_job(JobName="made-once")


def test_a_stack_that_was_being_removed_is_removed_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    function = walk.function(fresh_aws, SLOW)
    client = fresh_aws.client("cloudformation")
    answer = client.create_stack(StackName="s", TemplateBody=_template(function, 0))
    assert _settled(fresh_aws) == "CREATE_COMPLETE"
    client.delete_stack(StackName="s")
    walk.holds(lambda: ("Slow", "DELETE_IN_PROGRESS") in _events(fresh_aws))
    time.sleep(1.2)
    fresh_aws.kill()
    fresh_aws.start()
    client = fresh_aws.client("cloudformation")

    def gone() -> bool:
        stack = client.describe_stacks(StackName=answer["StackId"])["Stacks"][0]
        return bool(stack["StackStatus"] == "DELETE_COMPLETE")

    walk.holds(gone, seconds=30)
    assert fresh_aws.client("sqs").list_queues().get("QueueUrls", []) == []
    assert fresh_aws.client("glue").get_jobs()["Jobs"] == []


# Fails an update to the delay that its resource names.
PICKY = (
    SLOW.replace('"Status": "SUCCESS"', '"Status": status')
    .replace(
        "    time.sleep(2)\n",
        "    told = event['ResourceProperties']\n"
        "    fails = event['RequestType'] == 'Update' and told['Delay'] == told['Refused']\n"
        "    status = 'FAILED' if fails else 'SUCCESS'\n",
    )
    .replace("answer |= {", "answer |= {'Reason': 'refused', ")
)


def _picky(function: str, delay: str) -> str:
    def resource(refused: str, **more: Any) -> dict[str, Any]:
        told = {"ServiceToken": function, "Delay": delay, "Refused": refused}
        return {"Type": "Custom::Picky", "Properties": told, **more}

    return json.dumps({"Resources": {"Back": resource("0"), "There": resource("7", DependsOn="Back")}})


def test_a_rollback_that_is_continued_is_continued_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    function = walk.function(fresh_aws, PICKY)
    client = fresh_aws.client("cloudformation")
    client.create_stack(StackName="s", TemplateBody=_picky(function, "0"))
    assert _settled(fresh_aws) == "CREATE_COMPLETE"
    client.update_stack(StackName="s", TemplateBody=_picky(function, "7"))
    assert _settled(fresh_aws) == "UPDATE_ROLLBACK_FAILED"
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("index.py", SLOW)
    fresh_aws.client("lambda").update_function_code(FunctionName=function, ZipFile=body.getvalue())
    walk.settle(fresh_aws)
    client.continue_update_rollback(StackName="s")
    time.sleep(1.2)
    fresh_aws.kill()
    fresh_aws.start()
    assert _settled(fresh_aws) == "UPDATE_ROLLBACK_COMPLETE"


def test_an_import_is_brought_to_its_end_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    sqs, client = fresh_aws.client("sqs"), fresh_aws.client("cloudformation")
    urls = [sqs.create_queue(QueueName=f"imported-{n}")["QueueUrl"] for n in range(100)]
    queue = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"}
    named = {f"Queue{n}": {**queue, "Properties": {"QueueName": f"imported-{n}"}} for n in range(len(urls))}
    imports = [
        {"ResourceType": queue["Type"], "LogicalResourceId": name, "ResourceIdentifier": {"QueueUrl": url}}
        for name, url in zip(named, urls, strict=True)
    ]
    client.create_change_set(
        StackName="s", ChangeSetName="c", ChangeSetType="IMPORT", ResourcesToImport=imports,
        TemplateBody=json.dumps({"Resources": named}),
    )  # fmt: skip
    waiter = client.get_waiter("change_set_create_complete")
    waiter.wait(StackName="s", ChangeSetName="c", WaiterConfig={"Delay": 1})
    walk.settle(fresh_aws)
    client.execute_change_set(StackName="s", ChangeSetName="c")
    saved = fresh_aws.state_dir / "ministack" / "cloudformation.json"
    walk.holds(lambda: "IMPORT_" in saved.read_text())
    fresh_aws.kill()
    fresh_aws.start()
    assert _settled(fresh_aws) == "IMPORT_COMPLETE"
    assert _change_set(fresh_aws, "c") == "EXECUTE_COMPLETE"
    shown = fresh_aws.client("cloudformation").describe_stack_resources(StackName="s")["StackResources"]
    assert sorted(entry["PhysicalResourceId"] for entry in shown) == sorted(urls)
