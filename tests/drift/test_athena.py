"""The profile's statement as Athena runs it: over Parquet in S3, its answer read from the API's text."""

from __future__ import annotations

import io
import time
from typing import Any

import pandas as pd
import pytest

from mlops_kit.drift import model_error, sql
from mlops_kit.drift.check import profile
from mlops_kit.drift.profile import Profile
from tests.conftest import EmbeddedAws

NAMES = {"temp": "double", "hum": "double", "cnt": "bigint", "weathersit": "bigint"}


@pytest.fixture(scope="module")
def window(hours: pd.DataFrame) -> pd.DataFrame:
    frame = hours[hours["timestamp"].dt.strftime("%Y-%m") == "2011-03"][list(NAMES)].reset_index(drop=True)
    assert frame["hum"].isna().any(), "a sensor that failed"
    return frame


@pytest.fixture(scope="module")
def lake(aws: EmbeddedAws, window: pd.DataFrame) -> EmbeddedAws:
    body = io.BytesIO()
    window.to_parquet(body, index=False)
    s3, glue = aws.client("s3"), aws.client("glue")
    s3.create_bucket(Bucket="drift-lake")
    s3.put_object(Bucket="drift-lake", Key="hours/0.parquet", Body=body.getvalue())
    glue.create_database(DatabaseInput={"Name": "drift"})
    storage: dict[str, Any] = {
        "Columns": [{"Name": name, "Type": kind} for name, kind in NAMES.items()],
        "Location": "s3://drift-lake/hours/",
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }
    glue.create_table(DatabaseName="drift", TableInput={"Name": "hours", "StorageDescriptor": storage})
    return aws


def answer(aws: EmbeddedAws, query: str) -> list[list[str | None]]:
    athena = aws.client("athena")
    made = athena.start_query_execution(
        QueryString=query, ResultConfiguration={"OutputLocation": "s3://drift-lake/results/"}
    )
    until = time.monotonic() + 60
    while True:
        shown = athena.get_query_execution(QueryExecutionId=made["QueryExecutionId"])["QueryExecution"]
        if shown["Status"]["State"] not in ("QUEUED", "RUNNING"):
            break
        assert time.monotonic() < until
        time.sleep(0.05)
    assert shown["Status"]["State"] == "SUCCEEDED", shown["Status"]
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=made["QueryExecutionId"])
    rows = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
    return [[cell.get("VarCharValue") for cell in row] for row in rows[1:]]


def test_athena_gives_the_profile_that_duckdb_gives(
    lake: EmbeddedAws, hours: pd.DataFrame, window: pd.DataFrame
) -> None:
    reference = profile(hours[hours["timestamp"] < "2011-03-01"][list(NAMES)], categories=["weathersit"])
    text = sql.statement(reference, '"drift"."hours"', "athena", types=NAMES)
    found, expected = sql.read(reference, answer(lake, text)), profile(window, reference)
    assert found.rows == len(window) and dict(found.categories) == dict(expected.categories)
    for name, one in expected.numeric.items():
        twin = found.numeric[name]
        assert (twin.count, twin.nulls, twin.buckets) == (one.count, one.nulls, one.buckets)
        assert (twin.mean, twin.std) == (pytest.approx(one.mean), pytest.approx(one.std))
    assert isinstance(Profile.from_json(found.to_json()), Profile)


def test_athena_gives_a_models_error(lake: EmbeddedAws, window: pd.DataFrame) -> None:
    columns = {"label": "cnt", "prediction": "hum"}
    found = model_error.read(answer(lake, model_error.statement(columns, '"drift"."hours"', "athena")))["0"]
    there = window.dropna(subset=["hum"])
    assert (found.rows, found.unlabelled) == (len(there), len(window) - len(there))
    assert found.mae == pytest.approx((there["hum"] - there["cnt"]).abs().mean())
