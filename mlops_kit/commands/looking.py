"""``pipelines``, ``build``, ``lint``, ``graph``, ``history`` and ``report``: what changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlops_kit.commands.options import session, settings, shared_options


@click.command()
@shared_options
def pipelines() -> None:
    """List the pipelines of this project."""
    from mlops_kit import catalog

    found = catalog.entries()
    width = max((len(entry.name) for entry in found), default=0)
    for entry in found:
        click.echo(f"{entry.name:{width}}  {entry.description}")
    if not found:
        click.echo("There is no module with a function build in pipelines/.")


@click.command()
@click.argument("pipeline")
@click.option("-o", "output", type=click.Path(path_type=Path), help="File; default standard output.")
@shared_options
def build(pipeline: str, output: Path | None) -> None:
    """Write the pipeline's CloudFormation template as JSON; calls nothing."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.output import write

    found = settings()
    write(kit.template(found, catalog.build(found, pipeline)).json(), output)


@click.command()
@click.argument("subject", metavar="PIPELINE|FILE")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
@shared_options
def lint(subject: str, as_json: bool) -> int:
    """Find what is wrong in a pipeline or a definition's file; exit status 1 when there are errors."""
    import mlops_kit as kit
    from mlops_kit import catalog

    found = kit.lint(_file(subject) or catalog.build(settings(), subject))
    click.echo(found.to_json() if as_json else str(found))
    return 1 if found.errors else 0


@click.command()
@click.argument("subject", metavar="PIPELINE|FILE|EXECUTION")
@click.option("--format", "form", type=click.Choice(["svg", "mermaid"]), help="Default: an outline in words.")
@click.option("-o", "output", type=click.Path(path_type=Path), help="File; default standard output.")
@shared_options
def graph(subject: str, form: str | None, output: Path | None) -> None:
    """Draw a pipeline, a definition's file, or an execution with what happened."""
    import mlops_kit as kit
    from mlops_kit.commands.output import write

    drawn = kit.graph(_file(subject) or _pipeline_or_run(subject))
    if form is None and output is not None:
        form = "mermaid" if output.suffix in (".mmd", ".mermaid", ".md") else "svg"
    write(drawn.svg() if form == "svg" else drawn.mermaid() if form == "mermaid" else str(drawn), output)


@click.command()
@click.argument("pipeline", required=False)
@click.option("--json", "as_json", is_flag=True, help="One object a run.")
@shared_options
def history(pipeline: str | None, as_json: bool) -> None:
    """List the runs of a pipeline, or of all, newest first."""
    import mlops_kit as kit
    from mlops_kit.commands.output import frame

    found = kit.history(session(), full_name(pipeline))
    if as_json:
        click.echo(found.to_json(orient="records", date_format="iso", indent=2))
    else:
        frame(found)


@click.command()
@click.argument("pipeline", required=False)
@click.option("-o", "output", type=click.Path(path_type=Path), help="File; default runs/PIPELINE.html.")
@shared_options
def report(pipeline: str | None, output: Path | None) -> None:
    """Write the report of a pipeline, or of all, as one HTML file that opens offline."""
    import mlops_kit as kit

    click.echo(f"Written {kit.report(session(), full_name(pipeline), output)}")


def _file(subject: str) -> Path | None:
    """A path, when the subject looks like one."""
    return Path(subject) if subject.endswith(".json") or Path(subject).is_file() else None


def _pipeline_or_run(subject: str) -> Any:
    import mlops_kit as kit
    from mlops_kit import catalog

    if ":execution:" in subject:
        return kit.find(session(), subject)
    try:
        return catalog.build(settings(), subject)
    except kit.UsageError as unknown:
        try:
            return kit.find(session(), subject)
        except kit.KitError as absent:
            raise kit.UsageError(
                unknown.message,
                cause=f"it is no execution either: {absent.message}"
                if isinstance(absent, kit.UsageError)
                else f"nor can executions be asked for: {absent.message}",
                suggestion=f"{unknown.suggestion or unknown.cause} Executions: mlops-kit history",
            ) from None


def full_name(pipeline: str | None) -> str | None:
    """A pipeline's full name: what the person typed may leave out the default model."""
    from mlops_kit import catalog
    from mlops_kit.public_notebooks import standing

    return pipeline and (standing(pipeline) or catalog.build(settings(), pipeline)).name
