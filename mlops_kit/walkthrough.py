"""What ``make run`` does: every notebook in reading order on the embedded AWS, then a short table.

Must do nothing that a notebook or a command could not do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit import ahead
from mlops_kit.errors import KitError, UsageError
from mlops_kit.settings import LOCAL_PORT, Settings

if TYPE_CHECKING:
    from rich.console import Console

    from mlops_kit.deploy.aws import Session
    from mlops_kit.local.control import Status
    from mlops_kit.observe.execution import Execution
    from mlops_kit.runs import Run

    Executions = Sequence[tuple[str, Execution]]  # with their pipelines, newest first

MODEL = "demand"
PIPELINE, MONITOR = f"retraining-{MODEL}", f"drift-monitor-{MODEL}"
FIRST = date(2011, 7, 1)
LAST = date(2012, 12, 1)  # the data end with that month
NOTEBOOKS = Path("notebooks")
RUNS = Path("runs")
TRAINING = "TrainModel"


@dataclass
class Times:
    """Where the time went, in seconds, in the order in which it was spent."""

    spent: dict[str, float] = field(default_factory=dict)
    kernels: float = 0.0  # their starts, within the notebooks
    apply: float = 0.0  # within the notebooks
    replays: float = 0.0  # of the data through time, which train models too

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Measure a block."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.spent[what] = time.monotonic() - begin


def main() -> int:
    """Run the notebooks and tell what happened; gives back the exit status."""
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    try:
        return _walk(console)
    except KitError as error:
        console.print("[bold red]Failed.[/]", end=" ")
        console.print(str(error), markup=False)
        return error.exit_status
    except KeyboardInterrupt:
        console.print("Stopped. The embedded AWS goes on with what it was doing; `make stop` ends it.")
        return 130


def next_run(runs: Iterable[Mapping[str, Any]]) -> tuple[date, bool]:
    """The month to retrain next, and whether it must be forced.

    Parameters
    ----------
    runs : iterable of mapping
        The runs so far, as rows of the history.

    Returns
    -------
    (date, bool)
        The first month, or the one after the newest that a run has judged. After the last month of the data
        it is the first one again, forced, since that window is done.
    """
    from mlops_kit.observe.history import ALREADY

    judged = [
        date.fromisoformat(run["as_of"][:10])
        for run in runs
        if run["verdict"] not in (None, ALREADY) and run["as_of"]
    ]
    if not judged:
        return FIRST, False
    newest = max(judged)
    following = date(newest.year + newest.month // 12, newest.month % 12 + 1, 1)
    return (following, False) if following <= LAST else (FIRST, True)


def _walk(console: Console) -> int:
    import mlops_kit as kit
    from mlops_kit.public_runs import history_store

    times = Times()
    begin = time.monotonic()
    console.print("[bold]Starting the embedded AWS[/] ...", end=" ")
    with times.of("start of the embedded AWS"):
        settings, status = _start()
    console.print(f"{status.url}, its clock at {(status.now or '')[:16]}, state in {settings.state_dir}/")
    session = kit.session(settings)
    before = history_store(session, None).rows()
    as_of, forced = next_run(row for row in before if row["pipeline"] == PIPELINE)
    given = {"as_of": as_of.isoformat(), **({"force": True} if forced else {})}
    ahead.imports(*ahead.DRAWING)  # for the report, while the notebooks run
    copies = [_read(console, path, given, times) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    with times.of("report"):
        report = kit.report(session, PIPELINE, RUNS / f"{PIPELINE}.html")
    known = {row["arn"] for row in before}
    new = [one for one in history_store(session, None).executions() if one[1].arn not in known]
    run, by_drift = _retrainings(session, new)
    _tell(console, run)
    if by_drift is not None:
        console.print(f"[bold]Drift[/]      {drift_story(by_drift)}")
    console.print(f"[bold]Report[/]     {report}")
    console.print(f"[bold]Notebooks[/]  {', '.join(map(str, copies))}")
    _tell_times(console, times, new, time.monotonic() - begin)
    console.print("[bold]Next[/]       make run: the next month; make lab: the notebooks; make stop")
    ended = {run.status, by_drift.status if by_drift else run.status}
    return 0 if ended == {"SUCCEEDED"} else 1


def _retrainings(session: Session, new: Executions) -> tuple[Run, Run | None]:
    """The retraining that a notebook started, and the one that a drift rule did, if any."""
    import mlops_kit as kit
    from mlops_kit.observe.history import trigger

    found = [(trigger(execution.input), execution.arn) for name, execution in new if name == PIPELINE]
    by_hand = [arn for who, arn in found if who is None]
    by_drift = [arn for who, arn in found if who and who.startswith("drift-rule ")]
    if not by_hand:
        raise KitError(f"No run of {PIPELINE} was found after the notebooks ran.")
    return kit.find(session, by_hand[0]), kit.find(session, by_drift[0]) if by_drift else None


def _start() -> tuple[Settings, Status]:
    """The embedded AWS that serves the state folder, started where none does."""
    from mlops_kit.local import control

    settings = Settings.load()
    if settings.target != "local":
        raise UsageError(
            "`make run` works on the embedded AWS, and the target is aws.",
            suggestion="unset MLOPS_KIT_TARGET; on AWS use mlops-kit apply and mlops-kit run.",
        )
    port = _port(settings.endpoint_url)
    try:
        status = control.start(settings.state_dir, port, FIRST.isoformat(), settings.region)
    except control.PortInUse as error:
        other = f"MLOPS_KIT_ENDPOINT_URL=http://127.0.0.1:{port + 1} make run"
        advice = f"stop that program, or choose another port: {other}"
        raise KitError(error.message, cause=error.cause, suggestion=advice) from None
    if settings.endpoint_url not in (None, status.url):
        raise UsageError(
            f"{settings.state_dir} is served at {status.url}, not at {settings.endpoint_url}.",
            suggestion="name that address, or stop the server with `make stop`.",
        )
    return settings, status


def _port(url: str | None) -> int:
    from urllib.parse import urlsplit

    if url is None:
        return LOCAL_PORT
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost") or parts.port is None:
        raise UsageError(
            f"The embedded AWS cannot be started at {url}.",
            suggestion="name a port of this machine: MLOPS_KIT_ENDPOINT_URL=http://127.0.0.1:4600",
        )
    return parts.port


def _read(console: Console, path: Path, given: dict[str, Any], times: Times) -> Path:
    """Run a notebook, its printed lines indented below its name and question."""
    from mlops_kit import notebooks

    console.print(f"\n[bold]{path.stem}[/]  {_question(path)}")
    known = notebooks.parameters(path)
    values = {name: value for name, value in given.items() if name in known}
    with times.of(path.stem):
        copy = notebooks.run(
            path, values, RUNS, lambda line: console.print(f"  {line}", markup=False), results=False
        )
    kernel = _kernel_seconds(copy)
    times.kernels += kernel
    times.apply += _cell_seconds(copy, "kit.apply(")
    times.replays += _cell_seconds(copy, "kit.simulate(")
    console.print(f"  [dim]{times.spent[path.stem]:.1f} s, of which its kernel's start {kernel:.1f} s[/]")
    return copy


def _question(path: Path) -> str:
    """The question that a notebook answers: what its first cell says in bold."""
    first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    return first.split("**")[1] if first.count("**") >= 2 else ""


def _kernel_seconds(copy: Path) -> float:
    """From papermill's begin to that of the first cell."""
    body = json.loads(copy.read_text(encoding="utf-8"))
    marks = [cell["metadata"].get("papermill", {}).get("start_time") for cell in body["cells"]]
    begin, first = body["metadata"]["papermill"]["start_time"], next(filter(None, marks))
    return (datetime.fromisoformat(first) - datetime.fromisoformat(begin)).total_seconds()


def _cell_seconds(copy: Path, call: str) -> float:
    """How long the cells that make a call took."""
    cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
    return sum(
        cell["metadata"].get("papermill", {}).get("duration") or 0.0
        for cell in cells
        if cell["cell_type"] == "code" and call in "".join(cell["source"])
    )


def _tell(console: Console, run: Run) -> None:
    """The table of states, the verdict with its metrics, the endpoint and the cost."""
    from mlops_kit.observe.charts import duration
    from mlops_kit.observe.cost import estimate

    as_of = (run.input or {}).get("as_of", "")
    console.print(f"\n[bold]Retraining as of {as_of}: {run.status} in {duration(run.execution.seconds)}[/]")
    _table(console, ("state", "status", "tries", "time"), run.rows())
    verdict = run.verdict()
    if verdict is not None:
        console.print(f"[bold]Verdict    {verdict.verdict}[/]: {'; '.join(verdict.reasons)}")
        _table(console, ("metric", *verdict.metrics), verdict.rows())
    if run.failure is not None:
        console.print(str(run.failure), markup=False)
    console.print(f"[bold]Endpoint[/]   {_endpoint(run.session)}")
    console.print(f"[bold]Cost[/]       on AWS {estimate(run.execution)}")


def drift_story(run: Run) -> str:
    """Which event fired which rule, what that started, and what became of the error."""
    given, verdict = run.input or {}, run.verdict()
    fired = f"ModelDriftDetected as of {given['as_of']} fired {given['trigger']['name']}"
    started = f"{fired}, which started {run.name}: {run.status}"
    if verdict is None:
        return started
    new, old = verdict.metrics["challenger"] or {}, verdict.metrics["champion"] or {}
    errors = (
        f"{name} {old[name]:.3f} before, {new[name]:.3f} after" for name in ("wape", "bias") if name in old
    )
    return f"{started}, {verdict.verdict}; {', '.join(errors)}"


def _table(console: Console, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns of texts; the first to the left, figures to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place == 0 or name == "status" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _endpoint(session: Session) -> str:
    from botocore.exceptions import ClientError

    name = f"{session.settings.project}-{MODEL}"
    try:
        found = session.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError:
        return f"none yet ({name})"
    return f"{name}, {found['EndpointStatus']}, at {session.settings.url}/endpoints/{name}/invocations"


def _tell_times(console: Console, times: Times, new: Executions, total: float) -> None:
    from mlops_kit.observe.charts import duration

    setup = Path(sys.prefix) / ".complete"
    once = f"environment (once) {duration(float(setup.read_text()))}; " if setup.exists() else ""
    spent = ", ".join(f"{what} {duration(seconds)}" for what, seconds in times.spent.items())
    console.print(f"[bold]Time[/]       {once}{spent}; together {duration(total)}")
    states = [execution.states[TRAINING] for _, execution in new if TRAINING in execution.states]
    trained = sum(state.seconds or 0.0 for state in states)
    parts = {
        f"the retrainings' states (of them {TRAINING} {duration(trained)})": _seconds(new, PIPELINE),
        "the drift monitor's states": _seconds(new, MONITOR),
        "the kernels' starts": times.kernels,
        "apply": times.apply,
        "simulations": times.replays,
    }
    parts["all else"] = max(total - sum(parts.values()), 0.0)
    shares = ", ".join(f"{what} {duration(part)} ({part / total:.0%})" for what, part in parts.items())
    console.print(f"           of which {shares}")


def _seconds(new: Executions, pipeline: str) -> float:
    """How long the executions of a pipeline took together."""
    return sum(execution.seconds or 0.0 for name, execution in new if name == pipeline)


if __name__ == "__main__":
    sys.exit(main())
