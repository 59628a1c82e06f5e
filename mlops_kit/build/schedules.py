"""Schedules of a pipeline as resources: with their group, roles, dead letters and alarm; starts nothing.

Sources: EventBridge Scheduler User Guide, "Adding context attributes to schedule inputs", "Configuring a
schedule's dead-letter queue", "Confused deputy prevention in EventBridge Scheduler".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_kit.build import dead_letters
from mlops_kit.build.policy import Statement, Tags, arn, attached, role, same_account
from mlops_kit.build.schedule_checks import check, check_input, filled_in, text_of
from mlops_kit.build.schedule_targets import Called, called
from mlops_kit.build.tokens import resolve, sub, table, used
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import Schedule, Target

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
EXECUTION_ID = "<aws.scheduler.execution-id>"
QUEUE, GROUP = "ScheduleDeadLetters", "ScheduleGroup"
_OWN = Target("${StateMachine}")


@dataclass(frozen=True)
class _Planned:
    """A schedule with everything that its resource needs."""

    schedule: Schedule
    name: str
    group: str
    logical: str
    target: Called
    payload: str | None


def tokens(pipeline: Pipeline) -> tuple[str, ...]:
    """Tokens in the inputs of the schedules.

    Raises
    ------
    UsageError
        One stands for nothing in this pipeline.
    """
    found = [
        token
        for number, one in enumerate(pipeline.schedules, 1)
        for token in used(one.input, table(pipeline), f"schedule {one.name or number}, input ")
    ]
    return tuple(dict.fromkeys(found))


def resources(project: str, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """The schedules of a pipeline.

    Parameters
    ----------
    project : str
        Prefix of names.
    pipeline : Pipeline
        Whose state machine is the resource ``StateMachine`` of the same template.
    tags : list of dict

    Returns
    -------
    dict
        Resources by logical id; empty without schedules.

    Raises
    ------
    UsageError
        A schedule cannot be used, or two have one name.
    """
    stack = f"{project}-{pipeline.name}"
    planned = [_plan(project, pipeline, number) for number in range(1, len(pipeline.schedules) + 1)]
    _check_names(planned)
    found: dict[str, Any] = {}
    if any(one.group == stack for one in planned):
        properties = {"Name": stack, "Tags": tags}
        found[GROUP] = {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": properties}
    if any(one.schedule.dead_letter for one in planned):
        found |= dead_letters.resources(QUEUE, f"{stack}-schedules-dlq", tags)
    for label in dict.fromkeys(one.target.label for one in planned):
        found |= _role([one for one in planned if one.target.label == label], tags)
    return found | {one.logical: _resource(stack, pipeline, one) for one in planned}


def payload(pipeline: Pipeline, schedule: Schedule, name: str) -> Mapping[str, Any]:
    """What a schedule hands on.

    For the pipeline's own state machine, ``as_of`` is the scheduled time and ``trigger`` the schedule, unless
    given or not taken.
    """
    if schedule.target is not None and schedule.target.arn != _OWN.arn:
        return schedule.input
    trigger = {"kind": "schedule", "name": name, "id": EXECUTION_ID}
    ours = {"as_of": SCHEDULED_TIME, "trigger": trigger}
    return filled_in(ours, schedule.input, pipeline.input_schema)


def _plan(project: str, pipeline: Pipeline, number: int) -> _Planned:
    schedule, stack = pipeline.schedules[number - 1], f"{project}-{pipeline.name}"
    name, group = schedule.name or f"{stack}-{number}", schedule.group or stack
    check(schedule, name, group)
    given = payload(pipeline, schedule, name)
    text = text_of(name, given)
    if schedule.target is None:
        check_input(f"the schedule {name!r}", given, pipeline.input_schema)
    target = called(pipeline, project, name, schedule.target or _OWN, given)
    # A logical id from the name: two schedules that swap places keep theirs, and so their names.
    label = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", schedule.name or ""))
    logical = f"{label}Schedule" if label else f"Schedule{number}"
    return _Planned(schedule, name, group, logical, target, text if target.input else None)


def _check_names(planned: Sequence[_Planned]) -> None:
    seen: dict[str, str] = {}
    for one in planned:
        if one.logical in seen:
            raise UsageError(
                f"Two schedules are named {seen[one.logical]!r} and {one.name!r}.",
                suggestion="let their names differ in letters or digits.",
            )
        seen[one.logical] = one.name


def _resource(stack: str, pipeline: Pipeline, one: _Planned) -> dict[str, Any]:
    schedule, window = one.schedule, one.schedule.flexible_window
    target: dict[str, Any] = {
        "Arn": sub(one.target.arn),
        "RoleArn": {"Fn::GetAtt": [f"Schedule{one.target.label}Role", "Arn"]},
        "RetryPolicy": {
            "MaximumRetryAttempts": schedule.retry.attempts,
            "MaximumEventAgeInSeconds": schedule.retry.maximum_age,
        },
        **(_filled(schedule.target.parameters, pipeline) if schedule.target else {}),
    }
    if one.payload is not None:
        target["Input"] = _substituted(one.payload, pipeline)
    if schedule.dead_letter:
        target["DeadLetterConfig"] = {"Arn": {"Fn::GetAtt": [QUEUE, "Arn"]}}
    flexible = {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": window} if window else {"Mode": "OFF"}
    dates = {"StartDate": schedule.start, "EndDate": schedule.end}
    return {
        "Type": "AWS::Scheduler::Schedule",
        "DependsOn": f"Schedule{one.target.label}Policy",
        "Properties": {
            "Name": one.name,
            "GroupName": {"Ref": GROUP} if one.group == stack else one.group,
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            **{key: value for key, value in dates.items() if value is not None},
            "FlexibleTimeWindow": flexible,
            "State": "ENABLED",
            "Target": target,
        },
    }


def _filled(value: Any, pipeline: Pipeline) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, pipeline) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, pipeline) for inner in value]
    return sub(resolve(value, table(pipeline))) if isinstance(value, str) else value


def _substituted(text: str, pipeline: Pipeline) -> Any:
    """Text with its tokens resolved; any other ``${`` stays what it is."""
    known = table(pipeline)
    if not used(text, known):
        return text
    return sub(resolve(re.sub(r"\$\{(?![A-Za-z][A-Za-z0-9:]*\})", "${!", text), known))


def _role(planned: Sequence[_Planned], tags: Tags) -> dict[str, Any]:
    """Role and policy of the schedules that call targets of one kind.

    Scheduler's trust cannot be narrowed to single schedules, only to their groups.
    """
    groups = tuple(dict.fromkeys(arn("scheduler", f"schedule-group/{one.group}") for one in planned))
    needs = [need for one in planned for need in one.target.needs]
    if any(one.schedule.dead_letter for one in planned):
        needs.append(Statement("DeadLetters", ("sqs:SendMessage",), (f"${{{QUEUE}.Arn}}",)))
    name = f"Schedule{planned[0].target.label}"
    of_groups = (*same_account(), ("ArnEquals", "aws:SourceArn", groups))
    return {
        f"{name}Role": role("scheduler.amazonaws.com", tags, of_groups),
        f"{name}Policy": attached(f"{name}Role", "WhatTheSchedulesCall", needs),
    }
