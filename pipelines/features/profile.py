"""A profile of a window of data, made with pandas inside a Glue job; must not need more than Glue holds.

A profile describes data without keeping them: per numeric feature count, nulls, mean, standard deviation,
min, max and 256 buckets (with an under- and an overflow bucket) between the 0.1 and 99.9 percentiles of the
reference; per category the counts of its values. Counts add up: a month's profile is the sum of its days'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

BUCKETS = 256


def profile(frame: pd.DataFrame, numeric: Sequence[str], categories: Sequence[str]) -> dict[str, Any]:
    """The profile of a reference window.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row an observation.
    numeric, categories : sequence of str
        Columns to describe as numbers and as categories.

    Returns
    -------
    dict
        ``{"rows": int, "numeric": {name: {...}}, "categories": {name: {"nulls": int, "counts": {...}}}}``.
    """
    return {
        "version": 1,
        "rows": len(frame),
        "numeric": {name: _numeric(frame[name]) for name in numeric},
        "categories": {name: _category(frame[name]) for name in categories},
    }


def _numeric(column: pd.Series) -> dict[str, Any]:
    values = column.dropna().to_numpy(dtype=float)
    low, high = np.quantile(values, [0.001, 0.999]) if len(values) else (0.0, 0.0)
    return {
        "count": len(values),
        "nulls": len(column) - len(values),
        "mean": _number(values.mean()) if len(values) else None,
        "std": _number(values.std(ddof=1)) if len(values) > 1 else None,
        "min": _number(values.min()) if len(values) else None,
        "max": _number(values.max()) if len(values) else None,
        "low": _number(low),
        "high": _number(high),
        "buckets": _buckets(values, float(low), float(high)),
    }


def _buckets(values: np.ndarray, low: float, high: float) -> list[int]:
    """Counts below ``low``, in 256 equal steps from ``low`` to ``high`` (included), and above ``high``."""
    if high <= low:
        inside = int(((values >= low) & (values <= high)).sum())
        counts = [inside] + [0] * (BUCKETS - 1)
    else:
        step = np.floor((values - low) / (high - low) * BUCKETS)
        step = np.where((values == high), BUCKETS - 1, step)
        kept = step[(values >= low) & (values <= high)].astype(int)
        counts = np.bincount(np.minimum(kept, BUCKETS - 1), minlength=BUCKETS).tolist()
    return [int((values < low).sum()), *counts, int((values > high).sum())]


def _category(column: pd.Series) -> dict[str, Any]:
    known = column.dropna()
    counts = known.map(_label).value_counts().sort_index()
    return {"nulls": int(column.isna().sum()), "counts": {str(k): int(v) for k, v in counts.items()}}


def _label(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(value: Any) -> float | None:
    return float(value)
