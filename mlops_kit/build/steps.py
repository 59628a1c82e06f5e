"""The vocabulary of workflows, on the AWS Data Science SDK; must not call AWS nor know a pipeline.

Workflows are written in JSONata: a state takes ``Arguments`` and gives ``Output``. Every state is one of the
SDK's, mended by ``sdk.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from mlops_kit.build.canonical import canonical
from mlops_kit.build.sdk import OfflineSession, partition, sdk
from mlops_kit.errors import KitError

State = Any  # a state of the SDK, with ``next`` and ``to_dict``; the SDK has no types


@dataclass(frozen=True)
class Retry:
    """One retrier.

    Attributes
    ----------
    errors : tuple of str
        Error names, as ``ErrorEquals``.
    interval : int
        Seconds before the first retry.
    attempts : int
        Most retries.
    backoff : float
        Factor from one pause to the next.
    cap : int
        Longest pause, in seconds.
    """

    errors: tuple[str, ...]
    interval: int = 2
    attempts: int = 4
    backoff: float = 2.0
    cap: int = 60

    def to_dict(self) -> dict[str, Any]:
        """In Amazon States Language, with full jitter: what failed together does not return together."""
        return {
            "ErrorEquals": list(self.errors),
            "IntervalSeconds": self.interval,
            "MaxAttempts": self.attempts,
            "BackoffRate": self.backoff,
            "MaxDelaySeconds": self.cap,
            "JitterStrategy": "FULL",
        }


# Throttling and capacity, by the names under which each integration reports them.
SAGEMAKER = Retry(("SageMaker.AmazonSageMakerException", "SageMaker.SageMakerException"), 2, 4)
GLUE = Retry(("Glue.AWSGlueException", "Glue.ConcurrentRunsExceededException"), 5, 5, cap=120)
JOB_FAILED = Retry(("States.TaskFailed",), 3, 2, cap=30)  # capacity and a passing fault look like any failure
LAMBDA = Retry(  # Step Functions Developer Guide, "Handle Lambda service exceptions"
    (
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.TooManyRequestsException",
    ),
    attempts=6,
)
DYNAMODB = Retry(
    (
        "DynamoDB.ProvisionedThroughputExceededException",
        "DynamoDB.RequestLimitExceededException",
        "DynamoDB.ThrottlingException",
        "DynamoDB.InternalServerErrorException",
    ),
    interval=1,
)
ATHENA = Retry(("Athena.AmazonAthenaException", "Athena.TooManyRequestsException"), 2, 4)
EVENTS = Retry(("EventBridge.EventBridgeException", "EventBridge.InternalException"), 1)
CLOUDWATCH = Retry(("CloudWatch.CloudWatchException", "CloudWatch.InternalServiceFaultException"), 1)
SNS = Retry(("SNS.AmazonSNSException", "SNS.ThrottledException", "SNS.InternalErrorException"), 1)


@dataclass(frozen=True)
class Call:
    """How a Task calls and how long it may take.

    Attributes
    ----------
    timeout : int
        Seconds; ``TimeoutSeconds``.
    retries : tuple of Retry
        In the order in which they are tried.
    """

    timeout: int = 60
    retries: tuple[Retry, ...] = ()


@dataclass(frozen=True)
class ScriptJob:
    """A training or processing job in script mode.

    Attributes
    ----------
    image : str
        Image URI, from ``image_uri``.
    instance : str
        SageMaker instance type.
    name : str
        JSONata that gives a name unique among all tries.
    inputs : mapping of str to str
        Channel or input name to S3 URI (may be JSONata).
    output : str
        S3 URI of what it writes (may be JSONata).
    max_seconds : int
        Longest run.
    arguments : sequence of str
        Processing: the entry point and its arguments.
    source : str
        Training: S3 URI of the source archive.
    program : str
        Training: the script within it.
    hyperparameters : mapping of str to int, float or str
        Training.
    metrics : mapping of str to str
        Training: metric name to regular expression over the output.
    tags : mapping of str to str
        Tags of the job (values may be JSONata).
    """

    image: str
    instance: str
    name: str
    inputs: Mapping[str, str]
    output: str
    max_seconds: int = 3600
    arguments: Sequence[str] = ()
    source: str = ""
    program: str = ""
    hyperparameters: Mapping[str, int | float | str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def image_uri(
    framework: str,
    version: str,
    region: str,
    instance: str,
    scope: str = "inference",
    python: str | None = None,
) -> str:
    """URI of a framework's image, from the SageMaker SDK's own tables.

    Parameters
    ----------
    framework, version, region, instance : str
        Such as ``sklearn``, ``1.2-1``, ``eu-central-1``, ``ml.m5.large``.
    scope : {"inference", "training"}
        scikit-learn and XGBoost have one image for both.
    python : str, optional
        Such as ``py312``, where the framework's images have several.

    Raises
    ------
    KitError
        The SDK knows no such image in that region.
    """
    library = sdk()
    with library.island.active():
        try:
            uri = library.image_uris.retrieve(
                framework,
                region,
                version=version,
                instance_type=instance,
                image_scope=scope,
                py_version=python,
            )
        except ValueError as error:
            raise KitError(
                f"There is no {framework} {version} image in {region}.", cause=str(error)
            ) from error
    return str(uri)


def task(
    name: str, region: str, integration: str, arguments: Mapping[str, Any], call: Call, output: Any
) -> State:
    """A Task that calls a service.

    Parameters
    ----------
    name : str
        State name.
    region : str
        Decides the partition.
    integration : str
        Such as ``lambda:invoke`` or ``glue:startJobRun.sync``.
    arguments : mapping
        ``Arguments``, values may be JSONata.
    call : Call
        Time limit and retries.
    output : Any
        ``Output``, may be JSONata.
    """
    resource = f"arn:{partition(region)}:states:::{integration}"
    return _timed(sdk().Task(name, resource=resource, arguments=dict(arguments), output_=output), call)


def training(name: str, region: str, job: ScriptJob, call: Call, output: Any) -> State:
    """A Task that trains by script and waits for the end: the SDK's ``TrainingStep`` on an ``SKLearn``."""
    library = sdk()
    with library.island.active():
        estimator = library.SKLearn(
            entry_point=job.program,
            source_dir=job.source,
            role="${SageMakerRole}",
            instance_type=job.instance,
            instance_count=1,
            image_uri=job.image,
            framework_version="1.2-1",
            py_version="py3",
            output_path="s3://set-below",
            hyperparameters=dict(job.hyperparameters),
            metric_definitions=[{"Name": key, "Regex": value} for key, value in job.metrics.items()],
            max_run=job.max_seconds,
            debugger_hook_config=False,
            sagemaker_session=OfflineSession(region),
        )
        channels = {key: library.TrainingInput(uri) for key, uri in job.inputs.items()}
        step = library.TrainingStep(
            name, estimator=estimator, job_name=job.name, data=channels, tags=dict(job.tags)
        )
    arguments = step.fields["parameters"]
    arguments["OutputDataConfig"] = {"S3OutputPath": job.output}  # the SDK takes no expression there
    # the estimator quotes the name as JSON, and an expression within quotes is none
    arguments["HyperParameters"]["sagemaker_job_name"] = f"{{% '\"' & {job.name[2:-2].strip()} & '\"' %}}"
    return _as_job(step, region, "sagemaker:createTrainingJob.sync", call, output)


def processing(name: str, region: str, job: ScriptJob, call: Call, output: Any) -> State:
    """A Task that runs a script over folders and waits for the end: the SDK's ``ProcessingStep``.

    Each input stands under ``/opt/ml/processing/input/<name>``, what is written to
    ``/opt/ml/processing/output`` goes to ``job.output``.
    """
    library, base = sdk(), "/opt/ml/processing"
    with library.island.active():
        processor = library.Processor(
            role="${SageMakerRole}",
            image_uri=job.image,
            instance_count=1,
            instance_type=job.instance,
            max_runtime_in_seconds=job.max_seconds,
            sagemaker_session=OfflineSession(region),
        )
        inputs = [
            library.ProcessingInput(source=uri, destination=f"{base}/input/{key}", input_name=key)
            for key, uri in job.inputs.items()
        ]
        outputs = [
            library.ProcessingOutput(source=f"{base}/output", destination=job.output, output_name="output")
        ]
        step = library.ProcessingStep(
            name,
            processor=processor,
            job_name=job.name,
            inputs=inputs,
            outputs=outputs,
            container_entrypoint=list(job.arguments[:2]),
            container_arguments=list(job.arguments[2:]),
            tags=dict(job.tags),
        )
    return _as_job(step, region, "sagemaker:createProcessingJob.sync", call, output)


def pass_(name: str, output: Any, comment: str = "") -> State:
    """A Pass that computes its output."""
    return sdk().Pass(name, output_=output, **({"comment": comment} if comment else {}))


def choice(
    name: str, branches: Iterable[tuple[str, State] | tuple[str, State, str]], default: State
) -> State:
    """A Choice: the first condition (JSONata) that is true leads to its state, with its output if any."""
    state = sdk().Choice(name)
    for condition, target, *output in branches:
        state.add_choice(_Condition(condition, *output), target)
    state.default_choice(default)
    return state


def wait(name: str, seconds: int | str) -> State:
    """A Wait; the seconds may be JSONata."""
    return sdk().Wait(name, seconds=seconds)


def group(name: str, first: State, output: Any) -> State:
    """States that belong together: a Parallel of one branch, which fails, is caught and resumed whole."""
    state = sdk().Parallel(name, output_=output)
    state.add_branch(first)
    return state


def succeed(name: str) -> State:
    """A Succeed."""
    return sdk().Succeed(name)


def fail(name: str, error: str, cause: str) -> State:
    """A Fail; error and cause may be JSONata."""
    return sdk().Fail(name, error=error, cause=cause)


def chain(states: Sequence[State]) -> State:
    """Each state leads to the next; gives back the first."""
    for left, right in pairwise(states):
        left.next(right)
    return states[0]


def catch(
    states: Iterable[State], target: State, output: Any, errors: Sequence[str] = ("States.ALL",)
) -> None:
    """Let errors of these states lead to another, with ``output`` (it may use ``$states.errorOutput``)."""
    for state in states:
        state.add_catch(sdk().Catch(error_equals=list(errors), next_step=target, output_=output))


def definition(first: State, comment: str, timeout: int) -> dict[str, Any]:
    """The workflow that begins with a state, in Amazon States Language.

    Parameters
    ----------
    first : State
        Everything that it leads to belongs to the workflow.
    comment : str
        What the workflow is for.
    timeout : int
        Seconds that an execution may take.

    Raises
    ------
    KitError
        Something in it cannot be written as JSON, or is a Python object's name.
    """
    graph = sdk().Graph(first, comment=comment, timeout_seconds=timeout, query_language="JSONata")
    machine: dict[str, Any] = canonical(graph.to_dict())
    return machine


@dataclass(frozen=True)
class _Condition:
    """A JSONata rule of a Choice, as the SDK's ``add_choice`` takes one."""

    condition: str
    output: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"Condition": self.condition, "Output": self.output}


def _timed(state: State, call: Call) -> State:
    state.fields["timeout_seconds"] = call.timeout
    state.add_retry(list(call.retries))
    return state


def _as_job(step: State, region: str, integration: str, call: Call, output: Any) -> State:
    """Turn an SDK step's ``Parameters`` into ``Arguments``, under a resource of the right partition."""
    step.fields["arguments"] = step.fields.pop("parameters")
    step.fields["resource"] = f"arn:{partition(region)}:states:::{integration}"
    step.fields["output_"] = output
    return _timed(step, call)
