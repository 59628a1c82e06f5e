"""WarmCache: the newest forecast from S3 into the prediction cache; without pandas, so from JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import boto3

LINES = "_forecast.jsonl"  # beside the Parquet, as the forecast publishes it
KEPT = timedelta(days=1)  # after the end of the hour
BATCH = 25  # items of a BatchWriteItem
TRIES = 6


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Put every hour of the newest forecast into the cache; again is the same.

    Parameters
    ----------
    event : dict
        ``bucket``, ``prefix`` (of the model's forecasts, with a folder ``date=...`` a day), ``model``,
        ``table``, and ``as_of``: no later day is looked at.
    context : object
        Not used.

    Returns
    -------
    dict
        ``date`` of the forecast, its ``kind``, and the number of ``items``.
    """
    s3 = boto3.client("s3")
    date = newest(s3, event["bucket"], event["prefix"], event["as_of"])
    key = f"{event['prefix']}date={date}/{LINES}"
    body = s3.get_object(Bucket=event["bucket"], Key=key)["Body"].read().decode()
    rows = [json.loads(line) for line in body.splitlines()]
    write(boto3.client("dynamodb"), event["table"], [item(event["model"], row) for row in rows])
    return {"date": date, "kind": rows[0]["kind"], "items": len(rows)}


def newest(s3: Any, bucket: str, prefix: str, as_of: str) -> str:
    """Day of the newest forecast that is not of a day after ``as_of``.

    Raises
    ------
    LookupError
        There is none.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}date=")
    keys = (one["Key"] for page in pages for one in page.get("Contents", ()))
    days = (key.split("date=")[1].split("/")[0] for key in keys if key.endswith(f"/{LINES}"))
    found = max((day for day in days if day <= as_of), default=None)
    if found is None:
        raise LookupError(
            f"there is no forecast until {as_of} under s3://{bucket}/{prefix}; run the forecast"
        )
    return str(found)


def item(model: str, row: dict[str, Any]) -> dict[str, dict[str, str]]:
    """An hour as DynamoDB has it: found by model and hour, forgotten a day after the hour has ended."""
    ends = datetime.fromisoformat(row["hour"]) + timedelta(hours=1)
    texts = {
        name: row[name] for name in ("hour", "kind", "model_version", "made_at") if row[name] is not None
    }
    return {
        "model": {"S": model},
        "forecast": {"N": repr(row["forecast"])},
        "expires_at": {"N": str(int((ends + KEPT).timestamp()))},
        **{name: {"S": text} for name, text in texts.items()},
    }


def write(
    dynamodb: Any,
    table: str,
    items: Sequence[dict[str, Any]],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Put all items, and again what DynamoDB had no room for, after pauses that double.

    Raises
    ------
    RuntimeError
        Some are still not written after the last try.
    """
    for batch in batches(items):
        left = [{"PutRequest": {"Item": one}} for one in batch]
        for attempt in range(TRIES):
            if attempt:
                pause(0.1 * 2**attempt)
            left = dynamodb.batch_write_item(RequestItems={table: left})["UnprocessedItems"].get(table, [])
            if not left:
                break
        if left:
            raise RuntimeError(f"DynamoDB left {len(left)} of {len(items)} items unwritten in {TRIES} tries")


def batches(items: Sequence[dict[str, Any]]) -> Iterable[Sequence[dict[str, Any]]]:
    """As many items as a request takes."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
