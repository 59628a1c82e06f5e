"""What each service integration needs of IAM, one rule an integration; raises on one that it does not know.

Sources: Step Functions Developer Guide, "IAM policies for integrated services" and the page of each
service there; Service Authorization Reference for the resources that an action takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from mlops_kit.build.calls import ANY, Call
from mlops_kit.build.permissions_sdk import SERVICES, sdk
from mlops_kit.build.policy import Statement, arn
from mlops_kit.errors import UsageError

Rule = Callable[[Call], Iterator[Statement]]

JOBS = {
    # action: (noun of the API, resource type, managed rule)
    "createTrainingJob": ("TrainingJob", "training-job", "SageMakerTrainingJobs"),
    "createProcessingJob": ("ProcessingJob", "processing-job", "SageMakerProcessingJobs"),
    "createTransformJob": ("TransformJob", "transform-job", "SageMakerTransformJobs"),
    "createHyperParameterTuningJob": (
        "HyperParameterTuningJob",
        "hyper-parameter-tuning-job",
        "SageMakerTuningJobs",
    ),
}

# Purposes under which a definition gives names of its own.
NAMING = (*(f"{noun}s" for noun, _, _ in JOBS.values()), "Models", "EndpointConfigs")


def statements(call: Call) -> Iterator[Statement]:
    """Everything that the execution's role needs for one call.

    Raises
    ------
    UsageError
        The integration is not in the table, or a permission could only be granted too widely.
    """
    service, action = call.service.removeprefix("aws-sdk:"), call.action
    optimised = RULES.get(f"{service}:{action}")
    if optimised and (service != "s3" or not call.service.startswith("aws-sdk:")):
        yield from optimised(call)
    elif call.service.startswith("aws-sdk:"):
        yield from sdk(call)
    else:
        raise UsageError(
            f"State {call.state!r}: the kit knows no permissions for the integration {call.integration!r}.",
            suggestion=f"use one of {', '.join(sorted(RULES))}; or aws-sdk: with {', '.join(SERVICES)}.",
        )


def _named(call: Call, member: str, service: str, kind: str, ours: bool = False) -> str:
    """ARN of what a member names; what is only known at run time stays within its kind.

    ``ours`` says that the kit's own names begin with the project, so that even then it is no bare ``*``.
    """
    text = call.text(member) or ANY
    if text.startswith("arn:") or text.endswith((".Arn}", "Topic}")):
        return text
    return arn(service, kind + (f"{call.project}-*" if ours and text == ANY else text))


def _managed_rule(name: str) -> Statement:
    """Step Functions hears of a job's end by a rule that it makes itself."""
    rule = arn("events", f"rule/StepFunctionsGetEventsFor{name}Rule")
    return Statement("ManagedRules", ("events:PutTargets", "events:PutRule", "events:DescribeRule"), (rule,))


def _pass_roles(call: Call, service: str) -> Iterator[Statement]:
    if roles := call.roles():
        passed = (("StringEquals", "iam:PassedToService", (service,)),)
        yield Statement("PassRoles", ("iam:PassRole",), roles, passed)


def _job(noun: str, kind: str, rule: str, call: Call) -> Iterator[Statement]:
    # AddTags although no page names it: Step Functions tags each job it waits for (MANAGED_BY_AWS).
    verbs = ("Create", "Describe", "Stop") if call.waits else ("Create",)
    actions = (*(f"sagemaker:{verb}{noun}" for verb in verbs), "sagemaker:AddTags")
    if call.waits:
        actions += ("sagemaker:ListTags",)
        yield _managed_rule(rule)
    yield Statement(f"{noun}s", actions, (_named(call, f"{noun}Name", "sagemaker", f"{kind}/"),))
    yield from _pass_roles(call, "sagemaker.amazonaws.com")


def _model(call: Call) -> Iterator[Statement]:
    model = _named(call, "ModelName", "sagemaker", "model/")
    yield Statement("Models", ("sagemaker:CreateModel", "sagemaker:AddTags"), (model,))
    yield from _pass_roles(call, "sagemaker.amazonaws.com")


def _endpoint_config(call: Call) -> Iterator[Statement]:
    config = _named(call, "EndpointConfigName", "sagemaker", "endpoint-config/")
    yield Statement("EndpointConfigs", ("sagemaker:CreateEndpointConfig", "sagemaker:AddTags"), (config,))
    yield from _pass_roles(call, "sagemaker.amazonaws.com")


def _endpoint(call: Call) -> Iterator[Statement]:
    endpoint = _named(call, "EndpointName", "sagemaker", "endpoint/", ours=True)
    config = _named(call, "EndpointConfigName", "sagemaker", "endpoint-config/")
    action = f"sagemaker:{call.action[0].upper()}{call.action[1:]}"
    yield Statement("Endpoints", (action,), (endpoint, config))
    if call.action == "createEndpoint":
        yield Statement("EndpointTags", ("sagemaker:AddTags",), (endpoint,))


def _function(call: Call) -> Iterator[Statement]:
    function = _named(call, "FunctionName", "lambda", "function:", ours=True)
    yield Statement("Functions", ("lambda:InvokeFunction",), (function, f"{function}:*"))


def _glue(call: Call) -> Iterator[Statement]:
    verbs = ("StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun") if call.waits else ("StartJobRun",)
    actions = tuple(f"glue:{verb}" for verb in verbs)
    yield Statement("GlueJobs", actions, (_named(call, "JobName", "glue", "job/", ours=True),))


def _partition(call: Call) -> Iterator[Statement]:
    database = call.required("DatabaseName", "permission for any database would reach other people's tables")
    table = call.required("TableName", "permission for any table would reach other people's partitions")
    action = f"glue:{call.action[0].upper()}{call.action[1:]}"
    yield Statement("Partitions", (action,), _catalog(database, table))


def _query(call: Call) -> Iterator[Statement]:
    """Running a query; its data and results lie under the pipeline's prefixes, which iam.py grants."""
    context = call.arguments.get("QueryExecutionContext") if isinstance(call.arguments, Mapping) else None
    database = context.get("Database") if isinstance(context, Mapping) else None
    if not isinstance(database, str) or database.startswith("{%"):
        raise UsageError(
            f"State {call.state!r} queries a database that is only known at run time.",
            suggestion="write QueryExecutionContext.Database as text.",
        )
    verbs = ("StartQueryExecution", "GetQueryExecution", "StopQueryExecution")
    actions = tuple(f"athena:{verb}" for verb in (verbs if call.waits else verbs[:1]))
    group = call.text("WorkGroup") or "primary"
    yield Statement("Queries", actions, (arn("athena", f"workgroup/{group}"),))
    yield Statement(
        "DataCatalogs", ("athena:GetDataCatalog",), (arn("athena", "datacatalog/AwsDataCatalog"),)
    )
    read = ("GetDatabase", "GetPartition", "GetPartitions", "GetTable", "GetTables")
    yield Statement("Tables", tuple(f"glue:{verb}" for verb in read), _catalog(database, "*"))


def _catalog(database: str, table: str) -> tuple[str, ...]:
    """Glue asks for the catalog and the database of a table too."""
    return tuple(arn("glue", one) for one in ("catalog", f"database/{database}", f"table/{database}/{table}"))


def _item(call: Call) -> Iterator[Statement]:
    action = f"dynamodb:{call.action[0].upper()}{call.action[1:]}"
    yield Statement("Items", (action,), (_named(call, "TableName", "dynamodb", "table/"),))


def _topic(call: Call) -> Iterator[Statement]:
    topic = call.required("TopicArn", "permission to publish to any topic is permission to page anybody")
    yield Statement("Topics", ("sns:Publish",), (topic,))


def _queue(call: Call) -> Iterator[Statement]:
    url = call.required("QueueUrl", "permission to send to any queue reaches other people's systems")
    yield Statement("Queues", ("sqs:SendMessage",), (_queue_arn(url),))


def _queue_arn(url: str) -> str:
    """A queue of the template is known by its logical id, whose ``Ref`` is the URL; another by its URL."""
    if logical := re.fullmatch(r"\$\{(\w+)\}", url):
        return f"${{{logical[1]}.Arn}}"
    return arn("sqs", url.rstrip("/").rpartition("/")[2])


def _events(call: Call) -> Iterator[Statement]:
    entries = call.arguments.get("Entries", []) if isinstance(call.arguments, Mapping) else []
    if not isinstance(entries, list) or not entries or not all(isinstance(one, Mapping) for one in entries):
        raise UsageError(
            f"State {call.state!r} calls events:putEvents with Entries that are only known at run time.",
            suggestion="write Entries as a list whose items name their EventBusName.",
        )
    yield Statement("Events", ("events:PutEvents",), tuple(_bus(call, entry) for entry in entries))


def _bus(call: Call, entry: Any) -> str:
    one = Call(call.state, call.service, call.action, "", entry, call.project, call.known)
    bus = one.text("EventBusName") or "default"
    return bus if bus.startswith("arn:") else arn("events", f"event-bus/{bus}")


def _execution(call: Call) -> Iterator[Statement]:
    machine = _named(call, "StateMachineArn", "states", "stateMachine:", ours=True)
    yield Statement("Executions", ("states:StartExecution",), (machine,))
    if call.waits:
        execution = machine.replace(":stateMachine:", ":execution:") + ":*"
        yield Statement(
            "WaitForExecutions", ("states:DescribeExecution", "states:StopExecution"), (execution,)
        )
        yield _managed_rule("StepFunctionsExecution")


def _read_object(call: Call) -> Iterator[Statement]:
    bucket = call.required("Bucket", "permission to read any bucket would read other people's data")
    objects = f"arn:${{AWS::Partition}}:s3:::{bucket}"
    if call.action == "listObjectsV2":
        yield Statement("ListItems", ("s3:ListBucket",), (objects,))
    else:
        yield Statement("ReadItems", ("s3:GetObject",), (f"{objects}/{call.text('Key') or ANY}",))


def _write_results(call: Call) -> Iterator[Statement]:
    bucket = call.required("Bucket", "permission to write to any bucket would overwrite other people's data")
    prefix = (call.text("Prefix") or "").rstrip("*")
    actions = ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")
    yield Statement("WriteResults", actions, (f"arn:${{AWS::Partition}}:s3:::{bucket}/{prefix}*",))


def itself(machine: str) -> Iterator[Statement]:
    """What a distributed Map needs: its child executions are executions of the same state machine."""
    yield Statement(
        "ChildExecutions", ("states:StartExecution",), (arn("states", f"stateMachine:{machine}"),)
    )
    children = ("states:DescribeExecution", "states:StopExecution", "states:RedriveExecution")
    executions = (arn("states", f"execution:{machine}:*"), arn("states", f"execution:{machine}/*:*"))
    yield Statement("WatchChildExecutions", children, executions)


RULES: dict[str, Rule] = {
    "lambda:invoke": _function,
    **{f"sagemaker:{action}": partial(_job, *row) for action, row in JOBS.items()},
    "sagemaker:createModel": _model,
    "sagemaker:createEndpointConfig": _endpoint_config,
    "sagemaker:createEndpoint": _endpoint,
    "sagemaker:updateEndpoint": _endpoint,
    "glue:startJobRun": _glue,
    "glue:createPartition": _partition,
    "athena:startQueryExecution": _query,
    **{f"dynamodb:{action}Item": _item for action in ("get", "put", "update", "delete")},
    "sns:publish": _topic,
    "sqs:sendMessage": _queue,
    "events:putEvents": _events,
    "states:startExecution": _execution,
    "s3:getObject": _read_object,
    "s3:listObjectsV2": _read_object,
    "s3:putObject": _write_results,
}
