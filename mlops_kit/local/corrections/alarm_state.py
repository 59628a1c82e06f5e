"""The state of a CloudWatch alarm from its datapoints, by AWS's rules; reads no metric and keeps nothing.

Source: CloudWatch User Guide, "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data",
whose two tables are tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

EXTRA = 2  # datapoints that CloudWatch retrieves beyond the evaluation periods, to fill in for missing ones

_COMPARISONS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": ("greater than or equal to", lambda value, limit: value >= limit),
    "GreaterThanThreshold": ("greater than", lambda value, limit: value > limit),
    "LessThanThreshold": ("less than", lambda value, limit: value < limit),
    "LessThanOrEqualToThreshold": ("less than or equal to", lambda value, limit: value <= limit),
}
_INSUFFICIENT = "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class Verdict:
    """A state, and why."""

    state: str
    reason: str


@dataclass(frozen=True)
class _Points:
    """What an alarm looks at: breaching and other datapoints, and how many are missing."""

    real: Sequence[tuple[float, float]]
    breaching: Sequence[tuple[float, float]]
    missing: int
    needed: int


def periods(alarm: Mapping[str, Any]) -> int:
    """How many datapoints an alarm is judged by."""
    return int(alarm.get("EvaluationPeriods") or 1)


def judge(alarm: Mapping[str, Any], points: Sequence[tuple[float, float | None]]) -> Verdict | None:
    """The state that an alarm has now.

    Parameters
    ----------
    alarm : mapping
        As DescribeAlarms answers it.
    points : sequence of tuple
        Begin (epoch seconds) and value of each period, oldest first: `periods` and `EXTRA` of them; a value
        is None when it is missing.

    Returns
    -------
    Verdict or None
        None: the state stays as it is (``ignore``).
    """
    found = _looked_at(alarm, points)
    treatment = alarm.get("TreatMissingData") or "missing"
    filled = len(found.breaching) + (found.missing if treatment == "breaching" else 0)
    only_breaching = len(found.breaching) == len(found.real)
    if not found.missing or treatment in ("breaching", "notBreaching"):
        alarming = filled >= found.needed
    elif not found.real:
        return None if treatment == "ignore" else Verdict(_INSUFFICIENT, _unknown(found.missing))
    elif only_breaching and treatment == "ignore" and filled < found.needed:
        return None
    else:
        alarming = only_breaching or filled >= found.needed
    return Verdict("ALARM" if alarming else "OK", _reason(alarm, found, alarming, treatment))


def _looked_at(alarm: Mapping[str, Any], points: Sequence[tuple[float, float | None]]) -> _Points:
    number, holds = periods(alarm), _COMPARISONS[alarm["ComparisonOperator"]][1]
    needed = int(alarm.get("DatapointsToAlarm") or number)
    real = [(when, value) for when, value in points if value is not None][-number:]
    breaching = [(when, value) for when, value in real if holds(value, alarm["Threshold"])]
    return _Points(real, breaching, number - len(real), needed)


def knows(alarm: Mapping[str, Any]) -> bool:
    """Whether an alarm is one on a metric with a fixed threshold; anomaly bands and expressions are not."""
    return bool(alarm.get("MetricName")) and alarm.get("ComparisonOperator") in _COMPARISONS


def _unknown(number: int) -> str:
    return f"Insufficient Data: {number} datapoint{'s were' if number > 1 else ' was'} unknown."


def _reason(alarm: Mapping[str, Any], found: _Points, alarming: bool, treatment: str) -> str:
    number, total = len(found.breaching), periods(alarm)
    if not found.real:
        one = "1 missing datapoint was" if total == 1 else f"{total} missing datapoints were"
        kind = treatment[:1].upper() + treatment[1:]
        plural = "" if total == 1 else "s"
        return (
            f"Threshold Crossed: no datapoints were received for {total} period{plural} and {one} "
            f"treated as [{kind}]."
        )
    shown = found.breaching if alarming else [point for point in found.real if point not in found.breaching]
    words, was = _COMPARISONS[alarm["ComparisonOperator"]][0], "was" if len(shown) == 1 else "were"
    listed = ", ".join(
        f"{value} ({datetime.fromtimestamp(when, UTC):%d/%m/%y %H:%M:%S})" for when, value in shown
    )
    change = (
        f"minimum {found.needed} datapoint{'s' if found.needed > 1 else ''} for OK -> ALARM transition"
        if alarming
        else f"minimum {total - found.needed + 1} datapoint{'s' if total > found.needed else ''} for "
        "ALARM -> OK transition"
    )
    return (
        f"Threshold Crossed: {len(shown) if not alarming else number} out of the last {total} "
        f"datapoint{'s' if total > 1 else ''} [{listed}] {was} {'' if alarming else 'not '}{words} the "
        f"threshold ({float(alarm['Threshold'])}) ({change})."
    )
