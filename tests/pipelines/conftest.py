"""The retraining, deployed and run once by boto3 alone; and what tests need to run it again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.build import template
from mlops_kit.build.foundation import foundation
from mlops_kit.deploy.package import pack
from mlops_kit.settings import Settings
from pipelines import retraining
from tests.conftest import REGION, EmbeddedAws

LIMIT = 240  # seconds that an execution may take before a test gives up


@dataclass(frozen=True)
class Walk:
    """A deployed retraining and how its first execution ended.

    Attributes
    ----------
    aws : EmbeddedAws
        Where it stands.
    first : dict
        What ``walk.py`` printed.
    """

    aws: EmbeddedAws
    first: dict[str, Any]

    @property
    def machine(self) -> str:
        return str(self.first["outputs"]["StateMachineArn"])

    def start(self, data: Mapping[str, Any]) -> str:
        answer = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.machine, input=json.dumps(data)
        )
        return str(answer["executionArn"])

    def end(self, arn: str) -> dict[str, Any]:
        """The execution's end, with its events."""
        states = self.aws.client("stepfunctions")
        until = time.monotonic() + LIMIT
        while (ended := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            assert time.monotonic() < until, self.entered(arn)
            time.sleep(0.3)
        return dict(ended)

    def events(self, arn: str) -> list[dict[str, Any]]:
        pages = self.aws.client("stepfunctions").get_paginator("get_execution_history")
        return [event for page in pages.paginate(executionArn=arn) for event in page["events"]]

    def entered(self, arn: str) -> list[str]:
        details = [event.get("stateEnteredEventDetails") for event in self.events(arn)]
        return [each["name"] for each in details if each]

    def claim(self, lock: str) -> dict[str, Any] | None:
        """The lock's item."""
        table = self.first["shared"]["LockTable"]
        answer = self.aws.client("dynamodb").get_item(TableName=table, Key={"pk": {"S": lock}})
        return answer.get("Item")


@pytest.fixture(scope="session")
def walk(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Export templates and code, then leave the rest to a process that knows boto3 alone."""
    folder = tmp_path_factory.mktemp("walk")
    settings = Settings(project="walk", region=REGION)
    pipeline = retraining.build(settings)
    stack = template.build(settings, pipeline)
    (folder / "foundation.json").write_text(json.dumps(foundation(settings, ["demand"]).template))
    (folder / "pipeline.json").write_text(json.dumps(stack.template))
    files = {f"artifacts/{artifact.key}": pack(artifact, folder / "cache") for artifact in stack.artifacts}
    files |= {f"data/{file.key}": file.path.read_bytes() for file in stack.data}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    ended = subprocess.run(
        [sys.executable, "-I", str(Path(__file__).parent / "walk.py"), aws.url, str(folder), FIRST],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert ended.returncode == 0, ended.stderr
    return Walk(aws, json.loads(ended.stdout))


FIRST = json.dumps({"as_of": "2011-07-01"})
