"""The dead letter of an invocation that was given up, as AWS writes it; decides nothing.

Source: EventBridge Scheduler User Guide, "Configuring a schedule's dead-letter queue".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlops_kit.local.scheduler.book import Invocation
from mlops_kit.local.scheduler.targets import LARGEST, payload
from mlops_kit.local.service import ACCOUNT, Context

_WORDS = 1024  # characters of an error's words


def send(context: Context, invocation: Invocation, exhausted: str) -> bool:
    """Send the payload with the reason to the schedule's dead-letter queue.

    Parameters
    ----------
    exhausted : str
        ``MaximumRetryAttempts`` or ``MaximumEventAgeInSeconds``; empty when trying again would not help.

    Returns
    -------
    bool
        Whether the payload had to be cut.

    Raises
    ------
    botocore.exceptions.ClientError
        The queue does not take it.
    """
    arn = invocation.target["DeadLetterConfig"]["Arn"]
    body = payload(invocation)
    cut = body.encode()[:LARGEST].decode(errors="ignore")
    code, words = invocation.error
    attributes = {
        "ERROR_CODE": code,
        "ERROR_MESSAGE": words[:_WORDS],
        "EXECUTION_ID": invocation.id,
        "IS_PAYLOAD_TRUNCATED": str(cut != body).lower(),
        "RETRY_ATTEMPTS": str(max(0, invocation.failures - 1)),
        "SCHEDULED_TIME": datetime.fromtimestamp(invocation.scheduled, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SCHEDULE_ARN": invocation.key.arn,
        "TARGET_ARN": invocation.target["Arn"],
    }
    if exhausted:
        attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
    acting = context.within(arn.split(":")[3]).acting(invocation.target["RoleArn"], invocation.id)
    acting.client("sqs").send_message(
        QueueUrl=f"{context.url}/{ACCOUNT}/{arn.rpartition(':')[2]}",
        MessageBody=cut,
        MessageAttributes={name: _text(value) for name, value in attributes.items()},
    )
    return cut != body


def _text(value: str) -> dict[str, Any]:
    return {"DataType": "String", "StringValue": value or "-"}
