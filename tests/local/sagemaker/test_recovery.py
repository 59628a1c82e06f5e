"""Jobs and the server's death: found again while they live, failed with words when they do not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.local.sagemaker.support import Sage, members, until

WAIT = """
import os, pathlib, time
print("pid", os.getpid(), flush=True)
print("loss: 0.5", flush=True)
go = pathlib.Path(os.environ["GO"])
while not go.exists():
    time.sleep(0.05)
print("last: 0.25", flush=True)
pathlib.Path(os.environ["SM_MODEL_DIR"], "m").write_text("made")
"""
DEFINITIONS = [{"Name": "loss", "Regex": "loss: ([0-9.]+)"}, {"Name": "last", "Regex": "last: ([0-9.]+)"}]


def begin(sage: Sage) -> tuple[str, int]:
    """A job that waits for a file; its name and its process."""
    go = str(sage.aws.state_dir.parent / "go")
    request = sage.training(WAIT, Environment={"GO": go}, algorithm={"MetricDefinitions": DEFINITIONS})
    name = request["TrainingJobName"]
    sage.client.create_training_job(**request)
    group = "/aws/sagemaker/TrainingJobs"
    line = until(lambda: [x for x in sage.lines(group, name) if x.startswith("pid")])[0]
    return name, int(line.split()[1])


def let_go(sage: Sage) -> None:
    (sage.aws.state_dir.parent / "go").touch()


def back(sage: Sage) -> None:
    sage.aws.start()
    sage.client = sage.aws.client("sagemaker")
    sage.s3 = sage.aws.client("s3")


def test_a_job_that_lived_through_a_kill_completes(fresh_sage: Sage) -> None:
    name, pid = begin(fresh_sage)
    fresh_sage.aws.kill()
    os.kill(pid, 0)
    back(fresh_sage)
    assert fresh_sage.describe("TrainingJob", name)["TrainingJobStatus"] == "InProgress"
    let_go(fresh_sage)
    job = fresh_sage.ended("TrainingJob", name)
    assert job["TrainingJobStatus"] == "Completed"
    assert members(fresh_sage.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"m": b"made"}
    assert {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]} == {"loss": 0.5, "last": 0.25}


def test_a_job_that_ended_while_nobody_looked_is_collected(fresh_sage: Sage) -> None:
    name, pid = begin(fresh_sage)
    fresh_sage.aws.kill()
    let_go(fresh_sage)
    until(lambda: not Path(f"/proc/{pid}").exists())
    back(fresh_sage)
    assert fresh_sage.ended("TrainingJob", name)["TrainingJobStatus"] == "Completed"


def test_a_job_that_a_stop_took_along_has_failed_with_words(fresh_sage: Sage) -> None:
    name, pid = begin(fresh_sage)
    fresh_sage.aws.stop()
    assert not Path(f"/proc/{pid}").exists()
    back(fresh_sage)
    job = fresh_sage.ended("TrainingJob", name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: The embedded AWS was stopped or killed")


def test_a_job_whose_process_is_gone_with_the_server_has_failed(fresh_sage: Sage) -> None:
    name, pid = begin(fresh_sage)
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    fresh_sage.aws.kill()
    for process in (supervisor, pid):
        os.kill(process, signal.SIGKILL)
    back(fresh_sage)
    job = fresh_sage.ended("TrainingJob", name)
    assert job["FailureReason"].startswith("InternalServerError:")


def test_a_finished_job_leaves_no_files(fresh_sage: Sage) -> None:
    fresh_sage.train("print(1)")
    state = fresh_sage.aws.state_dir
    until(lambda: not [p for p in (state / "sagemaker" / "training-job").rglob("*") if p.is_file()])
    until(lambda: not list((state / "processes").glob("training-job-*")))


def test_files_that_a_kill_left_behind_go_at_the_next_start(fresh_sage: Sage) -> None:
    job = fresh_sage.train("print(1)")
    state = fresh_sage.aws.state_dir / "sagemaker" / "training-job" / "us-east-1" / job["TrainingJobName"]
    fresh_sage.aws.kill()
    (state / "ml" / "model").mkdir(parents=True)
    back(fresh_sage)
    until(lambda: not state.exists())
