"""What the embedded AWS has acknowledged is there after a kill; a stop loses nothing at all."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.conftest import EmbeddedAws

MACHINE = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}})


def _table(aws: EmbeddedAws) -> Any:
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return dynamodb


def _put(aws: EmbeddedAws, number: int) -> None:
    aws.client("dynamodb").put_item(TableName="items", Item={"id": {"S": str(number)}})


def _items(aws: EmbeddedAws) -> set[int]:
    items = aws.client("dynamodb").scan(TableName="items")["Items"]
    return {int(item["id"]["S"]) for item in items}


def test_a_kill_loses_nothing_that_our_services_acknowledged(fresh_aws: EmbeddedAws) -> None:
    client = fresh_aws.client("stepfunctions")
    role = "arn:aws:iam::000000000000:role/any"
    arn = client.create_state_machine(name="m", definition=MACHINE, roleArn=role)["stateMachineArn"]
    started = client.start_execution(stateMachineArn=arn, name="the-last-thing-said")["executionArn"]
    fresh_aws.kill()
    fresh_aws.start()
    client = fresh_aws.client("stepfunctions")
    assert client.describe_state_machine(stateMachineArn=arn)["name"] == "m"
    assert client.describe_execution(executionArn=started)["status"] == "RUNNING"


def test_a_kill_loses_at_most_the_last_moments_of_ministacks_services(fresh_aws: EmbeddedAws) -> None:
    _table(fresh_aws)
    bucket = fresh_aws.client("s3")
    bucket.create_bucket(Bucket="objects")
    for number in range(20):
        _put(fresh_aws, number)
    fresh_aws.client("sqs").create_queue(QueueName="q")
    queue = fresh_aws.client("sqs").get_queue_url(QueueName="q")["QueueUrl"]
    fresh_aws.client("sqs").send_message(QueueUrl=queue, MessageBody="kept")
    time.sleep(2)
    bucket.put_object(Bucket="objects", Key="k", Body=b"written at once")
    fresh_aws.kill()
    fresh_aws.start()
    assert _items(fresh_aws) == set(range(20))
    message = fresh_aws.client("sqs").receive_message(QueueUrl=queue)["Messages"][0]
    assert message["Body"] == "kept"
    body = fresh_aws.client("s3").get_object(Bucket="objects", Key="k")["Body"].read()
    assert body == b"written at once"


def test_saving_goes_on_under_a_steady_stream_of_changes(fresh_aws: EmbeddedAws) -> None:
    _table(fresh_aws)
    deadline = time.monotonic() + 3
    number = 0
    moments: list[tuple[float, int]] = []
    while time.monotonic() < deadline:
        _put(fresh_aws, number)
        moments.append((time.monotonic(), number))
        number += 1
    killed = time.monotonic()
    fresh_aws.kill()
    fresh_aws.start()
    old = {n for moment, n in moments if moment < killed - 2}
    assert old and old <= _items(fresh_aws)


def test_a_stop_saves_everything_at_once(fresh_aws: EmbeddedAws) -> None:
    _table(fresh_aws)
    _put(fresh_aws, 1)
    assert fresh_aws.stop() == 0
    fresh_aws.start()
    assert _items(fresh_aws) == {1}


def test_before_a_state_has_ended_what_it_changed_is_on_disk(fresh_aws: EmbeddedAws) -> None:
    _table(fresh_aws)
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": "items", "Item": {"id": {"S.$": "$.id"}}},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Put", "States": {"Put": put}})
    client = fresh_aws.client("stepfunctions")
    role = "arn:aws:iam::000000000000:role/any"
    arn = client.create_state_machine(name="m", definition=definition, roleArn=role)["stateMachineArn"]
    for number in range(5):
        execution = client.start_execution(stateMachineArn=arn, input=json.dumps({"id": str(number)}))
        status = "RUNNING"
        while status == "RUNNING":
            status = client.describe_execution(executionArn=execution["executionArn"])["status"]
        assert status == "SUCCEEDED"
    fresh_aws.kill()
    fresh_aws.start()
    assert _items(fresh_aws) == set(range(5))


def test_what_a_rule_delivers_in_the_background_is_saved_too(fresh_aws: EmbeddedAws) -> None:
    sqs, events = fresh_aws.client("sqs"), fresh_aws.client("events")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.states"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    client = fresh_aws.client("stepfunctions")
    role = "arn:aws:iam::000000000000:role/any"
    passing = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    machine = client.create_state_machine(name="m", definition=passing, roleArn=role)["stateMachineArn"]
    client.start_execution(stateMachineArn=machine)
    time.sleep(2.5)
    fresh_aws.kill()
    fresh_aws.start()
    messages = fresh_aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    kinds = {json.loads(message["Body"])["detail-type"] for message in messages}
    assert kinds == {"Step Functions Execution Status Change"}


def test_a_stack_is_there_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    client = fresh_aws.client("cloudformation")
    name = f"s-{uuid.uuid4().hex[:8]}"
    body = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}})
    client.create_stack(StackName=name, TemplateBody=body)
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    time.sleep(2)
    fresh_aws.kill()
    fresh_aws.start()
    client = fresh_aws.client("cloudformation")
    stack = client.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    resources = client.describe_stack_resources(StackName=name)["StackResources"]
    assert fresh_aws.client("sqs").get_queue_attributes(QueueUrl=resources[0]["PhysicalResourceId"])


def test_log_lines_come_back_after_a_kill_whatever_order_they_came_in(fresh_aws: EmbeddedAws) -> None:
    logs = fresh_aws.client("logs")
    logs.create_log_group(logGroupName="it's a group")
    logs.create_log_stream(logGroupName="it's a group", logStreamName="s")
    names = {"logGroupName": "it's a group", "logStreamName": "s"}
    now = int(time.time() * 1000)
    for start in (2000, 0, 1000, 3000):  # the second is late, and moves what is there
        events = [{"timestamp": now + start + n, "message": f"line {start + n}"} for n in range(700)]
        logs.put_log_events(**names, logEvents=events)
        time.sleep(1)  # saved between
    time.sleep(1)
    before = _lines(fresh_aws, names)
    assert len(before) == 2800 and before == sorted(before, key=lambda line: int(line.split()[1]))
    fresh_aws.kill()
    fresh_aws.start()
    assert _lines(fresh_aws, names) == before
    saved = json.loads((fresh_aws.state_dir / "ministack" / "cloudwatch_logs.json").read_text())
    stream = next(iter(saved["payload"]["log_groups"]["data"].values()))["streams"]["s"]
    pointer = stream["events"][5]["eventId"]
    record = fresh_aws.client("logs").get_log_record(logRecordPointer=pointer)["logRecord"]
    assert record["@message"] == "line 5"


def _lines(aws: EmbeddedAws, names: dict[str, str]) -> list[str]:
    lines: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = aws.client("logs").get_log_events(**names, **token, startFromHead=True)
        if not page["events"]:
            return lines
        lines += [event["message"] for event in page["events"]]
        token = {"nextToken": page["nextForwardToken"]}
