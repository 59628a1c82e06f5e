"""A template is a pure function of settings and pipeline, and one that CloudFormation takes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.artifacts import Artifact, DataFile
from mlops_kit.build.template import build, foundation
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import FOUNDATION_TOKENS, Function, GlueJob, Pipeline, Stack
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import retraining
from tests.build.sample import definition, pipeline, task

SETTINGS = Settings()


def resource(template: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def studio(**states: dict[str, Any]) -> dict[str, Any]:
    """A machine of states that need no failure path."""
    bare = {name: {key: state[key] for key in state if key != "Catch"} for name, state in states.items()}
    return {"StartAt": next(iter(states)), "States": bare}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sample", "retraining", "foundation"])
def test_cfn_lint_finds_nothing(name: str) -> None:
    from cfnlint.api import lint

    made: dict[str, Callable[[], Stack]] = {
        "sample": lambda: build(SETTINGS, pipeline()),
        "retraining": lambda: build(SETTINGS, retraining.build(SETTINGS)),
        "foundation": lambda: foundation(SETTINGS, ("demand", "a-b")),
    }
    stack = made[name]()

    found = lint(json.dumps(stack.template), None, ["eu-central-1", "us-east-1"])
    assert [f"{one.rule.id} {one.path}: {one.message}" for one in found] == []


def test_the_same_input_gives_the_same_bytes_in_every_process() -> None:
    code = (
        "import hashlib, json; from mlops_kit.build.template import build, foundation;"
        "from mlops_kit.settings import Settings; from tests.build.sample import pipeline;"
        "t = [build(Settings(), pipeline()).template, foundation(Settings(), ('b', 'a')).template];"
        "print(hashlib.sha256(json.dumps(t).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


NAMES = st.from_regex(r"[A-Z][A-Za-z0-9]{0,8}", fullmatch=True)
HERE = Path(__file__)
WAIT = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}}


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Pipelines whose tasks call their own functions and jobs, in any number and order."""
    parts = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    functions = tuple(Function(name, "m.f", Artifact("m", "zip", (("m.py", HERE),))) for name in parts[::2])
    jobs = tuple(GlueJob(name, Artifact("j", "file", (("j.py", HERE),))) for name in parts[1::2])
    states = {
        one.name: task("lambda:invoke", {"FunctionName": f"${{{one.name}Function}}"}, None)
        for one in functions
    }
    states |= {
        one.name: task("glue:startJobRun.sync", {"JobName": f"${{{one.name}Job}}"}, None) for one in jobs
    }
    for name, following in pairwise(states):
        del states[name]["End"]
        states[name]["Next"] = following
    schedules = draw(st.lists(st.just(Schedule("rate(1 day)")), max_size=2))
    return pipeline(definition=studio(**states), functions=functions, jobs=jobs, schedules=tuple(schedules))


@given(pipelines())
def test_every_part_is_a_resource_and_every_reference_has_a_target(built_from: Pipeline) -> None:
    stack = build(SETTINGS, built_from)
    assert json.dumps(stack.template) == json.dumps(build(SETTINGS, built_from).template)
    logical = set(stack.template["Resources"])
    assert {f"{one.name}Function" for one in built_from.functions} <= logical
    assert {f"{one.name}Job" for one in built_from.jobs} <= logical
    machine = resource(stack.template, "StateMachine")
    assert json.loads(machine["DefinitionString"]) == built_from.definition
    text = json.dumps(stack.template["Resources"])
    for kind, marker in (("Ref", '{"Ref": "'), ("GetAtt", '{"Fn::GetAtt": ["')):
        for piece in text.split(marker)[1:]:
            target = piece.split('"')[0]
            assert target in logical | set(stack.parameters) or target.startswith("AWS::"), (kind, target)


def test_the_parameters_are_the_outputs_of_the_foundation_that_are_used() -> None:
    stack = build(SETTINGS, pipeline())
    assert stack.parameters == ("ArtifactBucket", "DataBucket", "LockTable", "RoutineTopic", "CriticalTopic")
    assert tuple(stack.template["Parameters"]) == stack.parameters
    assert set(foundation(SETTINGS, ()).template["Outputs"]) == set(FOUNDATION_TOKENS)
    bare = Pipeline("bare", "Waits.", studio(Wait={"Type": "Wait", "Seconds": 1, "End": True}))
    assert build(SETTINGS, bare).parameters == ()


def test_tokens_of_a_definition_become_substitutions() -> None:
    region = "{% 'arn:' & '${AWS::Partition}' & ':' & '${AWS::Region}' %}"
    changed = definition()
    changed["States"]["AlreadyRetraining"] = {"Type": "Succeed", "QueryLanguage": "JSONata", "Output": region}
    machine = resource(build(SETTINGS, pipeline(definition=changed)).template, "StateMachine")
    assert machine["DefinitionSubstitutions"] == {
        "DataBucket": {"Ref": "DataBucket"},
        "LockTable": {"Ref": "LockTable"},
        "RoutineTopic": {"Ref": "RoutineTopic"},
        "CriticalTopic": {"Ref": "CriticalTopic"},
        "AWSPartition": {"Ref": "AWS::Partition"},
        "AWSRegion": {"Ref": "AWS::Region"},
        "EvaluateFunction": {"Fn::GetAtt": ["EvaluateFunction", "Arn"]},
        "PrepareTrainingDataJob": {"Ref": "PrepareTrainingDataJob"},
        "SageMakerRole": {"Fn::GetAtt": ["SageMakerRole", "Arn"]},
    }
    assert "${AWSRegion}" in machine["DefinitionString"] and "${AWS::" not in machine["DefinitionString"]


def test_an_unknown_token_is_refused_with_state_field_and_the_known_ones() -> None:
    changed = definition()
    changed["States"]["EvaluateModel"]["Parameters"]["FunctionName"] = "${EvalFunction}"
    with pytest.raises(UsageError) as caught:
        build(SETTINGS, pipeline(definition=changed))
    assert "state 'EvaluateModel', field Parameters.FunctionName" in caught.value.message
    assert "${EvalFunction}" in caught.value.message
    assert "${EvaluateFunction}" in str(caught.value.suggestion)
    with pytest.raises(UsageError, match="function 'Evaluate', environment B"):
        function = dataclasses.replace(pipeline().functions[0], environment={"B": "${Nope}"})
        build(SETTINGS, pipeline(functions=(function,)))


def test_a_jsonata_group_is_no_token() -> None:
    group = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": '{% ${"a": 1} %}', "End": True}
    machine = resource(build(SETTINGS, pipeline(definition=studio(Group=group))).template, "StateMachine")
    assert "DefinitionSubstitutions" not in machine


def test_the_state_machine_logs_all_traces_and_waits_for_its_policy() -> None:
    template = build(SETTINGS, pipeline()).template
    machine = resource(template, "StateMachine")
    assert machine["StateMachineName"] == "mlops-kit-retraining-demand"
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", True)
    assert machine["TracingConfiguration"] == {"Enabled": True}
    logs = resource(template, "StateMachineLogs")
    assert logs["LogGroupName"] == "/aws/vendedlogs/states/mlops-kit-retraining-demand"
    assert logs["RetentionInDays"] > 0
    assert template["Resources"]["StateMachine"]["DependsOn"] == "StateMachinePolicy"
    assert machine["Tags"] == [
        {"Key": "mlops-kit:project", "Value": "mlops-kit"},
        {"Key": "mlops-kit:pipeline", "Value": "retraining-demand"},
    ]


def test_a_glue_job_finds_its_script_its_modules_and_leaves_retries_to_the_workflow() -> None:
    built_from = pipeline()
    job = resource(build(SETTINGS, built_from).template, "PrepareTrainingDataJob")
    key = built_from.jobs[0].script.key
    assert job["Command"] == {
        "Name": "pythonshell",
        "PythonVersion": "3.9",
        "ScriptLocation": {"Fn::Sub": f"s3://${{ArtifactBucket}}/{key}"},
    }
    assert job["MaxRetries"] == 0 and job["MaxCapacity"] == 0.0625
    wheel = built_from.jobs[0].modules[0].key
    assert job["DefaultArguments"] == {
        "library-set": "analytics",
        "--extra-py-files": {"Fn::Sub": f"s3://${{ArtifactBucket}}/{wheel}"},
        "--data-bucket": {"Ref": "DataBucket"},
    }


def test_a_function_runs_the_artifact_and_has_its_log_group() -> None:
    built_from = pipeline()
    template = build(SETTINGS, built_from).template
    function = resource(template, "EvaluateFunction")
    assert function["Code"] == {
        "S3Bucket": {"Ref": "ArtifactBucket"},
        "S3Key": built_from.functions[0].code.key,
    }
    assert function["Environment"]["Variables"] == {"BUCKET": {"Ref": "DataBucket"}, "LEVEL": "INFO"}
    assert function["Runtime"] == "python3.13" and function["TracingConfig"] == {"Mode": "Active"}
    logs = resource(template, "EvaluateFunctionLogs")
    assert logs["LogGroupName"] == f"/aws/lambda/{function['FunctionName']}"


def test_the_stack_lists_each_artifact_once_and_the_data() -> None:
    data = (DataFile("raw/demand/x.csv", HERE),)
    twice = pipeline(artifacts=(pipeline().functions[0].code, *pipeline().artifacts), data=data)
    stack = build(SETTINGS, twice)
    assert [one.name for one in stack.artifacts] == ["evaluate", "prepare", "features", "training"]
    assert stack.data == data


def test_every_role_has_a_generated_name() -> None:
    for stack in (build(SETTINGS, pipeline()), foundation(SETTINGS, ("demand",))):
        for one in stack.template["Resources"].values():
            if one["Type"] in ("AWS::IAM::Role", "AWS::S3::Bucket", "AWS::DynamoDB::Table"):
                assert not {"RoleName", "BucketName", "TableName"} & set(one["Properties"])


def test_a_definition_from_workflow_studio_serves_as_the_workflow() -> None:
    function = "arn:aws:lambda:eu-central-1:111122223333:function:mine:$LATEST"
    drawn = json.loads(
        """{"Comment": "A description of my state machine", "StartAt": "Lambda Invoke", "States": {
        "Lambda Invoke": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
        "OutputPath": "$.Payload", "Parameters": {"Payload.$": "$", "FunctionName": "FUNCTION"},
        "Next": "Any \\"news\\"?"}, "Any \\"news\\"?": {"Type": "Pass", "End": true}}}""".replace(
            "FUNCTION", function
        )
    )
    stack = build(SETTINGS, dataclasses.replace(pipeline(), definition=drawn))
    assert json.loads(resource(stack.template, "StateMachine")["DefinitionString"]) == drawn
    assert "SageMakerRole" not in stack.template["Resources"]
    assert function in json.dumps(resource(stack.template, "StateMachinePolicy"))


def test_the_foundation_keeps_data_and_locks_by_time() -> None:
    template = foundation(SETTINGS, ("demand",)).template
    for name in ("ArtifactBucket", "DataBucket"):
        bucket = template["Resources"][name]
        assert bucket["DeletionPolicy"] == "Retain"
        assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert {"Prefix": "tmp/", "ExpirationInDays": 7}.items() <= rules[0].items()
    assert resource(template, "ArtifactBucket")["VersioningConfiguration"] == {"Status": "Enabled"}
    table = resource(template, "LockTable")
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert resource(template, "DemandModelPackageGroup")["ModelPackageGroupName"] == "mlops-kit-demand"


@pytest.mark.parametrize(
    ("settings", "changes", "words"),
    [
        (Settings(project="default"), {}, "'default' cannot be a project's name"),
        (Settings(project="sthree-kit"), {}, "'sthree-kit' cannot be a project's name"),
        (SETTINGS, {"name": "Retraining"}, "'Retraining' cannot be a pipeline's name"),
        (SETTINGS, {"name": "foundation"}, "'foundation' cannot be a pipeline's name"),
        (SETTINGS, {"name": "r" * 50}, "a function's or a schedule's name takes 64"),
        (
            SETTINGS,
            {"functions": (dataclasses.replace(pipeline().functions[0], name="eval"),)},
            "'eval' cannot be the name of a function, a job or a rule",
        ),
        (SETTINGS, {"functions": pipeline().functions * 2}, "are named 'Evaluate'"),
        (
            SETTINGS,
            {"definition": studio(Get=task("lambda:invoke", {"Payload": {"x": "s3://My_Bucket/a"}}, None))},
            "state 'Get', field Parameters.Payload.x: AWS would refuse the bucket name 'My_Bucket'",
        ),
        (
            SETTINGS,
            {"definition": studio(Do={"Type": "Pass", "Comment": "x" * 1_100_000, "End": True})},
            "AWS takes 1,048,576",
        ),
        (SETTINGS, {"schedules": (Schedule("cron(0 3 * * * *)"),)}, "exactly one"),
        (SETTINGS, {"definition": {"States": {"A": 5}}}, "Expected value of type [OBJECT] at /States/A"),
        (
            SETTINGS,
            {"definition": studio(Go={"Type": "Pass", "Next": "Gone"})},
            "Missing 'Next' target: Gone at /States/Go/Next",
        ),
    ],
)
def test_what_aws_would_refuse_is_refused_before_anything_is_made(
    settings: Settings, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        build(settings, pipeline(**changes))
    assert words in str(caught.value)


@pytest.mark.parametrize("model", ["Demand", "de_mand", "x-", "m" * 60])
def test_a_model_that_sagemaker_would_refuse_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        foundation(SETTINGS, (model,))


def test_further_resources_stand_in_the_template_and_are_named_by_their_logical_id() -> None:
    cache = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "cache"}}
    warm = Artifact("warm", "zip", (("warm.py", HERE),))
    functions = (Function("Warm", "warm.handler", warm, environment={"QUEUE": "${Cache}"}),)
    template = build(
        SETTINGS, pipeline(functions=functions, resources={"Cache": cache}, definition=WAIT)
    ).template
    assert template["Resources"]["Cache"] == cache
    assert resource(template, "WarmFunction")["Environment"] == {"Variables": {"QUEUE": {"Ref": "Cache"}}}


def test_a_further_resource_without_a_type_is_refused() -> None:
    with pytest.raises(UsageError, match="'Cache'"):
        build(SETTINGS, pipeline(resources={"Cache": {}}))
