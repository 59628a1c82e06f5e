"""How Scheduler calls each kind of target: one API request from a target and its payload; decides no retry.

Sources: EventBridge Scheduler User Guide, "Using templated targets", "Using universal targets", "Adding
context attributes".
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_kit.local.scheduler.book import Invocation
from mlops_kit.local.service import ACCOUNT, Context
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import convert, names

LARGEST = 262_144  # bytes of a payload

_THROTTLES = re.compile(r"Throttl|TooManyRequests|RequestLimitExceeded|ThroughputExceeded|SlowDown")
_THERE = "ExecutionAlreadyExists"  # an execution of this invocation's name: our attempt before a kill


class TargetRefused(Exception):
    """The target did not take an invocation.

    Parameters
    ----------
    code, message : str
        As the target says it.
    passing : bool
        Whether trying again may help.
    """

    def __init__(self, code: str, message: str, passing: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.passing = passing

    @property
    def throttled(self) -> bool:
        """Whether the target had too much to do."""
        return _THROTTLES.search(self.code) is not None


@dataclass(frozen=True)
class _Event:
    """What a request is made of."""

    context: Context
    invocation: Invocation
    target: Mapping[str, Any]
    payload: str

    @property
    def name(self) -> str:
        """Last part of the target's ARN."""
        return re.split("[/:]", self.target["Arn"])[-1]

    def given(self, member: str) -> dict[str, Any]:
        """Parameters of a templated target."""
        return dict(self.target.get(member) or {})


_Params = dict[str, Any]


@dataclass(frozen=True)
class _Templated:
    """One templated target.

    Attributes
    ----------
    arn : re.Pattern
        The last part of ARNs that it takes.
    service, operation : str
        In botocore's names.
    params : callable
        Parameters of the call.
    """

    arn: re.Pattern[str]
    service: str
    operation: str
    params: Callable[[_Event], _Params]


def payload(invocation: Invocation) -> str:
    """What the target is handed: its Input with the context attributes, or AWS's own notification."""
    when = datetime.fromtimestamp(invocation.scheduled, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = invocation.target.get("Input")
    if text is None:
        return _notification(invocation, when)
    attributes = {
        "schedule-arn": invocation.key.arn,
        "scheduled-time": when,
        "execution-id": invocation.id,
        "attempt-number": str(invocation.failures + 1),
    }
    return re.sub(r"<aws\.scheduler\.([a-z-]+)>", lambda m: attributes.get(m[1], m[0]), text)


def _notification(invocation: Invocation, when: str) -> str:
    if invocation.target["Arn"].split(":")[2] in ("ecs", "scheduler", "codebuild"):
        return "{}"
    event = {
        "version": "0",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, invocation.id)),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": when,
        "region": invocation.key.region,
        "resources": [invocation.key.arn],
        "detail": "{}",
    }
    return json.dumps(event)


def deliver(context: Context, invocation: Invocation) -> None:
    """Invoke the target once, in its role's name.

    Raises
    ------
    TargetRefused
        It did not take it.
    """
    text, arn = payload(invocation), invocation.target["Arn"]
    if (size := len(text.encode())) > LARGEST:
        words = f"The payload has {size} bytes; EventBridge Scheduler delivers at most {LARGEST}."
        raise TargetRefused("ValidationException", words, passing=False)
    region = arn.split(":")[3] or invocation.key.region
    acting = context.within(region).acting(invocation.target["RoleArn"], invocation.id)
    event = _Event(acting, invocation, invocation.target, text)
    if ":aws-sdk:" in arn:
        service, operation, params = _universal_call(event)
    else:
        kind = TEMPLATED[arn.split(":")[2]]
        service, operation, params = kind.service, kind.operation, kind.params(event)
    answer = _call(acting, service, operation, params)
    if answer.get("FailedEntryCount"):
        entry = next(entry for entry in answer["Entries"] if entry.get("ErrorCode"))
        raise TargetRefused(entry["ErrorCode"], entry.get("ErrorMessage", ""), passing=False)
    if answer.get("failures"):
        raise TargetRefused("ECS.TaskFailedToStart", str(answer["failures"][0].get("reason")), passing=True)


def universal(service: str, action: str) -> str | None:
    """botocore's operation of a universal target; empty: no such action, None: no such service."""
    known = names.botocore_service(service, sdk=True)
    if known is None:
        return None
    operation = names.operation(known, action)
    return operation.name if operation is not None else ""


def _universal_call(event: _Event) -> tuple[str, str, _Params]:
    service, _, action = event.target["Arn"].partition(":aws-sdk:")[2].partition(":")
    known = names.botocore_service(service, sdk=True) or ""
    operation = names.operation(known, action)
    if operation is None:  # refused when the schedule was made
        raise TargetRefused("ValidationException", f"{service} has no {action}.", passing=False)
    try:
        given = {names.pascal(key): value for key, value in json.loads(event.payload).items()}
        params = convert.arguments(operation.input_shape, given) if operation.input_shape else {}
    except ValueError as error:
        raise TargetRefused("ValidationException", f"Input is no JSON: {error}.", passing=False) from None
    except StateFailed as error:
        raise TargetRefused("ValidationException", str(error.cause), passing=False) from None
    return known, operation.name, params


def _call(context: Context, service: str, operation: str, params: _Params) -> Mapping[str, Any]:
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        answer: Mapping[str, Any] = context.client(service)._make_api_call(operation, params)
        return answer
    except ParamValidationError as error:
        raise TargetRefused("ValidationException", str(error), passing=False) from None
    except ClientError as error:
        told = error.response.get("Error", {})
        code, words = str(told.get("Code", "")), str(told.get("Message", ""))
        if code == _THERE:
            return {}
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        passing = status >= 500 or status == 429 or _THROTTLES.search(code) is not None
        raise TargetRefused(code, words, passing) from None
    except BotoCoreError as error:
        raise TargetRefused("SdkClientException", str(error), passing=True) from None


def _machine(event: _Event) -> _Params:
    named = {"stateMachineArn": event.target["Arn"], "name": event.invocation.id}
    return named | {"input": event.payload}


def _pipeline(event: _Event) -> _Params:
    listed = event.given("SageMakerPipelineParameters").get("PipelineParameterList", [])
    token = event.invocation.id * 2  # SageMaker wants 32 characters
    return {"PipelineName": event.name, "PipelineParameters": listed, "ClientRequestToken": token}


def _task(event: _Event) -> _Params:
    lower = {name[:1].lower() + name[1:]: value for name, value in event.given("EcsParameters").items()}
    lower["taskDefinition"] = lower.pop("taskDefinitionArn")
    lower["enableECSManagedTags"] = lower.pop("enableECSManagedTags", False)
    if "taskCount" in lower:
        lower["count"] = lower.pop("taskCount")
    if "tags" in lower:
        lower["tags"] = [{"key": k, "value": v} for tag in lower["tags"] for k, v in tag.items()]
    overrides = json.loads(event.payload)
    if overrides:
        lower["overrides"] = overrides
    return {"cluster": event.target["Arn"], "clientToken": event.invocation.id, **lower}


def _bus(event: _Event) -> _Params:
    given = event.given("EventBridgeParameters")
    entry = {**given, "Detail": event.payload, "EventBusName": event.target["Arn"]}
    return {"Entries": [entry | {"Time": datetime.fromtimestamp(event.invocation.scheduled, UTC)}]}


def _queue(event: _Event) -> _Params:
    group = event.given("SqsParameters").get("MessageGroupId")
    params = {"QueueUrl": f"{event.context.url}/{ACCOUNT}/{event.name}", "MessageBody": event.payload}
    if group:
        params |= {"MessageGroupId": group, "MessageDeduplicationId": event.invocation.id}
    return params


def _record(event: _Event) -> _Params:
    given = event.given("KinesisParameters")
    return {"StreamARN": event.target["Arn"], "Data": event.payload.encode(), **given}


TEMPLATED: Mapping[str, _Templated] = {
    "lambda": _Templated(
        re.compile(r"function:.+"),
        "lambda",
        "Invoke",
        lambda e: {
            "FunctionName": e.target["Arn"],
            "InvocationType": "Event",
            "Payload": e.payload.encode(),
        },
    ),
    "states": _Templated(re.compile(r"stateMachine:.+"), "stepfunctions", "StartExecution", _machine),
    "sagemaker": _Templated(re.compile(r"pipeline/.+"), "sagemaker", "StartPipelineExecution", _pipeline),
    "ecs": _Templated(re.compile(r"cluster/.+"), "ecs", "RunTask", _task),
    "events": _Templated(re.compile(r"event-bus/.+"), "events", "PutEvents", _bus),
    "sqs": _Templated(re.compile(r"[^/:]+"), "sqs", "SendMessage", _queue),
    "sns": _Templated(
        re.compile(r"[^/:]+"),
        "sns",
        "Publish",
        lambda e: {"TopicArn": e.target["Arn"], "Message": e.payload},
    ),
    "kinesis": _Templated(re.compile(r"stream/.+"), "kinesis", "PutRecord", _record),
    "firehose": _Templated(
        re.compile(r"deliverystream/.+"),
        "firehose",
        "PutRecord",
        lambda e: {"DeliveryStreamName": e.name, "Record": {"Data": e.payload.encode()}},
    ),
    "codebuild": _Templated(
        re.compile(r"project/.+"),
        "codebuild",
        "StartBuild",
        lambda e: {"projectName": e.name, **json.loads(e.payload)},
    ),
    "codepipeline": _Templated(
        re.compile(r"[^/:]+"), "codepipeline", "StartPipelineExecution", lambda e: {"name": e.name}
    ),
    "inspector": _Templated(
        re.compile(r"target/.+/template/.+"),
        "inspector",
        "StartAssessmentRun",
        lambda e: {"assessmentTemplateArn": e.target["Arn"]},
    ),
}
