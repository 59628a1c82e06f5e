"""What a quiet week looks like: a reference's own windows, each against the rest of it; must not judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, stdev

from mlops_kit.drift.profile import Profile, total
from mlops_kit.drift.quiet import Quiet, Spread
from mlops_kit.drift.statistics import measure_all, scale

PARTS = (4, 16, 64, 256)
ROWS = 20


def finest(rows: int) -> int:
    """Into how many windows to cut a reference: 256, 64, 16 or 4 of at least 20 rows; 0 with too few rows."""
    return max((parts for parts in PARTS if rows // parts >= ROWS), default=0)


def calibrate(reference: Profile, windows: Sequence[Profile]) -> Profile:
    """The reference's profile with the spread of its own windows.

    Parameters
    ----------
    reference : Profile
        Of the whole.
    windows : sequence of Profile
        Of its consecutive parts, about equal in rows, made with its ranges; neighbours are put together to
        larger windows of a quarter, a 16th, a 64th and a 256th of the reference, as many as there are.
    """
    spreads = {}
    for parts in (parts for parts in PARTS if parts <= len(windows)):
        bounds = [round(len(windows) * index / parts) for index in range(parts + 1)]
        grouped = [total(windows[start:end], reference.emptied()) for start, end in pairwise(bounds)]
        spreads[reference.rows // parts] = _spreads(reference, grouped)
    return Profile(
        reference.rows, reference.numeric, reference.categories, Quiet(spreads) if spreads else None
    )


def _spreads(reference: Profile, windows: Sequence[Profile]) -> dict[str, dict[str, Spread]]:
    values: dict[tuple[str, str], list[float]] = defaultdict(list)
    for window in windows:
        # of a category KS is chi-square, which is there already
        found = {(one.feature, one.statistic): one for one in measure_all(reference.without(window), window)}
        for key, one in found.items():
            if one.value is not None:
                values[key].append(one.value / scale(one))
    spreads: dict[str, dict[str, Spread]] = defaultdict(dict)
    for (feature, statistic), some in values.items():
        spreads[feature][statistic] = Spread(fmean(some), stdev(some) if len(some) > 1 else 0.0, max(some))
    return dict(spreads)
