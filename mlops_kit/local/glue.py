"""AWS Glue's jobs and job runs: requests and their checks; the catalogue and tags stay ministack's.

Must not run anything itself. Sources: AWS Glue Web API Reference, the page of each operation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlops_kit.local.clients import client
from mlops_kit.local.glue_runs import Runs
from mlops_kit.local.glue_store import GlueStore
from mlops_kit.local.service import ACCOUNT, AwsError, Context, Request, Service

_COMMANDS = ("glueetl", "pythonshell", "gluestreaming", "glueray")
_JOB_PAGE, _RUN_PAGE = 1000, 200


class Glue(Service):
    """Glue jobs, really run.

    Parameters
    ----------
    context : Context
        What a service may use.
    """

    name = "glue"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._store = GlueStore(context.store)
        self._runs = Runs(context, self._store)
        self.operations = {
            "CreateJob": self._create_job,
            "UpdateJob": self._update_job,
            "GetJob": self._get_job,
            "GetJobs": self._get_jobs,
            "ListJobs": self._list_jobs,
            "DeleteJob": self._delete_job,
            "BatchGetJobs": self._batch_get_jobs,
            "StartJobRun": self._start_job_run,
            "GetJobRun": self._get_job_run,
            "GetJobRuns": self._get_job_runs,
            "BatchStopJobRun": self._batch_stop_job_run,
        }
        self._store.migrate()

    def start(self) -> None:
        """Take up the runs of a former server."""
        self._runs.recover()

    def under_way(self) -> list[str]:
        """Job runs that have not ended."""
        return [f"Glue job {run['JobName']}" for _, run in self._store.active()]

    def stop(self) -> None:
        """Start no more runs; those that go on are the runner's to end."""
        self._runs.rest()

    def _create_job(self, request: Request) -> dict[str, Any]:
        params = dict(request.params)
        name, tags = params["Name"], params.pop("Tags", None)
        _check_definition(params)
        if self._store.job(request.region, name):
            raise AwsError("AlreadyExistsException", f"Job with name: {name} already exists.")
        now = self._now()
        self._store.keep_job(request.region, {**_completed(params), "CreatedOn": now, "LastModifiedOn": now})
        if tags:
            self._tags(request).tag_resource(ResourceArn=_arn(request.region, name), TagsToAdd=tags)
        return {"Name": name}

    def _update_job(self, request: Request) -> dict[str, Any]:
        """What the update does not name is reset, as AWS's UpdateJob does."""
        job = self._known(request, request.params["JobName"])
        update = request.params["JobUpdate"]
        merged = {"Role": job["Role"], "Command": job["Command"], **update, "Name": job["Name"]}
        _check_definition(merged)
        kept = {"CreatedOn": job["CreatedOn"], "LastModifiedOn": self._now()}
        self._store.keep_job(request.region, {**_completed(merged), **kept})
        return {"JobName": job["Name"]}

    def _get_job(self, request: Request) -> dict[str, Any]:
        return {"Job": self._known(request, request.params["JobName"])}

    def _get_jobs(self, request: Request) -> dict[str, Any]:
        return _page(self._store.jobs(request.region), request.params, "Jobs")

    def _list_jobs(self, request: Request) -> dict[str, Any]:
        names = [job["Name"] for job in self._store.jobs(request.region)]
        wanted = (request.params.get("Tags") or {}).items()
        if wanted:
            tags = self._tags(request)
            arns = {name: _arn(request.region, name) for name in names}
            names = [n for n in names if wanted <= tags.get_tags(ResourceArn=arns[n])["Tags"].items()]
        return _page(names, request.params, "JobNames")

    def _delete_job(self, request: Request) -> dict[str, Any]:
        name = request.params["JobName"]
        if self._store.job(request.region, name):
            self._store.delete_job(request.region, name)
            tags, arn = self._tags(request), _arn(request.region, name)
            if kept := list(tags.get_tags(ResourceArn=arn)["Tags"]):
                tags.untag_resource(ResourceArn=arn, TagsToRemove=kept)
        return {"JobName": name}

    def _batch_get_jobs(self, request: Request) -> dict[str, Any]:
        found = {name: self._store.job(request.region, name) for name in request.params["JobNames"]}
        return {
            "Jobs": [job for job in found.values() if job],
            "JobsNotFound": [name for name, job in found.items() if not job],
        }

    def _start_job_run(self, request: Request) -> dict[str, Any]:
        params = request.params
        job = self._store.job(request.region, params["JobName"])
        if job is None:
            raise AwsError("EntityNotFoundException", "Failed to start job run due to missing metadata")
        if "JobRunId" in params:
            words = "The embedded AWS starts new runs only; leave JobRunId out, or use the job's MaxRetries."
            raise AwsError("InvalidInputException", words)
        fixed = set(job.get("NonOverridableArguments") or {}) & set(params.get("Arguments") or {})
        if fixed:
            raise AwsError(
                "InvalidInputException",
                f"Argument {sorted(fixed)[0]} of job {job['Name']} is not overridable.",
            )
        _check_capacity({**job, **{k: v for k, v in params.items() if k == "MaxCapacity"}})
        return {"JobRunId": self._runs.start(request.region, job, params)}

    def _get_job_run(self, request: Request) -> dict[str, Any]:
        job, id = request.params["JobName"], request.params["RunId"]
        self._known(request, job)
        run = self._store.run(request.region, job, id)
        if run is None:
            raise AwsError("EntityNotFoundException", f"Job run {id} of job {job} was not found.")
        return {"JobRun": self._runs.shown(run)}

    def _get_job_runs(self, request: Request) -> dict[str, Any]:
        params = request.params
        job = self._known(request, params["JobName"])
        limit = params.get("MaxResults", _RUN_PAGE)
        token = _number(params.get("NextToken"))
        rows = self._store.runs(request.region, job["Name"], before=token, limit=limit + 1)
        page: dict[str, Any] = {"JobRuns": [self._runs.shown(run) for _, run in rows[:limit]]}
        if len(rows) > limit:
            page["NextToken"] = str(rows[limit - 1][0])
        return page

    def _batch_stop_job_run(self, request: Request) -> dict[str, Any]:
        job = request.params["JobName"]
        done, errors = [], []
        for id in request.params["JobRunIds"]:
            which = {"JobName": job, "JobRunId": id}
            try:
                self._runs.stop(request.region, job, id)
                done.append(which)
            except AwsError as error:
                errors.append(
                    {**which, "ErrorDetail": {"ErrorCode": error.code, "ErrorMessage": error.message}}
                )
        return {"SuccessfulSubmissions": done, "Errors": errors}

    def _known(self, request: Request, name: str) -> dict[str, Any]:
        job = self._store.job(request.region, name)
        if job is None:
            raise AwsError("EntityNotFoundException", f"Job {name} not found.")
        return job

    def _tags(self, request: Request) -> Any:
        """A client of the port: tags of all of Glue's resources are in one place, which is not ours."""
        return client(self.context.url, request.region, "glue")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.context.clock.now(), UTC)


def _arn(region: str, name: str) -> str:
    return f"arn:aws:glue:{region}:{ACCOUNT}:job/{name}"


def _check_definition(job: Mapping[str, Any]) -> None:
    command = job["Command"]
    kind = command.get("Name")
    if kind not in _COMMANDS:
        words = f"Command name {kind!r} is not one of {', '.join(_COMMANDS)}."
        raise AwsError("InvalidInputException", words)
    if not re.match(r"s3://[^/]+/.+", command.get("ScriptLocation") or ""):
        raise AwsError("InvalidInputException", "Command.ScriptLocation must be an S3 path: s3://bucket/key.")
    _check_capacity(job)


def _check_capacity(job: Mapping[str, Any]) -> None:
    workers = [name for name in ("WorkerType", "NumberOfWorkers") if job.get(name) is not None]
    if job["Command"].get("Name") != "pythonshell":
        if workers and job.get("MaxCapacity") is not None:
            words = "Please do not set Max Capacity when using Worker Type and Number of Workers."
            raise AwsError("InvalidInputException", words)
        return
    if workers:
        raise AwsError("InvalidInputException", f"{workers[0]} is not supported for Job Command pythonshell.")
    if job.get("MaxCapacity") not in (None, 0.0625, 1.0):
        raise AwsError("InvalidInputException", "Max Capacity of a Python shell job must be 0.0625 or 1.")


def _completed(params: Mapping[str, Any]) -> dict[str, Any]:
    """A job with AWS's defaults."""
    shell = params["Command"].get("Name") == "pythonshell"
    defaults: dict[str, Any] = {
        "JobMode": "SCRIPT",
        "ExecutionProperty": {"MaxConcurrentRuns": 1},
        "MaxRetries": 0,
        "Timeout": 2880,
        "AllocatedCapacity": 0,
    }
    if shell:
        defaults |= {"MaxCapacity": 0.0625, "GlueVersion": "1.0"}
        command = {"PythonVersion": "3", **params["Command"]}
        return {**defaults, **params, "Command": command}
    return {**defaults, **params}


def _page(items: Sequence[Any], params: Mapping[str, Any], member: str) -> dict[str, Any]:
    start, limit = _number(params.get("NextToken")) or 0, params.get("MaxResults", _JOB_PAGE)
    page: dict[str, Any] = {member: list(items[start : start + limit])}
    if start + limit < len(items):
        page["NextToken"] = str(start + limit)
    return page


def _number(token: str | None) -> int | None:
    if token is None:
        return None
    if not token.isdigit():
        raise AwsError("InvalidInputException", "The continuation token is invalid.")
    return int(token)
