"""The engine of SageMaker's jobs: prepare, run, collect, stop, and find again after a restart.

Must not know what a kind of job does; a job's process is started at most once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Closed, Ended, ProcessSpec
from mlops_kit.local.sagemaker import instances, listing
from mlops_kit.local.sagemaker.events import emit, public
from mlops_kit.local.sagemaker.job_kinds import ENDED, Job, JobFailed, JobKind, Watch
from mlops_kit.local.sagemaker.local_paths import BASE_VARIABLE
from mlops_kit.local.sagemaker.records import (
    ROLE_SESSION,
    Record,
    Table,
    arn,
    check_role,
    moment,
    refusal,
)
from mlops_kit.local.sagemaker.tags import checked
from mlops_kit.local.sagemaker.transfer import Transfer
from mlops_kit.local.service import AwsError, Context, Handler, Request

LOST = (
    "InternalServerError: The embedded AWS was stopped or killed while this job ran, and its process is "
    "gone. Please try again."
)
_BROKEN = (
    "InternalServerError: We encountered an internal error. Please try again. The server's log has details."
)
_log = logging.getLogger(__name__)


class Jobs:
    """All jobs of one kind.

    Parameters
    ----------
    context : Context
        What the server hands out.
    kind : JobKind
        What is special about these jobs.
    lock : threading.RLock
        Held while a record changes.
    workers : concurrent.futures.Executor
        Where downloads run.
    """

    def __init__(self, context: Context, kind: JobKind, lock: threading.RLock, workers: Executor) -> None:
        self.kind = kind
        self.table = Table(context.store, kind.path, f"{kind.noun}Arn")
        self._context = context
        self._lock = lock
        self._workers = workers
        self._status = f"{kind.noun}Status"
        self._watches: dict[tuple[str, str], Watch] = {}
        self._leaving = False

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        noun = self.kind.noun
        return {
            f"Create{noun}": self.create,
            f"Describe{noun}": self.describe,
            f"List{noun}s": self.summaries,
            f"Stop{noun}": self.stop,
        }

    def create(self, request: Request) -> dict[str, Any]:
        """Accept a job; it goes on in a worker thread."""
        params, region = request.params, request.region
        name = params[f"{self.kind.noun}Name"]
        view = self._first_view(params, region)
        check_role(self._context, params.get("RoleArn"), view[self.table.arn_member])
        if _may_call_the_port():
            self.kind.admit(params, region, self._transfer(view))
        record = {
            "Region": region,
            "Name": name,
            "View": view,
            "Tags": checked(params.get("Tags", [])),
            "Phase": "new",
        }
        watch = self.kind.watch(self._context, self._job(record))
        with self._lock:
            if self.table.get(region, name) is not None:
                raise AwsError("ResourceInUse", self.kind.taken(view[self.table.arn_member]))
            usage = self.kind.path.replace("-", " ")
            instances.check_quota(_instance_type(params), usage, len(self._watches), 1, instances.MOST)
            self.table.put(name, record)
            self._watches[region, name] = watch
        self._emit(record)
        self._prepare(region, name)
        return {self.table.arn_member: view[self.table.arn_member]}

    def describe(self, request: Request) -> dict[str, Any]:
        """The Describe answer as it is now."""
        return public(self._find(request)["View"])

    def summaries(self, request: Request) -> dict[str, Any]:
        """Summaries, filtered, sorted and paged."""
        views = [record["View"] for record in self.table.all(request.region)]
        return listing.page(self.kind.listing, views, request.params)

    def stop(self, request: Request) -> dict[str, Any]:
        """Ask a job to stop; what it has written so far is kept."""
        with self._lock:
            record = self._find(request)
            status = record["View"][self._status]
            if status in ENDED:
                usage = self.kind.path.replace("-", " ")
                raise refusal(f"The request was rejected because the {usage} is in status {status}.")
            if status == "Stopping":
                return {}
            self._note(record, "Stopping")
            self._context.runner.stop(self._process(record), self.kind.grace)
        return {}

    def under_way(self) -> list[str]:
        """Jobs that have not ended."""
        return [f"{self.kind.path.replace('-', ' ')} {name}" for _, name in list(self._watches)]

    def recover(self) -> None:
        """Take up the jobs of a former server, and remove the files of those that have ended."""
        for record in self.table.all():
            if record["View"][self._status] in ENDED:
                continue
            key = (record["Region"], record["Name"])
            watch = self._watches[key] = self.kind.watch(self._context, self._job(record))
            if record["Phase"] == "new":
                self._prepare(*key)
                continue
            if (output := self._context.runner.output(self._process(record))).exists():
                watch.lines(
                    output.read_text(errors="replace").splitlines(), moment(self._context.clock), again=True
                )
            if not self._context.runner.recover(self._process(record), *self._listeners(record)):
                self._finish(record, "Failed", {"FailureReason": LOST})
        for folder in (Path(self._context.state_dir) / "sagemaker" / self.kind.path).glob("*/*"):
            if (folder.parent.name, folder.name) not in self._watches:
                shutil.rmtree(folder, ignore_errors=True)

    def leave(self) -> None:
        """Fail no job any more, because what it needs is going with the server; the next one takes it up."""
        self._leaving = True

    def _first_view(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        now = moment(self._context.clock)
        name = params[f"{self.kind.noun}Name"]
        view = {
            **self.kind.view(params, region),
            f"{self.kind.noun}Name": name,
            self.table.arn_member: arn(region, self.kind.path, name),
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        self.kind.step(view, "Starting", now)
        return view

    def _prepare(self, region: str, name: str) -> None:
        with contextlib.suppress(RuntimeError):  # the server stops: the next one begins it
            self._workers.submit(self._begin, region, name)

    def _begin(self, region: str, name: str) -> None:
        record = self._get(region, name)
        job = self._job(record)
        try:
            if record["View"][self._status] == "Stopping":
                self._finish(record, "Stopped", {})
                return
            self._note(record, "Downloading")
            shutil.rmtree(job.base.parent, ignore_errors=True)
            job.base.mkdir(parents=True)
            launch = self.kind.prepare(job, self._transfer(job.view))
            self._launch(record, partial(self._spec, launch))
        except JobFailed as error:
            if not self._leaving:
                self._finish(self._get(region, name), "Failed", {"FailureReason": str(error)})
        except Exception:
            _log.exception("%s %s could not be prepared", self.kind.noun, name)
            self._finish(self._get(region, name), "Failed", {"FailureReason": _BROKEN})

    def _launch(self, record: Record, spec: Callable[[Record], ProcessSpec]) -> None:
        """Start the process unless the job was stopped meanwhile; noted first, so never started twice."""
        with self._lock:
            record = self._get(record["Region"], record["Name"])
            if record["View"][self._status] == "Stopping":
                self._finish(record, "Stopped", {})
                return
            record["Phase"] = "started"
            self._note(record, "Running")
            try:
                self._context.runner.start(spec(record), self._listeners(record)[0])
            except Closed:  # the server stops: the next one begins it
                record["Phase"] = "new"
                self.table.put(record["Name"], record)
            except (ValueError, OSError) as error:
                raise JobFailed(f"ClientError: The process could not be started: {error}") from error

    def _spec(self, launch: Any, record: Record) -> ProcessSpec:
        context, job = self._context, self._job(record)
        base = context.runner.job_environment(launch.cwd, context.url, job.region)
        base |= self._acting(job.view).identity()
        return ProcessSpec(
            id=self._process(record),
            argv=launch.argv,
            cwd=launch.cwd,
            env={**base, "PYTHONDONTWRITEBYTECODE": "1", BASE_VARIABLE: str(job.base), **launch.env},
            time_limit=launch.time_limit,
            memory_limit=launch.memory,
            on_output=self._listeners(record)[1],
        )

    def _listeners(self, record: Record) -> tuple[Callable[[Ended], None], Callable[[list[str]], None]]:
        return partial(self._ended, record["Region"], record["Name"]), partial(self._lines, self._job(record))

    def _lines(self, job: Job, lines: list[str]) -> None:
        self._acting(job.view).within(job.region).log(self.kind.group, job.stream, lines)
        if watch := self._watches.get((job.region, job.name)):
            watch.lines(lines, moment(self._context.clock))

    def _ended(self, region: str, name: str, ended: Ended) -> None:
        record = self._get(region, name)
        if (
            record["View"][self._status] in ENDED
        ):  # told twice: the server died between the end and its forgetting
            return
        if ended.lost:
            self._finish(record, "Failed", {"FailureReason": LOST})
            return
        stopped = ended.timed_out or record["View"][self._status] == "Stopping"
        if ended.exit_code != 0 and not stopped:
            self._finish(record, "Failed", self.kind.failure(self._job(record), ended))
            return
        try:
            if not stopped:
                self._note(record, "Uploading")
            members = self.kind.collect(self._job(record), self._transfer(record["View"]))
        except JobFailed as error:
            if self._leaving:
                raise
            self._finish(record, "Failed", {"FailureReason": str(error)})
        else:
            step = "MaxRuntimeExceeded" if ended.timed_out else "Stopped" if stopped else "Completed"
            self._finish(record, step, members)

    def _finish(self, record: Record, step: str, members: dict[str, Any]) -> None:
        region, name = record["Region"], record["Name"]
        with self._lock:
            watch = self._watches.pop((region, name), None)
            record["View"] |= (watch.members() if watch else {}) | members
            record["Phase"] = "ended"
            self._note(record, step)
        shutil.rmtree(self._job(record).base.parent, ignore_errors=True)

    def _note(self, record: Record, step: str) -> None:
        """Write a step into the record, then tell it; a stop that came meanwhile is not overwritten."""
        with self._lock:
            view = record["View"]
            now = moment(self._context.clock)
            current = self._get(record["Region"], record["Name"])["View"][self._status]
            if current == "Stopping" and step in ("Downloading", "Running", "Uploading"):
                view[self._status] = current
                return
            self.kind.step(view, step, now)
            view["LastModifiedTime"] = now
            self.table.put(record["Name"], record)
        self._emit(record)

    def _emit(self, record: Record) -> None:
        emit(self._context, self.kind.event, record, record["View"][self.table.arn_member])

    def _find(self, request: Request) -> Record:
        name = request.params[f"{self.kind.noun}Name"]
        record = self.table.get(request.region, name)
        if record is None:
            raise refusal(self.kind.missing(name))
        return record

    def _get(self, region: str, name: str) -> Record:
        record = self.table.get(region, name)
        if record is None:
            raise LookupError(f"{self.kind.noun} {name} is not in the store")
        return record

    def _job(self, record: Record) -> Job:
        region, name, view = record["Region"], record["Name"], record["View"]
        base = Path(self._context.state_dir) / "sagemaker" / self.kind.path / region / name / "ml"
        started: datetime = view["CreationTime"]
        stream = f"{name}/algo-1-{int(started.timestamp())}"
        return Job(name, region, view, base, self._context.runner.output(self._process(record)), stream)

    def _process(self, record: Record) -> str:
        return f"{self.kind.path}-{record['Region']}-{record['Name']}"

    def _acting(self, view: dict[str, Any]) -> Context:
        """The context as the job's role; a transform job's is its model's."""
        return self._context.acting(view.get("RoleArn") or view.get("_RoleArn", ""), ROLE_SESSION)

    def _transfer(self, view: dict[str, Any]) -> Transfer:
        return Transfer(self._acting(view).client("s3"))


def _instance_type(params: dict[str, Any]) -> str | None:
    resources = params.get("ResourceConfig") or params.get("TransformResources") or {}
    cluster = params.get("ProcessingResources", {}).get("ClusterConfig", {})
    return {**cluster, **resources}.get("InstanceType")


def _may_call_the_port() -> bool:
    """False on the server's loop, which would wait for itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False
