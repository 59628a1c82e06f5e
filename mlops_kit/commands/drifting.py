"""``profile`` and ``drift``: whether a table is still as it was in the reference; any table, without AWS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

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
@click.argument("source", metavar="FILE")
@click.option("--reference", required=True, metavar="PROFILE|FILE", help="A profile's JSON, or data.")
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
def drift(source: str, reference: str, statistic: str, threshold: str, as_json: bool, **options: Any) -> int:
    """Compare a table with a reference, feature by feature; exit status 1 when one has drifted."""
    from mlops_kit.drift.check import data_drift
    from mlops_kit.drift.thresholds import parse

    options["features"] = options["features"] or None
    found = data_drift(reference, source, statistic=statistic, threshold=parse(threshold), **options)
    click.echo(found.to_json() if as_json else str(found))
    if as_json and found.missing:
        click.echo(f"Not in {source}: {', '.join(found.missing)}", err=True)
    return 1 if found.drifted else 0
