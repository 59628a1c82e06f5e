"""The roles of a pipeline, each with the least it needs, derived from its definition and its parts.

Sources: Step Functions Developer Guide, "IAM policies for integrated services", "Using CloudWatch Logs",
"IAM policies for AWS X-Ray"; SageMaker Developer Guide, "SageMaker execution roles". Must not know
a pipeline by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.asl.states import walk
from mlops_kit.build.calls import calls
from mlops_kit.build.permissions import NAMING, itself, statements
from mlops_kit.build.policy import Statement, Tags, arn, attached, merged, prefixes, role, same_account
from mlops_kit.build.tokens import resolve, strings, table
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Function, GlueJob, Pipeline
from mlops_kit.settings import Settings

_IMAGE = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([a-z0-9._/-]+)[:@]")
_DELIVERY = (
    *("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery"),
    *("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups"),
)

# Actions for which ``*`` may stand as the resource, because AWS allows nothing narrower, and why.
STARRED = {
    "logs:*": "log delivery is set up for an account, not for a log group",
    "ec2:*": "Lambda puts interfaces into the subnets of a Kafka cluster, which only the cluster knows",
    "kafka:GetBootstrapBrokers": "AWS ties it to no cluster",
    "xray:*": "a trace belongs to no resource",
    "ecr:GetAuthorizationToken": "the token is the account's",
    "cloudwatch:*": "a metric is no resource; for jobs the condition narrows its namespace",
    "*:List*": "what lists everything of a kind has no resource of that kind",
    "sagemaker:Search": "it searches everything of a kind",
    "ssm:DescribeParameters": "it lists everything of a kind",
}
# What a policy linter says of these actions all the same, and why it stays.
LINTER_EXCEPTIONS = {
    "ec2:CreateNetworkInterface": "AWS's AWSLambdaMSKExecutionRole has it so, with DeleteNetworkInterface",
    "states:DescribeExecution": "it asks for an Express execution too, and those cannot be described",
}


def machine_statements(settings: Settings, pipeline: Pipeline) -> tuple[Statement, ...]:
    """What the state machine's role may do, statement by statement.

    Parameters
    ----------
    settings : Settings
        Gives the project, the prefix of names.
    pipeline : Pipeline
        Whose definition is read.

    Returns
    -------
    tuple of Statement
        Merged and sorted; the same definition gives the same statements.

    Raises
    ------
    UsageError
        A state uses an integration that the kit does not know, or a permission could only be granted
        too widely.
    """
    made = list(calls(pipeline.definition, settings.project, table(pipeline)))
    found = [needed for call in made for needed in statements(call)]
    if any(call.service == "athena" for call in made):
        found.extend(_queried(pipeline))
    if any(_distributed(place.state) for place in walk(pipeline.definition)):
        found.extend(itself(f"{settings.project}-{pipeline.name}"))
    found.extend(_assumed(pipeline))
    found.append(Statement("DeliverLogs", tuple(f"logs:{one}" for one in _DELIVERY), ("*",)))
    found.append(_trace("GetSamplingRules", "GetSamplingTargets"))
    return merged(_narrowed(found))


def _queried(pipeline: Pipeline) -> Iterator[Statement]:
    """Athena reads the data and writes the results as the role that asks."""
    yield from prefixes("${DataBucket}", (*pipeline.reads, *pipeline.writes), pipeline.writes)
    bucket = "arn:${AWS::Partition}:s3:::${DataBucket}"
    yield Statement("LocateBucket", ("s3:GetBucketLocation",), (bucket,))


def _narrowed(found: Sequence[Statement]) -> list[Statement]:
    """Statements in which a name that is only known at run time is one that the definition itself gives.

    An endpoint's new configuration is named in one state and used in the next by its path: where the first
    knows how names begin, the second may not have them all.
    """
    given = [resource for one in found for resource in one.resources if one.sid in NAMING]
    narrowed = []
    for one in found:
        resources = []
        for resource in one.resources:
            kind = resource.removesuffix("*")
            own = [other for other in given if other.startswith(kind) and other != resource]
            resources += own if resource.endswith("/*") and one.sid not in NAMING and own else [resource]
        narrowed.append(replace(one, resources=tuple(dict.fromkeys(resources))))
    return narrowed


def _distributed(state: Any) -> bool:
    processor = state.get("ItemProcessor") or {}
    return bool((processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED")


def _assumed(pipeline: Pipeline) -> Iterator[Statement]:
    """A Task with Credentials works as another role; only a literal ARN keeps that narrow."""
    for _, name, state in walk(pipeline.definition):
        if credentials := state.get("Credentials"):
            assumed = str(credentials.get("RoleArn", "")) if isinstance(credentials, Mapping) else ""
            if not assumed.startswith("arn:"):
                raise UsageError(
                    f"State {name!r}: the role in Credentials is only known at run time.",
                    cause="its permission would have to allow every role",
                    suggestion="write Credentials.RoleArn as an ARN.",
                )
            yield Statement("AssumeRoles", ("sts:AssumeRole",), (resolve(assumed, table(pipeline)),))


def _trace(*further: str) -> Statement:
    actions = ("PutTraceSegments", "PutTelemetryRecords", *further)
    return Statement("Trace", tuple(f"xray:{one}" for one in actions), ("*",))


def machine_role(settings: Settings, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """Role and policy of the state machine, as resources ``StateMachineRole`` and ``StateMachinePolicy``."""
    return {
        "StateMachineRole": role("states.amazonaws.com", tags, same_account()),
        "StateMachinePolicy": attached(
            "StateMachineRole", "WhatTheStatesCall", machine_statements(settings, pipeline)
        ),
    }


def function_role(function: Function, log_group: str, tags: Tags) -> dict[str, Any]:
    """Role and policy of a Lambda function: its own log group, traces, and what it names.

    Parameters
    ----------
    function : Function
    log_group : str
        Name of its log group, which the template makes.
    tags : list of dict
    """
    logs = Statement(
        "Log", ("logs:CreateLogStream", "logs:PutLogEvents"), (arn("logs", f"log-group:{log_group}:*"),)
    )
    needed = [logs, _trace(), *prefixes("${DataBucket}", function.reads, function.writes)]
    needed += [Statement(one.name, one.actions, one.resources, one.condition) for one in function.permissions]
    return _pair(f"{function.name}Function", "lambda.amazonaws.com", needed, tags)


def job_role(job: GlueJob, tags: Tags) -> dict[str, Any]:
    """Role and policy of a Glue job: its code, its logs, and the prefixes it names."""
    code = prefixes("${ArtifactBucket}", _code((job.script, *job.modules)), ())
    actions = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
    logs = Statement("Log", actions, (arn("logs", "log-group:/aws-glue/*"),))
    return _pair(
        f"{job.name}Job",
        "glue.amazonaws.com",
        [logs, *code, *prefixes("${DataBucket}", job.reads, job.writes)],
        tags,
    )


def sagemaker_role(pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """Role and policy of the pipeline's SageMaker jobs and models."""
    log_actions = ("CreateLogGroup", "CreateLogStream", "PutLogEvents", "DescribeLogStreams")
    namespace = (("StringLike", "cloudwatch:namespace", ("/aws/sagemaker/*", "aws/sagemaker/*")),)
    needed = [
        Statement(
            "Log", tuple(f"logs:{one}" for one in log_actions), (arn("logs", "log-group:/aws/sagemaker/*"),)
        ),
        Statement("Measure", ("cloudwatch:PutMetricData",), ("*",), namespace),
        *_images(pipeline),
        *prefixes("${ArtifactBucket}", _code(pipeline.artifacts), ()),
        *prefixes("${DataBucket}", pipeline.reads, pipeline.writes),
    ]
    return {
        "SageMakerRole": role("sagemaker.amazonaws.com", tags, same_account()),
        "SageMakerPolicy": attached("SageMakerRole", "WhatTheJobsTouch", needed),
    }


def _pair(name: str, service: str, needed: Iterable[Statement], tags: Tags) -> dict[str, Any]:
    return {
        f"{name}Role": role(service, tags),
        f"{name}Policy": attached(f"{name}Role", "WhatItTouches", needed),
    }


def _code(artifacts: Iterable[Artifact]) -> tuple[str, ...]:
    """Prefixes of the artifacts' keys; without digests, so that a running execution keeps its old code."""
    return tuple(f"code/{one.name}/" for one in artifacts)


def _images(pipeline: Pipeline) -> Iterator[Statement]:
    """Pulling the images that definition and schedules name, from the accounts that own them."""
    named = [pipeline.definition, *(one.input for one in pipeline.schedules)]
    found = {match for _, text in strings(named) for match in _IMAGE.findall(text)}
    if found:
        repositories = tuple(
            f"arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{name}"
            for account, region, name in sorted(found)
        )
        pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
        yield Statement("PullImages", pull, repositories)
        yield Statement("LogIntoRegistry", ("ecr:GetAuthorizationToken",), ("*",))
