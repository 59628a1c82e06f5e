"""`.sync` tasks: real Glue and SageMaker jobs, followed, failed, stopped, and found again after a kill."""

from __future__ import annotations

import functools
import json
import uuid
from typing import Any

from tests.local.stepfunctions import walk

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def _script(aws: Any, text: str) -> str:
    bucket = f"jobs-{uuid.uuid4().hex[:10]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="job.py", Body=text.encode())
    return f"s3://{bucket}/job.py"


def _glue(aws: Any, text: str, **state: Any) -> dict[str, Any]:
    """A state that runs a Glue job with this script."""
    name = f"job-{uuid.uuid4().hex[:10]}"
    command = {"Name": "pythonshell", "ScriptLocation": _script(aws, text), "PythonVersion": "3.9"}
    aws.client("glue").create_job(Name=name, Role=walk.ROLE, Command=command)
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": name, "Arguments": {"--word.$": "$.word"}},
        **state,
    }


def _processing(aws: Any, text: str, name: str) -> dict[str, Any]:
    """A state that runs a processing job with this script."""
    place = {
        "S3Uri": _script(aws, text),
        "LocalPath": "/opt/ml/processing/code",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync",
        "Parameters": {
            "ProcessingJobName": name,
            "RoleArn": walk.ROLE,
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", "/opt/ml/processing/code/job.py"],
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
            },
            "ProcessingInputs": [{"InputName": "code", "S3Input": place}],
        },
    }


def _says(aws: Any, group: str, words: str) -> bool:
    """Whether a log group has a line with these words."""
    logs = aws.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return False
    return any(words in event["message"] for event in logs.filter_log_events(logGroupName=group)["events"])


def test_a_glue_job_gives_its_run_and_its_failures_meet_retry(aws: Any) -> None:
    script = "import sys\nprint(sys.argv)\n"
    shown = walk.run(aws, walk.states(("Job", _glue(aws, script))), {"word": "x"})
    assert shown["output"]["JobRunState"] == "SUCCEEDED"
    assert shown["output"]["Arguments"] == {"--word": "x"}
    assert isinstance(shown["output"]["StartedOn"], int)
    assert "SdkHttpMetadata" not in shown["output"]
    retry = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    failing = _glue(aws, "raise ValueError('no data')\n", Retry=retry)
    shown = walk.run(aws, walk.states(("Job", failing)), {"word": "x"})
    assert shown["error"] == "States.TaskFailed"
    assert "no data" in json.loads(shown["cause"])["ErrorMessage"]
    types = walk.types(aws, shown["executionArn"])
    assert (types.count("TaskSubmitted"), types.count("TaskFailed")) == (2, 2)


def test_a_refused_submission_has_its_own_event_and_the_services_error_name(aws: Any) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": "no-such-job"},
    }
    shown = walk.run(aws, walk.states(("Job", task)))
    assert shown["error"] == "Glue.EntityNotFoundException"
    assert "TaskSubmitFailed" in walk.types(aws, shown["executionArn"])


def test_a_processing_job_ends_with_its_description_and_carries_the_managed_tag(aws: Any) -> None:
    name = f"process-{uuid.uuid4().hex[:10]}"
    shown = walk.run(aws, walk.states(("Job", _processing(aws, "print('hello')\n", name))))
    assert shown["output"]["ProcessingJobStatus"] == "Completed"
    tags = aws.client("sagemaker").list_tags(ResourceArn=shown["output"]["ProcessingJobArn"])["Tags"]
    assert {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"} in tags


def test_a_job_that_lives_is_found_again_after_a_kill_and_not_started_twice(fresh_aws: Any) -> None:
    slow = "import time\nprint('it runs', flush=True)\ntime.sleep(4)\n"
    name = f"process-{uuid.uuid4().hex[:10]}"
    both = {
        "Type": "Parallel",
        "Branches": [
            walk.states(("Glue", _glue(fresh_aws, slow))),
            walk.states(("Processing", _processing(fresh_aws, slow, name))),
        ],
    }
    walk.settle(fresh_aws)
    execution = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Both", both))), {"word": "x"})
    walk.holds(lambda: walk.types(fresh_aws, execution).count("TaskSubmitted") == 2)
    for group in ("/aws/sagemaker/ProcessingJobs", "/aws-glue/python-jobs/output"):
        walk.holds(functools.partial(_says, fresh_aws, group, "it runs"))
    fresh_aws.kill()
    fresh_aws.start()
    shown = walk.until(fresh_aws, execution, seconds=60)
    assert shown["status"] == "SUCCEEDED", json.loads(shown["cause"]).get("FailureReason")
    glue, processing = json.loads(shown["output"])
    assert (glue["JobRunState"], processing["ProcessingJobStatus"]) == ("SUCCEEDED", "Completed")
    assert walk.types(fresh_aws, execution).count("TaskSubmitted") == 2
    runs = fresh_aws.client("glue").get_job_runs(JobName=glue["JobName"])["JobRuns"]
    assert len(runs) == 1


def test_a_timeout_stops_the_job(aws: Any) -> None:
    name = f"process-{uuid.uuid4().hex[:10]}"
    state = {**_processing(aws, "import time\ntime.sleep(60)\n", name), "TimeoutSeconds": 3}
    shown = walk.run(aws, walk.states(("Job", state)))
    assert (shown["status"], shown["error"]) == ("FAILED", "States.Timeout")
    sagemaker = aws.client("sagemaker")

    def stopped() -> bool:
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        return bool(job["ProcessingJobStatus"] in ("Stopping", "Stopped"))

    walk.holds(stopped)
