"""What a broken dependency took down is listed, then repeated: once each, and not what was made good."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit import cli, execute, recovery
from mlops_kit.deploy.aws import Session
from mlops_kit.errors import KitError, UsageError
from mlops_kit.settings import Settings

ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture
def where(aws: Any, tmp_path: Path) -> Session:
    project = f"out{secrets.token_hex(3)}"
    return Session(Settings(endpoint_url=aws.url, region="us-east-1", project=project, state_dir=tmp_path))


def dependent(where: Session, name: str, *, decides: bool = False) -> tuple[str, str]:
    """A machine that sends to a queue that does not exist yet, after work that succeeds; and the queue."""
    queue = f"{where.settings.project}-{name}"
    port = str(where.settings.url).rpartition(":")[2]
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {
            "QueueUrl": f"http://127.0.0.1:{port}/000000000000/{queue}",
            "MessageBody.$": "$.as_of",
        },
        "TimeoutSeconds": 30,
        "End": True,
    }
    prepare = {
        "Type": "Parallel",
        "Branches": [{"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}],
        "ResultPath": None,
        "Next": "Refuse" if decides else "Send",
    }
    states = {"Prepare": prepare, **({"Refuse": {"Type": "Fail"}} if decides else {"Send": send})}
    answer = where.client("stepfunctions").create_state_machine(
        name=queue, definition=json.dumps({"StartAt": "Prepare", "States": states}), roleArn=ROLE
    )
    return str(answer["stateMachineArn"]), queue


def start(where: Session, machine: str, name: str, as_of: str, **more: Any) -> str:
    arn = execute.start(where, machine, {"as_of": as_of, **more}, {}, name)
    execute.wait(where, arn)
    return arn


def names(found: Any) -> list[str]:
    return [one.execution.name for one in found.candidates]


@pytest.fixture
def command(where: Session, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., tuple[int, str]]:
    """``mlops-kit redrive`` with nobody to answer: its exit status and what it says."""
    monkeypatch.setenv("MLOPS_KIT_PROJECT", where.settings.project)
    options = ["--endpoint-url", str(where.settings.endpoint_url), "--region", "us-east-1"]

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = cli._run(["redrive", *arguments, *options])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_each_window_that_nothing_made_good_is_repeated_once(where: Session) -> None:
    machine, queue = dependent(where, "send")
    start(where, machine, "old-try", "2011-07-01")
    start(where, machine, "new-try", "2011-07-01", git_commit="abc")
    start(where, machine, "second", "2011-07-08")
    linked = start(where, machine, "linked", "2011-07-15")
    start(where, machine, "its-heir", "2011-07-15", resume={"execution": linked})
    start(where, machine, "made-good", "2011-07-22")
    where.client("sqs").create_queue(QueueName=queue)
    start(where, machine, "good", "2011-07-22", force=True)

    found = kit.redrives(where, "24h", "send")
    assert names(found) == ["new-try", "second", "its-heir"] and found
    assert "3 to repeat" in str(found)
    assert "Repeated: Send and what follows. Kept: Prepare." in " ".join(
        str(found.candidates[0].decision).split()
    )
    runs = found.redrive()
    assert [run.status for run in runs] == ["SUCCEEDED"] * 3
    assert [run.execution.redrives for run in runs] == [1, 1, 1]
    assert names(kit.redrives(where, "24h")) == []


def test_what_cannot_be_repeated_is_named_with_what_to_do_instead(where: Session) -> None:
    machine, _ = dependent(where, "no", decides=True)
    start(where, machine, "refused", "2011-07-01")
    found = kit.redrives(where)
    assert not found and "0 to repeat, 1 that cannot be" in str(found)
    assert "the workflow itself decided to end in Refuse" in found.candidates[0].instead
    assert "start another" in found.candidates[0].instead and found.redrive() == []


def test_only_what_ended_since_then_counts(where: Session) -> None:
    machine, _ = dependent(where, "since")
    start(where, machine, "one", "2011-07-01")
    assert names(kit.redrives(where, "1m")) == ["one"]
    assert names(kit.redrives(where, "2000-01-01T00:00")) == ["one"]
    assert names(kit.redrives(where, "2999-01-01")) == []
    with pytest.raises(UsageError, match=r"'soon' is no time(.|\n)*write 90m, 24h, 7d"):
        kit.redrives(where, "soon")
    with pytest.raises(UsageError, match="nowhere does not stand"):
        kit.redrives(where, "24h", "nowhere")


def test_the_command_lists_asks_and_repeats(where: Session, command: Callable[..., tuple[int, str]]) -> None:
    machine, queue = dependent(where, "cli")
    arn = start(where, machine, "down", "2011-07-01")
    status, said = command("--all", "--since", "24h")
    assert status == 2 and "1 to repeat" in said and "down" in said and "add --yes" in said
    client = where.client("stepfunctions")
    assert client.describe_execution(executionArn=arn)["redriveCount"] == 0, "nobody had agreed"
    status, said = command("--all", "--yes")
    assert status == 1 and "down: FAILED" in said
    where.client("sqs").create_queue(QueueName=queue)
    status, said = command("--all", "--yes")
    assert status == 0 and "down: SUCCEEDED" in said
    assert client.describe_execution(executionArn=arn)["redriveCount"] == 2
    assert "0 to repeat" in command("--all")[1]
    for wrong in ((), ("down", "--all"), ("down", "--since", "1h")):
        assert command(*wrong)[0] == 2


def test_one_execution_says_what_it_repeats_and_keeps_before_it_does_it(
    where: Session, command: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, _ = dependent(where, "one")
    arn = start(where, machine, "alone", "2011-07-01")

    def refused(*_: Any) -> str:
        raise KitError("refused here")

    monkeypatch.setattr(recovery, "carry_out", refused)
    _, said = command(arn)
    assert said.index("Repeated: Send and what follows. Kept: Prepare.") < said.index("refused here")
