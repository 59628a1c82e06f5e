"""Each kind of target, from the template to what it did, with every role held to its policy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.local import control
from tests.conftest import EmbeddedAws
from tests.deploy.small import pipeline

pytestmark = pytest.mark.slow

YEARLY = "cron(0 0 1 1 ? *)"  # so that only what is fired by hand fires
TELLING = """import json


def main(event, context):
    print(json.dumps(event))
    return {"statusCode": 200}
"""
WORK = "import sys\nopen(sys.argv[1] + '/said.txt', 'w').write('done')\n"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BASE = "/opt/ml/processing"
JOB = {
    "ProcessingJobName": "all-work-<aws.scheduler.execution-id>",
    "RoleArn": "${SageMakerRole}",
    "AppSpecification": {
        "ImageUri": IMAGE,
        "ContainerEntrypoint": ["python3", f"{BASE}/input/code/work.py"],
        "ContainerArguments": [f"{BASE}/output"],
    },
    "ProcessingResources": {
        "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
    },
    "ProcessingInputs": [
        {
            "InputName": "code",
            "S3Input": {
                "S3Uri": "s3://${DataBucket}/scripts/",
                "LocalPath": f"{BASE}/input/code",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {
                "OutputName": "out",
                "S3Output": {
                    "S3Uri": "s3://${DataBucket}/out/",
                    "LocalPath": f"{BASE}/output",
                    "S3UploadMode": "EndOfJob",
                },
            }
        ]
    },
}


def api() -> dict[str, Any]:
    """An API with one resource, POST /scores, that calls the function; and the rule that calls the API."""
    calls = (
        "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${JudgeFunction.Arn}/invocations"
    )
    post = {
        "RestApiId": {"Ref": "Api"},
        "ResourceId": {"Ref": "Scores"},
        "HttpMethod": "POST",
        "AuthorizationType": "NONE",
        "Integration": {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": {"Fn::Sub": calls}},
    }
    arn = {"Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/POST/scores"}
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arn}
    role = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [
            {"PolicyName": "Api", "PolicyDocument": {"Version": "2012-10-17", "Statement": [allow]}}
        ],
    }
    rule = {
        "EventBusName": {"Ref": "EventBus"},
        "EventPattern": {"source": ["all"], "detail-type": ["Refresh"]},
        "Targets": [{"Id": "api", "Arn": arn, "RoleArn": {"Fn::GetAtt": ["ApiRole", "Arn"]}}],
    }
    root = {"Fn::GetAtt": ["Api", "RootResourceId"]}
    permission = {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Fn::GetAtt": ["JudgeFunction", "Arn"]},
        "Principal": "apigateway.amazonaws.com",
    }
    of_api = {"RestApiId": {"Ref": "Api"}}
    scores = {**of_api, "ParentId": root, "PathPart": "scores"}
    return {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "all"}},
        "Scores": {"Type": "AWS::ApiGateway::Resource", "Properties": scores},
        "Post": {"Type": "AWS::ApiGateway::Method", "Properties": post},
        "Live": {"Type": "AWS::ApiGateway::Deployment", "DependsOn": "Post", "Properties": of_api},
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": {**of_api, "DeploymentId": {"Ref": "Live"}, "StageName": "live"},
        },
        "ApiPermission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
        "ApiRole": {"Type": "AWS::IAM::Role", "Properties": role},
        "ApiRule": {"Type": "AWS::Events::Rule", "Properties": rule},
    }


def schedule(name: str, target: kit.Target | None = None, **given: Any) -> kit.Schedule:
    return kit.Schedule(YEARLY, name=name, target=target, input=given, retry=kit.Retry(0, 60))


REFRESH = {"EventBridgeParameters": {"DetailType": "Refresh", "Source": "all"}}
SCHEDULES = (
    schedule("machine"),
    schedule("function", kit.Target("${JudgeFunction}"), said="to the function"),
    schedule("queue", kit.Target("${Work}"), said="to the queue"),
    schedule("topic", kit.Target("${RoutineTopic}"), said="to the topic"),
    schedule(
        "action",
        kit.Target("arn:aws:scheduler:::aws-sdk:sns:publish"),
        TopicArn="${RoutineTopic}",
        Message="by an action",
    ),
    schedule("job", kit.Target("arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob"), **JOB),
    schedule("api", kit.Target("${EventBus}", REFRESH), said="to the api"),
    schedule("gone", kit.Target("arn:aws:lambda:us-east-1:000000000000:function:gone")),
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A project with a schedule a kind of target, on an embedded AWS that holds roles to their policies."""
    folder = tmp_path_factory.mktemp("all")
    server = EmbeddedAws(folder / "state", ("--enforce-iam",))
    server.start()
    made = kit.session(endpoint_url=server.url, region="us-east-1", project="all", state_dir=server.state_dir)
    bucket = kit.bootstrap(made, on_progress=lambda _: None).outputs["DataBucket"]
    made.client("s3").put_object(Bucket=bucket, Key="scripts/work.py", Body=WORK.encode())
    small = replace(
        pipeline(folder / "fn", code=TELLING),
        name="targets",
        input_schema={"type": "object"},
        schedules=SCHEDULES,
        resources={"Work": {"Type": "AWS::SQS::Queue", "Properties": {}}, **api()},
        reads=("scripts/",),
        writes=("out/",),
    )
    kit.apply(made, small, on_progress=lambda _: None)
    yield made
    server.stop()


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + 90
    while not (value := found()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)
    return value


def said(session: Any) -> str:
    """What the function was called with."""
    events = session.client("logs").filter_log_events(logGroupName="/aws/lambda/all-targets-Judge")
    return "\n".join(event["message"] for event in events["events"])


def test_a_state_machine_and_a_function_are_started(session: Any) -> None:
    kit.fire(session, "machine")
    kit.fire(session, "function")
    until(lambda: '"said": "to the function"' in said(session))
    (run,) = until(lambda: kit.history(session, "targets").query("status == 'SUCCEEDED'").to_dict("records"))
    assert run["trigger"] == "schedule, by hand machine"


def test_queues_and_topics_get_the_input(session: Any) -> None:
    sqs, outputs = session.client("sqs"), kit.bootstrap(session, on_progress=lambda _: None).outputs
    (work,) = (url for url in sqs.list_queues()["QueueUrls"] if "Work" in url)
    heard = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:000000000000:heard"
    raw = {"RawMessageDelivery": "true"}
    session.client("sns").subscribe(
        TopicArn=outputs["RoutineTopic"], Protocol="sqs", Endpoint=arn, Attributes=raw
    )
    for name in ("queue", "topic", "action"):
        kit.fire(session, name)
    bodies: set[str] = set()

    def received() -> bool:
        for url in (work, heard):
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
                bodies.add(message["Body"])
        return len(bodies) == 3

    until(received)
    assert bodies == {'{"said": "to the queue"}', '{"said": "to the topic"}', "by an action"}


def test_a_processing_job_is_made_and_runs(session: Any) -> None:
    s3, bucket = (
        session.client("s3"),
        kit.bootstrap(session, on_progress=lambda _: None).outputs["DataBucket"],
    )
    kit.fire(session, "job")
    until(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="out/said.txt").get("KeyCount"))
    assert s3.get_object(Bucket=bucket, Key="out/said.txt")["Body"].read() == b"done"


def test_an_api_is_called_through_the_bus_and_a_rule(session: Any) -> None:
    kit.fire(session, "api")
    told = until(lambda: [line for line in said(session).splitlines() if "/scores" in line])
    assert json.loads(json.loads(told[0])["body"])["detail"] == {"said": "to the api"}


def test_what_cannot_be_delivered_is_kept_and_the_alarm_goes(session: Any) -> None:
    kit.fire(session, "gone")
    queue = session.client("sqs").get_queue_url(QueueName="all-targets-schedules-dlq")["QueueUrl"]
    depth = "ApproximateNumberOfMessages"

    def kept() -> int:
        found = session.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=[depth])
        return int(found["Attributes"][depth])

    until(kept)
    assert kept() == 1, "and nothing else failed"
    list(control.advance(session.settings.state_dir, 600.0))
    alarms = session.client("cloudwatch").describe_alarms(AlarmNamePrefix="all-targets-ScheduleDeadLetters")
    assert [one["StateValue"] for one in alarms["MetricAlarms"]] == ["ALARM"]
