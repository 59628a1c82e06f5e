from __future__ import annotations

import datetime
import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipelines.features import demand
from pipelines.features.profile import BUCKETS, profile
from pipelines.models.demand import DEMAND


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(gzip.decompress(DEMAND.data.path.read_bytes())))


@pytest.fixture(scope="module")
def hours(raw: pd.DataFrame) -> pd.DataFrame:
    return demand.clean(raw)


@pytest.mark.parametrize("column", demand.RAW)
def test_a_missing_column_is_named(raw: pd.DataFrame, column: str) -> None:
    with pytest.raises(ValueError, match=f"no column {column}; found"):
        demand.clean(raw.drop(columns=column))


def test_the_silent_sensor_is_missing_and_not_dry(hours: pd.DataFrame) -> None:
    day = hours[hours["timestamp"].dt.strftime("%Y-%m-%d") == "2011-03-10"]
    assert len(day) == 22 and day["hum"].isna().all()
    assert hours["hum"].isna().sum() == 22


def test_the_hour_that_the_end_of_summer_time_repeats_is_left_out(
    raw: pd.DataFrame, hours: pd.DataFrame
) -> None:
    gone = set(pd.to_datetime(raw["dteday"]) + pd.to_timedelta(raw["hr"], unit="h")) - set(hours["timestamp"])
    assert gone == {pd.Timestamp("2011-11-06 01:00"), pd.Timestamp("2012-11-04 01:00")}


def test_last_week_is_found_by_time_across_missing_hours(hours: pd.DataFrame) -> None:
    frame = demand.features(hours)
    known = dict(zip(hours["timestamp"], hours[demand.TARGET], strict=True))
    for row in frame.itertuples():
        wanted = known.get(row.timestamp - pd.Timedelta(days=7))
        assert (np.isnan(row.same_hour_last_week) and wanted is None) or row.same_hour_last_week == wanted
        if row.Index > 2000:
            break
    missing = frame["same_hour_last_week"].isna().sum()
    assert missing > 168  # the first week, and an hour after each that has no row


@hypothesis_settings(max_examples=15, deadline=None)
@given(cut=st.integers(400, 4000))
def test_an_hours_features_hold_nothing_of_its_own_or_later_rentals(hours: pd.DataFrame, cut: int) -> None:
    part = hours.iloc[: cut + 200].copy()
    changed = part.copy()
    changed.loc[cut:, demand.TARGET] += 1000
    before, after = (
        demand.features(frame)[list(demand.FEATURES)].iloc[: cut + 1] for frame in (part, changed)
    )
    pd.testing.assert_frame_equal(before, after)


@hypothesis_settings(deadline=None, max_examples=40)
@given(start=st.dates(datetime.date(2011, 1, 1), datetime.date(2012, 11, 30)))
@example(start=datetime.date(2011, 2, 4))  # eight days before it a snow storm took the first sixteen rows
def test_a_window_has_the_features_that_all_hours_would_give_it(
    hours: pd.DataFrame, start: datetime.date
) -> None:
    begin = pd.Timestamp(start)
    end = begin + pd.Timedelta(days=30)
    found = demand.features(demand.with_history(hours, begin, end))
    expected = demand.features(hours)
    for frame in (found, expected):
        frame.drop(frame.index[(frame["timestamp"] < begin) | (frame["timestamp"] >= end)], inplace=True)
    pd.testing.assert_frame_equal(found.reset_index(drop=True), expected.reset_index(drop=True))


def test_the_profile_counts_every_row_once(hours: pd.DataFrame) -> None:
    frame = demand.features(hours)
    found = profile(frame, ["hum", "temp"], ["weathersit"])
    for name in ("hum", "temp"):
        one = found["numeric"][name]
        assert len(one["buckets"]) == BUCKETS + 2 and sum(one["buckets"]) == one["count"]
        assert one["count"] + one["nulls"] == found["rows"] == len(frame)
        assert one["min"] <= one["low"] < one["high"] <= one["max"]
    assert sum(found["categories"]["weathersit"]["counts"].values()) == len(frame)
    assert set(found["categories"]["weathersit"]["counts"]) == {"1", "2", "3", "4"}


VALUES = st.lists(st.floats(-1e6, 1e6) | st.none(), max_size=200)


@given(values=VALUES)
def test_any_numbers_have_a_profile(values: list[float | None]) -> None:
    found = profile(pd.DataFrame({"x": pd.Series(values, dtype=float)}), ["x"], [])["numeric"]["x"]
    assert sum(found["buckets"]) == found["count"] == sum(value is not None for value in values)
    assert found["nulls"] == sum(value is None for value in values)
