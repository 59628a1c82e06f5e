"""Request-response integrations, and the first call of `.waitForTaskToken`; no jobs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import names
from mlops_kit.local.stepfunctions.integrations.calls import Answer, Call
from mlops_kit.local.stepfunctions.integrations.calls import send as send_call
from mlops_kit.local.stepfunctions.integrations.target import Reply

_MESSAGES = {("sns", "publish"): "Message", ("sqs", "sendMessage"): "MessageBody"}


def send(call: Call) -> Reply:
    """Call and give the answer on; an execution that a former process started counts as started."""
    arguments = prepared(call)
    try:
        return Reply(Doc(output(call, send_call(call.context, call.target, arguments))))
    except StateFailed as failure:
        if call.repeated and failure.error == "StepFunctions.ExecutionAlreadyExistsException":
            return Reply(Doc(started(arguments)))
        raise


def started(arguments: Mapping[str, Any]) -> dict[str, str]:
    """ARN of the execution that startExecution with these arguments made."""
    base = str(arguments["StateMachineArn"]).replace(":stateMachine:", ":execution:")
    return {"ExecutionArn": f"{base}:{arguments['Name']}"}


def prepared(call: Call) -> dict[str, Any]:
    """The arguments with what Step Functions itself puts in."""
    target, arguments = call.target, dict(call.arguments)
    if target.sdk:
        return arguments
    if target.service == "events" and target.action == "putEvents":
        arguments["Entries"] = [_entry(entry, call) for entry in arguments.get("Entries") or []]
    elif target.service == "states" and not arguments.get("Name"):
        arguments["Name"] = str(uuid.uuid5(uuid.NAMESPACE_URL, call.attempt))
    return arguments


def _entry(entry: Any, call: Call) -> Any:
    """An event's Detail as text; Step Functions adds the execution to its resources."""
    if not isinstance(entry, dict):
        return entry
    detail = entry.get("Detail")
    text = detail if isinstance(detail, str) or detail is None else dumps(detail)
    machine = call.execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]
    return {**entry, "Detail": text, "Resources": [*(entry.get("Resources") or []), call.execution, machine]}


def output(call: Call, answer: Answer) -> dict[str, Any]:
    """The answer as the state sees it.

    Raises
    ------
    StateFailed
        EventBridge did not take every entry.
    """
    target = call.target
    if target.sdk:
        return answer.body
    if target.service == "events" and answer.body.get("FailedEntryCount"):
        raise StateFailed("EventBridge.FailedEntry", dumps(answer.body))
    if not names.OPTIMISED[target.service].metadata:
        return answer.body
    return {**answer.body, **answer.metadata}
