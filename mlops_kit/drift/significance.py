"""What chance alone gives: p-values and critical values of the statistics; standard library only.

Closed forms instead of scipy: importing scipy.stats takes 2 s, a whole check of a million rows less than one.
Tests hold them against scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def p_value(statistic: str, value: float, freedom: int, rows: tuple[int, int]) -> float:
    """The chance of at least this value when both windows are draws from one distribution.

    Parameters
    ----------
    statistic : str
        ``psi``, ``js``, ``ks`` or ``chi_square``.
    value : float
        Of the statistic.
    freedom : int
        Bins that hold something, less one; not used by ``ks``.
    rows : tuple of int
        Values in the reference and in the window.

    Notes
    -----
    PSI times the effective rows, the product of the two over their sum, is chi-square distributed (Yurdakul,
    "Statistical Properties of Population Stability Index", 2018); so is 8 ln 2 times the squared
    Jensen-Shannon distance, whose leading term it shares. KS: the asymptotic Kolmogorov distribution. All are
    for bins of more than about five values, and rows that do not depend on each other.
    """
    effective = _effective(rows)
    if statistic == "ks":
        return kolmogorov_survival(value * math.sqrt(effective))
    return chi_square_survival(_as_chi_square(statistic, value, effective), freedom)


def critical(statistic: str, alpha: float, freedom: int, rows: tuple[int, int]) -> float:
    """The value that chance alone exceeds with probability ``alpha``; the inverse of `p_value`."""
    effective = _effective(rows)
    if statistic == "ks":
        return min(1.0, _inverse(kolmogorov_survival, alpha) / math.sqrt(effective))
    found = _inverse(lambda x: chi_square_survival(x, freedom), alpha)
    if statistic == "chi_square":
        return found
    return found / effective if statistic == "psi" else math.sqrt(found / effective / (8 * math.log(2)))


def chi_square_survival(value: float, freedom: int) -> float:
    """Probability that a chi-square variable exceeds the value.

    Source: Abramowitz, Stegun, "Handbook of Mathematical Functions", 26.4.4 and 26.4.5: finite sums for whole
    degrees of freedom.
    """
    if value <= 0 or freedom < 1:
        return 1.0
    half = value / 2
    total = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    for index in range(1, (freedom + 1) // 2):
        power = index - 0.5 if freedom % 2 else float(index)
        total += math.exp(power * math.log(half) - half - math.lgamma(power + 1))
    return min(total, 1.0)


def kolmogorov_survival(value: float) -> float:
    """Probability that the Kolmogorov variable exceeds the value.

    Source: Press et al., "Numerical Recipes", 3rd edition, 6.14.56 and 6.14.57: one series each for large and
    small values.
    """
    if value <= 0.1:
        return 1.0
    if value < 1.18:
        y = math.exp(-(math.pi**2) / (8 * value * value))
        return 1.0 - math.sqrt(2 * math.pi) / value * (y + y**9 + y**25 + y**49)
    x = math.exp(-2 * value * value)
    return 2 * (x - x**4 + x**9)


def _effective(rows: tuple[int, int]) -> float:
    return rows[0] * rows[1] / (rows[0] + rows[1])


def _as_chi_square(statistic: str, value: float, effective: float) -> float:
    if statistic == "chi_square":
        return value
    return effective * (value if statistic == "psi" else 8 * math.log(2) * value * value)


def _inverse(survival: Callable[[float], float], alpha: float) -> float:
    """Where a falling function meets ``alpha``."""
    low, high = 0.0, 1.0
    while survival(high) > alpha:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if survival(middle) > alpha else (low, middle)
    return high
