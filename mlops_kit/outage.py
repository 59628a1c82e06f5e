"""What a broken dependency took down: the executions to repeat, listed before any is; decides no way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.plan import Shown, html_table, text_table
from mlops_kit.errors import KitError, UsageError
from mlops_kit.recovery import Decision

if TYPE_CHECKING:
    from mlops_kit.observe.execution import Execution
    from mlops_kit.runs import Run

_OVER = ("FAILED", "TIMED_OUT", "ABORTED")
_HEAD = ("pipeline", "execution", "ended as", "what happens to it")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_NOT_THE_WINDOW = ("resume", "git_commit", "force")


@dataclass(frozen=True)
class Candidate:
    """An execution that did not succeed, and how it can be taken up.

    Attributes
    ----------
    pipeline : str
        Whose it is.
    execution : Execution
        As read from its history.
    decision : Decision or None
        What is repeated and kept; ``None`` where nothing can be.
    instead : str
        Why nothing can be, and what to do instead; empty with a decision.
    """

    pipeline: str
    execution: Execution
    decision: Decision | None
    instead: str = ""


@dataclass(frozen=True, repr=False)
class Redrives(Shown):
    """The executions that did not succeed since a time and that nothing has made good.

    Attributes
    ----------
    session : Session
        Where they ran.
    since : datetime
        They ended then or later.
    candidates : tuple of Candidate
        Oldest first.
    """

    session: Session
    since: datetime
    candidates: tuple[Candidate, ...]

    def __bool__(self) -> bool:
        return any(one.decision for one in self.candidates)

    def redrive(self, wait: bool = True) -> list[Run]:
        """Repeat all that can be, then wait for each.

        Parameters
        ----------
        wait : bool
            Whether to wait until they have ended.

        Raises
        ------
        KitError
            AWS refused some; the others go on.
        """
        from mlops_kit import execute, recovery
        from mlops_kit.runs import Run

        runs, refused = [], []
        for one in self.candidates:
            if one.decision is None:
                continue
            try:
                runs.append(Run(self.session, recovery.carry_out(self.session, one.execution, one.decision)))
            except KitError as error:
                refused.append(error)
        if wait:
            for run in runs:
                execute.wait(self.session, run.arn)
        if refused:
            went = ", ".join(run.name for run in runs) or "none"
            raise KitError(
                f"{len(refused)} could not be taken up; these were: {went}.",
                cause="; ".join(map(str, refused)),
            )
        return runs

    @property
    def _title(self) -> str:
        ready = sum(one.decision is not None for one in self.candidates)
        return f"Since {self.since:%Y-%m-%d %H:%M:%S} UTC: {ready} to repeat" + (
            f", {len(self.candidates) - ready} that cannot be" if len(self.candidates) > ready else ""
        )

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Pipeline, execution, status, and what happens to it, as texts."""
        return [
            (one.pipeline, one.execution.name, one.execution.status, str(one.decision or one.instead))
            for one in self.candidates
        ]

    def __rich__(self) -> Any:
        return text_table(_HEAD, self.rows(), self._title) if self.candidates else self._title

    def _html(self) -> str:
        rows = [tuple(map(escape, row)) for row in self.rows()]
        return f"<p><b>{self._title}</b></p>" + (html_table(_HEAD, rows) if rows else "")


def find(session: Session, since: str, pipeline: str | None = None) -> Redrives:
    """The executions to repeat; starts nothing.

    Left out are those that were made good: a later execution of the same window (or, without a lock, with the
    same input) succeeded, or one took it up. Of several of one window the newest is repeated.

    Parameters
    ----------
    session : Session
        Where.
    since : str
        ``90m``, ``24h``, ``7d``, or a UTC time such as ``2011-07-01T03:00``.
    pipeline : str, optional
        Default all pipelines of the project.

    Raises
    ------
    UsageError
        ``since`` is no time, or there is no such pipeline.
    """
    client, prefix = session.client("stepfunctions"), f"{session.settings.project}-"
    moment = _moment(since, session.now())
    pages = client.get_paginator("list_state_machines").paginate()
    machines = [one for page in pages for one in page["stateMachines"] if one["type"] == "STANDARD"]
    chosen = [
        one
        for one in machines
        if (one["name"] == prefix + pipeline if pipeline else one["name"].startswith(prefix))
    ]
    if pipeline and not chosen:
        raise UsageError(f"{pipeline} does not stand on the {session.where}.")
    found = [
        _candidate(session, machine["name"].removeprefix(prefix), execution)
        for machine in chosen
        for execution in _lost(client, machine["stateMachineArn"], moment)
    ]
    return Redrives(session, moment, tuple(sorted(found, key=lambda one: one.execution.started)))


def _candidate(session: Session, pipeline: str, execution: Execution) -> Candidate:
    from mlops_kit import recovery

    try:
        return Candidate(pipeline, execution, recovery.prepare(session, execution))
    except KitError as error:
        return Candidate(pipeline, execution, None, " ".join(str(error).split("\n")))


def _lost(client: Any, machine: str, since: datetime) -> Iterator[Execution]:
    """Executions that ended without success since then, newest of each window, that nothing made good."""
    from mlops_kit.observe.execution import read

    listed = list(_listed(client, machine))
    ended = [one for one in listed if one["status"] in _OVER and one["stopDate"] >= since]
    ended.sort(key=lambda one: one["startDate"], reverse=True)
    first = min((one["stopDate"] for one in ended), default=None)
    later = [
        client.describe_execution(executionArn=one["executionArn"])
        for one in listed
        if first is not None and one["startDate"] >= first
    ]
    taken_up = {_data(one.get("input")).get("resume", {}).get("execution") for one in later}
    done = [(_window(one), one["startDate"]) for one in later if one["status"] == "SUCCEEDED"]
    seen: set[str] = set()
    for one in ended:
        if one["executionArn"] in taken_up:
            continue
        execution = read(client, one["executionArn"])
        window = _window({"input": json.dumps(execution.input)}, [visit.input for visit in execution.visits])
        good = any(key == window and started >= one["stopDate"] for key, started in done)
        if not good and window not in seen:
            seen.add(window)
            yield execution


def _listed(client: Any, machine: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_executions").paginate(stateMachineArn=machine):
        yield from page["executions"]


def _window(described: Mapping[str, Any], inputs: Sequence[str | None] = ()) -> str:
    """The lock that it came to, else its input without what does not tell its work."""
    for text in (described.get("output"), *reversed(inputs)):
        if lock := _data(text).get("lock"):
            return f"lock {lock}"
    given = {key: value for key, value in _data(described.get("input")).items() if key not in _NOT_THE_WINDOW}
    return json.dumps(given, sort_keys=True)


def _data(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {"": value}


def _moment(since: str, now: datetime) -> datetime:
    if match := re.fullmatch(r"(\d{1,6})([mhd])", since):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        found = datetime.fromisoformat(since)
    except ValueError:
        raise UsageError(
            f"{since!r} is no time to begin at.", suggestion="write 90m, 24h, 7d, or 2011-07-01T03:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
