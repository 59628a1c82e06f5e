"""One CloudFormation template per pipeline, a pure function of settings and pipeline; calls nothing.

Sources: CloudFormation Template Reference, the page of each resource; Glue Developer Guide, "Configuring
job properties for Python shell jobs"; Step Functions Developer Guide, "Using CloudWatch Logs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.asl.definition import validate
from mlops_kit.build import drift_rules, events, iam, kafka, schedules
from mlops_kit.build.foundation import TAG_PIPELINE, TAG_PROJECT, check_project, foundation
from mlops_kit.build.policy import names
from mlops_kit.build.tokens import (
    PSEUDO_PARAMETERS,
    SAGEMAKER_ROLE,
    place,
    resolve,
    strings,
    sub,
    substitution_key,
    table,
    used,
    without_colons,
)
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import FOUNDATION_TOKENS, Function, GlueJob, Pipeline, Stack
from mlops_kit.settings import Settings

__all__ = ["build", "foundation"]

LAMBDA_RUNTIME = "python3.13"
STATE_MACHINE = "StateMachine"
RETENTION_DAYS = 90
DEFINITION_LIMIT = 1_048_576  # bytes; Step Functions Developer Guide, "Quotas"
_PARAMETERS = {
    "ArtifactBucket": "Bucket of code",
    "DataBucket": "Bucket of data and models",
    "LockTable": "Table of claims: one retraining per model and window",
    "EventBus": "Bus of the project's events",
    "RoutineTopic": "Topic for routine news",
    "CriticalTopic": "Topic for what a person must see",
}
# S3 User Guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"s3://(?!\$\{|\{)([^/'\"\s]*)")
_BUCKET_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]")


def build(settings: Settings, pipeline: Pipeline) -> Stack:
    """The stack of a pipeline: state machine, functions, jobs, schedules, their roles and log groups.

    Parameters
    ----------
    settings : Settings
        Gives the project; the region and the account come from where the stack is created.
    pipeline : Pipeline
        The definition may be one from the SDK or one from Workflow Studio.

    Returns
    -------
    Stack
        Named ``<project>-<pipeline>``; its parameters are those outputs of the foundation stack that it uses.

    Raises
    ------
    UsageError
        AWS would refuse a name, a token or an integration is unknown, or a trigger cannot be used.
    """
    name = f"{settings.project}-{pipeline.name}"
    pipeline = kafka.with_functions(pipeline)
    _check(settings, pipeline, name)
    tags = {TAG_PROJECT: settings.project, TAG_PIPELINE: pipeline.name}
    resources: dict[str, Any] = {logical: dict(one) for logical, one in pipeline.resources.items()}
    tokens = (*FOUNDATION_TOKENS, *PSEUDO_PARAMETERS, *pipeline.resources, STATE_MACHINE)
    tokens += tuple(kafka.queue(one) for one in pipeline.kafka)
    for function in pipeline.functions:
        resources |= _function(name, function, tokens, tags)
    for job in pipeline.jobs:
        resources |= _job(name, job, tokens, tags)
    if SAGEMAKER_ROLE in (*used(pipeline.definition, table(pipeline)), *schedules.tokens(pipeline)):
        resources |= iam.sagemaker_role(pipeline, names(tags))
    resources |= _state_machine(settings, pipeline, name, tags)
    resources |= events.resources(name, pipeline)
    resources |= schedules.resources(settings.project, pipeline, names(tags))
    resources |= drift_rules.resources(name, pipeline, names(tags))
    resources |= kafka.resources(name, pipeline, names(tags))
    parameters = tuple(token for token in FOUNDATION_TOKENS if _refers(resources, token))
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": pipeline.description,
        "Parameters": {one: {"Type": "String", "Description": _PARAMETERS[one]} for one in parameters},
        "Resources": resources,
        "Outputs": _outputs(name, pipeline),
    }
    return Stack(name, template, parameters, _artifacts(pipeline), pipeline.data)


def _check(settings: Settings, pipeline: Pipeline, name: str) -> None:
    check_project(settings.project)
    if not re.fullmatch(r"[a-z][a-z0-9-]*", pipeline.name) or pipeline.name == "foundation":
        raise UsageError(
            f"{pipeline.name!r} cannot be a pipeline's name.",
            suggestion="use a-z, 0-9 and '-', beginning with a letter; 'foundation' is taken.",
        )
    parts = [one.name for one in pipeline.functions] + [one.name for one in pipeline.jobs]
    parts += [one.name for one in pipeline.rules]
    for part in parts:
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", part):
            raise UsageError(
                f"{part!r} cannot be the name of a function, a job or a rule.",
                suggestion="begin with a capital, then letters and digits, such as 'Evaluate'.",
            )
        if parts.count(part) > 1:
            raise UsageError(f"Two parts of the pipeline {pipeline.name!r} are named {part!r}.")
    longest = max([name, *(f"{name}-{part}" for part in parts), f"{name}-{len(pipeline.schedules)}"], key=len)
    if len(longest) > 64:
        raise UsageError(
            f"{longest!r} has {len(longest)} characters; a function's or a schedule's name takes 64.",
            suggestion="shorten the name of the project, of the pipeline, or of the part.",
        )
    _check_resources(pipeline)
    _check_definition(pipeline)
    _check_role(pipeline.definition, name)
    _check_buckets(pipeline.definition)


def _check_resources(pipeline: Pipeline) -> None:
    for logical, resource in pipeline.resources.items():
        if not re.fullmatch(r"[A-Za-z0-9]{1,255}", logical) or "Type" not in resource:
            raise UsageError(
                f"The pipeline {pipeline.name!r} has a resource {logical!r} CloudFormation would refuse.",
                suggestion="name it by letters and digits, and give it a Type and its Properties.",
            )


def _check_definition(pipeline: Pipeline) -> None:
    """CreateStateMachine would refuse a malformed definition in the middle of a deployment."""
    found = [one for one in validate(pipeline.definition, tokens=True) if one.severity == "ERROR"]
    if found:
        raise UsageError(
            f"Step Functions would refuse the definition of {pipeline.name!r}.",
            cause="; ".join(f"{one.message} at {one.location}" for one in found[:3]),
            suggestion="lint the pipeline: it says where and how to mend each finding.",
        )


def _check_role(definition: Mapping[str, Any], name: str) -> None:
    """A stack makes its SageMaker role for the token: one that is named would be removed, or is gone."""
    for path, text in strings(definition):
        if f":role/{name}-{SAGEMAKER_ROLE}-" in text:
            raise UsageError(
                f"{place(path)}: {text!r} is the role that {name} makes for ${{{SAGEMAKER_ROLE}}}.",
                cause="the definition was exported from AWS and names what stood there then",
                suggestion=f"write ${{{SAGEMAKER_ROLE}}} in its place, and tokens for the other names, too.",
            )


def _check_buckets(definition: Mapping[str, Any]) -> None:
    for path, text in strings(definition):
        for bucket in _BUCKET.findall(text):
            if not _BUCKET_NAME.fullmatch(bucket):
                raise UsageError(
                    f"{place(path)}: AWS would refuse the bucket name {bucket!r}.",
                    suggestion="use ${DataBucket}, or 3 to 63 of a-z, 0-9, '.' and '-'.",
                )


def _state_machine(
    settings: Settings, pipeline: Pipeline, name: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    known = table(pipeline)
    text = without_colons(json.dumps(pipeline.definition, indent=2, ensure_ascii=False))
    if (size := len(text.encode())) > DEFINITION_LIMIT:
        raise UsageError(
            f"The definition of {pipeline.name!r} has {size:,} bytes; AWS takes {DEFINITION_LIMIT:,}.",
            suggestion="move a part of it into a nested state machine.",
        )
    properties: dict[str, Any] = {
        "StateMachineName": name,
        "StateMachineType": "STANDARD",
        "DefinitionString": text,
        "RoleArn": {"Fn::GetAtt": ["StateMachineRole", "Arn"]},
        "LoggingConfiguration": {
            "Level": "ALL",
            "IncludeExecutionData": True,
            "Destinations": [
                {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["StateMachineLogs", "Arn"]}}}
            ],
        },
        "TracingConfiguration": {"Enabled": True},
        "Tags": names(tags),
    }
    if tokens := used(pipeline.definition, known):
        properties["DefinitionSubstitutions"] = {
            substitution_key(token): sub(known[token]) for token in tokens
        }
    return {
        # The prefix keeps log delivery clear of the size limit of the account's resource policy.
        "StateMachineLogs": _log_group(f"/aws/vendedlogs/states/{name}", tags),
        **iam.machine_role(settings, pipeline, names(tags)),
        # CreateStateMachine is refused while the role cannot make its managed rules.
        "StateMachine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "DependsOn": "StateMachinePolicy",
            "Properties": properties,
        },
    }


def _log_group(name: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"LogGroupName": name, "RetentionInDays": RETENTION_DAYS, "Tags": names(tags)},
    }


def _function(
    stack: str, function: Function, tokens: Iterable[str], tags: Mapping[str, str]
) -> dict[str, Any]:
    logical, name = f"{function.name}Function", f"{stack}-{function.name}"
    properties: dict[str, Any] = {
        "FunctionName": name,
        "Runtime": LAMBDA_RUNTIME,
        "Handler": function.handler,
        "Code": {"S3Bucket": {"Ref": "ArtifactBucket"}, "S3Key": function.code.key},
        "Role": {"Fn::GetAtt": [f"{logical}Role", "Arn"]},
        "Timeout": function.timeout,
        "MemorySize": function.memory,
        "TracingConfig": {"Mode": "Active"},
        "Tags": names(tags),
    }
    if function.environment:
        variables = _texts(function.environment, tokens, f"function {function.name!r}, environment ")
        properties["Environment"] = {"Variables": variables}
    return {
        f"{logical}Logs": _log_group(f"/aws/lambda/{name}", tags),
        **iam.function_role(function, f"/aws/lambda/{name}", names(tags)),
        logical: {
            "Type": "AWS::Lambda::Function",
            "DependsOn": [f"{logical}Logs", f"{logical}Policy"],
            "Properties": properties,
        },
    }


def _texts(values: Mapping[str, str], tokens: Iterable[str], where: str) -> dict[str, Any]:
    """Values with their tokens resolved, each to what ``Ref`` gives."""
    known = {token: f"${{{token}}}" for token in tokens}
    used(values, known, where)
    return {key: sub(resolve(value, known)) for key, value in values.items()}


def _job(stack: str, job: GlueJob, tokens: Iterable[str], tags: Mapping[str, str]) -> dict[str, Any]:
    logical = f"{job.name}Job"
    arguments: dict[str, Any] = {"library-set": "analytics"}
    if job.modules:
        files = ",".join(f"s3://${{ArtifactBucket}}/{module.key}" for module in job.modules)
        arguments["--extra-py-files"] = sub(files)
    arguments |= _texts(job.arguments, tokens, f"job {job.name!r}, argument ")
    return {
        **iam.job_role(job, names(tags)),
        logical: {
            "Type": "AWS::Glue::Job",
            "DependsOn": f"{logical}Policy",
            "Properties": {
                "Name": f"{stack}-{job.name}",
                "Role": {"Fn::GetAtt": [f"{logical}Role", "Arn"]},
                "Command": {
                    "Name": "pythonshell",
                    "PythonVersion": "3.9",
                    "ScriptLocation": sub(f"s3://${{ArtifactBucket}}/{job.script.key}"),
                },
                "DefaultArguments": arguments,
                "MaxCapacity": job.max_capacity,
                "MaxRetries": 0,  # the state machine retries, and shows it
                "Timeout": job.timeout,
                # Windows of several models, and a retry beside a run that is still stopping.
                "ExecutionProperty": {"MaxConcurrentRuns": 5},
                "Tags": dict(tags),
            },
        },
    }


def _refers(value: Any, name: str) -> bool:
    """Whether a template's part refers to a parameter, by Ref or within Fn::Sub."""
    if isinstance(value, Mapping):
        if value.get("Ref") == name or f"${{{name}}}" in str(value.get("Fn::Sub", "")):
            return True
        return any(_refers(inner, name) for inner in value.values())
    return isinstance(value, list) and any(_refers(inner, name) for inner in value)


def _outputs(name: str, pipeline: Pipeline) -> dict[str, Any]:
    console = (
        "https://${AWS::Region}.console.aws.amazon.com/states/home?region=${AWS::Region}"
        "#/statemachines/view/${StateMachine}"
    )
    found: dict[str, Any] = {
        "StateMachineArn": {"Value": {"Ref": "StateMachine"}},
        "Console": {"Value": {"Fn::Sub": console}},
        "LogGroup": {"Value": {"Ref": "StateMachineLogs"}},
    }
    for function in pipeline.functions:
        found[f"{function.name}FunctionName"] = {"Value": {"Ref": f"{function.name}Function"}}
    for job in pipeline.jobs:
        found[f"{job.name}JobName"] = {"Value": {"Ref": f"{job.name}Job"}}
    return found


def _artifacts(pipeline: Pipeline) -> tuple[Artifact, ...]:
    """Everything to upload, once per key, in the order in which the pipeline names it."""
    parts: Iterable[Artifact] = (
        *(function.code for function in pipeline.functions),
        *(one for job in pipeline.jobs for one in (job.script, *job.modules)),
        *pipeline.artifacts,
    )
    return tuple({one.key: one for one in parts}.values())
