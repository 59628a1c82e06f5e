"""A role allows what the definition needs, on what it needs it for, and nothing else."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl.states import walk
from mlops_kit.build.iam import machine_statements
from mlops_kit.build.permissions import RULES
from mlops_kit.build.permissions_sdk import SERVICES
from mlops_kit.build.policy import Statement, document, merged
from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import retraining
from tests.build.sample import definition, pipeline, task
from tests.policies import findings, stars
from tests.policies import resolved as with_values

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import parliament

SETTINGS = Settings()
HERE = "arn:aws:{}:eu-central-1:111122223333:{}"
VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "111122223333",
    "DataBucket": "data-bucket",
    "ArtifactBucket": "artifact-bucket",
    "LockTable": "lock-table",
    "RoutineTopic": HERE.format("sns", "mlops-kit-routine"),
    "CriticalTopic": HERE.format("sns", "mlops-kit-critical"),
    "EventBus": "mlops-kit",
    "StateMachine": HERE.format("states", "stateMachine:mlops-kit-retraining-demand"),
    "SageMakerRole.Arn": "arn:aws:iam::111122223333:role/SageMakerRole-1A2B",
    "EvaluateModelFunction.Arn": HERE.format("lambda", "function:mlops-kit-retraining-demand-EvaluateModel"),
    "EvaluateFunction.Arn": HERE.format("lambda", "function:mlops-kit-retraining-demand-Evaluate"),
    "ScheduleDeadLetters.Arn": HERE.format("sqs", "mlops-kit-retraining-demand-ScheduleDeadLetters-1A2B"),
    "PrepareTrainingDataJob": "mlops-kit-retraining-demand-PrepareTrainingData",
}


def resolved(value: Any) -> Any:
    """A template's part with ``VALUES``; a reference to anything else fails the test."""
    return with_values(value, VALUES.__getitem__)


def policies(of: Pipeline | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    stack = build(SETTINGS, of or pipeline())
    for name, resource in stack.template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Policy":
            yield name, resolved(resource["Properties"]["PolicyDocument"])


def allowed(definition: Mapping[str, Any]) -> dict[str, set[str]]:
    """Action -> resources of the state machine's policy."""
    found: dict[str, set[str]] = {}
    for statement in resolved(document(machine_statements(SETTINGS, pipeline(definition=definition))))[
        "Statement"
    ]:
        for action in statement["Action"]:
            found.setdefault(action, set()).update(statement["Resource"])
    return found


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def test_a_policy_linter_finds_nothing_but_what_has_a_written_reason() -> None:
    found = dict(policies())
    assert set(found) == {
        "EvaluateFunctionPolicy",
        "PrepareTrainingDataJobPolicy",
        "SageMakerPolicy",
        "StateMachinePolicy",
        "ScheduleStateMachinePolicy",
    }
    for name, policy in found.items():
        assert findings(json.dumps(policy)) == [], name


def test_a_star_stands_only_where_a_reason_is_written_down() -> None:
    for name, policy in policies():
        assert stars(policy) == [], name


def test_a_job_that_is_waited_for_may_be_made_watched_stopped_and_tagged_under_its_own_name() -> None:
    found = allowed(definition())
    jobs = {HERE.format("sagemaker", "training-job/demand-*")}
    for action in ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob"):
        assert found[f"sagemaker:{action}"] == jobs
    assert jobs <= found["sagemaker:AddTags"] and jobs <= found["sagemaker:ListTags"]
    rules = {
        HERE.format("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule")
        for kind in ("Training", "Processing")
    }
    assert found["events:PutRule"] == found["events:PutTargets"] == found["events:DescribeRule"] == rules


def test_a_role_is_passed_to_sagemaker_only() -> None:
    statements = [one for one in machine_statements(SETTINGS, pipeline()) if "iam:PassRole" in one.actions]
    assert [one.resources for one in statements] == [("${SageMakerRole.Arn}",)]
    assert statements[0].condition == (("StringEquals", "iam:PassedToService", ("sagemaker.amazonaws.com",)),)


def test_each_integration_gets_its_own_resource() -> None:
    found = allowed(definition())
    function = VALUES["EvaluateFunction.Arn"]
    assert found["lambda:InvokeFunction"] == {function, f"{function}:*"}
    job = HERE.format("glue", f"job/{VALUES['PrepareTrainingDataJob']}")
    assert found["glue:StartJobRun"] == found["glue:GetJobRun"] == found["glue:BatchStopJobRun"] == {job}
    table = {HERE.format("dynamodb", "table/lock-table")}
    assert found["dynamodb:PutItem"] == found["dynamodb:DeleteItem"] == table
    assert "dynamodb:GetItem" not in found
    assert found["sns:Publish"] == {VALUES["RoutineTopic"], VALUES["CriticalTopic"]}
    endpoint = HERE.format("sagemaker", "endpoint/mlops-kit-demand")
    assert found["sagemaker:DescribeEndpoint"] == {endpoint}
    assert found["sagemaker:UpdateEndpoint"] == {
        endpoint,
        HERE.format("sagemaker", "endpoint-config/demand-*"),
    }
    assert found["sagemaker:UpdateModelPackage"] == {HERE.format("sagemaker", "model-package/mlops-kit-*")}
    assert found["sagemaker:ListEndpoints"] == {"*"}


@pytest.mark.parametrize(
    ("resource", "arguments", "action", "resources"),
    [
        (
            "sqs:sendMessage",
            {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/111122223333/work", "MessageBody": "x"},
            "sqs:SendMessage",
            {HERE.format("sqs", "work")},
        ),
        (
            "events:putEvents",
            {"Entries": [{"EventBusName": "${EventBus}", "Source": "kit", "DetailType": "x", "Detail": {}}]},
            "events:PutEvents",
            {HERE.format("events", "event-bus/mlops-kit")},
        ),
        (
            "states:startExecution.sync:2",
            {"StateMachineArn": HERE.format("states", "stateMachine:other")},
            "states:StopExecution",
            {HERE.format("states", "execution:other:*")},
        ),
        (
            "aws-sdk:s3:getObject",
            {"Bucket": "${DataBucket}", "Key": "{% 'metrics/' & $states.input.run %}"},
            "s3:GetObject",
            {"arn:aws:s3:::data-bucket/metrics/*"},
        ),
        (
            "aws-sdk:s3:listObjectsV2",
            {"Bucket": "${DataBucket}"},
            "s3:ListBucket",
            {"arn:aws:s3:::data-bucket"},
        ),
        (
            "aws-sdk:sagemakerruntime:invokeEndpoint",
            {"EndpointName.$": "$.endpoint", "Body": "1"},
            "sagemaker:InvokeEndpoint",
            {HERE.format("sagemaker", "endpoint/mlops-kit-*")},
        ),
        (
            "aws-sdk:dynamodb:query",
            {"TableName": "history"},
            "dynamodb:Query",
            {HERE.format("dynamodb", "table/history")},
        ),
        (
            "aws-sdk:sagemaker:listModelPackages",
            {"ModelPackageGroupName": "mlops-kit-demand"},
            "sagemaker:ListModelPackages",
            {
                HERE.format("sagemaker", "model-package-group/mlops-kit-demand"),
                HERE.format("sagemaker", "model-package/mlops-kit-demand/*"),
            },
        ),
    ],
)
def test_an_integration_is_narrowed_to_what_its_arguments_name(
    resource: str, arguments: dict[str, Any], action: str, resources: set[str]
) -> None:
    found = allowed(machine(Call=task(resource, arguments, None)))
    assert found[action] == resources
    text = json.dumps(
        resolved(
            document(
                machine_statements(
                    SETTINGS, pipeline(definition=machine(Call=task(resource, arguments, None)))
                )
            )
        )
    )
    assert findings(text) == []


@pytest.mark.parametrize(
    ("resource", "arguments", "words"),
    [
        ("batch:submitJob.sync", {}, "no permissions for the integration 'batch:submitJob'"),
        ("aws-sdk:ec2:describeInstances", {}, "no resources of the service 'ec2'"),
        ("aws-sdk:dynamodb:transactWriteItems", {"TransactItems": []}, "cannot narrow"),
        ("sns:publish", {"TopicArn.$": "$.topic"}, "knows only at run time TopicArn"),
        ("aws-sdk:s3:getObject", {"Key": "a"}, "does not give Bucket"),
        ("sagemaker:createModel", {"ExecutionRoleArn.$": "$.role"}, "passes the role"),
        ("sagemaker:createModel", {"ExecutionRoleArn": "my-role"}, "'my-role'"),
        ("events:putEvents", {"Entries.$": "$.entries"}, "Entries"),
        ("lambda", {}, "no resource of a Task"),
    ],
)
def test_what_the_kit_cannot_narrow_is_refused_with_the_state_and_a_way_out(
    resource: str, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        allowed(machine(Score=task(resource, arguments, None)))
    assert words in caught.value.message and "'Score'" in caught.value.message
    assert caught.value.suggestion


def test_states_inside_map_and_parallel_and_the_reader_of_a_distributed_map_count() -> None:
    inner = machine(Store=task("dynamodb:putItem", {"TableName": "scores"}, None))
    inner["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    reader = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "${DataBucket}"}}
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "${DataBucket}", "Prefix": "runs/"},
    }
    each = {"Type": "Map", "ItemProcessor": inner, "ItemReader": reader, "ResultWriter": writer, "End": True}
    branch = machine(Tell=task("sns:publish", {"TopicArn": "${RoutineTopic}"}, None))
    found = allowed(machine(Both={"Type": "Parallel", "Branches": [branch, machine(Each=each)], "End": True}))
    own = HERE.format("states", "stateMachine:mlops-kit-retraining-demand")
    assert found["dynamodb:PutItem"] == {HERE.format("dynamodb", "table/scores")}
    assert found["sns:Publish"] == {VALUES["RoutineTopic"]}
    assert found["s3:ListBucket"] == {"arn:aws:s3:::data-bucket"}
    assert found["s3:PutObject"] == {"arn:aws:s3:::data-bucket/runs/*"}
    assert found["states:StartExecution"] == {own}
    assert own.replace("stateMachine", "execution") + "/*:*" in found["states:RedriveExecution"]


def test_a_task_with_credentials_lends_its_own_role_nothing_but_the_other_role() -> None:
    other = "arn:aws:iam::444455556666:role/other"
    state = task("lambda:invoke", {"FunctionName": "x"}, None, Credentials={"RoleArn": other})
    found = allowed(machine(Call=state))
    assert found["sts:AssumeRole"] == {other} and "lambda:InvokeFunction" not in found
    with pytest.raises(UsageError, match="Credentials"):
        allowed(machine(Call={**state, "Credentials": {"RoleArn.$": "$.role"}}))


def test_a_name_that_one_state_gives_and_another_reads_by_its_path_stays_narrow() -> None:
    config = task(
        "sagemaker:createEndpointConfig", {"EndpointConfigName": "{% 'kit-' & $uuid() %}"}, "Update"
    )
    update = task("sagemaker:updateEndpoint", {"EndpointName": "e", "EndpointConfigName.$": "$.config"}, None)
    found = allowed(machine(Config=config, Update=update))["sagemaker:UpdateEndpoint"]
    assert found == {
        HERE.format("sagemaker", "endpoint/e"),
        HERE.format("sagemaker", "endpoint-config/kit-*"),
    }
    alone = allowed(machine(Update=update))["sagemaker:UpdateEndpoint"]
    assert HERE.format("sagemaker", "endpoint-config/*") in alone


def test_roles_are_trusted_on_behalf_of_the_own_account_only() -> None:
    resources = build(SETTINGS, pipeline()).template["Resources"]
    for name in ("StateMachineRole", "SageMakerRole", "ScheduleStateMachineRole"):
        trust = resources[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
        assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}, name
    group = HERE.format("scheduler", "schedule-group/mlops-kit-retraining-demand")
    assert resolved(trust["Condition"]["ArnEquals"]) == {"aws:SourceArn": group}


def test_jobs_and_functions_touch_only_their_prefixes() -> None:
    found = dict(policies())
    job = {one["Sid"]: one for one in found["PrepareTrainingDataJobPolicy"]["Statement"]}
    assert job["WriteObjects"]["Resource"] == ["arn:aws:s3:::data-bucket/features/demand/*"]
    assert job["ReadObjects"]["Resource"] == [
        "arn:aws:s3:::artifact-bucket/code/features/*",
        "arn:aws:s3:::artifact-bucket/code/prepare/*",
        "arn:aws:s3:::data-bucket/raw/demand/*",
    ]
    function = {one["Sid"]: one for one in found["EvaluateFunctionPolicy"]["Statement"]}
    assert "WriteObjects" not in function
    group = "log-group:/aws/lambda/mlops-kit-retraining-demand-Evaluate:*"
    assert function["Log"]["Resource"] == [HERE.format("logs", group)]


def test_the_function_that_frees_claims_touches_one_table_one_topic_and_its_own_executions() -> None:
    found = dict(policies(retraining.build(SETTINGS)))
    statements = {one["Sid"]: one for one in found["ReleaseClaimFunctionPolicy"]["Statement"]}
    assert statements["FreeClaims"]["Resource"] == [HERE.format("dynamodb", "table/lock-table")]
    assert statements["FreeClaims"]["Action"] == ["dynamodb:DeleteItem", "dynamodb:Scan"]
    assert statements["Tell"]["Resource"] == [VALUES["CriticalTopic"]]
    own = HERE.format("states", "execution:mlops-kit-retraining-demand:*")
    assert statements["StopWithoutClaim"]["Resource"] == [own]
    assert set(statements) == {"FreeClaims", "Log", "StopWithoutClaim", "Tell", "Trace"}


SOME = st.sets(st.sampled_from("abc"), min_size=1).map(tuple)


@given(st.lists(st.builds(Statement, st.sampled_from(["One", "Two"]), SOME, SOME), max_size=8))
def test_merging_statements_neither_adds_nor_loses_a_permission(statements: list[Statement]) -> None:
    def pairs(many: list[Statement]) -> set[tuple[str, str]]:
        return {(action, resource) for one in many for action in one.actions for resource in one.resources}

    assert pairs(list(merged(statements))) == pairs(statements)
    assert merged(statements) == merged(reversed(statements))
    sids = [one["Sid"] for one in document(statements)["Statement"]]
    assert len(sids) == len(set(sids))


ARGUMENTS = {
    "TopicArn": "arn:aws:sns:eu-central-1:111122223333:news",
    "QueueUrl": "https://sqs.eu-central-1.amazonaws.com/111122223333/work",
    "Bucket": "data-bucket",
    "RoleArn": "arn:aws:iam::111122223333:role/jobs",
    "Entries": [{"EventBusName": "b"}],
    "DatabaseName": "d",
    "TableName": "t",
    "QueryExecutionContext": {"Database": "d"},
}


@given(st.lists(st.tuples(st.sampled_from(sorted(RULES)), st.booleans()), min_size=1, max_size=6))
def test_every_task_finds_its_own_action_in_the_policy(tasks: list[tuple[str, bool]]) -> None:
    waiting = ("Job", "JobRun", "Execution")
    states = {
        f"S{number}": task(name + (".sync" if sync and name.endswith(waiting) else ""), ARGUMENTS, None)
        for number, (name, sync) in enumerate(tasks)
    }
    found = allowed(machine(**states))
    other = {"lambda:Invoke": "lambda:InvokeFunction", "s3:ListObjectsV2": "s3:ListBucket"}
    for place in walk(machine(**states)):
        service, action = place.state["Resource"].split(":::")[1].removesuffix(".sync").split(":")
        needed = f"{service}:{action[0].upper()}{action[1:]}"
        assert other.get(needed, needed) in found


# What IAM's reference in the linter does not list, because the operations are newer than it.
NEWER = re.compile(
    r"sagemaker:(Delete(Processing|Training)Job|List(AI\w+|ClusterEvents|Job\w*|MlflowApps|PipelineVersions|Ultra\w+))"
    r"|dynamodb:SearchVectors|lambda:(Get|Put)FunctionScalingConfig|lambda:ListDurable\w+"
)
FOLDERS = {"sfn": "stepfunctions", "cloudwatchlogs": "logs", "sagemakerruntime": "sagemaker-runtime"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_sdk_action_that_is_granted_is_an_action_of_iam(service: str) -> None:
    known: dict[str, set[str]] = {}
    for entry in parliament.iam_definition:
        known.setdefault(entry["prefix"], set()).update(one["privilege"] for one in entry["privileges"])
    model = botocore.session.get_session().get_service_model(FOLDERS.get(service, service))
    granted = 0
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        members = {name[0].upper() + name[1:] for name in (shape.members if shape else ())}
        arguments = {name: ARGUMENTS.get(name, "x") for name in sorted(members) if not name.endswith("Role")}
        arguments |= {name: ARGUMENTS["RoleArn"] for name in members if name.endswith("RoleArn")}
        resource = f"aws-sdk:{service}:{operation[0].lower()}{operation[1:]}"
        try:
            found = allowed(machine(Call=task(resource, arguments, None)))
        except UsageError:
            continue
        granted += 1
        for action in found:
            prefix, _, name = action.partition(":")
            assert name in known[prefix] or NEWER.fullmatch(action), action
    assert granted


def test_a_query_may_read_the_tables_of_its_database_and_the_pipelines_own_prefixes_only() -> None:
    query = {"QueryString": "SELECT 1", "QueryExecutionContext": {"Database": "bikes"}}
    machine = {"StartAt": "Ask", "States": {"Ask": task("athena:startQueryExecution.sync", query, None)}}
    machine["States"]["Ask"].pop("Catch")
    asked = pipeline(definition=machine, reads=("raw/",), writes=("answers/",))
    statements = {one.sid: one for one in machine_statements(Settings(), asked)}
    tables = [one.rpartition("${AWS::AccountId}:")[2] for one in statements["Tables"].resources]
    assert tables == ["catalog", "database/bikes", "table/bikes/*"]
    assert [one.rpartition(":::")[2] for one in statements["WriteObjects"].resources] == [
        "${DataBucket}/answers/*"
    ]
    assert not any(
        action.startswith("s3:")
        for one in statements.values()
        for action in one.actions
        if "*" in one.resources
    )


def test_a_query_of_a_database_that_is_only_known_at_run_time_is_refused() -> None:
    query = {"QueryString": "SELECT 1", "QueryExecutionContext": {"Database": "{% $states.input.db %}"}}
    machine = {"StartAt": "Ask", "States": {"Ask": task("athena:startQueryExecution", query, None)}}
    machine["States"]["Ask"].pop("Catch")
    with pytest.raises(UsageError, match="only known at run time"):
        machine_statements(Settings(), pipeline(definition=machine))


def test_a_queue_of_the_template_is_meant_by_its_arn() -> None:
    call = {"QueueUrl": "${Work}", "MessageBody": "do it"}
    machine = {"StartAt": "Ask", "States": {"Ask": task("sqs:sendMessage", call, None)}}
    machine["States"]["Ask"].pop("Catch")
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}}
    asked = pipeline(definition=machine, resources={"Work": queue})
    statements = {one.sid: one for one in machine_statements(Settings(), asked)}
    assert statements["Queues"].resources == ("${Work.Arn}",)
