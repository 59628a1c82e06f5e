"""What Scheduler refuses when a schedule is made or changed; starts and keeps nothing.

Sources: EventBridge Scheduler API Reference, "CreateSchedule"; User Guide, "Managing targets", "Using
universal targets", "Setting up the execution role".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mlops_kit import cron
from mlops_kit.errors import UsageError
from mlops_kit.local.authorization_policies import trusts
from mlops_kit.local.scheduler.book import Key
from mlops_kit.local.scheduler.targets import TEMPLATED, universal
from mlops_kit.local.service import ACCOUNT, AwsError

_GRACE = timedelta(minutes=5)  # a StartDate may be this far in the past
_PRECISION = timedelta(seconds=60)  # with which every schedule fires
_READS = re.compile(
    r"(get|describe|list|poll|receive|search|scan|query|select|read|lookup|discover|validate|batchGet|"
    r"batchDescribe|batchRead|transactGet|adminGet|adminList|testMigration|retrieve|testConnection|"
    r"translateDocument|isAuthorized|invokeModel)([A-Z]|$)"
)
_OF_TARGETS = {
    "EcsParameters": "ecs",
    "EventBridgeParameters": "events",
    "KinesisParameters": "kinesis",
    "SageMakerPipelineParameters": "sagemaker",
    "SqsParameters": "sqs",
}
_NEEDED = ("EcsParameters", "EventBridgeParameters", "KinesisParameters")
_TRUST = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


def refusal(words: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", words, 400, {"Message": words})


def check(key: Key, body: Mapping[str, Any], now: datetime) -> None:
    """Refuse a schedule that AWS would refuse.

    Raises
    ------
    AwsError
        ValidationException, in AWS's words where they are known.
    """
    _check_times(body, now)
    _check_window(body["FlexibleTimeWindow"])
    _check_target(body["Target"])
    _check_role(key, body["Target"]["RoleArn"])


def _check_times(body: Mapping[str, Any], now: datetime) -> None:
    expression, zone = body["ScheduleExpression"], body["ScheduleExpressionTimezone"]
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise refusal(f"Invalid ScheduleExpressionTimezone {zone}.") from None
    try:
        cron.check(expression, zone, after=now - _PRECISION)
    except UsageError as error:
        raise refusal(f"Invalid Schedule Expression {expression}. ({error.message})") from None
    if expression.startswith("at("):
        return
    start, end = body.get("StartDate"), body.get("EndDate")
    if start is not None and start < now - _GRACE:
        raise refusal("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end < now:
        raise refusal("The EndDate you specify cannot be earlier than the current time.")
    if start is not None and end is not None and start >= end:
        raise refusal("The StartDate you specify must come before the EndDate.")


def _check_window(window: Mapping[str, Any]) -> None:
    minutes = window.get("MaximumWindowInMinutes")
    if window["Mode"] == "FLEXIBLE" and minutes is None:
        raise refusal("MaximumWindowInMinutes must be provided when FlexibleTimeWindow mode is FLEXIBLE.")
    if window["Mode"] == "OFF" and minutes is not None:
        raise refusal("MaximumWindowInMinutes must not be provided when FlexibleTimeWindow mode is OFF.")


def _check_target(target: Mapping[str, Any]) -> None:
    arn = target["Arn"]
    parts = arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        raise refusal("Provided Arn is not in correct format.")
    service = parts[2]
    if service == "scheduler" and parts[5] == "aws-sdk":
        _check_universal(arn, target)
        return
    if service not in TEMPLATED:
        raise refusal(f"{service} is not a supported service for a target.")
    if not TEMPLATED[service].arn.fullmatch(parts[5] if len(parts) == 6 else ":".join(parts[5:])):
        raise refusal("Provided Arn is not in correct format.")
    for name, of in _OF_TARGETS.items():
        if name in target and of != service:
            raise refusal(f"{name} is not supported for target {arn}.")
        if name in _NEEDED and of == service and name not in target:
            raise refusal(f"{name} is required for target {arn}.")
    if service in ("events", "states", "ecs") and "Input" in target:
        _json(target["Input"])


def _check_universal(arn: str, target: Mapping[str, Any]) -> None:
    service, _, action = arn.partition(":aws-sdk:")[2].partition(":")
    operation = universal(service, action)
    if operation is None:
        raise refusal(f"{service} is not a supported service for a target.")
    if operation == "" or _READS.match(action):
        raise refusal(f"{action} is not a supported api for a target of {service}.")
    parsed = _json(target.get("Input", "{}"))
    if not isinstance(parsed, dict):
        raise refusal("Invalid RequestJson provided. Reason: it is not an object.")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise refusal(f"Invalid RequestJson provided. Reason: {error}.") from None


def _check_role(key: Key, role_arn: str) -> None:
    """Refuse a role that Scheduler could not assume for a schedule of this group."""
    group = f"arn:aws:scheduler:{key.region}:{ACCOUNT}:schedule-group/{key.group}"
    if not trusts(role_arn, "scheduler.amazonaws.com", group):
        raise refusal(_TRUST)


def moment(epoch: float) -> datetime:
    """Epoch seconds as an aware datetime, to the millisecond."""
    return datetime.fromtimestamp(round(epoch, 3), UTC)
