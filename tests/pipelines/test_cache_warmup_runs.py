"""The cache on the embedded AWS: filled from a published forecast, the same when filled again."""

from __future__ import annotations

from typing import Any

import pytest

import mlops_kit as kit
from tests.acceptance import town
from tests.pipelines.conftest import Days

pytestmark = pytest.mark.slow


def table(days: Days) -> str:
    cloudformation = days.town.session.client("cloudformation")
    found = cloudformation.describe_stack_resource(
        StackName="town-cache-warmup-demand", LogicalResourceId="PredictionCache"
    )
    return str(found["StackResourceDetail"]["PhysicalResourceId"])


def cached(days: Days, day: str) -> list[dict[str, Any]]:
    answer = days.town.session.client("dynamodb").query(
        TableName=table(days),
        KeyConditionExpression="#model = :model AND begins_with(#hour, :day)",
        ExpressionAttributeNames={"#model": "model", "#hour": "hour"},
        ExpressionAttributeValues={":model": {"S": "demand"}, ":day": {"S": day}},
    )
    return [{name: next(iter(value.values())) for name, value in one.items()} for one in answer["Items"]]


def test_the_cache_holds_the_newest_forecast_and_filling_it_again_changes_nothing(days: Days) -> None:
    assert days.run("forecast", as_of="2011-07-08").status == "SUCCEEDED"
    ended = days.run("cache_warmup", as_of="2011-07-08")
    assert town.states(ended.execution) == ["WarmCache", "Warmed"], ended
    assert ended.output["cache"] == {"date": "2011-07-08", "kind": "model", "items": 24}
    found = cached(days, "2011-07-08")
    assert [float(one["forecast"]) for one in found] == pytest.approx(
        list(days.forecast("2011-07-08")["forecast"])
    )
    days.run("cache_warmup", as_of="2011-07-08T04:45:00Z")
    assert cached(days, "2011-07-08") == found


def test_the_table_forgets(days: Days) -> None:
    answer = days.town.session.client("dynamodb").describe_time_to_live(TableName=table(days))
    told = answer["TimeToLiveDescription"]
    assert (told["AttributeName"], told["TimeToLiveStatus"]) == ("expires_at", "ENABLED")


def test_without_a_forecast_people_are_told_and_once_there_is_one_a_redrive_fills_the_cache(
    days: Days,
) -> None:
    failed = days.run("cache_warmup", as_of="2011-01-20")
    assert failed.status == "FAILED" and failed.failure is not None
    (told,) = days.town.messages("CriticalTopic", failed.name)
    assert told["Subject"] == "demand: cache warm-up failed"
    assert "there is no forecast until 2011-01-20" in told["Message"]
    assert f"mlops-kit redrive {failed.arn}" in told["Message"]
    assert days.run("forecast", as_of="2011-01-20").status == "SUCCEEDED"
    again = days.town.ended(kit.redrive(days.town.session, failed))
    assert again.status == "SUCCEEDED", again
    assert again.output["cache"]["date"] == "2011-01-20" and len(cached(days, "2011-01-20")) == 24
