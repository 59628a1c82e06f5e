"""Batch transform: a model over every object of a prefix, split, joined and filtered as AWS does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, ROLE, Sage, archive, unique

DOUBLE = """
import csv, io, json

def model_fn(model_dir):
    return 2

def input_fn(data, content_type):
    if content_type == "text/csv":
        return [[float(x) for x in row] for row in csv.reader(io.StringIO(data))]
    return [json.loads(line) for line in data.splitlines()]

def predict_fn(rows, model):
    print("batch of", len(rows))
    if any(row == [13.0] for row in rows):
        raise ValueError("thirteen")
    return [sum(row) * model for row in rows]

def output_fn(prediction, accept):
    if accept == "text/csv":
        return "".join(f"{p:g}\\n" for p in prediction), accept
    return "\\n".join(json.dumps(p) for p in prediction), accept
"""


@pytest.fixture
def model(sage: Sage) -> str:
    name = unique("model")
    data = sage.put(f"{name}/model.tar.gz", archive({"code/inference.py": DOUBLE}))
    container = {"Image": IMAGE, "ModelDataUrl": data}
    sage.client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return name


def run(sage: Sage, model: str, source: str, **more: Any) -> dict[str, Any]:
    name = unique("transform")
    given = {
        "ContentType": "text/csv",
        "SplitType": "Line",
        "Accept": "text/csv",
        "AssembleWith": "Line",
        "CompressionType": "None",
        **more.pop("formats", {}),
    }
    sage.client.create_transform_job(
        TransformJobName=name,
        ModelName=model,
        TransformInput={
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{sage.bucket}/{source}"}
            },
            **{key: given[key] for key in ("ContentType", "SplitType", "CompressionType") if given[key]},
        },
        TransformOutput={
            "S3OutputPath": f"s3://{sage.bucket}/out/{name}",
            **{key: given[key] for key in ("Accept", "AssembleWith") if given[key]},
        },
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **more,
    )
    return sage.ended("TransformJob", name)


def output(sage: Sage, job: dict[str, Any], key: str) -> str:
    return sage.get(f"{job['TransformOutput']['S3OutputPath']}/{key}.out").decode()


def test_each_object_gets_its_output(sage: Sage, model: str) -> None:
    sage.put("in/day=1/a.csv", "1,2\n3,4\n")
    sage.put("in/b.csv", "5,6\n")
    job = run(sage, model, "in/")
    assert job["TransformJobStatus"] == "Completed", job
    assert output(sage, job, "day=1/a.csv") == "6\n14\n"
    assert output(sage, job, "b.csv") == "22\n"
    assert job["TransformStartTime"] <= job["TransformEndTime"]
    lines = sage.lines("/aws/sagemaker/TransformJobs", job["TransformJobName"])
    assert sorted(lines) == ["batch of 1", "batch of 2"]


def test_single_records_go_one_by_one(sage: Sage, model: str) -> None:
    sage.put("single/a.csv", "1\n2\n3\n")
    job = run(sage, model, "single/", BatchStrategy="SingleRecord")
    assert output(sage, job, "a.csv") == "2\n4\n6\n"
    assert sage.lines("/aws/sagemaker/TransformJobs", job["TransformJobName"]) == ["batch of 1"] * 3


def test_inputs_are_filtered_and_joined(sage: Sage, model: str) -> None:
    sage.put("join/a.csv", "id7,1,2\nid8,3,4\n")
    filters = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    job = run(sage, model, "join/", DataProcessing=filters)
    assert job["TransformJobStatus"] == "Completed", job
    assert output(sage, job, "a.csv").replace(".0", "") == "id7,6\nid8,14\n"


def test_json_lines_are_joined_as_objects(sage: Sage, model: str) -> None:
    sage.put("lines/a.jsonl", '{"id": 1, "x": [1, 2]}\n{"id": 2, "x": [3]}\n')
    filters = {"InputFilter": "$.x", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    formats = {"ContentType": "application/jsonlines", "Accept": "application/jsonlines"}
    job = run(sage, model, "lines/", DataProcessing=filters, formats=formats)
    assert job["TransformJobStatus"] == "Completed", job
    rows = [json.loads(line) for line in output(sage, job, "a.jsonl").splitlines()]
    assert rows == [{"id": 1, "SageMakerOutput": 6}, {"id": 2, "SageMakerOutput": 6}]


def test_a_model_that_refuses_fails_the_job_with_its_words(sage: Sage, model: str) -> None:
    sage.put("bad/a.csv", "13\n")
    job = run(sage, model, "bad/")
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: See job logs for more information (a.csv: 500 ValueError: thirteen)"
    )
    assert not sage.keys(f"out/{job['TransformJobName']}")


def test_a_record_over_the_payload_limit_is_the_clients_error(sage: Sage, model: str) -> None:
    sage.put("big/a.csv", ",".join(["1"] * 600_000))
    job = run(sage, model, "big/", MaxPayloadInMB=1)
    assert job["FailureReason"].startswith("ClientError: See job logs")


def test_input_that_is_not_there_and_models_that_are_not(sage: Sage, model: str) -> None:
    assert "No S3 objects found" in run(sage, model, "never/")["FailureReason"]
    with pytest.raises(ClientError, match="Could not find model"):
        run(sage, "no-such-model", "in/")
