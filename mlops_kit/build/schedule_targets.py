"""Whom a schedule calls: the ARN, what the call needs beside its input, what the role may do; no resources.

Sources: EventBridge Scheduler User Guide, "Using templated targets", "Using universal targets", "Setting up
the execution role".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.build.calls import Call
from mlops_kit.build.lint import models
from mlops_kit.build.permissions import statements
from mlops_kit.build.policy import Condition, Statement, arn
from mlops_kit.build.tokens import resolve, table
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import Target

_UNIVERSAL = re.compile(r"arn:(?:aws[a-z-]*|\$\{AWS::Partition\}):scheduler:::aws-sdk:[a-z0-9]+:[A-Za-z0-9]+")
# "Using universal targets": actions that only read are refused by how they begin.
_READS = re.compile(
    r"(get|describe|list|poll|receive|search|scan|query|select|read|lookup|discover|validate|batchGet|"
    r"batchDescribe|batchRead|transactGet|adminGet|adminList|testMigration|retrieve|testConnection|"
    r"translateDocument|isAuthorized|invokeModel)([A-Z]|$)"
)
_PSEUDO = re.compile(r"\$\{AWS::([A-Za-z]+)\}")
_ATTRIBUTE = re.compile(r"<aws\.scheduler\..*", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """A service that Scheduler calls by a template of its own.

    Attributes
    ----------
    label : str
        In logical ids.
    resource : str
        Pattern of the last part of its ARNs.
    action : str
        What Scheduler's role needs.
    member : str
        Of the target in CloudFormation, for what the call needs beside its input.
    required : tuple of str
        Of that member.
    input : bool
        Whether it takes an input.
    """

    label: str
    resource: str
    action: str
    member: str = ""
    required: tuple[str, ...] = ()
    input: bool = True


KINDS = {
    "states": Kind("StateMachine", r"stateMachine:.+", "states:StartExecution"),
    "lambda": Kind("Lambda", r"function:.+", "lambda:InvokeFunction"),
    "sagemaker": Kind(
        "SageMaker",
        r"pipeline/.+",
        "sagemaker:StartPipelineExecution",
        "SageMakerPipelineParameters",
        input=False,
    ),
    "ecs": Kind("Ecs", r"cluster/.+", "ecs:RunTask", "EcsParameters", ("TaskDefinitionArn",)),
    "events": Kind(
        "EventBus", r"event-bus/.+", "events:PutEvents", "EventBridgeParameters", ("DetailType", "Source")
    ),
    "sqs": Kind("Sqs", r"[^:/]+", "sqs:SendMessage", "SqsParameters"),
    "sns": Kind("Sns", r"[^:/]+", "sns:Publish"),
    "kinesis": Kind("Kinesis", r"stream/.+", "kinesis:PutRecord", "KinesisParameters", ("PartitionKey",)),
    "firehose": Kind("Firehose", r"deliverystream/.+", "firehose:PutRecord"),
    "codebuild": Kind("CodeBuild", r"project/.+", "codebuild:StartBuild"),
    "codepipeline": Kind("CodePipeline", r"[^:/]+", "codepipeline:StartPipelineExecution", input=False),
}

# Resources of a pipeline that a target may name by their logical id: service, and the ARN of one.
_RESOURCES = {
    "AWS::StepFunctions::StateMachine": ("states", "${%s}"),
    "AWS::Lambda::Function": ("lambda", "${%s.Arn}"),
    "AWS::Lambda::Alias": ("lambda", "${%s}"),
    "AWS::SageMaker::Pipeline": ("sagemaker", arn("sagemaker", "pipeline/${%s}")),
    "AWS::ECS::Cluster": ("ecs", "${%s.Arn}"),
    "AWS::Events::EventBus": ("events", "${%s.Arn}"),
    "AWS::SQS::Queue": ("sqs", "${%s.Arn}"),
    "AWS::SNS::Topic": ("sns", "${%s}"),
    "AWS::Kinesis::Stream": ("kinesis", "${%s.Arn}"),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", "${%s.Arn}"),
    "AWS::CodeBuild::Project": ("codebuild", "${%s.Arn}"),
    "AWS::CodePipeline::Pipeline": ("codepipeline", arn("codepipeline", "${%s}")),
}


@dataclass(frozen=True)
class Called:
    """A target, looked up.

    Attributes
    ----------
    label : str
        Of its kind, for logical ids: a role a kind.
    arn : str
        Text for ``Fn::Sub``.
    needs : tuple of Statement
        What Scheduler's role may do.
    input : bool
        Whether it takes an input.
    """

    label: str
    arn: str
    needs: tuple[Statement, ...]
    input: bool


def called(pipeline: Pipeline, project: str, name: str, target: Target, given: Mapping[str, Any]) -> Called:
    """Look a target up.

    Parameters
    ----------
    pipeline : Pipeline
        Whose functions and resources it may name.
    project : str
        Prefix of names.
    name : str
        Of the schedule, for the words of an error.
    target : Target
        Whom to call.
    given : mapping
        The call's input.

    Raises
    ------
    UsageError
        AWS would refuse the target, or what its role needs is not known.
    """
    if _UNIVERSAL.fullmatch(target.arn):
        return _universal(pipeline, project, name, target, given)
    service, text = _resource(pipeline, target.arn) or _foreign(pipeline, name, target.arn)
    kind = KINDS[service]
    _check_parameters(name, kind, text, target.parameters)
    if given and not kind.input:
        raise UsageError(
            f"The schedule {name!r} has an input, but its target takes none.",
            suggestion=f"give what it needs in Target.parameters[{kind.member!r}]."
            if kind.member
            else "leave it out.",
        )
    needs = (*_templated(pipeline, service, text, target), *_further(pipeline, service, target))
    return Called(kind.label, text, needs, kind.input)


def _resource(pipeline: Pipeline, text: str) -> tuple[str, str] | None:
    """Service and ARN of what a single token names."""
    match = re.fullmatch(r"\$\{([A-Za-z0-9]+)\}", text)
    if match is None:
        return None
    token = match[1]
    known = {f"{one.name}Function": ("lambda", f"${{{one.name}Function.Arn}}") for one in pipeline.functions}
    known |= {
        "StateMachine": ("states", "${StateMachine}"),
        "EventBus": ("events", arn("events", "event-bus/${EventBus}")),
        "RoutineTopic": ("sns", "${RoutineTopic}"),
        "CriticalTopic": ("sns", "${CriticalTopic}"),
    }
    if token in pipeline.resources:
        service, form = _RESOURCES.get(str(pipeline.resources[token]["Type"]), ("", ""))
        return (service, form.replace("%s", token)) if service else None
    return known.get(token)


def _foreign(pipeline: Pipeline, name: str, text: str) -> tuple[str, str]:
    resolved = resolve(text, table(pipeline))
    parts = _PSEUDO.sub(r"\1", resolved).split(":", 5)
    service = parts[2] if len(parts) == 6 else ""
    named = parts[0] == "arn" and service in KINDS and parts[3] and parts[4]
    if named and re.fullmatch(KINDS[service].resource, parts[5]):
        return service, resolved
    raise UsageError(
        f"The schedule {name!r} cannot call {text!r}.",
        cause="EventBridge Scheduler has no target of that form; API Gateway and HTTP are reached through an "
        "event bus and a rule",
        suggestion="name ${StateMachine}, ${<name>Function}, the logical id of a resource, the ARN of a "
        f"target in one of {', '.join(KINDS)}, or arn:aws:scheduler:::aws-sdk:<service>:<apiAction>.",
    )


def _check_parameters(name: str, kind: Kind | None, text: str, given: Mapping[str, Any]) -> None:
    member = kind.member if kind else ""
    for key in given:
        if key != member:
            raise UsageError(
                f"The schedule {name!r} gives its target {key!r}, which that does not take.",
                suggestion=f"it takes {member}." if member else "leave it out.",
            )
    needed = list(kind.required) if kind else []
    if kind and kind.label == "Sqs" and text.endswith(".fifo"):
        needed.append("MessageGroupId")
    for required in needed:
        if required not in given.get(member, {}):
            raise UsageError(
                f"The schedule {name!r} does not say {required} to its target.",
                suggestion=f"give Target.parameters[{member!r}][{required!r}].",
            )


def _templated(pipeline: Pipeline, service: str, text: str, target: Target) -> Iterator[Statement]:
    if service != "ecs":
        yield Statement("Call", (KINDS[service].action,), (text,))
        return
    task = resolve(str(target.parameters["EcsParameters"]["TaskDefinitionArn"]), table(pipeline))
    # Without a revision the newest is run, and IAM may be asked for either form.
    whole = "${" in task.rpartition("/")[2] or re.search(r":\d+$", task)
    in_cluster = (("ArnEquals", "ecs:cluster", (text,)),)
    yield Statement("Call", ("ecs:RunTask",), (task,) if whole else (task, f"{task}:*"), in_cluster)
    definition = pipeline.resources.get(task.strip("${}"), {}).get("Properties", {})
    roles = tuple(
        _as_text(definition[one]) for one in ("ExecutionRoleArn", "TaskRoleArn") if one in definition
    )
    if roles:
        yield Statement("PassRoles", ("iam:PassRole",), roles, _passed_to("ecs"))


def _as_text(value: Any) -> str:
    """A role's ARN in a template as text for ``Fn::Sub``."""
    if isinstance(value, Mapping):
        if "Fn::GetAtt" in value:
            return f"${{{'.'.join(value['Fn::GetAtt'])}}}"
        return f"${{{value['Ref']}}}" if "Ref" in value else str(value["Fn::Sub"])
    return str(value)


def _passed_to(service: str) -> Condition:
    host = "ecs-tasks" if service == "ecs" else service
    return (("StringEquals", "iam:PassedToService", (f"{host}.amazonaws.com",)),)


def _further(pipeline: Pipeline, service: str, target: Target) -> Iterator[Statement]:
    """What the target says that its role needs; a role is passed to the target's own service only."""
    for one in target.permissions:
        condition = _passed_to(service) if one.actions == ("iam:PassRole",) else ()
        resources = tuple(resolve(text, table(pipeline)) for text in one.resources)
        yield Statement(one.name, one.actions, resources, condition)


def _universal(
    pipeline: Pipeline, project: str, name: str, target: Target, given: Mapping[str, Any]
) -> Called:
    service, action = target.arn.partition(":aws-sdk:")[2].split(":")
    _check_action(name, service, action)
    _check_parameters(name, None, target.arn, target.parameters)
    prefix = {"sfn": "states", "eventbridge": "events"}.get(service, service)
    needs = tuple(_further(pipeline, prefix, target))
    if not needs:
        call = Call(name, f"aws-sdk:{service}", action, "", _known(given), project, table(pipeline))
        needs = _derived(name, call)
    label = KINDS[prefix].label if prefix in KINDS else prefix.capitalize()
    return Called(label, target.arn, needs, input=True)


def _check_action(name: str, service: str, action: str) -> None:
    folder = models.sdk_services().get(service)
    if folder is None:
        raise UsageError(
            f"The schedule {name!r} calls the service {service!r}, which AWS's SDKs do not have.",
            suggestion="write it as in arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob.",
        )
    if action not in models.actions(folder):
        raise UsageError(
            f"The schedule {name!r} calls {action!r}, which the service {service!r} does not have."
        )
    if _READS.match(action):
        raise UsageError(
            f"The schedule {name!r} calls {service}:{action}; Scheduler calls no action that only reads.",
            suggestion="let it start a state machine or a function that reads.",
        )


def _known(value: Any) -> Any:
    """An input of which only what is known before the call is left: a context attribute is anything."""
    if isinstance(value, Mapping):
        return {key: _known(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_known(inner) for inner in value]
    return _ATTRIBUTE.sub("*", value) if isinstance(value, str) else value


def _derived(name: str, call: Call) -> tuple[Statement, ...]:
    try:
        return tuple(statements(call))
    except UsageError as error:
        raise UsageError(
            f"The schedule {name!r} calls {call.integration}, and what its role needs cannot be derived.",
            cause=error.message.replace("State ", "Schedule ", 1),
            suggestion="give Target(..., permissions=(kit.Permission(name, actions, resources),)).",
        ) from None
