"""What lies in a dead-letter queue of schedules, looked at and left there; deletes nothing.

Source: EventBridge Scheduler User Guide, "Configuring a schedule's dead-letter queue".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

_MOST = 100  # messages
_HIDDEN = 10  # seconds, until they are shown again at once
_WAIT = 1  # seconds: a short poll asks only some of the servers that hold a queue's messages


@dataclass(frozen=True)
class Letter:
    """An invocation that could not be delivered.

    Attributes
    ----------
    schedule, target : str
        ARNs.
    scheduled : datetime
        UTC, when it was due.
    error, message : str
        Code and words of the last refusal.
    """

    schedule: str
    target: str
    scheduled: datetime
    error: str
    message: str


def letters(sqs: Any, queue: str) -> list[Letter]:
    """The first hundred messages of a queue that Scheduler wrote; all stay in it.

    Parameters
    ----------
    sqs : botocore client
        Of the service ``sqs``.
    queue : str
        ARN.
    """
    _, _, _, _, account, name = queue.split(":")
    try:
        url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        return []
    depth = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    wanted = int(depth["Attributes"]["ApproximateNumberOfMessages"])
    found: list[dict[str, Any]] = []
    while len(found) < min(wanted, _MOST):
        asked = {"MaxNumberOfMessages": 10, "VisibilityTimeout": _HIDDEN, "WaitTimeSeconds": _WAIT}
        answer = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"], **asked)
        if not answer.get("Messages"):
            break
        found += answer["Messages"]
    for begin in range(0, len(found), 10):
        shown = [
            {"Id": str(number), "ReceiptHandle": one["ReceiptHandle"], "VisibilityTimeout": 0}
            for number, one in enumerate(found[begin : begin + 10])
        ]
        sqs.change_message_visibility_batch(QueueUrl=url, Entries=shown)
    return [letter for message in found if (letter := _letter(message))]


def _letter(message: dict[str, Any]) -> Letter | None:
    said = {
        name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()
    }
    try:
        scheduled = datetime.fromisoformat(said["SCHEDULED_TIME"])
        return Letter(
            said["SCHEDULE_ARN"], said["TARGET_ARN"], scheduled, said["ERROR_CODE"], said["ERROR_MESSAGE"]
        )
    except (KeyError, ValueError):
        return None  # somebody else's message
