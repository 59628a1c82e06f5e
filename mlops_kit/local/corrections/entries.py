"""Entries of PutEvents that AWS does not take: each has its error, and the others go on.

Source: EventBridge API Reference, "PutEvents" and "PutEventsResultEntry".
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from mlops_kit.local.ministack import module

_REQUIRED = ("Source", "DetailType", "Detail")


def install() -> None:
    """Look at entries before ministack does."""
    events = module("services.eventbridge")
    take = events._put_events

    @functools.wraps(take)
    def checked(data: Mapping[str, Any], **kwargs: Any) -> Any:
        refused = [_refusal(entry) for entry in data.get("Entries", ())]
        if not any(refused):
            return take(data, **kwargs)
        taken = [entry for entry, error in zip(data["Entries"], refused, strict=True) if error is None]
        status, headers, body = take({**data, "Entries": taken}, **kwargs)
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        results = iter(answer["Entries"])
        answer["Entries"] = [error or next(results) for error in refused]
        answer["FailedEntryCount"] += sum(error is not None for error in refused)
        return status, headers, json.dumps(answer).encode()

    events._put_events = checked


def _refusal(entry: Mapping[str, Any]) -> dict[str, str] | None:
    for name in _REQUIRED:
        if not entry.get(name):
            words = f"Parameter {name} is not valid. Reason: {name} is a required argument."
            return {"ErrorCode": "InvalidArgument", "ErrorMessage": words}
    try:
        detail = json.loads(entry["Detail"])
    except (TypeError, ValueError):
        detail = None
    if not isinstance(detail, dict):
        return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
    return None
