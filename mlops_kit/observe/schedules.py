"""What is scheduled in a project, when it fires next and what came of the last time; changes nothing.

EventBridge Scheduler keeps no history. So the last fire comes from the executions that name the schedule in
their ``trigger``, from the dead letters, and for other targets from the metrics of the schedule's group.
Sources: EventBridge Scheduler User Guide, "Monitoring Amazon EventBridge Scheduler with Amazon CloudWatch",
"Configuring a schedule's dead-letter queue".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice, takewhile
from typing import Any

from mlops_kit import cron
from mlops_kit.observe.dead_letters import Letter, letters

BY_HAND = "schedule, by hand"  # kind of the trigger in the input of an execution
Clients = Callable[[str], Any]
_SEARCHED = 40  # executions of a state machine, newest first
_LOOKED_BACK = tuple(timedelta(days=days) for days in (1 / 24, 1, 8, 35, 400))
_MINUTES_KEPT = timedelta(days=15)  # CloudWatch keeps a metric's minutes so long, then five minutes
_ATTEMPTS, _ERRORS = "InvocationAttemptCount", "TargetErrorCount"


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
    runs = _Runs(client("stepfunctions"))
    told = [_told(client, one, now, dead, runs) for one in found]
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
    for page in scheduler.get_paginator("list_schedules").paginate(GroupName=group):
        for one in page["Schedules"]:
            yield scheduler.get_schedule(GroupName=group, Name=one["Name"])


def _next(one: Scheduled, now: datetime, count: int) -> Scheduled:
    return Scheduled(one.body, one.pipeline, tuple(islice(one.fires(now), count)) if one.enabled else ())


def _told(client: Clients, one: Scheduled, now: datetime, dead: Sequence[Letter], runs: _Runs) -> Scheduled:
    mine = tuple(
        sorted(
            (letter for letter in dead if letter.schedule == one.body["Arn"]),
            key=lambda letter: letter.scheduled,
            reverse=True,
        )
    )
    last, result = runs.last(one) or _measured(client, one, now, mine) or (None, "")
    if mine and (last is None or mine[0].scheduled >= last.replace(microsecond=0)):  # a letter tells seconds
        last, result = mine[0].scheduled, f"dead letter: {mine[0].error}"
    return Scheduled(one.body, one.pipeline, one.next, last, result, mine)


class _Runs:
    """The newest execution of each state machine that a schedule started.

    Parameters
    ----------
    client : botocore client
        Of the service ``stepfunctions``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._known: dict[str, dict[str, tuple[datetime, str]]] = {}

    def last(self, one: Scheduled) -> tuple[datetime, str] | None:
        """Start and status of the newest execution that names this schedule."""
        machine = str(one.body["Target"]["Arn"])
        if ":stateMachine:" not in machine:
            return None
        if machine not in self._known:
            self._known[machine] = self._read(machine)
        return self._known[machine].get(one.name)

    def _read(self, machine: str) -> dict[str, tuple[datetime, str]]:
        found: dict[str, tuple[datetime, str]] = {}
        try:
            listed = self._client.list_executions(stateMachineArn=machine, maxResults=_SEARCHED)["executions"]
        except self._client.exceptions.StateMachineDoesNotExist:
            return {}
        for execution in listed:
            given = self._client.describe_execution(executionArn=execution["executionArn"]).get("input")
            if name := _trigger(given):
                moment = execution["startDate"].astimezone(UTC)
                found.setdefault(name, (moment, execution["status"].lower()))
        return found


def _trigger(text: str | None) -> str | None:
    """The schedule that an execution's input names."""
    try:
        given = json.loads(text or "")
    except ValueError:
        return None
    said = given.get("trigger") if isinstance(given, dict) else None
    if not isinstance(said, dict) or said.get("kind") not in ("schedule", BY_HAND):
        return None
    return said.get("name")


def _measured(
    client: Clients, one: Scheduled, now: datetime, mine: Sequence[Letter]
) -> tuple[datetime, str] | None:
    """The last due time, when its group's metrics say that something was invoked then."""
    due = previous(one, now)
    if due is None:
        return None
    sums = _sums(client("cloudwatch"), one, due, now)
    if not sums[_ATTEMPTS]:
        return None
    return due, "delivered" if sums[_ERRORS] < sums[_ATTEMPTS] else "not delivered yet"


def previous(one: Scheduled, now: datetime) -> datetime | None:
    """When a schedule was due last, since it was made."""
    for back in _LOOKED_BACK:
        since = max(now - back, one.body["CreationDate"].astimezone(UTC) - timedelta(seconds=1))
        due = max(takewhile(lambda moment: moment <= now, one.fires(since)), default=None)
        if due is not None or since > now - back:
            return due
    return None


def _sums(cloudwatch: Any, one: Scheduled, due: datetime, now: datetime) -> dict[str, float]:
    period = 60 if now - due < _MINUTES_KEPT else 300
    begin = datetime.fromtimestamp(due.timestamp() // period * period, UTC)
    end = begin + timedelta(minutes=one.window, seconds=2 * period)
    group = [{"Name": "ScheduleGroup", "Value": one.group}]
    queries = [
        {
            "Id": name.lower(),
            "MetricStat": {
                "Metric": {"Namespace": "AWS/Scheduler", "MetricName": name, "Dimensions": group},
                "Period": period,
                "Stat": "Sum",
            },
        }
        for name in (_ATTEMPTS, _ERRORS)
    ]
    found = cloudwatch.get_metric_data(StartTime=begin, EndTime=end, MetricDataQueries=queries)
    sums = {answer["Id"]: sum(answer["Values"]) for answer in found["MetricDataResults"]}
    return {name: sums.get(name.lower(), 0.0) for name in (_ATTEMPTS, _ERRORS)}


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


_KINDS = {
    "states": "state machine",
    "lambda": "function",
    "sagemaker": "SageMaker pipeline",
    "sqs": "queue",
    "sns": "topic",
    "kinesis": "stream",
}
