"""What starts a pipeline: its schedules as resources, their expressions checked; computes no times.

Source: EventBridge Scheduler User Guide, "Adding context attributes to schedule inputs".
"""

from __future__ import annotations

import json
from typing import Any

from mlops_kit import cron
from mlops_kit.build.iam import schedule_role
from mlops_kit.build.policy import Tags
from mlops_kit.pipeline import Pipeline, Schedule

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"
# A start that AWS refuses for a moment is tried again for an hour; a later one would be the next window's.
RETRY_POLICY = {"MaximumRetryAttempts": 10, "MaximumEventAgeInSeconds": 3600}


def schedule_input(schedule: Schedule) -> str:
    """Input of the execution as Scheduler hands it on, ``as_of`` being the scheduled time unless given."""
    return json.dumps({"as_of": SCHEDULED_TIME, **schedule.input}, ensure_ascii=False)


def resources(group: str, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """The schedules of a pipeline with their group and the role that starts it.

    Parameters
    ----------
    group : str
        Name of the schedule group, and prefix of the schedules' names.
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
        A schedule cannot be used.
    """
    if not pipeline.schedules:
        return {}
    found: dict[str, Any] = {
        "ScheduleGroup": {
            "Type": "AWS::Scheduler::ScheduleGroup",
            "Properties": {"Name": group, "Tags": tags},
        },
        **schedule_role(group, "${StateMachine}", tags),
    }
    for number, schedule in enumerate(pipeline.schedules, 1):
        cron.check(schedule.expression, schedule.timezone)
        found[f"Schedule{number}"] = _schedule(f"{group}-{number}", schedule)
    return found


def _schedule(name: str, schedule: Schedule) -> dict[str, Any]:
    return {
        "Type": "AWS::Scheduler::Schedule",
        "DependsOn": "SchedulePolicy",
        "Properties": {
            "Name": name,
            "GroupName": {"Ref": "ScheduleGroup"},
            "ScheduleExpression": schedule.expression,
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": "ENABLED",
            "Target": {
                "Arn": {"Ref": "StateMachine"},
                "RoleArn": {"Fn::GetAtt": ["ScheduleRole", "Arn"]},
                "Input": schedule_input(schedule),
                "RetryPolicy": RETRY_POLICY,
            },
        },
    }
