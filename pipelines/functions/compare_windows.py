"""CompareWindows: the window against the champion's training and against the windows before it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import boto3

from mlops_kit.drift import sql, windows
from mlops_kit.drift.profile import Profile
from mlops_kit.drift.windows import Window


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Compare, keep the result in S3, and say what is to be published.

    Parameters
    ----------
    event : dict
        ``model``, ``champion`` (ARN), ``trained_until``, ``window`` (``start``, ``end``), ``limits``; S3 URIs
        of the champion's ``profile``, of the Athena answer's ``rows``, of the ``metrics``, and of the folder
        of ``results``.
    context : object
        Not used.

    Returns
    -------
    dict
        ``detail`` of the event, and ``metrics`` for CloudWatch.
    """
    s3 = boto3.client("s3")
    reference = Profile.from_json(_read(s3, event["profile"]))
    rows = list(csv.reader(io.StringIO(_read(s3, event["rows"]).decode())))[1:]
    profile = sql.read(reference, rows)
    scored = json.loads(_read(s3, event["metrics"]))
    window = Window(
        event["window"]["start"],
        event["window"]["end"],
        windows.features(reference, profile),
        errors(scored),
    )
    before = sorted(_before(s3, event), key=lambda one: one["window"]["end"])
    row = [Window(**one["window"]) for one in before] + [window]
    changed = _since(before, window.start, profile)
    detail = windows.detail(
        event["model"], event["trained_until"], row, event["limits"], rows=profile.rows, **changed
    )
    kept = {"champion": event["champion"], "window": vars(window), "profile": json.loads(profile.to_json())}
    bucket, key = _place(event["results"])
    body = json.dumps({**kept, "detail": detail}).encode()
    s3.put_object(Bucket=bucket, Key=f"{key}{window.end}.json", Body=body)
    return {"detail": detail, "metrics": list(metrics(event["model"], window))}


def errors(scored: dict[str, dict[str, float]]) -> dict[str, float]:
    """The champion's error, and how it compares with the naive forecast's.

    Parameters
    ----------
    scored : dict
        ``champion`` and ``naive``, each with ``wape`` and ``bias``.
    """
    champion, naive = scored["champion"], scored["naive"]
    found = {"wape": champion["wape"], "bias": champion["bias"]}
    if naive["wape"] > 0:
        found["error_vs_naive"] = champion["wape"] / naive["wape"]
    return found


def metrics(model: str, window: Window) -> Iterator[dict[str, Any]]:
    """CloudWatch data: statistics by model and feature, errors by model, at the window's end."""
    for name, value in window.error.items():
        yield _metric(name, value, window.end, Model=model)
    for feature, found in window.features.items():
        for statistic, value in found.items():
            yield _metric(statistic, value, window.end, Model=model, Feature=feature)


def _metric(name: str, value: float, day: str, **dimensions: str) -> dict[str, Any]:
    named = [{"Name": key, "Value": text} for key, text in dimensions.items()]
    return {"MetricName": name, "Dimensions": named, "Timestamp": f"{day}T00:00:00Z", "Value": value}


def _before(s3: Any, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Results of earlier windows against the same champion."""
    bucket, prefix = _place(event["results"])
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    ends = {key: key.removeprefix(prefix).removesuffix(".json") for key in keys}
    earlier = [key for key in keys if ends[key] < event["window"]["end"]]
    for key in sorted(earlier)[-100:]:
        found = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if found["champion"] == event["champion"]:
            yield found


def _since(before: list[dict[str, Any]], start: str, profile: Profile) -> dict[str, Any]:
    """PSI of each feature against the window just before, if that was measured."""
    for one in before:
        if one["window"]["end"] == start:
            former = Profile.from_json(json.dumps(one["profile"]))
            found = windows.features(former, profile)
            return {"since_last_window": {name: one["psi"] for name, one in found.items() if "psi" in one}}
    return {}


def _read(s3: Any, uri: str) -> bytes:
    bucket, key = _place(uri)
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
