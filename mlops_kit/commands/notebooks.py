"""``schedule-notebook``: a notebook that runs by itself."""

from __future__ import annotations

from pathlib import Path

import click

from mlops_kit.commands.options import session, shared_options


@click.command("schedule-notebook")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--cron", required=True, metavar="EXPRESSION", help="cron(...), rate(...) or at(...), as AWS's."
)
@click.option("--timezone", default="UTC", help="An IANA name; default UTC.")
@click.option("-p", "values", type=(str, str), multiple=True, metavar="NAME VALUE", help="A parameter.")
@click.option("--name", help="Default from the file's; the pipeline is notebook-NAME.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options
def schedule_notebook(
    file: Path, cron: str, timezone: str, values: tuple[tuple[str, str], ...], name: str | None, yes: bool
) -> None:
    """Let a notebook run by itself, in a SageMaker job; again with the same name is an update."""
    import mlops_kit as kit
    from mlops_kit.commands.output import ask, show

    where = session()
    described = kit.scheduled_notebook(where, file, cron, dict(values), timezone, name)
    planned = kit.plan(where, described)
    show(planned)
    if planned.changes and not yes:
        ask(f"Apply this on the {where.where}?")
    kit.apply(where, described)
    show(kit.schedules(where, described))
    click.echo(f"Its results: {described.writes[0]} in the data bucket.")
    click.echo(f"Remove it: mlops-kit destroy {described.name}")
