"""Histories in the shape of GetExecutionHistory, written short: one line an event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-central-1:000000000000:stateMachine:mlops-kit-retraining-demand"


class Story:
    """Builds events one after the other; each follows the one before unless ``after`` says otherwise."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(
        self, second: float, kind: str, details: dict[str, Any] | None = None, after: int | None = None
    ) -> int:
        number = len(self.events) + 1
        event = {"id": number, "type": kind, "timestamp": START + timedelta(seconds=second)}
        event["previousEventId"] = number - 1 if after is None else after
        if details is not None:
            key = (
                "stateEntered"
                if kind.endswith("StateEntered")
                else "stateExited"
                if kind.endswith("StateExited")
                else kind
            )
            event[f"{key[0].lower()}{key[1:]}EventDetails"] = details
        self.events.append(event)
        return number

    def enter(
        self, second: float, name: str, kind: str = "Task", data: Any = None, after: int | None = None
    ) -> int:
        return self.add(second, f"{kind}StateEntered", {"name": name, "input": json.dumps(data or {})}, after)

    def leave(self, second: float, name: str, kind: str = "Task", data: Any = None) -> int:
        return self.add(second, f"{kind}StateExited", {"name": name, "output": json.dumps(data or {})})

    def tried(self, begin: float, end: float, error: str | None = None, cause: str | None = None) -> None:
        self.add(begin, "TaskScheduled", {"resource": "startJobRun.sync", "resourceType": "glue"})
        self.add(begin, "TaskStarted", {"resource": "startJobRun.sync", "resourceType": "glue"})
        if error is None:
            self.add(end, "TaskSucceeded", {"output": "{}"})
        else:
            self.add(end, "TaskFailed", {"error": error, "cause": cause})

    def answer(self, status: str, seconds: float | None, **more: Any) -> dict[str, Any]:
        answer = {
            "executionArn": MACHINE.replace("stateMachine", "execution") + ":run-1",
            "name": "run-1",
            "stateMachineArn": MACHINE,
            "status": status,
            "startDate": START,
            "input": json.dumps({"as_of": "2011-07-01"}),
        }
        if seconds is not None:
            answer["stopDate"] = START + timedelta(seconds=seconds)
        return answer | more


def retried_twice() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Prepare fails twice and then works; the judge says promoted."""
    judgement = {
        "verdict": "promoted",
        "reasons": ["wape 0.151 is below the limit 0.25"],
        "metrics": {"challenger": {"wape": 0.151, "bias": -0.02}, "champion": None, "naive": {"wape": 0.245}},
    }
    story = Story()
    story.add(0, "ExecutionStarted", {"input": "{}"}, after=0)
    story.enter(0.1, "ResumeFrom", "Choice")
    story.leave(0.1, "ResumeFrom", "Choice")
    story.enter(0.2, "PrepareTrainingData")
    story.tried(0.2, 3, "States.TaskFailed", "KeyError: 'temp'")
    story.tried(5, 8, "States.TaskFailed", "KeyError: 'temp'")
    story.tried(12, 16)
    story.leave(16, "PrepareTrainingData")
    story.enter(16, "EvaluateModel")
    story.tried(16, 16.2)
    story.leave(16.2, "EvaluateModel", data={"judgement": judgement})
    story.enter(16.3, "Done", "Succeed")
    story.leave(16.3, "Done", "Succeed")
    story.add(16.4, "ExecutionSucceeded", {"output": "{}"})
    return story.answer("SUCCEEDED", 16.4), story.events


def caught() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Prepare fails for good; a Catch tells people, then the run fails."""
    story = Story()
    story.add(0, "ExecutionStarted", {"input": "{}"}, after=0)
    story.enter(0.1, "PrepareTrainingData")
    story.tried(0.2, 3, "States.TaskFailed", "no <column> 'temp'")
    story.leave(3, "PrepareTrainingData")
    story.enter(3, "NotifyFailure")
    story.tried(3, 3.1)
    story.leave(3.1, "NotifyFailure")
    story.enter(3.1, "Failed", "Fail")
    story.add(3.2, "ExecutionFailed", {"error": "States.TaskFailed", "cause": "no <column> 'temp'"})
    return story.answer("FAILED", 3.2, error="States.TaskFailed", cause="no <column> 'temp'"), story.events


def left_alone() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Another run has the window."""
    story = Story()
    story.add(0, "ExecutionStarted", {"input": "{}"}, after=0)
    story.enter(0.1, "ClaimWindow")
    story.tried(0.1, 0.2, "DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
    story.leave(0.2, "ClaimWindow")
    story.enter(0.3, "AlreadyRetraining", "Succeed")
    story.leave(0.3, "AlreadyRetraining", "Succeed")
    story.add(0.3, "ExecutionSucceeded", {"output": "{}"})
    return story.answer("SUCCEEDED", 0.3), story.events
