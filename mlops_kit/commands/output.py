"""What commands print, and the one question that they ask; loads rich at the first output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlops_kit.errors import KitError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.runs import Run


def show(value: Any) -> None:
    """Print a value that has a form for terminals."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo(str(value))
    else:
        console.print(value, crop=False, soft_wrap=isinstance(value.__rich__(), str))


def ask(question: str) -> None:
    """Ask, and stop the command when the answer is no.

    Raises
    ------
    UsageError
        Nobody can answer.
    """
    if not sys.stdin.isatty():
        raise UsageError("Nobody is there to confirm; nothing was changed.", suggestion="add --yes.")
    click.confirm(question, abort=True)


def ended(run: Run, *, waited: bool) -> int:
    """Print a run; exit status 1 when it failed."""
    if not waited:
        click.echo(run.arn)
        return 0
    show(run)
    return 0 if run.status == "SUCCEEDED" else 1


def write(text: str, output: Path | None) -> None:
    """Print a text or write it to a file.

    Raises
    ------
    KitError
        The file cannot be written.
    """
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise KitError(f"{output} cannot be written.", cause=error.strerror) from None
    click.echo(f"Written {output}")


def frame(found: pd.DataFrame) -> None:
    """Print the history as a table."""
    from rich.console import Console

    from mlops_kit.deploy.plan import text_table
    from mlops_kit.observe.charts import duration

    columns = [
        "pipeline",
        "name",
        "as_of",
        "trigger",
        "status",
        "started",
        "seconds",
        "retries",
        "verdict",
        "failed in",
    ]
    if found.empty:
        click.echo("No run yet. Start one: mlops-kit run PIPELINE")
        return
    shown = found[columns].astype(object).where(found[columns].notna(), "")
    shown["started"] = [f"{when:%Y-%m-%d %H:%M:%S}" for when in found["started"]]
    shown["seconds"] = [duration(None if value == "" else value) for value in shown["seconds"]]
    console = Console(highlight=False)
    if not console.is_terminal:  # as wide as it needs to be: a log or a pipe has no edge
        console = Console(width=200, color_system=None)
    console.print(text_table(columns, shown.to_numpy().tolist()))
