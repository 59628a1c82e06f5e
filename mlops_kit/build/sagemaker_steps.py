"""SageMaker jobs as steps, by the SDK's steps, estimators and image tables; must not know a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_kit.build.sdk import OfflineSession, sdk
from mlops_kit.build.steps import Handling, Json, State, around
from mlops_kit.errors import UsageError

FOLDER = "/opt/ml/processing"


@dataclass(frozen=True)
class TrainingJob:
    """A training job in script mode on the scikit-learn image.

    Attributes
    ----------
    name : str
        Expression, without ``{% %}``, that is unique for each attempt; at most 63 characters.
    image, version, region : str
        Image URI, framework version and region.
    source, program : str
        S3 URI of the source archive, and the script in it.
    role, instance, output : str
        Role's ARN, instance type, and S3 URI under which the model goes.
    channels : mapping of str to str
        Channel to S3 URI.
    hyperparameters : mapping
        Values are JSON-encoded, as the framework images expect.
    metrics : mapping of str to str
        Metric to regular expression with one group.
    max_run : int
        Seconds.
    tags : mapping of str to str
        Tags; values may be expressions.
    """

    name: str
    image: str
    version: str
    region: str
    source: str
    program: str
    role: str
    instance: str
    output: str
    channels: Mapping[str, str]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    max_run: int = 3600
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessingJob:
    """A processing job.

    Attributes
    ----------
    name : str
        Expression, without ``{% %}``, that is unique for each attempt; at most 63 characters.
    image, region, role, instance : str
        Image URI, region, role's ARN, instance type.
    inputs : mapping of str to str
        Name to S3 URI; each is copied to ``/opt/ml/processing/input/<name>``.
    output : str
        S3 URI to which ``/opt/ml/processing/output`` is copied at the end.
    command : tuple of str
        What runs: an interpreter and a script.
    arguments : tuple of str
        Its arguments; each may be an expression.
    max_run : int
        Seconds.
    tags : mapping of str to str
        Tags; values may be expressions.
    """

    name: str
    image: str
    region: str
    role: str
    instance: str
    inputs: Mapping[str, str]
    output: str
    command: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    max_run: int = 1800
    tags: Mapping[str, str] = field(default_factory=dict)


def training(name: str, job: TrainingJob, handling: Handling, output: Json = None) -> State:
    """A Task that trains and waits for the end: the SDK's ``TrainingStep`` on an ``SKLearn`` estimator."""
    kit = sdk()
    with kit.island.active():
        state = kit.TrainingStep(
            name,
            estimator=_estimator(job),
            job_name=f"{{% {job.name} %}}",
            data={channel: kit.TrainingInput(uri) for channel, uri in job.channels.items()},
            # the estimator quotes the name as JSON, and an expression within quotes is none
            hyperparameters={"sagemaker_job_name": f"{{% '\"' & {job.name} & '\"' %}}"},
            tags=dict(job.tags),
            output_=output,
            **around(handling),
        )
    return _in_jsonata(state)


def processing(name: str, job: ProcessingJob, handling: Handling, output: Json = None) -> State:
    """A Task that runs a processing job and waits for its end: the SDK's ``ProcessingStep``."""
    kit = sdk()
    with kit.island.active():
        processor = kit.Processor(
            role=job.role,
            image_uri=job.image,
            instance_type=job.instance,
            instance_count=1,
            max_runtime_in_seconds=job.max_run,
            sagemaker_session=OfflineSession(job.region),
        )
        state = kit.ProcessingStep(
            name,
            processor=processor,
            job_name=f"{{% {job.name} %}}",
            inputs=[
                kit.ProcessingInput(source=uri, destination=f"{FOLDER}/input/{key}", input_name=key)
                for key, uri in job.inputs.items()
            ],
            outputs=[
                kit.ProcessingOutput(source=f"{FOLDER}/output", destination=job.output, output_name="output")
            ],
            container_entrypoint=list(job.command),
            container_arguments=list(job.arguments),
            tags=dict(job.tags),
            output_=output,
            **around(handling),
        )
    return _in_jsonata(state)


def image_uri(framework: str, version: str, region: str, scope: str, instance: str = "ml.m5.large") -> str:
    """URI of a framework's image, from the SageMaker SDK's tables.

    Parameters
    ----------
    framework, version : str
        Such as ``sklearn`` and ``1.2-1``.
    region : str
        AWS region.
    scope : {"training", "inference"}
        What it is used for.
    instance : str
        Decides between images for CPU and for GPU.

    Raises
    ------
    UsageError
        The tables hold no such image.
    """
    kit = sdk()
    try:
        with kit.island.active():
            uri = kit.image_uris.retrieve(
                framework, region, version=version, image_scope=scope, instance_type=instance
            )
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(
            f"AWS has no {scope} image of {framework} {version} in {region}.",
            cause=str(error),
            suggestion="choose a version that exists for training and for inference, such as sklearn 1.2-1.",
        ) from error
    return str(uri)


def _estimator(job: TrainingJob) -> Any:
    return sdk().SKLearn(
        entry_point=job.program,
        source_dir=job.source,
        framework_version=job.version,
        image_uri=job.image,
        role=job.role,
        instance_type=job.instance,
        instance_count=1,
        output_path=job.output,
        hyperparameters=dict(job.hyperparameters),
        metric_definitions=[{"Name": name, "Regex": regex} for name, regex in job.metrics.items()],
        max_run=job.max_run,
        debugger_hook_config=False,
        disable_profiler=True,
        sagemaker_session=OfflineSession(job.region),
    )


def _in_jsonata(state: State) -> State:
    state.fields["arguments"] = state.fields.pop("parameters")
    return state
