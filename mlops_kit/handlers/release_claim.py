"""Lambda: frees the window of an execution that ended without doing so, and tells people; starts nothing.

It hears the events of one state machine: "Step Functions Execution Status Change" of the Step Functions
Developer Guide, "Automating event delivery". An event may come twice and late: every step may be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

WORDS = {
    "ABORTED": "was aborted",
    "TIMED_OUT": "ran out of time",
    "FAILED": "failed where no state caught it",
}


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Free what an ended execution still claims; stop a redriven one that claims nothing any more.

    Parameters
    ----------
    event : mapping
        EventBridge's event, its ``detail`` the execution's status.
    context
        Lambda's; not used.

    Returns
    -------
    dict
        ``released``: keys of the claims that were deleted. ``stopped``: whether the execution was.
    """
    detail = event["detail"]
    execution, states = detail["executionArn"], boto3.client("stepfunctions")
    status = states.describe_execution(executionArn=execution)["status"]
    if detail["status"] == "RUNNING":
        # Its window was freed when it ended, and RedriveExecution goes on behind the state that claims.
        orphan = status == "RUNNING" and not any(_owned(execution))
        if orphan:
            cause = f"Its window is not claimed any more. Claim it again: mlops-kit redrive {execution}"
            states.stop_execution(executionArn=execution, error="MlopsKit.NoClaim", cause=cause)
        return {"released": [], "stopped": orphan}
    if status == "RUNNING":  # redriven before this event came
        return {"released": [], "stopped": False}
    claimed = [item["pk"]["S"] for item in _owned(execution) if item["status"]["S"] == "claimed"]
    released = [key for key in claimed if _release(key, execution)]
    if released or detail["status"] != "FAILED":  # a caught failure has told it, and released it, itself
        _tell(detail, released)
    return {"released": released, "stopped": False}


def _owned(execution: str) -> Iterator[dict[str, Any]]:
    """Items of the execution. The table holds an item a model and week: a scan is cheap, and knows no key."""
    pages = boto3.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(
        TableName=os.environ["LOCK_TABLE"],
        ConsistentRead=True,
        FilterExpression="#owner = :me",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":me": {"S": execution}},
    ):
        yield from page["Items"]


def _release(key: str, execution: str) -> bool:
    dynamodb = boto3.client("dynamodb")
    try:
        dynamodb.delete_item(
            TableName=os.environ["LOCK_TABLE"],
            Key={"pk": {"S": key}},
            ConditionExpression="#owner = :me AND #status = :claimed",
            ExpressionAttributeNames={"#owner": "owner", "#status": "status"},
            ExpressionAttributeValues={":me": {"S": execution}, ":claimed": {"S": "claimed"}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False  # taken over since
    return True


def _tell(detail: Mapping[str, Any], released: list[str]) -> None:
    arn, status = detail["executionArn"], detail["status"]
    machine, region = arn.split(":")[6], arn.split(":")[3]
    freed = f"Its window {', '.join(released)} is free again." if released else "It held no window."
    lines = (
        f"The execution {detail['name']} of {machine} {WORDS[status]} ({status}). {freed}",
        f"Cause: {': '.join(filter(None, (detail.get('error'), detail.get('cause')))) or 'none given'}",
        f"Repeat it: mlops-kit redrive {arn}",
        f"Look at it: https://{region}.console.aws.amazon.com/states/home?region={region}"
        f"#/v2/executions/details/{arn}",
    )
    subject = f"{machine}: execution {status.lower().replace('_', ' ')}"
    boto3.client("sns").publish(
        TopicArn=os.environ["CRITICAL_TOPIC"], Subject=subject[:100], Message="\n".join(lines)
    )
