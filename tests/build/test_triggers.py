"""Event rules of a pipeline as resources: what they call, and that they may."""

from __future__ import annotations

import pytest

from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.settings import Settings
from mlops_kit.trigger import EventRule
from tests.build.sample import pipeline


def test_a_rule_calls_its_function_and_may() -> None:
    rule = EventRule("Ended", {"source": ["aws.states"], "detail": {"arn": ["${StateMachine}"]}}, "Evaluate")
    resources = build(Settings(), pipeline(rules=(rule,))).template["Resources"]
    made, permission = (resources[name]["Properties"] for name in ("EndedRule", "EndedPermission"))
    assert made["EventPattern"] == {"source": ["aws.states"], "detail": {"arn": [{"Ref": "StateMachine"}]}}
    assert made["Targets"] == [{"Id": "Evaluate", "Arn": {"Fn::GetAtt": ["EvaluateFunction", "Arn"]}}]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["EndedRule", "Arn"]}
    with pytest.raises(UsageError, match="calls 'Other', no function of 'retraining-demand'"):
        build(Settings(), pipeline(rules=(EventRule("Ended", {}, "Other"),)))
