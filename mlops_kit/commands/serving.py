"""``mlops-kit local``: the embedded AWS on this machine, started, seen and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlops_kit.commands.options import settings, shared_options


@click.group()
@shared_options
def local() -> None:
    """The embedded AWS on this machine."""


def _state_dir(function: Any) -> Any:
    words = "Where it keeps its state; default .mlops-kit."
    return click.option("--state-dir", type=click.Path(path_type=Path), help=words)(function)


@local.command()
@click.option("--port", type=int, help="Port of 127.0.0.1; default 4566.")
@click.option("--at", metavar="TIME", help="Where its clock starts, such as 2011-07-01.")
@click.option(
    "--enforce-iam",
    is_flag=True,
    help="Hold the roles of state machines, functions and jobs to their policies.",
)
@_state_dir
@shared_options
def start(port: int | None, at: str | None, enforce_iam: bool, state_dir: Path | None) -> None:
    """Start it, and wait until it is ready."""
    from mlops_kit.local import control
    from mlops_kit.settings import LOCAL_PORT

    found = settings()
    chosen = state_dir or found.state_dir
    status = control.start(chosen, LOCAL_PORT if port is None else port, at, found.region, enforce_iam)
    click.echo(f"The embedded AWS answers at {status.url} (process {status.pid}, state in {chosen}).")
    if status.now:
        click.echo(f"Its clock says {status.now}.")
    if status.enforces_iam:
        click.echo("Roles are held to their policies.")


@local.command()
@_state_dir
@shared_options
def stop(state_dir: Path | None) -> None:
    """Stop it with all its processes; its state stays."""
    from mlops_kit.local import control

    chosen = state_dir or settings().state_dir
    stopped = control.stop(chosen)
    click.echo(f"Stopped; state stays in {chosen}." if stopped else f"Nothing serves {chosen}.")


@local.command()
@_state_dir
@shared_options
def status(state_dir: Path | None) -> int:
    """Say whether it runs; exit status 1 when it does not."""
    from mlops_kit.local import control

    chosen = state_dir or settings().state_dir
    found = control.status(chosen)
    if found.url is None:
        click.echo(f"Nothing serves {chosen}. Start it: mlops-kit local start")
        return 1
    click.echo(
        f"url      {found.url}\nprocess  {found.pid}\nstate    {found.state_dir}\nlog      {found.log}"
    )
    click.echo(f"clock    {found.now}" if found.now else "It does not answer yet.")
    if found.enforces_iam:
        click.echo("policies roles are held to their policies (--enforce-iam)")
    return 0 if found.now else 1
