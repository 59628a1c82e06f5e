"""Processing jobs: inputs at their paths, outputs in S3, messages and failures as AWS tells them."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, ROLE, Sage, unique

SUM = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--input", type=pathlib.Path)
parser.add_argument("--output", type=pathlib.Path)
options = parser.parse_args()
total = sum(int(n) for f in sorted(options.input.rglob("*.csv")) for n in f.read_text().split())
(options.output / "total.json").write_text(json.dumps({"total": total, "mode": os.environ["MODE"]}))
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = json.loads((base / "config" / "processingjobconfig.json").read_text())
resources = json.loads((base / "config" / "resourceconfig.json").read_text())
said = f"summed for {config['ProcessingJobName']} on {resources['current_host']}"
(base / "output" / "message").write_text(said)
"""


def request(sage: Sage, script: str, arguments: list[str] | None = None, **more: Any) -> dict[str, Any]:
    name = unique("process")
    code = sage.put(f"{name}/code/job.py", textwrap.dedent(script))
    local = "/opt/ml/processing"
    inputs = [("code", code, f"{local}/input/code")] + [
        (key, uri, f"{local}/{key}") for key, uri in more.pop("inputs", {}).items()
    ]
    outputs = [(key, uri, f"{local}/{key}") for key, uri in more.pop("outputs", {}).items()]
    place = {"S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", f"{local}/input/code/job.py"],
            **({"ContainerArguments": arguments} if arguments else {}),
        },
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
        },
        "ProcessingInputs": [
            {"InputName": key, "S3Input": {"S3Uri": uri, "LocalPath": path, **place}}
            for key, uri, path in inputs
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": key, "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"}}
                for key, uri, path in outputs
            ]
        },
        **more,
    }


def run(sage: Sage, asked: dict[str, Any]) -> dict[str, Any]:
    sage.client.create_processing_job(**asked)
    return sage.ended("ProcessingJob", asked["ProcessingJobName"])


def test_container_paths_work_without_a_container(sage: Sage) -> None:
    sage.put("numbers/a.csv", "1 2")
    sage.put("numbers/more/b.csv", "4")
    asked = request(
        sage,
        SUM,
        ["--input", "/opt/ml/processing/numbers", "--output=/opt/ml/processing/result"],
        inputs={"numbers": f"s3://{sage.bucket}/numbers"},
        outputs={"result": f"s3://{sage.bucket}/result"},
        Environment={"MODE": "all"},
    )
    job = run(sage, asked)
    assert job["ProcessingJobStatus"] == "Completed", job
    assert json.loads(sage.get(f"s3://{sage.bucket}/result/total.json")) == {"total": 7, "mode": "all"}
    assert job["ExitMessage"] == f"summed for {asked['ProcessingJobName']} on algo-1"
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert job["AppSpecification"] == asked["AppSpecification"]


def test_a_failure_has_its_code_its_words_and_its_message(sage: Sage) -> None:
    script = """
    import os, pathlib, sys
    pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "output", "message").write_text("half way")
    print("KeyError: 'demand'", file=sys.stderr)
    sys.exit(3)
    """
    job = run(sage, request(sage, script, outputs={"o": f"s3://{sage.bucket}/never"}))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: See job logs for more information (KeyError: 'demand'), exit code: 3"
    )
    assert job["ExitMessage"] == "half way"
    lines = sage.lines("/aws/sagemaker/ProcessingJobs", f"{job['ProcessingJobName']}/algo-1-")
    assert lines == ["KeyError: 'demand'"]


def test_missing_input_fails_the_job(sage: Sage) -> None:
    job = run(sage, request(sage, "", inputs={"data": f"s3://{sage.bucket}/nothing/"}))
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects found")


def test_a_time_limit_stops_it(sage: Sage) -> None:
    asked = request(sage, "import time\ntime.sleep(60)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert run(sage, asked)["ProcessingJobStatus"] == "Stopped"


def test_paths_outside_and_other_sources_are_refused(sage: Sage) -> None:
    asked = request(sage, "")
    asked["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/etc"
    with pytest.raises(ClientError, match="must begin with /opt/ml/processing"):
        sage.client.create_processing_job(**asked)
    asked["ProcessingInputs"][0]["S3Input"]["LocalPath"] = "/opt/ml/processing/../../etc"
    with pytest.raises(ClientError, match=r"under /opt/ml"):
        sage.client.create_processing_job(**asked)
    with pytest.raises(ClientError, match="Could not find requested job with name"):
        sage.client.describe_processing_job(ProcessingJobName=asked["ProcessingJobName"])


def test_a_shell_entry_point_runs_with_its_paths_and_a_pip_that_only_checks(sage: Sage) -> None:
    asked = request(sage, "import sys, pathlib\npathlib.Path(sys.argv[1], 'ran').write_text(sys.version)")
    sage.put(f"{asked['ProcessingJobName']}/code/requirements.txt", "numpy>=1\n")
    script = """\
    #!/bin/bash
    cd /opt/ml/processing/input/code/
    set -e
    pip uninstall --yes typing
    python3 -m pip install -r requirements.txt
    python job.py "$@"
    """
    folder = f"{asked['ProcessingJobName']}/code"
    sage.put(f"{folder}/run.sh", textwrap.dedent(script))
    asked["ProcessingInputs"][0]["S3Input"]["S3Uri"] = f"s3://{sage.bucket}/{folder}/"
    asked["AppSpecification"] |= {
        "ContainerEntrypoint": ["/bin/bash", "/opt/ml/processing/input/code/run.sh"],
        "ContainerArguments": ["/opt/ml/processing/out"],
    }
    path, target = "/opt/ml/processing/out", f"s3://{sage.bucket}/{folder}/out"
    output = {"S3Uri": target, "LocalPath": path, "S3UploadMode": "EndOfJob"}
    asked["ProcessingOutputConfig"]["Outputs"] = [{"OutputName": "o", "S3Output": output}]
    job = run(sage, asked)
    assert job["ProcessingJobStatus"] == "Completed", job
    assert sage.keys(f"{folder}/out") == [f"{folder}/out/ran"]
    sage.put(f"{folder}/requirements.txt", "surely-not-installed\n")
    job = run(sage, {**asked, "ProcessingJobName": unique("process")})
    assert job["ProcessingJobStatus"] == "Failed" and "surely-not-installed" in job["FailureReason"]
