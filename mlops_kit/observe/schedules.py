"""What is scheduled in a project, when it fires next and what came of the last time; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from mlops_kit.observe.dead_letters import Letter, letters
from mlops_kit.observe.schedule_results import Clients, Results
from mlops_kit.observe.scheduled import Scheduled


def read(
    client: Clients, project: str, now: datetime, count: int, pipeline: str | None = None
) -> list[Scheduled]:
    """Everything that is scheduled in the groups of a project, in the order of the next fire.

    Parameters
    ----------
    client : callable
        Gives a botocore client by a service's name.
    project : str
        Groups named ``<project>-...`` are read.
    now : datetime
        Aware; AWS's clock.
    count : int
        How many of the next fires.
    pipeline : str, optional
        Only the group ``<project>-<pipeline>``.
    """
    found = [_next(one, now, count) for one in stand(client, project, pipeline)]
    queues = {one.body["Target"].get("DeadLetterConfig", {}).get("Arn") for one in found} - {None}
    dead = [letter for arn in sorted(queues) for letter in letters(client("sqs"), arn)]
    results = Results(client, now)
    told = [_told(one, dead, results) for one in found]
    return ordered(told)


def ordered(schedules: Sequence[Scheduled]) -> list[Scheduled]:
    """In the order of the next fire; what fires no more stands last."""
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(schedules, key=lambda one: (one.next[0] if one.next else never, one.group, one.name))


def stand(client: Clients, project: str, pipeline: str | None = None) -> list[Scheduled]:
    """The schedules of a project as they stand, without what happened or will."""
    scheduler, prefix = client("scheduler"), f"{project}-"
    found = []
    for page in scheduler.get_paginator("list_schedule_groups").paginate(
        NamePrefix=f"{prefix}{pipeline or ''}"
    ):
        for group in (one["Name"] for one in page["ScheduleGroups"]):
            if pipeline is None or group == prefix + pipeline:
                found += [
                    Scheduled(body, group.removeprefix(prefix), ()) for body in _bodies(scheduler, group)
                ]
    return found


def _bodies(scheduler: Any, group: str) -> Iterator[dict[str, Any]]:
    """What GetSchedule says of each; one that has fired for the last time meanwhile is left out."""
    gone = scheduler.exceptions.ResourceNotFoundException
    with suppress(gone):
        for page in scheduler.get_paginator("list_schedules").paginate(GroupName=group):
            for one in page["Schedules"]:
                with suppress(gone):
                    yield scheduler.get_schedule(GroupName=group, Name=one["Name"])


def _next(one: Scheduled, now: datetime, count: int) -> Scheduled:
    return Scheduled(one.body, one.pipeline, tuple(islice(one.fires(now), count)) if one.enabled else ())


def _told(one: Scheduled, dead: Sequence[Letter], results: Results) -> Scheduled:
    mine = tuple(
        sorted(
            (letter for letter in dead if letter.schedule == one.body["Arn"]),
            key=lambda letter: letter.scheduled,
            reverse=True,
        )
    )
    last, result = results.last(one) or (None, "")
    if mine and (last is None or mine[0].scheduled >= last.replace(microsecond=0)):  # a letter tells seconds
        last, result = mine[0].scheduled, f"dead letter: {mine[0].error}"
    return Scheduled(one.body, one.pipeline, one.next, last, result, mine)
