"""``profile`` and ``drift``: whether a table is still as it was in the reference; any table, without AWS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from mlops_kit.commands.options import shared_options

F = TypeVar("F", bound=Callable[..., Any])


def _of_reference(function: F) -> F:
    """Options that say how a reference is made of data."""
    for option in (
        click.option(
            "--order", metavar="COLUMN", help="The reference's rows follow each other by this column."
        ),
        click.option(
            "--category", "categories", multiple=True, metavar="COLUMN", help="A numeric column of codes."
        ),
        click.option(
            "--feature", "features", multiple=True, metavar="COLUMN", help="Only these; default every column."
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("source", metavar="FILE")
@click.option("-o", "output", type=click.Path(path_type=Path), help="File; default standard output.")
@_of_reference
@shared_options
def profile(
    source: str,
    output: Path | None,
    features: tuple[str, ...],
    categories: tuple[str, ...],
    order: str | None,
) -> None:
    """Describe a table (Parquet or CSV: a file, a folder or a glob) as the reference of later checks."""
    from mlops_kit.commands.output import write
    from mlops_kit.drift.check import profile as make

    found = make(source, features=features or None, categories=categories, order=order)
    write(found.to_json(), output)


@click.command()
@click.argument("source", metavar="FILE|PIPELINE")
@click.option(
    "--reference", metavar="PROFILE|FILE", help="Compare a file with a profile's JSON, or with data."
)
@click.option("--window", metavar="A..B", help="Of a pipeline: these days, such as 2012-02-10..2012-03-09.")
@click.option(
    "--statistic", default="psi", show_default=True, metavar="NAME", help="psi, js, ks or chi_square."
)
@click.option(
    "--threshold",
    default="quiet",
    show_default=True,
    metavar="RULE",
    help="quiet (the reference's own windows), a number, p:ALPHA (p-value), sd:COUNT (standard deviations).",
)
@click.option("--json", "as_json", is_flag=True, help="The verdicts as JSON.")
@_of_reference
@shared_options
def drift(
    source: str,
    reference: str | None,
    window: str | None,
    statistic: str,
    threshold: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Compare a table with a reference, feature by feature; exit status 1 when one has drifted.

    Of a PIPELINE: what its model's drift monitor found in the newest window, or in another one.
    """
    if reference is None:
        _refuse(
            f"it says how a file is compared, and the monitor of {source} has measured already",
            "statistic",
            "threshold",
            *options,
        )
        return _watched(source, window, as_json)
    _refuse("it chooses among a pipeline's windows, and with --reference a file is one", "window")
    from mlops_kit.drift.check import data_drift
    from mlops_kit.drift.thresholds import parse

    options["features"] = options["features"] or None
    found = data_drift(reference, source, statistic=statistic, threshold=parse(threshold), **options)
    click.echo(found.to_json() if as_json else str(found))
    if as_json and found.missing:
        click.echo(f"Not in {source}: {', '.join(found.missing)}", err=True)
    return 1 if found.drifted else 0


def _refuse(reason: str, *names: str) -> None:
    """Refuse options that would be ignored."""
    from mlops_kit.errors import UsageError

    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
        if given and option.name in names:
            raise UsageError(f"{option.opts[0]} cannot be used here: {reason}.", suggestion="leave it out.")


def _watched(pipeline: str, window: str | None, as_json: bool) -> int:
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.options import session

    if Path(pipeline).exists():
        raise kit.UsageError(
            f"{pipeline} is a file.", suggestion="say what to compare it with: --reference FILE"
        )
    current = session()
    found = kit.watched(current, catalog.build(current.settings, pipeline))
    if window is not None:
        start, sign, end = window.partition("..")
        known = ", ".join(f"{one.start}..{one.end}" for one in found.windows)
        found = found.of(start, end) if sign else found.of("", "")
        if not found.results:
            raise kit.UsageError(f"There is no window {window!r}.", suggestion=f"measured are: {known}.")
    click.echo(found.to_json() if as_json else str(found))
    return 1 if found.drifted else 0


@click.command()
@click.argument("pipeline")
@click.option("--from", "start", required=True, metavar="DAY", help="The first champion is trained as of it.")
@click.option("--to", "end", required=True, metavar="DAY", help="Day of the last look.")
@click.option(
    "--rule", "rules", multiple=True, metavar="RULE", help="Such as 'bias>0.15 windows=2 cooldown=14'."
)
@click.option("--no-schedules", is_flag=True, help="Let the rules alone start retrainings.")
@click.option("--json", "as_json", is_flag=True, help="Windows and what they started as JSON.")
@shared_options
def simulate(
    pipeline: str, start: str, end: str, rules: tuple[str, ...], no_schedules: bool, as_json: bool
) -> None:
    """Replay a pipeline's data through time, offline: which rule would have fired when, and started what."""
    import mlops_kit as kit
    from mlops_kit import catalog
    from mlops_kit.commands.options import settings

    described = catalog.build(settings(), pipeline)
    found = kit.simulate(described, start, end, rules or None, schedules=not no_schedules)
    click.echo(found.to_json() if as_json else str(found))
