"""``bootstrap``, ``plan``, ``apply`` and ``destroy``."""

from __future__ import annotations

import click

from mlops_kit.commands.options import session, shared_options


@click.command()
@shared_options
def bootstrap() -> None:
    """Make what the project's pipelines share: buckets, bus, topics, lock table."""
    import mlops_kit as kit
    from mlops_kit.commands.output import show

    show(kit.bootstrap(session()))


@click.command()
@click.argument("pipeline")
@shared_options
def plan(pipeline: str) -> None:
    """Show what apply would change; change nothing."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.output import show

    where = session()
    show(kit.plan(where, catalog.build(where.settings, pipeline)))


@click.command()
@click.argument("pipeline")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared_options
def apply(pipeline: str, yes: bool) -> None:
    """Make the pipeline stand as described."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.output import ask, show

    where = session()
    described = catalog.build(where.settings, pipeline)
    planned = kit.plan(where, described)
    if planned.changes:  # else the apply itself says so
        show(planned)
    if planned.changes and not yes:
        ask(f"Apply this on the {where.where}?")
    show(kit.apply(where, described))


@click.command()
@click.argument("pipeline")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--with-data", is_flag=True, help="Remove what it wrote to S3, too.")
@shared_options
def destroy(pipeline: str, yes: bool, with_data: bool) -> None:
    """Remove the pipeline and what its executions made; PIPELINE "foundation": what pipelines share."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.output import ask, show
    from mlops_kit.public_notebooks import standing

    where = session()
    found = pipeline if pipeline == "foundation" else standing(pipeline)
    found = found or catalog.build(where.settings, pipeline)
    listed = kit.removal(where, found, with_data)
    show(listed)
    if listed:
        if not yes:
            ask(f"Remove this from the {where.where}?")
        kit.destroy(where, found, with_data)
