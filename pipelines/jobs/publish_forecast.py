"""Glue Python shell job: a day's forecast as Parquet, of the model's answers or without a model.

Keeps to Python 3.9 and Glue's library set ``analytics``; ``pipelines.features`` travels beside it.
"""

from __future__ import annotations

import io
import sys
from datetime import date
from typing import Any

import boto3
import numpy as np
import pandas as pd
from awsglue.utils import getResolvedOptions

from pipelines.features import demand, raw

ARGUMENTS = ["bucket", "raw_key", "predictions", "output_prefix", "day", "kind", "model_version", "made_at"]
MODEL, NAIVE = "model", "seasonal-naive"
# Athena, Hive and Spark see no file whose name begins so: for the table, the Parquet is all there is.
LINES = "_forecast.jsonl"


class CannotPublishError(Exception):
    """There is no forecast of every hour; the message says why."""


def main() -> None:
    """Read the job's arguments, publish; a foreseeable mistake ends in one line, as Glue shows it."""
    options = getResolvedOptions(sys.argv, ARGUMENTS)
    try:
        publish(boto3.client("s3"), options)
    except ValueError as error:
        sys.tracebacklimit = 0
        raise CannotPublishError(str(error)) from None


def publish(s3: Any, options: dict[str, str]) -> pd.DataFrame:
    """Write ``forecast.parquet``, and its rows as JSON lines for readers without Parquet.

    Parameters
    ----------
    s3 : botocore client
        Of the service ``s3``.
    options : dict
        ``ARGUMENTS`` as text. ``kind`` is ``model``, of the ``*.out`` objects under ``predictions``, or
        ``seasonal-naive``, of the raw hours a week before.

    Returns
    -------
    pandas.DataFrame
        What was written: ``timestamp`` (local), ``forecast`` (rentals), ``kind``, ``model_version``,
        ``made_at`` (UTC).

    Raises
    ------
    ValueError
        The model did not answer for every hour of the day with a number, or there is no week to repeat.
    """
    bucket, day = options["bucket"], date.fromisoformat(options["day"])
    if options["kind"] == MODEL:
        frame = answered(s3, bucket, options["predictions"], day)
    else:
        frame = demand.seasonal_naive(demand.clean(raw.read(s3, bucket, options["raw_key"])), day)
    frame["kind"] = options["kind"]
    version = options["model_version"] if options["kind"] == MODEL else None
    frame["model_version"] = pd.Series([version] * len(frame), dtype="string")
    frame["made_at"] = pd.Timestamp(options["made_at"])
    buffer, prefix = io.BytesIO(), options["output_prefix"].rstrip("/")
    frame.to_parquet(buffer, index=False)
    s3.put_object(Bucket=bucket, Key=f"{prefix}/{LINES}", Body=lines(frame).encode())
    s3.put_object(Bucket=bucket, Key=f"{prefix}/forecast.parquet", Body=buffer.getvalue())
    print(f"{len(frame)} hours of {day}, {frame['forecast'].sum():.0f} rentals, {options['kind']}")
    return frame


def answered(s3: Any, bucket: str, prefix: str, day: date) -> pd.DataFrame:
    """The transform's answers, a time and a number each, checked against the hours of the day.

    Raises
    ------
    ValueError
        An hour is missing, stands twice, or has no number.
    """
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    bodies = [
        s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        for item in found
        if item["Key"].endswith(".out")
    ]
    rows = io.BytesIO(b"".join(bodies))
    frame = pd.read_csv(rows, names=["timestamp", "forecast"], parse_dates=["timestamp"])
    wanted, there = demand.hours_of(day), pd.DatetimeIndex(frame["timestamp"])
    if len(there) != len(wanted) or not there.sort_values().equals(wanted):
        raise ValueError(f"{len(there)} answers are not one for each of the {len(wanted)} hours of {day}")
    if not np.isfinite(frame["forecast"].to_numpy(dtype=float)).all():
        raise ValueError(f"an answer for {day} is no number")
    return frame.sort_values("timestamp", ignore_index=True)


def lines(frame: pd.DataFrame) -> str:
    """The same rows as JSON, one a line; ``hour`` with its offset from UTC stands for the local time."""
    hours = frame["timestamp"].dt.tz_localize(demand.ZONE)
    told = frame.drop(columns="timestamp").assign(made_at=frame["made_at"].map(lambda one: one.isoformat()))
    told.insert(0, "hour", hours.map(lambda one: one.isoformat()))
    return str(told.to_json(orient="records", lines=True)).rstrip("\n") + "\n"


if __name__ == "__main__":
    main()
