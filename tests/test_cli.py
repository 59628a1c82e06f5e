"""The command speaks in words and exit statuses, and calls what the public names do."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit import catalog, cli
from mlops_kit.settings import Settings

PIPELINE = '''"""Judges nothing much, but quickly."""

from pathlib import Path

from mlops_kit import Artifact, Function, Pipeline, UsageError
from tests.deploy.small import SCHEMA, definition

SOURCE = Path(__file__).parent / "functions" / "handler.py"


def build(settings, model="demand"):
    if model not in ("demand", "two-wheels"):
        raise UsageError(f"There is no model {model!r}.", suggestion="models are: demand, two-wheels")
    code = Artifact("judge", "zip", (("handler.py", SOURCE),))
    functions = (Function("Judge", "handler.main", code),)
    return Pipeline(f"quick-check-{model}", "Judges.", definition(), SCHEMA, functions=functions)
'''
HANDLER = """import time


def main(event, context):
    if event.get("limit") == 0:
        raise ValueError("no data in the window")
    time.sleep(event.get("limit", 0))
    metrics = {"challenger": {"wape": 0.1}, "champion": None}
    return {"verdict": "promote", "reasons": ["better than nothing"], "metrics": metrics}
"""
SCRIPT = Path(sys.executable).with_name("mlops-kit")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of its own, with one pipeline."""
    made = tmp_path_factory.mktemp("project")
    (made / "pipelines" / "functions").mkdir(parents=True)
    (made / "pipelines" / "__init__.py").write_text("")
    (made / "pipelines" / "quick_check.py").write_text(PIPELINE)
    (made / "pipelines" / "helpers.py").write_text('"""No pipeline."""\n')
    (made / "pipelines" / "functions" / "handler.py").write_text(HANDLER)
    return made


class Command:
    """``mlops-kit`` in this process: arguments in, what it says out, the exit status as expected."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.folder = folder
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        for name in [name for name in os.environ if name.startswith(("AWS_", "MLOPS_KIT_"))]:
            monkeypatch.delenv(name)
        self.set(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)
        self.set(AWS_SHARED_CREDENTIALS_FILE=os.devnull)
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "pipelines"]:
            monkeypatch.delitem(sys.modules, name)

    def set(self, **environment: str) -> None:
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, status: int = 0) -> str:
        self.capsys.readouterr()
        ended = cli._run(list(arguments))
        said = self.capsys.readouterr()
        assert ended == status, f"{ended}\n{said.out}\n{said.err}"
        return str(said.out if status == 0 else said.out + said.err)


@pytest.fixture
def alone(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Command]:
    """Without any server."""
    made = Command(folder, monkeypatch, capsys)
    made.set(
        MLOPS_KIT_ENDPOINT_URL="http://127.0.0.1:9", MLOPS_KIT_PROJECT="cli", MLOPS_KIT_REGION="us-east-1"
    )
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipelines"]:
        del sys.modules[name]


@pytest.fixture
def command(alone: Command, aws: Any) -> Command:
    alone.set(MLOPS_KIT_ENDPOINT_URL=aws.url)
    return alone


def test_every_command_is_there_and_has_help(alone: Command) -> None:
    listed = alone("--help")
    names = "local bootstrap pipelines build lint graph plan apply destroy "
    names += "run stop redrive schedules history report profile drift simulate notebook "
    names += "schedule-notebook"
    assert re.findall(r"^  ([a-z-]+) {2,}\S", listed.partition("Commands:")[2], re.M) == names.split()
    for name in names.split():
        assert "Usage: mlops-kit" in alone(name, "--help") and "--endpoint-url" in alone(name, "--help")
    assert alone("--version").startswith("mlops-kit, version")


def test_the_walk_from_plan_to_destroy(command: Command) -> None:
    assert "8 to add" in command("plan", "quick-check")
    assert "Nobody is there to confirm" in command("apply", "quick-check", status=2)
    applied = command("apply", "quick-check", "--yes")
    assert "created  StateMachine" in applied and ":stateMachine:cli-quick-check-demand" in applied
    assert command("plan", "quick-check:demand") == "cli-quick-check-demand: no changes\n"
    assert command("apply", "quick-check").count("no changes") == 1
    ran = command("run", "quick-check", "--input", '{"as_of": "2011-07-01"}', "--name", "first")
    assert "cli-quick-check-demand, first: SUCCEEDED" in ran and "Judge" in ran
    failed = command("run", "quick-check-demand", "--input", '{"limit": 0}', "--name", "second", status=1)
    assert (
        "Judge failed: ValueError\nno data in the window" in failed and "mlops-kit redrive second" in failed
    )
    again = command("redrive", "second", status=1)
    assert "It is redriven. Repeated: Judge and what follows." in again
    rows = json.loads(command("history", "quick-check", "--json"))
    assert [(row["name"], row["status"]) for row in rows] == [("second", "FAILED"), ("first", "SUCCEEDED")]
    assert rows[1]["verdict"] == "promote" and "second" in command("history")
    said = command("run", "quick-check", "--name", "", status=2)
    assert "'' cannot be an execution's name" in said
    said = command("graph", "third", status=2)
    assert "no pipeline 'third'" in said and "no execution either: The project 'cli' has no" in said
    drawn = command("graph", "first", "--format", "svg")
    assert "<svg" in drawn and "Judge" in drawn
    path = command("report", "quick-check").split()[-1]
    assert "no data in the window" in (command.folder / path).read_text()
    said = command("report", "quick-check", "-o", str(command.folder / "pipelines"), status=1)
    assert f"{command.folder}/pipelines cannot be written" in said.replace("\n", "")
    assert not list(command.folder.glob("*.part"))
    started = command("run", "quick-check", "--input", '{"limit": 8}', "--no-wait").strip()
    assert "ABORTED" in command("stop", started)
    assert "cli-quick-check-demand: 8 to remove" in command("destroy", "quick-check", "--yes")
    assert "nothing to remove" in command("destroy", "quick-check", "--yes")
    assert "made: mlops-kit apply" in command("run", "quick-check", status=1).replace("make it", "made")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "nothing"), r"no pipeline 'nothing'\.\n.*pipelines are: quick-check; with a model: NAME:"),
        (("plan", "quick-check:three"), r"no model 'three'\.\n.*models are: demand, two-wheels"),
        (("run", "quick-check", "--input", "{as_of}"), r"--input is no JSON: .* at line 1, column 2"),
        (("run", "quick-check", "--input", "[1]"), r"--input holds \[1\], not an object"),
        (("run", "quick-check", "--input", "@missing.json"), r"missing\.json cannot be read"),
        (("run", "quick-check", "--input", '{"as_of": 7}'), r"The input's as_of is 7: it must be string"),
        (("run", "quick-check", "--input", '{"asof": 7}'), r"unknown field asof\.\n.*as_of, limit"),
        (("--target", "moon", "pipelines"), None),
        (("build", "quick-check", "--target", "moon"), "Unknown target 'moon'"),
        (("build", "quick-check", "--region", "mars"), "'mars' is no AWS region"),
        (("build",), "Missing argument 'PIPELINE'"),
        (("graph", "once"), r"no pipeline 'once'\.\n.*nor can executions be asked for: (.|\n)*-kit history"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("graph", "broken.json"), r"broken\.json: The definition is no JSON"),
        (("lint", "list.json"), r"list\.json: This is no definition of a state machine"),
        (("lint", "absent.json"), r"absent\.json cannot be read"),
        (("notebook", "absent.ipynb"), r"no notebook absent\.ipynb"),
    ],
)  # fmt: skip
def test_bad_usage_gets_one_message_and_status_2(
    alone: Command, arguments: tuple[str, ...], words: str | None
) -> None:
    (alone.folder / "broken.json").write_text("{")
    (alone.folder / "list.json").write_text("[]")
    said = alone(*arguments, status=2 if words else 0)
    if words:
        assert re.search(words, said), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[mlops-kit]\nregion = 5\n", 'region is no text.*region = "5"'),
        (b"[mlops-kit]\nregoin = 'us-east-1'\n", "Unknown setting 'regoin'"),
        (b"mlops-kit = 3\n", r"no table.*\[mlops-kit\]"),
        (b"\xff", "is no TOML"),
        (b"[mlops-kit", "is no TOML"),
    ],
)
def test_a_wrong_settings_file_is_named(alone: Command, text: bytes, words: str) -> None:
    file = alone.folder / "mlops-kit.toml"
    file.write_bytes(text)
    try:
        said = alone("build", "quick-check", status=2).replace("\n", " ")
        assert re.search(words, said), said
    finally:
        file.unlink()


def test_a_pipeline_that_cannot_be_called_says_how(alone: Command) -> None:
    file = alone.folder / "pipelines" / "needy.py"
    file.write_text("def build(settings, model, limit): ...\n")
    try:
        said = alone("build", "needy", status=2)
        assert "build cannot be called with settings." in said and "needy:MODEL" in said
        assert "missing a required argument: 'limit'" in alone("build", "needy:x", status=2)
    finally:
        file.unlink()


@pytest.mark.parametrize("arguments", [("plan", "quick-check"), ("bootstrap",), ("history",), ("stop", "x")])
def test_no_server_is_told_with_the_command_that_starts_one(
    alone: Command, arguments: tuple[str, ...]
) -> None:
    said = alone(*arguments, status=1)
    assert "No embedded AWS answers at http://127.0.0.1:9" in said and "mlops-kit local start" in said


def test_options_count_before_and_after_the_command(aws: Any, alone: Command) -> None:
    for arguments in (("--endpoint-url", aws.url, "history"), ("history", "--endpoint-url", aws.url)):
        alone(*arguments)
    alone("--endpoint-url", "http://127.0.0.1:8", "history", "--endpoint-url", aws.url)


def test_missing_credentials_are_told(alone: Command) -> None:
    alone.monkeypatch.delenv("MLOPS_KIT_ENDPOINT_URL")
    said = alone("--target", "aws", "plan", "quick-check", status=1)
    assert "No AWS credentials were found" in said


def test_pipelines_are_listed_with_what_they_do(alone: Command) -> None:
    assert alone("pipelines") == "quick-check  Judges nothing much, but quickly.\n"


def test_build_writes_the_template_without_any_server(alone: Command, tmp_path: Path) -> None:
    printed = json.loads(alone("build", "quick-check"))
    alone("build", "quick-check", "-o", str(tmp_path / "t.json"))
    assert json.loads((tmp_path / "t.json").read_text()) == printed and "StateMachine" in printed["Resources"]
    assert "cannot be written" in alone(
        "build", "quick-check", "-o", str(tmp_path / "no" / "t.json"), status=1
    )


def test_a_definitions_file_is_linted_and_drawn(alone: Command, tmp_path: Path) -> None:
    path = tmp_path / "studio.json"
    path.write_text(
        '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}, "Lost": {"Type": "Succeed"}}}'
    )
    findings = json.loads(alone("lint", str(path), "--json", status=1))
    assert "Lost" in json.dumps(findings)
    path.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    assert alone("lint", str(path)).strip() == "No findings."
    assert alone("graph", str(path), "--format", "mermaid").startswith("flowchart")
    alone("graph", str(path), "-o", str(tmp_path / "g.svg"))
    assert (tmp_path / "g.svg").read_text().lstrip().startswith("<")


def test_a_notebook_runs_with_parameters(alone: Command, tmp_path: Path) -> None:
    from tests.test_notebooks import notebook

    path = notebook(tmp_path, "print('sum', windows + 1)")
    said = alone("notebook", str(path), "-p", "windows", "4", "-o", str(tmp_path / "runs"))
    assert "sum 5" in said and "Written" in said
    said = alone("notebook", str(path), "-p", "window", "4", status=2)
    assert "has no parameter 'window'" in said and "windows (now 2)" in said


def test_ctrl_c_while_waiting_ends_with_130_and_a_word(command: Command) -> None:
    command("apply", "quick-check:two-wheels", "--yes")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    arguments = ["run", "quick-check:two-wheels", "--input", '{"limit": 8}', "--name", "slow"]
    process = subprocess.Popen(
        [SCRIPT, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job hands down an ignored SIGINT, which this test must not
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    assert process.stdout is not None
    assert "slow" in process.stdout.readline()
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors
    assert "The execution goes on. To stop it: mlops-kit stop" in errors
    assert "ABORTED" in command("stop", "slow")


def test_a_no_changes_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    command.set(MLOPS_KIT_PROJECT="unsure")
    monkeypatch.setattr("sys.stdin", Answer("n\n"))
    said = command("apply", "quick-check-two-wheels", status=130)
    assert "Apply this on the embedded AWS" in said and "Stopped: nothing was changed." in said


class Answer(io.StringIO):
    """Standard input with a person behind it."""

    def isatty(self) -> bool:
        return True


def test_the_embedded_aws_is_started_found_and_stopped(alone: Command, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = alone
    command.monkeypatch.delenv("MLOPS_KIT_ENDPOINT_URL")
    command.set(MLOPS_KIT_PROJECT="own")
    (tmp_path / "notebooks").mkdir()
    command.monkeypatch.chdir(tmp_path)
    assert "Nothing serves" in command("local", "status", status=1)
    try:
        started = command("local", "start", "--port", str(port), "--at", "2011-07-01")
        assert f"http://127.0.0.1:{port}" in started and "2011-07-01" in started and "already" not in started
        command.monkeypatch.chdir(tmp_path / "notebooks")  # the folder further up, as kit.session does
        assert f"127.0.0.1:{port}" in command("local", "status")
        again = command("local", "start", "--port", str(port + 1), "--at", "2012-07-01")
        assert f"It ran already: --port {port + 1} and --at 2012-07-01 changed nothing." in again
        assert f"127.0.0.1:{port} " in again and "already" not in command("local", "start")
        assert not (tmp_path / "notebooks" / ".mlops-kit").exists()
        command("bootstrap")
        assert "6 resources" not in command("bootstrap"), "the port is found by the state folder"
    finally:
        command("local", "stop")
    assert "Nothing serves" in command("local", "stop")


@pytest.mark.usefixtures("alone")
def test_names_of_pipelines() -> None:
    for text in ("quick-check", "quick_check", "quick-check-demand", "quick-check:demand"):
        assert catalog.build(Settings(), text).name == "quick-check-demand"
    assert catalog.build(Settings(), "quick-check-two-wheels").name == "quick-check-two-wheels"
    for text in ("quick", "quick-checks", "quick-check:", "helpers", ""):
        with pytest.raises(kit.UsageError, match="There is no pipeline"):
            catalog.build(Settings(), text)
