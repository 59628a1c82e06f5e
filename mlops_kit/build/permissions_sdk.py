"""What ``aws-sdk:<service>:<action>`` needs of IAM: the action, on the resource that its request names.

Source: Service Authorization Reference, the page of each service. Must not know what a state does, nor
fall back to ``*`` where AWS allows a resource.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlops_kit.build.calls import ANY, Call
from mlops_kit.build.policy import Statement, arn
from mlops_kit.errors import UsageError


@dataclass(frozen=True)
class Service:
    """How one service's requests name resources.

    Attributes
    ----------
    prefix : str
        Of its IAM actions.
    resources : mapping
        Member of a request -> resources that it names, ``{}`` standing for its value.
    unscoped : str
        Pattern of the actions for which IAM knows no resource.
    ours : tuple of str
        Members whose values begin with the project's name in this kit.
    """

    prefix: str
    resources: Mapping[str, tuple[str, ...]]
    unscoped: str = r"(?!)"
    ours: tuple[str, ...] = ()


_PACKAGES = ("model-package/{}/*", "model-package-group/{}")
SERVICES: dict[str, Service] = {
    "sagemaker": Service(
        "sagemaker",
        {
            "TrainingJobName": ("training-job/{}",),
            "ProcessingJobName": ("processing-job/{}",),
            "TransformJobName": ("transform-job/{}",),
            "ModelName": ("model/{}",),
            "EndpointConfigName": ("endpoint-config/{}",),
            "EndpointName": ("endpoint/{}",),
            "ModelPackageGroupName": _PACKAGES,
            "ModelPackageName": ("model-package/{}",),
            "ModelPackageArn": ("model-package/{}",),
            "ResourceArn": ("*/{}",),
        },
        unscoped=r"List(?!ModelPackages$|Tags$).*|Search",
        ours=(
            "EndpointName",
            "ModelPackageGroupName",
            "ModelPackageName",
            "ModelPackageArn",
            "ResourceArn",
        ),
    ),
    "sagemakerruntime": Service("sagemaker", {"EndpointName": ("endpoint/{}",)}, ours=("EndpointName",)),
    "s3": Service("s3", {"Bucket": ("{}",)}),
    "dynamodb": Service("dynamodb", {"TableName": ("table/{}",)}, unscoped="ListTables"),
    "lambda": Service("lambda", {"FunctionName": ("function:{}",)}, unscoped="ListFunctions"),
    "glue": Service("glue", {"JobName": ("job/{}",)}, ours=("JobName",)),
    "sfn": Service(
        "states",
        {"StateMachineArn": ("stateMachine:{}",), "ExecutionArn": ("execution:{}:*",)},
        unscoped="ListStateMachines",
        ours=("StateMachineArn", "ExecutionArn"),
    ),
    "sns": Service("sns", {"TopicArn": ("{}",)}, unscoped="ListTopics"),
    "sqs": Service("sqs", {"QueueUrl": ("{}",)}, unscoped="ListQueues"),
    "cloudwatch": Service("cloudwatch", {}, unscoped="PutMetricData|GetMetric.*|ListMetrics"),
    "cloudwatchlogs": Service(
        "logs", {"LogGroupName": ("log-group:{}", "log-group:{}:*")}, unscoped="DescribeLogGroups"
    ),
    "ssm": Service("ssm", {"Name": ("parameter/{}",)}, unscoped="DescribeParameters"),
    "secretsmanager": Service("secretsmanager", {"SecretId": ("secret:{}-??????",)}, unscoped="ListSecrets"),
}

# What IAM calls otherwise than the API.
RENAMED = {
    "lambda:InvokeWithResponseStream": "lambda:InvokeFunction",
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
BUCKET_ACTIONS = {"HeadBucket": "ListBucket", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket"}
OBJECT_ACTIONS = {
    "CopyObject": "PutObject",
    "DeleteObject": "DeleteObject",
    "GetObject": "GetObject",
    "GetObjectTagging": "GetObjectTagging",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "PutObjectTagging": "PutObjectTagging",
}


def sdk(call: Call) -> Iterator[Statement]:
    """The statement for one AWS SDK integration.

    Raises
    ------
    UsageError
        The service is not in the table, or the request names no resource that it knows.
    """
    name = call.service.removeprefix("aws-sdk:")
    service = SERVICES.get(name)
    if service is None:
        raise UsageError(
            f"State {call.state!r}: the kit knows no resources of the service {name!r}.",
            suggestion=f"use one of {', '.join(SERVICES)}, or add the service to {__name__}.",
        )
    action = call.action[0].upper() + call.action[1:]
    if re.fullmatch(service.unscoped, action):
        yield Statement(action, (f"{service.prefix}:{action}",), (ANY,))
        return
    granted = tuple(_objects(call, action) if name == "s3" else _resources(call, service, action))
    if not granted:
        raise UsageError(
            f"State {call.state!r}: the kit cannot narrow {call.integration} to a resource.",
            suggestion=f"give {' or '.join(service.resources)}, or describe the action in {__name__}.",
        )
    for one, resource in granted:
        iam_action = f"{service.prefix}:{one}"
        yield Statement(action, (RENAMED.get(iam_action, iam_action),), (resource,))


def _resources(call: Call, service: Service, action: str) -> Iterator[tuple[str, str]]:
    for member, kinds in service.resources.items():
        text = call.text(member)
        if text is None:
            continue
        if text.startswith("arn:") or text.endswith((".Arn}", "Topic}")):
            yield action, text
            continue
        if text == ANY and member in service.ours:
            text = f"{call.project}-*"
        text = text.rstrip("/").rpartition("/")[2] if member == "QueueUrl" else text.lstrip("/")
        for kind in kinds:
            # A registry's group and its packages are two resources; an action on groups takes the group only.
            if not (kind.startswith("model-package/") and action.endswith("ModelPackageGroup")):
                yield action, arn(service.prefix, kind.format(text))


def _objects(call: Call, action: str) -> Iterator[tuple[str, str]]:
    bucket = call.required("Bucket", "permission for any bucket would reach other people's data")
    root = f"arn:${{AWS::Partition}}:s3:::{bucket}"
    if action in BUCKET_ACTIONS:
        yield BUCKET_ACTIONS[action], root
    elif action in OBJECT_ACTIONS:
        yield OBJECT_ACTIONS[action], f"{root}/{call.text('Key') or ANY}"
    if action == "CopyObject":
        source = call.required("CopySource", "permission to read any bucket would read other people's data")
        yield "GetObject", f"arn:${{AWS::Partition}}:s3:::{source.lstrip('/')}"
