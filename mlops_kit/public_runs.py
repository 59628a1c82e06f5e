"""What ``import mlops_kit as kit`` shows of runs: a function a verb; no work of its own.

Looking at what a pipeline did needs its name only.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError, UsageError
from mlops_kit.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.deploy.aws import Session
    from mlops_kit.observe.champion import Champion
    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.history import History
    from mlops_kit.outage import Redrives
    from mlops_kit.runs import Run


def run(
    session: Session,
    pipeline: Pipeline,
    input: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    wait: bool = True,
    **fields: Any,
) -> Run:
    """Run a pipeline, told state by state.

    Parameters
    ----------
    session : Session
        Where.
    pipeline : Pipeline
        What.
    input : mapping, optional
        The execution's input; ``git_commit`` is filled in where the pipeline takes it.
    name : str, optional
        Name of the execution; default from ``as_of`` or the time.
    wait : bool
        Whether to wait until it has ended.
    **fields
        Further fields of the input, such as ``as_of="2011-07-01"``. ``git_commit`` is that of the folder
        here, where the pipeline takes one.

    Raises
    ------
    UsageError
        The input is not what the pipeline takes; names the field. Nothing was started.
    KitError
        The pipeline was not applied.
    """
    from mlops_kit import execute

    given = {**(input or {}), **{key: value for key, value in fields.items() if value is not None}}
    if "git_commit" in pipeline.input_schema.get("properties", {}):
        given = {**_git_commit(), **given}
    execute.check_input(given, pipeline.input_schema)
    machine = state_machine(session, pipeline.name)
    if name is None:
        name = f"{str(given.get('as_of') or f'{datetime.now(UTC):%Y-%m-%d}')[:10]}-{secrets.token_hex(3)}"
    return watch(session, execute.start(session, machine, given, pipeline.input_schema, name), wait)


def redrive(session: Session, execution: Run | str, wait: bool = True) -> Run:
    """Take up an execution that failed where it failed; says first what is repeated and what is kept.

    Parameters
    ----------
    session : Session
        Where.
    execution : Run or str
        A run, its name or its ARN.
    wait : bool
        Whether to wait until it has ended.

    Raises
    ------
    UsageError
        Nothing in it can be repeated; says why.
    """
    from mlops_kit import recovery

    found = find(session, execution)
    found.forget()
    decision = recovery.prepare(session, found.execution)
    print(decision, flush=True)
    arn = recovery.carry_out(session, found.execution, decision)
    found.forget()
    return watch(session, arn, wait)


def redrives(session: Session, since: str = "24h", pipeline: Pipeline | str | None = None) -> Redrives:
    """The executions that did not succeed and that nothing has made good; ``.redrive()`` repeats them.

    Parameters
    ----------
    session : Session
        Where.
    since : str
        ``90m``, ``24h``, ``7d``, or a UTC time such as ``2011-07-01T03:00``.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.

    Raises
    ------
    UsageError
        ``since`` is no time, or there is no such pipeline.
    """
    from mlops_kit import outage as room

    return room.find(session, since, _name(pipeline))


def stop(session: Session, execution: Run | str) -> Run:
    """Stop an execution; the run as it stands then."""
    from mlops_kit import execute

    found = find(session, execution)
    execute.stop(session, found.arn)
    return found


def find(session: Session, execution: Run | str) -> Run:
    """A run by its name or ARN.

    Raises
    ------
    UsageError
        The project has no such execution.
    """
    from mlops_kit import execute
    from mlops_kit.runs import Run

    return execution if isinstance(execution, Run) else Run(session, execute.find(session, execution))


def latest(session: Session, pipeline: Pipeline | str) -> Run | None:
    """The newest run of a pipeline; ``None`` where there is none."""
    from mlops_kit.runs import Run

    client, wanted = session.client("stepfunctions"), stack_name(session, pipeline)
    for page in client.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            if machine["name"] == wanted:
                arn = machine["stateMachineArn"]
                found = client.list_executions(stateMachineArn=arn, maxResults=1)["executions"]
                return Run(session, found[0]["executionArn"]) if found else None
    return None


def champion(session: Session, pipeline: Pipeline) -> Champion:
    """The version that serves: the newest approved one of the pipeline's model in the registry.

    Raises
    ------
    UsageError
        The pipeline trains no model.
    KitError
        No version is approved yet.
    """
    from mlops_kit.observe import champion as room

    if pipeline.model is None:
        raise UsageError(f"The pipeline {pipeline.name} trains no model.")
    name = f"{session.settings.project}-{pipeline.model}"
    registry, s3, runtime = map(session.client, ("sagemaker", "s3", "sagemaker-runtime"))
    return room.find(registry, s3, runtime, name, name)


def history(session: Session, pipeline: Pipeline | str | None = None) -> pd.DataFrame:
    """One row an execution, newest first; what is new is read into the local history store."""
    return history_store(session, pipeline).frame(_name(pipeline))


def runs_chart(session: Session, pipeline: Pipeline | str | None = None, metric: str | None = None) -> Chart:
    """How long each run took and how it ended; or a metric of challenger and champion over the runs.

    Parameters
    ----------
    session : Session
        Where the runs are.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.
    metric : str, optional
        Such as ``"wape"``.
    """
    from mlops_kit.observe import charts

    found = history_store(session, pipeline)
    if metric is not None:
        return charts.metric_over_runs(found.frame(_name(pipeline)), metric)
    return charts.runs(found.executions(_name(pipeline)))


def report(session: Session, pipeline: Pipeline | str | None = None, path: str | Path | None = None) -> Path:
    """Write the report of a pipeline, or of all: one HTML file that opens offline.

    Parameters
    ----------
    session : Session
        Where the runs are.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.
    path : str or Path, optional
        Default ``runs/<pipeline>.html``.

    Raises
    ------
    KitError
        There is no run yet.
    """
    from mlops_kit.observe import report as room

    name = _name(pipeline)
    newest = latest(session, name) if name else None
    drawn = newest.graph().overview().svg() if newest else ""
    collected = room.collect(history_store(session, name), name, session.where, drawn)
    if collected is None:
        from mlops_kit.public_notebooks import standing

        start = f"mlops-kit run {name or 'PIPELINE'}"
        if name and standing(name):
            start = "mlops-kit schedules fire SCHEDULE"
        raise KitError(f"There is no run of {name or 'any pipeline'} yet.", suggestion=f"start one: {start}")
    return room.write(collected, Path(path or Path("runs") / f"{name or session.settings.project}.html"))


def history_store(session: Session, pipeline: Pipeline | str | None) -> History:
    """The local history store, after what is new of the pipeline, or of all, was read into it."""
    from mlops_kit.observe.history import LOCAL, History

    settings = session.settings
    target = LOCAL
    if settings.target == "aws":
        target = settings.url or f"aws:{session.account}:{settings.region}"
    found = History(settings.state_dir / "history.sqlite", target)
    found.refresh(session.client("stepfunctions"), settings.project, _name(pipeline))
    return found


def watch(session: Session, arn: str, wait: bool = True) -> Run:
    """An execution that has begun, told state by state."""
    from mlops_kit import ahead, execute
    from mlops_kit.live import Live
    from mlops_kit.progress import passing
    from mlops_kit.runs import Run

    if wait and "ipykernel" in sys.modules:
        ahead.imports(*ahead.DRAWING, *ahead.PREDICTING)  # the cells after this one draw and predict
    if wait:
        with passing(), Live(f"{arn.split(':')[-2]}, {arn.rpartition(':')[2]}") as live:
            execute.wait(session, arn, live)
    return Run(session, arn)


def _git_commit() -> dict[str, str]:
    """The commit of the code at hand, with ``-dirty`` where files differ; empty outside of a repository."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {"git_commit": done.stdout.strip()} if done.returncode == 0 else {}


def state_machine(session: Session, pipeline: str) -> str:
    """The ARN of an applied pipeline's state machine."""
    from mlops_kit.deploy.stack import outputs

    arn = outputs(session, stack_name(session, pipeline)).get("StateMachineArn")
    if arn is None:
        raise KitError(
            f"{pipeline} does not stand on the {session.where}.",
            suggestion=f"make it: mlops-kit apply {pipeline}",
        )
    return arn


def _name(pipeline: Pipeline | str | None) -> str | None:
    return pipeline.name if isinstance(pipeline, Pipeline) else pipeline


def stack_name(session: Session, pipeline: Pipeline | str) -> str:
    """``<project>-<pipeline>``: the name of the stack and of its state machine."""
    return f"{session.settings.project}-{_name(pipeline)}"
