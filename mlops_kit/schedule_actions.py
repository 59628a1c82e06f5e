"""Pause, resume and fire a schedule; must not make or remove what a template describes.

Sources: EventBridge Scheduler API Reference, "UpdateSchedule" (it replaces everything) and "CreateSchedule".
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_kit import timetable
from mlops_kit.deploy.aws import Session
from mlops_kit.errors import UsageError
from mlops_kit.observe.schedule_results import BY_HAND
from mlops_kit.observe.scheduled import Scheduled
from mlops_kit.observe.schedules import stand

_ANSWERED = ("ResponseMetadata", "Arn", "CreationDate", "LastModificationDate")
_SOON = timedelta(seconds=2)  # a one-time schedule must lie ahead when AWS reads it


def find(session: Session, name: str) -> Scheduled:
    """A schedule of the project by its name, or by ``GROUP/NAME``.

    Raises
    ------
    UsageError
        There is none, or more than one.
    """
    project = session.settings.project
    return timetable.find(stand(session.client, project), name, project)


def switch(session: Session, name: str, state: str) -> Scheduled:
    """Set a schedule's state, and nothing else.

    Parameters
    ----------
    session : Session
        Where it stands.
    name : str
        Its name.
    state : {"ENABLED", "DISABLED"}
        What it will be.

    Raises
    ------
    UsageError
        There is no such schedule, or it is over.
    """
    found = find(session, name)
    if found.body["State"] != state:
        session.client("scheduler").update_schedule(**_given(found, session.now()), State=state)
    return Scheduled({**found.body, "State": state}, found.pipeline, ())


def _given(found: Scheduled, now: datetime) -> dict[str, Any]:
    """Everything but the state, as UpdateSchedule takes it; it takes no date in the past."""
    given = {key: value for key, value in found.body.items() if key not in (*_ANSWERED, "State")}
    end, start = given.get("EndDate"), given.get("StartDate")
    if end is not None and end <= now:
        raise UsageError(f"The schedule {found.name!r} ended at {timetable.utc(end)}: it fires no more.")
    if start is not None and start <= now:
        del given["StartDate"]
        if found.expression.startswith("rate"):  # it counts from there: go on in step
            given["StartDate"] = next(found.fires(now))
    return given


def fire(session: Session, name: str) -> datetime:
    """Let Scheduler call a schedule's target now, with its own role, input, retries and dead letters.

    It is a one-time schedule beside the other, gone once it has fired; an execution that it starts says in
    its ``trigger`` that it was fired by hand.

    Returns
    -------
    datetime
        When it fires, UTC; on AWS within a minute from then.

    Raises
    ------
    UsageError
        There is no such schedule, or more than one.
    """
    found = find(session, name)
    when = session.now().astimezone(UTC) + _SOON
    session.client("scheduler").create_schedule(
        Name=f"{found.name[:47]}-by-hand-{secrets.token_hex(4)}",
        GroupName=found.group,
        ScheduleExpression=f"at({when:%Y-%m-%dT%H:%M:%S})",
        ScheduleExpressionTimezone="UTC",
        FlexibleTimeWindow={"Mode": "OFF"},
        ActionAfterCompletion="DELETE",
        Target=_marked(found.body["Target"]),
    )
    return when


def _marked(target: Mapping[str, Any]) -> dict[str, Any]:
    """The target, its input's trigger saying who it was."""
    try:
        given = json.loads(target.get("Input", ""))
    except ValueError:
        return dict(target)
    if not (isinstance(given, dict) and isinstance(given.get("trigger"), dict)):
        return dict(target)
    marked = {**given, "trigger": {**given["trigger"], "kind": BY_HAND}}
    return {**target, "Input": json.dumps(marked, ensure_ascii=False)}
