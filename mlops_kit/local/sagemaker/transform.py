"""Transform jobs: a model over the files of a prefix; must not drive the job."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Ended
from mlops_kit.local.sagemaker import failures, instances
from mlops_kit.local.sagemaker.batch import FAILED, Plan
from mlops_kit.local.sagemaker.job_kinds import ENDED, Job, JobFailed, Launch, NoWatch
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.records import Record, refusal
from mlops_kit.local.sagemaker.serving import ModelError, lay_out
from mlops_kit.local.sagemaker.transfer import DataError, Location, Transfer, expand
from mlops_kit.local.service import Context

_SKIPPED = ("Tags", "ExperimentConfig", "DataCaptureConfig")
_SEE_LOGS = "See job logs for more information"
_NO_FILTER = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}


class Transform:
    """What is special about transform jobs.

    Parameters
    ----------
    model : callable
        ``model(region, name)`` gives a model's record, or raises `AwsError`.
    """

    noun = "TransformJob"
    path = "transform-job"
    event = "SageMaker Transform Job State Change"
    group = "/aws/sagemaker/TransformJobs"
    grace = 30.0
    listing = Listing(
        "TransformJobSummaries",
        (
            "TransformJobName",
            "TransformJobArn",
            "CreationTime",
            "TransformEndTime",
            "LastModifiedTime",
            "TransformJobStatus",
            "FailureReason",
        ),
        name="TransformJobName",
        status="TransformJobStatus",
        order="Descending",
    )

    def __init__(self, model: Callable[[str, str], Record]) -> None:
        self._model = model

    def taken(self, arn: str) -> str:
        """AWS's words for a name in use."""
        return (
            "Job name must be unique within an AWS account and region, and a job with this name already "
            f"exists ({arn})"
        )

    def missing(self, name: str) -> str:
        """AWS's words for an unknown job."""
        return f"Could not find requested job with name: {name}"

    def view(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """The first Describe answer; it keeps the model's container and role, as the model may be deleted."""
        source = params["TransformInput"]["DataSource"]["S3DataSource"]
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise refusal(f"The embedded AWS reads S3Prefix and ManifestFile, no {source['S3DataType']}.")
        if params["TransformInput"].get("SplitType", "None") not in ("None", "Line"):
            raise refusal(
                "The embedded AWS splits by Line or not at all; RecordIO and TFRecord are not read."
            )
        resources = params["TransformResources"]
        usage = ("transform job", 0, resources["InstanceCount"], 1)
        instances.check_quota(resources["InstanceType"], *usage)
        if params.get("DataCaptureConfig"):
            raise refusal(
                "The embedded AWS does not capture a transform job's data; leave DataCaptureConfig out."
            )
        model = self._model(region, params["ModelName"])["View"]
        return {
            **{member: value for member, value in params.items() if member not in _SKIPPED},
            "DataProcessing": {**_NO_FILTER, **params.get("DataProcessing", {})},
            "_Container": model["PrimaryContainer"],
            "_RoleArn": model.get("ExecutionRoleArn", ""),
        }

    def admit(self, params: dict[str, Any], region: str, transfer: Transfer) -> None:
        """AWS looks at the data only when the job runs."""

    def watch(self, context: Context, job: Job) -> NoWatch:
        """Nobody looks at the lines."""
        return NoWatch()

    def step(self, view: dict[str, Any], step: str, now: datetime) -> None:
        """Status and times."""
        view["TransformJobStatus"] = step if step in (*ENDED, "Stopping") else "InProgress"
        if step == "Running":
            view["TransformStartTime"] = now
        if step in ENDED:
            view["TransformEndTime"] = now

    def prepare(self, job: Job, transfer: Transfer) -> Launch:
        """Download the input and the model, and write the plan."""
        view, base = job.view, job.base
        environment = {**view["_Container"].get("Environment", {}), **view.get("Environment", {})}
        try:
            model = lay_out({**view["_Container"], "Environment": environment}, base, job.region, transfer)
            inputs = _download(view["TransformInput"], base / "input", transfer)
        except (DataError, ModelError) as error:
            raise JobFailed(f"ClientError: Data download failed:{error}") from error
        (base / "output").mkdir()
        plan = base / "plan.json"
        plan.write_text(json.dumps(dataclasses.asdict(_plan(view, base, inputs))))
        memory = instances.memory(view["TransformResources"]["InstanceType"])
        return Launch(model.command("batch", plan), base.parent / "work", model.env, None, memory)

    def collect(self, job: Job, transfer: Transfer) -> dict[str, Any]:
        """Upload ``<key>.out`` for each input."""
        try:
            transfer.put_folder(job.base / "output", Location.of(job.view["TransformOutput"]["S3OutputPath"]))
        except DataError as error:
            raise JobFailed(f"ClientError: Failed to upload data: {error}") from error
        return {}

    def failure(self, job: Job, ended: Ended) -> dict[str, Any]:
        """FailureReason: who is to blame, AWS's pointer to the logs, and what was wrong."""
        said = failures.written(job.base / "failure") if ended.exit_code == FAILED else None
        blame, _, words = (said or f"AlgorithmError: {failures.last_error(job.output)}").partition(": ")
        return {"FailureReason": f"{blame}: {_SEE_LOGS} ({words})"}


def _download(source: dict[str, Any], folder: Path, transfer: Transfer) -> list[Path]:
    data = source["DataSource"]["S3DataSource"]
    folder.mkdir(parents=True)
    get = transfer.get_manifest if data["S3DataType"] == "ManifestFile" else transfer.get_prefix
    files = get(data["S3Uri"], folder)
    return [expand(file, source.get("CompressionType", "None")) for file in files]


def _plan(view: dict[str, Any], base: Path, inputs: list[Path]) -> Plan:
    filters = view["DataProcessing"]
    pairs = [(str(path), f"{base / 'output' / path.relative_to(base / 'input')}.out") for path in inputs]
    return Plan(
        files=pairs,
        content_type=view["TransformInput"].get("ContentType"),
        accept=view["TransformOutput"].get("Accept"),
        split=view["TransformInput"].get("SplitType", "None"),
        assemble=view["TransformOutput"].get("AssembleWith", "None"),
        strategy=view.get("BatchStrategy", "MultiRecord"),
        largest=view.get("MaxPayloadInMB", 6) << 20,
        input_filter=filters["InputFilter"],
        output_filter=filters["OutputFilter"],
        join=filters["JoinSource"],
        failure=str(base / "failure"),
    )
