"""The check of a day's data on the embedded AWS: Athena on the real file; a breach stops the forecast."""

from __future__ import annotations

import json

import pytest

from pipelines import data_quality
from pipelines.models.demand import DEMAND
from tests.acceptance import town
from tests.pipelines.conftest import Days

pytestmark = pytest.mark.slow
HOURS = "town_raw_demand.hours"


def test_a_day_like_any_other_is_fit_and_nobody_is_told(days: Days) -> None:
    ended = days.run("data_quality", as_of="2011-07-02")
    assert ended.status == "SUCCEEDED", ended
    assert town.states(ended.execution) == ["MeasureDay", "JudgeDay", "PutVerdict", "DataFit"]
    assert DEMAND.raw is not None
    assert ended.output["quality"] == {
        "verdict": "fit",
        "checked": len(DEMAND.raw.expectations),
        "breaches": [],
    }
    assert not days.town.messages("CriticalTopic", ended.name)


@pytest.mark.parametrize(
    ("as_of", "what"),
    [
        ("2011-03-11", {"range of hum": "22 rows outside"}),  # a silent sensor
        ("2012-10-30", {"row count": "1 rows", "freshness": "23 hours old"}),  # the hurricane
        ("2013-01-02", {"row count": "0 rows", "freshness": "nothing to measure"}),  # no data at all
    ],
)
def test_a_breach_says_what_where_what_was_expected_and_what_was_found(
    days: Days, as_of: str, what: dict[str, str]
) -> None:
    ended = days.run("data_quality", as_of=as_of)
    assert town.states(ended.execution)[-2:] == ["NotifyBreach", "DataNotFit"]
    found = {one["what"]: one["found"] for one in ended.output["quality"]["breaches"]}
    assert what.items() <= found.items()
    (told,) = days.town.messages("CriticalTopic", ended.name)
    assert told["Subject"] == "demand: raw data not fit"
    for name, figure in what.items():
        assert f"- {name} in {HOURS}: expected " in told["Message"]
        assert f", found {figure}" in told["Message"]


def test_a_breach_stops_the_days_forecast_until_it_is_forced_or_mended(days: Days) -> None:
    day = "2011-03-11"
    days.run("data_quality", as_of=day)
    stopped = days.run("forecast", as_of=day)
    assert town.states(stopped.execution) == ["ReadVerdict", "DataNotFit"]
    s3, bucket = days.town.session.client("s3"), days.town.shared["DataBucket"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=f"forecast/demand/date={day}/")
    forced = days.run("forecast", as_of=day, force=True)
    assert town.states(forced.execution)[-1] == "Published"
    other = days.run("forecast", as_of="2011-03-12")
    assert other.output["data_quality"] == "not checked"


def test_the_verdict_is_kept_beside_the_locks_and_forgotten_in_time(days: Days) -> None:
    ended = days.run("data_quality", as_of="2011-08-29")
    answer = days.town.session.client("dynamodb").get_item(
        TableName=days.town.shared["LockTable"], Key={"pk": {"S": "data-quality#demand#2011-08-29"}}
    )
    item = {name: next(iter(value.values())) for name, value in answer["Item"].items()}
    assert (item["verdict"], item["checked"]) == ("breach", "2011-08-28")
    assert json.loads(item["breaches"]) == ended.output["quality"]["breaches"]
    assert item["execution"] == ended.arn and int(item["ttl"]) > 0


def test_a_check_that_cannot_be_made_fails_and_is_told(days: Days) -> None:
    glue = days.town.session.client("glue")
    name = data_quality.database(days.town.session.settings, DEMAND)
    kept = glue.get_table(DatabaseName=name, Name=data_quality.TABLE)["Table"]
    glue.delete_table(DatabaseName=name, Name=data_quality.TABLE)
    try:
        ended = days.run("data_quality", as_of="2011-07-03")
    finally:
        members = ("Name", "TableType", "Parameters", "StorageDescriptor")
        glue.create_table(DatabaseName=name, TableInput={one: kept[one] for one in members})
    assert ended.status == "FAILED" and ended.failure is not None
    (told,) = days.town.messages("CriticalTopic", ended.name)
    assert told["Subject"] == "demand: data quality check failed"
    assert "The data quality check of demand failed in MeasureDay" in told["Message"]
