"""What is expected of a day's data, measured by the one statement on the real file, and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.errors import UsageError
from mlops_kit.settings import Settings
from pipelines import data_quality, models
from pipelines.functions.judge_day import fits, judge
from pipelines.models import expectations
from pipelines.models.demand import DEMAND, RAW
from pipelines.models.expectations import Expectation
from tests.pipelines.test_daily import evaluate

STATES: Mapping[str, Any] = data_quality.build(Settings()).definition["States"]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def measured(expected: Expectation, *rows: tuple[Any, ...]) -> float | None:
    """The figure of an expectation over rows of (a, b)."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (a DOUBLE, b DOUBLE)")
        if rows:
            connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        found = connection.execute(expectations.statement([expected], "t", "true")).fetchall()
    return None if found[0][0] is None else float(found[0][0])


def verdict(expected: Expectation, *rows: tuple[Any, ...]) -> str:
    return str(judge([asdict(expected)], [measured(expected, *rows)], "t")["verdict"])


@pytest.mark.parametrize(
    ("expected", "fit", "breach"),
    [
        (expectations.rows(1, 2), [(1, 1)], [(1, 1)] * 3),
        (expectations.present("a", 0.5), [(1, 1), (None, 1)], [(1, 1), (None, 1), (None, 1)]),
        (expectations.present("a"), [(1, None)], []),
        (expectations.within("a", 0, 1), [(0, 9), (1, 9), (None, 9)], [(0, 0), (1.5, 0)]),
        (expectations.within("a", 0, 1, above=True), [(0.1, 0)], [(0, 0)]),
        (expectations.unique("a"), [(1, 1), (2, 1), (None, 1)], [(1, 1), (1, 2)]),
        (expectations.fresh("a", 2), [(3, 0), (21, 0)], [(20, 0)]),
        (expectations.fresh("a", 2), [(23, 0)], []),
        (expectations.holds("sum", "a = b + 1"), [(2, 1)], [(2, 1), (3, 3)]),
    ],
)
def test_each_kind_of_expectation_tells_fit_from_breach(
    expected: Expectation, fit: list[tuple[Any, ...]], breach: list[tuple[Any, ...]]
) -> None:
    assert verdict(expected, *fit) == "fit"
    assert verdict(expected, *breach) == "breach"


def test_of_two_years_the_bad_days_breach_and_no_other() -> None:
    text = expectations.statement(RAW.expectations, "hours", "true")
    by_day = text.replace("SELECT ", "SELECT dteday, ", 1).replace("WHERE true", "GROUP BY dteday ORDER BY 1")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW hours AS SELECT * FROM read_csv('{DEMAND.data.path}')")
        days = connection.execute(by_day).fetchall()
    told = [asdict(one) for one in RAW.expectations]
    found = {
        str(day): [one["what"] for one in judge(told, figures, "hours")["breaches"]] for day, *figures in days
    }
    assert {day: what for day, what in found.items() if what} == {
        "2011-01-18": ["row count"],
        "2011-01-26": ["row count"],
        "2011-01-27": ["row count"],
        "2011-03-10": ["range of hum"],
        "2011-08-28": ["row count"],
        "2012-10-29": ["row count", "freshness"],
        "2012-10-30": ["row count"],
    }


@given(least=st.none() | NUMBERS, most=st.none() | NUMBERS, figure=NUMBERS)
def test_bounds_are_included_and_nothing_is_never_fit(
    least: float | None, most: float | None, figure: float
) -> None:
    bounds = {"least": least, "most": most}
    inside = (least is None or least <= figure) and (most is None or figure <= most)
    assert fits(bounds, figure) is inside
    assert fits(bounds, None) is False


def test_the_statement_asks_for_the_day_before_and_for_all_at_once() -> None:
    given = evaluate(STATES["ComputeDay"]["Output"], {"as_of": "2011-03-01T05:05:00Z"})
    assert given["checked"] == "2011-02-28"
    text = evaluate(STATES["MeasureDay"]["Arguments"]["QueryString"], given)
    assert text.startswith("SELECT count(*) AS e0, 23 - max(hr) AS e1, ")
    assert text.endswith(" FROM mlops_kit_raw_demand.hours WHERE dteday = '2011-02-28'")


def test_the_columns_are_those_of_the_file() -> None:
    with duckdb.connect() as connection:
        found = connection.execute(f"DESCRIBE SELECT * FROM read_csv('{DEMAND.data.path}')").fetchall()
    assert [row[0] for row in found] == list(RAW.columns)


def test_a_model_without_expectations_has_no_check() -> None:
    with (
        patch.dict(models.MODELS, {"demand": replace(DEMAND, raw=None)}),
        pytest.raises(UsageError, match="Nothing is expected of the raw data of 'demand'"),
    ):
        data_quality.build(Settings())
