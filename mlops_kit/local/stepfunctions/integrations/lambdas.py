"""Lambda functions as tasks: by their ARN, and by lambda:invoke; errors under the function's own names."""

from __future__ import annotations

from typing import Any

from mlops_kit.local.stepfunctions.docs import Doc, dumps, loads
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations.calls import Answer, Call, send
from mlops_kit.local.stepfunctions.integrations.target import Reply, Target

_LAMBDA = Target("service", "arn:aws:states:::lambda:invoke", "lambda", "invoke")


def invoke_function(call: Call) -> Reply:
    """A function's ARN as Resource: the task's input is the event, the function's answer the result."""
    answer = send(
        call.context, _LAMBDA, {"FunctionName": call.target.full_resource, "Payload": dumps(call.arguments)}
    )
    text = _payload(answer)
    _check(answer, text, text)
    return Reply(_document(text))


def invoke(call: Call) -> Reply:
    """lambda:invoke: the answer holds the parsed payload, version and status."""
    arguments = dict(call.arguments)
    if arguments.get("Payload") is not None:
        arguments["Payload"] = _event(arguments["Payload"])
    answer = send(call.context, _LAMBDA, arguments)
    text = _payload(answer)
    document = _document(text)
    _check(answer, text, dumps(document.value))
    output: dict[str, Any] = {"ExecutedVersion": answer.body.get("ExecutedVersion", "$LATEST")}
    if "LogResult" in answer.body:
        output["LogResult"] = answer.body["LogResult"]
    output["Payload"] = document.value
    output |= answer.metadata
    output["StatusCode"] = answer.body.get("StatusCode", 200)
    return Reply(Doc(output))


def _event(payload: Any) -> str:
    """The event's text: a Payload that is text holding JSON is sent as it stands (recorded from AWS)."""
    if isinstance(payload, str):
        try:
            loads(payload)
        except ValueError:
            return dumps(payload)
        return payload
    return dumps(payload)


def _payload(answer: Answer) -> str:
    return str(answer.body.get("Payload") or "")


def _document(text: str) -> Doc:
    if not text:
        return Doc({}, "{}")
    try:
        value = loads(text)
    except ValueError:
        return Doc(text)
    return Doc(value)


def _check(answer: Answer, text: str, cause: str) -> None:
    """Fail with the function's own error name; AWS's words where it gave none."""
    if not answer.body.get("FunctionError"):
        return
    value = _document(text).value
    name = value.get("errorType") if isinstance(value, dict) else None
    if name in (None, "", "Runtime.ExitError", "Runtime.Unknown"):
        words = (
            "The cause could not be determined because Lambda did not return an error type. "
            f"Returned payload: {text}"
        )
        raise StateFailed("Lambda.Unknown", words)
    raise StateFailed(str(name), cause)
