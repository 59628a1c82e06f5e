"""How far a window's profile is from its reference's, a number a feature; must not judge or read data.

Standard library only, and a few microseconds a feature, so that years of daily profiles can be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from mlops_kit.drift.profile import Category, Numeric, Profile
from mlops_kit.errors import UsageError

BINS = 10
FLOOR = 1e-4
Feature = Numeric | Category


@dataclass(frozen=True)
class Measure:
    """A statistic of one feature.

    Attributes
    ----------
    feature, statistic : str
        Of what, and which: ``psi``, ``js``, ``ks`` or ``chi_square``.
    value : float or None
        ``None`` when a window without rows leaves nothing to compare.
    freedom : int
        Bins that hold something in either window, less one.
    rows : tuple of int
        Rows of the reference and of the window, missing values included.
    """

    feature: str
    statistic: str
    value: float | None
    freedom: int
    rows: tuple[int, int]


def measure(statistic: str, reference: Profile, window: Profile) -> tuple[Measure, ...]:
    """The statistic of every feature that both hold, in the reference's order.

    Parameters
    ----------
    statistic : str
        ``psi``, ``js``, ``chi_square``, or ``ks``, which for categories is their counterpart chi-square.
    reference, window : Profile
        The window's made with the reference's ranges.

    Raises
    ------
    UsageError
        There is no such statistic, or the two have different ranges or known values.
    """
    if statistic not in FUNCTIONS:
        raise UsageError(
            f"There is no statistic {statistic!r}.", suggestion=f"take one of {', '.join(FUNCTIONS)}."
        )
    pairs: list[tuple[str, Feature, Feature]] = [
        (name, one, window.numeric[name]) for name, one in reference.numeric.items() if name in window.numeric
    ]
    pairs += [
        (name, one, window.categories[name])
        for name, one in reference.categories.items()
        if name in window.categories
    ]
    return tuple(_measure(name, statistic, one, other) for name, one, other in pairs)


def psi(reference: Feature, window: Feature) -> float:
    """Population stability index, from 0 (equal) to about 18: sum of (q - p) ln(q / p) over `bins`.

    Shares p and q below 0.0001 count as 0.0001, so that an empty bin stays finite. Symmetric but for the
    bins, which are the reference's. Convention: below 0.1 stable, above 0.2 shifted; Siddiqi, "Credit Risk
    Scorecards", 2006. It says nothing of the sample's size or the season: see `thresholds.Calibrated`.
    """
    one, other = _shares(reference, window)
    return math.fsum(
        (q - p) * math.log(q / p)
        for p, q in ((max(a, FLOOR), max(b, FLOOR)) for a, b in zip(one, other, strict=True))
    )


def js(reference: Feature, window: Feature) -> float:
    """Jensen-Shannon distance, the square root of the divergence with logarithms to base 2, over `bins`.

    From 0 (equal) to 1 (nothing in common); symmetric but for the bins, which are the reference's. Source:
    Endres, Schindelin, "A New Metric for Probability Distributions", 2003.
    """
    total = 0.0
    for p, q in zip(*_shares(reference, window), strict=True):
        middle = (p + q) / 2
        total += p * math.log2(p / middle) if p else 0.0
        total += q * math.log2(q / middle) if q else 0.0
    return math.sqrt(min(max(total / 2, 0.0), 1.0))


def ks(reference: Numeric, window: Numeric) -> float:
    """Kolmogorov-Smirnov statistic: the largest distance of the two cumulative shares, 0 to 1, symmetric.

    At the edges of the 256 buckets, so never more than the exact one, and within 0.0002 of it for a million
    values of a smooth distribution. Missing values are left out; where one of the two has no others it is 1.
    Source: Press et al., "Numerical Recipes", 3rd edition, 14.3.3.
    """
    if not (reference.count and window.count):
        return float(reference.count != window.count)
    pairs = zip(accumulate(reference.buckets), accumulate(window.buckets), strict=True)
    return max(abs(a / reference.count - b / window.count) for a, b in pairs)


def chi_square(reference: Feature, window: Feature) -> float:
    """Chi-square of homogeneity over `bins`, from 0; symmetric but for the bins, which are the reference's.

    Grows with the rows: compare it with its critical value, not with another window's. Source: Press et al.,
    "Numerical Recipes", 3rd edition, 14.3.2.
    """
    one, other = bins(reference, window)
    ratio = math.sqrt(sum(other) / sum(one))
    return math.fsum((a * ratio - b / ratio) ** 2 / (a + b) for a, b in zip(one, other, strict=True) if a + b)


FUNCTIONS: dict[str, Callable[..., float]] = {"psi": psi, "js": js, "ks": ks, "chi_square": chi_square}


def bins(reference: Feature, window: Feature) -> tuple[list[int], list[int]]:
    """Counts of both by bin, missing values last.

    Numbers: bins that begin at the reference's deciles, found among its 256 buckets; a bucket that holds a
    tenth or more is a bin of its own, so a constant column has three: below, equal, above. Categories: known
    values, then all others. Missing values are a bin too: a feature that is suddenly missing has drifted.

    Raises
    ------
    UsageError
        The two have different ranges or known values.
    """
    match reference, window:
        case Numeric(), Numeric() if (reference.low, reference.high) == (window.low, window.high):
            ends = _ends(reference.buckets)
            one, other = (_cut(each.buckets, ends) for each in (reference, window))
            return [*one, reference.nulls], [*other, window.nulls]
        case Category(), Category() if reference.counts.keys() == window.counts.keys():
            counts = [window.counts[label] for label in reference.counts]
            return (
                [*reference.counts.values(), reference.other, reference.nulls],
                [*counts, window.other, window.nulls],
            )
    raise UsageError(
        "The window's profile was not made with the reference's ranges and known values.",
        suggestion="make it so: profile(source, reference).",
    )


def _measure(name: str, statistic: str, reference: Feature, window: Feature) -> Measure:
    chosen = "chi_square" if statistic == "ks" and isinstance(reference, Category) else statistic
    one, other = bins(reference, window)
    rows = sum(one), sum(other)
    value = FUNCTIONS[chosen](reference, window) if all(rows) else None
    filled = sum(1 for a, b in zip(one, other, strict=True) if a + b)
    return Measure(name, chosen, value, max(filled - 1, 1), rows)


def _shares(reference: Feature, window: Feature) -> tuple[list[float], list[float]]:
    one, other = bins(reference, window)
    return [a / sum(one) for a in one], [b / sum(other) for b in other]


@lru_cache(maxsize=4096)
def _ends(buckets: tuple[int, ...]) -> tuple[int, ...]:
    """Index after the last bucket of each bin: a bin begins with the bucket that holds the decile."""
    whole = sum(buckets)
    ends: list[int] = []
    decile = 1
    for index, below in enumerate(accumulate(buckets)):
        if decile < BINS and whole and below * BINS >= whole * decile:
            ends += [index, index + 1] if buckets[index] * BINS >= whole else [index]
            decile = below * BINS // whole + 1
    return tuple(sorted({*ends, len(buckets)} - {0}))


def _cut(buckets: Sequence[int], ends: Sequence[int]) -> list[int]:
    return [sum(buckets[start:end]) for start, end in zip((0, *ends), ends, strict=False)]
