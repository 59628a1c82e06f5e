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


LATE = (
    "01_build_retraining",
    "04_watch_drift",
)  # the one asks nobody, the other simulates for long before it does
ASKING = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if path.stem not in LATE]


@pytest.mark.parametrize("path", ASKING, ids=lambda path: path.stem)
def test_where_no_server_answers_the_first_cell_that_asks_says_which_command_starts_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_KIT_STATE_DIR", str(tmp_path / "state"))
    with socket.socket() as taken:  # held throughout: a kernel would take a port that was let go
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLOPS_KIT_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(KitError, match="start it: mlops-kit local start") as raised:
            notebooks.run(path, {}, tmp_path)
    (copy,) = tmp_path.glob("*.ipynb")
    assert "Traceback" not in copy.read_text(), "the words alone, in the notebook too"
    assert f"{path.stem}.ipynb failed" in str(raised.value)
