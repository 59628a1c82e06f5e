"""An execution that cannot free its window has it freed, and people are told; a done one stays."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.build import events
from mlops_kit.deploy.stack import outputs
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from tests.conftest import EmbeddedAws

PROJECT = "claims"
LOCK = "{% $states.context.Execution.Name %}"


def claiming(settings: Settings) -> Pipeline:
    """Claims the window of its own name, then waits for a minute, or ends as its input says."""
    item = {
        "pk": {"S": LOCK},
        "owner": {"S": "{% $states.context.Execution.Id %}"},
        "status": {"S": "{% $states.input.status %}"},
    }
    states: dict[str, Any] = {
        "Claim": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:putItem",
            "Arguments": {"TableName": "${LockTable}", "Item": item},
            "Output": "{% $states.input %}",
            "TimeoutSeconds": 30,
            "Next": "Which",
        },
        "Which": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.then = 'fail' %}", "Next": "Bad"}],
            "Default": "Hold",
        },
        "Hold": {"Type": "Wait", "Seconds": "{% $states.input.seconds %}", "Next": "Done"},
        "Bad": {"Type": "Fail", "Error": "Bad", "Cause": "as asked"},
        "Done": {"Type": "Succeed"},
    }
    definition = {"QueryLanguage": "JSONata", "StartAt": "Claim", "TimeoutSeconds": 15, "States": states}
    function, rule = events.release_claim(settings, "holding")
    return Pipeline("holding", "Holds a window.", definition, functions=(function,), rules=(rule,))


@dataclass(frozen=True)
class Place:
    session: Any
    pipeline: Pipeline
    shared: Mapping[str, str]
    queue: str

    def start(self, name: str, **given: Any) -> kit.Run:
        value = {"status": "claimed", "seconds": 600, **given}
        run = kit.run(self.session, self.pipeline, value, name=name, wait=False)
        self.until(lambda: "Hold" in self.entered(run) or run.status != "RUNNING")
        return run

    def entered(self, run: kit.Run) -> set[str]:
        """The states that it has entered: one stopped while it claims would claim again when redriven."""
        events = self.session.client("stepfunctions").get_execution_history(executionArn=run.arn)["events"]
        return {
            event["stateEnteredEventDetails"]["name"]
            for event in events
            if "stateEnteredEventDetails" in event
        }

    def claim(self, name: str) -> dict[str, Any] | None:
        found = self.session.client("dynamodb").get_item(
            TableName=self.shared["LockTable"], Key={"pk": {"S": name}}, ConsistentRead=True
        )
        item: dict[str, Any] | None = found.get("Item")
        return item

    def told(self, about: str) -> str:
        """The first message about an execution."""
        found: list[str] = []

        def read() -> bool:
            answer = self.session.client("sqs").receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
            )
            bodies = [json.loads(one["Body"]) for one in answer.get("Messages", ())]
            found.extend(f"{one['Subject']}\n{one['Message']}" for one in bodies if about in one["Message"])
            return bool(found)

        self.until(read)
        return found[0]

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not done():
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("claims")
    aws = EmbeddedAws(folder / "state")
    aws.start()
    session = kit.session(
        Settings(endpoint_url=aws.url, region="us-east-1", project=PROJECT, state_dir=folder / "kit")
    )
    pipeline = claiming(session.settings)
    kit.apply(session, pipeline, on_progress=lambda _: None)
    shared = outputs(session, f"{PROJECT}-foundation")
    sqs = session.client("sqs")
    queue = sqs.create_queue(QueueName="hears")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    session.client("sns").subscribe(TopicArn=shared["CriticalTopic"], Protocol="sqs", Endpoint=arn)
    yield Place(session, pipeline, shared, queue)
    aws.stop()


def test_an_aborted_execution_frees_its_window_and_tells_how_to_repeat_it(place: Place) -> None:
    run, other = place.start("aborted"), place.start("other")
    place.session.client("stepfunctions").stop_execution(
        executionArn=run.arn, error="Ours", cause="a person was here"
    )
    place.until(lambda: place.claim("aborted") is None)
    told = place.told(run.arn)
    assert told.startswith("claims-holding: execution aborted\n")
    assert "aborted of claims-holding was aborted (ABORTED). Its window aborted is free again." in told
    assert "Cause: Ours: a person was here" in told and f"mlops-kit redrive {run.arn}" in told
    assert place.claim("other") is not None, "another execution's claim stays"
    kit.stop(place.session, other)


def test_an_execution_that_ran_out_of_time_frees_its_window_and_is_told(place: Place) -> None:
    run = place.start("slow")
    place.until(lambda: run.status != "RUNNING")
    assert run.status == "TIMED_OUT"
    place.until(lambda: place.claim("slow") is None)
    assert "ran out of time (TIMED_OUT). Its window slow is free again." in place.told(run.arn)


def test_a_failure_that_no_state_caught_frees_its_window_too(place: Place) -> None:
    run = place.start("failed", then="fail")
    place.until(lambda: place.claim("failed") is None)
    assert "Cause: Bad: as asked" in place.told(run.arn)


def test_a_window_that_is_done_stays_done(place: Place) -> None:
    done = place.start("succeeded", seconds=0)
    place.until(lambda: done.status == "SUCCEEDED")
    stopped = place.start("stopped-at-the-end", status="done")
    kit.stop(place.session, stopped)
    assert "It held no window." in place.told(stopped.arn)
    items = [place.claim(name) for name in ("succeeded", "stopped-at-the-end")]
    assert [item and item["status"]["S"] for item in items] == ["claimed", "done"]


def test_one_redriven_without_its_claim_is_stopped_and_says_what_claims_again(place: Place) -> None:
    run = place.start("orphan")
    kit.stop(place.session, run)
    place.until(lambda: place.claim("orphan") is None)
    client = place.session.client("stepfunctions")
    client.redrive_execution(executionArn=run.arn)
    place.until(lambda: client.describe_execution(executionArn=run.arn)["status"] == "ABORTED")
    answer = client.describe_execution(executionArn=run.arn)
    assert (answer["redriveCount"], answer["error"]) == (1, "MlopsKit.NoClaim")
    assert f"mlops-kit redrive {run.arn}" in answer["cause"]
