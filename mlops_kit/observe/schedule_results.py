"""What came of a schedule's last fire, as far as anything tells; changes nothing.

EventBridge Scheduler keeps no history: executions name the schedule in their ``trigger``, SageMaker and ECS
keep what they were asked for, and of other targets only the metrics of the schedule's group tell. Sources:
EventBridge Scheduler User Guide, "Monitoring Amazon EventBridge Scheduler with Amazon CloudWatch"; CloudWatch
User Guide, "Metrics concepts".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_kit.observe.scheduled import Scheduled

BY_HAND = "schedule, by hand"  # kind of the trigger in the input of an execution
Clients = Callable[[str], Any]
Told = tuple[datetime, str]
_SEARCHED = 40  # executions of a state machine, newest first
_MINUTES_KEPT = timedelta(days=15)  # CloudWatch keeps a metric's minutes so long, then five minutes
_ATTEMPTS, _ERRORS = "InvocationAttemptCount", "TargetErrorCount"


class Results:
    """The last fire of each schedule and its result.

    Parameters
    ----------
    client : callable
        Gives a botocore client by a service's name.
    now : datetime
        Aware; AWS's clock.
    """

    def __init__(self, client: Clients, now: datetime) -> None:
        self._client = client
        self._now = now
        self._machines: dict[str, dict[str, Told]] = {}

    def last(self, one: Scheduled) -> Told | None:
        """When a schedule fired last, UTC, and what came of it in words; ``None`` where nothing tells."""
        service = str(one.body["Target"]["Arn"]).split(":")[2]
        if service == "states" and (told := self._execution(one)):
            return told
        due = one.due(self._now)
        if due is None:
            return None
        started = {"sagemaker": self._pipeline, "ecs": self._task}.get(service)
        return (started(one, due) if started else None) or self._delivered(one, due)

    def _execution(self, one: Scheduled) -> Told | None:
        machine = str(one.body["Target"]["Arn"])
        if machine not in self._machines:
            self._machines[machine] = self._executions(machine)
        return self._machines[machine].get(one.name)

    def _executions(self, machine: str) -> dict[str, Told]:
        """The newest execution that each schedule started."""
        states = self._client("stepfunctions")
        found: dict[str, Told] = {}
        try:
            listed = states.list_executions(stateMachineArn=machine, maxResults=_SEARCHED)["executions"]
        except states.exceptions.StateMachineDoesNotExist:
            return {}
        for execution in listed:
            given = states.describe_execution(executionArn=execution["executionArn"]).get("input")
            if name := _schedule(given):
                moment = execution["startDate"].astimezone(UTC)
                found.setdefault(name, (moment, execution["status"].lower()))
        return found

    def _pipeline(self, one: Scheduled, due: datetime) -> Told | None:
        sagemaker = self._client("sagemaker")
        name = str(one.body["Target"]["Arn"]).rpartition("/")[2]
        try:
            listed = sagemaker.list_pipeline_executions(
                PipelineName=name, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
            )
        except sagemaker.exceptions.ResourceNotFound:
            return None
        for run in listed["PipelineExecutionSummaries"]:
            began = run["StartTime"].astimezone(UTC)
            if began >= due.replace(microsecond=0):
                told = sagemaker.describe_pipeline_execution(PipelineExecutionArn=run["PipelineExecutionArn"])
                return began, _and(run["PipelineExecutionStatus"].lower(), told.get("FailureReason"))
        return None

    def _task(self, one: Scheduled, due: datetime) -> Told | None:
        """The newest task; ECS tells of a stopped one for an hour."""
        ecs, target = self._client("ecs"), one.body["Target"]
        wanted = target["EcsParameters"]["TaskDefinitionArn"]
        arns: list[str] = []
        for status in ("RUNNING", "STOPPED"):
            arns += ecs.list_tasks(cluster=target["Arn"], desiredStatus=status)["taskArns"]
        tasks = ecs.describe_tasks(cluster=target["Arn"], tasks=arns[:100])["tasks"] if arns else []
        mine = [
            task
            for task in tasks
            if task["taskDefinitionArn"].startswith(wanted)
            and task["createdAt"] >= due.replace(microsecond=0)
        ]
        if not mine:
            return None
        newest = max(mine, key=lambda task: task["createdAt"])
        codes = {container.get("exitCode") for container in newest.get("containers", ())}
        status = "succeeded" if codes == {0} else newest["lastStatus"].lower()
        return newest["createdAt"].astimezone(UTC), _and(status, newest.get("stoppedReason"))

    def _delivered(self, one: Scheduled, due: datetime) -> Told | None:
        sums = self._sums(one, due)
        if not sums[_ATTEMPTS]:
            return None
        return due, "delivered" if sums[_ERRORS] < sums[_ATTEMPTS] else "not delivered yet"

    def _sums(self, one: Scheduled, due: datetime) -> dict[str, float]:
        """Attempts and errors of the schedule's group from when it was due."""
        period = 60 if self._now - due < _MINUTES_KEPT else 300
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
        found = self._client("cloudwatch").get_metric_data(
            StartTime=begin, EndTime=end, MetricDataQueries=queries
        )
        sums = {answer["Id"]: sum(answer["Values"]) for answer in found["MetricDataResults"]}
        return {name: sums.get(name.lower(), 0.0) for name in (_ATTEMPTS, _ERRORS)}


def _and(status: str, reason: str | None) -> str:
    return f"{status}: {reason}" if reason else status


def _schedule(text: str | None) -> str | None:
    """The schedule that an execution's input names."""
    try:
        given = json.loads(text or "")
    except ValueError:
        return None
    said = given.get("trigger") if isinstance(given, dict) else None
    if not isinstance(said, dict) or said.get("kind") not in ("schedule", BY_HAND):
        return None
    return said.get("name")
