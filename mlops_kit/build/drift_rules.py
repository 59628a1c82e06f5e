"""Drift rules as EventBridge rules whose pattern does the deciding; must not compute a statistic.

The monitor's event says, for each number of windows in a row, the lowest value that a statistic had in all of
them: so a pattern without a memory can ask for two windows above a threshold. Sources: EventBridge User
Guide, "Comparison operators for use in event patterns" and "Amazon EventBridge input transformation".
"""

from __future__ import annotations

import json
import re
from typing import Any

from mlops_kit.build import dead_letters
from mlops_kit.build.policy import Statement, Tags, arn, attached, role, same_account
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import DriftRule

SOURCE = "mlops-kit.drift"
DETECTED, MEASURED = "ModelDriftDetected", "ModelDriftMeasured"
OF_FEATURES, OF_ERROR = ("psi", "js", "ks", "chi_square"), ("bias", "wape", "error_vs_naive")
MOST_WINDOWS = 6
KIND = "drift-rule"  # of the trigger that an execution names
QUEUE = "DriftRuleDeadLetters"
_RETRY = {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}


def check(rule: DriftRule, model: str | None) -> None:
    """Refuse a rule that could never fire, or that EventBridge would refuse.

    Parameters
    ----------
    rule : DriftRule
        The rule.
    model : str or None
        Of the pipeline that it starts.

    Raises
    ------
    UsageError
        Says which part is wrong and what may stand there.
    """
    named = f"The drift rule on {rule.statistic!r}"
    if rule.statistic not in (*OF_FEATURES, *OF_ERROR):
        known = f"of features: {', '.join(OF_FEATURES)}; of the model's error: {', '.join(OF_ERROR)}"
        raise UsageError(f"There is no drift statistic {rule.statistic!r}.", suggestion=f"use one {known}.")
    if rule.features and rule.statistic in OF_ERROR:
        raise UsageError(
            f"{named} names features, but that is a statistic of the model's error.",
            suggestion=f"leave the features out, or use one of {', '.join(OF_FEATURES)}.",
        )
    if isinstance(rule.threshold, bool) or not 0 < rule.threshold < 1e9:  # EventBridge compares up to 1e9
        raise UsageError(
            f"{named} has the threshold {rule.threshold!r}.", suggestion="give a number above 0."
        )
    if not 1 <= rule.windows <= MOST_WINDOWS:
        raise UsageError(
            f"{named} asks for {rule.windows} windows.",
            suggestion=f"the monitor remembers 1 to {MOST_WINDOWS}.",
        )
    if rule.cooldown < 0:
        raise UsageError(f"{named} has a cooldown of {rule.cooldown} days.", suggestion="give 0 or more.")
    if not (rule.model or model):
        raise UsageError(
            f"{named} names no model, and neither does its pipeline.", suggestion="give model=..."
        )


def pattern(rule: DriftRule, model: str) -> dict[str, Any]:
    """The event pattern that decides.

    Parameters
    ----------
    rule : DriftRule
        A checked rule.
    model : str
        Whose drift it watches.

    Returns
    -------
    dict
        For the event of ``drift-monitor``; ``bias`` matches either sign.
    """
    above: list[Any] = [{"numeric": [">", rule.threshold]}]
    if rule.statistic == "bias":
        above.append({"numeric": ["<", -rule.threshold]})
    detail: dict[str, Any] = {"model": [model]}
    if rule.cooldown:
        detail["champion"] = {"age_days": [{"numeric": [">=", rule.cooldown]}]}
    windows = str(rule.windows)
    if rule.statistic in OF_ERROR:
        detail["lowest"] = {windows: {"error": {rule.statistic: above}}}
    elif not rule.features:
        detail["lowest"] = {windows: {"any": {rule.statistic: above}}}
    else:
        each = [
            {"lowest": {windows: {"features": {name: {rule.statistic: above}}}}} for name in rule.features
        ]
        detail |= each[0] if len(each) == 1 else {"$or": each}
    return {"source": [SOURCE], "detail-type": [DETECTED, MEASURED], "detail": detail}


def resources(stack: str, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """Rules on the project's bus that start the state machine, their role, and their dead letters.

    Raises
    ------
    UsageError
        A rule cannot be used, or two have one name.
    """
    if not pipeline.drift_rules:
        return {}
    found: dict[str, Any] = {
        **dead_letters.resources(QUEUE, f"{stack}-drift-dead-letters", tags, "events.amazonaws.com"),
        **_role(stack, tags),
    }
    for rule in pipeline.drift_rules:
        check(rule, pipeline.model)
        logical = f"{re.sub('[^A-Za-z0-9]', '', rule.label.title())}Rule"
        if logical in found:
            raise UsageError(
                f"Two drift rules of {pipeline.name!r} are named {rule.label!r}.",
                suggestion="give one a name.",
            )
        found[logical] = _rule(rule_name(stack, rule), rule, str(rule.model or pipeline.model))
    return found


def rule_name(stack: str, rule: DriftRule) -> str:
    """The name that a rule has in EventBridge, and by which it is named as a trigger."""
    return f"{stack}-{rule.label}"


def _rule(full_name: str, rule: DriftRule, model: str) -> dict[str, Any]:
    if not re.fullmatch(r"[.\-_A-Za-z0-9]{1,64}", full_name):
        raise UsageError(
            f"{full_name!r} cannot be a rule's name.",
            suggestion="give the rule a shorter one, of a-z, 0-9, '-'.",
        )
    wanted = pattern(rule, model)
    return {
        "Type": "AWS::Events::Rule",
        "DependsOn": "DriftRulePolicy",
        "Properties": {
            "Name": full_name,
            "Description": f"{rule.statistic} above {rule.threshold:g} in {rule.windows} windows in a row",
            "EventBusName": {"Ref": "EventBus"},
            "EventPattern": wanted,
            "State": "ENABLED",
            "Targets": [
                {
                    "Id": "StateMachine",
                    "Arn": {"Ref": "StateMachine"},
                    "RoleArn": {"Fn::GetAtt": ["DriftRuleRole", "Arn"]},
                    "InputTransformer": _transformer(rule, full_name),
                    "RetryPolicy": _RETRY,
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": [QUEUE, "Arn"]}},
                }
            ],
        },
    }


def _transformer(rule: DriftRule, full_name: str) -> dict[str, Any]:
    """The event as the retraining's input; what is quoted in the template stays text."""
    given = {
        "as_of": "<as_of>",
        "trigger": {"kind": KIND, "name": full_name, "id": "<id>"},
        **rule.input,
    }
    text = json.dumps(given, ensure_ascii=False)
    return {"InputPathsMap": {"as_of": "$.detail.as_of", "id": "$.id"}, "InputTemplate": text}


def _role(stack: str, tags: Tags) -> dict[str, Any]:
    of_rules = ("ArnLike", "aws:SourceArn", (arn("events", f"rule/${{EventBus}}/{stack}-*"),))
    start = Statement("Start", ("states:StartExecution",), ("${StateMachine}",))
    return {
        "DriftRuleRole": role("events.amazonaws.com", tags, (*same_account(), of_rules)),
        "DriftRulePolicy": attached("DriftRuleRole", "StartThePipeline", [start]),
    }
