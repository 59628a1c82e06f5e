"""The forecast on the embedded AWS: by the champion, again, without its help, and not at all."""

from __future__ import annotations

import datetime
import gzip
import io

import pandas as pd
import pytest

import mlops_kit as kit
from pipelines import retraining
from pipelines.features import demand
from pipelines.models.demand import DEMAND
from tests.acceptance import town
from tests.pipelines.conftest import Days

pytestmark = pytest.mark.slow
HOURS = demand.clean(pd.read_csv(io.BytesIO(gzip.decompress(DEMAND.data.path.read_bytes()))))


def actual(day: str) -> pd.Series:
    hours = HOURS.set_index("timestamp")[demand.TARGET]
    return hours.reindex(demand.hours_of(datetime.date.fromisoformat(day)), fill_value=0)


def naive(day: str) -> list[float]:
    return list(demand.seasonal_naive(HOURS, datetime.date.fromisoformat(day))["forecast"])


@pytest.fixture(scope="module")
def fourth(days: Days) -> kit.Run:
    """A holiday, which the week before knows nothing of."""
    return days.run("forecast", as_of="2011-07-04T04:30:00Z")


def test_the_champion_forecasts_a_holiday_better_than_the_week_before(days: Days, fourth: kit.Run) -> None:
    assert fourth.status == "SUCCEEDED", fourth
    assert town.states(fourth.execution)[-3:] == ["ForecastDay", "PublishForecast", "Published"]
    found = days.forecast("2011-07-04")
    assert set(found["kind"]) == {"model"} and set(found["model_version"]) == {"town-demand/1"}
    real = actual("2011-07-04").to_numpy()
    assert abs(found["forecast"] - real).sum() < abs(pd.Series(naive("2011-07-04")) - real).sum()


def test_it_is_what_the_endpoint_says_of_the_same_hours(days: Days, fourth: kit.Run) -> None:
    rows = demand.features(demand.coming_day(HOURS, datetime.date(2011, 7, 4)))
    rows = rows[rows["timestamp"] >= "2011-07-04"][list(demand.FEATURES)]
    answer = days.town.session.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="town-demand", ContentType="text/csv", Accept="text/csv", Body=rows.to_csv(index=False)
    )
    told = [float(line) for line in answer["Body"].read().decode().split()]
    assert list(days.forecast("2011-07-04")["forecast"]) == pytest.approx(told)


def test_a_second_run_of_a_day_overwrites_the_first_and_finds_the_champions_model(
    days: Days, fourth: kit.Run
) -> None:
    before = days.forecast("2011-07-04")
    second = days.run("forecast", as_of="2011-07-04")
    assert "CreateModel" not in town.states(second.execution)
    after = days.forecast("2011-07-04")
    pd.testing.assert_series_equal(after["forecast"], before["forecast"])
    assert (after["made_at"] > before["made_at"]).all()
    s3, bucket = days.town.session.client("s3"), days.town.shared["DataBucket"]
    found = s3.list_objects_v2(Bucket=bucket, Prefix="forecast/demand/date=2011-07-04/")["Contents"]
    assert len(found) == 2 and second.output["output"] == fourth.output["output"]


def test_a_transform_that_fails_for_good_ends_in_the_week_before_and_the_topic_is_told(days: Days) -> None:
    code = retraining.model_code()
    days.town.put(code, inference="raise RuntimeError('the model is ill')")
    try:
        ended = days.run("forecast", as_of="2011-07-07")
    finally:
        days.town.put(code, inference=days.town.source(code, "inference"))
    assert ended.status == "SUCCEEDED", ended
    assert len(town.visit(ended.execution, "ForecastDay").attempts) == 3
    assert town.states(ended.execution)[-3:] == ["PublishNaive", "NotifyFallback", "PublishedNaive"]
    found = days.forecast("2011-07-07")
    assert set(found["kind"]) == {"seasonal-naive"} and list(found["forecast"]) == naive("2011-07-07")
    (told,) = days.town.messages("RoutineTopic", ended.name)
    assert told["Subject"] == "demand: seasonal-naive forecast"
    assert "ForecastDay failed with States.TaskFailed" in told["Message"]
    assert not days.town.messages("CriticalTopic", ended.name)


def test_a_day_without_data_fails_and_the_critical_topic_is_told_why(days: Days) -> None:
    ended = days.run("forecast", as_of="2020-07-01")
    assert ended.status == "FAILED" and ended.failure is not None
    (told,) = days.town.messages("CriticalTopic", ended.name)
    assert "there are no rentals of a week before 2020-07-01 to repeat" in told["Message"]
