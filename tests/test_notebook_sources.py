"""The notebooks run top to bottom, on nothing and on what stands; where nobody answers they say so."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mlops_kit import notebooks
from mlops_kit.errors import KitError
from tests.conftest import ROOT, Walked

pytestmark = pytest.mark.slow


def test_every_cell_of_every_notebook_runs_on_an_empty_account(walked: Walked) -> None:
    assert walked.passes[0].returncode == 0, walked.passes[0].stdout


def test_and_again_on_what_the_first_pass_left(walked: Walked) -> None:
    assert walked.passes[1].returncode == 0, walked.passes[1].stdout


def test_where_no_server_answers_the_first_cell_that_asks_says_which_command_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLOPS_KIT_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
    monkeypatch.setenv("MLOPS_KIT_STATE_DIR", str(tmp_path / "state"))
    with pytest.raises(KitError, match="start it: mlops-kit local start") as raised:
        notebooks.run(ROOT / "notebooks" / "00_start_here.ipynb", {}, tmp_path)
    (copy,) = tmp_path.glob("*.ipynb")
    assert "Traceback" not in copy.read_text(), "the words alone, in the notebook too"
    assert "`import mlops_kit as kit`" in str(raised.value)
