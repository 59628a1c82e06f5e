"""Training jobs run scripts as AWS's framework images do, and tell it as DescribeTrainingJob does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, Sage, archive, members, unique, until

SHOW = """
import json, os, sys
seen = {"argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd()}
train = os.environ["SM_CHANNEL_TRAIN"]
seen["files"] = sorted(os.path.relpath(os.path.join(d, f), train) for d, _, fs in os.walk(train) for f in fs)
seen["config"] = {n: json.load(open(os.path.join(os.environ["SM_INPUT_CONFIG_DIR"], n + ".json")))
                  for n in ("hyperparameters", "inputdataconfig", "resourceconfig")}
json.dump(seen, open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w"))
open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "plot.txt"), "w").write("a plot")
"""


def seen(sage: Sage, job: dict[str, Any]) -> dict[str, Any]:
    return json.loads(members(sage.get(job["ModelArtifacts"]["S3ModelArtifacts"]))["seen.json"])  # type: ignore[no-any-return]


def refused(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_script_gets_its_contract_and_its_results_are_in_s3(sage: Sage) -> None:
    sage.put("data/part/a.csv", "1,2\n")
    sage.put("data/b.csv", "3,4\n")
    channel = sage.channel("train", f"s3://{sage.bucket}/data", ContentType="text/csv")
    job = sage.train(
        SHOW,
        {"depth": 3, "alpha": 0.5, "label": "x"},
        InputDataConfig=[channel],
        Environment={"MODE": "fast"},
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    result = seen(sage, job)
    assert result["argv"] == ["--alpha", "0.5", "--depth", "3", "--label", "x"]
    assert result["files"] == ["b.csv", "part/a.csv"]
    env = result["env"]
    assert env["MODE"] == "fast" and env["SM_HP_DEPTH"] == "3" and env["SM_CHANNELS"] == '["train"]'
    assert (
        env["TRAINING_JOB_NAME"] == job["TrainingJobName"]
        and env["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    )
    assert env["AWS_ENDPOINT_URL"] == sage.aws.url
    assert result["config"]["inputdataconfig"]["train"]["ContentType"] == "text/csv"
    assert result["config"]["resourceconfig"]["hosts"] == ["algo-1"]
    assert result["config"]["hyperparameters"]["depth"] == "3"
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert model == f"s3://{sage.bucket}/models/{job['TrainingJobName']}/output/model.tar.gz"
    assert members(sage.get(model.replace("model.tar.gz", "output.tar.gz"))) == {"plot.txt": b"a plot"}


def test_the_stages_of_a_job_are_told_with_times_and_aws_words(sage: Sage) -> None:
    job = sage.train("print('hello')")
    steps = [(step["Status"], step["StatusMessage"]) for step in job["SecondaryStatusTransitions"]]
    assert steps == [
        ("Starting", "Starting the training job"),
        ("Downloading", "Downloading input data"),
        ("Training", "Training image download completed. Training in progress."),
        ("Uploading", "Uploading generated training model"),
        ("Completed", "Training job completed"),
    ]
    assert all(step["StartTime"] <= step["EndTime"] for step in job["SecondaryStatusTransitions"])
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1


def test_metrics_are_scraped_into_the_answer_and_cloudwatch(sage: Sage) -> None:
    script = """
    for step in range(3):
        print(f"step={step} loss: {1 / (step + 1):.3f}")
    print("validation:wape 0.25")
    """
    definitions = [
        {"Name": "loss", "Regex": "loss: ([0-9.]+)"},
        {"Name": "validation:wape", "Regex": "validation:wape ([0-9.]+)"},
        {"Name": "never", "Regex": "nothing (\\d+)"},
    ]
    job = sage.train(script, algorithm={"MetricDefinitions": definitions})
    final = {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]}
    assert final == pytest.approx({"loss": 0.333, "validation:wape": 0.25})
    watch = sage.aws.client("cloudwatch")
    dimensions = [{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}]
    listed = until(
        lambda: watch.list_metrics(Namespace="/aws/sagemaker/TrainingJobs", Dimensions=dimensions)["Metrics"]
    )
    assert "loss" in {metric["MetricName"] for metric in listed}
    name = job["TrainingJobName"]
    lines = until(lambda: sage.lines("/aws/sagemaker/TrainingJobs", f"{name}/algo-1-"))
    assert "step=0 loss: 1.000" in lines


def test_a_failing_script_says_why(sage: Sage) -> None:
    job = sage.train("raise ValueError('no rows in the window')", {"depth": 3})
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"] == (
        "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\n"
        'ErrorMessage "ValueError: no rows in the window"\n'
        'Command "python train.py --depth 3", exit code: 1'
    )
    artifacts = f"models/{job['TrainingJobName']}"
    assert sage.keys(artifacts) == []


def test_a_failure_file_becomes_the_reason(sage: Sage) -> None:
    script = """
    import os, sys
    open(os.path.join(os.environ["SM_OUTPUT_DIR"], "failure"), "w").write("the label is missing" + "!" * 2000)
    sys.exit(7)
    """
    reason = sage.train(script)["FailureReason"]
    assert reason.startswith("AlgorithmError: the label is missing!!!") and reason.endswith(", exit code: 1")
    assert len(reason) < 1100


def test_a_stopped_job_keeps_what_it_has_written(sage: Sage) -> None:
    script = """
    import os, signal, sys, time
    def leave(*_):
        open(os.path.join(os.environ["SM_MODEL_DIR"], "checkpoint"), "w").write("so far")
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    print("ready")
    time.sleep(100)
    """
    request = sage.training(script)
    name = request["TrainingJobName"]
    sage.client.create_training_job(**request)
    until(lambda: "ready" in sage.lines("/aws/sagemaker/TrainingJobs", name))
    sage.client.stop_training_job(TrainingJobName=name)
    job = sage.ended("TrainingJob", name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert members(sage.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"checkpoint": b"so far"}
    code, words = refused(sage.client.stop_training_job, TrainingJobName=name)
    assert (code, words) == (
        "ValidationException",
        "The request was rejected because the training job is in status Stopped.",
    )


def test_the_longest_runtime_stops_a_job(sage: Sage) -> None:
    job = sage.train("import time\ntime.sleep(100)", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_names_are_used_once(sage: Sage) -> None:
    request = sage.training("print(1)")
    arn = sage.client.create_training_job(**request)["TrainingJobArn"]
    assert refused(sage.client.create_training_job, **request) == (
        "ResourceInUse",
        "Training job names must be unique within an AWS account and region, and a training job with this "
        f"name already exists ({arn})",
    )


def test_unknown_images_and_missing_data_are_refused_before_anything_starts(sage: Sage) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/my-own:latest"
    code, words = refused(
        sage.client.create_training_job, **sage.training("", algorithm={"TrainingImage": image})
    )
    assert code == "ValidationException"
    assert image in words and "sagemaker-scikit-learn" in words
    uri = f"s3://{sage.bucket}/not-there/"
    request = sage.training("", InputDataConfig=[sage.channel("train", uri)])
    code, words = refused(sage.client.create_training_job, **request)
    assert code == "ValidationException" and f'No S3 objects found under S3 URL "{uri}"' in words
    with pytest.raises(ClientError):
        sage.client.describe_training_job(TrainingJobName=request["TrainingJobName"])
    big = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 5}
    code, words = refused(sage.client.create_training_job, **sage.training("", ResourceConfig=big))
    assert code == "ResourceLimitExceeded" and "request delta of 2 Instances" in words


def test_a_source_that_is_not_there_fails_the_job_with_words(sage: Sage) -> None:
    request = sage.training("", {"sagemaker_submit_directory": f"s3://{sage.bucket}/gone.tar.gz"})
    sage.client.create_training_job(**request)
    job = sage.ended("TrainingJob", request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Failed" and "gone.tar.gz" in job["FailureReason"]


def test_a_channel_that_vanished_fails_the_download(sage: Sage) -> None:
    sage.put("late/manifest", json.dumps([{"prefix": f"s3://{sage.bucket}/late/"}, "gone.csv"]))
    channel = sage.channel("train", f"s3://{sage.bucket}/late/manifest")
    channel["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    job = sage.train("", InputDataConfig=[channel])
    assert job["FailureReason"].startswith("ClientError: Data download failed:")
    assert "late/gone.csv" in job["FailureReason"]


def test_a_requirement_that_is_not_here_is_named(sage: Sage) -> None:
    files = {"requirements.txt": "# what it needs\nnumpy>=1\nsurely-not-installed==9.9\n"}
    job = sage.train("print(1)", files=files)
    assert job["TrainingJobStatus"] == "Failed"
    assert "'surely-not-installed==9.9'" in job["FailureReason"]
    assert (
        sage.train("print(1)", files={"requirements.txt": "numpy>=1\n"})["TrainingJobStatus"] == "Completed"
    )


def test_an_archive_cannot_write_outside_its_folder(sage: Sage) -> None:
    source = sage.put("evil.tar.gz", archive({"../../../evil.py": "", "train.py": ""}))
    job = sage.train("", {"sagemaker_submit_directory": source})
    assert job["TrainingJobStatus"] == "Failed" and "cannot be unpacked" in job["FailureReason"]


def test_a_job_sees_none_of_the_servers_environment(sage: Sage) -> None:
    sage.put("clean/a.csv", "1")
    job = sage.train(SHOW, InputDataConfig=[sage.channel("train", f"s3://{sage.bucket}/clean/")])
    result = seen(sage, job)
    assert result["env"]["HOME"] == result["cwd"]
    assert not {"PYTEST_CURRENT_TEST", "STATE_DIR", "GATEWAY_PORT"} & set(result["env"])


def test_jobs_are_listed_filtered_and_paged(sage: Sage) -> None:
    prefix = unique("listed")
    names = [f"{prefix}-{i}" for i in range(3)]
    for name in names:
        sage.train("print(1)", TrainingJobName=name)
    page = sage.client.list_training_jobs(
        NameContains=prefix, MaxResults=2, SortBy="Name", SortOrder="Ascending"
    )
    rest = sage.client.list_training_jobs(
        NameContains=prefix, MaxResults=2, SortBy="Name", SortOrder="Ascending", NextToken=page["NextToken"]
    )
    found = [item["TrainingJobName"] for item in page["TrainingJobSummaries"] + rest["TrainingJobSummaries"]]
    assert found == names and "NextToken" not in rest
    assert not sage.client.list_training_jobs(NameContains=prefix, StatusEquals="Failed")[
        "TrainingJobSummaries"
    ]


def test_every_stage_is_an_event(sage: Sage) -> None:
    queue = sage.aws.client("sqs").create_queue(QueueName=unique("events"))["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue.rsplit('/', 1)[-1]}"
    request = sage.training("print(1)", Tags=[{"Key": "team", "Value": "ml"}])
    events = sage.aws.client("events")
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Training Job State Change"],
        "detail": {"TrainingJobName": [request["TrainingJobName"]], "TrainingJobStatus": ["Completed"]},
    }
    rule = unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn}])
    sage.client.create_training_job(**request)
    sqs = sage.aws.client("sqs")
    received = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    event = json.loads(received[0]["Body"])
    assert event["detail"]["SecondaryStatus"] == "Completed"
    assert event["detail"]["Tags"] == {"team": "ml"}
    assert event["detail"]["CreationTime"] > 1_000_000_000_000  # milliseconds
    assert event["resources"] == [event["detail"]["TrainingJobArn"]]


def test_a_container_entrypoint_runs_in_place_of_the_toolkit(sage: Sage) -> None:
    algorithm = {
        "ContainerEntrypoint": ["python3", "-c"],
        "ContainerArguments": ["open('/opt/ml/model/m.txt', 'w').write('made')"],
    }
    job = sage.train("", algorithm=algorithm)
    assert members(sage.get(job["ModelArtifacts"]["S3ModelArtifacts"])) == {"m.txt": b"made"}
    assert job["AlgorithmSpecification"]["TrainingImage"] == IMAGE
