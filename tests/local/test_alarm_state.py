"""When an alarm is in which state: the tables of CloudWatch's page on missing data, row by row."""

from __future__ import annotations

import pytest

from mlops_kit.local.corrections.alarm_state import judge

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")
KEPT = "kept"
THREE_OF_THREE = {
    "0 - X - X": ("OK", "OK", "OK", "OK"),
    "- - - - 0": ("OK", "OK", "OK", "OK"),
    "- - - - -": ("INSUFFICIENT_DATA", KEPT, "ALARM", "OK"),
    "0 X X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "- - X - -": ("ALARM", KEPT, "ALARM", "OK"),
}
TWO_OF_THREE = {
    "0 - X - X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 0 X 0 X": ("ALARM", "ALARM", "ALARM", "ALARM"),
    "0 - X - -": ("OK", "OK", "ALARM", "OK"),
    "- - - - 0": ("OK", "OK", "ALARM", "OK"),
    "- - - - X": ("ALARM", KEPT, "ALARM", "OK"),
}


def verdict(points: str, needed: int, treatment: str, operator: str = "GreaterThanThreshold") -> str:
    values = {"0": 0.0, "X": 5.0, "-": None}
    alarm = {
        "MetricName": "m",
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": needed,
        "Threshold": 1.0,
        "ComparisonOperator": operator,
        "TreatMissingData": treatment,
    }
    found = judge(alarm, [(60.0 * n, values[text]) for n, text in enumerate(points.split())])
    return KEPT if found is None else found.state


@pytest.mark.parametrize("place", range(4), ids=TREATMENTS)
@pytest.mark.parametrize(
    ("needed", "points", "states"),
    [(3, points, states) for points, states in THREE_OF_THREE.items()]
    + [(2, points, states) for points, states in TWO_OF_THREE.items()],
)
def test_missing_data_is_treated_as_the_alarm_says(
    needed: int, points: str, states: tuple[str, ...], place: int
) -> None:
    assert verdict(points, needed, TREATMENTS[place]) == states[place]


@pytest.mark.parametrize(
    ("operator", "at", "above"),
    [
        ("GreaterThanThreshold", "OK", "ALARM"),
        ("GreaterThanOrEqualToThreshold", "ALARM", "ALARM"),
        ("LessThanThreshold", "OK", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM", "OK"),
    ],
)
def test_each_comparison_holds_at_and_above_the_threshold(operator: str, at: str, above: str) -> None:
    alarm = {"MetricName": "m", "EvaluationPeriods": 1, "Threshold": 2.0, "ComparisonOperator": operator}
    for value, state in ((2.0, at), (2.5, above)):
        found = judge(alarm, [(0.0, value)])
        assert found is not None and found.state == state


def test_the_reason_is_in_awss_words() -> None:
    alarm = {
        "MetricName": "m",
        "EvaluationPeriods": 1,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    found = judge(alarm, [(1_321_009_200.0, 3.0)])
    assert found is not None
    assert found.reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [3.0 (11/11/11 11:00:00)] was greater than the "
        "threshold (0.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    found = judge(alarm, [(1_321_009_200.0, 0.0)])
    assert found is not None and "was not greater than the threshold (0.0)" in found.reason
    found = judge({**alarm, "TreatMissingData": "notBreaching"}, [(0.0, None)])
    assert found is not None and found.reason == (
        "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as "
        "[NotBreaching]."
    )
