"""What every kind of job answers to the engine that runs it; holds no state and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from mlops_kit.local.processes import Ended
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.transfer import Transfer
from mlops_kit.local.service import Context

ENDED = ("Completed", "Failed", "Stopped")


class JobFailed(Exception):
    """A job cannot go on; the text is its FailureReason."""


@dataclass(frozen=True)
class Launch:
    """The process of a job.

    Attributes
    ----------
    argv, cwd, env
        Command, working folder, and what the environment has beyond the runner's base.
    time_limit : int or None
        Seconds.
    memory : int or None
        Bytes.
    """

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    time_limit: int | None
    memory: int | None


@dataclass(frozen=True)
class Job:
    """One job as its kind sees it.

    Attributes
    ----------
    name, region : str
        Which job.
    view : dict
        Its Describe answer.
    base : pathlib.Path
        Stands for ``/opt/ml``; only this job's.
    output : pathlib.Path
        File with what the process printed; there until the job has ended.
    stream : str
        Log stream.
    """

    name: str
    region: str
    view: dict[str, Any]
    base: Path
    output: Path
    stream: str


class Watch(Protocol):
    """Looks at a job's lines while they come."""

    def lines(self, lines: Sequence[str], now: datetime, *, again: bool = False) -> None:
        """Take new lines; ``again`` marks those that a former server has seen already."""

    def members(self) -> dict[str, Any]:
        """What they add to the Describe answer."""


class NoWatch:
    """A watch that sees nothing."""

    def lines(self, lines: Sequence[str], now: datetime, *, again: bool = False) -> None:
        """Take nothing."""

    def members(self) -> dict[str, Any]:
        """Add nothing."""
        return {}


class JobKind(Protocol):
    """A kind of job: how it is asked for, prepared, collected, and named in errors and events."""

    noun: str  # "TrainingJob"
    path: str  # "training-job", as in the ARN
    event: str  # "SageMaker Training Job State Change"
    group: str  # log group
    listing: Listing
    grace: float  # seconds between SIGTERM and SIGKILL when it is stopped

    def taken(self, arn: str) -> str:
        """AWS's words for a name that is in use."""

    def missing(self, name: str) -> str:
        """AWS's words for a name that is not there."""

    def view(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """The first Describe answer of a checked request; raises `AwsError` for one that AWS refuses."""

    def admit(self, params: dict[str, Any], region: str, transfer: Transfer) -> None:
        """Look at what the request names elsewhere; raises `AwsError`. Worker threads only."""

    def watch(self, context: Context, job: Job) -> Watch:
        """Who looks at its lines."""

    def prepare(self, job: Job, transfer: Transfer) -> Launch:
        """Download and lay out; raises `JobFailed`."""

    def step(self, view: dict[str, Any], step: str, now: datetime) -> None:
        """Note a step (Starting, Downloading, Running, Uploading, Stopping, an end) in the answer."""

    def collect(self, job: Job, transfer: Transfer) -> dict[str, Any]:
        """Upload results; returns further members of the Describe answer; raises `JobFailed`."""

    def failure(self, job: Job, ended: Ended) -> dict[str, Any]:
        """Members of the Describe answer, FailureReason among them, of a process that ended badly."""
