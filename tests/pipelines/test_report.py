"""A notebook as a pipeline on the embedded AWS: what it shows lands in S3, and its failure is heard."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

import mlops_kit as kit
from mlops_kit.asl import jsonata
from mlops_kit.deploy.stack import outputs
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import report
from pipelines.notebook_job import NotebookJob, build_job
from tests.conftest import REGION, ROOT, EmbeddedAws

PROJECT = "press"
PIPELINE = report.build(Settings())
NEVER = Schedule("at(2199-01-01T00:00:00)")


@dataclass(frozen=True)
class Press:
    """Where notebooks are run."""

    session: Any
    queue: str
    bucket: str

    def run(self, pipeline: Pipeline, **given: Any) -> kit.Run:  # type: ignore[name-defined]
        run = kit.run(self.session, pipeline, given, wait=False)
        until = time.monotonic() + 180
        while run.status == "RUNNING":
            assert time.monotonic() < until, run
            time.sleep(0.3)
        return run

    def read(self, key: str) -> str:
        found = self.session.client("s3").get_object(Bucket=self.bucket, Key=key)
        return str(found["Body"].read().decode())

    def cause(self, run: kit.Run) -> str:  # type: ignore[name-defined]
        found = self.session.client("stepfunctions").describe_execution(executionArn=run.arn)
        return str(found.get("cause"))

    def heard(self, about: str) -> dict[str, str]:
        sqs = self.session.client("sqs")
        for _ in range(20):
            answer = sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
            for one in (json.loads(one["Body"]) for one in answer.get("Messages", ())):
                if f":{about}" in one["Message"]:
                    found: dict[str, str] = one
                    return found
            time.sleep(0.2)
        raise AssertionError(f"nobody was told of {about}")


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Press]:
    folder = tmp_path_factory.mktemp("press")
    aws = EmbeddedAws(folder / "state", ("--enforce-iam",))
    aws.start()
    try:
        settings = Settings(endpoint_url=aws.url, region=REGION, project=PROJECT, state_dir=folder / "kit")
        session = kit.session(settings)
        kit.apply(session, report.build(settings), on_progress=lambda _: None)
        sqs, shared = session.client("sqs"), outputs(session, f"{PROJECT}-foundation")
        url = sqs.create_queue(QueueName="hears")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for topic in ("RoutineTopic", "CriticalTopic"):
            session.client("sns").subscribe(TopicArn=shared[topic], Protocol="sqs", Endpoint=arn)
        yield Press(session, url, shared["DataBucket"])
    finally:
        aws.stop()


def notebook(path: Path, *sources: str) -> Path:
    """A notebook whose second cell holds its parameters."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    made.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(made, path)
    return path


@pytest.mark.slow
def test_the_report_is_run_in_a_processing_job_and_lands_in_s3(press: Press) -> None:
    ended = press.run(report.build(press.session.settings), as_of="2011-08-01", parameters={"days": 30})
    assert ended.status == "SUCCEEDED", press.cause(ended)
    prefix = "reports/week/2011-08-01/10_report_week"
    executed = nbformat.reads(press.read(f"{prefix}.ipynb"), as_version=4)
    assert any("days = 30" in cell.source for cell in executed.cells), "the input's parameter"
    said = json.dumps(executed)
    assert "project press" in said and "30 days until" in said
    assert "report" in said, "the schedule of the report itself"
    page = press.read(f"{prefix}.html")
    assert "30 days until" in page and not re.findall(
        r"<(?:script|link|img)[^>]+(?:src|href)=.?https?:", page
    )
    told = press.heard(ended.name)
    assert told["Subject"] == "press: report" and f"{prefix}.html" in told["Message"]
    (job,) = press.session.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"]
    assert job["ProcessingJobStatus"] == "Completed"


@pytest.mark.slow
def test_a_cell_that_fails_is_a_failed_execution_that_names_cell_and_error(
    press: Press, tmp_path: Path
) -> None:
    broken = notebook(
        tmp_path / "sales.ipynb", "city = 'Bonn'\nwords = ''", "print(city)", "revenue = {}[city]"
    )
    words = "-" * 450 + "${DataBucket} 100 % %} \"quoted\" 'ß'"  # more than an argument takes
    job = NotebookJob(broken, "notebook-sales", "sales", NEVER, {"city": "Köln", "words": words})
    pipeline = build_job(press.session.settings, job)
    kit.apply(press.session, pipeline, on_progress=lambda _: None)
    ended = press.run(pipeline, as_of="2011-08-02")
    assert ended.status == "FAILED"
    cause = press.cause(ended)
    assert "sales.ipynb failed in cell [4] (`revenue = {}[city]`)" in cause and "KeyError: 'Köln'" in cause
    told = press.heard(ended.name)
    assert told["Subject"] == "press: notebook-sales failed" and "KeyError: 'Köln'" in told["Message"]
    assert "Traceback" not in told["Message"]
    executed = press.read("reports/sales/2011-08-02/sales.ipynb")
    assert "Köln" in executed and "KeyError" in press.read("reports/sales/2011-08-02/sales.html")
    given = next(
        c.source for c in nbformat.reads(executed, 4).cells if "injected-parameters" in c.metadata.tags
    )
    found: dict[str, Any] = {}
    exec(given, found)
    assert found["words"] == words
    jobs = press.session.client("sagemaker").list_processing_jobs(NameContains="press-sales")
    assert len(jobs["ProcessingJobSummaries"]) == 1, "what failed is not run again by itself"


@pytest.mark.slow
def test_a_wrong_day_is_refused_before_anything_runs_and_somebody_is_told(press: Press) -> None:
    machine = outputs(press.session, f"{PROJECT}-report")["StateMachineArn"]
    states = press.session.client("stepfunctions")
    started = states.start_execution(
        stateMachineArn=machine, input=json.dumps({"as_of": "soon"}), name="wrong-day"
    )
    until = time.monotonic() + 60
    while (ended := states.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert ended["status"] == "FAILED" and ended["error"] == "BadInput"
    assert "as_of is soon" in press.heard("wrong-day")["Message"]


def test_the_parameters_reach_the_job_in_pieces_that_sagemaker_takes() -> None:
    arguments = PIPELINE.definition["States"]["RunNotebook"]["Arguments"]["AppSpecification"][
        "ContainerArguments"
    ]
    for length in (0, 199, 200, 201, 5000):
        given = {"parameters": {"words": "x" * length}, "output": "s3://bucket/reports/week/2011-08-01/"}
        found = jsonata.evaluate(arguments, {"input": given, "context": {}}, {}, "Arguments")
        assert max(map(len, found)) <= 256
        pieces = found[found.index("--parameters") + 1 :]
        assert json.loads("".join(piece[1:] for piece in pieces)) == given["parameters"]


def test_what_the_job_gets_is_what_the_lock_holds() -> None:
    locked = {line.partition(" ;")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    pins = (ROOT / "pipelines" / "jobs" / "run_notebook.txt").read_text().splitlines()
    assert [pin for pin in pins if not pin.startswith("#") and pin not in locked] == []
    names = {pin.partition("==")[0] for pin in pins}
    assert {"papermill", "nbconvert", "ipykernel", "boto3", "pandas", "duckdb"} <= names
