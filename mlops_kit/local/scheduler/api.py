"""EventBridge Scheduler as a service: its operations on schedules; `firing` does what they say.

Source: EventBridge Scheduler API Reference.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlops_kit.local.scheduler import book as entries
from mlops_kit.local.scheduler.book import Book, Key, Schedule
from mlops_kit.local.scheduler.checks import check, moment
from mlops_kit.local.scheduler.firing import Firing
from mlops_kit.local.scheduler.groups import Groups, conflict, not_found
from mlops_kit.local.scheduler.paging import page
from mlops_kit.local.service import Context, Request, Service

_GIVEN = (
    "ActionAfterCompletion",
    "Description",
    "EndDate",
    "FlexibleTimeWindow",
    "KmsKeyArn",
    "ScheduleExpression",
    "ScheduleExpressionTimezone",
    "StartDate",
    "State",
    "Target",
)
_DEFAULTS = {"ActionAfterCompletion": "NONE", "ScheduleExpressionTimezone": "UTC", "State": "ENABLED"}
_RETRY = {"MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185}
_WHEN = ("ScheduleExpression", "ScheduleExpressionTimezone", "StartDate")
_SUMMARY = ("Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State")
_PRECISION = 60.0  # seconds with which a schedule fires: an at() of this minute still does


class Scheduler(Service):
    """Schedules and their groups.

    Parameters
    ----------
    context : Context
        What the server hands out.
    """

    name = "scheduler"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._book = Book(context.store)
        self._firing = Firing(context, self._book)
        self._groups = Groups(context.clock, self._book, self._firing)
        self.operations = {
            "CreateSchedule": self._create,
            "GetSchedule": lambda request: self._find(request).body,
            "UpdateSchedule": self._update,
            "DeleteSchedule": self._delete,
            "ListSchedules": self._list,
            **self._groups.operations(),
        }

    def start(self) -> None:
        """Fire, and go on with what a former server left."""
        self._firing.start()

    def take_fired(self) -> list[dict[str, Any]]:
        """What has fired since this was last asked: schedule, scheduled time, target, result."""
        return self._firing.take_fired()

    def stop(self) -> None:
        """Fire no more."""
        self._firing.stop()

    def _create(self, request: Request) -> dict[str, Any]:
        key, now = _key(request), self.context.clock.now()
        token = request.params.get("ClientToken", "")
        self._groups.get(key.region, key.group)
        body = self._body(key, request.params, now)
        with self._firing.guard:
            known = self._book.schedule(key)
            if known is None:
                self._keep(Schedule(key, body, _before(body, now), now, token))
            elif not token or known.token != token:
                raise conflict(f"Schedule {key.name} already exists.")
        return {"ScheduleArn": key.arn}

    def _update(self, request: Request) -> dict[str, Any]:
        """Replace everything: what is not given falls back to its default."""
        now = self.context.clock.now()
        body = self._body(_key(request), request.params, now)
        with self._firing.guard:
            known = self._find(request)
            body["CreationDate"] = known.body["CreationDate"]
            changed = replace(known, body=body, taken=now)
            if any(body.get(member) != known.body.get(member) for member in _WHEN):
                changed = replace(changed, taken=_before(body, now), anchor=now)
            self._keep(changed)
        return {"ScheduleArn": changed.key.arn}

    def _delete(self, request: Request) -> dict[str, Any]:
        with self._firing.guard:
            schedule = self._find(request)
            self._firing.disarm(schedule.key)
            waiting = [one for one in self._book.invocations(schedule.key) if not one.failures]
            dropped = [entries.drop_invocation(one) for one in waiting]
            self._book.write([entries.drop_schedule(schedule.key), *dropped])
        return {}

    def _list(self, request: Request) -> dict[str, Any]:
        group, state = request.params.get("GroupName"), request.params.get("State")
        if group is not None:
            self._groups.get(request.region, group)
        found = [
            schedule
            for schedule in self._book.schedules(request.region)
            if group in (None, schedule.key.group)
            and state in (None, schedule.body["State"])
            and schedule.key.name.startswith(request.params.get("NamePrefix", ""))
        ]
        shown, token = page(found, lambda schedule: [schedule.key.group, schedule.key.name], request.params)
        return {"Schedules": [_summary(schedule) for schedule in shown], "NextToken": token}

    def _find(self, request: Request) -> Schedule:
        key = _key(request)
        self._groups.get(key.region, key.group)
        schedule = self._book.schedule(key)
        if schedule is None:
            raise not_found(f"Schedule {key.name} does not exist.")
        return schedule

    def _body(self, key: Key, params: dict[str, Any], now: float) -> dict[str, Any]:
        given = _DEFAULTS | {name: params[name] for name in _GIVEN if name in params}
        given["Target"] = {**given["Target"], "RetryPolicy": _RETRY | given["Target"].get("RetryPolicy", {})}
        check(key, given, moment(now))
        dates = {"CreationDate": moment(now), "LastModificationDate": moment(now)}
        return {**given, **dates, "Arn": key.arn, "GroupName": key.group, "Name": key.name}

    def _keep(self, schedule: Schedule) -> None:
        self._book.write([entries.put_schedule(schedule)])
        self._firing.arm(schedule)


def _key(request: Request) -> Key:
    return Key(request.region, request.params.get("GroupName", "default"), request.params["Name"])


def _before(body: dict[str, Any], now: float) -> float:
    """From where on a new schedule's occurrences count: a rate fires at once, an at() still in its minute."""
    kind = body["ScheduleExpression"].partition("(")[0]
    return {"rate": now - 0.001, "at": now - _PRECISION}.get(kind, now)


def _summary(schedule: Schedule) -> dict[str, Any]:
    summary = {name: schedule.body[name] for name in _SUMMARY}
    return {**summary, "Target": {"Arn": schedule.target["Arn"]}}
