"""Names of services, operations and errors, as Step Functions and the Java SDKs spell them; calls nothing."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from mlops_kit.local import models
from mlops_kit.local.wire import model


@dataclass(frozen=True)
class Optimised:
    """What AWS calls a service of an optimised integration.

    Attributes
    ----------
    botocore : str
        botocore's service name.
    errors : str
        First part of its error names.
    client : str
        The Java SDK's service name, as causes show it.
    fallback : str
        Name of errors that the model does not have.
    metadata : bool
        Whether answers carry SdkHttpMetadata and SdkResponseMetadata.
    """

    botocore: str
    errors: str
    client: str
    fallback: str
    metadata: bool = True


OPTIMISED = {
    "athena": Optimised("athena", "Athena", "AmazonAthena", "AmazonAthenaException"),
    "batch": Optimised("batch", "Batch", "AWSBatch", "AWSBatchException"),
    "codebuild": Optimised("codebuild", "CodeBuild", "AWSCodeBuild", "AWSCodeBuildException"),
    "dynamodb": Optimised("dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException"),
    "ecs": Optimised("ecs", "ECS", "AmazonECS", "AmazonECSException"),
    "events": Optimised(
        "events", "EventBridge", "AmazonEventBridge", "AmazonEventBridgeException", metadata=False
    ),
    "glue": Optimised("glue", "Glue", "AWSGlue", "AWSGlueException"),
    "lambda": Optimised("lambda", "Lambda", "AWSLambda", "AWSLambdaException"),
    "sagemaker": Optimised("sagemaker", "SageMaker", "AmazonSageMaker", "AmazonSageMakerException"),
    "sns": Optimised("sns", "SNS", "AmazonSNS", "AmazonSNSException"),
    "sqs": Optimised("sqs", "SQS", "AmazonSQS", "AmazonSQSException"),
    "states": Optimised("stepfunctions", "StepFunctions", "AWSStepFunctions", "AWSStepFunctionsException"),
}

# Service identifiers of AWS's Java SDK 2 whose botocore name is not the same without hyphens.
_IDENTIFIERS = {
    "applicationdiscovery": "discovery", "bedrockagentruntime": "bedrock-agent-runtime",
    "cloudwatchlogs": "logs", "cognitoidentity": "cognito-identity", "cognitoidentityprovider": "cognito-idp",
    "costandusagereport": "cur", "costexplorer": "ce", "databasemigration": "dms", "directory": "ds",
    "elasticloadbalancing": "elb", "elasticloadbalancingv2": "elbv2", "elasticsearch": "es",
    "eventbridge": "events", "configservice": "config", "iotdataplane": "iot-data",
    "lexruntime": "lex-runtime",
    "marketplacemetering": "meteringmarketplace", "sfn": "stepfunctions", "ecrpublic": "ecr-public",
    "resourcegroupstaggingapi": "resourcegroupstaggingapi", "transcribe": "transcribe", "ses": "ses",
}  # fmt: skip


@functools.cache
def _services() -> dict[str, str]:
    known = {name.replace("-", ""): name for name in models.loader().list_available_services("service-2")}
    return known | _IDENTIFIERS


def botocore_service(service: str, sdk: bool) -> str | None:
    """botocore's name of a service in a Resource."""
    if sdk:
        return _services().get(service)
    known = OPTIMISED.get(service)
    return known.botocore if known else None


@functools.cache
def _operations(service: str) -> dict[str, str]:
    return {name.lower(): name for name in model(service).operation_names}


def operation(service: str, action: str) -> Any | None:
    """botocore's operation model of a camelCase action."""
    name = _operations(service).get(action.lower())
    return model(service).operation_model(name) if name else None


def is_call(service: str, action: str) -> bool:
    """Whether an ``aws-sdk`` Resource may name a service and a camelCase action."""
    known = botocore_service(service, sdk=True)
    return known is not None and action[:1].islower() and operation(known, action) is not None


def pascal(name: str) -> str:
    """A member's name as Step Functions spells it."""
    return name[:1].upper() + name[1:]


@functools.cache
def java_service(service: str) -> str:
    """The Java SDK 2's name of a service: DynamoDB is DynamoDb, SFN is Sfn."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]*|[a-z]+|\d+", model(service).metadata["serviceId"])
    return "".join(word.capitalize() for word in words)


def _java_exception(shape: str) -> str:
    for ending in ("Exception", "Fault", "Error"):
        if shape.endswith(ending):
            return shape.removesuffix(ending) + "Exception"
    return f"{shape}Exception"


@functools.cache
def _exceptions(service: str) -> dict[str, str]:
    """Error codes of a service's modelled errors, with the Java name of each."""
    found = {}
    for shape in model(service).error_shapes:
        name = _java_exception(shape.name)
        found[shape.name] = name
        found[shape.metadata.get("error", {}).get("code", shape.name)] = name
    return found


@functools.cache
def _codes(service: str) -> dict[str, str]:
    """Error codes as the service's protocol carries them, by the shape's name."""
    shapes = model(service).error_shapes
    return {shape.name: shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes}


def error_name(service: str, sdk: bool, code: str) -> str:
    """AWS's name of a service's error in Retry, Catch and history.

    Parameters
    ----------
    service : str
        As in the Resource.
    sdk : bool
        Whether it is an ``aws-sdk`` integration.
    code : str
        The service's error code.
    """
    bare = code.rpartition("#")[2]
    if sdk:
        known = _services()[service]
        name = java_service(known)
        return f"{name}.{_exceptions(known).get(bare, name + 'Exception')}"
    optimised = OPTIMISED[service]
    return f"{optimised.errors}.{_exceptions(optimised.botocore).get(bare, optimised.fallback)}"


def cause(service: str, sdk: bool, error: dict[str, Any]) -> str:
    """The cause text of a refused call, as the Java SDKs word it.

    Parameters
    ----------
    error : dict
        code, message, status, request, and for S3 extended.
    """
    status, request = error["status"], error["request"]
    if sdk:
        name = java_service(_services()[service])
        extended = f", Extended Request ID: {error['extended']}" if error.get("extended") else ""
        return (
            f"{error['message']} (Service: {name}, Status Code: {status}, Request ID: {request}{extended}) "
            "(SDK Attempt Count: 1)"
        )
    optimised = OPTIMISED[service]
    code = _codes(optimised.botocore).get(error["code"], error["code"])
    return (
        f"{error['message']} (Service: {optimised.client}; Status Code: {status}; Error Code: {code}; "
        f"Request ID: {request}; Proxy: null)"
    )
