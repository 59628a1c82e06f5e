from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.functions.evaluate_model import facts, judge

ERRORS = st.floats(0, 2, allow_nan=False)
LIMITS = st.fixed_dictionaries({"wape": ERRORS, "worse_by": st.floats(0, 1)})


def metrics(challenger: float, champion: float | None) -> dict[str, Any]:
    return {
        "challenger": {"wape": challenger},
        "champion": None if champion is None else {"wape": champion},
        "naive": {"wape": 0.3},
    }


@given(challenger=ERRORS, champion=st.none() | ERRORS, limits=LIMITS)
def test_a_challenger_is_promoted_when_within_the_limit_and_not_much_worse(
    challenger: float, champion: float | None, limits: dict[str, float]
) -> None:
    found = judge(metrics(challenger, champion), limits)
    close = champion is None or challenger - champion <= limits["worse_by"]
    assert (found["verdict"] == "promote") == (challenger <= limits["wape"] and close)
    assert len(found["reasons"]) == 2 and all(found["reasons"])


@given(challenger=ERRORS, champion=ERRORS, better=st.floats(0, 1), limits=LIMITS)
def test_a_better_challenger_is_never_judged_worse(
    challenger: float, champion: float, better: float, limits: dict[str, float]
) -> None:
    if judge(metrics(challenger, champion), limits)["verdict"] == "promote":
        improved = metrics(challenger * (1 - better), champion)
        assert judge(improved, limits)["verdict"] == "promote"


@given(challenger=ERRORS, champion=ERRORS, wape=ERRORS, worse_by=st.floats(0, 1), more=st.floats(0, 1))
def test_wider_limits_never_turn_a_promotion_into_a_rejection(
    challenger: float, champion: float, wape: float, worse_by: float, more: float
) -> None:
    given_ = metrics(challenger, champion)
    if judge(given_, {"wape": wape, "worse_by": worse_by})["verdict"] == "promote":
        assert judge(given_, {"wape": wape + more, "worse_by": worse_by + more})["verdict"] == "promote"


def test_reasons_say_what_was_compared() -> None:
    found = judge(metrics(0.25, 0.2), {"wape": 0.2, "worse_by": 0.02})
    assert found["verdict"] == "reject"
    assert found["reasons"] == [
        "WAPE 0.250 is above the limit of 0.2",
        "it is 0.050 worse than the champion's 0.200, more than the 0.02 allowed",
    ]
    assert judge(metrics(0.1, None), {"wape": 0.2, "worse_by": 0.0})["reasons"][1] == (
        "there is no champion to compare with"
    )


def test_a_metric_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="WAPE of the challenger is nan"):
        judge(metrics(float("nan"), None), {"wape": 0.2, "worse_by": 0.0})


def test_the_facts_are_what_the_registry_takes() -> None:
    report = {
        "data": {"train_start": "2011-01-01", "train_end": "2011-07-01", "data_hash": "ab"},
        "model": {"sha256": "cd", "rows": 10, "packages": {"numpy": "2.4.6", "scikit-learn": "1.9.1+local"}},
    }
    found = facts(report)
    assert found["packages"] == "numpy=2.4.6 scikit-learn=1.9.1+local"
    # botocore's model of CustomerMetadataValue
    assert all(re.fullmatch(r"[\w\s.:/=+\-@]{1,256}", value) for value in found.values())
