"""A schedule as it stands in EventBridge Scheduler, or as a pipeline describes it; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import takewhile
from typing import Any

from mlops_kit import cron
from mlops_kit.observe.dead_letters import Letter

_LOOKED_BACK = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 35, 400))
_KINDS = {
    "states": "state machine",
    "lambda": "function",
    "sagemaker": "SageMaker pipeline",
    "sqs": "queue",
    "sns": "topic",
    "kinesis": "stream",
}


@dataclass(frozen=True)
class Scheduled:
    """A schedule as it stands in EventBridge Scheduler.

    Attributes
    ----------
    body : mapping
        What GetSchedule answers.
    pipeline : str
        Whose it is: the group's name without the project.
    next : tuple of datetime
        When it fires next, UTC; empty when it is paused or over. Within its flexible window it may be later.
    last : datetime or None
        When it fired last, UTC, as far as anything tells.
    result : str
        What came of that, in words.
    letters : tuple of Letter
        What of it lies in its dead-letter queue, newest first.
    """

    body: Mapping[str, Any]
    pipeline: str
    next: tuple[datetime, ...]
    last: datetime | None = None
    result: str = ""
    letters: tuple[Letter, ...] = ()

    @property
    def name(self) -> str:
        """Its name in its group."""
        return str(self.body["Name"])

    @property
    def group(self) -> str:
        """Its group."""
        return str(self.body["GroupName"])

    @property
    def expression(self) -> str:
        """``cron(...)``, ``rate(...)`` or ``at(...)``."""
        return str(self.body["ScheduleExpression"])

    @property
    def timezone(self) -> str:
        """IANA name."""
        return str(self.body.get("ScheduleExpressionTimezone", "UTC"))

    @property
    def enabled(self) -> bool:
        """Whether it fires at all."""
        return bool(self.body["State"] != "DISABLED")

    @property
    def stands(self) -> bool:
        """Whether it is in EventBridge Scheduler, or only described."""
        return self.body["State"] in ("ENABLED", "DISABLED")

    @property
    def window(self) -> int:
        """Minutes within which it may fire, 0 for at its time."""
        return int(self.body["FlexibleTimeWindow"].get("MaximumWindowInMinutes", 0))

    @cached_property
    def target(self) -> str:
        """Whom it calls, in words."""
        return in_words(self.body["Target"])

    def fires(self, after: datetime) -> Iterator[datetime]:
        """When it fires after a moment, whether it is paused or not.

        A rate without a start counts from when the schedule was made.
        """
        start, end = self.body.get("StartDate"), self.body.get("EndDate")
        if self.expression.startswith("rate"):
            start = start or self.body["CreationDate"]
        return cron.occurrences(self.expression, self.timezone, after, start=start, end=end)

    def due(self, now: datetime) -> datetime | None:
        """When it was due last, since it was made."""
        for back in _LOOKED_BACK:
            since = max(now - back, self.body["CreationDate"].astimezone(UTC) - timedelta(seconds=1))
            found = max(takewhile(lambda moment: moment <= now, self.fires(since)), default=None)
            if found is not None or since > now - back:
                return found
        return None


def in_words(target: Mapping[str, Any]) -> str:
    """Whom a schedule's target calls, in words."""
    arn = str(target["Arn"])
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[-1]
    if service == "scheduler":
        _, api, action = resource.split(":")
        return f"{api} {action}"
    name = resource.rpartition("/")[2].rpartition(":")[2]
    if service == "ecs":
        task = str(target["EcsParameters"]["TaskDefinitionArn"]).rpartition("/")[2]
        return f"ECS task {task} on {name}"
    if service == "events":
        return f"event bus {name}, {target['EventBridgeParameters']['DetailType']}"
    return f"{_KINDS.get(service, service)} {name}".strip()
