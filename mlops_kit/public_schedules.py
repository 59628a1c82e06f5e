"""What ``import mlops_kit as kit`` shows of schedules: a function a verb; no work of its own."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_kit.pipeline import Pipeline

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.schedules import Scheduled
    from mlops_kit.timetable import Occurrences, Timetable


def schedules(session: Session, pipeline: Pipeline | str | None = None, next: int = 3) -> Timetable:
    """Everything that is scheduled: when it fires next, and what came of the last time.

    Parameters
    ----------
    session : Session
        Where.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.
    next : int
        How many of the next fires.
    """
    from mlops_kit.observe.schedules import read
    from mlops_kit.timetable import Timetable

    name, now = pipeline.name if isinstance(pipeline, Pipeline) else pipeline, session.now()
    found = read(session.client, session.settings.project, now, next, name)
    return Timetable(tuple(found), now, session.where)


def calendar(session: Session, days: int = 7, pipeline: Pipeline | str | None = None) -> Chart:
    """The coming fires, drawn: a row a schedule, time to the right.

    Parameters
    ----------
    session : Session
        Where.
    days : int
        How far ahead.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.
    """
    from mlops_kit.observe.charts_schedules import calendar as draw
    from mlops_kit.observe.schedules import stand

    name = pipeline.name if isinstance(pipeline, Pipeline) else pipeline
    return draw(stand(session.client, session.settings.project, name), session.now(), days)


def occurrences(
    expression: str, timezone: str = "UTC", after: datetime | None = None, next: int = 5
) -> Occurrences:
    """When a schedule expression fires; asks nobody.

    Parameters
    ----------
    expression : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    timezone : str
        IANA name.
    after : datetime, optional
        Aware; default now. A rate counts from there.
    next : int
        How many.

    Raises
    ------
    UsageError
        The expression or the zone cannot be used; says why.
    """
    from datetime import UTC

    from mlops_kit.timetable import Occurrences

    return Occurrences.of(expression, timezone, after or datetime.now(UTC), next)


def pause(session: Session, name: str) -> Scheduled:
    """Let a schedule fire no more until `resume`; the next `apply` that changes it resumes it too.

    Raises
    ------
    UsageError
        There is no such schedule; names those there are.
    """
    from mlops_kit.schedule_actions import switch

    return switch(session, name, "DISABLED")


def resume(session: Session, name: str) -> Scheduled:
    """Let a paused schedule fire again.

    Raises
    ------
    UsageError
        There is no such schedule, or it is over.
    """
    from mlops_kit.schedule_actions import switch

    return switch(session, name, "ENABLED")


def fire(session: Session, name: str) -> datetime:
    """Let a schedule call its target now, through Scheduler, whether it is paused or not; gives back when.

    Raises
    ------
    UsageError
        There is no such schedule; names those there are.
    """
    from mlops_kit.schedule_actions import fire as let

    return let(session, name)
