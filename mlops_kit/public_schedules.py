"""What ``import mlops_kit as kit`` shows of schedules: a function a verb; no work of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_kit.pipeline import Pipeline

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.scheduled import Scheduled
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


def jobs(session: Session, next: int = 1) -> Timetable:
    """The jobs of the platform: what is scheduled, and what the project's pipelines would schedule.

    Parameters
    ----------
    session : Session
        Where; what its pipelines describe and does not stand there is marked as not applied.
    next : int
        How many of the next fires.
    """
    from mlops_kit.declared import missing
    from mlops_kit.observe.schedules import ordered
    from mlops_kit.timetable import Timetable

    found = schedules(session, next=next)
    more = missing(session.settings, found.schedules, found.now, next)
    return Timetable(tuple(ordered([*found.schedules, *more])), found.now, found.where)


def calendar(session: Session, days: int = 7, pipeline: Pipeline | str | None = None) -> Chart:
    """The coming fires of what is scheduled, drawn: a row a schedule, time to the right.

    Parameters
    ----------
    session : Session
        Where.
    days : int
        How far ahead.
    pipeline : Pipeline or str, optional
        Default all pipelines of the project.
    """
    return schedules(session, pipeline, next=0).calendar(days)


def occurrences(
    expression: str, timezone: str = "UTC", after: datetime | str | None = None, next: int = 5
) -> Occurrences:
    """When a schedule expression fires; asks nobody.

    Parameters
    ----------
    expression : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    timezone : str
        IANA name.
    after : datetime or str, optional
        Aware, or a time in words, UTC unless it says otherwise; default now. A rate counts from there.
    next : int
        How many.

    Raises
    ------
    UsageError
        The expression or the zone cannot be used; says why.
    """
    from mlops_kit.timetable import Occurrences, moment_of

    begin = moment_of(after) if isinstance(after, str) else after or datetime.now(UTC)
    return Occurrences.of(expression, timezone, begin, next)


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
