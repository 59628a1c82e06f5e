"""The events that SageMaker puts on the default bus; must not decide when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_kit.local.sagemaker.records import Record
from mlops_kit.local.sagemaker.tags import as_mapping
from mlops_kit.local.service import Context


def emit(
    context: Context, detail_type: str, record: Record, arn: str, changed: Mapping[str, Any] | None = None
) -> None:
    """Emit a state change: the Describe answer with times in epoch milliseconds, and the tags.

    Source: "Events that Amazon SageMaker AI sends to Amazon EventBridge".
    """
    detail = {**_plain(public(record["View"])), **(changed or {}), "Tags": as_mapping(record)}
    context.within(arn.split(":")[3]).emit("aws.sagemaker", detail_type, detail, [arn])


def public(view: Mapping[str, Any]) -> dict[str, Any]:
    """A Describe answer without what only this service keeps in it."""
    return {member: value for member, value in view.items() if not member.startswith("_")}


def shouted(status: str) -> str:
    """``InService`` as endpoint events spell it: ``IN_SERVICE``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", status).upper()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
