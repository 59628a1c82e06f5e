from __future__ import annotations

import math

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.drift.model_error import ModelError, read, statement

SUMS = st.builds(ModelError, *[st.integers(0, 100)] * 2, *[st.integers(-1000, 1000).map(float)] * 5)
COLUMNS = {"label": "cnt", "prediction": "same_hour_last_week", "naive": "same_hour_yesterday"}


def ask(frame: pd.DataFrame, columns: dict[str, str], by: str | None = None) -> dict[str, ModelError]:
    connection = duckdb.connect()
    connection.register("frame", frame)
    return read(connection.execute(statement(columns, "frame", by=by)).fetchall())


def test_months_have_the_errors_that_were_measured_for_the_naive_forecast(hours: pd.DataFrame) -> None:
    """WAPE and MAE of the same hour last week."""
    frame = hours.merge(
        hours[["timestamp", "cnt"]].assign(timestamp=hours["timestamp"] + pd.Timedelta(days=7)),
        on="timestamp",
        suffixes=("", "_before"),
        how="left",
    )
    columns = {"label": "cnt", "prediction": "cnt_before"}
    found = ask(frame, columns, by="strftime(timestamp, '%Y-%m')")
    for month, mae, wape in (("2011-07", 46.6, 0.245), ("2011-12", 49.7, 0.421), ("2012-08", 42.2, 0.146)):
        assert found[month].mae == pytest.approx(mae, abs=0.3)
        assert found[month].wape == pytest.approx(wape, abs=0.003)
    year = sum((found[f"2012-{month:02}"] for month in range(1, 13)), ModelError())
    with_pandas = frame[(frame["timestamp"] >= "2012")].dropna(subset=["cnt_before"])
    error = with_pandas["cnt_before"] - with_pandas["cnt"]
    assert year.rows == len(with_pandas)
    assert year.bias == pytest.approx(error.sum() / with_pandas["cnt"].sum())


def test_rows_without_a_label_a_prediction_or_a_naive_forecast_are_left_out() -> None:
    frame = pd.DataFrame(
        {
            "cnt": [10.0, 10.0, None, 10.0],
            "same_hour_last_week": [12.0, 7.0, 5.0, math.nan],
            "same_hour_yesterday": [14.0, None, 5.0, 10.0],
        }
    )
    found = ask(frame, COLUMNS)["0"]
    assert found == ModelError(2, 2, 5.0, -1.0, 20.0, 2.0, 4.0)
    assert found.figures() == {"mae": 2.5, "wape": 0.25, "bias": -0.05, "naive_ratio": 0.5}


def test_a_window_without_labels_has_no_figure_and_no_change() -> None:
    assert set(ModelError().figures().values()) == {None}
    assert set(ModelError(1, 0, 1.0, 1.0, 4.0).change(ModelError()).values()) == {None}
    grown = ModelError(2, 0, 6.0, -6.0, 20.0, 6.0, 3.0).change(ModelError(2, 0, 2.0, 0.0, 20.0, 2.0, 4.0))
    assert grown == {
        "mae": 2.0,
        "wape": pytest.approx(0.2),
        "bias": pytest.approx(-0.3),
        "naive_ratio": pytest.approx(1.5),
    }


@given(SUMS, SUMS, SUMS)
@settings(deadline=None)
def test_windows_add_up_in_any_order(one: ModelError, other: ModelError, third: ModelError) -> None:
    assert one + other == other + one and (one + other) + third == one + (other + third)
    assert one + ModelError() == one


def test_athena_gets_its_own_dialect() -> None:
    text = statement(COLUMNS, "rides", "athena", by="CAST(timestamp AS DATE)")
    assert "IS_NAN" in text and text.endswith("GROUP BY 1")
