"""Glue Python shell jobs through the port: real scripts, real processes, a server that is really killed."""

from __future__ import annotations

import io
import json
import os
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_kit.local.glue_script import error_message
from mlops_kit.local.glue_site.awsglue.utils import getResolvedOptions
from tests.conftest import EmbeddedAws

ROLE = "arn:aws:iam::000000000000:role/any"
ACTIVE = ("STARTING", "RUNNING", "STOPPING")


def eventually(look: Callable[[], Any]) -> Any:
    for _ in range(1200):
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("never happened")


class Jobs:
    """Makes jobs with names, scripts and a bucket of their own."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.glue, self.s3 = aws.client("glue"), aws.client("s3")
        self.bucket = f"glue-{uuid.uuid4().hex[:10]}"
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key: str, data: str | bytes) -> str:
        body = textwrap.dedent(data).encode() if isinstance(data, str) else data
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)
        return f"s3://{self.bucket}/{key}"

    def make(self, script: str, **fields: Any) -> str:
        name = f"job-{uuid.uuid4().hex[:10]}"
        place = fields.pop("location", None) or self.put(f"{name}/script.py", script)
        command = {
            "Name": fields.pop("command", "pythonshell"),
            "ScriptLocation": place,
            "PythonVersion": "3.9",
        }
        self.glue.create_job(Name=name, Role=ROLE, Command=command, **fields)
        return name

    def start(self, job: str, **fields: Any) -> str:
        return str(self.glue.start_job_run(JobName=job, **fields)["JobRunId"])

    def run(self, job: str, id: str) -> dict[str, Any]:
        return dict(self.glue.get_job_run(JobName=job, RunId=id)["JobRun"])

    def ended(self, job: str, id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            run = self.run(job, id)
            return None if run["JobRunState"] in ACTIVE else run

        return dict(eventually(look))

    def finish(self, job: str, **fields: Any) -> dict[str, Any]:
        return self.ended(job, self.start(job, **fields))

    def logged(self, kind: str, run: str) -> list[str]:
        logs = self.aws.client("logs")
        group = f"/aws-glue/python-jobs/{kind}"

        def look() -> list[str]:
            try:
                events = logs.get_log_events(logGroupName=group, logStreamName=run, startFromHead=True)[
                    "events"
                ]
            except logs.exceptions.ResourceNotFoundException:
                return []
            return [event["message"] for event in events]

        return list(eventually(look))


@pytest.fixture
def jobs(aws: EmbeddedAws) -> Jobs:
    return Jobs(aws)


def test_a_script_runs_with_its_arguments_and_reaches_the_port(jobs: Jobs) -> None:
    script = """
        import os, sys
        import boto3
        from awsglue.utils import getResolvedOptions
        args = getResolvedOptions(sys.argv, ["window", "model", "bucket", "TempDir"])
        print(args["window"], args["model"], args["TempDir"], "library-set" in sys.argv)
        print("to the errors", file=sys.stderr)
        boto3.client("s3").put_object(Bucket=args["bucket"], Key="answer", Body=b"42")
    """
    defaults = {"library-set": "analytics", "--window": "none", "--model": "demand", "--TempDir": "s3://t/"}
    job = jobs.make(script, DefaultArguments=defaults)
    run = jobs.finish(job, Arguments={"--window": "2011-07", "--bucket": jobs.bucket})
    assert run["JobRunState"] == "SUCCEEDED", run
    assert jobs.s3.get_object(Bucket=jobs.bucket, Key="answer")["Body"].read() == b"42"
    assert jobs.logged("output", run["Id"]) == ["2011-07 demand s3://t/ False"]
    assert jobs.logged("error", run["Id"]) == ["to the errors"]
    assert run["Arguments"] == {"--window": "2011-07", "--bucket": jobs.bucket}
    assert (run["Attempt"], run["JobName"], run["LogGroupName"]) == (0, job, "/aws-glue/python-jobs")
    assert run["CompletedOn"] >= run["StartedOn"]
    assert "ErrorMessage" not in run


def test_modules_from_s3_are_importable(jobs: Jobs) -> None:
    def zipped(files: dict[str, str]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return buffer.getvalue()

    wheel = zipped(
        {"in_wheel/__init__.py": "WORD = 'wheel'", "in_wheel-1.0.dist-info/METADATA": "Name: in-wheel"}
    )
    places = [
        jobs.put("lib/plain.py", "WORD = 'py'"),
        jobs.put("lib/packed.zip", zipped({"in_zip.py": "WORD = 'zip'"})),
        jobs.put("lib/in_wheel-1.0-py3-none-any.whl", wheel),
    ]
    script = "import plain, in_zip, in_wheel; print(plain.WORD, in_zip.WORD, in_wheel.WORD)"
    job = jobs.make(script, DefaultArguments={"--extra-py-files": ",".join(places)})
    run = jobs.finish(job)
    assert run["JobRunState"] == "SUCCEEDED", run
    assert jobs.logged("output", run["Id"]) == ["py zip wheel"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise KeyError('column temp is missing')", "KeyError: 'column temp is missing'"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise ValueError('two\\nlines')", "ValueError: two\nlines"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(3)", "Command failed with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "Command failed with exit code 137"),
        (
            "import sys; from awsglue.utils import getResolvedOptions; getResolvedOptions(sys.argv, ['x'])",
            "Command failed with exit code 2",
        ),
        ("import time; held = b'x' * (1100 << 20); time.sleep(60)", "Command Failed due to Out of Memory"),
    ],
)
def test_a_failed_run_says_why(jobs: Jobs, script: str, words: str) -> None:
    run = jobs.finish(jobs.make(script))
    assert (run["JobRunState"], run["ErrorMessage"]) == ("FAILED", words)


def test_what_cannot_run_is_failed_with_words_and_never_succeeded(jobs: Jobs) -> None:
    spark = jobs.finish(jobs.make("print(1)", command="glueetl"))
    assert spark["JobRunState"] == "FAILED"
    assert "Python shell jobs only" in spark["ErrorMessage"]
    place = f"s3://{jobs.bucket}/no-such-script.py"
    missing = jobs.finish(jobs.make("", location=place))
    assert missing["JobRunState"] == "FAILED"
    assert place in missing["ErrorMessage"]
    assert "NoSuchKey" in missing["ErrorMessage"]
    module = jobs.finish(jobs.make("", DefaultArguments={"--extra-py-files": "s3://no-such-bucket-x/m.whl"}))
    assert "s3://no-such-bucket-x/m.whl" in module["ErrorMessage"]
    package = jobs.finish(
        jobs.make("", DefaultArguments={"--additional-python-modules": "no-such-package==1"})
    )
    assert "no-such-package==1" in package["ErrorMessage"]


def test_a_failed_run_is_retried_as_often_as_the_job_says(jobs: Jobs) -> None:
    script = """
        import sys, boto3
        s3, bucket = boto3.client("s3"), sys.argv[sys.argv.index("--bucket") + 1]
        count = len(s3.list_objects_v2(Bucket=bucket, Prefix="try/").get("Contents", []))
        s3.put_object(Bucket=bucket, Key=f"try/{count}")
        if count < 2:
            raise RuntimeError(f"try {count}")
    """
    job = jobs.make(script, MaxRetries=3, DefaultArguments={"--bucket": jobs.bucket})
    first = jobs.start(job)
    eventually(lambda: len(jobs.glue.get_job_runs(JobName=job)["JobRuns"]) == 3)
    last = jobs.ended(job, f"{first}_attempt_2")
    runs = jobs.glue.get_job_runs(JobName=job)["JobRuns"]
    assert [(run["Id"], run["Attempt"], run["JobRunState"], run.get("PreviousRunId")) for run in runs] == [
        (f"{first}_attempt_2", 2, "SUCCEEDED", f"{first}_attempt_1"),
        (f"{first}_attempt_1", 1, "FAILED", first),
        (first, 0, "FAILED", None),
    ]
    assert [run.get("ErrorMessage") for run in runs] == [None, "RuntimeError: try 1", "RuntimeError: try 0"]
    assert last["JobRunState"] == "SUCCEEDED"


SLEEPER = """
    import os, time
    print(os.getpid(), flush=True)
    time.sleep(120)
"""


def test_a_run_can_be_stopped_and_its_process_ends(jobs: Jobs) -> None:
    job = jobs.make(SLEEPER, MaxRetries=2)
    id = jobs.start(job)
    pid = int(jobs.logged("output", id)[0])
    assert jobs.run(job, id)["JobRunState"] == "RUNNING"
    answer = jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[id, "jr_unknown"])
    assert answer["SuccessfulSubmissions"] == [{"JobName": job, "JobRunId": id}]
    assert [error["ErrorDetail"]["ErrorCode"] for error in answer["Errors"]] == ["EntityNotFoundException"]
    assert jobs.ended(job, id)["JobRunState"] == "STOPPED"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    again = jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[id])
    assert "cannot be stopped" in again["Errors"][0]["ErrorDetail"]["ErrorMessage"]
    assert len(jobs.glue.get_job_runs(JobName=job)["JobRuns"]) == 1


@pytest.mark.slow
def test_a_run_that_takes_longer_than_its_minutes_times_out_and_is_not_retried(jobs: Jobs) -> None:
    job = jobs.make(SLEEPER, MaxRetries=1, Timeout=5)
    run = jobs.finish(job, Timeout=1)
    assert (run["JobRunState"], run["Timeout"]) == ("TIMEOUT", 1)
    assert run["ExecutionTime"] >= 60
    assert len(jobs.glue.get_job_runs(JobName=job)["JobRuns"]) == 1


def test_no_more_runs_at_once_than_allowed(jobs: Jobs) -> None:
    job = jobs.make(SLEEPER, ExecutionProperty={"MaxConcurrentRuns": 2})
    first, second = jobs.start(job), jobs.start(job)
    with pytest.raises(jobs.glue.exceptions.ConcurrentRunsExceededException):
        jobs.start(job)
    jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[first])
    jobs.ended(job, first)
    third = jobs.start(job)
    jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[second, third])
    assert {jobs.ended(job, id)["JobRunState"] for id in (second, third)} == {"STOPPED"}


def test_an_end_is_an_event(aws: EmbeddedAws, jobs: Jobs) -> None:
    sqs, events = aws.client("sqs"), aws.client("events")
    job = jobs.make("raise ValueError('no')")
    queue = sqs.create_queue(QueueName=job)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.glue"], "detail-type": ["Glue Job State Change"], "detail": {"jobName": [job]}}
    events.put_rule(Name=job, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=job, Targets=[{"Id": "1", "Arn": arn}])
    run = jobs.finish(job)
    found = eventually(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages"))
    assert json.loads(found[0]["Body"])["detail"] == {
        "jobName": job,
        "severity": "ERROR",
        "state": "FAILED",
        "jobRunId": run["Id"],
        "message": "ValueError: no",
    }


def test_jobs_are_kept_listed_changed_and_removed(jobs: Jobs) -> None:
    glue = jobs.glue
    tag = {"project": jobs.bucket}
    names = sorted(jobs.make("print(1)", Tags=tag, MaxRetries=1) for _ in range(3))
    job = glue.get_job(JobName=names[0])["Job"]
    assert (job["Timeout"], job["MaxRetries"], job["MaxCapacity"]) == (2880, 1, 0.0625)
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert "Tags" not in job

    listed: list[str] = []
    page = glue.list_jobs(Tags=tag, MaxResults=2)
    listed += page["JobNames"]
    listed += glue.list_jobs(Tags=tag, MaxResults=2, NextToken=page["NextToken"])["JobNames"]
    assert listed == names
    arn = f"arn:aws:glue:us-east-1:000000000000:job/{names[0]}"
    assert glue.get_tags(ResourceArn=arn)["Tags"] == tag
    found = glue.batch_get_jobs(JobNames=[names[1], "no-such-job"])
    assert ([one["Name"] for one in found["Jobs"]], found["JobsNotFound"]) == ([names[1]], ["no-such-job"])
    assert set(names) <= {one["Name"] for one in glue.get_jobs()["Jobs"]}

    glue.update_job(JobName=names[0], JobUpdate={"Role": ROLE, "Command": job["Command"], "Timeout": 7})
    changed = glue.get_job(JobName=names[0])["Job"]
    assert (changed["Timeout"], changed["MaxRetries"], changed["CreatedOn"]) == (7, 0, job["CreatedOn"])

    for _ in range(2):
        assert glue.delete_job(JobName=names[0])["JobName"] == names[0]
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.get_job(JobName=names[0])
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {}


def test_runs_come_in_pages_the_newest_first(jobs: Jobs) -> None:
    job = jobs.make("print(1)")
    ids = [jobs.finish(job)["Id"] for _ in range(3)]
    page = jobs.glue.get_job_runs(JobName=job, MaxResults=2)
    rest = jobs.glue.get_job_runs(JobName=job, MaxResults=2, NextToken=page["NextToken"])
    assert [run["Id"] for run in page["JobRuns"] + rest["JobRuns"]] == ids[::-1]
    assert "NextToken" not in rest


def test_bad_requests_are_refused_in_glues_words(jobs: Jobs) -> None:
    glue = jobs.glue
    job = jobs.make("print(1)", NonOverridableArguments={"--fixed": "1"})
    good = {"Name": "pythonshell", "ScriptLocation": f"s3://{jobs.bucket}/x.py"}
    cases: list[tuple[str, Callable[[], Any]]] = [
        ("EntityNotFoundException", lambda: jobs.start("no-such-job")),
        ("EntityNotFoundException", lambda: jobs.run(job, "jr_unknown")),
        ("EntityNotFoundException", lambda: glue.get_job_runs(JobName="no-such-job")),
        ("AlreadyExistsException", lambda: glue.create_job(Name=job, Role=ROLE, Command=good)),
        (
            "InvalidInputException",
            lambda: glue.create_job(Name="x", Role=ROLE, Command={**good, "Name": "bash"}),
        ),
        (
            "InvalidInputException",
            lambda: glue.create_job(Name="x", Role=ROLE, Command={"Name": "pythonshell"}),
        ),
        ("InvalidInputException", lambda: glue.create_job(Name="x", Role=ROLE, Command=good, MaxCapacity=2)),
        (
            "InvalidInputException",
            lambda: glue.create_job(Name="x", Role=ROLE, Command=good, WorkerType="G.1X", NumberOfWorkers=2),
        ),
        ("InvalidInputException", lambda: jobs.start(job, Arguments={"--fixed": "2"})),
        ("InvalidInputException", lambda: jobs.start(job, MaxCapacity=3.0)),
    ]
    for code, call in cases:
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code


def test_the_catalogue_still_answers(aws: EmbeddedAws, jobs: Jobs) -> None:
    jobs.glue.create_database(DatabaseInput={"Name": "catalogue_here"})
    assert jobs.glue.get_database(Name="catalogue_here")["Database"]["Name"] == "catalogue_here"


WAITER = """
    import os, sys, time
    print("before", flush=True)
    while not os.path.exists(sys.argv[-1]): time.sleep(0.05)
    print("after")
"""


def test_after_kill_9_a_living_run_is_found_again(fresh_aws: EmbeddedAws) -> None:
    jobs = Jobs(fresh_aws)
    flag = fresh_aws.state_dir / "go"
    job = jobs.make(WAITER, DefaultArguments={"--flag": str(flag)})
    id = jobs.start(job)
    eventually((fresh_aws.state_dir / f"processes/glue-{id}/stdout.offset").exists)
    fresh_aws.kill()
    fresh_aws.start()
    jobs.glue, jobs.s3 = fresh_aws.client("glue"), fresh_aws.client("s3")
    assert jobs.run(job, id)["JobRunState"] == "RUNNING"
    flag.touch()
    assert jobs.ended(job, id)["JobRunState"] == "SUCCEEDED"
    assert jobs.logged("output", id)[-1] == "after"


def test_a_run_that_dies_with_the_server_has_failed(fresh_aws: EmbeddedAws) -> None:
    jobs = Jobs(fresh_aws)
    job = jobs.make(SLEEPER)
    id = jobs.start(job)
    pid = int(jobs.logged("output", id)[0])
    fresh_aws.restart()  # a clean stop leaves no process
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    jobs.glue = fresh_aws.client("glue")
    run = jobs.ended(job, id)
    assert run["JobRunState"] == "FAILED"
    assert "embedded AWS" in run["ErrorMessage"]


def test_options_are_resolved_as_glue_does() -> None:
    argv = ["script.py", "--a", "1", "--other", "x", "--TempDir", "s3://t/", "--b_c", "with space"]
    found = getResolvedOptions(argv, ["a", "b_c", "TempDir"])
    assert (found["a"], found["b_c"], found["TempDir"], found["RedshiftTempDir"]) == (
        "1",
        "with space",
        *["s3://t/"] * 2,
    )
    assert "other" not in found
    with pytest.raises(RuntimeError, match="reserved"):
        getResolvedOptions(argv, ["job_bookmark_option"])


def test_the_message_is_the_last_of_chained_errors() -> None:
    chained = b"""Traceback (most recent call last):
  File "a.py", line 2, in <module>
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 4, in <module>
    raise package.Odd("b")
    ^^^^^^^^^
package.Odd: b
"""
    assert error_message(chained) == "package.Odd: b"
    assert error_message(b"just words\n") is None
