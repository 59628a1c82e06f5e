"""Schedules and rules of a pipeline as resources: what they start, with what, and who may."""

from __future__ import annotations

import json

import pytest

from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.settings import Settings
from mlops_kit.pipeline import EventRule, Schedule
from tests.build.sample import pipeline


def test_a_schedule_starts_the_pipeline_with_its_own_time_and_retries_for_an_hour() -> None:
    schedules = (
        Schedule("cron(0 3 ? * MON *)", "Europe/Berlin", input={"force": True}),
        Schedule("rate(1 day)", input={"as_of": "2011-07-01"}),
    )
    resources = build(Settings(), pipeline(schedules=schedules)).template["Resources"]
    first, second = (resources[f"Schedule{number}"]["Properties"] for number in (1, 2))
    assert first["ScheduleExpression"] == "cron(0 3 ? * MON *)"
    assert first["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert json.loads(first["Target"]["Input"]) == {"as_of": "<aws.scheduler.scheduled-time>", "force": True}
    assert first["Target"]["Arn"] == {"Ref": "StateMachine"}
    assert first["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}
    assert first["GroupName"] == {"Ref": "ScheduleGroup"} and first["Name"] != second["Name"]
    assert json.loads(second["Target"]["Input"]) == {"as_of": "2011-07-01"}
    start = resources["SchedulePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert [(one["Action"], one["Resource"]) for one in start] == [
        (["states:StartExecution"], [{"Ref": "StateMachine"}])
    ]


def test_a_rule_calls_its_function_and_may() -> None:
    rule = EventRule("Ended", {"source": ["aws.states"], "detail": {"arn": ["${StateMachine}"]}}, "Evaluate")
    resources = build(Settings(), pipeline(rules=(rule,))).template["Resources"]
    made, permission = (resources[name]["Properties"] for name in ("EndedRule", "EndedPermission"))
    assert made["EventPattern"] == {"source": ["aws.states"], "detail": {"arn": [{"Ref": "StateMachine"}]}}
    assert made["Targets"] == [{"Id": "Evaluate", "Arn": {"Fn::GetAtt": ["EvaluateFunction", "Arn"]}}]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["EndedRule", "Arn"]}
    with pytest.raises(UsageError, match="calls 'Other', no function of 'retraining-demand'"):
        build(Settings(), pipeline(rules=(EventRule("Ended", {}, "Other"),)))


def test_a_pipeline_without_schedules_has_no_scheduler_role() -> None:
    resources = build(Settings(), pipeline(schedules=())).template["Resources"]
    assert not [name for name in resources if name.startswith("Schedule")]
