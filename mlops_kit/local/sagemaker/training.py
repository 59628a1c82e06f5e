"""Training jobs: the /opt/ml contract of a script-mode framework image; must not drive the job."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Ended
from mlops_kit.local.sagemaker import archives, channels, failures, instances, local_paths, sources
from mlops_kit.local.sagemaker.images import known_image
from mlops_kit.local.sagemaker.job_kinds import Job, JobFailed, Launch
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.metrics import Scraper
from mlops_kit.local.sagemaker.records import refusal
from mlops_kit.local.sagemaker.toolkit import Script, resource_config
from mlops_kit.local.sagemaker.transfer import DataError, Location, Transfer
from mlops_kit.local.service import Context

_SKIPPED = ("Tags", "ExperimentConfig", "DebugHookConfig", "ProfilerConfig")
_MAX_RUNTIME = 86_400  # StoppingCondition: default of MaxRuntimeInSeconds
_STATUSES = ("Completed", "Failed", "Stopped", "Stopping")
_ENDS = ("Completed", "Failed", "Stopped", "MaxRuntimeExceeded")
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


class Metrics:
    """Metrics of one job: to CloudWatch as they come, the last of each into the Describe answer."""

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context.within(job.region)
        self._name = job.name
        self._scraper = Scraper(job.view["AlgorithmSpecification"].get("MetricDefinitions", []))
        self._last: dict[str, dict[str, Any]] = {}

    def lines(self, lines: Sequence[str], now: datetime, *, again: bool = False) -> None:
        """Find metrics in new lines."""
        for seen in self._scraper.observe(lines):
            self._last[seen.name] = {"MetricName": seen.name, "Value": seen.value, "Timestamp": now}
            if not again:
                dimensions = {"TrainingJobName": self._name}
                self._context.metric("/aws/sagemaker/TrainingJobs", seen.name, seen.value, "None", dimensions)

    def members(self) -> dict[str, Any]:
        """FinalMetricDataList."""
        return {"FinalMetricDataList": list(self._last.values())} if self._last else {}


class Training:
    """What is special about training jobs."""

    noun = "TrainingJob"
    path = "training-job"
    event = "SageMaker Training Job State Change"
    group = "/aws/sagemaker/TrainingJobs"
    grace = 120.0  # StopTrainingJob: SIGTERM, and 120 seconds to save
    listing = Listing(
        "TrainingJobSummaries",
        (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
            "SecondaryStatus",
        ),
        name="TrainingJobName",
        status="TrainingJobStatus",
        order="Descending",
    )

    def taken(self, arn: str) -> str:
        """AWS's words for a name in use."""
        return (
            "Training job names must be unique within an AWS account and region, and a training job with "
            f"this name already exists ({arn})"
        )

    def missing(self, name: str) -> str:
        """AWS's words for an unknown job."""
        return "Requested resource not found."

    def view(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """The first Describe answer."""
        if not (algorithm := params.get("AlgorithmSpecification")):
            raise _null("algorithmSpecification")
        if not (resources := params.get("ResourceConfig")):
            raise _null("resourceConfig")
        if not algorithm.get("TrainingImage"):
            raise refusal(
                "You must specify the training image: the embedded AWS runs no algorithm by its name."
            )
        known_image(algorithm["TrainingImage"])
        Scraper(algorithm.get("MetricDefinitions", []))
        usage = ("training job", 0, resources.get("InstanceCount", 1), 1)
        instances.check_quota(resources.get("InstanceType"), *usage)
        for channel in params.get("InputDataConfig", []):
            channels.check(channel)
        name = params["TrainingJobName"]
        prefix = params["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        model = "model" if _plain_folder(params) else "model.tar.gz"
        return {
            **{member: value for member, value in params.items() if member not in _SKIPPED},
            "StoppingCondition": {"MaxRuntimeInSeconds": _MAX_RUNTIME, **params.get("StoppingCondition", {})},
            "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": params.get(
                "EnableInterContainerTrafficEncryption", False
            ),
            "EnableManagedSpotTraining": params.get("EnableManagedSpotTraining", False),
            "ModelArtifacts": {"S3ModelArtifacts": f"{prefix}/{name}/output/{model}"},
            "ProfilingStatus": "Disabled",
        }

    def admit(self, params: dict[str, Any], region: str, transfer: Transfer) -> None:
        """Refuse a channel without data, as AWS does before the job exists."""
        for channel in params.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            if not transfer.exists(uri):
                raise refusal(channels.no_objects(uri, region, params["RoleArn"]))

    def watch(self, context: Context, job: Job) -> Metrics:
        """Metrics by the job's own definitions."""
        return Metrics(context, job)

    def step(self, view: dict[str, Any], step: str, now: datetime) -> None:
        """Status, secondary status and its transition."""
        secondary = "Training" if step == "Running" else step
        view["TrainingJobStatus"] = (
            "Stopped" if step == "MaxRuntimeExceeded" else step if step in _STATUSES else "InProgress"
        )
        view["SecondaryStatus"] = secondary
        transitions = view.setdefault("SecondaryStatusTransitions", [])
        if transitions and "EndTime" not in transitions[-1]:
            transitions[-1]["EndTime"] = now
        end = {"EndTime": now} if step in _ENDS else {}
        transitions.append(
            {"Status": secondary, "StartTime": now, **end, "StatusMessage": _MESSAGES[secondary]}
        )
        if secondary == "Downloading":
            view["TrainingStartTime"] = now
        if end:
            start = view.setdefault("TrainingStartTime", now)
            seconds = max(1, round((now - start).total_seconds()))
            view |= {
                "TrainingEndTime": now,
                "TrainingTimeInSeconds": seconds,
                "BillableTimeInSeconds": seconds,
            }

    def prepare(self, job: Job, transfer: Transfer) -> Launch:
        """Configuration, channels and source, and the command of the script."""
        view, base = job.view, job.base
        for folder in (
            "input/config",
            "input/data",
            "model",
            "output/data",
            "output/intermediate",
            "checkpoints",
        ):
            (base / folder).mkdir(parents=True, exist_ok=True)
        script = self._script(job)
        _configure(script)
        try:
            for channel in view.get("InputDataConfig", []):
                channels.download(channel, base / "input" / "data" / channel["ChannelName"], transfer)
        except DataError as error:
            raise JobFailed(f"ClientError: Data download failed:{error}") from error
        argv = self._command(script, view["AlgorithmSpecification"], transfer)
        names = {"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": view["TrainingJobArn"]}
        own = local_paths.localise_all(view.get("Environment", {}), base)
        return Launch(
            argv=argv,
            cwd=script.code,
            env={**script.variables(), **names, **own},
            time_limit=view["StoppingCondition"]["MaxRuntimeInSeconds"],
            memory=instances.memory(view["ResourceConfig"].get("InstanceType")),
        )

    def collect(self, job: Job, transfer: Transfer) -> dict[str, Any]:
        """Upload the model and further output."""
        target = Location.of(job.view["ModelArtifacts"]["S3ModelArtifacts"])
        try:
            if _plain_folder(job.view):
                transfer.put_folder(job.base / "model", target)
            else:
                transfer.put(archives.pack(job.base / "model", job.base / "model.tar.gz"), target)
            if any((data := job.base / "output" / "data").iterdir()):
                place = Location(target.bucket, target.key.rpartition("/")[0]).under("output.tar.gz")
                transfer.put(archives.pack(data, job.base / "output.tar.gz"), place)
        except (DataError, OSError) as error:
            raise JobFailed(f"ClientError: Artifact upload failed:{error}") from error
        return {}

    def failure(self, job: Job, ended: Ended) -> dict[str, Any]:
        """FailureReason: the script's own failure file, else what the toolkit would say."""
        own = failures.written(job.base / "output" / "failure")
        if "ContainerEntrypoint" in job.view["AlgorithmSpecification"]:
            text, code = own or failures.last_error(job.output), failures.exit_code(ended)
        else:
            script = self._script(job)
            command = ["python", script.program or "", *script.arguments]
            text, code = own or failures.script_failure(ended, job.output, command), 1
        return {"FailureReason": failures.reason(text, code)}

    def _script(self, job: Job) -> Script:
        view = job.view
        return Script(
            base=job.base,
            given=local_paths.localise_all(view.get("HyperParameters", {}), job.base),
            resources=resource_config(view["ResourceConfig"].get("InstanceType", "")),
            channels={
                item["ChannelName"]: channels.config(item, view) for item in view.get("InputDataConfig", [])
            },
            job_name=job.name,
            region=job.region,
            framework=known_image(view["AlgorithmSpecification"]["TrainingImage"]).module,
        )

    def _command(self, script: Script, algorithm: dict[str, Any], transfer: Transfer) -> list[str]:
        try:
            if script.source:
                sources.fetch(script.source, script.code, transfer)
        except sources.SourceError as error:
            raise JobFailed(f"AlgorithmError: {error}, exit code: 1") from error
        script.code.mkdir(exist_ok=True)
        if entrypoint := algorithm.get("ContainerEntrypoint"):
            return local_paths.command(entrypoint, algorithm.get("ContainerArguments", []), script.base)
        return [*_program(script), *script.arguments]


def _configure(script: Script) -> None:
    contents = {
        "hyperparameters": script.given,
        "resourceconfig": script.resources,
        "inputdataconfig": script.channels,
    }
    for name, content in contents.items():
        (script.base / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def _program(script: Script) -> list[str]:
    program = script.program
    if not program:
        raise JobFailed(
            "AlgorithmError: The training entry point name is empty. Set the 'sagemaker_program' "
            "hyperparameter to the name of the script to run, relative to your source directory, exit code: 1"
        )
    path = Path(program)
    if path.is_absolute() or ".." in path.parts or not (script.code / path).is_file():
        raise JobFailed(
            f"AlgorithmError: The training entry point {program!r} is not in the source "
            f"{script.source}, exit code: 1"
        )
    if path.suffix == ".py":
        return [sys.executable, program]
    return ["/bin/sh", program]


def _plain_folder(view: dict[str, Any]) -> bool:
    return bool(view["OutputDataConfig"].get("CompressionType") == "NONE")


def _null(member: str) -> Exception:
    return refusal(
        f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must "
        "not be null"
    )
