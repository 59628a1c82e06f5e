"""A notebook as a pipeline: run headless by papermill inside a SageMaker processing job; knows no notebook.

The image is PyTorch's, for its Python: it has 3.12, where scikit-learn's has 3.9 and the kit needs 3.11;
SageMaker knows it for processing jobs in every region; and it runs as root, whereas SageMaker's Distribution
image may not write a job's output. What the notebook imports beyond the image comes along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_kit import errors
from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call, ScriptJob, State
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import daily
from pipelines import expressions as x
from pipelines.models.spec import ROOT

FRAMEWORK, VERSION, PYTHON, INSTANCE = "pytorch", "2.8.0", "py312", "ml.m5.large"
LONGEST = 6 * 3600  # seconds that a notebook may take
REPORTS = "reports/"
_PIECE = 200  # characters of the parameters in one argument: SageMaker takes 256
_RUN = "RunNotebook"


@dataclass(frozen=True)
class NotebookJob:
    """A notebook that runs by itself.

    Attributes
    ----------
    path : pathlib.Path
        The notebook.
    pipeline : str
        Name of its pipeline.
    name : str
        Its results go to ``reports/<name>/<date>/`` in the data bucket.
    schedule : Schedule
        When it runs.
    parameters : mapping
        Its parameters, other than the defaults that stand in it; an execution's input may change them.
    """

    path: Path
    pipeline: str
    name: str
    schedule: Schedule
    parameters: Mapping[str, Any] = field(default_factory=dict)


def named(
    path: Path, name: str | None, schedule: Schedule, parameters: Mapping[str, Any], prefix: str
) -> NotebookJob:
    """A person's notebook as a job, whose pipeline's name is the prefix and its own.

    Raises
    ------
    UsageError
        No name can be made of the file's, or the given one cannot be.
    """
    label = name or re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", label) or len(label) > 30:
        raise UsageError(
            f"{label!r} cannot be a scheduled notebook's name.",
            suggestion="give one with --name: at most 30 of a-z, 0-9 and single '-'.",
        )
    return NotebookJob(path, f"{prefix}{label}", label, schedule, parameters)


def build_job(settings: Settings, job: NotebookJob) -> Pipeline:
    """The pipeline of a notebook.

    Parameters
    ----------
    settings : Settings
        Region and project.
    job : NotebookJob
        What runs when; its parameters are not checked here.

    Raises
    ------
    UsageError
        There is no such notebook.
    """
    script = ROOT / "jobs" / "run_notebook.py"
    label = re.sub(r"[^a-z0-9]", "_", job.name)
    code = Artifact(f"notebook_{label}", "zip", (("__main__.py", script), (job.path.name, job.path)))
    site = _site()
    return Pipeline(
        name=job.pipeline,
        description=f"Runs {job.path.name} and keeps what it shows",
        definition=_definition(settings, job, code, site),
        input_schema=_input_schema(),
        schedules=(job.schedule,),
        artifacts=(code, site),
        reads=("",),
        writes=(f"{REPORTS}{job.name}/",),
        resources={"NotebookPolicy": _policy(settings.project)},
    )


def _site() -> Artifact:
    """The kit, the pipelines and all that they need; the pins stand beside the job's script."""
    kit = Path(errors.__file__).parent
    lines = (ROOT / "jobs" / "run_notebook.txt").read_text().splitlines()
    pins = tuple(line for line in lines if line and not line.startswith("#"))
    return Artifact("notebook_site", "site", (("mlops_kit", kit), ("pipelines", ROOT)), pins)


def _input_schema() -> dict[str, Any]:
    parameters = {
        "type": "object",
        "description": "Parameters of the notebook, in place of the scheduled ones.",
    }
    return daily.input_schema("Day under which the results are kept", parameters=parameters)


def _definition(settings: Settings, job: NotebookJob, code: Artifact, site: Artifact) -> dict[str, Any]:
    region, project = settings.region, settings.project
    run = _run(settings, job, code, site)
    where = "$states.input.output"
    told = x.message(f"'{job.path.name} ran; what it shows: ' & {where} & '{job.path.stem}.html'")
    tell = daily.notify(region, "NotifyResult", daily.ROUTINE, f"{project}: {job.pipeline}", told)
    steps.chain([run, tell, steps.succeed("Reported")])
    failed = daily.failure_path(region, project, job.pipeline, "NotebookFailed")
    steps.catch([run], failed, _failure())
    daily.lead_failures([tell], failed)
    members = {
        "parameters": f"$merge([{_literal(job.parameters)}, $states.input.parameters])",
        "output": f"'s3://${{DataBucket}}/{REPORTS}{job.name}/' & $day & '/'",
    }
    first = daily.entrance(run, failed, members)
    return steps.definition(first, f"Runs {job.path.name}", LONGEST + 3600)


def _run(settings: Settings, job: NotebookJob, code: Artifact, site: Artifact) -> State:
    region, project = settings.region, settings.project
    base = "/opt/ml/processing/input"
    inputs = {one: f"s3://${{ArtifactBucket}}/{made.key}" for one, made in (("code", code), ("site", site))}
    program = f"{base}/code/{code.key.rpartition('/')[2]}"
    fixed = ("--notebook", job.path.name, "--project", project, "--region", region, "--uri")
    work = ScriptJob(
        image=steps.image_uri(FRAMEWORK, VERSION, region, INSTANCE, "training", PYTHON),
        instance=INSTANCE,
        name=x.job_name(project, job.name),
        inputs=inputs,
        output=x.of("output"),
        max_seconds=LONGEST,
        arguments=("python3", program),
        tags={"mlops-kit:project": project, "mlops-kit:pipeline": job.pipeline},
    )
    # not again when the notebook has failed: it would fail again, or do twice what it does
    state = steps.processing(_RUN, region, work, Call(LONGEST + 1800, (steps.SAGEMAKER,)), x.KEEP)
    listed = ", ".join(f"'{one}'" for one in fixed)
    pieces = (
        f"$map([0..$floor($length($text) / {_PIECE})],"
        f" function($i) {{ ':' & $substring($text, $i * {_PIECE}, {_PIECE}) }})"
    )
    arguments = (
        "{% ($text := $string($states.input.parameters);"
        f" $append([{listed}, $states.input.output, '--parameters'], {pieces})) %}}"
    )
    state.fields["arguments"]["AppSpecification"]["ContainerArguments"] = arguments
    return state


def _failure() -> str:
    """Output of a Catch: the job's own words, where it had some, in place of its whole description."""
    cause = "$states.errorOutput.Cause"
    said = f"$contains({cause}, '\"ExitMessage\"') ? $parse({cause}).ExitMessage : {cause}"
    return (
        "{% $merge([$states.input, {'failure': {"
        f"'state': '{_RUN}', 'error': $states.errorOutput.Error, 'cause': {said}}}}}]) %}}"
    )


def _literal(value: Any) -> str:
    """JSON as JSONata in a definition: no text in it may look like a token or like an expression's end."""
    return json.dumps(value, sort_keys=True).replace("$", "\\u0024").replace("%", "\\u0025")


def _policy(project: str) -> dict[str, Any]:
    """What a notebook reads of the project through the kit, beside the data bucket."""
    base = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
    allowed: dict[str, tuple[Any, ...]] = {
        "Executions": (
            ("states:DescribeExecution", "states:GetExecutionHistory"),
            base % ("states", f"execution:{project}-*:*"),
        ),
        "StateMachines": (
            ("states:ListExecutions",),
            *(base % ("states", one) for one in (f"stateMachine:{project}-*", f"mapRun:{project}-*/*:*")),
        ),
        "Stacks": (
            ("cloudformation:DescribeStacks", "cloudformation:GetTemplate"),
            base % ("cloudformation", f"stack/{project}-*/*"),
        ),
        "Schedules": (("scheduler:GetSchedule",), base % ("scheduler", f"schedule/{project}-*/*")),
        "Queues": (
            ("sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
            base % ("sqs", f"{project}-*"),
        ),
        "Endpoints": (("sagemaker:InvokeEndpoint",), base % ("sagemaker", f"endpoint/{project}-*")),
        "Versions": (
            ("sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"),
            base % ("sagemaker", f"model-package/{project}-*/*"),
        ),
        "Groups": (
            ("sagemaker:ListModelPackages",),
            base % ("sagemaker", f"model-package-group/{project}-*"),
        ),
    }
    statements: list[dict[str, Any]] = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Action": list(actions),
            "Resource": [{"Fn::Sub": one} for one in resources],
        }
        for sid, (actions, *resources) in allowed.items()
    ]
    lists = ("states:ListStateMachines", "scheduler:ListScheduleGroups", "scheduler:ListSchedules")
    listing = [*lists, "cloudwatch:GetMetricData"]
    statements.append({"Sid": "Everything", "Effect": "Allow", "Action": listing, "Resource": ["*"]})
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "WhatTheNotebookReads",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
            "Roles": [{"Ref": "SageMakerRole"}],
        },
    }
