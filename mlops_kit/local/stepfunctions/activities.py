"""Activities and the calls of their workers, and of everybody who holds a task token."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlops_kit.asl import jackson
from mlops_kit.local.service import AwsError, Handler, Request
from mlops_kit.local.stepfunctions import names, paging, tokens
from mlops_kit.local.stepfunctions.docs import LIMIT, loads
from mlops_kit.local.stepfunctions.machine_calls import moment

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.engine import Engine

_KIND = "sfn-activity"
_POLL = 60.0  # seconds that GetActivityTask waits (API reference)


@dataclass(frozen=True)
class Activity:
    """An activity."""

    arn: str
    name: str
    created: float
    tags: dict[str, str] = field(default_factory=dict)


class Activities:
    """Activities, and the operations on them and on task tokens."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._activities: dict[str, Activity] = {}
        self.operations: dict[str, Handler] = {
            "CreateActivity": self.create,
            "DescribeActivity": self.describe,
            "DeleteActivity": self.delete,
            "ListActivities": self.list,
            "GetActivityTask": self.take,
            "SendTaskSuccess": self.succeed,
            "SendTaskFailure": self.fail,
            "SendTaskHeartbeat": self.beat,
        }

    def load(self) -> None:
        """Read what a former process kept."""
        for body in self._engine.context.store.list(_KIND):
            self._activities[body["arn"]] = Activity(**body)

    def find(self, arn: str) -> Activity | None:
        """The activity with this ARN."""
        return self._activities.get(arn)

    def retag(self, arn: str, tags: dict[str, str]) -> None:
        """Replace an activity's tags."""
        self._keep(replace(self._activities[arn], tags=tags))

    def _keep(self, activity: Activity) -> None:
        self._engine.context.store.put(_KIND, activity.arn, asdict(activity))
        self._activities[activity.arn] = activity

    def _get(self, arn: str) -> Activity:
        activity = self._activities.get(names.parse(arn, "activity").text)
        if activity is None:
            raise AwsError("ActivityDoesNotExist", f"Activity Does Not Exist: '{arn}'")
        return activity

    # -------------------------------------------------------------- activities
    def create(self, request: Request) -> dict[str, Any]:
        """CreateActivity, idempotent by name."""
        name = names.check_name(request.params["name"])
        arn = names.arn(request.region, "activity", name)
        activity = self._activities.get(arn)
        if activity is None:
            tags = {tag["key"]: tag.get("value", "") for tag in request.params.get("tags", ())}
            activity = Activity(arn, name, self._engine.now(), tags)
            self._keep(activity)
        return {"activityArn": arn, "creationDate": moment(activity.created)}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeActivity."""
        activity = self._get(request.params["activityArn"])
        return {
            "activityArn": activity.arn,
            "name": activity.name,
            "creationDate": moment(activity.created),
            "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
        }

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteActivity; there is no error for one that does not exist."""
        arn = names.parse(request.params["activityArn"], "activity").text
        self._engine.context.store.delete(_KIND, arn)
        self._activities.pop(arn, None)
        return {}

    def list(self, request: Request) -> dict[str, Any]:
        """ListActivities of the caller's region."""
        entries = [
            {"activityArn": activity.arn, "name": activity.name, "creationDate": moment(activity.created)}
            for activity in sorted(self._activities.values(), key=lambda activity: activity.name)
            if f":{request.region}:" in activity.arn
        ]
        shown, token = paging.page(entries, request.params)
        return {"activities": shown, "nextToken": token}

    async def take(self, request: Request) -> dict[str, Any]:
        """GetActivityTask: waits for a task up to a minute."""
        activity = self._get(request.params["activityArn"])
        worker = request.params.get("workerName")
        return await asyncio.wrap_future(self._engine.call(self._take(activity.arn, worker)))

    async def _take(self, arn: str, worker: str | None) -> dict[str, Any]:
        await self._engine.ready.wait()
        pending = await self._engine.tokens.take(arn, _POLL)
        if pending is None:
            return {}
        frame = pending.frame
        frame.execution.record(frame, "ActivityStarted", {"workerName": worker} if worker else {})
        frame.task["worker"] = worker or "-"
        if "heartbeat" in frame.task:
            frame.task["heartbeat_by"] = self._engine.now() + frame.task["heartbeat"]
        frame.execution.mark(frame)
        pending.beat.set()
        await self._engine.committed()
        return {"taskToken": frame.task["token"], "input": frame.task["arguments"]}

    # ------------------------------------------------------------------ tokens
    async def succeed(self, request: Request) -> dict[str, Any]:
        """SendTaskSuccess; taken down before it is answered."""
        text = request.params["output"]
        try:
            loads(text)
        except ValueError:
            raise AwsError("InvalidOutput", f"Invalid Output: '{jackson.words(text)}'") from None
        if len(text.encode()) > LIMIT:
            raise AwsError("InvalidOutput", "Invalid Output: 'The output is too large.'")
        return await self._send(request.params["taskToken"], tokens.outcome(text))

    async def fail(self, request: Request) -> dict[str, Any]:
        """SendTaskFailure; taken down before it is answered."""
        error, cause = request.params.get("error"), request.params.get("cause")
        return await self._send(request.params["taskToken"], tokens.outcome(None, error, cause))

    async def beat(self, request: Request) -> dict[str, Any]:
        """SendTaskHeartbeat."""
        return await self._send(request.params["taskToken"], None)

    async def _send(self, token: str, outcome: dict[str, Any] | None) -> dict[str, Any]:
        return await asyncio.wrap_future(self._engine.call(self._deliver(token, outcome)))

    async def _deliver(self, token: str, outcome: dict[str, Any] | None) -> dict[str, Any]:
        await self._engine.ready.wait()
        pending = self._engine.tokens.find(token)
        frame = pending.frame
        if outcome is not None:
            frame.task["outcome"] = outcome
            pending.answered.set()
        elif "heartbeat" in frame.task:
            frame.task["heartbeat_by"] = self._engine.now() + frame.task["heartbeat"]
        frame.execution.mark(frame)
        pending.beat.set()
        await self._engine.committed()
        return {}
