"""The AWS Data Science SDK, imported silently and offline, with the States Language's newer fields.

Must not know a pipeline. Only ``steps.py`` uses it.

The SDK stopped in 2022: it lacks JSONata, ``Assign``, jitter, ``ItemProcessor`` and more, takes a Resource's
partition from whatever region the process was started in, and asks a session for things that only AWS knows.
Each is mended here, on private copies of its modules.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from types import SimpleNamespace
from typing import Any

from mlops_kit.build.hollow import Island

_SHARED = ("attr", "packaging", "platformdirs", "six")
_HOLLOW = (
    "stepfunctions.template",
    "stepfunctions.workflow",
    "sagemaker.amazon.record_pb2",
    *(
        f"sagemaker.{name}"
        for name in (
            "automl",
            "clarify",
            "debugger",
            "experiments",
            "feature_store",
            "jumpstart",
            "local",
            "model_card",
            "model_monitor",
            "partner_app",
            "remote_function",
            "serve",
            "spark",
            "telemetry",
            "tuner",
        )
    ),
)
_CLASSES = (
    *("Catch", "Choice", "Fail", "Graph", "Map", "Parallel", "Pass", "ProcessingStep", "Succeed", "Task"),
    *("TrainingStep", "Wait"),
)


class Field(Enum):
    """Members of the States Language that the SDK does not know, in its spelling (``a_b`` becomes ``AB``)."""

    ARGUMENTS = "arguments"
    ASSIGN = "assign"
    CAUSE_PATH = "cause_path"
    COMMENT = "comment"
    CREDENTIALS = "credentials"
    ERROR_PATH = "error_path"
    ITEM_BATCHER = "item_batcher"
    ITEM_READER = "item_reader"
    ITEM_SELECTOR = "item_selector"
    ITEMS = "items"
    JITTER_STRATEGY = "jitter_strategy"
    LABEL = "label"
    MAX_CONCURRENCY_PATH = "max_concurrency_path"
    MAX_DELAY_SECONDS = "max_delay_seconds"
    OUTPUT = "output_"  # a state of the SDK has a method output()
    QUERY_LANGUAGE = "query_language"
    RESULT_SELECTOR = "result_selector"
    RESULT_WRITER = "result_writer"
    TOLERATED_FAILURE_COUNT = "tolerated_failure_count"
    TOLERATED_FAILURE_PERCENTAGE = "tolerated_failure_percentage"


class Mended:
    """Goes before a class of the SDK: lets the newer fields through and emits a Map's newer form."""

    def allowed_fields(self) -> list[Any]:
        """The SDK's fields and ours."""
        return [*super().allowed_fields(), *Field]  # type: ignore[misc]

    def to_dict(self) -> dict[str, Any]:
        """The state as the States Language spells it."""
        state: dict[str, Any] = super().to_dict()  # type: ignore[misc]
        if machine := state.pop("Iterator", None):
            state["ItemProcessor"] = {"ProcessorConfig": {"Mode": "INLINE"}, **machine}
        return state


class OfflineSession:
    """What an estimator asks of ``sagemaker.Session``, without one: no client, no credentials, no bucket."""

    boto_session = None
    config = None
    s3_resource = None
    settings = None
    local_mode = False
    default_bucket_prefix = None

    def __init__(self, region: str) -> None:
        self.boto_region_name = region
        self.sagemaker_config: dict[str, Any] = {}

    def _get_account_id_if_default_bucket(self, bucket: str) -> None:
        return None


class _Resolver:
    """Names ECR's host as botocore does, whose copy here is hollow."""

    def construct_endpoint(self, service: str, region: str) -> dict[str, str]:
        suffix = "amazonaws.com.cn" if partition(region) == "aws-cn" else "amazonaws.com"
        return {"hostname": f"{service}.{region}.{suffix}"}


def partition(region: str) -> str:
    """AWS's partition of a region: ``aws``, ``aws-cn`` or ``aws-us-gov``."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


@cache
def sdk() -> SimpleNamespace:
    """The SDK's classes by their names, mended, and what of the SageMaker SDK they take.

    Returns
    -------
    types.SimpleNamespace
        The classes; ``island``, to be entered around what may import more; ``image_uris``.
    """
    island = Island(("sagemaker", "stepfunctions"), _SHARED, _HOLLOW)
    names = ("estimator", "image_uris", "inputs", "processing", "sklearn", "utils")
    modules = island.load(
        [
            "stepfunctions.steps",
            "stepfunctions.steps.integration_resources",
            *(f"sagemaker.{name}" for name in names),
        ]
    )

    # asks a new boto3 session for its region, at every step; steps.py sets the partition
    modules["stepfunctions.steps.integration_resources"].get_aws_partition = lambda: "aws"  # type: ignore[attr-defined]
    modules["sagemaker.utils"]._botocore_resolver = _Resolver  # type: ignore[attr-defined]
    for name in ("sagemaker.estimator", "sagemaker.processing"):
        modules[name].warn_v2_deprecation = lambda *_, **__: None  # type: ignore[attr-defined]
    steps = modules["stepfunctions.steps"]
    mended = {name: type(name, (Mended, getattr(steps, name)), {}) for name in _CLASSES}
    processing = modules["sagemaker.processing"]
    return SimpleNamespace(
        **mended,
        island=island,
        image_uris=modules["sagemaker.image_uris"],
        SKLearn=modules["sagemaker.sklearn"].SKLearn,
        TrainingInput=modules["sagemaker.inputs"].TrainingInput,
        Processor=processing.Processor,
        ProcessingInput=processing.ProcessingInput,
        ProcessingOutput=processing.ProcessingOutput,
    )
