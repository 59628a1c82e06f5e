"""EventBridge Scheduler through the port: what is kept, what is refused, and in which words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import EmbeddedAws
from tests.local.schedules import QUEUE, Schedules


@pytest.fixture
def schedules(aws: EmbeddedAws) -> Iterator[Schedules]:
    made = Schedules(aws)
    yield made
    made.remove()


def refused(call: Any, **params: Any) -> tuple[str, str, int]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    told = caught.value.response
    return told["Error"]["Code"], told["Error"]["Message"], told["ResponseMetadata"]["HTTPStatusCode"]


def test_a_schedule_is_kept_with_its_defaults_and_listed(schedules: Schedules) -> None:
    arn = schedules.create("cron(0 3 ? * MON *)", name="weekly", ScheduleExpressionTimezone="Europe/Berlin")
    assert arn == f"arn:aws:scheduler:us-east-1:000000000000:schedule/{schedules.group}/weekly"
    kept = schedules.get("weekly")
    assert kept["Arn"] == arn and kept["State"] == "ENABLED" and kept["ActionAfterCompletion"] == "NONE"
    assert kept["ScheduleExpressionTimezone"] == "Europe/Berlin"
    retry = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
    assert kept["Target"]["RetryPolicy"] == retry
    assert kept["CreationDate"] == kept["LastModificationDate"]
    listed = schedules.client.list_schedules(GroupName=schedules.group)["Schedules"]
    assert [one["Name"] for one in listed] == ["weekly"] and listed[0]["Target"]["Arn"] == QUEUE


def test_lists_are_paged_filtered_and_sorted(schedules: Schedules) -> None:
    for name in ("b", "a", "ab", "c"):
        schedules.create("rate(1 day)", name=name, State="DISABLED" if name == "c" else "ENABLED")
    pages = schedules.client.get_paginator("list_schedules")

    def names(**filters: Any) -> list[str]:
        found = pages.paginate(GroupName=schedules.group, PaginationConfig={"PageSize": 2}, **filters)
        return [one["Name"] for page in found for one in page["Schedules"]]

    assert names() == ["a", "ab", "b", "c"]
    assert names(NamePrefix="a") == ["a", "ab"] and names(State="DISABLED") == ["c"]
    code, words, _ = refused(schedules.client.list_schedules, NextToken="nonsense")
    assert (code, words) == ("ValidationException", "Invalid NextToken.")


def test_an_update_replaces_everything(schedules: Schedules) -> None:
    schedules.create("rate(1 day)", name="s", Description="first", ActionAfterCompletion="DELETE")
    before = schedules.get("s")
    schedules.update("rate(2 days)", name="s")
    kept = schedules.get("s")
    assert "Description" not in kept and kept["ActionAfterCompletion"] == "NONE"
    assert kept["ScheduleExpression"] == "rate(2 days)" and kept["CreationDate"] == before["CreationDate"]
    assert kept["LastModificationDate"] >= before["LastModificationDate"]


def test_a_repeated_call_is_the_same_call_and_another_is_a_conflict(schedules: Schedules) -> None:
    first = schedules.create("rate(1 day)", name="s", ClientToken="token-1")
    assert schedules.create("rate(1 day)", name="s", ClientToken="token-1") == first
    code, words, status = refused(schedules.create, expression="rate(1 day)", name="s")
    assert (code, words, status) == ("ConflictException", "Schedule s already exists.", 409)
    code, words, status = refused(schedules.client.create_schedule_group, Name=schedules.group)
    assert (code, status) == ("ConflictException", 409) and words.endswith("already exists.")


def test_what_does_not_exist_is_not_found(schedules: Schedules) -> None:
    for call in (schedules.client.get_schedule, schedules.client.delete_schedule):
        code, words, status = refused(call, Name="none", GroupName=schedules.group)
        assert (code, words, status) == ("ResourceNotFoundException", "Schedule none does not exist.", 404)
    code, words, _ = refused(schedules.client.get_schedule, Name="s", GroupName="nowhere")
    assert (code, words) == ("ResourceNotFoundException", "Schedule group nowhere does not exist.")
    code, *_ = refused(schedules.update, expression="rate(1 day)", name="none")
    assert code == "ResourceNotFoundException"


def past(**ago: int) -> datetime:
    return datetime.now(UTC) - timedelta(**ago)


UNIVERSAL = "arn:aws:scheduler:::aws-sdk:{}"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"expression": "cron(0 3 * * MON *)"}, "Invalid Schedule Expression cron(0 3 * * MON *)."),
    ({"expression": "every day"}, "Invalid Schedule Expression every day."),
    ({"expression": "at(2011-07-01T00:00:00)"}, "Invalid Schedule Expression at(2011-07-01T00:00:00)."),
    ({"ScheduleExpressionTimezone": "Berlin"}, "Invalid ScheduleExpressionTimezone Berlin."),
    ({"StartDate": past(minutes=6)}, "The StartDate you specify cannot be earlier than 5 minutes ago."),
    ({"EndDate": past(days=1)}, "The EndDate you specify cannot be earlier"),
    ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes must be provided"),
    ({"Target": {"Arn": "nowhere"}}, "Provided Arn is not in correct format."),
    (
        {"Target": {"Arn": "arn:aws:apigateway:us-east-1::/restapis/1"}},
        "apigateway is not a supported service",
    ),
    (
        {"Target": {"Arn": UNIVERSAL.format("nothing:doIt")}},
        "nothing is not a supported service for a target.",
    ),
    ({"Target": {"Arn": UNIVERSAL.format("sqs:receiveMessage")}}, "receiveMessage is not a supported api"),
    ({"Target": {"Arn": UNIVERSAL.format("s3:getObject")}}, "getObject is not a supported api"),
    ({"Target": {"Arn": UNIVERSAL.format("sqs:sendMassage")}}, "sendMassage is not a supported api"),
    ({"Target": {"Arn": UNIVERSAL.format("sqs:sendMessage"), "Input": "{"}}, "Invalid RequestJson provided."),
    (
        {"Target": {"Arn": "arn:aws:events:us-east-1:000000000000:event-bus/default"}},
        "EventBridgeParameters is",
    ),
    (
        {"Target": {"SqsParameters": {}, "Arn": "arn:aws:sns:us-east-1:000000000000:t"}},
        "SqsParameters is not",
    ),
    (
        {"Target": {"RoleArn": "arn:aws:iam::000000000000:role/none"}},
        "The execution role you provide must allow",
    ),
    ({"name": "not a name"}, "failed to satisfy constraint"),
    ({"Target": {"RetryPolicy": {"MaximumRetryAttempts": 186}}}, "failed to satisfy constraint"),
]


@pytest.mark.parametrize(("params", "words"), WRONG, ids=[words[:40] for _, words in WRONG])
def test_what_aws_refuses_is_refused(schedules: Schedules, params: dict[str, Any], words: str) -> None:
    expression = params.get("expression", "rate(1 day)")
    rest = {name: value for name, value in params.items() if name != "expression"}
    code, message, status = refused(schedules.create, expression=expression, **rest)
    assert (code, status) == ("ValidationException", 400)
    assert words in message
    assert not schedules.client.list_schedules(GroupName=schedules.group)["Schedules"]


def test_a_role_that_scheduler_may_not_assume_is_refused(schedules: Schedules, aws: EmbeddedAws) -> None:
    name = f"other-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    code, words, _ = refused(schedules.create, expression="rate(1 day)", Target={"RoleArn": role})
    wanted = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
    assert (code, words) == ("ValidationException", wanted)


def test_a_group_has_tags_and_takes_its_schedules_with_it(schedules: Schedules) -> None:
    client, group = schedules.client, schedules.group
    schedules.create("rate(1 day)", name="s")
    arn = client.get_schedule_group(Name=group)["Arn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    listed = client.list_schedule_groups(NamePrefix=group)["ScheduleGroups"]
    assert [one["State"] for one in listed] == ["ACTIVE"]
    client.delete_schedule_group(Name=group)
    assert refused(client.get_schedule_group, Name=group)[0] == "ResourceNotFoundException"
    client.create_schedule_group(Name=group)
    assert not client.list_schedules(GroupName=group)["Schedules"]
    assert refused(client.delete_schedule_group, Name="default")[0] == "ValidationException"


def test_what_was_acknowledged_survives_a_kill(fresh_aws: EmbeddedAws) -> None:
    schedules = Schedules(fresh_aws)
    schedules.create("cron(0 3 ? * MON *)", name="weekly", StartDate=datetime.now(UTC) + timedelta(days=3))
    before = schedules.get("weekly")
    fresh_aws.kill()
    fresh_aws.start()
    after = Schedules(fresh_aws, schedules.group).get("weekly")
    assert {**after, "ResponseMetadata": 0} == {**before, "ResponseMetadata": 0}
