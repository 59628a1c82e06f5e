"""`.sync` integrations: submit a job, look at it, stop it, and find it again after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import requests
from mlops_kit.local.stepfunctions.integrations.calls import Answer, Call, send
from mlops_kit.local.stepfunctions.integrations.target import Reply, Target

Fields = Mapping[str, Any]
_MANAGED = {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}


@dataclass(frozen=True)
class Job:
    """How one kind of job is followed.

    Attributes
    ----------
    identify : callable
        (arguments, answer) to the members that name the job.
    describe, status, good, bad : str, callable, frozenset, frozenset
        The action that shows it, where its status stands, and the statuses in which it has ended.
    stop : tuple
        The action that stops it, and the members that it takes, made from the job's.
    shown : callable
        The part of the description that is the task's output.
    created : callable
        When the job began, from its description; for finding it again.
    tagged : bool
        Whether Step Functions tags the job as managed.
    """

    identify: Callable[[Fields, Fields], dict[str, str]]
    describe: str
    status: Callable[[Fields], str]
    good: frozenset[str]
    bad: frozenset[str]
    stop: tuple[str, Callable[[Fields], dict[str, Any]]]
    shown: Callable[[Fields], Any] = dict
    created: Callable[[Fields], Any] = lambda shown: shown.get("CreationTime")
    tagged: bool = False


def _sagemaker(kind: str) -> Job:
    name, status = f"{kind}Name", f"{kind}Status"
    return Job(
        identify=lambda arguments, answer: {name: arguments[name]},
        describe=f"describe{kind}",
        status=lambda shown: str(shown[status]),
        good=frozenset({"Completed"}),
        bad=frozenset({"Failed", "Stopped"}),
        stop=(f"stop{kind}", dict),
        tagged=True,
    )


def _nested(parsed: bool) -> Job:
    def shown(description: Fields) -> dict[str, Any]:
        answer = {key: value for key, value in description.items() if key != "TraceHeader"}
        for key in ("Input", "Output"):
            if parsed and answer.get(key) is not None:
                answer[key] = json.loads(answer[key])
        return answer

    return Job(
        identify=lambda arguments, answer: {"ExecutionArn": answer["ExecutionArn"]},
        describe="describeExecution",
        status=lambda shown: str(shown["Status"]),
        good=frozenset({"SUCCEEDED"}),
        bad=frozenset({"FAILED", "TIMED_OUT", "ABORTED"}),
        stop=("stopExecution", dict),
        shown=shown,
    )


JOBS: Mapping[tuple[str, str], Job] = {
    ("sagemaker", "createTrainingJob"): _sagemaker("TrainingJob"),
    ("sagemaker", "createTransformJob"): _sagemaker("TransformJob"),
    ("sagemaker", "createProcessingJob"): _sagemaker("ProcessingJob"),
    ("sagemaker", "createHyperParameterTuningJob"): _sagemaker("HyperParameterTuningJob"),
    ("sagemaker", "createLabelingJob"): _sagemaker("LabelingJob"),
    ("glue", "startJobRun"): Job(
        identify=lambda arguments, answer: {"JobName": arguments["JobName"], "RunId": answer["JobRunId"]},
        describe="getJobRun",
        status=lambda shown: str(shown["JobRun"]["JobRunState"]),
        good=frozenset({"SUCCEEDED"}),
        bad=frozenset({"FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"}),
        stop=("batchStopJobRun", lambda job: {"JobName": job["JobName"], "JobRunIds": [job["RunId"]]}),
        shown=lambda shown: shown["JobRun"],
    ),
    ("athena", "startQueryExecution"): Job(
        identify=lambda arguments, answer: {"QueryExecutionId": answer["QueryExecutionId"]},
        describe="getQueryExecution",
        status=lambda shown: str(shown["QueryExecution"]["Status"]["State"]),
        good=frozenset({"SUCCEEDED"}),
        bad=frozenset({"FAILED", "CANCELLED"}),
        stop=("stopQueryExecution", dict),
    ),
    ("ecs", "runTask"): Job(
        identify=lambda arguments, answer: {
            "Cluster": arguments.get("Cluster", "default"),
            "Tasks": [answer["Tasks"][0]["TaskArn"]],
        },
        describe="describeTasks",
        status=lambda shown: _ecs_status(shown["Tasks"][0]),
        good=frozenset({"STOPPED"}),
        bad=frozenset({"FAILED"}),
        stop=("stopTask", lambda job: {"Cluster": job["Cluster"], "Task": job["Tasks"][0]}),
        shown=lambda shown: shown["Tasks"][0],
    ),
}


def _ecs_status(task: Fields) -> str:
    """A stopped task has failed unless every container's exit code is 0."""
    if task["LastStatus"] != "STOPPED":
        return str(task["LastStatus"])
    clean = all(container.get("ExitCode") == 0 for container in task.get("Containers", ()))
    return "STOPPED" if clean and task.get("Containers") else "FAILED"


def _job(target: Target) -> Job:
    if target.service == "states":
        return _nested(parsed=target.pattern == "sync:2")
    job = JOBS.get((target.service, target.action))
    if job is None or target.sdk:
        words = f"The resource provided {target.full_resource} is not recognized."
        raise StateFailed("States.Runtime", words, runtime=True)
    return job


def submit(call: Call) -> Reply:
    """Start a job; after a restart, the one that the former process started is found instead."""
    job = _job(call.target)
    arguments = requests.prepared(call)
    if job.tagged:
        arguments["Tags"] = [*(arguments.get("Tags") or []), _MANAGED]
    found = _glue_run(call, arguments) if call.repeated and call.target.service == "glue" else None
    try:
        answer = found or send(call.context, call.target, arguments)
    except StateFailed as failure:
        known = _again(call, job, arguments, failure)
        if known is None:
            raise
        return Reply(Doc(known), known)
    body = requests.output(call, answer)
    if call.target.service == "glue":
        body = {"JobName": arguments["JobName"], **body}
    if call.target.service == "ecs" and not body.get("Tasks"):
        raise StateFailed("AmazonECS.Unknown", dumps(body.get("Failures", [])))
    return Reply(Doc(body), job.identify(arguments, body))


def _again(call: Call, job: Job, arguments: Fields, failure: StateFailed) -> dict[str, str] | None:
    """The job that this attempt started before a restart, when the name is refused as taken."""
    taken = ("ResourceInUseException", "ExecutionAlreadyExistsException")
    if not call.repeated or not str(failure.error).endswith(taken):
        return None
    if call.target.service == "states":
        return requests.started(arguments)
    known = job.identify(arguments, {})
    raw = send(call.context, call.target, known, job.describe).raw
    created = raw.get("CreationTime")
    return known if isinstance(created, datetime) and created.timestamp() >= call.since - 1 else None


def _glue_run(call: Call, arguments: Fields) -> Answer | None:
    """The run that this attempt started before a restart: Glue has no token for that."""
    raw = send(call.context, call.target, {"JobName": arguments["JobName"]}, "getJobRuns").raw
    for run in raw.get("JobRuns", ()):
        started = run.get("StartedOn")
        same = {**(run.get("Arguments") or {})} == {**(arguments.get("Arguments") or {})}
        if same and isinstance(started, datetime) and started.timestamp() >= call.since - 1:
            return Answer({"JobRunId": run["Id"]}, raw)
    return None


def look(context: Context, target: Target, known: dict[str, str]) -> Reply | None:
    """The job's end as the task's output, or None while it runs.

    Raises
    ------
    StateFailed
        States.TaskFailed with the description as cause, when the job did not end well.
    """
    job = _job(target)
    described = send(context, target, known, job.describe).body
    status = job.status(described)
    if status in job.good:
        return Reply(Doc(job.shown(described)))
    if status in job.bad:
        raise StateFailed("States.TaskFailed", dumps(job.shown(described)))
    return None


def stop(context: Context, target: Target, known: dict[str, str]) -> None:
    """Ask the service to stop the job."""
    action, members = _job(target).stop
    send(context, target, members(known), action)
