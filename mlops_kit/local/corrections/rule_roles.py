"""Holds a rule's role to its policies when EventBridge starts a state machine; knows no other target.

The other targets of rules take a resource's own policy instead. Source: EventBridge User Guide, "Using
resource-based policies" and "Using IAM roles for targets"; "Monitoring" for the metric.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

from mlops_kit.local.authorization import Authorization
from mlops_kit.local.ministack import module
from mlops_kit.local.service import AwsError, Metric

logger = logging.getLogger(__name__)

_SESSION = "EventBridge"


def install(authorization: Authorization, metric: Metric) -> None:
    """Let no rule start a state machine that its target's role may not start."""
    loaded = module("services.eventbridge")
    invoke: Callable[..., Any] = loaded._invoke_target

    @functools.wraps(invoke)
    def invoked(target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], *rest: Any) -> Any:
        refusal = _refusal(authorization, target, rule)
        if refusal is None:
            return invoke(target, event, rule, *rest)
        logger.warning("The rule %s did not start %s: %s", rule.get("Name"), target.get("Arn"), refusal)
        region = str(rule.get("Arn", ":::")).split(":")[3]
        about = {"RuleName": str(rule.get("Name", ""))}
        metric("AWS/Events", "FailedInvocations", 1, "Count", about, region=region)
        return None

    loaded._invoke_target = invoked


def _refusal(authorization: Authorization, target: Mapping[str, Any], rule: Mapping[str, Any]) -> str | None:
    arn, role = str(target.get("Arn", "")), str(target.get("RoleArn") or "")
    if ":stateMachine:" not in arn:
        return None
    if not role or not authorization.assumable(role, "events.amazonaws.com", str(rule.get("Arn", ""))):
        return f"EventBridge may not assume the role {role or 'that its target does not name'}."
    try:
        authorization.check(role, "states:StartExecution", arn, session=_SESSION)
    except AwsError as error:
        return error.message
    return None
