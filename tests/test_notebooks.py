"""A notebook runs headless with parameters that are checked before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from mlops_kit import notebooks
from mlops_kit.errors import KitError, UsageError

DEFAULTS = """as_of = "2011-07-01"
windows = 2
limit = 0.2
force = False
features = ["temp"]
model: str | None = None"""


def notebook(folder: Path, *cells: str, name: str = "01_show_it") -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (DEFAULTS, *cells)])
    made.cells[0].metadata["tags"] = ["parameters"]
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return path


def test_a_run_copy_holds_the_outputs_is_trusted_and_leaves_the_source_alone(tmp_path: Path) -> None:
    path = notebook(tmp_path, "print('windows:', windows + 1)\nprint(force)")
    source = path.read_bytes()
    lines: list[str] = []
    copy = notebooks.run(path, {"windows": "6", "force": "true"}, tmp_path / "runs", lines.append)
    assert copy.parent == tmp_path / "runs" and copy.name.startswith("01_show_it-20")
    ran = nbformat.read(copy, as_version=4)
    assert "windows: 7\nTrue\n" in [o["text"] for cell in ran.cells for o in cell.get("outputs", ())]
    assert lines == ["windows: 7", "True"]
    assert NotebookNotary().check_signature(ran), "JupyterLab shows SVG of signed notebooks only"
    assert path.read_bytes() == source


def test_the_log_may_be_told_what_is_printed_only(tmp_path: Path) -> None:
    path = notebook(
        tmp_path, "print('one')\n'a result'", "print('two', end='')\nprint(' more')\n{'another': 1}"
    )
    told: dict[bool, list[str]] = {True: [], False: []}
    for results, lines in told.items():
        notebooks.run(path, {}, tmp_path / "runs", lines.append, results=results)
    assert told[False] == ["one", "two more"]
    assert told[True] == ["one", "'a result'", "two more", "{'another': 1}"]


def test_an_unknown_parameter_is_refused_with_the_ones_there_are(tmp_path: Path) -> None:
    path = notebook(tmp_path, "1")
    with pytest.raises(
        UsageError, match=r"has no parameter 'asof'(.|\n)*as_of \(now '2011-07-01'\), windows \(now 2\)"
    ):
        notebooks.run(path, {"asof": "2011-08-01"}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists(), "nothing half made"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("as_of", "2011-08-01", "2011-08-01"),
        ("as_of", "7", "7"),
        ("windows", "3", 3),
        ("limit", "0.5", 0.5),
        ("limit", "1", 1.0),
        ("limit", 1, 1.0),
        ("force", "true", True),
        ("force", "False", False),
        ("features", '["a", "b"]', ["a", "b"]),
        ("features", "['a']", ["a"]),
        ("model", "demand", "demand"),
        ("model", "null", None),
    ],
)
def test_a_text_becomes_the_type_of_the_default(tmp_path: Path, name: str, text: Any, value: Any) -> None:
    found = notebooks.typed(notebook(tmp_path), {name: text})
    assert found == {name: value} and type(found[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("windows", "two", "a whole number, not 'two'"),
        ("windows", 2.5, "a whole number, not 2.5"),
        ("windows", "true", "a whole number, not True"),
        ("force", "yes", "true or false, not 'yes'"),
        ("as_of", 7, "a text, not 7"),
        ("features", "temp", "a list, not 'temp'"),
    ],
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, name: str, text: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"parameter {name} takes {words}"):
        notebooks.typed(notebook(tmp_path), {name: text})


def test_a_failing_cell_is_one_clear_message_and_the_copy_shows_it(tmp_path: Path) -> None:
    path = notebook(tmp_path, "before = 1", "raise ValueError('no data in the window')")
    with pytest.raises(KitError) as raised:
        notebooks.run(path, {}, tmp_path / "runs")
    (copy,) = (tmp_path / "runs").glob("*.ipynb")
    assert str(raised.value).splitlines() == [
        "01_show_it.ipynb failed in cell [3] (`raise ValueError('no data in the window')`).",
        "Cause: ValueError: no data in the window",
        f"To mend it: open {copy}, which holds everything up to there.",
    ]
    assert "no data in the window" in copy.read_text()


def test_what_is_no_notebook_is_said_so(tmp_path: Path) -> None:
    notebook(tmp_path)
    with pytest.raises(UsageError, match=r"no notebook .*missing\.ipynb(.|\n)*01_show_it\.ipynb"):
        notebooks.run(tmp_path / "missing.ipynb", {})
    (tmp_path / "text.ipynb").write_text("hello")
    with pytest.raises(UsageError, match=r"text\.ipynb is no notebook"):
        notebooks.run(tmp_path / "text.ipynb", {})
    path = notebook(tmp_path, name="02_compute")
    path.write_text(path.read_text().replace("windows = 2", "windows = len('ab')"))
    with pytest.raises(UsageError, match="more than literals"):
        notebooks.parameters(path)
    (tmp_path / "binary.ipynb").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"binary\.ipynb is no notebook"):
        notebooks.run(tmp_path / "binary.ipynb", {})


def test_a_folder_that_cannot_be_is_said_so(tmp_path: Path) -> None:
    path = notebook(tmp_path)
    with pytest.raises(KitError, match="cannot be a folder of run copies"):
        notebooks.run(path, {}, path / "runs")


def test_a_kernel_that_dies_or_is_not_here_is_said_so(tmp_path: Path) -> None:
    path = notebook(tmp_path, "import os\nos._exit(1)")
    with pytest.raises(KitError, match=r"its kernel died(.|\n)*holds everything up to there"):
        notebooks.run(path, {}, tmp_path / "runs")
    path.write_text(
        path.read_text().replace('"metadata": {}', '"metadata": {"kernelspec": {"name": "julia-9"}}')
    )
    with pytest.raises(KitError, match="asks for the kernel 'julia-9'"):
        notebooks.run(path, {}, tmp_path / "runs")
