"""What is scheduled, as it stands in EventBridge Scheduler: when it fires, what came of it, changing it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit import cli
from mlops_kit.observe.charts_schedules import calendar
from mlops_kit.observe.scheduled import Scheduled
from tests.conftest import EmbeddedAws
from tests.deploy.small import pipeline

SCRIPT = Path(sys.executable).with_name("mlops-kit")
GONE = "arn:aws:lambda:us-east-1:000000000000:function:gone"
SCHEDULES = (
    kit.Schedule("cron(30 2 * * ? *)", "Europe/Berlin", name="nightly", flexible_window=5),
    kit.Schedule("rate(1 hour)", name="hourly"),
    kit.Schedule("rate(1 day)", name="told", target=kit.Target("${RoutineTopic}")),
    kit.Schedule("rate(1 day)", name="gone", target=kit.Target(GONE), retry=kit.Retry(0, 60)),
    kit.Schedule("rate(7 days)", name="coming", start="2026-03-20T00:00:00Z", end="2026-06-01T00:00:00Z"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """An embedded AWS that holds roles to their policies, on the Friday before Europe's clocks change."""
    arguments = ("--at", "2026-03-27T00:00:00Z", "--enforce-iam")
    made = EmbeddedAws(tmp_path_factory.mktemp("aws") / "state", arguments)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def session(server: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project whose pipeline has schedules; a rate fires when it is made."""
    folder = tmp_path_factory.mktemp("kit")
    made = kit.session(endpoint_url=server.url, region="us-east-1", project="clock", state_dir=folder)
    # A start in the past is refused when a schedule is made: this one lies ahead until its first test.
    later = replace(SCHEDULES[-1], start="2026-03-28T00:00:00Z")
    small = replace(pipeline(folder), input_schema={"type": "object"}).adding(*SCHEDULES[:-1], later)
    kit.apply(made, small, on_progress=lambda _: None)
    return made


def until(true: Callable[[], bool]) -> None:
    """Wait for what Scheduler does in its own time."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.2)


def one(session: Any, name: str, count: int = 3) -> Any:
    (found,) = (one for one in kit.schedules(session, next=count).schedules if one.name == name)
    return found


def test_the_next_fires_skip_the_hour_that_spring_takes_away(session: Any) -> None:
    nightly = one(session, "nightly")
    assert [f"{fire:%Y-%m-%dT%H:%MZ}" for fire in nightly.next] == [
        "2026-03-27T01:30Z",
        "2026-03-28T01:30Z",
        "2026-03-30T00:30Z",  # the 29th has no 02:30
    ]
    text = str(kit.schedules(session))
    assert "2026-03-28 02:30 CET" in text and "2026-03-30 02:30 CEST" in text
    assert "within 5 min" in text and "its clock at 2026-03-27 00:00 UTC" in text


def test_a_rate_counts_from_when_its_schedule_was_made(session: Any) -> None:
    hourly = one(session, "hourly", 2)
    made = hourly.body["CreationDate"].astimezone(UTC)
    assert [(fire - made).total_seconds() for fire in hourly.next] == [3600, 7200]


def test_the_last_fire_and_its_result_come_from_what_it_started_or_could_not(session: Any) -> None:
    until(lambda: one(session, "hourly").result == "succeeded" and bool(one(session, "gone").letters))
    told, gone = one(session, "told"), one(session, "gone")
    assert told.result == "delivered" and told.last == told.body["CreationDate"]
    assert (gone.result, len(gone.letters)) == ("dead letter: ResourceNotFoundException", 1)
    assert one(session, "nightly").last is None and one(session, "nightly").result == ""
    assert len(one(session, "gone").letters) == 1, "looking takes no letter away"
    targets = {one.name: one.target for one in kit.schedules(session).schedules}
    assert targets["told"] == "topic clock-routine" and targets["gone"] == "function gone"
    assert targets["nightly"] == "state machine clock-small"


def test_what_was_only_asked_for_is_never_shown_as_succeeded(server: EmbeddedAws, tmp_path: Path) -> None:
    asked = kit.session(endpoint_url=server.url, region="us-east-1", project="asked", state_dir=tmp_path)
    asked.client("ecs").create_cluster(clusterName="jobs")
    container = {"name": "main", "image": "busybox", "memory": 64}
    asked.client("ecs").register_task_definition(family="clean", containerDefinitions=[container])
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    role = asked.client("iam").create_role(
        RoleName="churn", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    churn = asked.client("sagemaker").create_pipeline(
        PipelineName="churn", PipelineDefinition="{}", RoleArn=role, ClientRequestToken="t" * 32
    )["PipelineArn"]
    ecs = "arn:aws:ecs:us-east-1:000000000000"
    task = {"EcsParameters": {"TaskDefinitionArn": f"{ecs}:task-definition/clean"}}
    schedules = (
        kit.Schedule("rate(30 days)", name="pipeline", target=kit.Target(churn)),
        kit.Schedule("rate(30 days)", name="task", target=kit.Target(f"{ecs}:cluster/jobs", task)),
    )
    kit.apply(asked, pipeline(tmp_path / "fn").adding(*schedules), on_progress=lambda _: None)

    def results() -> dict[str, str]:
        return {one.name: one.result for one in kit.schedules(asked).schedules}

    until(lambda: all(results().values()))
    assert results()["pipeline"] == "failed: not run: the embedded AWS runs no SageMaker pipelines"
    assert results()["task"].startswith("stopped: ") and "not run" in results()["task"]
    assert "ECS task clean on jobs" in str(kit.schedules(asked))


def test_every_letter_of_a_long_queue_is_seen_and_stays(session: Any) -> None:
    sqs = session.client("sqs")
    url = sqs.get_queue_url(QueueName="clock-small-schedules-dlq")["QueueUrl"]
    until(lambda: bool(one(session, "gone").letters))
    arn = one(session, "told").body["Arn"]
    for day in range(1, 13):
        said = {
            "SCHEDULE_ARN": arn,
            "TARGET_ARN": "arn:aws:sns:us-east-1:000000000000:clock-routine",
            "SCHEDULED_TIME": f"2026-03-{day:02}T00:00:00Z",
            "ERROR_CODE": "Throttled",
            "ERROR_MESSAGE": "too much",
        }
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}
        sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes=attributes)
    sqs.send_message(QueueUrl=url, MessageBody="somebody else's")
    for _ in range(2):
        told = one(session, "told")
        assert len(told.letters) == 12 and told.letters[0].scheduled == datetime(2026, 3, 12, tzinfo=UTC)
    assert told.result == "delivered", "the newest letter is older than the last fire"


def test_pausing_changes_nothing_else_and_resuming_puts_it_back(session: Any) -> None:
    before = one(session, "coming").body
    kit.pause(session, "clock-small/coming")
    paused = one(session, "coming")
    assert paused.next == () and "paused" in str(kit.schedules(session))
    ours = ("State", "LastModificationDate", "ResponseMetadata")
    assert {k: v for k, v in paused.body.items() if k not in ours} == {
        k: v for k, v in before.items() if k not in ours
    }
    assert kit.resume(session, "small/coming").enabled
    assert [f"{fire:%d %b}" for fire in one(session, "coming", 2).next] == ["28 Mar", "04 Apr"]


def test_firing_by_hand_starts_the_pipeline_and_says_so(session: Any) -> None:
    kit.fire(session, "nightly")
    until(lambda: one(session, "nightly").result == "succeeded")
    machine = one(session, "nightly").body["Target"]["Arn"]
    client = session.client("stepfunctions")
    (given,) = (
        found
        for run in client.list_executions(stateMachineArn=machine)["executions"]
        if (found := json.loads(client.describe_execution(executionArn=run["executionArn"])["input"]))
        and found["trigger"]["name"] == "nightly"
    )
    assert given["trigger"]["kind"] == "schedule, by hand" and given["as_of"].startswith("2026-03-27T00:")
    until(lambda: not [one for one in kit.schedules(session).schedules if "by-hand" in one.name])


def test_a_name_that_is_not_there_is_refused_with_those_that_are(session: Any) -> None:
    with pytest.raises(kit.UsageError, match="no schedule 'daily'") as caught:
        kit.pause(session, "daily")
    assert "nightly" in str(caught.value.suggestion)


def test_the_table_has_a_frame_and_an_html_form(session: Any) -> None:
    found = kit.schedules(session, "small", next=1)
    assert set(found.frame()["name"]) == {one.name for one in SCHEDULES}
    assert (
        "<td" in found._repr_html_() and "nightly<br>cron(30 2 * * ? *) Europe/Berlin" in found._repr_html_()
    )
    assert len(kit.schedules(session, "other")) == 0


def test_the_jobs_of_the_platform_are_those_that_stand_and_those_that_its_pipelines_describe(
    session: Any,
) -> None:
    found = kit.jobs(session)
    states = {one["name"]: one["state"] for one in json.loads(found.json())}
    assert states["retrain-demand"] == "not applied" and states["nightly"] == "enabled"
    (retraining,) = (one for one in found.schedules if one.name == "retrain-demand")
    assert retraining.target == "state machine clock-retraining-demand"
    assert [f"{fire:%Y-%m-%dT%H:%MZ}" for fire in retraining.next] == ["2026-03-30T01:00Z"]
    assert "not applied" in str(found) and "paused or not applied" in found.calendar(days=1).summary


def test_the_calendar_shows_the_coming_week(session: Any) -> None:
    chart = kit.calendar(session, days=7)
    nightly, frequent = 6, 7 * 24  # without the 29th; the hourly one
    assert chart.summary.startswith(f"{nightly + frequent + 7 + 7 + 1} fires of 5 schedules")
    (axes,) = chart.figure.axes
    assert next(label.get_text() for label in axes.get_yticklabels()) == "hourly"
    assert "02:30" in {text.get_text() for text in axes.texts}
    assert "nightly\nEurope/Berlin" in {label.get_text() for label in axes.get_yticklabels()}
    assert kit.calendar(session, days=7, pipeline="none").summary.startswith("0 fires")


def test_the_calendar_of_one_zone_shows_where_its_clock_changes() -> None:
    body = {
        "Name": "nightly",
        "GroupName": "g",
        "State": "DISABLED",
        "ScheduleExpression": "cron(30 2 * * ? *)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "FlexibleTimeWindow": {"Mode": "OFF"},
    }
    chart = calendar([Scheduled(body, "p", ())], datetime(2026, 3, 27, 12, tzinfo=UTC), days=4)
    assert chart.summary == "0 fires of 0 schedules in the coming 4 days; 1 paused or not applied"
    (axes,) = chart.figure.axes
    assert "the clock changes" in {text.get_text() for text in axes.texts}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["nightly (paused)"]
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["Sat\n28 Mar", "Sun\n29 Mar"]


def run(capsys: Any, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out + said.err


def test_the_command_lists_one_pipeline_or_all_and_changes_one(
    session: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_KIT_ENDPOINT_URL", session.settings.endpoint_url)
    monkeypatch.setenv("MLOPS_KIT_PROJECT", "clock")
    monkeypatch.setenv("MLOPS_KIT_REGION", "us-east-1")
    status, said = run(capsys, "schedules", "--next", "1", "--json")
    listed = {one["name"]: one for one in json.loads(said)}
    assert status == 0 and listed["nightly"]["next"] == ["2026-03-27T01:30:00Z"]
    assert listed["gone"]["dead_letters"] == 1 and listed["gone"]["state"] == "enabled"
    assert "0 schedules" in run(capsys, "schedules", "retraining", "--next", "1")[1]
    assert "resume hourly" in run(capsys, "schedules", "pause", "hourly")[1]
    assert one(session, "hourly").next == ()
    assert "next at 2026-03-27T01:" in run(capsys, "schedules", "resume", "hourly")[1]
    assert run(capsys, "schedules", "pause", "never")[0] == 2


def expression(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), "schedules", *arguments]
    nowhere = {"MLOPS_KIT_ENDPOINT_URL": "http://127.0.0.1:9", "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, env=nowhere, check=False)


def test_an_expression_is_tried_without_a_server() -> None:
    words = ("--expression", "cron(0 9 ? * 2#2 *)", "--timezone", "Europe/Berlin", "--after", "2026-01-01")
    found = expression(*words, "--next", "2", "--json")
    assert json.loads(found.stdout) == {
        "expression": "cron(0 9 ? * 2#2 *)",
        "timezone": "Europe/Berlin",
        "next": ["2026-01-12T08:00:00Z", "2026-02-09T08:00:00Z"],
    }
    table = expression(*words, "--next", "4").stdout.splitlines()
    assert table[0].split() == ["Monday", "2026-01-12", "09:00", "CET", "2026-01-12T08:00:00Z"]
    assert table[3].split() == ["Monday", "2026-04-13", "09:00", "CEST", "2026-04-13T07:00:00Z"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--expression", "cron(0 9 * * 2 *)"), "exactly one of day of month and day of week"),
        (("--expression", "rate(1 day)", "--timezone", "Mars/Base"), "'Mars/Base', which does not exist"),
        (("--expression", "rate(1 day)", "--after", "soon"), "'soon' is no time"),
        (("--expression", "rate(1 day)", "retraining"), "not both"),
        (("--timezone", "UTC"), "go with --expression"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_the_reason(arguments: tuple[str, ...], words: str) -> None:
    found = expression(*arguments)
    assert found.returncode == 2 and words in found.stderr and "Traceback" not in found.stderr


def test_the_kits_files_need_no_network_for_an_expression(tmp_path: Path) -> None:
    code = "import sys, mlops_kit as kit; kit.occurrences('rate(1 day)'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"botocore", "boto3", "rich", "pandas", "matplotlib"} & set(loaded.split())
