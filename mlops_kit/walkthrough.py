"""What ``make run`` does: every notebook in reading order on the embedded AWS, then a short table.

Must do nothing that a notebook or a command could not do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError
from mlops_kit.settings import Settings

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.observe.execution import Execution

MODEL = "demand"
PIPELINE = f"retraining-{MODEL}"
FIRST = date(2011, 7, 1)
LAST = date(2012, 12, 1)
NOTEBOOKS = Path("notebooks")
RUNS = Path("runs")


@dataclass
class Times:
    """Where the time went, in seconds, in the order in which it was spent."""

    spent: dict[str, float] = field(default_factory=dict)

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

    console = Console(soft_wrap=True)
    try:
        _walk(console)
    except KitError as error:
        console.print(f"[bold red]Failed.[/] {error}", highlight=False)
        return error.exit_status
    except KeyboardInterrupt:
        console.print("Stopped. The embedded AWS goes on with what it was doing; `make stop` ends it.")
        return 130
    return 0


def _walk(console: Any) -> None:
    import mlops_kit as kit
    from mlops_kit import notebooks
    from mlops_kit.local import control

    times = Times()
    settings = Settings.load()
    console.print("[bold]Starting the embedded AWS[/] ...", end=" ")
    with times.of("start of the embedded AWS"):
        status = control.start(
            settings.state_dir, port=_port(settings), at=FIRST.isoformat(), region=settings.region
        )
    console.print(f"{status.url}, state in {settings.state_dir}/")
    session = kit.session(settings)
    as_of = _next_month(session)
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        console.print(f"[bold]{path.stem}[/]")
        parameters = {"as_of": as_of.isoformat()} if "as_of" in notebooks.parameters(path) else {}
        with times.of(path.stem):
            notebooks.run(path, parameters, RUNS, log=lambda text: console.print(f"    {text}", markup=False))
    run = kit.latest(session, PIPELINE)
    if run is None:
        raise KitError(f"No execution of {PIPELINE} was found after the notebooks ran.")
    with times.of("report"):
        report = kit.report(session, PIPELINE, RUNS / f"{PIPELINE}.html")
    _tell(console, run.execution, times)
    console.print(f"\nReport        {report}\nNotebooks     {RUNS}/")
    console.print(f"Endpoint      {settings.project}-{MODEL} at {status.url}")
    console.print("Next          make lab: the notebooks in JupyterLab; make run: the next month; make stop")


def _port(settings: Settings) -> int:
    return int((settings.url or "").rpartition(":")[2])


def _next_month(session: Session) -> date:
    """The first month, or the one after the newest that a run has judged."""
    import mlops_kit as kit

    done = [
        date.fromisoformat(str(value)[:10])
        for value, status in kit.history(session, PIPELINE)[["as_of", "status"]].itertuples(index=False)
        if value and status == "SUCCEEDED"
    ]
    if not done:
        return FIRST
    newest = max(done)
    following = date(newest.year + newest.month // 12, newest.month % 12 + 1, 1)
    return following if following <= LAST else FIRST


def _tell(console: Any, execution: Execution, times: Times) -> None:
    """The table of states, the verdict with its metrics, the cost, and where the time went."""
    from rich.table import Table

    from mlops_kit.observe.charts import duration
    from mlops_kit.observe.cost import estimate
    from mlops_kit.observe.history import find_judgement

    as_of = (execution.input or {}).get("as_of", "")
    table = Table(title=f"Retraining as of {as_of}: {execution.status}", title_justify="left")
    for column in ("state", "status", "tries", "time"):
        table.add_column(column, justify="right" if column in ("tries", "time") else "left")
    for name, state in execution.states.items():
        if state.attempts or state.seconds:
            table.add_row(name, state.status, str(state.attempts or ""), duration(state.seconds))
    console.print()
    console.print(table)
    if judgement := find_judgement(execution):
        metrics = Table(title=f"Verdict: {judgement['verdict']}", title_justify="left")
        roles = [role for role, values in judgement["metrics"].items() if values]
        for column in ("metric", *roles):
            metrics.add_column(column, justify="left" if column == "metric" else "right")
        for name in judgement["metrics"]["challenger"]:
            values = (judgement["metrics"][role].get(name) for role in roles)
            metrics.add_row(name, *("" if value is None else f"{value:.4g}" for value in values))
        console.print(metrics)
        for reason in judgement.get("reasons", ()):
            console.print(f"  {reason}", highlight=False)
    console.print(f"\nCost on AWS   {estimate(execution)}", highlight=False)
    setup = Path(sys.prefix) / ".complete"
    spent = {"environment (once)": float(setup.read_text())} if setup.exists() else {}
    spent |= times.spent
    console.print("Time          " + ", ".join(f"{what} {duration(value)}" for what, value in spent.items()))


if __name__ == "__main__":
    sys.exit(main())
