"""Glue job runs from start to end: Python shell scripts as processes, retries, stops, recovery.

Must not parse requests. Sources: AWS Glue Developer Guide, "AWS Glue job run statuses", "Configuring job
properties for Python shell jobs in AWS Glue", "Automating AWS Glue with EventBridge".
"""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.local.glue_script import CannotRun, Script, error_message
from mlops_kit.local.glue_store import ACTIVE, GlueStore
from mlops_kit.local.processes import Ended, ProcessSpec, Runner
from mlops_kit.local.service import ACCOUNT, AwsError, Context

LOG_GROUP = "/aws-glue/python-jobs"

_log = logging.getLogger(__name__)

_STOP_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_STDERR_TAIL = 1 << 16  # bytes in which the last traceback is looked for
_SESSION = "GlueJobRunnerSession"  # as AWS names the session of a job's role
_MEMORY = {0.0625: 1 << 30, 1.0: 16 << 30}  # bytes by DPU, "Configuring job properties for Python shell jobs"
_LOST = "The run's process ended together with the embedded AWS that ran it."
_SEVERITIES = {"FAILED": "ERROR", "TIMEOUT": "WARN"}


class Runs:
    """All job runs.

    Parameters
    ----------
    context : Context
        Runner, clock, logs and events.
    store : GlueStore
        Where runs are kept.
    """

    def __init__(self, context: Context, store: GlueStore) -> None:
        self._context = context
        self._store = store
        self._guard = threading.Lock()  # one change of a run's state at a time
        self._closing = False

    def start(self, region: str, job: Mapping[str, Any], request: Mapping[str, Any]) -> str:
        """Start a run of a job with the members of a StartJobRun request; its id.

        Raises
        ------
        AwsError
            ``ConcurrentRunsExceededException``.
        """
        run = self._new_run(job, request, f"jr_{uuid.uuid4().hex}{uuid.uuid4().hex}")
        with self._guard:
            allowed = (job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns", 1)
            if len(self._store.active(region, job["Name"])) >= allowed:
                words = f"Concurrent runs exceeded for {job['Name']}"
                raise AwsError("ConcurrentRunsExceededException", words)
            self._store.add_run(region, run)
        self._launch_soon(region, run)
        return str(run["Id"])

    def stop(self, region: str, job: str, id: str) -> None:
        """Stop a run.

        Raises
        ------
        AwsError
            The run is unknown, or has ended.
        """
        with self._guard:
            run = self._store.run(region, job, id)
            if run is None:
                raise AwsError("EntityNotFoundException", f"Job run {id} of job {job} was not found.")
            if run["JobRunState"] not in ACTIVE:
                words = f"Job run {id} is in state {run['JobRunState']} and cannot be stopped."
                raise AwsError("InvalidInputException", words)
            self._store.keep_run(region, {**run, **self._changed("STOPPING")})
        self._context.runner.stop(_process(run), _STOP_GRACE)

    def recover(self) -> None:
        """Take up the runs of a former server: follow, stop or fail each, and start what had not begun."""
        for region, run in self._store.active():
            acting = self._acting(region, self._store.job(region, run["JobName"]) or {})
            with self._guard:
                alive = self._context.runner.recover(
                    _process(run),
                    self._end(region, run),
                    _sink(acting, run, "output"),
                    _sink(acting, run, "error"),
                )
                if alive and run["JobRunState"] == "STARTING":
                    self._store.keep_run(region, {**run, **self._changed("RUNNING")})
            if run["JobRunState"] == "STOPPING":
                self._resume_stop(region, run, alive=alive)
            elif not alive and run["JobRunState"] == "STARTING":
                self._launch_soon(region, run)
            elif not alive:
                self._finish(region, run, "FAILED", 0.0, _LOST)

    def rest(self) -> None:
        """Start nothing more: the port is about to close."""
        self._closing = True

    def _resume_stop(self, region: str, run: Mapping[str, Any], *, alive: bool) -> None:
        if alive:
            self._context.runner.stop(_process(run), _STOP_GRACE)
        else:
            self._finish(region, run, "STOPPED", 0.0)

    def shown(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """A run as GetJobRun shows it: an unfinished one's time so far counts."""
        if run["JobRunState"] not in ACTIVE:
            return dict(run)
        elapsed = self._now() - run["StartedOn"]
        return {**run, "ExecutionTime": int(elapsed.total_seconds())}

    def _new_run(self, job: Mapping[str, Any], request: Mapping[str, Any], id: str) -> dict[str, Any]:
        now = self._now()
        kept = {
            name: request.get(name, job.get(name))
            for name in ("Timeout", "MaxCapacity", "SecurityConfiguration")
        }
        run = {
            "Id": id,
            "Attempt": 0,
            "JobName": job["Name"],
            "JobMode": job.get("JobMode", "SCRIPT"),
            "StartedOn": now,
            "LastModifiedOn": now,
            "JobRunState": "STARTING",
            "Arguments": request.get("Arguments") or {},
            "PredecessorRuns": [],
            "AllocatedCapacity": 0,
            "ExecutionTime": 0,
            "LogGroupName": LOG_GROUP,
            "GlueVersion": job.get("GlueVersion"),
            **kept,
        }
        return {name: value for name, value in run.items() if value is not None}

    def _launch_soon(self, region: str, run: Mapping[str, Any]) -> None:
        threading.Thread(
            target=self._launch, args=(region, run), name=f"glue {run['Id']}", daemon=True
        ).start()

    def _launch(self, region: str, run: Mapping[str, Any]) -> None:
        try:
            job = self._store.job(region, run["JobName"])
            if job is None:
                raise CannotRun(f"Job {run['JobName']} was deleted.")
            acting = self._acting(region, job)
            script = Script(self._folder(run), acting.client("s3"))
            argv = script.argv(_location(job), _arguments(job, run))
            self._begin(region, run, self._spec(acting, run, argv, script))
        except CannotRun as error:
            self._finish(region, run, "FAILED", 0.0, str(error))
        except Exception as error:
            if not self._closing:  # else the next server starts it
                _log.exception("Glue run %s could not be started", run["Id"])
                words = f"The embedded AWS could not start the run: {error}"
                self._finish(region, run, "FAILED", 0.0, words)

    def _spec(self, acting: Context, run: Mapping[str, Any], argv: list[str], script: Script) -> ProcessSpec:
        env = Runner.job_environment(script.work, acting.url, acting.region)
        return ProcessSpec(
            id=_process(run),
            argv=argv,
            cwd=script.work,
            env={**env, **acting.identity(), "PYTHONPATH": script.python_path()},
            time_limit=run["Timeout"] * 60.0,
            memory_limit=_MEMORY.get(run.get("MaxCapacity", 0.0625)),
            on_output=_sink(acting, run, "output"),
            on_error=_sink(acting, run, "error"),
        )

    def _begin(self, region: str, run: Mapping[str, Any], spec: ProcessSpec) -> None:
        with self._guard:  # a stop that came first found no process to stop
            current = self._store.run(region, run["JobName"], run["Id"])
            begins = current is not None and current["JobRunState"] == "STARTING"
            if begins:
                try:
                    self._context.runner.start(spec, self._end(region, run))
                except ValueError as error:
                    raise CannotRun(str(error)) from error
                self._store.keep_run(region, {**run, **self._changed("RUNNING")})
        if not begins:
            self._finish(region, run, "STOPPED", 0.0)

    def _acting(self, region: str, job: Mapping[str, Any]) -> Context:
        """The context as the job's role, which a job names by its ARN or by its name."""
        role = str(job.get("Role") or "")
        named = f"arn:aws:iam::{ACCOUNT}:role/{role}" if role and not role.startswith("arn:") else role
        return self._context.within(region).acting(named, _SESSION)

    def _end(self, region: str, run: Mapping[str, Any]) -> Callable[[Ended], None]:
        def ended(how: Ended) -> None:
            current = self._store.run(region, run["JobName"], run["Id"]) or run
            stopped = current["JobRunState"] == "STOPPING"
            state, words = ("STOPPED", None) if stopped else self._verdict(run, how)
            self._context.settle()  # what the script wrote is on disk before the run says so
            self._finish(region, run, state, how.seconds, words)

        return ended

    def _verdict(self, run: Mapping[str, Any], how: Ended) -> tuple[str, str | None]:
        if how.lost:
            return "FAILED", _LOST
        if how.timed_out:
            return "TIMEOUT", f"Job run timed out after {run['Timeout']} minutes."
        if how.out_of_memory:
            return "FAILED", "Command Failed due to Out of Memory"
        if how.exit_code == 0:
            return "SUCCEEDED", None
        code = how.exit_code if how.exit_code is not None else 128 + (how.signal or 0)
        stderr = _tail(self._context.runner.output(how.id, error=True))
        return "FAILED", error_message(stderr) or f"Command failed with exit code {code}"

    def _changed(self, state: str) -> dict[str, Any]:
        return {"JobRunState": state, "LastModifiedOn": self._now()}

    def _finish(
        self, region: str, run: Mapping[str, Any], state: str, seconds: float, words: str | None = None
    ) -> None:
        end = {**self._changed(state), "CompletedOn": self._now(), "ExecutionTime": round(seconds)}
        if words:
            end["ErrorMessage"] = words
        retry = self._retry(region, run) if state == "FAILED" else None
        with self._guard:
            self._store.keep_run(region, {**run, **end}, retry)
        shutil.rmtree(self._folder(run), ignore_errors=True)
        self._announce(region, run, state, words)
        if retry:
            self._launch_soon(region, retry)

    def _retry(self, region: str, run: Mapping[str, Any]) -> dict[str, Any] | None:
        """The next attempt of a failed run, if the job allows one."""
        job = self._store.job(region, run["JobName"])
        attempt = run["Attempt"] + 1
        if job is None or attempt > job.get("MaxRetries", 0):
            return None
        first = run["Id"].partition("_attempt_")[0]
        again = self._new_run(job, run, f"{first}_attempt_{attempt}")
        return {**again, "Attempt": attempt, "PreviousRunId": run["Id"]}

    def _announce(self, region: str, run: Mapping[str, Any], state: str, words: str | None) -> None:
        detail = {
            "jobName": run["JobName"],
            "severity": _SEVERITIES.get(state, "INFO"),
            "state": state,
            "jobRunId": run["Id"],
            "message": words or f"Job run {state.lower()}",
        }
        self._context.within(region).emit("aws.glue", "Glue Job State Change", detail, [])

    def _folder(self, run: Mapping[str, Any]) -> Path:
        return Path(self._context.state_dir, "glue", run["Id"])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._context.clock.now(), UTC)


def _sink(context: Context, run: Mapping[str, Any], kind: str) -> Callable[[list[str]], None]:
    return lambda lines: context.log(f"{LOG_GROUP}/{kind}", run["Id"], lines)


def _process(run: Mapping[str, Any]) -> str:
    return f"glue-{run['Id']}"


def _location(job: Mapping[str, Any]) -> str:
    command = job.get("Command") or {}
    if command.get("Name") != "pythonshell":
        raise CannotRun(
            "The embedded AWS runs Python shell jobs only; "
            f"this job is {command.get('Name')!r} and was not run."
        )
    return str(command.get("ScriptLocation", ""))


def _arguments(job: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, str]:
    return {
        **(job.get("DefaultArguments") or {}),
        **(run.get("Arguments") or {}),
        **(job.get("NonOverridableArguments") or {}),
    }


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _STDERR_TAIL))
            return file.read()
    except FileNotFoundError:
        return b""
