"""``run``, ``stop``, ``redrive`` and ``notebook``: what starts or ends something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mlops_kit.commands.options import session, shared_options
from mlops_kit.errors import UsageError


@click.command()
@click.argument("pipeline")
@click.option("--input", "text", metavar="JSON|@FILE", default="{}", help="Input of the execution.")
@click.option("--name", help="Name of the execution.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@shared_options
def run(pipeline: str, text: str, name: str | None, no_wait: bool) -> int:
    """Run the pipeline and watch it, state by state."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.output import ended

    value = _json(text)
    where = session()
    found = catalog.build(where.settings, pipeline)
    return ended(kit.run(where, found, value, name=name, wait=not no_wait), waited=not no_wait)


@click.command()
@click.argument("execution")
@shared_options
def stop(execution: str) -> None:
    """Stop an execution, given by name or ARN."""
    import mlops_kit as kit

    found = kit.stop(session(), execution)
    click.echo(f"{found.name}: {found.status}")


@click.command()
@click.argument("execution", required=False)
@click.option("--all", "every", is_flag=True, help="All that did not succeed and that nothing made good.")
@click.option("--since", metavar="24h|TIME", help="With --all: that ended since then; default 24h.")
@click.option("--pipeline", help="With --all: only of this pipeline.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@shared_options
def redrive(
    execution: str | None, every: bool, since: str | None, pipeline: str | None, yes: bool, no_wait: bool
) -> int:
    """Take up a failed execution at the state that failed; with --all, every one."""
    import mlops_kit as kit
    from mlops_kit.commands.output import ended

    if every == (execution is not None) or (not every and (since or pipeline or yes)):
        raise UsageError(
            "Name one execution, or give --all.",
            suggestion="mlops-kit redrive EXECUTION, or mlops-kit redrive --all --since 24h.",
        )
    if execution is None:
        return _redrive_all(since or "24h", pipeline, yes, not no_wait)
    return ended(kit.redrive(session(), execution, wait=not no_wait), waited=not no_wait)


def _redrive_all(since: str, pipeline: str | None, yes: bool, wait: bool) -> int:
    import mlops_kit as kit
    from mlops_kit.commands.looking import full_name
    from mlops_kit.commands.output import ask, show

    where = session()
    found = kit.redrives(where, since, full_name(pipeline))
    show(found)
    if not found:
        return 0
    if not yes:
        ask(f"Repeat them on the {where.where}?")
    runs = found.redrive(wait)
    for run in runs:
        click.echo(f"{run.name}: {run.status}" if wait else run.arn)
    return 1 if wait and any(run.status != "SUCCEEDED" for run in runs) else 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-p", "values", type=(str, str), multiple=True, metavar="NAME VALUE", help="A parameter.")
@click.option(
    "-o", "output_dir", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of the copy."
)
@shared_options
def notebook(file: Path, values: tuple[tuple[str, str], ...], output_dir: Path) -> None:
    """Run a notebook headless and keep the copy with its outputs."""
    from mlops_kit import notebooks

    copy = notebooks.run(file, dict(values), output_dir, log=click.echo)
    click.echo(f"Written {copy}")


def _json(text: str) -> dict[str, Any]:
    """An object from the argument itself or from a file."""
    where = "--input"
    if text.startswith("@"):
        where = text[1:]
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where} cannot be read.", cause=str(error)) from None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UsageError(
            f"{where} is no JSON: {error.msg} at {place}.",
            suggestion='write it such as --input \'{"as_of": "2011-07-01"}\' or --input @FILE.',
        ) from None
    if not isinstance(value, dict):
        raise UsageError(f"{where} holds {json.dumps(value)[:40]}, not an object.")
    return value
