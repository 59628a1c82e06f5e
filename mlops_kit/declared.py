"""The schedules that the project's pipelines describe and that do not stand yet; asks AWS nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from mlops_kit import catalog
from mlops_kit.observe.scheduled import Scheduled
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule

NOT_APPLIED = "NOT_APPLIED"  # in place of a state


def missing(settings: Settings, standing: Iterable[Scheduled], now: datetime, count: int) -> list[Scheduled]:
    """Schedules of the catalog's pipelines, each built with its defaults, that are not among those standing.

    Parameters
    ----------
    settings : Settings
        Gives the project.
    standing : iterable of Scheduled
        Those that there are.
    now : datetime
        Aware; rates count from here.
    count : int
        How many of the next fires.
    """
    there = {(one.group, one.name) for one in standing}
    found = []
    for entry in catalog.entries():
        pipeline = catalog.build(settings, entry.name)
        for number, schedule in enumerate(pipeline.schedules, 1):
            body = _body(settings.project, pipeline, schedule, number, now)
            if (body["GroupName"], body["Name"]) not in there:
                one = Scheduled(body, pipeline.name, ())
                found.append(Scheduled(body, pipeline.name, tuple(islice(one.fires(now), count))))
    return found


def _body(project: str, pipeline: Pipeline, schedule: Schedule, number: int, now: datetime) -> dict[str, Any]:
    """A schedule in the words of GetSchedule."""
    stack, window = f"{project}-{pipeline.name}", schedule.flexible_window
    target = schedule.target
    arn = target.arn if target else "${StateMachine}"
    arn = arn.replace("${StateMachine}", f"arn:aws:states:::stateMachine:{stack}")
    arn = re.sub(r"\$\{(\w+)Function\}", rf"arn:aws:lambda:::function:{stack}-\1", arn)
    arn = re.sub(r"^\$\{(\w+)\}$", r"arn:aws::::\1", arn)
    dates = {"StartDate": schedule.start, "EndDate": schedule.end}
    return {
        "Name": schedule.name or f"{stack}-{number}",
        "GroupName": schedule.group or stack,
        "State": NOT_APPLIED,
        "CreationDate": now.astimezone(UTC),
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "FlexibleTimeWindow": {"MaximumWindowInMinutes": window} if window else {},
        "Target": {"Arn": arn, **(target.parameters if target else {})},
        **{key: datetime.fromisoformat(text) for key, text in dates.items() if text},
    }
