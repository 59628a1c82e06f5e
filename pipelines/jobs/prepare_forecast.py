"""Glue Python shell job: the features of a day that begins, as records of a batch transform.

Keeps to Python 3.9 and Glue's library set ``analytics``; ``pipelines.features`` travels beside it.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import Any

import boto3
import pandas as pd
from awsglue.utils import getResolvedOptions

from pipelines.features import demand, raw

ARGUMENTS = ["bucket", "raw_key", "output_key", "day"]


class CannotPrepareError(Exception):
    """The day cannot be forecast from the data; the message says why."""


def main() -> None:
    """Read the job's arguments, prepare, write; a foreseeable mistake ends in one line, as Glue shows it."""
    options = getResolvedOptions(sys.argv, ARGUMENTS)
    try:
        prepare(boto3.client("s3"), options)
    except ValueError as error:
        sys.tracebacklimit = 0
        raise CannotPrepareError(str(error)) from None


def prepare(s3: Any, options: dict[str, str]) -> pd.DataFrame:
    """Write one record an hour: its time, then ``FEATURES`` in their order; no header, as records have none.

    Parameters
    ----------
    s3 : botocore client
        Of the service ``s3``.
    options : dict
        ``ARGUMENTS`` as text.

    Returns
    -------
    pandas.DataFrame
        What was written.

    Raises
    ------
    ValueError
        The data hold no weather of the day, or no history before it; a column is missing.
    """
    day = date.fromisoformat(options["day"])
    hours = demand.clean(raw.read(s3, options["bucket"], options["raw_key"]))
    frame = demand.features(demand.coming_day(hours, day))
    frame = frame.loc[frame["timestamp"] >= pd.Timestamp(day), ["timestamp", *demand.FEATURES]]
    body = frame.to_csv(index=False, header=False, date_format="%Y-%m-%dT%H:%M:%S")
    s3.put_object(Bucket=options["bucket"], Key=options["output_key"], Body=body.encode())
    print(f"{len(frame)} hours of {day}")
    return frame


if __name__ == "__main__":
    main()
