"""The coming day has the features that training would have had, and knows nothing of its own rentals."""

from __future__ import annotations

import datetime
import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.features import demand
from pipelines.models.demand import DEMAND

HOURS = demand.clean(pd.read_csv(io.BytesIO(gzip.decompress(DEMAND.data.path.read_bytes()))))
ALL = demand.features(HOURS).set_index("timestamp")[list(demand.FEATURES)]
DAYS = st.dates(datetime.date(2011, 1, 9), datetime.date(2012, 12, 31))


def coming(hours: pd.DataFrame, day: datetime.date) -> pd.DataFrame:
    frame = demand.features(demand.coming_day(hours, day))
    return frame[frame["timestamp"] >= pd.Timestamp(day)].set_index("timestamp")


@settings(deadline=None, max_examples=40)
@given(day=DAYS)
@example(day=datetime.date(2011, 2, 4))  # eight days before it a snow storm took the first sixteen rows
def test_where_training_has_a_row_the_forecast_has_the_same(day: datetime.date) -> None:
    found = coming(HOURS, day)[list(demand.FEATURES)]
    seen = ALL.loc[ALL.index.intersection(found.index)]
    pd.testing.assert_frame_equal(found.loc[seen.index], seen, check_freq=False)


@settings(deadline=None, max_examples=40)
@given(day=DAYS)
def test_rentals_of_the_day_and_after_it_change_nothing(day: datetime.date) -> None:
    other = HOURS.copy()
    other.loc[other["timestamp"] >= pd.Timestamp(day), demand.TARGET] = 9999
    pd.testing.assert_frame_equal(coming(HOURS, day), coming(other, day))
    pd.testing.assert_frame_equal(demand.seasonal_naive(HOURS, day), demand.seasonal_naive(other, day))
    assert coming(HOURS, day)[demand.TARGET].isna().all()


@pytest.mark.parametrize(
    ("day", "hours"), [("2011-07-01", 24), ("2012-10-29", 24), ("2011-03-13", 23), ("2011-11-06", 23)]
)
def test_every_hour_of_the_clock_is_forecast_but_those_that_a_change_skips_or_repeats(
    day: str, hours: int
) -> None:
    found = coming(HOURS, datetime.date.fromisoformat(day))
    assert len(found) == hours and list(found["hr"]) == list(found.index.hour)
    assert list(demand.seasonal_naive(HOURS, datetime.date.fromisoformat(day))["timestamp"]) == list(
        found.index
    )


def test_an_hour_without_a_row_has_the_weather_of_the_hour_before() -> None:
    storm = coming(HOURS, datetime.date(2011, 1, 27))  # rows from 16:00 on
    assert storm["temp"].notna().all() and storm["temp"].iloc[0] == storm["temp"].iloc[16]
    hurricane = coming(HOURS, datetime.date(2012, 10, 29))  # one row, of 00:00
    assert hurricane["windspeed"].nunique() == 1


def test_the_naive_forecast_is_the_same_hour_a_week_before_and_nothing_where_nobody_rode() -> None:
    found = demand.seasonal_naive(HOURS, datetime.date(2011, 2, 3)).set_index("timestamp")["forecast"]
    past = HOURS.set_index("timestamp")[demand.TARGET]
    assert found[pd.Timestamp("2011-02-03T17:00")] == past[pd.Timestamp("2011-01-27T17:00")]
    assert found[pd.Timestamp("2011-02-03T05:00")] == 0.0  # the snow storm's night has no rows
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("day", "words"),
    [
        ("2013-01-01", "there is no weather for 2013-01-01: the data hold 2011-01-01 to 2012-12-31"),
        ("2011-01-01", "there is no history for 2011-01-01: the data hold 2011-01-01 to 2012-12-31"),
    ],
)
def test_a_day_that_cannot_be_forecast_is_refused(day: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        demand.coming_day(HOURS, datetime.date.fromisoformat(day))


def test_there_must_be_a_week_to_repeat() -> None:
    with pytest.raises(ValueError, match="no rentals of a week before 2011-01-05"):
        demand.seasonal_naive(HOURS, datetime.date(2011, 1, 5))
