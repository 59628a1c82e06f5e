"""Schedules as resources: each field, each kind of target, who may what, what is refused before."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.artifacts import Artifact
from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Function
from mlops_kit.settings import Settings
from mlops_kit.trigger import Permission, Retry, Schedule, Target
from tests.build.sample import pipeline
from tests.build.test_iam import HERE, VALUES, resolved
from tests.policies import findings

SDK = "arn:aws:scheduler:::aws-sdk:"
WARM = Function("Warm", "warm.handler", Artifact("warm", "zip", (("warm.py", Path(__file__)),)))
DEMAND = "mlops-kit-retraining-demand"


def made(*schedules: Schedule, **changes: Any) -> dict[str, Any]:
    """Resources of the sample with these schedules."""
    found: dict[str, Any] = build(Settings(), pipeline(schedules=schedules, **changes)).template["Resources"]
    return found


def schedule_of(resources: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = (one["Properties"] for one in resources.values() if one["Type"] == "AWS::Scheduler::Schedule")
    return found


def call(target: Target, **changes: Any) -> tuple[dict[str, Any], dict[str, list[str]], str]:
    """A schedule's target as CloudFormation takes it; action -> resources of its role; its policy as text."""
    given = changes.pop("input", {})
    resources = made(Schedule("rate(1 day)", target=target, input=given), **changes)
    found = schedule_of(resources)["Target"]
    role = found["RoleArn"]["Fn::GetAtt"][0]
    policy = resources[role.removesuffix("Role") + "Policy"]["Properties"]["PolicyDocument"]
    allowed = {action: one["Resource"] for one in resolved(policy)["Statement"] for action in one["Action"]}
    assert allowed.pop("sqs:SendMessage") is not None
    return found, allowed, json.dumps(resolved(policy))


@pytest.fixture(autouse=True)
def further_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the references of these tests stand for."""
    for name in ("Work", "Cluster", "TaskRole"):
        monkeypatch.setitem(VALUES, f"{name}.Arn", HERE.format("sqs" if name == "Work" else "ecs", name))
    monkeypatch.setitem(VALUES, "TaskRole.Arn", "arn:aws:iam::111122223333:role/task")
    monkeypatch.setitem(VALUES, "Task", HERE.format("ecs", "task-definition/clean:3"))
    monkeypatch.setitem(VALUES, "Cluster.Arn", HERE.format("ecs", "cluster/jobs"))
    monkeypatch.setitem(VALUES, "WarmFunction.Arn", HERE.format("lambda", f"function:{DEMAND}-Warm"))


def test_a_schedule_starts_the_pipeline_with_its_own_time_and_says_who_it_is() -> None:
    resources = made(Schedule("cron(0 3 ? * MON *)", "Europe/Berlin", input={"force": True}))
    found = schedule_of(resources)
    assert (found["ScheduleExpression"], found["ScheduleExpressionTimezone"], found["Name"]) == (
        "cron(0 3 ? * MON *)",
        "Europe/Berlin",
        f"{DEMAND}-1",
    )
    assert json.loads(found["Target"]["Input"]) == {
        "as_of": "<aws.scheduler.scheduled-time>",
        "trigger": {"kind": "schedule", "name": f"{DEMAND}-1", "id": "<aws.scheduler.execution-id>"},
        "force": True,
    }
    assert found["Target"]["Arn"] == {"Ref": "StateMachine"} and found["GroupName"] == {
        "Ref": "ScheduleGroup"
    }
    assert found["FlexibleTimeWindow"] == {"Mode": "OFF"} and found["State"] == "ENABLED"
    assert found["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}
    assert not {"StartDate", "EndDate"} & set(found)


def test_every_field_of_a_schedule_reaches_aws() -> None:
    schedule = Schedule(
        "rate(2 hours)",
        name="every-other",
        input={"as_of": "2011-07-01"},
        retry=Retry(3, 600),
        dead_letter=False,
        flexible_window=15,
        start="2026-01-01T00:00:00Z",
        end="2026-02-01T00:00:00Z",
        group="shared",
    )
    resources = made(schedule)
    found = resources["EveryOtherSchedule"]["Properties"]
    assert found["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert (found["StartDate"], found["EndDate"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    assert found["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600}
    assert json.loads(found["Target"]["Input"])["as_of"] == "2011-07-01"
    assert found["GroupName"] == "shared" and found["Name"] == "every-other"
    assert "DeadLetterConfig" not in found["Target"]
    assert not {"ScheduleGroup", "ScheduleDeadLetters"} & set(resources)
    trust = resources["ScheduleStateMachineRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    shared = HERE.format("scheduler", "schedule-group/shared")
    assert resolved(trust["Condition"]["ArnEquals"]) == {"aws:SourceArn": shared}


def test_dead_letters_are_kept_for_two_weeks_and_somebody_is_told() -> None:
    resources = made(Schedule("rate(1 day)"), Schedule("rate(2 days)"))
    queue = resources["ScheduleDeadLetters"]["Properties"]
    assert queue["MessageRetentionPeriod"] == 1_209_600 and queue["SqsManagedSseEnabled"] is True
    alarm = resources["ScheduleDeadLettersAlarm"]["Properties"]
    assert alarm["AlarmActions"] == [{"Ref": "CriticalTopic"}] and alarm["Threshold"] == 0
    name = {"Fn::GetAtt": ["ScheduleDeadLetters", "QueueName"]}
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": name}]
    for number in (1, 2):
        letters = resources[f"Schedule{number}"]["Properties"]["Target"]["DeadLetterConfig"]
        assert letters == {"Arn": {"Fn::GetAtt": ["ScheduleDeadLetters", "Arn"]}}
    policy = resolved(resources["ScheduleStateMachinePolicy"]["Properties"]["PolicyDocument"])
    assert [(one["Action"], one["Resource"]) for one in policy["Statement"]] == [
        (["states:StartExecution"], [VALUES["StateMachine"]]),
        (["sqs:SendMessage"], [VALUES["ScheduleDeadLetters.Arn"]]),
    ]


def test_as_of_and_trigger_are_given_only_to_a_pipeline_that_takes_them() -> None:
    closed = {"type": "object", "additionalProperties": False, "properties": {"day": {}}}
    schedule = Schedule("rate(1 day)", input={"day": "<aws.scheduler.scheduled-time>"})
    found = schedule_of(made(schedule, input_schema=closed))
    assert json.loads(found["Target"]["Input"]) == {"day": "<aws.scheduler.scheduled-time>"}


def test_a_role_a_kind_and_each_trusts_the_groups_of_its_own_schedules() -> None:
    resources = made(
        Schedule("rate(1 day)"),
        Schedule("rate(1 day)", group="shared"),
        Schedule("rate(1 day)", target=Target("${WarmFunction}"), group="shared"),
        functions=(WARM,),
        definition={"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}},
    )
    groups = {
        kind: resolved(
            resources[f"Schedule{kind}Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        )["Condition"]
        for kind in ("StateMachine", "Lambda")
    }
    own, shared = (HERE.format("scheduler", f"schedule-group/{name}") for name in (DEMAND, "shared"))
    assert groups["StateMachine"]["ArnEquals"] == {"aws:SourceArn": [own, shared]}
    assert groups["Lambda"]["ArnEquals"] == {"aws:SourceArn": shared}
    assert groups["Lambda"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}
    actions = {
        kind: resources[f"Schedule{kind}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]["Action"]
        for kind in groups
    }
    assert actions == {"StateMachine": ["states:StartExecution"], "Lambda": ["lambda:InvokeFunction"]}


def test_a_function_of_the_pipeline_is_called_with_the_input_as_it_is() -> None:
    functions = (*pipeline().functions, WARM)
    target, allowed, policy = call(Target("${WarmFunction}"), functions=functions, input={"hours": 24})
    assert target["Arn"] == {"Fn::GetAtt": ["WarmFunction", "Arn"]}
    assert json.loads(target["Input"]) == {"hours": 24}
    assert allowed == {"lambda:InvokeFunction": [VALUES["WarmFunction.Arn"]]} and findings(policy) == []


@pytest.mark.parametrize(
    ("target", "arn", "action"),
    [
        (
            Target(HERE.format("states", "stateMachine:other")),
            HERE.format("states", "stateMachine:other"),
            "states:StartExecution",
        ),
        (
            Target(
                "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:pipeline/churn",
                {"SageMakerPipelineParameters": {"PipelineParameterList": [{"Name": "a", "Value": "1"}]}},
            ),
            HERE.format("sagemaker", "pipeline/churn"),
            "sagemaker:StartPipelineExecution",
        ),
        (Target("${RoutineTopic}"), VALUES["RoutineTopic"], "sns:Publish"),
        (
            Target("${EventBus}", {"EventBridgeParameters": {"DetailType": "Tick", "Source": "kit"}}),
            HERE.format("events", "event-bus/mlops-kit"),
            "events:PutEvents",
        ),
        (
            Target(
                HERE.format("kinesis", "stream/s"), {"KinesisParameters": {"PartitionKey": "${AWS::Region}"}}
            ),
            HERE.format("kinesis", "stream/s"),
            "kinesis:PutRecord",
        ),
    ],
)
def test_a_templated_target_gets_its_one_action_on_itself(target: Target, arn: str, action: str) -> None:
    found, allowed, policy = call(target)
    assert resolved(found["Arn"]) == arn and allowed == {action: [arn]} and findings(policy) == []
    assert {key: resolved(found[key]) for key in target.parameters} == resolved(
        json.loads(json.dumps(dict(target.parameters)).replace("${AWS::Region}", "eu-central-1"))
    )


def test_a_queue_of_the_pipeline_is_named_by_its_logical_id() -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}}
    resources = made(
        Schedule("rate(1 day)", target=Target("${Work}"), dead_letter=False), resources={"Work": queue}
    )
    policy = resolved(resources["ScheduleSqsPolicy"]["Properties"]["PolicyDocument"])
    assert schedule_of(resources)["Target"]["Arn"] == {"Fn::GetAtt": ["Work", "Arn"]}
    assert [(one["Action"], one["Resource"]) for one in policy["Statement"]] == [
        (["sqs:SendMessage"], [VALUES["Work.Arn"]])
    ]


def test_a_task_runs_in_its_cluster_only_and_gets_the_roles_of_its_definition() -> None:
    task = {"Family": "clean", "TaskRoleArn": {"Fn::GetAtt": ["TaskRole", "Arn"]}}
    more = {
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {}},
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": task},
    }
    parameters = {"EcsParameters": {"TaskDefinitionArn": "${Task}", "LaunchType": "FARGATE"}}
    found, allowed, policy = call(Target("${Cluster}", parameters), resources=more)
    assert found["EcsParameters"] == {"TaskDefinitionArn": {"Ref": "Task"}, "LaunchType": "FARGATE"}
    assert allowed == {"ecs:RunTask": [VALUES["Task"]], "iam:PassRole": [VALUES["TaskRole.Arn"]]}
    assert '{"ArnEquals": {"ecs:cluster": "' + VALUES["Cluster.Arn"] in policy and findings(policy) == []
    assert '"iam:PassedToService": "ecs-tasks.amazonaws.com"' in policy
    elsewhere = {"EcsParameters": {"TaskDefinitionArn": HERE.format("ecs", "task-definition/other")}}
    role = "arn:aws:iam::111122223333:role/other"
    passed = Permission("PassRoles", ("iam:PassRole",), (role,))
    _, allowed, policy = call(Target("${Cluster}", elsewhere, (passed,)), resources=more)
    assert allowed["ecs:RunTask"] == [
        HERE.format("ecs", "task-definition/other"),
        HERE.format("ecs", "task-definition/other:*"),
    ]
    assert allowed["iam:PassRole"] == [role] and "ecs-tasks.amazonaws.com" in policy


def test_a_processing_job_is_made_directly_and_gets_its_role() -> None:
    given = {
        "ProcessingJobName": "mlops-kit-clean-<aws.scheduler.execution-id>",
        "RoleArn": "${SageMakerRole}",
        "AppSpecification": {"ImageUri": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/clean:1"},
        "Environment": {"BUCKET": "${DataBucket}", "TEMPLATE": "${not a token}"},
    }
    found, allowed, policy = call(Target(f"{SDK}sagemaker:createProcessingJob"), input=given)
    assert found["Arn"] == f"{SDK}sagemaker:createProcessingJob"
    text = found["Input"]["Fn::Sub"]
    handed = json.loads(resolved({"Fn::Sub": text.replace("${!", "")}))
    assert handed["RoleArn"] == VALUES["SageMakerRole.Arn"]
    assert handed["Environment"]["BUCKET"] == "data-bucket" and "${!not a token}" in text
    job = HERE.format("sagemaker", "processing-job/mlops-kit-clean-*")
    assert allowed["sagemaker:CreateProcessingJob"] == [job]
    assert allowed["iam:PassRole"] == [VALUES["SageMakerRole.Arn"]]
    assert '"iam:PassedToService": "sagemaker.amazonaws.com"' in policy and findings(policy) == []


def test_the_role_of_scheduled_jobs_is_made_though_no_state_names_it() -> None:
    wait = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}}
    image = "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    given = {
        "ProcessingJobName": "a-<aws.scheduler.execution-id>",
        "RoleArn": "${SageMakerRole}",
        "AppSpecification": {"ImageUri": image},
    }
    target = Target(f"{SDK}sagemaker:createProcessingJob")
    resources = made(Schedule("rate(1 day)", target=target, input=given), definition=wait)
    assert "repository/sagemaker-scikit-learn" in json.dumps(resources["SageMakerPolicy"])


def test_any_action_of_the_sdk_with_what_it_says_it_needs() -> None:
    stop = Permission("Stop", ("rds:StopDBInstance",), (HERE.format("rds", "db:lab"),))
    _, allowed, policy = call(
        Target(f"{SDK}rds:stopDBInstance", permissions=(stop,)), input={"DBInstanceIdentifier": "lab"}
    )
    assert allowed == {"rds:StopDBInstance": [HERE.format("rds", "db:lab")]} and findings(policy) == []


def api_gateway() -> tuple[Schedule, dict[str, Any]]:
    """API Gateway is no target of Scheduler's: an event on the project's bus, and a rule that calls it."""
    schedule = Schedule(
        "rate(1 hour)",
        name="refresh",
        target=Target(
            "${EventBus}", {"EventBridgeParameters": {"DetailType": "Refresh", "Source": "mlops-kit"}}
        ),
        input={"path": "scores"},
    )
    api = {"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:abc123/live/POST/scores"}
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": api}
    version = {"Version": "2012-10-17"}
    role = {
        "AssumeRolePolicyDocument": {**version, "Statement": [trust]},
        "Policies": [{"PolicyName": "CallTheApi", "PolicyDocument": {**version, "Statement": [allow]}}],
    }
    call_it = {"Id": "api", "Arn": api, "RoleArn": {"Fn::GetAtt": ["RefreshRole", "Arn"]}}
    rule = {
        "EventBusName": {"Ref": "EventBus"},
        "EventPattern": {"source": ["mlops-kit"], "detail-type": ["Refresh"]},
        "Targets": [call_it],
    }
    return schedule, {
        "RefreshRole": {"Type": "AWS::IAM::Role", "Properties": role},
        "RefreshRule": {"Type": "AWS::Events::Rule", "Properties": rule},
    }


def test_api_gateway_is_reached_through_a_bus_and_a_rule() -> None:
    schedule, more = api_gateway()
    resources = made(schedule, resources=more)
    target = resources["RefreshSchedule"]["Properties"]["Target"]
    assert target["EventBridgeParameters"] == {"DetailType": "Refresh", "Source": "mlops-kit"}
    assert json.loads(target["Input"]) == {"path": "scores"}
    assert resources["RefreshRule"]["Properties"]["EventBusName"] == {"Ref": "EventBus"}


@pytest.mark.slow
def test_cfn_lint_finds_nothing_in_any_kind_of_target() -> None:
    from cfnlint.api import lint

    schedule, more = api_gateway()
    job = {"ProcessingJobName": "a-<aws.scheduler.execution-id>", "RoleArn": "${SageMakerRole}"}
    task = {"EcsParameters": {"TaskDefinitionArn": HERE.format("ecs", "task-definition/other:1")}}
    pipeline_parameters = {"PipelineParameterList": [{"Name": "a", "Value": "1"}]}
    schedules = (
        schedule,
        Schedule("rate(1 day)", flexible_window=5, start="2026-01-01T00:00:00Z", end="2026-02-01T00:00:00Z"),
        Schedule("rate(1 day)", target=Target("${WarmFunction}"), group="default"),
        Schedule("rate(1 day)", target=Target(f"{SDK}sagemaker:createProcessingJob"), input=job),
        Schedule("rate(1 day)", target=Target(HERE.format("ecs", "cluster/jobs"), task)),
        Schedule("rate(1 day)", target=Target(HERE.format("sqs", "work"))),
        Schedule(
            "rate(1 day)",
            target=Target(
                HERE.format("sagemaker", "pipeline/churn"),
                {"SageMakerPipelineParameters": pipeline_parameters},
            ),
        ),
    )
    built = build(
        Settings(), pipeline(schedules=schedules, resources=more, functions=(*pipeline().functions, WARM))
    )
    found = lint(json.dumps(built.template), None, ["eu-central-1", "us-east-1"])
    assert [f"{one.rule.id} {one.path}: {one.message}" for one in found] == []


CLOSED = {"type": "object", "additionalProperties": False, "properties": {"as_of": {}}, "required": ["as_of"]}


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Schedule("rate(1 day)", retry=Retry(186)), "has 186 retry attempts; AWS takes 0 to 185"),
        (Schedule("rate(1 day)", retry=Retry(1, 59)), "has 59 seconds as the maximum age"),
        (Schedule("rate(1 day)", flexible_window=1441), "has 1441 minutes of flexible window"),
        (Schedule("rate(1 day)", flexible_window=True), "has True minutes of flexible window"),
        (Schedule("rate(1 day)", "Europe/Bärlin"), "'Europe/Bärlin', which does not exist"),
        (Schedule("cron(0 0 31 2 ? *)"), "never"),
        (Schedule("rate(1 day)", name="a b"), "'a b' cannot be the name of a schedule"),
        (Schedule("rate(1 day)", name="a" * 65), "cannot be the name of a schedule"),
        (Schedule("rate(1 day)", group="a/b"), "'a/b' cannot be the name of a schedule group"),
        (Schedule("rate(1 day)", start="tomorrow"), "the start 'tomorrow', which is no time"),
        (Schedule("rate(1 day)", end="2026-02-30T00:00:00Z"), "which is no time"),
        (
            Schedule("rate(1 day)", start="2026-02-01T00:00:00Z", end="2026-01-01T00:00:00Z"),
            "starts at 2026-02-01T00:00:00Z and ends at 2026-01-01T00:00:00Z, not later",
        ),
        (
            Schedule("cron(0 3 ? * MON *)", start="2026-01-06T00:00:00Z", end="2026-01-11T00:00:00Z"),
            "never fires: cron(0 3 ? * MON *) UTC has no occurrence between",
        ),
        (Schedule("cron(0 3 1 1 ? 2020)", start="2026-01-01T00:00:00Z"), "has no occurrence after 2026"),
        (Schedule("at(2026-01-01T00:00:00)", end="2025-01-01T00:00:00Z"), "AWS ignores its start and end"),
        (
            Schedule("rate(1 day)", input={"a": "<aws.scheduler.time>"}),
            "context attribute <aws.scheduler.time>",
        ),
        (Schedule("rate(1 day)", input={"a": "x" * 262_144}), "AWS delivers 262,144"),
        (Schedule("rate(1 day)", input={"a": {1, 2}}), "is no JSON"),
        (
            Schedule("rate(1 day)", input={"a": "${Nothing}"}),
            "schedule 1, input a: ${Nothing} stands for nothing",
        ),
        (Schedule("rate(1 day)", target=Target("${Nothing}")), "cannot call '${Nothing}'"),
        (
            Schedule("rate(1 day)", target=Target("https://example.com/")),
            "cannot call 'https://example.com/'",
        ),
        (Schedule("rate(1 day)", target=Target("arn:aws:s3:::bucket")), "API Gateway and HTTP are reached"),
        (Schedule("rate(1 day)", target=Target(HERE.format("lambda", "layer:x"))), "cannot call"),
        (
            Schedule("rate(1 day)", target=Target(f"{SDK}sagemaker:describeModel")),
            "no action that only reads",
        ),
        (Schedule("rate(1 day)", target=Target(f"{SDK}sagemaker:makeCoffee")), "calls 'makeCoffee', which"),
        (
            Schedule("rate(1 day)", target=Target(f"{SDK}sagemakerr:createModel")),
            "calls the service 'sagemakerr'",
        ),
        (Schedule("rate(1 day)", target=Target(f"{SDK}rds:stopDBInstance")), "cannot be derived"),
        (Schedule("rate(1 day)", target=Target("${EventBus}")), "does not say DetailType"),
        (
            Schedule("rate(1 day)", target=Target("${RoutineTopic}", {"Input": "x"})),
            "which that does not take",
        ),
        (
            Schedule(
                "rate(1 day)", target=Target(HERE.format("sagemaker", "pipeline/churn")), input={"a": 1}
            ),
            "its target takes none",
        ),
        (Schedule("rate(1 day)", target=Target(HERE.format("sqs", "work.fifo"))), "MessageGroupId"),
    ],
)
def test_what_aws_would_refuse_or_never_fire_is_refused_before(schedule: Schedule, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(schedule)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "schema", "words"),
    [
        ({"forced": True}, CLOSED, r"'forced'.*its fields are: as_of"),
        ({}, {"required": ["day"]}, "must contain .'day'."),
        ({}, {"properties": {"as_of": {"pattern": r"^\d{4}-\d\d-\d\d$"}}}, "as_of cannot be '[^']+'."),
        ({"limit": "many"}, {"properties": {"limit": {"type": "number"}}}, "limit must be number"),
    ],
)
def test_an_input_that_the_pipeline_would_refuse_is_refused(
    given: dict[str, Any], schema: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        made(Schedule("rate(1 day)", input=given), input_schema=schema)
    assert re.search(words, " ".join(str(caught.value).split()))


@pytest.mark.parametrize("names", [("weekly", "weekly"), ("a-b", "a_b")])
def test_two_schedules_of_one_name_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=f"named '{names[0]}' and '{names[1]}'"):
        made(*(Schedule("rate(1 day)", name=name) for name in names))


def test_names_stay_with_their_schedules_when_these_change_places() -> None:
    one, two = Schedule("rate(1 day)", name="one"), Schedule("rate(2 days)", name="two")
    assert made(one, two)["OneSchedule"] == made(two, one)["OneSchedule"]


def test_a_pipeline_without_schedules_has_no_scheduler_role() -> None:
    assert not [name for name in made() if name.startswith("Schedule")]
