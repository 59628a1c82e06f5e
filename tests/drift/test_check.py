from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mlops_kit as kit
from mlops_kit.cli import main
from mlops_kit.drift.check import profile
from mlops_kit.drift.report import DriftReport
from mlops_kit.drift.thresholds import Verdict
from mlops_kit.errors import UsageError


def draw(seed: int, shift: float = 0.0, rows: int = 4000) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": random.normal(shift, size=rows),
            "y": random.exponential(size=rows),
            "c": random.choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=rows),
        }
    )


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a reference, a like window and a shifted one, as Parquet and as CSV."""
    monkeypatch.chdir(tmp_path)
    for name, frame in (("before", draw(1)), ("like", draw(2)), ("moved", draw(3, 0.5))):
        frame.to_parquet(f"{name}.parquet")
        frame.to_csv(f"{name}.csv", index=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def test_a_kept_profile_checks_files_and_the_exit_status_tells(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "profile", "before.parquet", "-o", "profile.json")[0] == 0
    status, out, _ = run(capsys, "drift", "--reference", "profile.json", "like.parquet")
    assert status == 0 and "0 of 3 features drifted" in out
    status, out, _ = run(capsys, "drift", "--reference", "profile.json", "moved.csv", "--json")
    found = json.loads(out)
    assert status == 1 and set(found) == {"rows", "features"} and found["rows"] == 4000
    assert [set(one) for one in found["features"]] == [
        {"feature", "statistic", "value", "threshold", "drifted"}
    ] * 3
    assert {one["feature"]: one["drifted"] for one in found["features"]} == {
        "x": True,
        "y": False,
        "c": False,
    }


def test_data_serve_as_reference_too(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "drift", "--reference", "before.csv", "moved.parquet", "--feature", "x")
    assert status == 1 and "1 of 1 features drifted" in out and "drifted" in out.splitlines()[-1]
    assert run(capsys, "drift", "--reference", "before.csv", "moved.parquet", "--threshold", "9")[0] == 0


def test_the_command_is_a_process_that_loads_no_heavy_library(room: Path) -> None:
    (room / "profile.json").write_text(profile("before.parquet").to_json())
    code = (
        "import sys; from mlops_kit.cli import main\n"
        "try: main(['drift', '--reference', 'profile.json', 'like.parquet', '--json'])\n"
        "finally: print(sorted({'numpy', 'pandas', 'scipy', 'sqlglot', 'boto3', 'rich'} & set(sys.modules)),"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr.strip() == "[]"


def test_parquet_csv_folders_globs_and_frames_have_one_profile(room: Path) -> None:
    reference = profile("before.parquet")
    (room / "parts").mkdir()
    frame = draw(2)
    frame[:1000].to_parquet("parts/one.parquet")
    frame[1000:].to_parquet("parts/two.pq")
    frame[:1000].to_csv("part[1].csv.gz", index=False)
    frame[1000:].to_csv("part2.csv.gz", index=False)
    expected = profile("like.parquet", reference)
    for source in ("parts", "parts/*", room / "parts", "like.csv", "part*.csv.gz", frame):
        found = profile(source, reference)
        assert found.rows == 4000 and found.numeric["x"].buckets == expected.numeric["x"].buckets
        assert found.categories == expected.categories
    assert profile("part[1].csv.gz", reference).rows == 1000


def test_columns_are_numbers_or_categories_by_their_type_unless_told() -> None:
    frame = pd.DataFrame(
        {
            "number": [1.5, 2.5],
            "code": [1, 2],
            "flag": [True, False],
            "word": pd.Categorical(["a", "b"]),
            "when": pd.to_datetime(["2011-01-01", "2011-01-02"]),
        }
    )
    found = profile(frame, categories=["code"])
    assert (tuple(found.numeric), set(found.categories)) == (("number",), {"code", "flag", "word"})
    with pytest.raises(UsageError, match="when can be neither number nor category"):
        profile(frame, features=["when"])
    with pytest.raises(UsageError, match="no column price"):
        profile(frame, features=["price"])
    with pytest.raises(UsageError, match="no column that is"):
        profile(frame[["when"]])
    for nothing in (None, 3):
        with pytest.raises(UsageError, match="is no table"):
            profile(nothing)
    with pytest.raises(UsageError, match="no column 'time' to order"):
        profile(frame, order="time")


def test_a_column_that_the_window_lacks_is_named(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (room / "profile.json").write_text(profile("before.parquet").to_json())
    draw(2)[["x"]].to_parquet("narrow.parquet")
    status, out, err = run(capsys, "drift", "--reference", "profile.json", "narrow.parquet", "--json")
    assert status == 0 and len(json.loads(out)["features"]) == 1 and "y, c" in err
    assert (
        "not in the window: y, c" in run(capsys, "drift", "--reference", "profile.json", "narrow.parquet")[1]
    )


def test_of_a_kept_profile_only_what_is_asked_for_is_compared(
    room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = profile("before.parquet")
    (room / "profile.json").write_text(reference.to_json())
    out = run(capsys, "drift", "--reference", "profile.json", "moved.csv", "--feature", "y", "--json")[1]
    assert [one["feature"] for one in json.loads(out)["features"]] == ["y"]
    assert [one.feature for one in kit.data_drift(reference, "moved.csv", features=["c"]).features] == ["c"]
    with pytest.raises(UsageError, match="no feature z"):
        profile("moved.csv", reference, features=["x", "z"])
    with pytest.raises(UsageError, match="settled"):
        profile("moved.csv", reference, order="x")


def test_an_empty_window_is_no_drift_and_says_so(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(2).head(0).to_csv("empty.csv", index=False)
    status, out, _ = run(capsys, "drift", "--reference", "before.csv", "empty.csv")
    assert status == 0 and "no rows" in out
    out = run(capsys, "drift", "--reference", "before.csv", "empty.csv", "--json")[1]
    assert {one["value"] for one in json.loads(out)["features"]} == {None}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--reference", "before.csv", "none.csv"), "no file none.csv"),
        (("--reference", "none.json", "like.csv"), "none.json cannot be read"),
        (("--reference", "broken.json", "like.csv"), "broken.json: This is no profile"),
        (("--reference", "before.csv", "*.orc"), "No file matches"),
        (("--reference", "before.csv", "notes.txt"), "neither Parquet nor CSV"),
        (("--reference", "before.csv", "junk.parquet"), "junk.parquet cannot be read"),
        (("--reference", "before.csv", "hollow"), "holds no Parquet or CSV"),
        (("--reference", "before.csv", "other.csv"), "no column of the reference"),
        (("--reference", "before.csv", "words.csv"), "words.csv cannot be read"),
        (("--reference", "before.csv", "."), "mixed"),
        (("--reference", "before.csv", "s3://bucket/like.parquet"), "not on this machine"),
        (("--reference", "before.csv", "like.csv", "--statistic", "guess"), "psi, js, ks, chi_square"),
        (("--reference", "before.csv", "like.csv", "--threshold", "much"), "no threshold"),
        (("like.csv",), "--reference"),
        (("--reference", "before.csv", "zero.csv"), "zero.csv does not begin with the names of its columns"),
        (("--reference", "before.csv", "short.csv"), "as many fields as names in the first line"),
        (("--reference", "before.csv", "long.csv"), "as many fields as names in the first line"),
        (("--reference", "before.csv", "of-two"), "different delimiters: , and ;"),
        (("--reference", "kept.json", "like.csv", "--feature", "nope"), "no feature nope"),
        (("--reference", "kept.json", "like.csv", "--category", "x"), "settled when the profile was made"),
        (("--reference", "kept.json", "like.csv", "--order", "x"), "settled when the profile was made"),
        (("--reference", "kept.json", "like.csv", "--window", "a..b"), "--window cannot be used here"),
        (("retraining:demand", "--statistic", "psi"), "--statistic cannot be used here"),
        (("retraining:demand", "--threshold", "1"), "--threshold cannot be used here"),
        (("retraining:demand", "--feature", "temp"), "--feature cannot be used here"),
        (("retraining:demand", "--category", "hr"), "--category cannot be used here"),
        (("retraining:demand", "--order", "hr"), "--order cannot be used here"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_words(
    room: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    (room / "broken.json").write_text("{")
    (room / "kept.json").write_text(profile("before.parquet").to_json())
    (room / "notes.txt").write_text("x\n1\n")
    (room / "junk.parquet").write_text("no parquet")
    (room / "other.csv").write_text("z\n1\n")
    (room / "words.csv").write_text("x\nmany\n")
    (room / "hollow").mkdir()
    (room / "zero.csv").write_text("")
    (room / "short.csv").write_text("x,y\n1,2\n3\n")
    (room / "long.csv").write_text("x,y\n1,2\n3\n4,5,6\n")
    (room / "of-two").mkdir()
    (room / "of-two" / "a.csv").write_text("x,y\n1,2\n")
    (room / "of-two" / "b.csv").write_text("x;y\n1;2\n")
    status, out, err = run(capsys, "drift", *arguments)
    assert status == 2 and words in err and not out and "Traceback" not in err


def test_the_public_names_are_the_same_functions(room: Path) -> None:
    reference = kit.profile("before.parquet")
    report = kit.data_drift(reference, draw(3, 0.5))
    assert report.drifted == ("x",)
    frame = report.frame()
    assert (
        list(frame.columns) == ["feature", "statistic", "value", "threshold", "drifted"] and len(frame) == 3
    )


def test_a_report_reads_well_and_escapes_what_a_file_named_its_columns() -> None:
    report = DriftReport(
        10, 1000, (Verdict("<b>x</b>", "psi", 0.30001, 0.2, True), Verdict("y", "psi", None, None, False))
    )
    lines = str(report).splitlines()
    assert lines[0] == "10 rows against the reference's 1,000: 1 of 2 features drifted."
    assert lines[2].split() == ["<b>x</b>", "psi", "0.3", "0.2", "drifted"] and lines[3].split()[-1] == "-"
    html = report._repr_html_()
    assert "<b>x" not in html and "&lt;b&gt;x" in html and html.count("<tr>") == 3


def test_a_name_or_value_with_quotes_is_a_name_and_no_sql(tmp_path: Path) -> None:
    column = "a\"b'; DROP TABLE x; --"
    frame = pd.DataFrame({column: ["it's", 'say "no"', "x'; --"] * 10})
    path = tmp_path / "it's.parquet"
    frame.to_parquet(path)
    found = profile(path)
    assert dict(found.categories[column].counts) == {"it's": 10, 'say "no"': 10, "x'; --": 10}
    assert profile(path, found).categories == found.categories


def test_without_duckdb_the_extra_is_named(room: Path) -> None:
    code = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from mlops_kit.cli import main; main(['profile', 'before.csv'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "mlops-kit[drift]" in done.stderr and "Traceback" not in done.stderr


def test_columns_may_have_the_names_that_the_statements_use(tmp_path: Path) -> None:
    names = ["feature", "part", "bucket", "number", "mean", "spread", "lowest", "highest"]
    names += ["value", "place", "frame", "kept", "found", "x", "row of the reference"]
    numbers = pd.DataFrame({name: np.arange(100.0) for name in names})
    words = pd.DataFrame({name: ["a", "b"] * 50 for name in names})
    for frame in (numbers, words):
        reference = profile(frame)
        assert set(reference.features) == set(names) and reference.quiet is not None
        (size,) = reference.quiet.spreads
        assert len({str(one) for one in reference.quiet.spreads[size].values()}) == 1  # of equal columns
        frame.to_csv(tmp_path / "same.csv", index=False)
        window = profile(tmp_path / "same.csv", reference)
        assert window.categories == reference.categories
        for name, one in reference.numeric.items():
            assert window.numeric[name].buckets == one.buckets and window.numeric[name].max == one.max


def test_a_csv_column_is_a_number_by_all_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("x,c\n" + "1,a\n" * 30_000 + "1.5,b\nNA,\nNaN,a\n")
    found = profile(path)
    assert (found.numeric["x"].count, found.numeric["x"].nulls, found.numeric["x"].max) == (30_001, 2, 1.5)
    assert found.categories["c"].nulls == 1


@pytest.mark.parametrize(
    ("text", "numeric", "categories"),
    [
        ("x,c\ninf,a\n-inf,b\n1.5,a\n", {"x": 3}, {"c"}),
        ("2011,2012\n1,2\n3,4\n", {"2011": 2, "2012": 2}, set()),
        ("x;c\n1;a,b\n2;c,d\n", {"x": 2}, {"c"}),
        ('"a;b;c",x\nu,1\n', {"x": 1}, {"a;b;c"}),
        ("id\n1_000\n2\n", {}, {"id"}),
        ("x,c\n1,a\nmany,b\n", {}, {"x", "c"}),
    ],
)
def test_a_csv_is_what_its_first_line_and_all_of_its_values_say(
    tmp_path: Path, text: str, numeric: dict[str, int], categories: set[str]
) -> None:
    (tmp_path / "some.csv").write_text(text)
    found = profile(tmp_path / "some.csv")
    assert {name: one.count for name, one in found.numeric.items()} == numeric
    assert set(found.categories) == categories
