"""ProfileStatement: the SQL that profiles a window in Athena with the ranges of the champion's training."""

from __future__ import annotations

import re
from typing import Any

import boto3

from mlops_kit.drift import sql
from mlops_kit.drift.profile import Profile


def handler(event: dict[str, Any], context: object) -> str:
    """The statement.

    Parameters
    ----------
    event : dict
        ``profile``: S3 URI of the champion's; ``table``: database and table, quoted; ``run``: the partition.
    context : object
        Not used.

    Raises
    ------
    ValueError
        The run is no name of hexadecimal digits: it becomes part of the statement.
    """
    if not re.fullmatch(r"[0-9a-f]+", event["run"]):
        raise ValueError(f"{event['run']!r} is no run")
    bucket, _, key = event["profile"].removeprefix("s3://").partition("/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    layout = Profile.from_json(body)
    types = dict.fromkeys(layout.categories, "DOUBLE")
    # the table is the pipeline's own, and the run is digits
    table = f"(SELECT * FROM {event['table']} WHERE run = {sql.literal(event['run'])}) AS features"  # noqa: S608
    return sql.statement(layout, table, "athena", types=types)
