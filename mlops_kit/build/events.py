"""Event rules of a pipeline as resources, and the rule of every pipeline that claims windows; starts nothing.

Source: EventBridge User Guide, "Using resource-based policies for Amazon EventBridge".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlops_kit import artifacts
from mlops_kit.artifacts import Artifact
from mlops_kit.build.policy import arn
from mlops_kit.build.tokens import sub
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import EventRule, Permission

_HANDLERS = Path(artifacts.__file__).parent / "handlers"


def resources(stack: str, pipeline: Pipeline) -> dict[str, Any]:
    """Rules on AWS's own bus, each with the permission to call its function.

    There is no dead-letter queue: EventBridge tries for a day, and a claim expires before.

    Raises
    ------
    UsageError
        A rule calls a function that the pipeline does not have.
    """
    found: dict[str, Any] = {}
    functions = [one.name for one in pipeline.functions]
    for rule in pipeline.rules:
        if rule.function not in functions:
            raise UsageError(
                f"The rule {rule.name!r} calls {rule.function!r}, no function of {pipeline.name!r}.",
                suggestion=f"name one of its functions: {', '.join(functions) or 'it has none'}.",
            )
        found |= _rule(stack, rule)
    return found


def _rule(stack: str, rule: EventRule) -> dict[str, Any]:
    function = {"Fn::GetAtt": [f"{rule.function}Function", "Arn"]}
    return {
        f"{rule.name}Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Name": f"{stack}-{rule.name}",
                "EventPattern": _filled(rule.pattern),
                "State": "ENABLED",
                "Targets": [{"Id": rule.function, "Arn": function}],
            },
        },
        f"{rule.name}Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": function,
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::GetAtt": [f"{rule.name}Rule", "Arn"]},
            },
        },
    }


def _filled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner) for inner in value]
    return sub(value) if isinstance(value, str) else value


def release_claim(settings: Settings, pipeline: str) -> tuple[Function, EventRule]:
    """What frees a window whose execution could not: it was aborted, ran out of time, or failed uncaught.

    Parameters
    ----------
    settings : Settings
        Gives the project.
    pipeline : str
        Name of a pipeline that claims windows in the lock table as ``owner``, ``status`` ``claimed``.
    """
    source = _HANDLERS / "release_claim.py"
    table = arn("dynamodb", "table/${LockTable}")
    execution = arn("states", f"execution:{settings.project}-{pipeline}:*")
    function = Function(
        "ReleaseClaim",
        "release_claim.handler",
        Artifact("release_claim", "zip", ((source.name, source),)),
        environment={"LOCK_TABLE": "${LockTable}", "CRITICAL_TOPIC": "${CriticalTopic}"},
        permissions=(
            Permission("FreeClaims", ("dynamodb:Scan", "dynamodb:DeleteItem"), (table,)),
            Permission("Tell", ("sns:Publish",), ("${CriticalTopic}",)),
            Permission(
                "StopWithoutClaim", ("states:DescribeExecution", "states:StopExecution"), (execution,)
            ),
        ),
    )
    detail = {"stateMachineArn": ["${StateMachine}"]}
    ended = {"status": ["ABORTED", "TIMED_OUT", "FAILED"]}
    redriven = {"status": ["RUNNING"], "redriveCount": [{"numeric": [">", 0]}]}
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {**detail, "$or": [ended, redriven]},
    }
    return function, EventRule("ExecutionEnded", pattern, function.name)
