"""Progress is told as it comes, and leaves a notebook's cell when the result stands there."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from mlops_kit import notebooks
from mlops_kit.errors import KitError
from mlops_kit.progress import passing

TELLS = "from mlops_kit.progress import passing\nwith passing():\n    print('half way'){more}\n'the result'"


def ran(folder: Path, more: str = "") -> tuple[list[str], Path]:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TELLS.format(more=more))])
    nbformat.write(made, folder / "01_tell_it.ipynb")
    lines: list[str] = []
    try:
        notebooks.run(folder / "01_tell_it.ipynb", {}, folder / "runs", lines.append, results=False)
    finally:
        (copy,) = (folder / "runs").glob("*.ipynb")
    return lines, copy


def test_the_log_has_heard_it_and_the_copy_shows_the_result_alone(tmp_path: Path) -> None:
    lines, copy = ran(tmp_path)
    assert lines == ["half way"]
    (shown,) = nbformat.read(copy, as_version=4).cells[-1].outputs
    assert shown.data["text/plain"] == "'the result'"


def test_after_an_error_the_way_there_stays(tmp_path: Path) -> None:
    with pytest.raises(KitError):
        ran(tmp_path, more="\n    raise ValueError('broken')")
    (copy,) = (tmp_path / "runs").glob("*.ipynb")
    outputs = nbformat.read(copy, as_version=4).cells[-1].outputs
    assert [one.output_type for one in outputs] == ["stream", "error"]


def test_a_terminal_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    with passing():
        print("half way")
    assert capsys.readouterr().out == "half way\n"
