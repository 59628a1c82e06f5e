"""RedriveExecution goes on from what did not succeed, and keeps what did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stepfunctions import walk

GET = "arn:aws:states:::aws-sdk:dynamodb:getItem"


def _needs_table(name: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": GET,
        "Parameters": {"TableName": name, "Key": {"id": {"S": "x"}}},
        "ResultPath": None,
    }


def _make_table(aws: Any, name: str) -> None:
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_a_failed_task_is_repeated_and_what_came_before_is_not(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    definition = walk.states(
        ("Before", {"Type": "Pass", "Result": 1, "ResultPath": "$.before"}),
        ("Read", _needs_table("redrive-one")),
        ("After", {"Type": "Pass"}),
    )
    execution = walk.start(aws, walk.create(aws, definition), {"x": 1})
    failed = walk.until(aws, execution)
    assert failed["status"] == "FAILED"
    assert failed["error"] == "DynamoDb.ResourceNotFoundException"
    assert failed["redriveStatus"] == "REDRIVABLE"
    _make_table(aws, "redrive-one")
    sfn.redrive_execution(executionArn=execution)
    shown = walk.until(aws, execution)
    assert shown["status"] == "SUCCEEDED"
    assert json.loads(shown["output"]) == {"x": 1, "before": 1}
    assert shown["redriveCount"] == 1
    assert walk.entered(aws, execution) == ["Before", "Read", "After"]
    types = walk.types(aws, execution)
    assert types.count("ExecutionRedriven") == 1
    assert types.count("TaskScheduled") == 2


def test_only_failed_branches_and_items_are_repeated(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    good = walk.states(("Good", {"Type": "Pass", "Result": "good"}))
    bad = walk.states(("Bad", _needs_table("redrive-two")), ("Then", {"Type": "Pass", "Result": "mended"}))
    choose = {
        "StartAt": "Which",
        "States": {
            "Which": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "Read"}],
                "Default": "Skip",
            },
            "Read": {**_needs_table("redrive-two"), "End": True},
            "Skip": {"Type": "Pass", "End": True},
        },
    }
    inner = {"Type": "Map", "ItemProcessor": choose, "MaxConcurrency": 1}
    each = walk.states(("List", {"Type": "Pass", "Result": [0, 1, 2]}), ("Each", inner))
    definition = walk.states(("Both", {"Type": "Parallel", "Branches": [good, bad, each]}))
    execution = walk.start(aws, walk.create(aws, definition))
    assert walk.until(aws, execution)["status"] == "FAILED"
    _make_table(aws, "redrive-two")
    sfn.redrive_execution(executionArn=execution)
    shown = walk.until(aws, execution)
    assert json.loads(shown["output"]) == ["good", "mended", [0, 1, 2]]
    names = walk.entered(aws, execution)
    assert names.count("Good") == 1
    assert names.count("Then") == 1


def test_a_stopped_and_a_timed_out_execution_can_go_on(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    definition = walk.states(("Wait", {"Type": "Wait", "SecondsPath": "$.s"}), ("After", {"Type": "Pass"}))
    stopped = walk.start(aws, walk.create(aws, definition), {"s": 3})
    walk.when(aws, stopped, "WaitStateEntered")
    sfn.stop_execution(executionArn=stopped, error="Mine", cause="I said so")
    shown = walk.until(aws, stopped)
    assert (shown["status"], shown["error"], shown["cause"]) == ("ABORTED", "Mine", "I said so")
    late = walk.start(aws, walk.create(aws, {**definition, "TimeoutSeconds": 1}), {"s": 2})
    assert walk.until(aws, late)["status"] == "TIMED_OUT"
    sfn.redrive_execution(executionArn=stopped)
    assert walk.until(aws, stopped)["status"] == "SUCCEEDED"


def test_what_cannot_be_redriven_is_refused_with_the_reason(aws: Any) -> None:
    done = walk.run(aws, walk.states(("Only", {"Type": "Pass"})))
    assert done["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    with pytest.raises(ClientError, match="Execution is SUCCEEDED and cannot be redriven") as refused:
        aws.client("stepfunctions").redrive_execution(executionArn=done["executionArn"])
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"


def test_a_redrive_survives_a_kill(fresh_aws: Any) -> None:
    definition = walk.states(("Read", _needs_table("late")), ("Wait", {"Type": "Wait", "Seconds": 2}))
    execution = walk.start(fresh_aws, walk.create(fresh_aws, definition), {"x": 1})
    assert walk.until(fresh_aws, execution)["status"] == "FAILED"
    fresh_aws.kill()
    fresh_aws.start()
    _make_table(fresh_aws, "late")
    fresh_aws.client("stepfunctions").redrive_execution(executionArn=execution)
    walk.when(fresh_aws, execution, "WaitStateEntered")
    fresh_aws.kill()
    fresh_aws.start()
    shown = walk.until(fresh_aws, execution)
    assert (shown["status"], shown["redriveCount"]) == ("SUCCEEDED", 1)


def test_a_distributed_map_repeats_its_failed_children_only(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    item = {
        "StartAt": "Which",
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "States": {
            "Which": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "Read"}],
                "Default": "Skip",
            },
            "Read": {**_needs_table("redrive-three"), "End": True},
            "Skip": {"Type": "Pass", "End": True},
        },
    }
    definition = walk.states(("Each", {"Type": "Map", "ItemProcessor": item, "ItemsPath": "$.items"}))
    items = [{"n": n} for n in range(3)]
    execution = walk.start(aws, walk.create(aws, definition), {"items": items})
    failed = walk.until(aws, execution)
    assert failed["error"] == "States.ExceedToleratedFailureThreshold"
    run = sfn.list_map_runs(executionArn=execution)["mapRuns"][0]["mapRunArn"]
    children = {child["executionArn"] for child in sfn.list_executions(mapRunArn=run)["executions"]}
    _make_table(aws, "redrive-three")
    sfn.redrive_execution(executionArn=execution)
    shown = walk.until(aws, execution)
    assert json.loads(shown["output"]) == items
    again = sfn.list_executions(mapRunArn=run)["executions"]
    assert {child["executionArn"] for child in again} >= children
    assert [child["redriveCount"] for child in again if child["redriveCount"]] == [1]
    assert sfn.describe_map_run(mapRunArn=run)["status"] == "SUCCEEDED"
