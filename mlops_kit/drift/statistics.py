"""How far a window's profile is from its reference's, a number a feature; must not judge or read data.

Standard library only, and a few microseconds a feature, so that years of daily profiles can be replayed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from mlops_kit.drift.profile import Category, Numeric, Profile
from mlops_kit.errors import UsageError

BINS = 10
FLOOR = 1e-4
LEAST = 10  # rows that a value must be expected to have in either window
CHANCE = 3  # standard deviations that a count may be off
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
    return measure_all(reference, window, (statistic,))


def measure_all(
    reference: Profile, window: Profile, statistics: Sequence[str] | None = None
) -> tuple[Measure, ...]:
    """Several statistics, default all, of every feature that both hold; see `measure`."""
    pairs: list[tuple[str, Feature, Feature]] = [
        (name, one, window.numeric[name]) for name, one in reference.numeric.items() if name in window.numeric
    ]
    pairs += [
        (name, one, window.categories[name])
        for name, one in reference.categories.items()
        if name in window.categories
    ]
    return tuple(found for pair in pairs for found in _measured(*pair, statistics or tuple(FUNCTIONS)))


def psi(reference: Feature, window: Feature) -> float:
    """Population stability index, from 0 (equal) to about 18: sum of (q - p) ln(q / p) over `bins`.

    Shares p and q below 0.0001 count as 0.0001, so that an empty bin stays finite. Symmetric but for the
    bins, which are the reference's. Convention: below 0.1 stable, above 0.2 shifted; Siddiqi, "Credit Risk
    Scorecards", 2006. It says nothing of the sample's size or the season: see `thresholds.Calibrated`.
    """
    return _psi(*bins(reference, window))


def js(reference: Feature, window: Feature) -> float:
    """Jensen-Shannon distance, the square root of the divergence with logarithms to base 2, over `bins`.

    From 0 (equal) to 1 (nothing in common); symmetric but for the bins, which are the reference's. Source:
    Endres, Schindelin, "A New Metric for Probability Distributions", 2003.
    """
    return _js(*bins(reference, window))


def chi_square(reference: Feature, window: Feature) -> float:
    """Chi-square of homogeneity over `bins`, from 0; symmetric but for the bins, which are the reference's.

    Grows with the rows: compare it with its critical value, not with another window's. Source: Press et al.,
    "Numerical Recipes", 3rd edition, 14.3.2.
    """
    return _chi_square(*bins(reference, window))


def ks(reference: Numeric, window: Numeric) -> float:
    """Kolmogorov-Smirnov statistic: the largest distance of the two cumulative shares, 0 to 1, symmetric.

    At the edges of the 256 buckets, so never more than the exact one, and within 0.0002 of it for a million
    values of a smooth distribution. Missing values are left out; where one of the two has no others it is 1.
    Source: Press et al., "Numerical Recipes", 3rd edition, 14.3.3.
    """
    n, m = reference.count, window.count
    if not (n and m):
        return float(n != m)
    steps = (a * m - b * n for a, b in zip(reference.buckets, window.buckets, strict=True))
    return max(map(abs, accumulate(steps))) / (n * m)


FUNCTIONS: dict[str, Callable[..., float]] = {"psi": psi, "js": js, "ks": ks, "chi_square": chi_square}


def scale(one: Measure) -> float:
    """How its statistic grows with the rows: chi-square by the product of the two over their sum."""
    return one.rows[0] * one.rows[1] / sum(one.rows) if one.statistic == "chi_square" else 1.0


def bins(reference: Feature, window: Feature) -> tuple[Sequence[float], Sequence[float]]:
    """Counts of both by bin, missing values last.

    Numbers: bins that begin at the reference's deciles, found among its 256 buckets; a bucket that holds a
    tenth or more is a bin of its own, so a constant column has three: below, equal, above. Categories: each
    known value of which either window should hold ten, by the rows of both together, then all rarer ones,
    then those that are not known. Missing values are a bin too: what is suddenly missing has drifted.

    Notes
    -----
    With fewer values in a bin chance gives more than chi-square's distribution says: Cochran, "Some Methods
    for Strengthening the Common Chi-Square Tests", 1954, asks for five; the logarithms of PSI need ten.

    A reference's known values owe rows to chance, since they are known by them: those that occur more than c
    times c + 1 times the number of values that occur c + 1 times, as Good and Turing estimate it (Good, "The
    Population Frequencies of Species", 1953). Up to that and three standard deviations they give rows back
    to what is not known, as far as the window has more of it; and a value has a bin of its own only if it
    would have one, were all values known. Where no value is rare both come to nothing.

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
            return _values(reference, window)
    raise UsageError(
        "The window's profile was not made with the reference's ranges and known values.",
        suggestion="make it so: profile(source, reference).",
    )


def _measured(name: str, reference: Feature, window: Feature, statistics: Sequence[str]) -> Iterator[Measure]:
    one, other = bins(reference, window)
    rows = round(sum(one)), round(sum(other))
    freedom = max(sum(1 for a, b in zip(one, other, strict=True) if a + b) - 1, 1)
    for statistic in statistics:
        if statistic == "ks" and isinstance(reference, Numeric) and isinstance(window, Numeric):
            value = ks(reference, window) if all(rows) else None
            yield Measure(name, "ks", value, freedom, rows)
        else:
            chosen = "chi_square" if statistic == "ks" else statistic
            value = _OF_BINS[chosen](one, other) if all(rows) else None
            yield Measure(name, chosen, value, freedom, rows)


def _values(reference: Category, window: Category) -> tuple[list[float], list[float]]:
    """Counts of both: of each frequent value, of all rare ones, of what is not known, of what is missing."""
    n, m = (each.count + each.nulls for each in (reference, window))
    pairs: list[tuple[float, float]] = [
        (count, window.counts[label]) for label, count in reference.counts.items()
    ]
    cut = min(reference.counts.values(), default=0) if reference.other else 0
    least = max(LEAST * (n + m) / max(min(n, m), 1), cut + _most(_most(cut) * m / max(n, 1)) if cut else 0.0)
    often = [pair for pair in pairs if sum(pair) >= least]
    rare = [pair for pair in pairs if sum(pair) < least]
    known, others = sum(a for a, _ in rare), reference.other
    unseen = _unseen([a for a, _ in rare], cut)
    owed = min(max(window.other * n / max(m, 1) - others, 0.0), unseen)
    found = [
        *often,
        (known - owed, sum(b for _, b in rare)),
        (others + owed, window.other),
        (reference.nulls, window.nulls),
    ]
    return [a for a, _ in found], [b for _, b in found]


def _unseen(rare: Sequence[float], cut: int) -> float:
    """How many of a reference's rows its rare values may owe to having been chosen by them."""
    step = max(math.sqrt(cut) / 4, 1.0)
    near = sum(1 for one in rare if one <= cut + step)
    return min((cut + 1) * _most(near) / step, sum(rare))


def _most(count: float) -> float:
    """What chance makes of a count at most."""
    return count + CHANCE * math.sqrt(count) + CHANCE**2 / 2


def _psi(one: Sequence[float], other: Sequence[float]) -> float:
    n, m = sum(one), sum(other)
    shares = ((max(a / n, FLOOR), max(b / m, FLOOR)) for a, b in zip(one, other, strict=True))
    return math.fsum((q - p) * math.log(q / p) for p, q in shares)


def _js(one: Sequence[float], other: Sequence[float]) -> float:
    n, m = sum(one), sum(other)
    total = 0.0
    for p, q in ((a / n, b / m) for a, b in zip(one, other, strict=True)):
        middle = (p + q) / 2
        total += p * math.log2(p / middle) if p else 0.0
        total += q * math.log2(q / middle) if q else 0.0
    return math.sqrt(min(max(total / 2, 0.0), 1.0))


def _chi_square(one: Sequence[float], other: Sequence[float]) -> float:
    ratio = math.sqrt(sum(other) / sum(one))
    return math.fsum((a * ratio - b / ratio) ** 2 / (a + b) for a, b in zip(one, other, strict=True) if a + b)


_OF_BINS = {"psi": _psi, "js": _js, "chi_square": _chi_square}


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
