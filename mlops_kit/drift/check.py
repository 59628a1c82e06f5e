"""Makes profiles of files and checks one against another: ``kit.profile`` and ``kit.data_drift``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from mlops_kit.drift import sql
from mlops_kit.drift.profile import Profile
from mlops_kit.drift.report import DriftReport
from mlops_kit.drift.source import Table, check_types, kinds, opened, survey
from mlops_kit.drift.statistics import measure
from mlops_kit.drift.thresholds import Constant, Threshold, judge
from mlops_kit.errors import UsageError


def profile(
    source: Any,
    reference: Profile | None = None,
    *,
    features: Collection[str] | None = None,
    categories: Collection[str] = (),
    order: str | None = None,
) -> Profile:
    """Describe a table without keeping it.

    Parameters
    ----------
    source : str, Path or data frame
        A Parquet or CSV file (its first line names the columns), a folder or a glob of such, or a pandas,
        polars or Arrow table.
    reference : Profile, optional
        Gives the ranges and known values: the profile of a window to compare with it, in one pass. Without it
        the source is a reference itself, and is read into memory (beyond it on disk) for its ranges, profile
        and quiet windows.
    features : collection of str, optional
        Columns; default all that are numbers, text or booleans, or all of the reference.
    categories : collection of str
        Numeric columns of a reference that are codes, such as a weekday.
    order : str, optional
        Column by which a reference's rows follow each other, such as a time; default the order of the rows.

    Raises
    ------
    UsageError
        The source is missing or something else; a column is missing or of the wrong type; ``categories`` or
        ``order`` beside a reference, with which they are settled.
    """
    wanted = None if reference is None else _part(reference, features, categories, order)
    with opened(source) as table:
        if wanted is not None:
            like = check_types(table, wanted)
            columns = table.once(like.features)
            return sql.read(like, table.rows(_statement(columns, like)))
        return _reference(table, *kinds(table, features, categories), order)


def data_drift(
    reference: Any,
    source: Any,
    *,
    statistic: str = "psi",
    threshold: Threshold | float | None = None,
    **of_reference: Any,
) -> DriftReport:
    """Say which columns of a table are not as they were in the reference.

    Parameters
    ----------
    reference : Profile, str, Path or data frame
        A profile, a profile's JSON file, or data to make one of.
    source : str, Path or data frame
        The window to check.
    statistic : str
        ``psi``, ``js``, ``ks`` or ``chi_square``.
    threshold : Threshold or float, optional
        Default: calibrated on the reference's own windows, `mlops_kit.drift.thresholds.Calibrated`.
    **of_reference
        ``features`` of `profile`; ``categories`` and ``order``, too, when the reference is data.

    Raises
    ------
    UsageError
        As for `profile`, or no column is in both.
    """
    known = _known(reference, of_reference)
    window = profile(source, known)
    limit = Constant(threshold) if isinstance(threshold, int | float) else threshold
    missing = tuple(name for name in known.features if name not in window.features)
    verdicts = judge(measure(statistic, known, window), limit, known.quiet)
    return DriftReport(window.rows, known.rows, verdicts, missing)


def load(path: str | Path) -> Profile:
    """A profile from its JSON file.

    Raises
    ------
    UsageError
        There is no such file, or it is no profile.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read.", cause=error.strerror) from None
    try:
        return Profile.from_json(text)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", cause=error.cause, suggestion=error.suggestion) from None


def _known(reference: Any, options: dict[str, Any]) -> Profile:
    if isinstance(reference, str | Path) and str(reference).lower().endswith(".json"):
        reference = load(reference)
    return _part(reference, **options) if isinstance(reference, Profile) else profile(reference, **options)


def _part(
    known: Profile,
    features: Collection[str] | None = None,
    categories: Collection[str] = (),
    order: str | None = None,
) -> Profile:
    """Some features of a profile, whose categories and order are settled."""
    if categories or order is not None:
        raise UsageError(
            "Categories and the order of the rows were settled when the profile was made.",
            suggestion="leave them out, or make it anew: mlops-kit profile FILE --category COLUMN",
        )
    if features is None:
        return known
    if unknown := [name for name in features if name not in known.features]:
        raise UsageError(
            f"The profile has no feature {', '.join(unknown)}.", cause=f"it has {', '.join(known.features)}."
        )
    return known.only(features)


def _reference(table: Table, numbers: Sequence[str], labels: Sequence[str], order: str | None) -> Profile:
    """Profile a reference and its consecutive parts."""
    from mlops_kit.drift.calibration import calibrate, finest

    if order is not None and order not in table.types:
        raise UsageError(f"{table.label} has no column {order!r} to order its rows by.")
    place = sql.name("row of the reference" + "_" * max(map(len, table.types)))  # no column's name
    row = f"row_number() OVER ({f'ORDER BY {sql.name(order)}' if order else ''}) - 1 AS {place}"
    kept = table.kept([*numbers, *labels], row)
    layout = survey(kept, numbers, labels)
    whole = sql.read(layout, kept.rows(_statement(kept, layout)))
    parts = finest(whole.rows)
    if not parts:
        return whole
    by = f"{place} * {parts} // {whole.rows}"
    windows = sql.read_windows(layout, kept.rows(_statement(kept, layout, by)))
    return calibrate(whole, list(windows.values()))


def _statement(table: Table, layout: Profile, by: str | None = None) -> str:
    return sql.statement(layout, table.relation, types=table.types, by=by)
