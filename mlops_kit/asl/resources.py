"""The Resource of a Task: its parts, and which integrations Step Functions has; must not know parameters.

Source: "Integrating services with Step Functions" and "Integrating optimized services" (AWS developer guide).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

REQUEST, SYNC, SYNC_2, TOKEN = "", ".sync", ".sync:2", ".waitForTaskToken"
_PATTERN = re.compile(r"(?P<action>.*?)(?P<pattern>\.sync(?::2)?|\.waitForTaskToken)?")
_ARN = re.compile(r"arn:aws[\w-]*:[\w-]+:[^:]*:[^:]*:.+", re.DOTALL)
_STATES = re.compile(r"arn:aws[\w-]*:states:[^:]*:[^:]*:(?P<rest>.+)", re.DOTALL)

_CALL, _JOB, _CALLBACK, _ALL = (REQUEST,), (REQUEST, SYNC), (REQUEST, TOKEN), (REQUEST, SYNC, TOKEN)
OPTIMIZED: dict[str, dict[str, tuple[str, ...]]] = {
    "apigateway": {"invoke": _CALLBACK},
    "athena": {
        "startQueryExecution": _JOB,
        "stopQueryExecution": _CALL,
        "getQueryExecution": _CALL,
        "getQueryResults": _CALL,
    },
    "batch": {"submitJob": _JOB},
    "bedrock": {"invokeModel": _CALL, "createModelCustomizationJob": _JOB},
    "codebuild": {
        "startBuild": _JOB,
        "stopBuild": _CALL,
        "batchDeleteBuilds": _CALL,
        "batchGetReports": _CALL,
        "startBuildBatch": _JOB,
        "stopBuildBatch": _CALL,
        "retryBuildBatch": _JOB,
        "deleteBuildBatch": _CALL,
    },
    "databrew": {"startJobRun": _JOB},
    "dynamodb": dict.fromkeys(("getItem", "putItem", "deleteItem", "updateItem"), _CALL),
    "ecs": {"runTask": _ALL},
    "eks": {
        **dict.fromkeys(
            (
                "createCluster",
                "deleteCluster",
                "createFargateProfile",
                "deleteFargateProfile",
                "createNodegroup",
                "deleteNodegroup",
                "runJob",
            ),
            _ALL,
        ),
        "call": _CALL,
    },
    "elasticmapreduce": {
        "createCluster": _JOB,
        "terminateCluster": _JOB,
        "addStep": _JOB,
        "cancelStep": _CALL,
        "setClusterTerminationProtection": _CALL,
        "modifyInstanceFleetByName": _CALL,
        "modifyInstanceGroupByName": _CALL,
    },
    "emr-containers": {"createVirtualCluster": _CALL, "deleteVirtualCluster": _JOB, "startJobRun": _JOB},
    "emr-serverless": dict.fromkeys(
        (
            "createApplication",
            "startApplication",
            "stopApplication",
            "deleteApplication",
            "startJobRun",
            "cancelJobRun",
        ),
        _JOB,
    ),
    "events": {"putEvents": _CALLBACK},
    "glue": {"startJobRun": _JOB},
    "http": {"invoke": _CALL},
    "lambda": {"invoke": _CALLBACK},
    "mediaconvert": {"createJob": _JOB},
    "sagemaker": {
        **dict.fromkeys(
            (
                "createTrainingJob",
                "createTransformJob",
                "createProcessingJob",
                "createHyperParameterTuningJob",
                "createLabelingJob",
            ),
            _JOB,
        ),
        **dict.fromkeys(("createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint"), _CALL),
    },
    "sns": {"publish": _CALLBACK},
    "sqs": {"sendMessage": _CALLBACK},
    "states": {"startExecution": (REQUEST, SYNC, SYNC_2, TOKEN)},
}
# Integrations whose list of actions is not kept here; only patterns they never have are judged.
UNLISTED = frozenset({"bedrock-agentcore"})


@dataclass(frozen=True)
class Resource:
    """The parts of a Task's Resource.

    Attributes
    ----------
    kind : {"optimized", "sdk", "activity", "lambda", "other"}
        ``lambda`` is a function's ARN; ``other`` any further ARN.
    service, action : str
        Such as ``sagemaker`` and ``createTrainingJob``; empty unless optimized or sdk.
    pattern : str
        ``""``, ``.sync``, ``.sync:2`` or ``.waitForTaskToken``.
    """

    kind: str
    service: str = ""
    action: str = ""
    pattern: str = REQUEST


def parse(text: str) -> Resource | None:
    """Take a Resource apart; ``None`` when it is no ARN."""
    if not _ARN.fullmatch(text):
        return None
    states = _STATES.fullmatch(text)
    if states is None:
        return Resource("lambda" if text.split(":")[2] == "lambda" else "other")
    parts = states["rest"].split(":", 1)
    if len(parts) < 2:
        return Resource("other")
    if parts[0] == "activity":
        return Resource("activity")
    if parts[0] == "aws-sdk":
        service, _, call = parts[1].partition(":")
        return _with_pattern("sdk", service, call)
    return _with_pattern("optimized", parts[0], parts[1])


def recognized(resource: Resource) -> bool:
    """Whether Step Functions has an integration, by its own lists (SDK services are in none)."""
    if resource.kind == "sdk":
        return bool(resource.action) and resource.pattern in _CALLBACK
    if resource.kind != "optimized":
        return True
    if resource.service in UNLISTED:
        return resource.pattern == REQUEST
    return resource.pattern in OPTIMIZED.get(resource.service, {}).get(resource.action, ())


def _with_pattern(kind: str, service: str, call: str) -> Resource:
    match = _PATTERN.fullmatch(call)
    if match is None:  # the pattern matches any text; mypy does not know
        return Resource(kind, service, call)
    return Resource(kind, service, match["action"], match["pattern"] or REQUEST)
