"""A day on which everything fails once: each failure is told, and taken up where it happened.

The executions of the day stand on each other, in this order: the data script fails twice and then works;
the training hangs and a person stops it; taken up, it fails; then the scoring does; then the endpoint does
not come up; in the end the challenger serves. A mend is an object in S3 that is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import mlops_kit as kit
from mlops_kit.artifacts import Artifact
from mlops_kit.observe import charts
from mlops_kit.pipeline import GlueJob, Pipeline
from tests.acceptance import town as room
from tests.acceptance.town import Town

pytestmark = pytest.mark.slow

FAILS_TWICE = """
    import os
    tries = boto3.client("s3").list_objects_v2(Bucket={bucket!r}, Prefix="tries/").get("KeyCount", 0)
    boto3.client("s3").put_object(Bucket={bucket!r}, Key=f"tries/{{tries}}", Body=b"")
    if tries < 2:
        raise RuntimeError(f"the source answers with status 503 at try {{tries + 1}}")
    main()
"""
HANGS = "import time\nprint('waiting for a licence', flush=True)\ntime.sleep(3600)\n"
BROKEN = "raise RuntimeError('the {} is broken')\n"


@dataclass(frozen=True)
class Day:
    """What happened, in this order."""

    stopped: kit.Run
    untrained: kit.Run
    unscored: kit.Run
    unserved: kit.Run
    served: kit.Run
    freed: dict[str, str]  # what was told of the first two
    told: dict[str, str]
    reports: tuple[str, str]  # after the first two
    champions: list[str]  # before each redrive, and in the end
    words: list[str]  # of each redrive command

    @property
    def taken_up(self) -> tuple[kit.Run, ...]:
        """The executions that took up another."""
        return self.untrained, self.unscored, self.unserved, self.served


@pytest.fixture(scope="module")
def day(town: Town, second: kit.Run) -> Iterator[Day]:
    script, training, scoring = map(town.artifact, ("prepare_training_data", "training", "scoring"))
    try:
        yield _live(town, script, training, scoring)
    finally:
        for artifact in (script, training, scoring):
            town.put(artifact)


def _live(town: Town, script: Artifact, training: Artifact, scoring: Artifact) -> Day:
    words: list[str] = []
    champions: list[str] = []

    def redrive(run: kit.Run, name: str, status: int = 1) -> kit.Run:
        champions.append(kit.champion(town.session, town.pipeline).arn)
        done = town.cli("redrive", run.name)
        assert done.returncode == status, done.stdout + done.stderr
        words.append(done.stdout)
        return kit.find(town.session, name)

    def report() -> str:
        page = town.session.settings.state_dir / "day.html"
        return kit.report(town.session, town.pipeline, page).read_text()

    text = town.source(script, "prepare_training_data").replace(
        "\n    main()\n", FAILS_TWICE.format(bucket=town.shared["DataBucket"])
    )
    town.put(script, prepare_training_data=text)
    town.put(training, train=HANGS)
    stopped = town.start("day", as_of="2011-09-01")
    town.until(lambda: _log(town, "waiting for a licence"), lambda: str(stopped))
    kit.stop(town.session, stopped)
    [freed] = town.messages("CriticalTopic", "day\n")
    first = report()

    town.put(training, train=BROKEN.format("training"))
    untrained = redrive(stopped, "day-again")
    [told] = town.messages("CriticalTopic", "day-again\n")
    reports = first, report()
    town.put(training, inference=BROKEN.format("serving"))
    town.put(scoring, __main__=BROKEN.format("scoring"))
    unscored = redrive(untrained, "day-again-2")
    town.put(scoring)
    unserved = redrive(unscored, "day-again-3")
    town.put(training)
    served = redrive(unserved, "day-again-4", status=0)
    champions.append(kit.champion(town.session, town.pipeline).arn)
    return Day(stopped, untrained, unscored, unserved, served, freed, told, reports, champions, words)


def _log(town: Town, line: str) -> bool:
    client = town.session.client("logs")
    try:
        found = client.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs", filterPattern=f'"{line}"'
        )
    except client.exceptions.ResourceNotFoundException:
        return False
    return bool(found["events"])


def test_a_script_that_fails_twice_and_then_works_shows_two_retries(day: Day) -> None:
    execution = day.stopped.execution
    prepared = room.visit(execution, "PrepareTrainingData")
    assert prepared.status == "SUCCEEDED"
    causes = [attempt.cause or "" for attempt in prepared.attempts]
    assert [attempt.failed for attempt in prepared.attempts] == [True, True, False]
    assert all(f"status 503 at try {number}" in causes[number - 1] for number in (1, 2))
    axes = charts.gantt(execution).figure.axes[0]
    place = [label.get_text() for label in axes.get_yticklabels()].index("PrepareTrainingData")
    notes = {text.get_position()[1]: text.get_text() for text in axes.texts}
    assert notes[place].endswith(", 3 tries")
    legend = axes.get_legend()
    assert legend and "failed, tried again" in [text.get_text() for text in legend.get_texts()]
    row = r"PrepareTrainingData</td><td>[^/]*SUCCEEDED</span></td><td>3</td>"
    assert re.search(row, day.reports[0]), "the report shows them, too"


def test_the_report_shows_a_failure_with_its_cause_and_the_command(day: Day) -> None:
    box = day.reports[1].partition('class="failure"')[2].partition("</div>")[0]
    assert "<b>TrainModel</b> failed with States.TaskFailed" in box and "the training is broken" in box
    assert f"mlops-kit redrive {day.untrained.arn}" in box


def test_the_history_counts_retries_and_names_the_state_that_failed(town: Town, day: Day) -> None:
    done = town.cli("history", "retraining", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["day"]["retries"] == 2 and rows["day"]["status"] == "ABORTED"
    names = ["day", *(run.name for run in day.taken_up)]
    failed = [rows[name]["failed in"] for name in names]
    assert failed == ["TrainModel", "TrainModel", "ScoreModels", "DeployModel", None]
    assert rows[names[-1]]["verdict"] == "promote"


def test_a_stopped_execution_frees_its_window_says_so_and_is_taken_up_where_it_was(day: Day) -> None:
    assert day.stopped.status == "ABORTED" and room.states(day.stopped.execution)[-1] == "TrainModel"
    assert "was aborted" in day.freed["Message"] and "demand#2011-W35 is free again" in day.freed["Message"]
    assert f"mlops-kit redrive {day.stopped.arn}" in day.freed["Message"]
    assert "Repeated: TrainModel and what follows." in day.words[0]
    assert "Kept: ClaimWindow, PrepareTrainingData." in day.words[0]


def test_one_that_always_fails_ends_in_notify_failure_with_the_true_cause(day: Day) -> None:
    execution = day.untrained.execution
    assert execution.status == "FAILED" and execution.error == "States.TaskFailed"
    assert room.states(execution)[-3:] == ["ReleaseWindow", "NotifyFailure", "RetrainingFailed"]
    assert execution.cause is not None and "the training is broken" in execution.cause
    tries = [attempt.error for attempt in room.visit(execution, "TrainModel").attempts]
    assert tries == ["States.TaskFailed"] * 3
    assert day.told["Subject"] == "demand: retraining failed"
    said = day.told["Message"]
    assert said.startswith("The retraining of demand failed in TrainModel with States.TaskFailed\nCause: ")
    assert "the training is broken" in said and f"mlops-kit redrive {day.untrained.arn}\n" in said
    console = "https://us-east-1.console.aws.amazon.com/states/home?region=us-east-1#/v2/executions/details/"
    assert f"{console}{day.untrained.arn}" in said


def test_each_failure_is_taken_up_where_it_happened_without_repeating_what_came_before(day: Day) -> None:
    failed = ["TrainModel", "TrainModel", "ScoreModels", "DeployModel"]
    entered = [room.states(run.execution)[:2] for run in day.taken_up]
    assert entered == [["ReclaimWindow", state] for state in failed]
    for words, state in zip(day.words, failed, strict=True):
        assert f"Repeated: {state} and what follows." in words
    before = [day.stopped, *day.taken_up[:-1]]
    assert [run.input["resume"]["execution"] for run in day.taken_up] == [run.arn for run in before]
    first = room.given(day.stopped.execution, "TrainModel")["prefix"]
    assert room.given(day.served.execution, "ApproveModel")["prefix"] == first


def test_a_failure_of_the_scoring_is_told_with_its_cause(day: Day) -> None:
    failure = day.unscored.failure
    assert failure is not None and (failure.state, failure.attempts) == ("ScoreModels", 3)
    assert "the scoring is broken" in failure.cause and "mlops-kit redrive day-again-2" in failure.suggestion


def test_an_endpoint_that_does_not_come_up_falls_back_and_is_noticed(
    town: Town, day: Day, second: kit.Run
) -> None:
    failed = room.given(day.unserved.execution, "RetrainingFailed")["failure"]
    failure = day.unserved.failure
    assert failure is not None and (failure.state, failure.error) == ("DeployModel", "EndpointNotInService")
    assert failed["state"] == "DeployModel" and failed["error"] == "EndpointNotInService"
    old = room.given(second.execution, "ApproveModel")["endpoint_config"]
    seen = room.given(day.unserved.execution, "EndpointNotInService")
    assert seen["endpoint"]["status"] == "InService" and seen["endpoint"]["config"] == old
    assert seen["endpoint_config"] != old and "the serving is broken" in failed["cause"]
    assert "ApproveModel" not in room.states(day.unserved.execution)
    *before, now = day.champions
    assert len(set(before)) == 1 and now not in before
    package = town.session.client("sagemaker").describe_model_package(
        ModelPackageName=room.given(day.unserved.execution, "DeployModel")["model_package"]
    )
    assert package["ModelPackageArn"] == now and package["ModelApprovalStatus"] == "Approved"


def test_in_the_end_the_challenger_serves_and_the_window_is_done(town: Town, day: Day) -> None:
    assert room.states(day.served.execution)[-3:] == ["MarkWindowDone", "NotifySuccess", "Retrained"]
    item = town.lock("2011-W35")
    assert item is not None and (item["owner"], item["status"]) == (day.served.arn, "done")
    champion = kit.champion(town.session, town.pipeline)
    rows = champion.sample(3)
    assert list(champion.predict(rows)) == pytest.approx(list(champion.invoke(rows)))


WAITS = """
import sys, time
import boto3
bucket = sys.argv[sys.argv.index("--bucket") + 1]
if not boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="go").get("KeyCount"):
    time.sleep(3600)
"""


def test_an_execution_that_ran_out_of_time_is_redriven_in_place(town: Town, tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    job = GlueJob("Wait", Artifact("waits", "file", ((script.name, script),)), reads=("go",))

    def task(name: str, after: dict[str, object]) -> dict[str, object]:
        parameters = {"JobName": "${WaitJob}", "Arguments": {"--bucket": "${DataBucket}"}}
        resource = "arn:aws:states:::glue:startJobRun.sync"
        return {
            "Type": "Task",
            "Resource": resource,
            "Parameters": parameters,
            "TimeoutSeconds": 600,
            **after,
        }

    states = {"Begin": {"Type": "Pass", "Next": "Work"}, "Work": task("Work", {"End": True})}
    definition = {"StartAt": "Begin", "TimeoutSeconds": 6, "States": states}
    pipeline = Pipeline("patience", "Waits for an object", definition, jobs=(job,))
    kit.apply(town.session, pipeline, on_progress=lambda _: None)
    run = town.ended(kit.run(town.session, pipeline, name="impatient", wait=False))
    assert run.status == "TIMED_OUT"
    town.session.client("s3").put_object(Bucket=town.shared["DataBucket"], Key="go", Body=b"")
    done = town.cli("redrive", "impatient")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended in Work (TIMED_OUT). It is redriven." in done.stdout
    again = kit.find(town.session, "impatient").execution
    assert (again.status, again.redrives) == ("SUCCEEDED", 1)
    assert [visit.state for visit in again.visits].count("Begin") == 1
