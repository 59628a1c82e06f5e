"""The forecast: who stops it, what falls back to the week before, and what is published."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_kit.settings import Settings
from pipelines import forecast
from pipelines.models.demand import DEMAND
from tests.conftest import REGION, EmbeddedAws
from tests.pipelines.test_daily import evaluate
from tests.pipelines.test_jobs import run

STATES: Mapping[str, Any] = forecast.build(Settings()).definition["States"]
MODEL_PATH = (
    *("FindChampion", "DescribeChampion", "PrepareFeatures", "FindModel", "CreateModel", "ForecastDay"),
    "PublishForecast",
)


def test_whatever_fails_with_the_model_falls_back_to_the_week_before_and_is_told() -> None:
    for name in MODEL_PATH:
        assert STATES[name]["Catch"][-1]["Next"] == "PublishNaive", name
    assert STATES["PublishNaive"]["Next"] == "NotifyFallback"
    assert STATES["NotifyFallback"]["Arguments"]["TopicArn"] == "${RoutineTopic}"
    assert STATES["PublishNaive"]["Arguments"]["Arguments"]["--kind"] == "seasonal-naive"
    for name in ("ReadVerdict", "PublishNaive", "NotifyFallback"):
        assert STATES[name]["Catch"][-1]["Next"] == "NotifyFailure", name


@pytest.mark.parametrize(
    ("verdict", "force", "way"),
    [
        ("breach", False, "DataNotFit"),
        ("breach", True, "FindChampion"),
        ("fit", False, "FindChampion"),
        (None, False, "FindChampion"),
    ],
)
def test_a_breach_stops_the_day_unless_it_is_forced(verdict: str | None, force: bool, way: str) -> None:
    item = {"Item": {"verdict": {"S": verdict}}} if verdict else {}
    output = STATES["ReadVerdict"]["Output"].replace("$states.result", "$states.input.answer")
    given = evaluate(output, {"force": force, "answer": item})
    assert given["data_quality"] == (verdict or "not checked")
    rules = STATES["DataFit"]["Choices"]
    ways = [rule["Next"] for rule in rules if evaluate(rule["Condition"], given)]
    assert (ways or [STATES["DataFit"]["Default"]]) == [way]
    assert STATES["DataNotFit"]["Type"] == "Succeed"  # who is to know was told by the check


def test_without_a_champion_the_reason_says_so() -> None:
    (rule,) = STATES["HasChampion"]["Choices"]
    assert evaluate(rule["Condition"], {}) is True and rule["Next"] == "PublishNaive"
    assert "a retraining makes one" in evaluate(rule["Output"], {})["failure"]["cause"]
    assert evaluate(rule["Condition"], {"champion": "arn"}) is False


def test_a_day_has_one_place_whoever_forecasts_it_and_each_run_its_own_workspace() -> None:
    found = evaluate(STATES["ComputeDay"]["Output"], {"as_of": "2011-07-01T04:30:00Z"})
    assert found["output"] == "forecast/demand/date=2011-07-01"
    assert found["prefix"].startswith("tmp/forecast/demand/2011-07-01/")


def test_a_champion_has_one_model_and_every_try_its_own_job() -> None:
    longest = forecast.build(Settings(project="p" * 20)).definition["States"]
    name = longest["CreateModel"]["Arguments"]["ModelName"]
    made = [evaluate(name, {"container": {"ModelDataUrl": url}}) for url in ("a", "a", "b")]
    assert made[0] == made[1] != made[2] and len(made[0]) <= 63
    assert longest["ForecastDay"]["Arguments"]["ModelName"] == name
    assert longest["FindModel"]["Arguments"]["NameContains"] == name
    assert "RetryCount" in longest["ForecastDay"]["Arguments"]["TransformJobName"]


def test_the_model_is_given_features_and_the_time_stays_beside_its_answer() -> None:
    arguments = STATES["ForecastDay"]["Arguments"]
    assert arguments["DataProcessing"] == {
        "InputFilter": "$[1:]",
        "JoinSource": "Input",
        "OutputFilter": "$[0,-1]",
    }


@pytest.fixture(scope="module")
def bucket(aws: EmbeddedAws) -> str:
    name = f"forecast-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    aws.client("s3").put_object(Bucket=name, Key=DEMAND.data.key, Body=DEMAND.data.path.read_bytes())
    return name


def job(aws: EmbeddedAws, script: str, **options: str) -> str:
    """Run a script as Glue does; its last words."""
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    told = {"AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": REGION}
    ended = run(script, arguments, **told, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")
    return (ended.stdout or ended.stderr).strip().splitlines()[-1]


def publish(aws: EmbeddedAws, bucket: str, **changed: str) -> str:
    options = {
        "bucket": bucket,
        "raw_key": DEMAND.data.key,
        "predictions": "answers/",
        "output_prefix": "out",
        "day": "2011-11-06",
        "kind": "model",
        "model_version": "kit-demand/7",
        "made_at": "2011-11-06T04:30:00.000Z",
    }
    return job(aws, "publish_forecast.py", **{**options, **changed})


def answers(aws: EmbeddedAws, bucket: str, *rows: str) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key="answers/f.csv.out", Body="\n".join(rows).encode())


def hours(*skipped: int) -> list[str]:
    return [f"2011-11-06T{hour:02d}:00:00,{hour}.5" for hour in range(24) if hour not in skipped]


def read(aws: EmbeddedAws, bucket: str) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    s3 = aws.client("s3")
    bodies = [
        s3.get_object(Bucket=bucket, Key=f"out/{name}")["Body"].read()
        for name in ("forecast.parquet", "_forecast.jsonl")
    ]
    rows = [json.loads(line) for line in bodies[1].decode().splitlines()]
    return pd.read_parquet(io.BytesIO(bodies[0])), rows


def test_a_forecast_is_published_as_parquet_and_as_lines_with_the_offset_of_its_hours(
    aws: EmbeddedAws, bucket: str
) -> None:
    answers(aws, bucket, *hours(1))
    assert publish(aws, bucket) == "23 hours of 2011-11-06, 286 rentals, model"
    table, lines = read(aws, bucket)
    assert list(table.columns) == ["timestamp", "forecast", "kind", "model_version", "made_at"]
    assert set(table["model_version"]) == {"kit-demand/7"} and set(table["kind"]) == {"model"}
    assert str(table["made_at"].iloc[0]) == "2011-11-06 04:30:00+00:00"
    assert [line["hour"] for line in lines][:2] == ["2011-11-06T00:00:00-04:00", "2011-11-06T02:00:00-05:00"]
    assert [line["forecast"] for line in lines] == list(table["forecast"])


def test_the_week_before_is_published_as_such(aws: EmbeddedAws, bucket: str) -> None:
    assert publish(aws, bucket, kind="seasonal-naive").endswith("rentals, seasonal-naive")
    table, lines = read(aws, bucket)
    assert set(table["kind"]) == {"seasonal-naive"} and table["model_version"].isna().all()
    assert lines[0]["model_version"] is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (hours(1, 5), "22 answers are not one for each of the 23 hours of 2011-11-06"),
        (hours(1)[:-1] + hours(1)[:1], "23 answers are not one for each of the 23 hours"),
        ([], "0 answers are not one for each"),
        ([*hours(1)[:-1], "2011-11-06T23:00:00,"], "an answer for 2011-11-06 is no number"),
    ],
)
def test_half_a_forecast_is_none(aws: EmbeddedAws, bucket: str, rows: list[str], words: str) -> None:
    answers(aws, bucket, *rows)
    told = publish(aws, bucket)
    assert "CannotPublishError: " in told and words in told


def test_the_features_of_a_day_are_records_without_a_header(aws: EmbeddedAws, bucket: str) -> None:
    options = {"bucket": bucket, "raw_key": DEMAND.data.key, "output_key": "f.csv"}
    assert job(aws, "prepare_forecast.py", **options, day="2011-07-01") == "24 hours of 2011-07-01"
    lines = aws.client("s3").get_object(Bucket=bucket, Key="f.csv")["Body"].read().decode().splitlines()
    assert lines[17].startswith("2011-07-01T17:00:00,17.0,") and all(len(x.split(",")) == 13 for x in lines)
    told = job(aws, "prepare_forecast.py", **options, day="2013-01-01")
    assert "CannotPrepareError: there is no weather for 2013-01-01" in told


def test_the_scripts_are_python_39(tmp_path: Path) -> None:
    import ast

    for name in ("prepare_forecast.py", "publish_forecast.py"):
        text = (Path(forecast.__file__).parent / "jobs" / name).read_text()
        ast.parse(text, feature_version=(3, 9))
