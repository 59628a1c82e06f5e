"""When a statistic is too large: thresholds as things of their own; must not compute statistics.

Standard library only, so that a Lambda function can hold it. Which one when:

* `Calibrated`, the default: no alarm that the reference's own windows would have given. For all that has a
  season or a week, which is everything that people do.
* `PValue`: independent rows (a survey, a random sample). With a million rows any difference is significant.
* `StandardDeviations`: a long row of past windows that are much alike.
* `Constant`: a limit that somebody has agreed on, or that a rule in EventBridge compares with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlops_kit.drift.quiet import Quiet
from mlops_kit.drift.significance import critical, p_value
from mlops_kit.drift.statistics import Measure, scale
from mlops_kit.errors import UsageError

# PSI: Siddiqi, "Credit Risk Scorecards", 2006. The others are what is commonly taken.
CONVENTIONS = {"psi": 0.2, "js": 0.1, "ks": 0.1}
CORRECTIONS = ("holm", "bonferroni", "benjamini-hochberg", "none")


@dataclass(frozen=True)
class Verdict:
    """What was found of one feature.

    Attributes
    ----------
    feature, statistic : str
        Of what, and which.
    value : float or None
        Of the statistic; ``None`` when a window without rows left nothing to compare.
    threshold : float or None
        The value above which it has drifted; ``None`` with ``value``.
    drifted : bool
        ``False`` when there was nothing to compare.
    """

    feature: str
    statistic: str
    value: float | None
    threshold: float | None
    drifted: bool


class Threshold(Protocol):
    """Says for measures of one window above which value each feature has drifted."""

    def limits(self, found: Sequence[Measure], quiet: Quiet | None) -> Sequence[float]:
        """One a measure; each has a value."""
        ...


def judge(
    found: Sequence[Measure], threshold: Threshold | None = None, quiet: Quiet | None = None
) -> tuple[Verdict, ...]:
    """Verdicts on the measures of one window.

    Parameters
    ----------
    found : sequence of Measure
        All features at once: corrections count them.
    threshold : Threshold, optional
        Default `Calibrated`.
    quiet : Quiet, optional
        The reference's quiet windows: ``profile.quiet``.
    """
    compared = [one for one in found if one.value is not None]
    values = (threshold or Calibrated()).limits(compared, quiet)
    limits = {one.feature: limit for one, limit in zip(compared, values, strict=True)}
    return tuple(
        Verdict(
            one.feature,
            one.statistic,
            one.value,
            limits.get(one.feature),
            one.value is not None and one.value > limits[one.feature],
        )
        for one in found
    )


@dataclass(frozen=True)
class Calibrated:
    """The largest value that a quiet window of the reference had, and no less than chance alone gives.

    Quiet windows are consecutive parts of the reference, each against the rest of it, of the size nearest to
    the checked window's from below. A smaller window than any of them may exceed the largest value by what
    chance alone gives. Where the reference's rows are independent, the limit is that of chance.

    A profile without quiet windows (of fewer than 80 rows, or as a retraining's Glue job writes it) has the
    conventional limit instead, if chance does not give more: 0.2 for PSI, 0.1 for the Jensen-Shannon distance
    and KS, none for chi-square.

    Attributes
    ----------
    alpha : float
        Probability that chance alone alarms on any feature (Bonferroni).
    """

    alpha: float = 0.001

    def limits(self, found: Sequence[Measure], quiet: Quiet | None) -> list[float]:
        """One a measure."""
        return [self._limit(one, self.alpha / len(found), quiet) for one in found]

    def _limit(self, one: Measure, alpha: float, quiet: Quiet | None) -> float:
        chance = critical(one.statistic, alpha, one.freedom, one.rows)
        spread = quiet.spread(one.rows[1], one.feature, one.statistic) if quiet else None
        if quiet is None or spread is None:
            return max(chance, CONVENTIONS.get(one.statistic, 0.0))
        highest = spread.highest * scale(one)
        return highest + chance if one.rows[1] < quiet.size(one.rows[1]) else max(chance, highest)


@dataclass(frozen=True)
class PValue:
    """The critical value of a p-value, corrected for the number of features.

    Attributes
    ----------
    alpha : float
        For ``holm`` and ``bonferroni`` the probability that chance alone alarms on any feature; for
        ``benjamini-hochberg`` the share of false alarms among the alarms; for ``none`` the probability for
        each feature by itself.
    correction : str
        ``holm`` (default: never weaker than Bonferroni, and needs no independence of the features; Holm, "A
        Simple Sequentially Rejective Multiple Test Procedure", 1979), ``bonferroni``, ``benjamini-hochberg``
        ("Controlling the False Discovery Rate", 1995) or ``none``.

    Raises
    ------
    UsageError
        No such correction, or alpha is not between 0 and 1.
    """

    alpha: float = 0.01
    correction: str = "holm"

    def __post_init__(self) -> None:
        if self.correction not in CORRECTIONS:
            raise UsageError(
                f"There is no correction {self.correction!r}.", suggestion=f"one of {', '.join(CORRECTIONS)}."
            )
        if not 0 < self.alpha < 1:
            raise UsageError(f"alpha is {self.alpha}; a probability lies between 0 and 1.")

    def limits(self, found: Sequence[Measure], quiet: Quiet | None) -> list[float]:
        """One a measure, all for one corrected alpha."""
        chances = sorted(
            p_value(one.statistic, one.value, one.freedom, one.rows) for one in found if one.value is not None
        )
        alpha = self._corrected(chances) if chances else self.alpha
        return [critical(one.statistic, alpha, one.freedom, one.rows) for one in found]

    def _corrected(self, chances: Sequence[float]) -> float:
        """The alpha to which the smallest p-values are held, once it is known how many there are."""
        many = len(chances)
        if self.correction == "none":
            return self.alpha
        if self.correction == "bonferroni":
            return self.alpha / many
        if self.correction == "holm":
            steps = enumerate(chances)
            passed = next((rank for rank, p in steps if p > self.alpha / (many - rank)), many - 1)
            return self.alpha / (many - passed)
        passed = max((rank for rank, p in enumerate(chances, 1) if p <= self.alpha * rank / many), default=1)
        return self.alpha * passed / many


@dataclass(frozen=True)
class StandardDeviations:
    """The mean of past windows and a number of their standard deviations.

    Attributes
    ----------
    count : float
        How many.
    past : mapping of str to sequence of float, optional
        Values of the statistic in past windows by feature, two at least; default the reference's quiet
        windows.
    """

    count: float = 3.0
    past: Mapping[str, Sequence[float]] | None = None

    def limits(self, found: Sequence[Measure], quiet: Quiet | None) -> list[float]:
        """One a measure.

        Raises
        ------
        UsageError
            A feature has no past.
        """
        return [self._limit(one, quiet) for one in found]

    def _limit(self, one: Measure, quiet: Quiet | None) -> float:
        if self.past is not None and len(values := self.past.get(one.feature, ())) > 1:
            from statistics import fmean, stdev

            return fmean(values) + self.count * stdev(values)
        spread = (
            quiet.spread(one.rows[1], one.feature, one.statistic) if quiet and self.past is None else None
        )
        if spread is None:
            raise UsageError(
                f"There are no past windows of {one.feature!r} to take standard deviations of.",
                suggestion="make the reference's profile from its data, or take another threshold.",
            )
        return (spread.mean + self.count * spread.std) * scale(one)


@dataclass(frozen=True)
class Constant:
    """One limit for every feature.

    Attributes
    ----------
    value : float
        Of the statistic.
    """

    value: float

    def limits(self, found: Sequence[Measure], quiet: Quiet | None) -> list[float]:
        """One a measure."""
        return [self.value] * len(found)


def parse(text: str) -> Threshold:
    """A threshold in words: ``quiet``, ``p``, ``p:ALPHA``, ``sd``, ``sd:COUNT`` or a number.

    Raises
    ------
    UsageError
        It is none of these.
    """
    kind, colon, number = text.partition(":")
    try:
        if kind == "quiet" and not colon:
            return Calibrated()
        if kind in ("p", "sd"):
            made = PValue if kind == "p" else StandardDeviations
            return made(_positive(number)) if colon else made()
        return Constant(_positive(text))
    except ValueError:
        raise UsageError(
            f"{text!r} is no threshold.",
            suggestion="a number such as 0.2, quiet, p:0.01 (p-value) or sd:3 (standard deviations).",
        ) from None


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(text)
    return number
