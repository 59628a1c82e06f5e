"""What README says can be typed, can be typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlops_kit.cli import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
COMMANDS = sorted(
    set(re.findall(r"(?:`|^\$ )mlops-kit (?:--[a-z-]+ [^\s`]+ )*([a-z][^`\n]*)", TEXT, re.MULTILINE))
)


def python_block() -> str:
    [block] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    return str(block)


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert TEXT.count("\n") < 150
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_every_make_target_it_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make ([a-z]+)`|^\$ make ([a-z]+)", TEXT, re.MULTILINE)):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_it_names_has_help_and_its_options(line: str) -> None:
    words = shlex.split(line)
    command = words[:2] if words[0] == "local" else words[:1]
    if command[0].startswith("-"):
        return
    shown = CliRunner().invoke(cli, [*command, "--help"])
    assert shown.exit_code == 0, shown.output
    for option in [word for word in words if re.fullmatch(r"--?[a-z-]+", word)]:
        assert re.search(rf"(?<!\S){re.escape(option)}\b", shown.output), f"{command} has no {option}"


@pytest.mark.slow
def test_its_example_runs_as_it_stands(fresh_aws: Any, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "MLOPS_KIT_ENDPOINT_URL": fresh_aws.url,
        "MLOPS_KIT_STATE_DIR": str(tmp_path / "kit"),
    }

    def run(argv: list[str]) -> str:
        done = subprocess.run(
            argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    run([sys.executable, "-c", python_block() + "\nassert run.status == 'SUCCEEDED', run.failure"])
    kit = [str(Path(sys.executable).parent / "mlops-kit")]
    assert "no changes" in run([*kit, "plan", "retraining"]).lower()
    assert "SUCCEEDED" in run([*kit, "history", "retraining"])
    page = tmp_path / "report.html"
    run([*kit, "report", "retraining", "-o", str(page)])
    assert "retraining-demand" in page.read_text()
