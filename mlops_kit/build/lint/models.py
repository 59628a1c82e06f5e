"""What AWS's services take and answer, from botocore's model files; makes no client, reads no settings."""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_kit.asl.resources import REQUEST, SYNC, SYNC_2, TOKEN, Resource

# Optimized integrations whose service has another name in botocore; None for APIs of Step Functions' own.
_OPTIMIZED: dict[str, str | None] = {
    "apigateway": None,
    "elasticmapreduce": None,
    "http": None,
    "states": "stepfunctions",
    "eks:call": None,
    "eks:runJob": None,
    "bedrock:invokeModel": "bedrock-runtime",
}
_SDK_METADATA = frozenset({"SdkHttpMetadata", "SdkResponseMetadata"})
# A .sync task answers with what this operation tells of the job, or with one member of it.
_DESCRIBED = {
    "sagemaker:createTrainingJob": ("DescribeTrainingJob", None),
    "sagemaker:createProcessingJob": ("DescribeProcessingJob", None),
    "sagemaker:createTransformJob": ("DescribeTransformJob", None),
    "sagemaker:createHyperParameterTuningJob": ("DescribeHyperParameterTuningJob", None),
    "athena:startQueryExecution": ("GetQueryExecution", None),
    "states:startExecution": ("DescribeExecution", None),
    "glue:startJobRun": ("GetJobRun", "JobRun"),
}


@lru_cache(maxsize=1)
def _loader() -> Any:
    import botocore.loaders

    return botocore.loaders.Loader(include_default_search_paths=True)


@lru_cache(maxsize=1)
def sdk_services() -> dict[str, str]:
    """Names of services as ``aws-sdk:`` resources write them, each with its folder in botocore."""
    import botocore

    root = Path(botocore.__file__).parent / "data"
    found: dict[str, str] = {}
    for name in _loader().list_available_services("service-2"):
        latest = max(path.name for path in (root / name).iterdir() if path.is_dir())
        with gzip.open(root / name / latest / "service-2.json.gz") as file:
            head = file.read(4000).decode(errors="replace")
        if match := re.search(r'"serviceId"\s*:\s*"([^"]+)"', head):
            plain = re.sub(r"[^a-z0-9]", "", match[1].lower())
            found[plain] = name
            # the Java SDK, whose names these are, drops "Service" at the end of some
            found.setdefault(plain.removesuffix("service"), name)
    return found


@lru_cache(maxsize=64)
def _model(folder: str) -> Any:
    from botocore.model import ServiceModel

    return ServiceModel(_loader().load_service_model(folder, "service-2"), folder)


def folder(resource: Resource) -> str | None:
    """A resource's service in botocore; ``None`` for unknown ones and for Step Functions' own APIs."""
    if resource.kind == "sdk":
        return sdk_services().get(resource.service)
    for key in (f"{resource.service}:{resource.action}", resource.service):
        if key in _OPTIMIZED:
            return _OPTIMIZED[key]
    return resource.service if resource.service in _loader().list_available_services("service-2") else None


def actions(service: str) -> list[str]:
    """A service's operations as resources write them, such as ``putObject``."""
    return [name[0].lower() + name[1:] for name in _model(service).operation_names]


def operation(resource: Resource) -> Any:
    """botocore's model of a resource's operation, or ``None``."""
    service = folder(resource)
    if service is None or not resource.action:
        return None
    name = resource.action[0].upper() + resource.action[1:]
    return _model(service).operation_model(name) if name in _model(service).operation_names else None


def members(shape: Any) -> dict[str, Any]:
    """A structure's members under the names that Step Functions gives them."""
    return {name[:1].upper() + name[1:]: member for name, member in shape.members.items()}


def answers(resource: Resource) -> frozenset[str] | None:
    """Names of the members of a task's result, or ``None`` where they are not known."""
    if resource.pattern == TOKEN or resource.kind not in ("optimized", "sdk"):
        return None
    if resource.pattern in (SYNC, SYNC_2):
        return _described(resource)
    model = operation(resource)
    if resource.pattern != REQUEST or model is None or model.output_shape is None:
        return None
    names = frozenset(members(model.output_shape))
    return names | _SDK_METADATA | ({"ExecutedVersion"} if resource.service == "lambda" else set())


def _described(resource: Resource) -> frozenset[str] | None:
    name, member = _DESCRIBED.get(f"{resource.service}:{resource.action}", (None, None))
    service = folder(resource)
    if name is None or service is None:
        return None
    shape = _model(service).operation_model(name).output_shape
    if member is not None:
        return frozenset(members(shape.members[member])) | {"JobName"}
    return frozenset(members(shape))
