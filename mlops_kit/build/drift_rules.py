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
from mlops_kit.build.schedule_checks import check_input, filled_in
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import DriftRule

SOURCE = "mlops-kit.drift"
DETECTED, MEASURED = "ModelDriftDetected", "ModelDriftMeasured"
OF_FEATURES, OF_ERROR = ("psi", "js", "ks", "chi_square"), ("bias", "wape", "error_vs_naive")
MOST_WINDOWS = 6
KIND = "drift-rule"  # of the trigger that an execution names
QUEUE = "DriftRuleDeadLetters"
# None reaches its limit; of PSI, whose shares are 0.0001 at least, twice the logarithm of 10,000.
_BELOW = {"psi": 18.4, "js": 1.0, "ks": 1.0}
_LONGEST = 4096  # characters of a pattern
_RETRY = {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}


def check(rule: DriftRule, pipeline: Pipeline) -> None:
    """Refuse a rule that could never fire, that EventBridge would refuse, or whose executions would fail.

    Parameters
    ----------
    rule : DriftRule
        The rule.
    pipeline : Pipeline
        What it starts; its features are known of its own model only.

    Raises
    ------
    UsageError
        Says which part is wrong and what may stand there.
    """
    named = f"The drift rule on {rule.statistic!r}"
    if rule.statistic not in (*OF_FEATURES, *OF_ERROR):
        known = f"of features: {', '.join(OF_FEATURES)}; of the model's error: {', '.join(OF_ERROR)}"
        raise UsageError(f"There is no drift statistic {rule.statistic!r}.", suggestion=f"use one {known}.")
    below = _BELOW.get(rule.statistic, 1e9)  # EventBridge compares up to 1e9
    if type(rule.threshold) not in (int, float) or not 0 < rule.threshold < below:
        raise UsageError(
            f"{named} has the threshold {rule.threshold!r}.",
            suggestion=f"give a number above 0 and below {below:g}.",
        )
    if type(rule.windows) is not int or not 1 <= rule.windows <= MOST_WINDOWS:
        raise UsageError(
            f"{named} asks for {rule.windows!r} windows.",
            suggestion=f"the monitor remembers 1 to {MOST_WINDOWS}.",
        )
    if type(rule.cooldown) is not int or rule.cooldown < 0:
        raise UsageError(
            f"{named} has a cooldown of {rule.cooldown!r} days.", suggestion="give a whole number, 0 or more."
        )
    if not (rule.model or pipeline.model):
        raise UsageError(
            f"{named} names no model, and neither does its pipeline.", suggestion="give model=..."
        )
    _check_features(rule, named, pipeline)
    size = len(json.dumps(pattern(rule, str(rule.model or pipeline.model)), separators=(",", ":")))
    if size > _LONGEST:
        raise UsageError(
            f"{named} makes a pattern of {size:,} characters; EventBridge takes {_LONGEST:,}.",
            suggestion="name fewer features, none for any of all, or make several rules.",
        )
    _check_input(rule, named, pipeline)


def _check_features(rule: DriftRule, named: str, pipeline: Pipeline) -> None:
    if rule.features and rule.statistic in OF_ERROR:
        raise UsageError(
            f"{named} names features, but that is a statistic of the model's error.",
            suggestion=f"leave the features out, or use one of {', '.join(OF_FEATURES)}.",
        )
    if not isinstance(rule.features, tuple | list) or not all(
        isinstance(one, str) and one for one in rule.features
    ):
        raise UsageError(
            f"{named} has the features {rule.features!r}.",
            suggestion="give a tuple of names, such as ('temp',).",
        )
    known = pipeline.features if rule.model in (None, pipeline.model) else ()
    unknown = [one for one in rule.features if known and one not in known]
    if unknown:
        raise UsageError(
            f"{named} names the feature {unknown[0]!r}, which {pipeline.model} does not have.",
            suggestion=f"it has {', '.join(known)}.",
        )


def _check_input(rule: DriftRule, named: str, pipeline: Pipeline) -> None:
    try:
        text = json.dumps(rule.input, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{named} has an input that is no JSON: {error}.") from None
    if found := re.search(r"<[\w.-]+>", text):
        raise UsageError(
            f"{named} has {found[0]} in its input, which EventBridge would take for a part of the event.",
            suggestion="write it without '<' and '>'.",
        )
    example = {"as_of": "2026-01-31", "trigger": {"kind": KIND, "name": rule.label, "id": "id"}}
    given = filled_in(example, rule.input, pipeline.input_schema)
    check_input(f"the drift rule on {rule.statistic!r}", given, pipeline.input_schema)


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
        check(rule, pipeline)
        logical = f"{re.sub('[^A-Za-z0-9]', '', rule.label.title())}Rule"
        if logical in found:
            raise UsageError(
                f"Two drift rules of {pipeline.name!r} are named {rule.label!r}.",
                suggestion="give one a name.",
            )
        found[logical] = _rule(rule_name(stack, rule), rule, pipeline)
    return found


def rule_name(stack: str, rule: DriftRule) -> str:
    """The name that a rule has in EventBridge, and by which it is named as a trigger."""
    return f"{stack}-{rule.label}"


def _rule(full_name: str, rule: DriftRule, pipeline: Pipeline) -> dict[str, Any]:
    if not re.fullmatch(r"[.\-_A-Za-z0-9]{1,64}", full_name):
        raise UsageError(
            f"{full_name!r} cannot be a rule's name.",
            suggestion="give the rule a shorter one, of a-z, 0-9, '-'.",
        )
    wanted = pattern(rule, str(rule.model or pipeline.model))
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
                    "InputTransformer": _transformer(rule, full_name, pipeline),
                    "RetryPolicy": _RETRY,
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": [QUEUE, "Arn"]}},
                }
            ],
        },
    }


def _transformer(rule: DriftRule, full_name: str, pipeline: Pipeline) -> dict[str, Any]:
    """The event as the retraining's input; what is quoted in the template stays text."""
    ours = {"as_of": "<as_of>", "trigger": {"kind": KIND, "name": full_name, "id": "<id>"}}
    text = json.dumps(filled_in(ours, rule.input, pipeline.input_schema), ensure_ascii=False)
    return {"InputPathsMap": {"as_of": "$.detail.as_of", "id": "$.id"}, "InputTemplate": text}


def _role(stack: str, tags: Tags) -> dict[str, Any]:
    of_rules = ("ArnLike", "aws:SourceArn", (arn("events", f"rule/${{EventBus}}/{stack}-*"),))
    start = Statement("Start", ("states:StartExecution",), ("${StateMachine}",))
    return {
        "DriftRuleRole": role("events.amazonaws.com", tags, (*same_account(), of_rules)),
        "DriftRulePolicy": attached("DriftRuleRole", "StartThePipeline", [start]),
    }
