"""The resources that actions are authorised on, held against AWS's service authorization reference."""

from __future__ import annotations

import functools
import json
import re
import warnings
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mlops_kit.local.authorization_resources import Call, passed_roles, resources

REGION, ACCOUNT = "us-east-1", "000000000000"


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


MACHINE, EXECUTION = arn("states", "stateMachine:m"), arn("states", "execution:m:e")
PACKAGE = arn("sagemaker", "model-package/g/3")
Case = tuple[str, dict[str, Any], tuple[str, ...], list[str]]
CASES: list[Case] = [  # action, parameters, path, resources
    ("sagemaker:CreateTrainingJob", {"TrainingJobName": "J"}, (), [arn("sagemaker", "training-job/j")]),
    ("sagemaker:StopProcessingJob", {"ProcessingJobName": "j"}, (), [arn("sagemaker", "processing-job/j")]),
    (
        "sagemaker:CreateTransformJob",
        {"TransformJobName": "j", "ModelName": "m"},
        (),
        [arn("sagemaker", "transform-job/j")],
    ),
    ("sagemaker:CreateModel", {"ModelName": "m"}, (), [arn("sagemaker", "model/m")]),
    (
        "sagemaker:CreateEndpoint",
        {"EndpointName": "e", "EndpointConfigName": "c"},
        (),
        [arn("sagemaker", "endpoint/e"), arn("sagemaker", "endpoint-config/c")],
    ),
    (
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        {"EndpointName": "e"},
        (),
        [arn("sagemaker", "endpoint/e")],
    ),
    ("sagemaker:InvokeEndpoint", {}, ("endpoints", "E", "invocations"), [arn("sagemaker", "endpoint/e")]),
    (
        "sagemaker:CreateModelPackage",
        {"ModelPackageGroupName": "g"},
        (),
        [arn("sagemaker", "model-package/g/*")],
    ),
    ("sagemaker:DescribeModelPackage", {"ModelPackageName": PACKAGE}, (), [PACKAGE]),
    ("sagemaker:UpdateModelPackage", {"ModelPackageArn": PACKAGE}, (), [PACKAGE]),
    (
        "sagemaker:DescribeModelPackageGroup",
        {"ModelPackageGroupName": "g"},
        (),
        [arn("sagemaker", "model-package-group/g")],
    ),
    ("sagemaker:CreateFeatureGroup", {"FeatureGroupName": "f"}, (), [arn("sagemaker", "feature-group/f")]),
    ("sagemaker:StartPipelineExecution", {"PipelineName": "p"}, (), [arn("sagemaker", "pipeline/p")]),
    ("sagemaker:ListPipelineExecutions", {"PipelineName": "p"}, (), [arn("sagemaker", "pipeline/p")]),
    (
        "sagemaker:StopPipelineExecution",
        {"PipelineExecutionArn": arn("sagemaker", "pipeline/p/execution/e")},
        (),
        [arn("sagemaker", "pipeline/p/execution/e")],
    ),
    ("sagemaker:AddTags", {"ResourceArn": PACKAGE}, (), [PACKAGE]),
    ("sagemaker:ListTrainingJobs", {"TrainingPlanArnEquals": "x"}, (), ["*"]),
    ("sagemaker:Search", {"Resource": "TrainingJob"}, (), ["*"]),
    ("states:StartExecution", {"stateMachineArn": MACHINE}, (), [MACHINE]),
    ("states:StartExecution", {"stateMachineArn": f"{MACHINE}:live"}, (), [MACHINE]),
    ("states:StopExecution", {"executionArn": EXECUTION}, (), [EXECUTION]),
    ("states:RedriveExecution", {"executionArn": EXECUTION}, (), [EXECUTION]),
    ("states:CreateStateMachine", {"name": "m"}, (), [MACHINE]),
    ("states:SendTaskSuccess", {"taskToken": "t"}, (), ["*"]),
    ("glue:StartJobRun", {"JobName": "j"}, (), [arn("glue", "job/j")]),
    ("glue:BatchStopJobRun", {"JobName": "j", "JobRunIds": ["r"]}, (), [arn("glue", "job/j")]),
    ("glue:CreateJob", {"Name": "j"}, (), [arn("glue", "job/j")]),
    ("glue:GetDatabase", {"Name": "d"}, (), [arn("glue", "catalog"), arn("glue", "database/d")]),
    (
        "glue:GetTable",
        {"DatabaseName": "d", "Name": "t"},
        (),
        [arn("glue", "catalog"), arn("glue", "database/d"), arn("glue", "table/d/t")],
    ),
    (
        "glue:CreateTable",
        {"DatabaseName": "d", "TableInput": {"Name": "t"}},
        (),
        [arn("glue", "catalog"), arn("glue", "database/d"), arn("glue", "table/d/t")],
    ),
    (
        "glue:BatchCreatePartition",
        {"DatabaseName": "d", "TableName": "t"},
        (),
        [arn("glue", "catalog"), arn("glue", "database/d"), arn("glue", "table/d/t")],
    ),
    ("glue:GetDatabases", {}, (), [arn("glue", "catalog"), arn("glue", "database/*")]),
    ("athena:StartQueryExecution", {"WorkGroup": "w"}, (), [arn("athena", "workgroup/w")]),
    ("athena:StopQueryExecution", {"QueryExecutionId": "q"}, (), [arn("athena", "workgroup/primary")]),
    ("athena:GetDataCatalog", {"Name": "c"}, (), [arn("athena", "datacatalog/c")]),
    (
        "events:PutEvents",
        {"Entries": [{}, {"EventBusName": "b"}, {}]},
        (),
        [arn("events", "event-bus/default"), arn("events", "event-bus/b")],
    ),
    ("events:PutRule", {"Name": "r"}, (), [arn("events", "rule/r")]),
    ("events:PutTargets", {"Rule": "r", "EventBusName": "b"}, (), [arn("events", "rule/b/r")]),
    (
        "lambda:InvokeFunction",
        {},
        ("2015-03-31", "functions", "f", "invocations"),
        [arn("lambda", "function:f")],
    ),
    (
        "lambda:CreateFunction",
        {"FunctionName": "f"},
        ("2015-03-31", "functions"),
        [arn("lambda", "function:f")],
    ),
    (
        "lambda:GetFunction",
        {},
        ("2015-03-31", "functions", f"{ACCOUNT}:function:f"),
        [arn("lambda", "function:f")],
    ),
    (
        "logs:PutLogEvents",
        {"logGroupName": "g", "logStreamName": "s"},
        (),
        [arn("logs", "log-group:g:log-stream:s")],
    ),
    ("logs:FilterLogEvents", {"logGroupName": "g"}, (), [arn("logs", "log-group:g:log-stream:")]),
    (
        "logs:StartQuery",
        {"logGroupNames": ["a", "b"]},
        (),
        [arn("logs", "log-group:a:log-stream:"), arn("logs", "log-group:b:log-stream:")],
    ),
    ("logs:CreateLogDelivery", {}, (), ["*"]),
    ("cloudwatch:PutMetricData", {"Namespace": "n"}, (), ["*"]),
    ("cloudwatch:PutMetricAlarm", {"AlarmName": "a"}, (), [arn("cloudwatch", "alarm:a")]),
    ("scheduler:CreateSchedule", {"GroupName": "g"}, ("schedules", "s"), [arn("scheduler", "schedule/g/s")]),
    ("ecs:RunTask", {"taskDefinition": "t:1"}, (), [arn("ecs", "task-definition/t:1")]),
    ("ecs:StopTask", {"cluster": "c", "task": "t"}, (), [arn("ecs", "task/c/t")]),
]


@functools.cache
def reference() -> dict[str, Any]:
    """AWS's reference as parliament packs it, by prefix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = files("parliament").joinpath("iam_definition.json").read_text()
    return {service["prefix"]: service for service in json.loads(text)}


def kinds(action: str) -> list[tuple[str, re.Pattern[str], bool]]:
    """Resource types of an action: name, pattern of its ARNs, and whether AWS always asks for it."""
    prefix, _, name = action.partition(":")
    service = reference()[prefix]
    patterns = {
        one["resource"]: re.compile(re.sub(r"\\\$\\\{[^}]*\\\}", ".+", re.escape(one["arn"])))
        for one in service["resources"]
    }
    privilege = next(one for one in service["privileges"] if one["privilege"] == name)
    asked = [one["resource_type"] for one in privilege["resource_types"] if one["resource_type"]]
    return [(one.rstrip("*"), patterns[one.rstrip("*")], one.endswith("*")) for one in asked]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {len(case[1])}")
def test_an_action_is_asked_for_on_the_resources_that_aws_names(case: Case) -> None:
    action, params, path, expected = case
    prefix, _, operation = action.partition(":")
    assert resources(Call(prefix, operation, REGION, params, path)) == expected
    allowed = kinds(action)
    for one in expected:
        assert one == "*" or any(pattern.fullmatch(one) for _, pattern, _ in allowed), (one, allowed)
    if expected == ["*"]:
        assert not any(always for _, _, always in allowed)
    for name, pattern, always in allowed:  # what AWS always asks for is asked for here
        optional = name in ("express", "user-defined function", "userdefinedfunction", "delivery")
        assert optional or not always or any(pattern.fullmatch(one) for one in expected), name


def test_roles_are_passed_wherever_a_request_hands_one_to_a_service() -> None:
    role = "arn:aws:iam::000000000000:role/r"
    for action, params, service in (
        ("sagemaker:CreateTrainingJob", {"RoleArn": role}, "sagemaker"),
        ("sagemaker:CreateModel", {"ExecutionRoleArn": role}, "sagemaker"),
        ("states:CreateStateMachine", {"roleArn": role}, "states"),
        ("glue:CreateJob", {"Role": role}, "glue"),
        ("glue:UpdateJob", {"JobUpdate": {"Role": role}}, "glue"),
        ("lambda:UpdateFunctionConfiguration", {"Role": role}, "lambda"),
        ("events:PutTargets", {"Targets": [{"Id": "a"}, {"Id": "b", "RoleArn": role}]}, "events"),
        ("scheduler:UpdateSchedule", {"Target": {"RoleArn": role}}, "scheduler"),
    ):
        prefix, _, operation = action.partition(":")
        call = Call(prefix, operation, REGION, params)
        assert list(passed_roles(call)) == [(role, f"{service}.amazonaws.com")]
    assert not list(passed_roles(Call("sagemaker", "DescribeTrainingJob", REGION, {"RoleArn": role})))


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = sorted({member for _, params, _, _ in CASES for member in params} | {"Tags", "tasks", "RoleArn"})


@given(
    some.sampled_from(sorted({case[0] for case in CASES})),
    some.dictionaries(some.sampled_from(MEMBERS), JSON, max_size=4),
    some.lists(some.sampled_from(["endpoints", "functions", "schedules", "tags", "layers", "x"]), max_size=3),
)
def test_any_request_is_asked_for_on_something(action: str, params: dict[str, Any], path: list[str]) -> None:
    prefix, _, operation = action.partition(":")
    call = Call(prefix, operation, REGION, params, tuple(path))
    found = resources(call)
    assert found and all(found)
    assert all(isinstance(role, str) for role, _ in passed_roles(call))
