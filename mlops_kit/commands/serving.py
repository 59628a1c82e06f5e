"""``mlops-kit local``: the embedded AWS on this machine, started, seen, moved in time and stopped."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mlops_kit.commands.options import settings, shared_options
from mlops_kit.errors import UsageError

_SILENCE = 5.0  # seconds after which a moving clock says where it is
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@click.group()
@shared_options
def local() -> None:
    """The embedded AWS on this machine."""


def _state_dir(function: Any) -> Any:
    words = "Where it keeps its state; default .mlops-kit, here or in a folder further up."
    return click.option("--state-dir", type=click.Path(path_type=Path), help=words)(function)


def _chosen(given: Path | None) -> Path:
    """The folder that was named, or the one that `kit.session` takes up here."""
    from mlops_kit.settings import found_folder

    return given or found_folder(settings().state_dir)


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
    chosen = _chosen(state_dir)
    status = control.start(chosen, LOCAL_PORT if port is None else port, at, found.region, enforce_iam)
    click.echo(f"The embedded AWS answers at {status.url} (process {status.pid}, state in {chosen}).")
    if status.now:
        click.echo(f"Its clock says {status.now}.")
    ignored = [f"--port {port}"] if port and not str(status.url).endswith(f":{port}") else []
    ignored += [f"--at {at}"] if at else []
    if status.found and ignored:
        click.echo(
            f"It ran already: {' and '.join(ignored)} changed nothing. "
            "Stop it first (mlops-kit local stop), or move its clock (mlops-kit local advance)."
        )
    if status.enforces_iam:
        click.echo("Roles are held to their policies.")


@local.command()
@_state_dir
@shared_options
def stop(state_dir: Path | None) -> None:
    """Stop it with all its processes; its state stays."""
    from mlops_kit.local import control

    chosen = _chosen(state_dir)
    stopped = control.stop(chosen)
    click.echo(f"Stopped; state stays in {chosen}." if stopped else f"Nothing serves {chosen}.")


@local.command()
@_state_dir
@shared_options
def status(state_dir: Path | None) -> int:
    """Say whether it runs; exit status 1 when it does not."""
    from mlops_kit.local import control

    chosen = _chosen(state_dir)
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


@local.command()
@click.argument("duration", required=False)
@click.option("--to", metavar="TIME", help="Move to a time, such as 2011-07-08T03:00:00Z.")
@_state_dir
@shared_options
def advance(duration: str | None, to: str | None, state_dir: Path | None) -> int:
    """Move its clock by DURATION (90m, 24h, 8d); everything that falls due fires in order.

    The clock halts at each due time until what fires there has come to rest: jobs run in real time.
    """
    from mlops_kit.local import control

    seconds, moment = _distance(duration, to)
    ended, said = False, time.monotonic()
    for line in control.advance(_chosen(state_dir), seconds, moment):
        for fired in line.get("fired", ()):
            click.echo(f"{_utc(fired['at'])}  {fired['schedule']}  {fired['target']}  {fired['result']}")
        if line.get("waiting"):
            click.echo(f"{_utc(line['now'])}  waiting for {', '.join(line['waiting'])}")
        if line.get("fired") or line.get("waiting"):
            said = time.monotonic()
        elif time.monotonic() - said > _SILENCE:
            click.echo(f"{_utc(line['now'])}  ...")
            said = time.monotonic()
        if "done" in line:
            ended = line["done"]
            click.echo(
                f"Its clock says {_utc(line['now'])}." + (f" {line['error']}" if "error" in line else "")
            )
    return 0 if ended else 1


def _distance(duration: str | None, to: str | None) -> tuple[float | None, datetime | None]:
    if (duration is None) == (to is None):
        raise UsageError(
            "Say either how far or whereto.", suggestion="mlops-kit local advance 24h, or --to TIME."
        )
    if to is not None:
        from mlops_kit.local.control import moment

        return None, moment(to)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", duration or "")
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise UsageError(
            f"{duration!r} is no duration.", suggestion="write it as 90m, 24h, 8d, 1d12h (s, m, h, d, w)."
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts), None


def _utc(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
