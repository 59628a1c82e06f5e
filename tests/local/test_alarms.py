"""CloudWatch alarms follow the embedded clock: whole periods, dimensions, missing data, queues, actions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops_kit.local import control
from tests.conftest import EmbeddedAws, _running
from tests.local.schedules import Queue


@pytest.fixture(scope="module")
def moving_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    yield from _running(tmp_path_factory.mktemp("alarms"), "--at", "2026-03-27T12:00:10Z")


class Watch:
    """Alarms on a namespace of the test's own, which tell a queue by way of a topic."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.client = aws.client("cloudwatch")
        self.namespace = f"test/{uuid.uuid4().hex[:8]}"
        self.told = Queue(aws, {})
        sns = aws.client("sns")
        self.topic = sns.create_topic(Name=self.told.name)["TopicArn"]
        raw = {"RawMessageDelivery": "true"}
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.told.arn, Attributes=raw)

    def alarm(self, **fields: Any) -> str:
        name = f"alarm-{uuid.uuid4().hex[:8]}"
        given = {
            "Namespace": self.namespace,
            "MetricName": "m",
            "Statistic": "Maximum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1.0,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        self.client.put_metric_alarm(AlarmName=name, **{**given, **fields})
        return name

    def put(self, value: float, **dimensions: str) -> None:
        pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        self.client.put_metric_data(
            Namespace=self.namespace, MetricData=[{"MetricName": "m", "Value": value, "Dimensions": pairs}]
        )

    def state(self, name: str) -> str:
        (alarm,) = self.client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return str(alarm["StateValue"])

    def minutes(self, number: float) -> None:
        """Move to 5 s after a full minute, so many minutes on."""
        told = control.status(self.aws.state_dir).now
        assert told is not None
        now = datetime.fromisoformat(told)
        to = now.replace(second=5, microsecond=0) + timedelta(minutes=number)
        list(control.advance(self.aws.state_dir, to=to))


@pytest.fixture
def watch(moving_aws: EmbeddedAws) -> Watch:
    return Watch(moving_aws)


def test_only_data_of_the_alarms_own_dimensions_count(watch: Watch) -> None:
    one = watch.alarm(Dimensions=[{"Name": "d", "Value": "1"}])
    two = watch.alarm(Dimensions=[{"Name": "d", "Value": "2"}])
    none = watch.alarm()
    watch.put(5, d="1")
    watch.minutes(1)
    assert [watch.state(name) for name in (one, two, none)] == [
        "ALARM",
        "INSUFFICIENT_DATA",
        "INSUFFICIENT_DATA",
    ]


def test_an_alarm_ends_by_time_when_no_more_data_come(watch: Watch) -> None:
    calm = watch.alarm(TreatMissingData="notBreaching")
    unknown = watch.alarm()
    watch.put(5)
    watch.minutes(1)
    assert watch.state(calm) == watch.state(unknown) == "ALARM"
    watch.minutes(5)
    assert watch.state(calm) == "OK" and watch.state(unknown) == "INSUFFICIENT_DATA"


def test_it_takes_as_many_breaching_datapoints_as_the_alarm_says(watch: Watch) -> None:
    name = watch.alarm(EvaluationPeriods=3, DatapointsToAlarm=2)
    states = []
    for value in (5, 0, 0, 5, 5):
        watch.put(value)
        watch.minutes(1)
        states.append(watch.state(name))
    assert states[1:] == ["OK", "OK", "OK", "ALARM"]


def test_the_statistic_is_taken_over_a_whole_period(watch: Watch) -> None:
    name = watch.alarm(Statistic="Sum", Period=300, Threshold=9.0)
    watch.minutes(5 - 0)
    for _ in range(5):
        watch.put(2)
        watch.put(2)
    assert watch.state(name) == "INSUFFICIENT_DATA"  # the period has not ended
    watch.minutes(6)
    assert watch.state(name) == "ALARM"


def test_each_change_of_state_is_told_and_written_down(watch: Watch) -> None:
    topic = [watch.topic]
    name = watch.alarm(
        AlarmActions=topic, OKActions=topic, InsufficientDataActions=topic, TreatMissingData="missing"
    )
    events, heard = watch.aws.client("events"), Queue(watch.aws, {})
    pattern = {"detail-type": ["CloudWatch Alarm State Change"], "detail": {"alarmName": [name]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": heard.arn}])
    for value in (5, 0):
        watch.put(value)
        watch.minutes(1)
    watch.minutes(5)
    details = [json.loads(message["Body"])["detail"] for message in heard.wait(3)]
    assert [one["state"]["value"] for one in details] == ["ALARM", "OK", "INSUFFICIENT_DATA"]
    assert [one["previousState"]["value"] for one in details] == ["INSUFFICIENT_DATA", "ALARM", "OK"]
    told = [json.loads(message["Body"]) for message in watch.told.wait(3)]
    changes = [(one["OldStateValue"], one["NewStateValue"]) for one in told if one["AlarmName"] == name]
    wanted = [("INSUFFICIENT_DATA", "ALARM"), ("ALARM", "OK"), ("OK", "INSUFFICIENT_DATA")]
    assert changes == wanted
    history = watch.client.describe_alarm_history(AlarmName=name, HistoryItemType="StateUpdate")
    summaries = [item["HistorySummary"] for item in history["AlarmHistoryItems"]]
    assert "Alarm updated from ALARM to OK" in summaries


def test_an_alarm_on_the_depth_of_a_dead_letter_queue_goes_and_comes_back(watch: Watch) -> None:
    letters = Queue(watch.aws, {})
    name = watch.alarm(
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": letters.name}],
        Threshold=0.0,
        AlarmActions=[watch.topic],
        TreatMissingData="notBreaching",
    )
    watch.minutes(2)
    assert watch.state(name) == "OK"
    watch.aws.client("sqs").send_message(QueueUrl=letters.url, MessageBody="dead")
    watch.minutes(1)
    assert watch.state(name) == "ALARM"
    watch.minutes(60)
    assert watch.state(name) == "ALARM"  # it still lies there
    letters.messages()
    watch.minutes(5)
    assert watch.state(name) == "OK"
    told = json.loads(watch.told.wait()[0]["Body"])
    assert told["Trigger"]["MetricName"] == "ApproximateNumberOfMessagesVisible"


def test_an_idle_alarm_costs_the_clock_little(watch: Watch) -> None:
    name = watch.alarm(
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": watch.told.name}],
        TreatMissingData="notBreaching",
    )
    watch.minutes(8 * 1440)
    assert watch.state(name) == "OK"


def test_an_alarm_goes_on_after_a_kill(fresh_aws: EmbeddedAws) -> None:
    watch = Watch(fresh_aws)
    name = watch.alarm(TreatMissingData="notBreaching")
    watch.put(5)
    watch.minutes(1)
    assert watch.state(name) == "ALARM"
    fresh_aws.stop()
    fresh_aws.start()
    watch.minutes(5)
    assert watch.state(name) == "OK"
