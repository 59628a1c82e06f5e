"""A schedule that EventBridge Scheduler would refuse is refused with words; the others start the pipeline."""

from __future__ import annotations

import json

import pytest

from mlops_kit.build.template import build
from mlops_kit.build.triggers import check
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import EventRule, Schedule
from mlops_kit.settings import Settings
from tests.build.sample import pipeline


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 3 ? * MON *)",
        "cron(0 10 * * ? *)",
        "cron(15 12 * * ? *)",
        "cron(0 18 ? * MON-FRI *)",
        "cron(0 8 1 * ? *)",
        "cron(0/15 * * * ? *)",
        "cron(*/5 8-17 ? * 2-6 *)",
        "cron(0 9 ? * 2#1 *)",
        "cron(0 9 ? * MON#1 *)",
        "cron(0 17 L * ? *)",
        "cron(0 17 15W * ? *)",
        "cron(0 17 ? * 6L 2022-2030)",
        "cron(0 17 ? * FRIL *)",
        "cron(0 0 29 FEB ? *)",
        "cron(0 12 1,15 JAN,jul ? 2027/2)",
        "cron(0 22 ? * FRI-MON *)",
        "rate(1 minute)",
        "rate(5 minutes)",
        "rate(1 day)",
        "at(2026-11-20T13:00:00)",
    ],
)
def test_what_aws_takes_is_taken(expression: str) -> None:
    check(Schedule(expression, timezone="Europe/Berlin"))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 3 * * *", "is no schedule"),
        ("cron(0 3 * * *", "is no schedule"),
        ("every(day)", "is no schedule"),
        ("cron(0 3 * * *)", "six fields"),
        ("cron(0 3 * * MON *)", "exactly one of day of month and day of week is '?'"),
        ("cron(0 3 ? * ? *)", "exactly one of day of month and day of week is '?'"),
        ("cron(60 3 ? * MON *)", "minutes: '60' is outside 0 to 59"),
        ("cron(0 24 ? * MON *)", "hours: '24' is outside 0 to 23"),
        ("cron(0 3 0 * ? *)", "day of month: '0' is outside 1 to 31"),
        ("cron(0 3 ? 13 MON *)", "month: '13' is outside 1 to 12"),
        ("cron(0 3 ? * 0 *)", "day of week: '0' is outside 1 to 7"),
        ("cron(0 3 ? * MOO *)", "day of week: 'MOO' is neither"),
        ("cron(0 3 ? * MON 1969)", "year: '1969' is outside 1970 to 2199"),
        ("cron(0 3 ? * MON 2030-2028)", "ends before it begins"),
        ("cron(0 3 ? * MON#6 *)", "'MON#6'"),
        ("cron(0 L ? * MON *)", "hours: 'L': L and W stand for days"),
        ("cron(0 3 ? * 3W *)", "day of week: '3W': L and W stand for days of the month"),
        ("cron(0/0 3 ? * MON *)", "needs a positive step"),
        ("cron(? 3 ? * MON *)", "minutes: '?'"),
        ("cron(0 3 30 2 ? *)", "never fires, as the month has 29 days at most"),
        ("cron(0 3 31 APR,JUN ? *)", "never fires, as the month has 30 days at most"),
        ("rate(0 days)", "positive whole number"),
        ("rate(1 days)", "write 1 day"),
        ("rate(5 minute)", "write 5 minutes"),
        ("rate(1 week)", "minute(s), hour(s) or day(s)"),
        ("at(2026-02-30T03:00:00)", "day"),
        ("at(2026-02-20T03:00:00Z)", "without a zone"),
    ],
)
def test_what_aws_refuses_or_never_fires_is_refused_with_the_reason(expression: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(Schedule(expression))
    assert words in str(caught.value) and expression in caught.value.message
    assert caught.value.suggestion and "cron(0 3 ? * MON *)" in caught.value.suggestion


@pytest.mark.parametrize("zone", ["Berlin", "Europe/Hamburg", "", "../etc"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(UsageError, match="time zone"):
        check(Schedule("rate(1 day)", timezone=zone))


def test_a_schedule_starts_the_pipeline_with_its_own_time_and_retries_for_an_hour() -> None:
    schedules = (
        Schedule("cron(0 3 ? * MON *)", "Europe/Berlin", {"force": True}),
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
