"""What the tests of SageMaker share: sources in S3, requests with little in them, waiting."""

from __future__ import annotations

import io
import json
import tarfile
import textwrap
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.conftest import EmbeddedAws

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/jobs"
ENDED = ("Completed", "Failed", "Stopped")


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def archive(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return seen


class Sage:
    """One test's view of an embedded AWS: a bucket, a client, and short ways."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.client = aws.client("sagemaker")
        self.s3 = aws.client("s3")
        self.bucket = unique("sagemaker-test")
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key: str, body: str | bytes) -> str:
        self.s3.put_object(
            Bucket=self.bucket, Key=key, Body=body if isinstance(body, bytes) else body.encode()
        )
        return f"s3://{self.bucket}/{key}"

    def get(self, uri: str) -> bytes:
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()  # type: ignore[no-any-return]

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"] for item in found]

    def training(
        self, script: str, hyperparameters: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """A CreateTrainingJob request for a script."""
        name = more.pop("TrainingJobName", unique("train"))
        source = self.put(f"{name}/sourcedir.tar.gz", archive({"train.py": script, **more.pop("files", {})}))
        given = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": source,
            **(hyperparameters or {}),
        }
        algorithm = {"TrainingImage": IMAGE, "TrainingInputMode": "File", **more.pop("algorithm", {})}
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": algorithm,
            "RoleArn": ROLE,
            "HyperParameters": {key: json.dumps(value) for key, value in given.items()},
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.bucket}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "StoppingCondition": {"MaxRuntimeInSeconds": 120},
            **more,
        }

    def train(
        self, script: str, hyperparameters: dict[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Run a training job to its end."""
        request = self.training(script, hyperparameters, **more)
        self.client.create_training_job(**request)
        return self.ended("TrainingJob", request["TrainingJobName"])

    def describe(self, noun: str, name: str) -> dict[str, Any]:
        operation = {"TrainingJob": "training", "ProcessingJob": "processing", "TransformJob": "transform"}[
            noun
        ]
        return getattr(self.client, f"describe_{operation}_job")(**{f"{noun}Name": name})  # type: ignore[no-any-return]

    def ended(self, noun: str, name: str) -> dict[str, Any]:
        return until(lambda: (d := self.describe(noun, name))[f"{noun}Status"] in ENDED and d)  # type: ignore[no-any-return]

    def channel(self, name: str, uri: str, **more: Any) -> dict[str, Any]:
        return {
            "ChannelName": name,
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
            **more,
        }

    def lines(self, group: str, stream_prefix: str) -> list[str]:
        logs = self.aws.client("logs")
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream_prefix)[
                "logStreams"
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []
        found = []
        for stream in streams:
            got = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )
            found += [event["message"] for event in got["events"]]
        return found
