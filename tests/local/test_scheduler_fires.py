"""Schedules fire on the embedded clock, on every kind of target, at the times that were announced."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_kit.cron import occurrences
from mlops_kit.local import control
from tests.conftest import EmbeddedAws, _running
from tests.local.schedules import Queue, Schedules, attributes, eventually

ACCOUNT = "000000000000"
BERLIN = "Europe/Berlin"
LAMBDA_ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"


class Moved(Schedules):
    """A schedule group on a server whose clock is moved."""

    def now(self) -> datetime:
        told = control.status(self.aws.state_dir).now
        assert told is not None
        return datetime.fromisoformat(told)

    def soon(self, minutes: float = 10) -> datetime:
        """A whole minute in a while."""
        return (self.now() + timedelta(minutes=minutes)).replace(second=0, microsecond=0)

    def once(self, minutes: float = 10, **fields: Any) -> datetime:
        """Make a schedule that fires once; when."""
        at = self.soon(minutes)
        self.create(f"at({at:%Y-%m-%dT%H:%M:%S})", **fields)
        return at

    def advance(self, **by: float) -> list[dict[str, Any]]:
        """Move the clock; what has fired of this group."""
        fired: list[dict[str, Any]] = []
        for line in control.advance(self.aws.state_dir, timedelta(**by).total_seconds()):
            fired += [one for one in line.get("fired", ()) if one["schedule"].startswith(self.group)]
            assert line.get("done", True)
        return fired


@pytest.fixture(scope="module")
def moving_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    yield from _running(tmp_path_factory.mktemp("moving"), "--at", "2026-03-27T11:58:30Z")


@pytest.fixture
def schedules(moving_aws: EmbeddedAws) -> Iterator[Moved]:
    made = Moved(moving_aws)
    yield made
    made.remove()


@pytest.fixture
def queue(schedules: Moved) -> Queue:
    return schedules.queue()


def test_eight_days_fire_exactly_what_was_announced(schedules: Moved) -> None:
    queue = schedules.queue(MessageRetentionPeriod="1209600")
    expressions = {
        "gap": ("cron(30 2 * * ? *)", BERLIN),  # no such time on 29 March
        "daily": ("cron(0 9 * * ? *)", BERLIN),
        "weekly": ("cron(0 3 ? * MON *)", "Asia/Tokyo"),
        "rate": ("rate(12 hours)", "UTC"),
    }
    begin, announced = schedules.now(), []
    start = (begin + timedelta(hours=5)).replace(microsecond=0)
    for name, (expression, zone) in expressions.items():
        dates = {"StartDate": start} if name == "rate" else {}
        schedules.create(
            expression, name=name, ScheduleExpressionTimezone=zone, Target={"Arn": queue.arn}, **dates
        )
        moments = occurrences(expression, zone, begin, start=dates.get("StartDate"))
        for moment in takewhile(lambda one: one <= begin + timedelta(days=8), moments):
            announced.append((moment.timestamp(), f"{schedules.group}/{name}"))
    fired = schedules.advance(days=8)
    assert [(one["at"], one["schedule"]) for one in fired] == sorted(announced)
    assert {one["result"] for one in fired} == {"delivered"}
    assert len(queue.messages()) == len(announced) and "gap" in str(announced)


def test_a_rate_fires_at_once_and_an_update_goes_on_counting(schedules: Moved, queue: Queue) -> None:
    schedules.create("rate(1 hour)", name="s", Target={"Arn": queue.arn})
    first = json.loads(queue.wait()[0]["Body"])
    assert first["detail-type"] == "Scheduled Event" and first["source"] == "aws.scheduler"
    schedules.update("rate(1 hour)", name="s", Target={"Arn": queue.arn, "Input": "again"})
    fired = schedules.advance(minutes=61)
    begun = datetime.fromisoformat(first["time"]).timestamp()
    after = [one["at"] - begun for one in fired]
    assert [one for one in after if one > 1] == pytest.approx([3600], abs=1)  # the first may be told only now


def test_a_disabled_schedule_rests_and_goes_on_from_now(schedules: Moved, queue: Queue) -> None:
    target = {"Arn": queue.arn}
    schedules.create("cron(0 * * * ? *)", name="s", State="DISABLED", Target=target)
    assert schedules.advance(hours=3) == []
    schedules.update("cron(0 * * * ? *)", name="s", Target=target)
    assert len(schedules.advance(hours=1)) == 1


def test_a_schedule_fires_from_its_start_to_its_end_and_goes_when_it_has_completed(schedules: Moved) -> None:
    start, end = schedules.soon(60), schedules.soon(60 + 3 * 60)
    target = {"Arn": schedules.queue().arn}
    schedules.create(
        "rate(1 hour)", name="s", StartDate=start, EndDate=end, ActionAfterCompletion="DELETE", Target=target
    )
    schedules.create("rate(1 hour)", name="kept", StartDate=start, EndDate=end, Target=target)
    fired = schedules.advance(hours=6)
    hours = [start.timestamp() + 3600 * number for number in range(4)]
    assert [one["at"] for one in fired if one["schedule"].endswith("/s")] == hours
    assert schedules.names() == ["kept"]


def test_a_schedule_that_was_deleted_while_its_window_is_open_does_not_fire(
    schedules: Moved, queue: Queue
) -> None:
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}
    schedules.once(name="s", FlexibleTimeWindow=window, Target={"Arn": queue.arn})
    schedules.advance(minutes=11)
    schedules.client.delete_schedule(Name="s", GroupName=schedules.group)
    assert schedules.advance(days=1) == [] and queue.messages() == []


def test_a_flexible_window_fires_anywhere_in_it_under_the_scheduled_time(
    schedules: Moved, queue: Queue
) -> None:
    text = "<aws.scheduler.scheduled-time>"
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 60}
    at = schedules.soon(10)
    for _ in range(6):
        schedules.create(
            f"at({at:%Y-%m-%dT%H:%M:%S})", FlexibleTimeWindow=window, Target={"Arn": queue.arn, "Input": text}
        )
    schedules.advance(minutes=75)
    found = queue.wait(6)
    assert {message["Body"] for message in found} == {f"{at:%Y-%m-%dT%H:%M:%SZ}"}
    sent = [int(message["Attributes"]["SentTimestamp"]) / 1000 - at.timestamp() for message in found]
    assert all(0 <= seconds <= 3601 for seconds in sent) and max(sent) - min(sent) > 60


def test_context_attributes_are_filled_in(schedules: Moved, queue: Queue) -> None:
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number", "unknown")
    text = json.dumps({name: f"<aws.scheduler.{name}>" for name in names})
    at = schedules.once(name="s", Target={"Arn": queue.arn, "Input": text})
    schedules.advance(minutes=11)
    told = json.loads(queue.messages()[0]["Body"])
    assert told["schedule-arn"] == f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/{schedules.group}/s"
    assert told["scheduled-time"] == f"{at:%Y-%m-%dT%H:%M:%SZ}" and told["attempt-number"] == "1"
    assert len(told["execution-id"]) == 16 and told["unknown"] == "<aws.scheduler.unknown>"


# Targets


def test_a_state_machine_is_started_with_the_input(schedules: Moved) -> None:
    client = schedules.aws.client("stepfunctions")
    definition = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 7200, "End": True}}}
    made = client.create_state_machine(
        name=schedules.group, definition=json.dumps(definition), roleArn=LAMBDA_ROLE
    )["stateMachineArn"]
    given = '{"as_of": "<aws.scheduler.scheduled-time>"}'
    at = schedules.once(Target={"Arn": made, "Input": given})
    schedules.advance(minutes=30)
    (run,) = client.list_executions(stateMachineArn=made)["executions"]
    told = client.describe_execution(executionArn=run["executionArn"])
    assert json.loads(told["input"]) == {"as_of": f"{at:%Y-%m-%dT%H:%M:%SZ}"} and told["status"] == "RUNNING"
    schedules.advance(hours=2)
    told = client.describe_execution(executionArn=run["executionArn"])
    assert told["status"] == "SUCCEEDED"
    assert (told["stopDate"] - told["startDate"]).total_seconds() == pytest.approx(7200, abs=60)


def test_the_clock_waits_for_a_task_whose_change_is_being_saved(schedules: Moved, queue: Queue) -> None:
    """The disk is a pipe that nobody reads, until the clock has been seen to wait."""
    client = schedules.aws.client("stepfunctions")
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": queue.url, "MessageBody": "sent"},
        "TimeoutSeconds": 30,
        "End": True,
    }
    wait = {"Type": "Wait", "Seconds": 60, "Next": "Send"}  # so that what fired it has come to rest
    made = client.create_state_machine(
        name=schedules.group,
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait, "Send": send}}),
        roleArn=LAMBDA_ROLE,
    )["stateMachineArn"]
    at = schedules.once(Target={"Arn": made}) + timedelta(seconds=60)
    saved = schedules.aws.state_dir / "ministack" / "sqs.json"
    assert eventually(lambda: saved.exists() and queue.name in saved.read_text())
    disk = saved.with_name("sqs.json.new")
    os.mkfifo(disk)
    for line in control.advance(schedules.aws.state_dir, to=at + timedelta(minutes=5)):
        if line["now"] >= at.timestamp() and disk.exists():
            os.close(os.open(disk, os.O_RDONLY | os.O_NONBLOCK))  # whoever writes is refused, and tries again
            disk.unlink()
    (run,) = client.list_executions(stateMachineArn=made)["executions"]
    assert run["status"] == "SUCCEEDED", run


def test_a_function_is_called(schedules: Moved, queue: Queue) -> None:
    code = f"""
import boto3, json, os
def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl={queue.url!r}, MessageBody=json.dumps(event))
"""
    arn = function(schedules.aws, schedules.group, code)
    schedules.once(Target={"Arn": arn, "Input": '{"a": 1}'})
    schedules.advance(minutes=11)
    assert [json.loads(message["Body"]) for message in queue.wait()] == [{"a": 1}]


def function(aws: EmbeddedAws, name: str, code: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", code)
    made = aws.client("lambda").create_function(
        FunctionName=name,
        Role=LAMBDA_ROLE,
        Handler="app.handler",
        Runtime="python3.12",
        Timeout=20,
        Code={"ZipFile": buffer.getvalue()},
    )
    return str(made["FunctionArn"])


def test_a_topic_a_bus_and_a_universal_target_reach_the_queue(schedules: Moved, queue: Queue) -> None:
    aws, name = schedules.aws, schedules.group
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    aws.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": "true"}
    )
    bus = aws.client("events").create_event_bus(Name=name)["EventBusArn"]
    aws.client("events").put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["my.app"]}')
    aws.client("events").put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": queue.arn}])
    schedules.once(Target={"Arn": topic, "Input": "by topic"})
    parameters = {"Source": "my.app", "DetailType": "Tick"}
    schedules.once(Target={"Arn": bus, "Input": '{"n": 1}', "EventBridgeParameters": parameters})
    call = json.dumps({"QueueUrl": queue.url, "MessageBody": "universal <aws.scheduler.attempt-number>"})
    schedules.once(Target={"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "Input": call})
    fired = schedules.advance(minutes=11)
    assert [one["result"] for one in fired] == ["delivered"] * 3
    bodies = sorted(message["Body"] for message in queue.wait(3))
    assert bodies[0] == "by topic" and bodies[1] == "universal 1"
    event = json.loads(bodies[2])
    assert event["detail"] == {"n": 1} and event["detail-type"] == "Tick"


def test_a_stream_gets_a_record(schedules: Moved) -> None:
    kinesis = schedules.aws.client("kinesis")
    kinesis.create_stream(StreamName=schedules.group, ShardCount=1)
    arn = kinesis.describe_stream(StreamName=schedules.group)["StreamDescription"]["StreamARN"]
    schedules.once(Target={"Arn": arn, "Input": "tick", "KinesisParameters": {"PartitionKey": "p"}})
    assert [one["result"] for one in schedules.advance(minutes=11)] == ["delivered"]
    shard = kinesis.list_shards(StreamName=schedules.group)["Shards"][0]["ShardId"]
    place = kinesis.get_shard_iterator(
        StreamName=schedules.group, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    (record,) = kinesis.get_records(ShardIterator=place)["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"tick", "p")


def test_a_pipeline_execution_is_recorded_and_never_shown_as_succeeded(schedules: Moved) -> None:
    sagemaker, name = schedules.aws.client("sagemaker"), schedules.group
    arn = sagemaker.create_pipeline(
        PipelineName=name, PipelineDefinition="{}", RoleArn=LAMBDA_ROLE, ClientRequestToken="t" * 32
    )["PipelineArn"]
    wanted = [{"Name": "Window", "Value": "day"}]
    schedules.once(Target={"Arn": arn, "SageMakerPipelineParameters": {"PipelineParameterList": wanted}})
    assert [one["result"] for one in schedules.advance(minutes=11)] == ["delivered"]
    (run,) = sagemaker.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]
    assert run["PipelineExecutionStatus"] == "Failed"
    told = sagemaker.describe_pipeline_execution(PipelineExecutionArn=run["PipelineExecutionArn"])
    assert told["FailureReason"] == "not run: the embedded AWS runs no SageMaker pipelines"
    listed = sagemaker.list_pipeline_parameters_for_execution(
        PipelineExecutionArn=run["PipelineExecutionArn"]
    )
    assert listed["PipelineParameters"] == wanted
    assert sagemaker.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"][0]["LastExecutionTime"]
    sagemaker.delete_pipeline(PipelineName=name, ClientRequestToken="t" * 32)
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.describe_pipeline(PipelineName=name)


def test_a_task_is_recorded_and_not_run(schedules: Moved) -> None:
    ecs, name = schedules.aws.client("ecs"), schedules.group
    cluster = ecs.create_cluster(clusterName=name)["cluster"]["clusterArn"]
    image = {"name": "main", "image": "busybox", "memory": 64}
    definition = ecs.register_task_definition(family=name, containerDefinitions=[image])
    arn = definition["taskDefinition"]["taskDefinitionArn"]
    overrides = json.dumps({"containerOverrides": [{"name": "main", "command": ["a"]}]})
    parameters = {"TaskDefinitionArn": arn, "TaskCount": 2, "Tags": [{"a": "1"}]}
    schedules.once(Target={"Arn": cluster, "EcsParameters": parameters, "Input": overrides})
    assert [one["result"] for one in schedules.advance(minutes=11)] == ["delivered"]
    tasks = ecs.list_tasks(cluster=name, desiredStatus="STOPPED")["taskArns"]
    told = ecs.describe_tasks(cluster=name, tasks=tasks)["tasks"]
    assert [task["lastStatus"] for task in told] == ["STOPPED", "STOPPED"]
    assert "was not run" in told[0]["stoppedReason"]
    assert told[0]["overrides"]["containerOverrides"][0]["command"] == ["a"]


def test_a_processing_job_runs_for_real(schedules: Moved) -> None:
    aws, name = schedules.aws, schedules.group
    aws.client("s3").create_bucket(Bucket=name)
    script = "import sys\nopen(sys.argv[1] + '/said.txt', 'w').write('done')\n"
    aws.client("s3").put_object(Bucket=name, Key="code/work.py", Body=script.encode())
    job = {
        "ProcessingJobName": "job-<aws.scheduler.execution-id>",
        "RoleArn": LAMBDA_ROLE,
        "AppSpecification": {
            "ImageUri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/work.py"],
            "ContainerArguments": ["/opt/ml/processing/output"],
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
        "ProcessingInputs": [
            {
                "InputName": "code",
                "S3Input": {
                    "S3Uri": f"s3://{name}/code",
                    "LocalPath": "/opt/ml/processing/input/code",
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
                        "S3Uri": f"s3://{name}/out",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
    }
    universal = "arn:aws:scheduler:::aws-sdk:sagemaker:createProcessingJob"
    schedules.once(Target={"Arn": universal, "Input": json.dumps(job)})
    assert [one["result"] for one in schedules.advance(hours=1)] == ["delivered"]
    # the clock has waited for the job
    assert aws.client("s3").get_object(Bucket=name, Key="out/said.txt")["Body"].read() == b"done"


# Restarts


def test_nothing_fires_twice_after_a_restart(fresh_aws: EmbeddedAws) -> None:
    schedules = Moved(fresh_aws)
    queue, later = schedules.queue(), schedules.queue()
    schedules.once(name="once", Target={"Arn": queue.arn})
    schedules.create("cron(0 0/1 * * ? *)", name="hourly", Target={"Arn": queue.arn})
    fired = schedules.advance(hours=2)
    window = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 1440}
    schedules.once(name="later", FlexibleTimeWindow=window, Target={"Arn": later.arn})
    fired += schedules.advance(minutes=11)  # the full hour may lie in it
    for end in (fresh_aws.kill, fresh_aws.stop):
        end()
        fresh_aws.start()
    assert len(fired) >= 3 and len(queue.messages()) == len(fired)
    time.sleep(0.3)
    assert queue.messages() == later.messages() == []
    schedules.advance(days=1)
    assert len(later.messages()) == 1  # its window was open all the time


def test_what_fell_due_while_no_server_ran_is_delivered_while_it_is_not_too_old(
    fresh_aws: EmbeddedAws,
) -> None:
    schedules = Moved(fresh_aws)
    queue = schedules.queue()
    for name, age in (("patient", 86_400), ("hasty", 60)):
        target = {"Arn": queue.arn, "Input": f"{name} <aws.scheduler.scheduled-time>"}
        target |= {"RetryPolicy": {"MaximumEventAgeInSeconds": age}}
        schedules.create("cron(0/30 * * * ? *)", name=name, Target=target)
    before = schedules.now()
    fresh_aws.stop()
    back = before + timedelta(hours=2, minutes=10 - before.minute % 30)
    fresh_aws.arguments = ("--at", back.isoformat())
    fresh_aws.start()
    bodies = [message["Body"] for message in queue.wait(4)]
    moments = occurrences("cron(0/30 * * * ? *)", "UTC", before)
    missed = [f"patient {one:%Y-%m-%dT%H:%M:%SZ}" for one in takewhile(lambda one: one <= back, moments)]
    assert sorted(bodies) == missed


def test_one_bad_schedule_never_stops_the_others(schedules: Moved, queue: Queue) -> None:
    gone = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:gone"
    for name in ("a", "b"):
        schedules.create("cron(0/5 * * * ? *)", name=f"bad-{name}", Target={"Arn": gone})
        schedules.create("cron(0/5 * * * ? *)", name=f"good-{name}", Target={"Arn": queue.arn, "Input": name})
    fired = schedules.advance(minutes=10)
    assert len(fired) == 8
    assert sorted(message["Body"] for message in queue.wait(4)) == ["a", "a", "b", "b"]


# Failures


def failing(schedules: Moved, target: dict[str, Any], **retry: int) -> tuple[Queue, datetime]:
    letters = schedules.queue()
    more = {"DeadLetterConfig": {"Arn": letters.arn}, "RetryPolicy": retry}
    at = schedules.once(name="s", Target={**target, **more})
    return letters, at


def test_a_missing_target_is_a_dead_letter_at_once(schedules: Moved) -> None:
    gone = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:gone"
    letters, at = failing(schedules, {"Arn": gone, "Input": '{"a": 1}'})
    (fired,) = schedules.advance(minutes=11)
    assert fired["result"].startswith("dead letter: ResourceNotFoundException")
    (letter,) = letters.wait()
    told = attributes(letter)
    assert letter["Body"] == '{"a": 1}' and "EXHAUSTED_RETRY_CONDITION" not in told
    assert told["ERROR_CODE"] == "ResourceNotFoundException" and "gone" in told["ERROR_MESSAGE"]
    assert told["RETRY_ATTEMPTS"] == "0" and told["IS_PAYLOAD_TRUNCATED"] == "false"
    assert told["SCHEDULED_TIME"] == f"{at:%Y-%m-%dT%H:%M:%SZ}" and told["TARGET_ARN"] == gone
    assert told["SCHEDULE_ARN"].endswith(f"schedule/{schedules.group}/s") and len(told["EXECUTION_ID"]) == 16


def throttled(schedules: Moved) -> dict[str, Any]:
    """A target that is throttled: a function without concurrency, called by the universal target."""
    arn = function(schedules.aws, f"f-{uuid.uuid4().hex[:8]}", "def handler(event, context):\n    return 1\n")
    schedules.aws.client("lambda").put_function_concurrency(FunctionName=arn, ReservedConcurrentExecutions=0)
    return {"Arn": "arn:aws:scheduler:::aws-sdk:lambda:invoke", "Input": json.dumps({"FunctionName": arn})}


def test_a_throttled_target_is_tried_again_until_it_takes_it(schedules: Moved) -> None:
    target = throttled(schedules)
    letters, _ = failing(schedules, target, MaximumRetryAttempts=9)
    assert schedules.advance(minutes=11) == []  # tried, and to be tried again
    arn = json.loads(target["Input"])["FunctionName"]
    schedules.aws.client("lambda").delete_function_concurrency(FunctionName=arn)
    (fired,) = schedules.advance(minutes=30)
    assert fired["result"] == "delivered" and letters.messages() == []


def test_a_target_that_stays_throttled_is_a_dead_letter_after_the_last_attempt(schedules: Moved) -> None:
    letters, _ = failing(schedules, throttled(schedules), MaximumRetryAttempts=3)
    (fired,) = schedules.advance(hours=1)
    assert "TooManyRequestsException" in fired["result"]
    told = attributes(letters.wait()[0])
    assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts" and told["RETRY_ATTEMPTS"] == "3"
    counts = {
        name: metric(schedules, name) for name in ("InvocationAttemptCount", "TargetErrorThrottledCount")
    }
    assert counts == {"InvocationAttemptCount": 4, "TargetErrorThrottledCount": 4}
    assert metric(schedules, "InvocationDroppedCount") == 1
    assert metric(schedules, "InvocationsSentToDeadLetterCount") == 1


def metric(schedules: Moved, name: str) -> float:
    def found() -> list[dict[str, Any]]:
        return list(
            schedules.aws.client("cloudwatch").get_metric_statistics(
                Namespace="AWS/Scheduler",
                MetricName=name,
                Dimensions=[{"Name": "ScheduleGroup", "Value": schedules.group}],
                StartTime=schedules.now() - timedelta(hours=3),
                EndTime=schedules.now() + timedelta(hours=1),
                Period=86_400,
                Statistics=["Sum"],
            )["Datapoints"]
        )

    return sum(point["Sum"] for point in eventually(found))


def test_an_invocation_that_grows_too_old_is_a_dead_letter(schedules: Moved) -> None:
    letters, at = failing(schedules, throttled(schedules), MaximumEventAgeInSeconds=120)
    schedules.advance(minutes=11)
    assert letters.messages() == []
    schedules.advance(seconds=max(0.0, (at + timedelta(seconds=121) - schedules.now()).total_seconds()))
    told = attributes(letters.wait()[0])
    assert told["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"


def test_a_payload_that_is_too_big_is_a_dead_letter_that_is_cut(schedules: Moved, queue: Queue) -> None:
    letters, _ = failing(schedules, {"Arn": queue.arn, "Input": "x" * 262_145})
    (fired,) = schedules.advance(minutes=11)
    assert fired["result"].startswith("dead letter: ValidationException")
    (letter,) = letters.wait()
    assert attributes(letter)["IS_PAYLOAD_TRUNCATED"] == "true" and len(letter["Body"]) == 262_144
    assert queue.messages() == []


def test_a_role_that_may_not_is_a_dead_letter_where_roles_are_held_to_their_policies(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    servers = _running(tmp_path_factory.mktemp("enforcing"), "--enforce-iam")
    schedules = Moved(next(servers))
    queue, letters = schedules.queue(), schedules.queue()
    may = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": letters.arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam = schedules.aws.client("iam")
    iam.put_role_policy(RoleName=schedules.group, PolicyName="letters", PolicyDocument=document)
    schedules.once(Target={"Arn": queue.arn, "DeadLetterConfig": {"Arn": letters.arn}, "Input": "hello"})
    schedules.advance(minutes=11)
    (letter,) = letters.wait()
    told = attributes(letter)
    assert "AccessDenied" in told["ERROR_CODE"] and "EXHAUSTED_RETRY_CONDITION" not in told
    assert f"assumed-role/{schedules.group}/" in told["ERROR_MESSAGE"]
    assert "not authorized to perform: sqs:sendmessage" in told["ERROR_MESSAGE"].replace("SendM", "sendm")
    assert letter["Body"] == "hello" and queue.messages() == []
    assert next(servers, None) is None
