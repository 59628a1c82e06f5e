"""Processing jobs: inputs, a command, outputs; must not drive the job."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Ended
from mlops_kit.local.sagemaker import failures, instances, local_paths, shell
from mlops_kit.local.sagemaker.images import check_processing_image
from mlops_kit.local.sagemaker.job_kinds import ENDED, Job, JobFailed, Launch, NoWatch
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.records import refusal
from mlops_kit.local.sagemaker.toolkit import resource_config
from mlops_kit.local.sagemaker.transfer import DataError, Location, Transfer, expand
from mlops_kit.local.service import Context

_MAX_RUNTIME = 86_400  # ProcessingStoppingCondition: the default of MaxRuntimeInSeconds
_SKIPPED = ("Tags", "ExperimentConfig")
_CONFIGURED = (
    "ProcessingJobArn",
    "ProcessingJobName",
    "AppSpecification",
    "Environment",
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "RoleArn",
    "StoppingCondition",
)
_PATH = Path("/opt/ml/processing")


class Processing:
    """What is special about processing jobs."""

    noun = "ProcessingJob"
    path = "processing-job"
    event = "SageMaker Processing Job State Change"
    group = "/aws/sagemaker/ProcessingJobs"
    grace = 120.0
    listing = Listing(
        "ProcessingJobSummaries",
        (
            "ProcessingJobName",
            "ProcessingJobArn",
            "CreationTime",
            "ProcessingEndTime",
            "LastModifiedTime",
            "ProcessingJobStatus",
            "FailureReason",
            "ExitMessage",
        ),
        name="ProcessingJobName",
        status="ProcessingJobStatus",
        order="Descending",
    )

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
        """The first Describe answer."""
        application = params["AppSpecification"]
        check_processing_image(application["ImageUri"])
        if not application.get("ContainerEntrypoint"):
            raise refusal(
                "The embedded AWS has no container, so no image's own entry point: give ContainerEntrypoint."
            )
        cluster = params["ProcessingResources"].get("ClusterConfig", {})
        usage = ("processing job", 0, cluster.get("InstanceCount", 1), 1)
        instances.check_quota(cluster.get("InstanceType"), *usage)
        for item in params.get("ProcessingInputs", []):
            _check_input(item)
        for item in params.get("ProcessingOutputConfig", {}).get("Outputs", []):
            _check_output(item)
        return {
            **{member: value for member, value in params.items() if member not in _SKIPPED},
            "StoppingCondition": {"MaxRuntimeInSeconds": _MAX_RUNTIME, **params.get("StoppingCondition", {})},
        }

    def admit(self, params: dict[str, Any], region: str, transfer: Transfer) -> None:
        """AWS looks at the data only when the job runs."""

    def watch(self, context: Context, job: Job) -> NoWatch:
        """Nobody looks at the lines."""
        return NoWatch()

    def step(self, view: dict[str, Any], step: str, now: datetime) -> None:
        """Status and times."""
        status = "Stopped" if step == "MaxRuntimeExceeded" else step
        view["ProcessingJobStatus"] = status if status in (*ENDED, "Stopping") else "InProgress"
        if step == "Running":
            view["ProcessingStartTime"] = now
        if status in ENDED:
            view["ProcessingEndTime"] = now

    def prepare(self, job: Job, transfer: Transfer) -> Launch:
        """Download the inputs, make the outputs' folders, write the configuration."""
        view, base = job.view, job.base
        cluster = view["ProcessingResources"].get("ClusterConfig", {})
        _configure(view, base / "config", cluster.get("InstanceType", ""))
        (base / "output").mkdir(exist_ok=True)
        try:
            for item in view.get("ProcessingInputs", []):
                _download(item, base, transfer)
        except DataError as error:
            raise JobFailed(f"ClientError: Data download failed:{error}") from error
        for item in _outputs(view):
            local_paths.local_path(item["LocalPath"], base).mkdir(parents=True, exist_ok=True)
        application = view["AppSpecification"]
        arguments = application.get("ContainerArguments", [])
        argv = local_paths.command(application["ContainerEntrypoint"], arguments, base)
        own = local_paths.localise_all(view.get("Environment", {}), base)
        return Launch(
            argv=argv,
            cwd=base / "processing",
            env={**shell.environment(argv, base), **own},
            time_limit=view["StoppingCondition"]["MaxRuntimeInSeconds"],
            memory=instances.memory(cluster.get("InstanceType")),
        )

    def collect(self, job: Job, transfer: Transfer) -> dict[str, Any]:
        """Upload every output, and read the exit message."""
        try:
            for item in _outputs(job.view):
                transfer.put_folder(
                    local_paths.local_path(item["LocalPath"], job.base), Location.of(item["S3Uri"])
                )
        except (DataError, OSError) as error:
            raise JobFailed(f"ClientError: Failed to upload data: {error}") from error
        message = failures.written(job.base / "output" / "message")
        return {} if message is None else {"ExitMessage": message}

    def failure(self, job: Job, ended: Ended) -> dict[str, Any]:
        """FailureReason, and the job's own message beside it."""
        message = failures.written(job.base / "output" / "message")
        text = f"See job logs for more information ({failures.last_error(job.output)})"
        said = {} if message is None else {"ExitMessage": message}
        return {"FailureReason": failures.reason(text, failures.exit_code(ended)), **said}


def _outputs(view: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["S3Output"] for item in view.get("ProcessingOutputConfig", {}).get("Outputs", [])]


def _check_input(item: dict[str, Any]) -> None:
    name, source = item["InputName"], item.get("S3Input")
    if source is None or item.get("AppManaged"):
        raise refusal(
            f"The input {name!r}: the embedded AWS reads S3 inputs that SageMaker downloads, no others."
        )
    if "LocalPath" not in source:
        raise refusal(f"The input {name!r}: LocalPath is required when AppManaged is False.")
    if source.get("S3InputMode", "File") != "File":
        raise refusal(
            f"The input {name!r}: the embedded AWS serves S3InputMode File, no {source['S3InputMode']}."
        )
    _check_path(source["LocalPath"])


def _check_output(item: dict[str, Any]) -> None:
    target = item.get("S3Output")
    if target is None or item.get("AppManaged"):
        raise refusal(f"The output {item['OutputName']!r}: the embedded AWS uploads S3 outputs, no others.")
    if "LocalPath" not in target:
        raise refusal(f"The output {item['OutputName']!r}: LocalPath is required when AppManaged is False.")
    _check_path(target["LocalPath"])


def _check_path(path: str) -> None:
    if not Path(path).is_relative_to(_PATH):
        raise refusal(f"LocalPath {path!r} must begin with {_PATH}.")
    local_paths.local_path(path, Path("/"))


def _configure(view: dict[str, Any], folder: Path, instance_type: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {member: view[member] for member in _CONFIGURED if member in view}
    (folder / "processingjobconfig.json").write_text(json.dumps(config))
    (folder / "resourceconfig.json").write_text(json.dumps(resource_config(instance_type)))


def _download(item: dict[str, Any], base: Path, transfer: Transfer) -> None:
    source = item["S3Input"]
    folder = local_paths.local_path(source["LocalPath"], base)
    folder.mkdir(parents=True, exist_ok=True)
    get = transfer.get_manifest if source["S3DataType"] == "ManifestFile" else transfer.get_prefix
    for file in get(source["S3Uri"], folder):
        expand(file, source.get("S3CompressionType", "None"))
