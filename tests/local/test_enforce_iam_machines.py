"""State machines held to their roles: what making one is refused for, and how a task fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import REGION, _running
from tests.local.enforcing import ACCOUNT, Enforcing, allow, denied, unique

PASS = {"StartAt": "Do", "States": {"Do": {"Type": "Pass", "End": True}}}


@pytest.fixture(scope="module")
def iam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enforcing]:
    for aws in _running(tmp_path_factory.mktemp("enforcing"), "--enforce-iam"):
        yield Enforcing(aws)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


TASKS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "dynamodb": (
        "dynamodb:putItem",
        {"TableName": "t", "Item": {"pk": {"S": "a"}}},
        "DynamoDB.AmazonDynamoDBException",
        denied("dynamodb:PutItem", arn("dynamodb", "table/t"))
        + " (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: AccessDeniedException;",
    ),
    "lambda": (
        "lambda:invoke",
        {"FunctionName": "f"},
        "Lambda.AWSLambdaException",
        denied("lambda:InvokeFunction", arn("lambda", "function:f"))
        + " (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException;",
    ),
    "sns": (
        "sns:publish",
        {"TopicArn": arn("sns", "t"), "Message": "m"},
        "SNS.AuthorizationErrorException",
        denied("SNS:Publish", arn("sns", "t")),
    ),
    "sagemaker": (
        "sagemaker:createTransformJob.sync",
        {"TransformJobName": "j", "ModelName": "m", "TransformInput": {"DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}}}, "TransformOutput": {"S3OutputPath": "s3://b/o"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1}},
        "SageMaker.AmazonSageMakerException",
        denied("sagemaker:CreateTransformJob", arn("sagemaker", "transform-job/j"))
        + " (Service: AmazonSageMaker; Status Code: 400; Error Code: AccessDeniedException;",
    ),
    "glue": (
        "glue:startJobRun.sync",
        {"JobName": "j"},
        "Glue.AccessDeniedException",
        denied("glue:StartJobRun", arn("glue", "job/j")),
    ),
    "nested": (
        "states:startExecution",
        {"StateMachineArn": arn("states", "stateMachine:m"), "Input": {}},
        "StepFunctions.AWSStepFunctionsException",
        denied("states:StartExecution", arn("states", "stateMachine:m")),
    ),
    "aws-sdk": (
        "aws-sdk:sqs:sendMessage",
        {"QueueUrl": f"http://127.0.0.1/{ACCOUNT}/q", "MessageBody": "m"},
        "Sqs.SqsException",
        denied("sqs:sendmessage", arn("sqs", "q"))
        + " (Service: Sqs, Status Code: 403, Request ID:",
    ),
}  # fmt: skip
MANAGED = allow(["events:PutRule", "events:PutTargets", "events:DescribeRule"])


@pytest.mark.parametrize("case", TASKS)
def test_a_task_that_the_role_may_not_do_fails_under_the_error_of_its_integration(
    iam: Enforcing, case: str
) -> None:
    resource, parameters, error, words = TASKS[case]
    role = iam.role(MANAGED)
    ended = iam.task(role, resource, parameters)
    user = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/"
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert ended["cause"].startswith(user) and words in ended["cause"]


def test_a_task_works_with_the_permission_alone(iam: Enforcing) -> None:
    table = iam.table()
    role = iam.role(allow("dynamodb:PutItem", arn("dynamodb", f"table/{table}")))
    item = {"TableName": table, "Item": {"pk": {"S": "a"}}}
    assert iam.task(role, "dynamodb:putItem", item)["status"] == "SUCCEEDED"


def test_a_function_by_its_arn_needs_the_permission_too(iam: Enforcing) -> None:
    name = iam.function(iam.role(), "def handler(event, context): return 7")
    function = arn("lambda", f"function:{name}")
    state = {"Type": "Task", "Resource": function, "End": True}
    role = iam.role()
    machine = iam.machine(role, {"StartAt": "Do", "States": {"Do": state}})
    assert iam.run(machine)["error"] == "Lambda.AWSLambdaException"
    iam.grant(role, allow("lambda:InvokeFunction", function))
    assert iam.run(machine)["output"] == "7"


def test_a_waited_for_execution_must_be_looked_at_as_the_role(iam: Enforcing) -> None:
    child = iam.machine(iam.role(), PASS)
    start = allow("states:StartExecution", child)
    role = iam.role(MANAGED, start)
    parameters = {"StateMachineArn": child, "Input": {}}
    ended = iam.task(role, "states:startExecution.sync:2", parameters)
    assert "states:DescribeExecution" in ended["cause"]
    executions = child.replace(":stateMachine:", ":execution:") + ":*"
    iam.grant(role, MANAGED, start, allow("states:DescribeExecution", executions))
    assert iam.task(role, "states:startExecution.sync:2", parameters)["status"] == "SUCCEEDED"


def test_a_role_that_cannot_make_the_managed_rule_is_refused(iam: Enforcing) -> None:
    role = iam.role(allow("states:*"))
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync", "End": True,
            "Parameters": {"StateMachineArn": arn("states", "stateMachine:m")}}  # fmt: skip
    inside = {"StartAt": "Each", "States": {"Each": {"Type": "Map", "End": True, "ItemProcessor": {
        "StartAt": "Do", "States": {"Do": task}}}}}  # fmt: skip
    words = f"'{role}' is not authorized to create managed-rule."
    with pytest.raises(ClientError, match="AccessDeniedException") as refused:
        iam.machine(role, inside)
    assert refused.value.response["Error"]["Message"] == words
    machine = iam.machine(role, PASS)
    with pytest.raises(ClientError) as refused:
        iam.aws.client("stepfunctions").update_state_machine(
            stateMachineArn=machine, definition=json.dumps(inside)
        )
    assert refused.value.response["Error"]["Message"] == words
    rule = arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule")
    iam.grant(role, {**MANAGED, "Resource": rule})
    assert iam.machine(role, inside)


def test_a_role_that_step_functions_may_not_assume_or_that_cannot_log_is_refused(iam: Enforcing) -> None:
    with pytest.raises(ClientError, match="nor the regional one is authorized to assume the provided role"):
        iam.machine(iam.role(allow("*"), trusts=["lambda"]), PASS)
    group = unique("/aws/vendedlogs/states/x")
    iam.aws.client("logs").create_log_group(logGroupName=group)
    place = {"cloudWatchLogsLogGroup": {"logGroupArn": arn("logs", f"log-group:{group}:*")}}
    logging = {"loggingConfiguration": {"level": "ALL", "destinations": [place]}}
    with pytest.raises(ClientError, match="The state machine IAM Role is not authorized to access the Log"):
        iam.machine(iam.role(), PASS, **logging)
    role = iam.role(
        allow(["logs:*LogDelivery", "logs:ListLogDeliveries", "logs:*ResourcePolic*", "logs:Describe*"])
    )
    assert iam.machine(role, PASS, **logging)


def test_a_task_works_as_the_role_in_its_credentials_if_it_may_assume_it(iam: Enforcing) -> None:
    table = iam.table()
    writer = iam.role(allow("dynamodb:PutItem", arn("dynamodb", f"table/{table}")))
    role = iam.role()
    item = {"TableName": table, "Item": {"pk": {"S": "a"}}}

    def ended() -> dict[str, Any]:
        return iam.task(role, "dynamodb:putItem", item, Credentials={"RoleArn": writer})

    words = f"The role {role} is not authorized to assume the task state's role, {writer}."
    assert (ended()["error"], ended()["cause"]) == ("States.TaskFailed", words)
    iam.grant(role, allow("sts:AssumeRole", writer))
    assert ended()["status"] == "SUCCEEDED"


def test_a_distributed_map_reads_starts_and_writes_as_the_role(iam: Enforcing) -> None:
    bucket = iam.bucket(**{"in.json": "[1, 2]"})
    child = {"StartAt": "Do", "States": {"Do": {"Type": "Pass", "End": True}},
             "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}  # fmt: skip
    reader = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": bucket, "Key": "in.json"},
              "ReaderConfig": {"InputType": "JSON"}}  # fmt: skip
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": bucket, "Prefix": "out"},
    }
    each = {
        "Type": "Map",
        "ItemProcessor": child,
        "ItemReader": reader,
        "ResultWriter": writer,
        "End": True,
    }
    role = iam.role()
    machine = iam.machine(role, {"StartAt": "Each", "States": {"Each": each}})
    objects = f"arn:aws:s3:::{bucket}/*"
    read, start = allow("s3:GetObject", objects), allow("states:StartExecution", machine)
    for granted, action in (
        ([start], "s3:GetObject"),
        ([read], "states:StartExecution"),
        ([read, start], "s3:PutObject"),
        ([read, start, allow("s3:PutObject", objects)], None),
    ):
        iam.grant(role, *granted)
        ended = iam.run(machine)
        assert ended["status"] == ("FAILED" if action else "SUCCEEDED")
        assert action is None or f"is not authorized to perform: {action}" in ended["cause"]


def test_a_token_is_answered_by_whom_the_machine_lets(iam: Enforcing) -> None:
    queue = iam.aws.client("sqs").create_queue(QueueName=unique("queue"))["QueueUrl"]
    name = queue.rpartition("/")[2]
    role = iam.role(allow("sqs:SendMessage", arn("sqs", name)))
    task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True,
            "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Task.Token"}}  # fmt: skip
    machine = iam.machine(role, {"StartAt": "Ask", "States": {"Ask": task}})
    states = iam.aws.client("stepfunctions")
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]
    sent = iam.aws.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    answerer = iam.role()
    answer = {"taskToken": sent[0]["Body"], "output": "7"}
    with pytest.raises(ClientError) as refused:
        iam.assumed(answerer)("stepfunctions").send_task_success(**answer)
    assert denied("states:SendTaskSuccess", machine) in refused.value.response["Error"]["Message"]
    iam.grant(answerer, allow("states:SendTaskSuccess", machine))
    iam.assumed(answerer)("stepfunctions").send_task_success(**answer)
    shown = iam.until(
        lambda: states.describe_execution(executionArn=execution), lambda one: one["status"] != "RUNNING"
    )
    assert shown["output"] == "7"


def test_a_rule_starts_a_machine_only_as_a_role_that_may(iam: Enforcing) -> None:
    machine, events = iam.machine(iam.role(), PASS), iam.aws.client("events")
    role, stranger = iam.role(trusts=["events"]), iam.role(allow("*"), trusts=["states"])
    rule = unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": [rule]}))

    def ran() -> int:
        listed = iam.aws.client("stepfunctions").list_executions(stateMachineArn=machine)
        return len(listed["executions"])

    for target_role, granted in (
        (stranger, []),
        (role, []),
        (role, [allow("states:StartExecution", machine)]),
    ):
        if granted:
            iam.grant(target_role, *granted)
        events.put_targets(Rule=rule, Targets=[{"Id": "it", "Arn": machine, "RoleArn": target_role}])
        events.put_events(Entries=[{"Source": rule, "DetailType": "x", "Detail": "{}"}])
    assert iam.until(ran) == 1
    namespace = {"Namespace": "AWS/Events", "MetricName": "FailedInvocations"}
    shown = iam.until(
        lambda: iam.aws.client("cloudwatch").list_metrics(
            **namespace, Dimensions=[{"Name": "RuleName", "Value": rule}]
        )["Metrics"]
    )
    assert shown
