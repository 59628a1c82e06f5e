"""What ``import mlops_kit as kit`` shows: few names, lazy, and each value reads well as text and as HTML."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mlops_kit as kit
from mlops_kit.local.state_folder import StateFolder
from mlops_kit.observe.execution import reason
from mlops_kit.runs import Failure, Verdict
from tests.deploy.small import pipeline

JUDGING = """
def main(event, context):
    if event.get("limit") == 0:
        raise ValueError("no data in the window")
    metrics = {"challenger": {"wape": 0.25, "mae": 40.0}, "champion": {"wape": 0.5}, "naive": None}
    return {"verdict": "promote", "reasons": ["0.25 is better than 0.5"], "metrics": metrics}
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> kit.Pipeline:
    return pipeline(tmp_path_factory.mktemp("fn"), code=JUDGING)


@pytest.fixture(scope="module")
def session(aws: Any, small: kit.Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project in which the small pipeline stands."""
    folder = tmp_path_factory.mktemp("state")
    made = kit.session(endpoint_url=aws.url, region="us-east-1", project="pub", state_dir=folder)
    kit.apply(made, small, on_progress=lambda _: None)
    return made


def test_a_public_name_is_no_modules_name_and_every_one_is_there() -> None:
    modules = {module.name for module in pkgutil.iter_modules(kit.__path__)}
    assert not modules & set(kit.__all__), "importing the module would put it over the name"
    for name in kit.__all__:
        assert getattr(kit, name) is not None
    assert dir(kit) == kit.__all__ == sorted(kit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kit.nothing  # type: ignore[attr-defined]


def test_importing_the_kit_loads_nothing_heavy() -> None:
    code = "import sys, mlops_kit, mlops_kit.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {
        "boto3",
        "botocore",
        "pandas",
        "numpy",
        "rich",
        "sagemaker",
        "stepfunctions",
        "papermill",
        "nbformat",
    }
    assert not heavy & set(loaded.split())


def test_a_run_is_told_as_it_goes_and_reads_well_after(
    session: Any, small: kit.Pipeline, capsys: Any
) -> None:
    run = kit.run(session, small, as_of="2011-07-01", name="good")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pub-small, good" and lines[-1].startswith("  Judge  ")
    assert (run.status, run.name, run.input) == ("SUCCEEDED", "good", {"as_of": "2011-07-01"})
    assert run.output["verdict"] == "promote" and run.failure is None
    assert isinstance(run.states, pd.DataFrame)
    assert run.states["status"].to_dict() == {"Prepare": "SUCCEEDED", "Judge": "SUCCEEDED"}
    assert str(run).startswith("pub-small, good: SUCCEEDED in") and "<table>" in run._repr_html_()
    assert "<svg" in run.gantt().svg() and "Judge" in run.graph().svg()
    assert kit.graph(run).mermaid() == run.graph().mermaid() != kit.graph(small).mermaid()


def test_the_verdict_shows_champion_and_challenger(session: Any, small: kit.Pipeline) -> None:
    verdict = kit.run(session, small, limit=1).verdict()
    assert verdict is not None and verdict.verdict == "promote"
    assert "Verdict: promote" in str(verdict) and "- 0.25 is better than 0.5" in str(verdict)
    assert "<svg" in verdict._repr_html_()
    assert [line.split() for line in str(verdict).splitlines() if "wape" in line] == [["wape", "0.25", "0.5"]]


def test_a_failed_run_says_why_and_what_to_do(session: Any, small: kit.Pipeline, capsys: Any) -> None:
    run = kit.run(session, small, {"limit": 0}, name="bad")
    assert "Judge                    failed after" in capsys.readouterr().out
    assert isinstance(run.failure, Failure)
    assert (run.failure.state, run.failure.error, run.failure.attempts) == ("Judge", "ValueError", 1)
    assert str(run.failure).splitlines() == [
        "Judge failed: ValueError",
        "no data in the window",
        "To take it up again: mlops-kit redrive bad",
    ]
    assert "no data in the window" in run._repr_html_()
    again = kit.redrive(session, run)
    assert again.arn == run.arn and "Repeated: Judge" in capsys.readouterr().out
    assert run.execution.redrives == 1, "a run that was looked at before is read anew"


def test_a_run_carries_the_commit_where_the_pipeline_takes_one(
    session: Any, small: kit.Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = {**small.input_schema["properties"], "git_commit": {"type": "string"}}
    taking = replace(small, input_schema={**small.input_schema, "properties": properties})
    monkeypatch.chdir(tmp_path)
    assert "git_commit" not in kit.run(session, taking).input
    (tmp_path / "file").write_text("x")
    author = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    for arguments in (["init", "-q"], ["add", "file"], [*author, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert kit.run(session, taking).input["git_commit"] == commit
    (tmp_path / "file").write_text("changed")
    assert kit.run(session, taking).input["git_commit"] == f"{commit}-dirty"
    assert kit.run(session, taking, git_commit="mine").input["git_commit"] == "mine"


def test_a_workflow_that_decided_to_fail_is_not_offered_again(session: Any, small: kit.Pipeline) -> None:
    refusing = {
        "StartAt": "No",
        "States": {"No": {"Type": "Fail", "Error": "BadInput", "Cause": "no such day"}},
    }
    refuser = replace(small, name="refuser", definition=refusing, functions=())
    kit.apply(session, refuser, on_progress=lambda _: None)
    run = kit.run(session, refuser)
    assert run.failure is not None and "BadInput" in str(run.failure) and "redrive" not in str(run.failure)
    with pytest.raises(kit.UsageError, match="the workflow itself decided to end in No"):
        kit.redrive(session, run)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ('{"TrainingJobName": "x", "FailureReason": "AlgorithmError: no rows"}', "AlgorithmError: no rows"),
        ('{"JobRunState": "FAILED", "ErrorMessage": "KeyError: cnt"}', "KeyError: cnt"),
        ('{"errorMessage": "boom", "errorType": "ValueError"}', "boom"),
        ("plain words", "plain words"),
        ('{"a": 1}', '{"a": 1}'),
        ("[1]", "[1]"),
    ],
)
def test_the_reason_is_taken_from_a_jobs_description(cause: str, words: str) -> None:
    assert reason(cause) == words


def test_history_latest_and_report_know_the_runs(session: Any, small: kit.Pipeline, tmp_path: Path) -> None:
    run = kit.run(session, small, name="seen")
    assert kit.latest(session, small) == run == kit.latest(session, "small")
    assert kit.find(session, "seen") == run == kit.find(session, run.arn)
    assert "seen" in set(kit.history(session, small)["name"]) <= set(kit.history(session)["name"])
    page = kit.report(session, small, tmp_path / "deep" / "r.html").read_text()
    assert "seen" in page and "<svg" in page
    assert "<svg" in kit.runs_chart(session, "small").svg()
    assert kit.latest(session, "unknown") is None
    with pytest.raises(kit.KitError, match=r"no run of unknown yet(.|\n)*mlops-kit run unknown"):
        kit.report(session, "unknown")


def test_a_running_run_can_be_left_and_stopped(session: Any, small: kit.Pipeline) -> None:
    waiting = {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 900, "End": True}}}
    holding = replace(small, name="holding", definition=waiting, functions=())
    kit.apply(session, holding, on_progress=lambda _: None)
    run = kit.run(session, holding, wait=False)
    assert run.status == "RUNNING" and "RUNNING" in str(run)
    assert kit.stop(session, run).status == "ABORTED" and run.failure is not None


def test_a_wrong_input_starts_nothing(session: Any, small: kit.Pipeline) -> None:
    before = len(kit.history(session, small))
    with pytest.raises(kit.UsageError, match="The input's as_of is 7"):
        kit.run(session, small, as_of=7)
    with pytest.raises(kit.KitError, match=r"other does not stand(.|\n)*mlops-kit apply other"):
        kit.run(session, replace(small, name="other"))
    assert len(kit.history(session, small)) == before


def test_an_apply_keeps_other_pipelines_model_groups(session: Any, small: kit.Pipeline) -> None:
    kit.bootstrap(session, ["demand"], on_progress=lambda _: None)
    assert "SageMaker" not in str(kit.plan(session, small)) and not kit.plan(session, small).changes
    assert kit.plan(session, replace(small, name="second", model="fares")).first.summary == "1 to add"  # type: ignore[union-attr]


def test_a_definition_from_workflow_studio_becomes_a_pipelines_workflow(
    session: Any, small: kit.Pipeline, tmp_path: Path
) -> None:
    path = tmp_path / "studio.asl.json"
    path.write_text('{"StartAt": "Only", "States": {"Only": {"Type": "Pass", "Result": 7, "End": true}}}')
    assert len(kit.lint(path)) == 0 and "Only" in str(kit.graph(str(path)))
    edited = replace(small, name="edited", definition=kit.definition(path), functions=())
    kit.apply(session, edited, on_progress=lambda _: None)
    assert kit.run(session, edited).output == 7
    kit.destroy(session, edited, on_progress=lambda _: None)
    with pytest.raises(kit.UsageError, match=r"missing\.json cannot be read"):
        kit.definition(tmp_path / "missing.json")


def test_a_definition_exported_from_the_state_machine_changes_nothing_and_keeps_its_role(
    session: Any, small: kit.Pipeline, tmp_path: Path
) -> None:
    states = dict(small.definition["States"])
    names = {
        "role": "${SageMakerRole}",
        "at": "s3://${DataBucket}/raw",
        "in": "${AWS::Region}",
        "say": "pub-small",
    }
    states["Prepare"] = {**states["Prepare"], "Parameters": names}
    own = replace(small, name="studio", definition={**small.definition, "States": states})
    arn = kit.apply(session, own, on_progress=lambda _: None).outputs["StateMachineArn"]
    text = session.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]
    assert "${" not in text
    path = tmp_path / "exported.asl.json"
    path.write_text(text)
    assert str(kit.plan(session, replace(own, definition=kit.definition(path)))) == "pub-studio: no changes"
    path.write_text(text.replace('"Judge"', '"Verdict"').replace('"Prepare"', '"Begin"'))
    edited = kit.plan(session, replace(own, definition=kit.definition(path)))
    assert [(row.action, row.logical_id) for row in edited.rows] == [("modify", "StateMachine")]
    kit.destroy(session, own, on_progress=lambda _: None)
    with pytest.raises(
        kit.UsageError, match=r"state 'Begin', field Parameters\.role: .* makes for \$\{SageMakerRole\}"
    ):
        kit.plan(session, replace(own, definition=kit.definition(path)))


def test_what_a_destroyed_pipeline_did_stays_in_the_history_on_every_port(
    session: Any, small: kit.Pipeline
) -> None:
    gone = replace(small, name="gone")
    kit.apply(session, gone, on_progress=lambda _: None)
    kit.run(session, gone, name="never-listed")
    hold = {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 900, "End": True}}}
    kit.apply(session, replace(gone, definition=hold), on_progress=lambda _: None)
    kit.run(session, gone, name="stopped-by-it", wait=False)
    kit.destroy(session, gone, on_progress=lambda _: None)
    other = kit.session(
        replace(session.settings, endpoint_url=session.settings.url.replace("127.0.0.1", "localhost"))
    )
    found = kit.history(other, "gone").set_index("name")
    assert dict(found["status"]) == {"stopped-by-it": "ABORTED", "never-listed": "SUCCEEDED"}


def test_template_and_permissions_read_well(session: Any, small: kit.Pipeline) -> None:
    template = kit.template(session.settings, small)
    assert str(template).startswith("pub-small: 8 resources, 1 code artifacts") and "StateMachine" in str(
        template
    )
    assert '"AWSTemplateFormatVersion"' in template.json() and "<details>" in template._repr_html_()
    permissions = kit.permissions(session.settings, small)
    rows = [(row[0], row[1]) for row in permissions.rows]
    assert ("StateMachineRole", "lambda:InvokeFunction") in rows
    assert "lambda:InvokeFunction" in str(permissions) and "${AWS::Partition}" not in str(permissions)


def test_a_pipeline_reads_well(small: kit.Pipeline) -> None:
    scheduled = small.adding(kit.Schedule("cron(0 3 ? * MON *)", timezone="Europe/Berlin"))
    assert repr(scheduled).splitlines() == [
        "small: Judges nothing much.",
        "  states     Prepare, Judge",
        "  functions  Judge",
        "  schedules  cron(0 3 ? * MON *) Europe/Berlin",
        "  input      as_of, limit",
    ]


def test_a_session_takes_up_the_state_folder_further_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLOPS_KIT_STATE_DIR", raising=False)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert kit.session().settings.state_dir == tmp_path / "notebooks" / ".mlops-kit"
    StateFolder(tmp_path / ".mlops-kit").root.mkdir()
    assert kit.session().settings.state_dir == tmp_path / ".mlops-kit"
    with pytest.raises(kit.UsageError, match="Unknown setting 'regoin'"):
        kit.session(regoin="eu-central-1")


def test_a_verdict_without_a_champion_reads_well_too() -> None:
    verdict = Verdict("promote", (), {"challenger": {"wape": 0.2}, "champion": None})
    assert "0.2" in str(verdict) and "<svg" in verdict._repr_html_()
