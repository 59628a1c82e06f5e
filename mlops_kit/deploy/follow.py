"""Follow one operation of a stack, event by event, to its end; must not start any.

Source: CloudFormation User Guide, "View stack events" and "Stack status codes".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.deploy.aws import Session

Told = Callable[[str], None]
STACK = "AWS::CloudFormation::Stack"
_NOT_TOLD = ("cancelled", "canceled")  # what fails because something else did
_WORDS = {
    "CREATE_COMPLETE": "created",
    "UPDATE_COMPLETE": "updated",
    "DELETE_COMPLETE": "removed",
    "DELETE_SKIPPED": "kept",
    "CREATE_FAILED": "FAILED to create",
    "UPDATE_FAILED": "FAILED to update",
    "DELETE_FAILED": "FAILED to remove",
}


@dataclass(frozen=True)
class Ended:
    """How an operation ended.

    Attributes
    ----------
    status : str
        The stack's status, such as ``UPDATE_ROLLBACK_COMPLETE``.
    failure : str or None
        The first resource that failed, and AWS's reason.
    """

    status: str
    failure: str | None


def pause(session: Session) -> None:
    """Between two questions: short for the embedded AWS, AWS's own pace for AWS."""
    time.sleep(0.1 if session.settings.target == "local" else 2)


def follow(
    session: Session, stack_id: str, token: str, told: Told, names: Collection[str] | None = None
) -> Ended:
    """Wait for the operation that carries the client request token, telling each resource as it is done.

    Parameters
    ----------
    session : Session
        Where the stack is.
    stack_id : str
        Its id, not its name: a removed stack is found by its id alone.
    token : str
        ``ClientRequestToken`` of the operation.
    told : callable
        Called with a line a resource.
    names : collection of str, optional
        Tell of these resources only, and of every failure.
    """
    seen: set[str] = set()
    made: dict[str, str | None] = {}
    failure: str | None = None
    while True:
        for event in reversed(list(_new_events(session, stack_id, token, seen))):
            status = event["ResourceStatus"]
            reason = event.get("ResourceStatusReason", "")
            if event["ResourceType"] == STACK and event.get("PhysicalResourceId") == stack_id:
                if not status.endswith("IN_PROGRESS"):
                    return Ended(status, failure or (reason if "ROLLBACK" in status else None) or None)
                if "ROLLBACK" in status and failure is None and reason:
                    failure = reason
                continue
            if status.endswith("_FAILED") and not any(word in reason.lower() for word in _NOT_TOLD):
                failure = failure or f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
            if status.endswith("_FAILED") or (
                status in _WORDS and (names is None or event["LogicalResourceId"] in names)
            ):
                former = made.get(event["LogicalResourceId"], event.get("PhysicalResourceId"))
                told(_line(event, replaced=former != event.get("PhysicalResourceId")))
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                made[event["LogicalResourceId"]] = event.get("PhysicalResourceId")
        pause(session)


def _line(event: Mapping[str, Any], *, replaced: bool) -> str:
    status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
    line = f"{_WORDS.get(status, status):8} {event['LogicalResourceId']:32} {event['ResourceType']}"
    line += " (the one that was replaced)" if replaced else ""
    return f"{line}: {reason}" if status.endswith("_FAILED") and reason else line


def _new_events(session: Session, stack_id: str, token: str, seen: set[str]) -> Iterator[Mapping[str, Any]]:
    """This operation's events that were not seen yet, newest first."""
    pages = (
        session.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=stack_id)
    )
    for page in pages:
        for event in page["StackEvents"]:
            if event["EventId"] in seen:
                return
            seen.add(event["EventId"])
            if event.get("ClientRequestToken") == token:
                yield event
