"""Retry, Catch, timeouts and aborts, as AWS has them."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.local.stepfunctions import walk

FLAKY = """
import boto3
def handler(event, context):
    table = boto3.client("dynamodb")
    count = table.update_item(
        TableName=event["table"], Key={"id": {"S": event["key"]}}, UpdateExpression="ADD n :one",
        ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="UPDATED_NEW",
    )["Attributes"]["n"]["N"]
    if int(count) <= event["failures"]:
        raise ValueError(f"attempt {count}")
    return int(count)
"""


def test_retry_repeats_by_the_functions_own_error_name_until_it_works(aws: Any) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": walk.function(aws, FLAKY), "Payload.$": "$"},
        "ResultSelector": {"count.$": "$.Payload", "retries.$": "$$.State.RetryCount"},
        "Retry": [{"ErrorEquals": ["ValueError"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 1}],
    }
    shown = walk.run(aws, walk.states(("Try", task)), {"table": walk.table(aws), "key": "k", "failures": 2})
    assert shown["output"] == {"count": 3, "retries": 2}
    types = walk.types(aws, shown["executionArn"])
    assert (types.count("TaskFailed"), types.count("TaskSucceeded"), types.count("TaskStateEntered")) == (
        2,
        1,
        1,
    )


def test_catch_hands_on_error_and_cause_beside_the_input(aws: Any) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem",
        "Parameters": {"TableName": "no-such-table", "Key": {"id": {"S": "x"}}},
        "Catch": [
            {"ErrorEquals": ["States.Timeout"], "Next": "Wrong"},
            {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.error", "Next": "Caught"},
        ],
    }
    definition = walk.states(
        ("Read", task), ("Wrong", {"Type": "Fail"}), ("Caught", {"Type": "Pass", "End": True})
    )
    output = walk.run(aws, definition, {"x": 1})["output"]
    assert output["x"] == 1
    assert output["error"]["Error"] == "DynamoDb.ResourceNotFoundException"
    assert "(Service: DynamoDb, Status Code: 400, Request ID: " in output["error"]["Cause"]


def test_a_runtime_error_is_neither_retried_nor_caught(aws: Any) -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl.$": "$.nothing"},
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
    }
    shown = walk.run(aws, walk.states(("Send", state), ("Caught", {"Type": "Pass"})))
    assert (shown["status"], shown["error"]) == ("FAILED", "States.Runtime")


def test_a_task_past_its_timeout_fails_with_states_timeout(aws: Any) -> None:
    slow = walk.function(aws, "import time\ndef handler(event, context):\n    time.sleep(20)\n")
    task = {
        "Type": "Task",
        "Resource": slow,
        "TimeoutSeconds": 1,
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}],
    }
    shown = walk.run(aws, walk.states(("Slow", task), ("Late", {"Type": "Pass"})))
    assert shown["output"]["Error"] == "States.Timeout"
    assert "LambdaFunctionTimedOut" in walk.types(aws, shown["executionArn"])


def test_heartbeats_put_a_callback_off_and_their_lack_ends_it(aws: Any) -> None:
    url = walk.queue(aws)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "HeartbeatSeconds": 2,
        "Parameters": {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}},
        "Catch": [{"ErrorEquals": ["States.HeartbeatTimeout"], "ResultPath": "$.error", "Next": "Silent"}],
    }
    execution = walk.start(aws, walk.create(aws, walk.states(("Ask", task), ("Silent", {"Type": "Pass"}))))
    token = walk.receive(aws, url)["token"]
    for _ in range(3):
        time.sleep(1)
        aws.client("stepfunctions").send_task_heartbeat(taskToken=token)
    assert "TaskTimedOut" not in walk.types(aws, execution)
    output = json.loads(walk.until(aws, execution)["output"])
    assert output["error"]["Error"] == "States.Timeout"


def test_a_failing_branch_ends_the_others_and_their_jobs(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    inner = walk.create(aws, walk.states(("Long", {"Type": "Wait", "Seconds": 300})))
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync",
        "Parameters": {"StateMachineArn": inner},
    }
    failing = walk.states(
        ("Soon", {"Type": "Wait", "Seconds": 1}), ("Fail", {"Type": "Fail", "Error": "Bad", "Cause": "x"})
    )
    both = {"Type": "Parallel", "Branches": [walk.states(("Nested", nested)), failing]}
    shown = walk.run(aws, walk.states(("Both", both)))
    assert (shown["status"], shown["error"], shown["cause"]) == ("FAILED", "Bad", "x")
    child = sfn.list_executions(stateMachineArn=inner)["executions"][0]["executionArn"]
    assert walk.until(aws, child)["status"] == "ABORTED"


def test_stopping_an_execution_stops_its_job(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    inner = walk.create(aws, walk.states(("Long", {"Type": "Wait", "Seconds": 300})))
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync",
        "Parameters": {"StateMachineArn": inner},
    }
    outer = walk.start(aws, walk.create(aws, walk.states(("Nested", nested))))
    walk.when(aws, outer, "TaskSubmitted")
    sfn.stop_execution(executionArn=outer)
    child = sfn.list_executions(stateMachineArn=inner)["executions"][0]["executionArn"]
    assert walk.until(aws, child)["status"] == "ABORTED"


def test_a_failed_nested_execution_is_states_task_failed_with_its_description(aws: Any) -> None:
    inner = walk.create(aws, walk.states(("Fail", {"Type": "Fail", "Error": "Mine", "Cause": "because"})))
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": inner, "Input": {"x": 1}},
    }
    shown = walk.run(aws, walk.states(("Nested", nested)))
    cause = json.loads(shown["cause"])
    assert shown["error"] == "States.TaskFailed"
    assert (cause["Error"], cause["Cause"], cause["Status"]) == ("Mine", "because", "FAILED")


def test_output_over_the_limit_is_refused_with_aws_words(aws: Any) -> None:
    doubled = {"Type": "Pass", "Parameters": {"a.$": "$.text", "b.$": "$.text"}}
    shown = walk.run(aws, walk.states(("Double", doubled)), {"text": "x" * 140_000})
    assert shown["error"] == "States.DataLimitExceeded"
    assert shown["cause"].startswith("The state/task 'Double' returned a result with a size exceeding")


def test_variables_over_the_limit_are_refused(aws: Any) -> None:
    doubled = {"Type": "Pass", "Assign": {"v.$": "States.Format('{}{}', $.text, $.text)"}}
    shown = walk.run(aws, walk.states(("Double", doubled)), {"text": "x" * 140_000})
    assert shown["error"] == "States.DataLimitExceeded"
    assert shown["cause"].startswith("The state/task 'Double' assigned variables with a size exceeding")


def test_an_endless_loop_ends_with_the_history_limit(aws: Any) -> None:
    definition = {"StartAt": "Round", "States": {"Round": {"Type": "Pass", "Next": "Again"},
                  "Again": {"Type": "Pass", "Next": "Round"}}}  # fmt: skip
    execution = walk.start(aws, walk.create(aws, {**definition, "States": {**definition["States"],
                           "Round": {"Type": "Choice", "Choices": [{"Variable": "$.no", "IsPresent": True,
                           "Next": "End"}], "Default": "Again"}, "End": {"Type": "Succeed"}}}))  # fmt: skip
    shown = walk.until(aws, execution)
    assert shown["status"] == "FAILED"
    assert "25000" in shown["cause"]
    last = aws.client("stepfunctions").get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=1
    )["events"]
    assert (last[0]["id"], last[0]["type"]) == (25_000, "ExecutionFailed")
