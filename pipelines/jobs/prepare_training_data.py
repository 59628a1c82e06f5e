"""Glue Python shell job: raw hours in S3 to train, validation and test sets, and the training profile.

Keeps to Python 3.9 and Glue's library set ``analytics``; ``pipelines.features`` travels beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from datetime import date, timedelta
from typing import Any, Dict

import boto3
import pandas as pd
from awsglue.utils import getResolvedOptions

from pipelines.features import demand, raw
from pipelines.features.profile import profile

ARGUMENTS = ["bucket", "raw_key", "output_prefix", "train_start", "train_end", "validation_days", "test_days"]
FEWEST_ROWS = 24


class CannotPrepareError(Exception):
    """The window or the data cannot be used; the message says why."""


def main() -> None:
    """Read the job's arguments, prepare, write; a foreseeable mistake ends in one line and exit status 1.

    It ends as an exception, because Glue makes the run's ErrorMessage of that and drops ``sys.exit``'s words.
    """
    options = getResolvedOptions(sys.argv, ARGUMENTS)
    try:
        prepare(boto3.client("s3"), options)
    except ValueError as error:
        sys.tracebacklimit = 0
        raise CannotPrepareError(str(error)) from None


def prepare(s3: Any, options: Dict[str, str]) -> Dict[str, Any]:
    """Write ``train.parquet``, ``validation.parquet``, ``test.parquet``, ``profile.json`` and ``data.json``.

    Parameters
    ----------
    s3 : botocore client
        Of the service ``s3``.
    options : dict
        ``ARGUMENTS`` as text. The window is ``[train_start, train_end)`` in whole days; its last
        ``test_days`` are held out for the judgement, the ``validation_days`` before them for the training.

    Returns
    -------
    dict
        What ``data.json`` holds: window, rows of each part, and the digest of the window's raw rows.

    Raises
    ------
    ValueError
        The window lies outside the data, ends before it starts, or leaves a part empty; a column is missing.
    """
    bucket, prefix = options["bucket"], options["output_prefix"].rstrip("/")
    hours = demand.clean(raw.read(s3, bucket, options["raw_key"]))
    start, end = date.fromisoformat(options["train_start"]), date.fromisoformat(options["train_end"])
    check_window(hours, start, end)
    parts = split(hours, start, end, int(options["validation_days"]), int(options["test_days"]))
    facts = {
        "train_start": str(start),
        "train_end": str(end),
        "rows": {name: len(part) for name, part in parts.items()},
        "data_hash": digest(hours, start, end),
    }
    for name, part in parts.items():
        buffer = io.BytesIO()
        part.to_parquet(buffer, index=False)
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}/{name}.parquet", Body=buffer.getvalue())
    numeric = [name for name in (*demand.FEATURES, demand.TARGET) if name not in demand.CATEGORIES]
    seen = profile(pd.concat([parts["train"], parts["validation"]]), numeric, demand.CATEGORIES)
    for name, content in (("profile", seen), ("data", facts)):
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}.json", Body=json.dumps(content).encode())
    print(json.dumps(facts))
    return facts


def check_window(hours: pd.DataFrame, start: date, end: date) -> None:
    """Refuse a window that ends before it starts or lies outside the data.

    Raises
    ------
    ValueError
        With the data's own range.
    """
    first, last = hours["timestamp"].iloc[0].date(), hours["timestamp"].iloc[-1].date()
    if end <= start:
        raise ValueError(f"the window ends ({end}) before it starts ({start})")
    if start < first or end > last + timedelta(days=1):
        raise ValueError(f"the window {start} to {end} is outside the data, which hold {first} to {last}")


def split(
    hours: pd.DataFrame, start: date, end: date, validation_days: int, test_days: int
) -> Dict[str, pd.DataFrame]:
    """Features of the window, cut by time into ``train``, ``validation`` and ``test``.

    Raises
    ------
    ValueError
        A part has fewer than 24 rows.
    """
    frame = demand.features(demand.with_history(hours, pd.Timestamp(start), pd.Timestamp(end)))
    frame = frame[frame["timestamp"] >= pd.Timestamp(start)]
    test_from = pd.Timestamp(end) - pd.Timedelta(days=test_days)
    validation_from = test_from - pd.Timedelta(days=validation_days)
    when = frame["timestamp"]
    parts = {
        "train": frame[when < validation_from],
        "validation": frame[(when >= validation_from) & (when < test_from)],
        "test": frame[when >= test_from],
    }
    for name, part in parts.items():
        if len(part) < FEWEST_ROWS:
            raise ValueError(
                f"the {name} set has {len(part)} rows, at least {FEWEST_ROWS} are needed: "
                f"widen the window {start} to {end} (validation {validation_days}, test {test_days} days)"
            )
    return parts


def digest(hours: pd.DataFrame, start: date, end: date) -> str:
    """SHA-256 over the window's cleaned rows: the same data give the same digest."""
    when = hours["timestamp"]
    window = hours[(when >= pd.Timestamp(start)) & (when < pd.Timestamp(end))]
    return hashlib.sha256(window.to_csv(index=False).encode()).hexdigest()


if __name__ == "__main__":
    main()
