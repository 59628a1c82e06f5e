"""What the monitor says of a model's windows: their measures as an event, and which rule it fires.

Must not read data or call AWS. Standard library only, so that a Lambda function can hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mlops_kit.drift.profile import Profile
from mlops_kit.drift.statistics import FUNCTIONS, measure

if TYPE_CHECKING:
    from mlops_kit.trigger import DriftRule

MOST_WINDOWS = 6


@dataclass(frozen=True)
class Window:
    """Measures of a window of data against the champion's training.

    Attributes
    ----------
    start, end : str
        Days, ``yyyy-mm-dd``; the end is the day after its last.
    features : mapping of str to mapping of str to float
        Statistic by feature and its name: ``psi``, ``js``, ``ks`` (numbers) and ``chi_square``.
    error : mapping of str to float
        ``wape`` (sum of absolute errors by sum of actual values), ``bias`` (sum of errors by sum of actual
        values, negative where the model underestimates), ``error_vs_naive`` (WAPE by that of the naive
        forecast; above 1 the naive one is better).
    """

    start: str
    end: str
    features: Mapping[str, Mapping[str, float]]
    error: Mapping[str, float]


def features(reference: Profile, window: Profile) -> dict[str, dict[str, float]]:
    """Every statistic of every feature that both profiles hold; one that cannot be had is left out."""
    found: dict[str, dict[str, float]] = {}
    for statistic in FUNCTIONS:
        for one in measure(statistic, reference, window):
            if one.value is not None and one.statistic == statistic:
                found.setdefault(one.feature, {})[statistic] = one.value
    return found


def detail(
    model: str, trained: str, windows: Sequence[Window], limits: Mapping[str, float], **further: Any
) -> dict[str, Any]:
    """The detail of the event of the newest window.

    Parameters
    ----------
    model : str
        Name of the model.
    trained : str
        Day after the last that the champion was trained on.
    windows : sequence of Window
        Measured against one champion, oldest first; the last one is the newest.
    limits : mapping of str to float
        By statistic: above it (for ``bias``, in size) a window counts as drifted.
    further
        More members of the detail.

    Returns
    -------
    dict
        ``features.<name>.<statistic>`` with ``consecutive_windows``; ``error.<statistic>`` with the same;
        ``lowest.<n>``: the same statistics at the lowest that they had in the last ``n`` windows, for a
        pattern has no memory: ``bias`` is the one next to zero where all have one sign, else 0; ``any`` holds
        the highest of all features; ``drifted``: names of what is above its limit; ``champion.age_days``.
    """
    row = _row(windows)
    newest = row[-1]
    found = {name: _counted([one.features.get(name, {}) for one in row], limits) for name in newest.features}
    error = _counted([one.error for one in row], limits)
    drifted = [name for name, one in found.items() if one["consecutive_windows"]]
    age = date.fromisoformat(newest.end) - date.fromisoformat(trained)
    return {
        "model": model,
        "as_of": newest.end,
        "window": {"start": newest.start, "end": newest.end},
        "champion": {"trained_until": trained, "age_days": age.days},
        "features": found,
        "error": error,
        "drifted": [*drifted, *(["error"] if error["consecutive_windows"] else [])],
        "lowest": {str(number): _lowest(row[-number:]) for number in range(1, len(row[-MOST_WINDOWS:]) + 1)},
        **further,
    }


def above(
    said: Mapping[str, Any], statistic: str, threshold: float, names: Sequence[str], windows: int
) -> bool:
    """Whether a detail has a statistic above a threshold in windows in a row, as a rule's pattern asks.

    Parameters
    ----------
    said : mapping
        As `detail` gives it.
    statistic : str
        Of features, or of the error.
    threshold : float
        For ``bias``, of its size.
    names : sequence of str
        Features, any of them; empty for any of all.
    windows : int
        In a row.
    """
    lowest = said["lowest"].get(str(windows))
    if lowest is None:
        return False
    if statistic in FUNCTIONS:
        places = [lowest["features"].get(name, {}) for name in names] if names else [lowest["any"]]
    else:
        places = [lowest["error"]]
    return any(_size(statistic, one[statistic]) > threshold for one in places if statistic in one)


def fires(rule: DriftRule, said: Mapping[str, Any]) -> bool:
    """Whether a rule's pattern matches a detail: enough drift for long enough, and its cooldown over."""
    drifted = above(said, rule.statistic, rule.threshold, rule.features, rule.windows)
    return drifted and bool(said["champion"]["age_days"] >= rule.cooldown)


def _row(windows: Sequence[Window]) -> list[Window]:
    """The newest windows, each beginning where the one before it ends."""
    row = [windows[-1]]
    for one in reversed(windows[:-1]):
        if one.end == row[0].start:
            row.insert(0, one)
    return row


def _counted(measures: Sequence[Mapping[str, float]], limits: Mapping[str, float]) -> dict[str, Any]:
    """The newest measures, and in how many windows in a row up to it one was above its limit."""
    count = 0
    for one in reversed(measures):
        if not any(_size(name, value) > limits[name] for name, value in one.items() if name in limits):
            break
        count += 1
    return {**measures[-1], "consecutive_windows": count}


def _lowest(row: Sequence[Window]) -> dict[str, Any]:
    names = set.intersection(*(set(one.features) for one in row))
    of_features = {name: _each([one.features[name] for one in row]) for name in sorted(names)}
    highest = {
        statistic: max(one[statistic] for one in of_features.values() if statistic in one)
        for statistic in FUNCTIONS
        if any(statistic in one for one in of_features.values())
    }
    return {"features": of_features, "any": highest, "error": _each([one.error for one in row])}


def _each(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = [name for name in measures[0] if all(name in one for one in measures)]
    return {name: _LOWEST.get(name, min)([one[name] for one in measures]) for name in names}


def _of_one_sign(values: Sequence[float]) -> float:
    if min(values) > 0:
        return min(values)
    return max(values) if max(values) < 0 else 0.0


def _size(statistic: str, value: float) -> float:
    return abs(value) if statistic == "bias" else value


_LOWEST: dict[str, Callable[[Sequence[float]], float]] = {"bias": _of_one_sign}
