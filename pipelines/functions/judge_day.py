"""JudgeDay: what Athena measured of a day's raw data against what is expected of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import boto3


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Read the row of figures and judge it.

    Parameters
    ----------
    event : dict
        ``rows`` (S3 URI of Athena's result), ``table`` (its name, for people), and ``expectations`` in the
        order of the result's columns: ``name``, ``expected``, ``found``, ``least`` and ``most``.
    context : object
        Not used.

    Returns
    -------
    dict
        As ``judge`` gives it.

    Raises
    ------
    ValueError
        The result has not one row with a figure for each expectation.
    """
    bucket, _, key = event["rows"].removeprefix("s3://").partition("/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    rows = list(csv.reader(io.StringIO(body)))[1:]
    if [len(row) for row in rows] != [len(event["expectations"])]:
        raise ValueError(
            f"the query gave {len(rows)} rows; one with {len(event['expectations'])} figures was expected"
        )
    return judge(event["expectations"], [float(cell) if cell else None for cell in rows[0]], event["table"])


def judge(
    expectations: Sequence[dict[str, Any]], figures: Sequence[float | None], table: str
) -> dict[str, Any]:
    """A verdict on a day.

    Parameters
    ----------
    expectations : sequence of dict
        As the event has them.
    figures : sequence of float or None
        One each; None where there was nothing to measure.
    table : str
        Where the rows are.

    Returns
    -------
    dict
        ``verdict`` (``fit`` or ``breach``), ``checked`` (number of expectations), and ``breaches``: what was
        looked at, where, what was expected, and what was found.
    """
    breaches = [
        {"what": one["name"], "where": table, "expected": one["expected"], "found": found(one, figure)}
        for one, figure in zip(expectations, figures, strict=True)
        if not fits(one, figure)
    ]
    return {"verdict": "breach" if breaches else "fit", "checked": len(figures), "breaches": breaches}


def fits(expectation: dict[str, Any], figure: float | None) -> bool:
    """Whether a figure is there and within its bounds."""
    if figure is None:
        return False
    least, most = expectation.get("least"), expectation.get("most")
    return (least is None or figure >= least) and (most is None or figure <= most)


def found(expectation: dict[str, Any], figure: float | None) -> str:
    """What was found, in words."""
    return "nothing to measure" if figure is None else str(expectation["found"]).format(figure)
