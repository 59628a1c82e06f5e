"""One embedded AWS with the retraining deployed, and what the acceptance tests do to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import mlops_kit as kit
from mlops_kit.artifacts import Artifact
from mlops_kit.deploy import package
from mlops_kit.deploy.stack import outputs
from mlops_kit.observe.execution import Execution, Visit
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import models, retraining
from pipelines.models.demand import DEMAND
from tests.conftest import EmbeddedAws

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("mlops-kit")
PROJECT = "town"
CHEAP = {"max_iter": 20, "learning_rate": 0.2, "random_state": 0}
PATIENCE = 300.0  # seconds; for machines that are busy, not a speed that is asked for


@dataclass(frozen=True)
class Town:
    """Where the retraining of the demand model stands, with few trees so that a run takes seconds."""

    aws: EmbeddedAws
    session: Any
    pipeline: Pipeline
    told: Mapping[str, str]  # topic's output name to the URL of a queue that hears it

    @property
    def shared(self) -> Mapping[str, str]:
        """The foundation's outputs."""
        return outputs(self.session, f"{PROJECT}-foundation")

    def start(self, name: str, **given: Any) -> kit.Run:
        return kit.run(self.session, self.pipeline, name=name, wait=False, **given)

    def run(self, name: str, **given: Any) -> kit.Run:
        return self.ended(self.start(name, **given))

    def ended(self, run: kit.Run) -> kit.Run:
        self.until(lambda: run.status != "RUNNING", lambda: f"{run} does not end")
        return run

    def until(self, done: Callable[[], bool], otherwise: Callable[[], str] = lambda: "") -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, otherwise()
            time.sleep(0.2)

    def lock(self, window: str) -> dict[str, Any] | None:
        """The lock item of an ISO week, plain values."""
        table = self.shared["LockTable"]
        key = {"pk": {"S": f"demand#{window}"}}
        found = self.session.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)
        item = found.get("Item")
        return {name: next(iter(value.values())) for name, value in item.items()} if item else None

    def messages(self, topic: str, about: str) -> list[dict[str, str]]:
        """What the topic told about an execution so far; others' messages are left for them."""
        sqs = self.session.client("sqs")
        request = {"QueueUrl": self.told[topic], "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
        found: dict[str, dict[str, str]] = {}  # by id: what is left visible is received again
        for _ in range(50):
            answer = sqs.receive_message(**request)
            new = [json.loads(one["Body"]) for one in answer.get("Messages", ())]
            found |= {one["MessageId"]: one for one in new if f":{about}" in one["Message"]}
            if found:
                break
            time.sleep(0.1)
        return list(found.values())

    def put(self, artifact: Artifact, **files: str | None) -> None:
        """Replace an artifact's object in S3: by a packing with other contents of some files, or its own."""
        key, cache = artifact.key, self.session.settings.state_dir
        members = dict(artifact.members())
        for number, (name, text) in enumerate(files.items()):
            path = cache / f"changed-{number}-{time.monotonic_ns()}"
            path.write_text(text or "")
            members[next(one for one in members if Path(one).stem == name)] = path
        body = package.pack(replace(artifact, files=tuple(members.items())), cache, embedded=True)
        self.session.client("s3").put_object(Bucket=self.shared["ArtifactBucket"], Key=key, Body=body)

    def source(self, artifact: Artifact, stem: str) -> str:
        return next(path for name, path in artifact.members() if Path(name).stem == stem).read_text()

    def artifact(self, name: str) -> Artifact:
        script = self.pipeline.jobs[0].script
        return next(one for one in (script, *self.pipeline.artifacts) if one.name == name)

    def cli(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The real command in a process of its own."""
        return cli(self.session.settings, *arguments, **environment)


def cli(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``mlops-kit`` in a process of its own, in the repository's folder, with nothing of the caller's."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state_dir),
        "LANG": "C.UTF-8",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLOPS_KIT_ENDPOINT_URL": settings.endpoint_url or "",
        "MLOPS_KIT_REGION": settings.region,
        "MLOPS_KIT_PROJECT": settings.project,
        "MLOPS_KIT_STATE_DIR": str(settings.state_dir),
        **environment,
    }
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=ROOT,
        env={name: value for name, value in env.items() if value},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def settings(aws: EmbeddedAws, folder: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    return Settings(endpoint_url=aws.url, region="us-east-1", project=PROJECT, state_dir=folder)


def cheap(where: Settings, **thresholds: float) -> Pipeline:
    """The retraining of the demand model, as it is but for few and large steps of boosting."""
    quick = replace(DEMAND, hyperparameters=CHEAP)
    with patch.dict(models.MODELS, {"demand": quick}):
        return retraining.build(where, "demand", thresholds)


def build(aws: EmbeddedAws, folder: Path) -> Town:
    """Deploy it, and listen to its topics."""
    session = kit.session(settings(aws, folder))
    pipeline = cheap(session.settings)
    kit.apply(session, pipeline, on_progress=lambda _: None)
    shared = outputs(session, f"{PROJECT}-foundation")
    sqs, told = session.client("sqs"), {}
    for topic in ("RoutineTopic", "CriticalTopic"):
        told[topic] = sqs.create_queue(QueueName=f"hears-{topic}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=told[topic], AttributeNames=["QueueArn"])
        session.client("sns").subscribe(
            TopicArn=shared[topic], Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
    return Town(aws, session, pipeline, told)


def states(execution: Execution) -> list[str]:
    """Names of the states that did work or ended the execution, in the order of entering."""
    kinds = ("Task", "Parallel", "Succeed", "Fail")
    return [visit.state for visit in execution.visits if visit.kind in kinds]


def visit(execution: Execution, state: str) -> Visit:
    """The last visit to a state."""
    return next(one for one in reversed(execution.visits) if one.state == state)


def given(execution: Execution, state: str) -> Any:
    """What a state was given."""
    return json.loads(visit(execution, state).input or "null")
