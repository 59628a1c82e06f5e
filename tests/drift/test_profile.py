from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.drift import sql
from mlops_kit.drift.check import profile
from mlops_kit.drift.profile import Category, Profile, total
from mlops_kit.errors import UsageError
from pipelines.features import demand
from pipelines.features.profile import profile as profile_in_glue

MOMENTS = ("mean", "std", "min", "max")
VALUES = st.lists(
    st.none() | st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.inf, -math.inf, math.nan, 0.5]),
    max_size=30,
)
LABELS = st.lists(st.none() | st.sampled_from(["a", "b", "c", "d'", '"e"', "new"]), max_size=30)


def table(numbers: list[float | None], labels: list[str | None]) -> pd.DataFrame:
    rows = max(len(numbers), len(labels))
    padded = [*labels, *[None] * (rows - len(labels))]
    return pd.DataFrame(
        {
            "x": pd.Series([*numbers, *[None] * (rows - len(numbers))], dtype=float),
            "c": pd.Series(padded, dtype="string"),
        }
    )


@cache
def like() -> Profile:
    return profile(table([0.0, 0.25, 0.5, 1.0], ["a", "b", "c", "d'"]))


def alike(one: Profile, other: Profile, tolerance: float = 1e-9) -> None:
    assert (one.rows, one.features) == (other.rows, other.features)
    assert {**one.categories} == {**other.categories}
    for name, numeric in one.numeric.items():
        twin = other.numeric[name]
        assert (numeric.count, numeric.nulls, numeric.buckets) == (twin.count, twin.nulls, twin.buckets)
        for moment in MOMENTS:
            found, wanted = getattr(numeric, moment), getattr(twin, moment)
            assert (found is None) == (wanted is None), (name, moment)
            if wanted is not None:
                assert found == pytest.approx(wanted, rel=tolerance, abs=tolerance * 1e3), (name, moment)


def test_a_file_has_the_profile_that_the_retrainings_job_writes(hours: pd.DataFrame, tmp_path: Path) -> None:
    window = hours[hours["timestamp"] < "2011-07-01"]
    numeric = [name for name in (*demand.FEATURES, demand.TARGET) if name in hours.columns]
    numeric = [name for name in numeric if name not in demand.CATEGORIES]
    written = json.dumps(profile_in_glue(window, numeric, demand.CATEGORIES))
    window.to_parquet(tmp_path / "window.parquet")
    ours = profile(tmp_path / "window.parquet", features=numeric, categories=demand.CATEGORIES)
    theirs = Profile.from_json(written)
    for name, one in theirs.numeric.items():
        assert (ours.numeric[name].low, ours.numeric[name].high) == (one.low, one.high), name
    alike(ours, theirs)
    alike(profile(tmp_path / "window.parquet", theirs), theirs)


@given(VALUES, VALUES, LABELS, LABELS)
@settings(max_examples=30, deadline=None)
def test_two_windows_add_up_to_the_profile_of_both(
    one: list[float | None], other: list[float | None], some: list[str | None], more: list[str | None]
) -> None:
    reference = like()
    first, second = table(one, some), table(other, more)
    both = pd.concat([first, second], ignore_index=True)
    alike(profile(first, reference) + profile(second, reference), profile(both, reference))


@given(VALUES)
@settings(max_examples=30, deadline=None)
def test_any_numbers_have_the_moments_that_numpy_gives(values: list[float | None]) -> None:
    found = profile(table(values, []), profile(table([-1.0, 0.0, 1.0], []))).numeric["x"]
    there = np.array([one for one in values if one is not None and not math.isnan(one)])
    assert (found.count, found.nulls) == (len(there), len(values) - len(there)), "NaN is missing"
    assert found.buckets[0] == (there < found.low).sum() and found.buckets[-1] == (there > found.high).sum()
    assert sum(found.buckets) == len(there)
    if not len(there) or np.isinf(there).any():
        assert found.mean is None and found.std is None
        return
    assert found.mean == pytest.approx(there.mean(), rel=1e-9, abs=1e-9)
    assert (found.min, found.max) == (there.min(), there.max())
    if len(there) > 1:
        assert found.std == pytest.approx(there.std(ddof=1), rel=1e-9, abs=1e-6)


def test_a_profile_survives_json(hours: pd.DataFrame) -> None:
    made = profile(hours.head(2000), features=["temp", "hum", "weathersit"], categories=["weathersit"])
    assert made.quiet is not None and set(made.quiet.spreads) == {500, 125, 31}
    assert Profile.from_json(made.to_json()) == made
    empty = profile(hours.head(0)[["temp"]])
    assert Profile.from_json(empty.to_json()) == empty and empty.rows == 0


def test_a_month_is_the_sum_of_its_days(hours: pd.DataFrame) -> None:
    month = hours[hours["timestamp"].dt.strftime("%Y-%m") == "2011-03"]
    reference = profile(hours[hours["timestamp"] < "2011-03-01"], features=["temp", "weathersit"])
    connection = duckdb.connect()
    connection.register("hours", month)
    text = sql.statement(reference, "hours", by="CAST(timestamp AS DATE)", types={"weathersit": "BIGINT"})
    days = sql.read_windows(reference, connection.execute(text).fetchall())
    assert list(days) == sorted({str(day) for day in month["timestamp"].dt.date})
    alike(total(days.values(), reference.emptied()), profile(month, reference))


def test_new_values_and_missing_ones_are_counted_apart() -> None:
    reference = profile(pd.DataFrame({"c": ["a", "a", "b"]}))
    window = profile(pd.DataFrame({"c": ["a", "z", "y", None]}), reference)
    assert window.categories["c"] == Category(1, {"a": 1, "b": 0}, 2)


def test_of_very_many_values_the_most_frequent_are_known() -> None:
    labels = [f"id{number}" for number in range(1000)] + ["often"] * 2
    found = profile(pd.DataFrame({"c": labels})).categories["c"]
    assert len(found.counts) == 256 and found.counts["often"] == 2 and found.other == 1002 - 2 - 255


def test_codes_flags_and_numbers_are_known_by_one_text_whatever_their_type() -> None:
    reference = profile(pd.DataFrame({"c": [1, 2, 2]}), categories=["c"])
    assert dict(reference.categories["c"].counts) == {"1": 1, "2": 2}
    for kind in ("float64", "int8", "string"):
        window = profile(pd.DataFrame({"c": pd.Series([1, 2, 3], dtype=kind)}), reference)
        assert window.categories["c"] == Category(0, {"1": 1, "2": 1}, 1), kind
    holes = profile(pd.DataFrame({"c": [1.0, 2.5, math.inf, math.nan]}), reference)
    assert holes.categories["c"] == Category(1, {"1": 1, "2": 0}, 2)
    flags = profile(pd.DataFrame({"c": [True, False, True]}))
    assert dict(flags.categories["c"].counts) == {"False": 1, "True": 2}, "as pandas writes them"


def test_a_constant_column_tells_what_is_below_equal_and_above() -> None:
    reference = profile(pd.DataFrame({"x": [3.0] * 100}))
    assert (reference.numeric["x"].low, reference.numeric["x"].high) == (3.0, 3.0)
    found = profile(pd.DataFrame({"x": [3.0, 3.0, 2.0, 4.0, 5.0]}), reference).numeric["x"].buckets
    assert (found[0], found[1], found[-1], sum(found)) == (1, 2, 2, 5)


def test_a_column_without_a_value_and_a_window_without_a_row_have_profiles() -> None:
    reference = profile(pd.DataFrame({"x": pd.Series([None, None], dtype=float)})).numeric["x"]
    assert (reference.count, reference.nulls, reference.mean, reference.low, reference.high) == (
        0,
        2,
        None,
        0,
        0,
    )
    like = profile(pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]}))
    assert profile(pd.DataFrame({"x": [1.0], "c": ["a"]}).head(0), like) == like.emptied()


def test_the_statement_for_athena_says_the_same_to_an_engine_that_answers_in_text() -> None:
    """Athena's rows are text; its dialect is Trino's, where 0.1 is a DECIMAL and GROUP BY knows no alias."""
    frame = table([0.1, 0.2, math.nan, None, 5.0], ["a", "it's", None, "new", "a"])
    reference = profile(frame.head(2))
    text = sql.statement(reference, '"raw"."rides"', "athena")
    assert "IS_NAN" in text and "isnan" not in text and '"raw"."rides"' in text
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA raw")
    connection.register("frame", frame)
    connection.execute("CREATE TABLE raw.rides AS SELECT * FROM frame")
    rows = connection.execute(text.replace("IS_NAN", "isnan")).fetchall()
    as_text = [[None if value is None else str(value) for value in row] for row in rows]
    assert sql.read(reference, as_text) == profile(frame, reference)


def test_profiles_of_different_references_do_not_add_up() -> None:
    one, other = (profile(pd.DataFrame({"x": values})) for values in ([1.0, 2.0], [1.0, 3.0]))
    with pytest.raises(UsageError, match="different references"):
        one + other
    with pytest.raises(UsageError, match="different features"):
        one + profile(pd.DataFrame({"y": [1.0]}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no profile"),
        ("[]", "no profile"),
        ('{"version": 2}', "version 2"),
        ('{"version": 1}', "no profile"),
    ],
)
def test_what_is_no_profile_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Profile.from_json(text)


def test_profiles_need_nothing_but_the_standard_library_to_be_read() -> None:
    """A Lambda function renders the statement elsewhere and reads Athena's answer without DuckDB or numpy."""
    import subprocess
    import sys

    code = (
        "import sys, mlops_kit.drift.sql, mlops_kit.drift.thresholds, mlops_kit.drift.statistics;"
        "print(sorted({'duckdb', 'numpy', 'pandas', 'sqlglot', 'boto3', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
