"""EvaluateModel: judges the metrics of challenger and champion; no pandas and no model in a Lambda."""

from __future__ import annotations

import json
import math
from typing import Any

import boto3


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Read ``metrics.json`` and judge it.

    Parameters
    ----------
    event : dict
        ``bucket``, ``key`` of the metrics, and ``thresholds`` as ``judge`` takes them.
    context : object
        Not used.

    Returns
    -------
    dict
        ``verdict``, ``reasons``, ``checks``, ``metrics`` and ``facts``: texts for the registry entry.
    """
    body = boto3.client("s3").get_object(Bucket=event["bucket"], Key=event["key"])["Body"].read()
    report = json.loads(body)
    return {
        **judge(report["metrics"], event["thresholds"]),
        "metrics": report["metrics"],
        "facts": facts(report),
    }


def judge(metrics: dict[str, dict[str, float] | None], thresholds: dict[str, float]) -> dict[str, Any]:
    """A verdict on a challenger.

    Parameters
    ----------
    metrics : dict
        Role (``challenger``, ``champion``, ``naive``) to metrics by name; no champion is ``None``.
    thresholds : dict
        ``wape``: the most that the challenger's may be. ``worse_by``: the most by which its WAPE may exceed
        the champion's.

    Returns
    -------
    dict
        ``verdict`` (``promote`` or ``reject``), ``reasons`` (one sentence a check), and ``checks``: the
        numbers that the workflow's Choice compares, ``wape`` and ``worse_by`` (0 without a champion).

    Raises
    ------
    ValueError
        The challenger's WAPE is missing or no number.
    """
    challenger, champion = metrics["challenger"], metrics.get("champion")
    if challenger is None:
        raise ValueError("there are no metrics of a challenger")
    wape = challenger["wape"]
    if not math.isfinite(wape):
        raise ValueError(f"the WAPE of the challenger is {wape}: the test hours hold no rentals")
    worse_by = wape - champion["wape"] if champion else 0.0
    within, good_enough = wape <= thresholds["wape"], worse_by <= thresholds["worse_by"]
    reasons = [f"WAPE {wape:.3f} is {'within' if within else 'above'} the limit of {thresholds['wape']:g}"]
    if champion is None:
        reasons.append("there is no champion to compare with")
    else:
        direction = "worse" if worse_by > 0 else "better"
        allowed = "" if good_enough else f", more than the {thresholds['worse_by']:g} allowed"
        reasons.append(
            f"it is {abs(worse_by):.3f} {direction} than the champion's {champion['wape']:.3f}{allowed}"
        )
    return {
        "verdict": "promote" if within and good_enough else "reject",
        "reasons": reasons,
        "checks": {"wape": wape, "worse_by": worse_by},
    }


def facts(report: dict[str, Any]) -> dict[str, str]:
    """Lineage as the registry takes it: at most 256 letters, digits, blanks and ``_.:/=+-@`` each."""
    data, model = report["data"], report["model"]
    packages = " ".join(f"{name}={version}" for name, version in sorted(model["packages"].items()))
    return {
        "train_start": data["train_start"],
        "train_end": data["train_end"],
        "data_hash": data["data_hash"],
        "model_sha256": model["sha256"],
        "packages": packages[:256],
        "rows": str(model["rows"]),
    }
