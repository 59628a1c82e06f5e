"""A drift rule is an event pattern that decides; it decides as the offline simulation does."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.build.drift_rules import MEASURED, OF_ERROR, OF_FEATURES, SOURCE, check, pattern
from mlops_kit.build.template import build
from mlops_kit.drift.windows import Window, above, detail
from mlops_kit.errors import UsageError
from mlops_kit.settings import Settings
from mlops_kit.trigger import DriftRule
from tests.build.sample import pipeline

NAMES = ("temp", "hum")
TAKEN = {"properties": {"as_of": {}, "trigger": {}}, "additionalProperties": False}
SEEN = pipeline(model="demand", features=NAMES, input_schema=TAKEN)


def matches(wanted: Any, event: Any) -> bool:
    """The part of EventBridge's pattern language that the rules use."""
    for key, value in wanted.items():
        if key == "$or":
            if not any(matches(one, event) for one in value):
                return False
        elif key not in event:
            return False
        elif isinstance(value, dict):
            if not matches(value, event[key]):
                return False
        elif not any(_leaf(one, event[key]) for one in value):
            return False
    return True


def _leaf(wanted: Any, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(wanted == value)
    sign, limit = wanted["numeric"]
    return bool({">": value > limit, "<": value < limit, ">=": value >= limit}[sign])


shares = st.floats(0, 0.5).map(lambda value: round(value, 3))
errors = st.fixed_dictionaries(
    {
        "bias": st.floats(-0.5, 0.5).map(lambda value: round(value, 3)),
        "wape": shares,
        "error_vs_naive": shares,
    }
)
measures = st.fixed_dictionaries(
    {name: st.fixed_dictionaries({"psi": shares, "js": shares}) for name in NAMES}
)


@st.composite
def rows(draw: st.DrawFn) -> list[Window]:
    days = ["2011-07-01", "2011-07-08", "2011-07-15", "2011-07-22", "2011-07-29"]
    return [
        Window(start, end, draw(measures), draw(errors))
        for start, end in pairwise(days[: draw(st.integers(2, 5))])
    ]


rules = st.builds(
    DriftRule,
    statistic=st.sampled_from(["psi", "js"]),
    threshold=shares.filter(lambda value: value > 0),
    features=st.sampled_from([(), ("temp",), ("temp", "hum")]),
    windows=st.integers(1, 4),
) | st.builds(
    DriftRule,
    statistic=st.sampled_from(OF_ERROR),
    threshold=shares.filter(lambda value: value > 0),
    windows=st.integers(1, 4),
)


@given(rules, rows())
def test_the_pattern_and_the_simulation_decide_alike(rule: DriftRule, windows: list[Window]) -> None:
    said = detail("demand", "2011-07-01", windows, {"psi": 0.2})
    event = {"source": SOURCE, "detail-type": MEASURED, "detail": json.loads(json.dumps(said))}
    decided = above(said, rule.statistic, rule.threshold, rule.features, rule.windows)
    assert matches(pattern(rule, "demand"), event) == decided


def test_two_windows_of_opposite_bias_are_no_growth() -> None:
    weeks = [("2011-07-01", "2011-07-08", 0.3), ("2011-07-08", "2011-07-15", -0.3)]
    windows = [Window(start, end, {}, {"bias": bias}) for start, end, bias in weeks]
    said = detail("demand", "2011-07-01", windows, {"bias": 0.15})
    assert above(said, "bias", 0.15, (), 1) and not above(said, "bias", 0.15, (), 2)
    assert said["error"]["consecutive_windows"] == 2


def test_windows_that_do_not_adjoin_are_not_in_a_row() -> None:
    windows = [Window(day, end, {}, {"wape": 0.9}) for day, end in (("2011-07-01", "2011-07-08"),) * 2]
    assert set(detail("demand", "2011-07-01", windows, {})["lowest"]) == {"1"}


def test_a_rule_starts_the_pipeline_with_the_events_day_and_names_itself() -> None:
    rule = DriftRule("bias", 0.15, cooldown=14)
    resources = build(Settings(), pipeline(drift_rules=(rule,))).template["Resources"]
    made = resources["DriftBiasRule"]["Properties"]
    (target,) = made["Targets"]
    assert made["EventBusName"] == {"Ref": "EventBus"}
    assert made["EventPattern"]["detail"]["champion"] == {"age_days": [{"numeric": [">=", 14]}]}
    template = json.loads(target["InputTransformer"]["InputTemplate"])
    assert (
        template["as_of"] == "<as_of>"
        and template["trigger"]["name"] == "mlops-kit-retraining-demand-drift-bias"
    )
    assert set(target["InputTransformer"]["InputPathsMap"]) == {"as_of", "id"}
    assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["DriftRuleDeadLetters", "Arn"]}
    allowed = resources["DriftRulePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [(one["Action"], one["Resource"]) for one in allowed] == [
        (["states:StartExecution"], [{"Ref": "StateMachine"}])
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (DriftRule("kl", 0.1), "no drift statistic 'kl'"),
        (DriftRule("bias", 0.1, features=("temp",)), "model's error"),
        (DriftRule("psi", 0.0), "threshold"),
        (DriftRule("psi", True), "threshold"),
        (DriftRule("psi", float("nan")), "threshold"),
        (DriftRule("psi", 0.1, windows=0), "windows"),
        (DriftRule("psi", 0.1, windows=7), "windows"),
        (DriftRule("psi", 0.1, cooldown=-1), "cooldown"),
        (DriftRule("psi", 0.1, cooldown=0.5), "cooldown"),  # type: ignore[arg-type]
        (DriftRule("psi", 0.1, windows=2.5), "2.5 windows"),  # type: ignore[arg-type]
        (DriftRule("psi", "0.1"), "threshold"),  # type: ignore[arg-type]
        (DriftRule("psi", 30), "threshold 30"),
        (DriftRule("js", 1.5), "threshold 1.5"),
        (DriftRule("ks", 1.0), "threshold 1.0"),
        (DriftRule("psi", 0.1, features="temp"), "features 'temp'"),  # type: ignore[arg-type]
        (DriftRule("psi", 0.1, features=("",)), "features"),
        (DriftRule("psi", 0.1, features=("nope",)), "'nope', which demand does not have"),
        (DriftRule("psi", 0.1, tuple(f"f{n}" for n in range(312)), model="other"), "EventBridge takes 4,096"),
        (DriftRule("psi", 0.1, input={"nope": 1}), "would refuse the input of the drift rule on 'psi'"),
        (DriftRule("psi", 0.1, input={"as_of": "<day>"}), "<day> in its input"),
    ],
)
def test_a_rule_that_could_never_fire_is_refused(rule: DriftRule, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check(rule, SEEN)
    assert caught.value.suggestion


@pytest.mark.parametrize(
    "rule",
    [
        DriftRule("psi", 18, ("temp",), 6, 365, input={"as_of": "2026-01-31"}),
        DriftRule("psi", 0.1, ("nope",), model="other"),
        DriftRule("bias", 99),
    ],
)
def test_a_rule_that_may_fire_is_taken(rule: DriftRule) -> None:
    check(rule, SEEN)


def test_a_pipeline_that_takes_no_day_is_given_none() -> None:
    small = pipeline(drift_rules=(DriftRule("psi", 0.1),), input_schema={"additionalProperties": False})
    made = build(Settings(), small).template["Resources"]["DriftPsiRule"]["Properties"]
    assert made["Targets"][0]["InputTransformer"]["InputTemplate"] == "{}"


def test_a_rule_without_a_model_and_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="names no model"):
        check(DriftRule("psi", 0.1), replace(SEEN, model=None))
    with pytest.raises(UsageError, match="Two drift rules"):
        build(Settings(), pipeline(drift_rules=(DriftRule("psi", 0.1), DriftRule("psi", 0.2))))


def test_the_statistics_of_rules_are_those_of_the_drift_room() -> None:
    from mlops_kit.drift.statistics import FUNCTIONS

    assert set(OF_FEATURES) == set(FUNCTIONS)
