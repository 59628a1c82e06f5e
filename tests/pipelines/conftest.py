"""The retraining, deployed and run once by boto3 alone; and what tests need to run it again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mlops_kit as kit
from mlops_kit.build import template
from mlops_kit.build.foundation import foundation
from mlops_kit.deploy.package import pack
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import cache_warmup, data_quality, forecast, retraining
from tests.acceptance import town
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


@dataclass(frozen=True)
class Days:
    """A town in which the daily pipelines stand and a champion serves since 2011-07-01."""

    town: town.Town
    pipelines: Mapping[str, Pipeline]

    def run(self, pipeline: str, **given: Any) -> kit.Run:
        """A run to its end; as a schedule it would be an hour after local midnight at most."""
        return self.town.ended(kit.run(self.town.session, self.pipelines[pipeline], wait=False, **given))

    def read(self, key: str) -> bytes:
        """An object of the data bucket."""
        bucket = self.town.shared["DataBucket"]
        return bytes(self.town.session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    def forecast(self, day: str) -> pd.DataFrame:
        """What is published for a day."""
        return pd.read_parquet(io.BytesIO(self.read(f"forecast/demand/date={day}/forecast.parquet")))


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """Deploy retraining and the daily pipelines by the kit, and retrain once."""
    folder = tmp_path_factory.mktemp("days")
    aws = EmbeddedAws(folder / "state", ("--enforce-iam", "--at", "2011-07-01"))
    aws.start()
    try:
        found = town.build(aws, folder / "kit")
        made = {
            one.__name__: one.build(found.session.settings) for one in (cache_warmup, data_quality, forecast)
        }
        named = {name.rpartition(".")[2]: pipeline for name, pipeline in made.items()}
        for pipeline in named.values():
            kit.apply(found.session, pipeline, on_progress=lambda _: None)
        assert found.run("champion", as_of="2011-07-01").status == "SUCCEEDED"
        yield Days(found, named)
    finally:
        aws.stop()


FIRST = json.dumps({"as_of": "2011-07-01"})
