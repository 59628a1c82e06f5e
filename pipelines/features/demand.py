"""Features of the demand model; must not read or write anything.

The one feature module: preparation, training, endpoint and monitor all call it, so that a model is never
asked with features that it was not trained on. Runs on Python 3.9 (Glue) to 3.13; needs pandas alone.
"""

from __future__ import annotations

from datetime import date

import pandas as pd

TARGET = "cnt"
ZONE = "America/New_York"  # of the raw data's hours
RAW = (
    "dteday",
    "hr",
    "weekday",
    "workingday",
    "holiday",
    "weathersit",
    "temp",
    "atemp",
    "hum",
    "windspeed",
    TARGET,
)
CALENDAR_AND_WEATHER = (
    "hr",
    "weekday",
    "workingday",
    "holiday",
    "weathersit",
    "temp",
    "atemp",
    "hum",
    "windspeed",
)
LOOK_BACK = pd.Timedelta(days=8)  # as far as ``HISTORY`` reaches
HISTORY = ("same_hour_last_week", "same_hour_yesterday", "mean_of_last_week")
FEATURES = CALENDAR_AND_WEATHER + HISTORY
CATEGORIES = ("weekday", "workingday", "holiday", "weathersit")


def clean(raw: pd.DataFrame) -> pd.DataFrame:
    """Raw hourly rows, sorted by time, with what is wrong in them made missing.

    Parameters
    ----------
    raw : pandas.DataFrame
        One row an hour; columns ``RAW`` at least. Hours without a rental have no row.

    Returns
    -------
    pandas.DataFrame
        ``timestamp`` (local time, hourly), then ``RAW`` without ``dteday``; one row a timestamp. The hour
        that the end of summer time repeats is left out: its one row holds two hours' rentals.

    Raises
    ------
    ValueError
        A column is missing, or a date cannot be read.
    """
    missing = [column for column in RAW if column not in raw.columns]
    if missing:
        raise ValueError(
            f"the raw data have no column {', '.join(missing)}; found {', '.join(map(str, raw.columns))}"
        )
    frame = raw.loc[:, list(RAW)].copy()
    days = pd.to_datetime(frame.pop("dteday"), format="%Y-%m-%d")
    frame.insert(0, "timestamp", days + pd.to_timedelta(frame["hr"], unit="h"))
    frame = frame.drop_duplicates("timestamp", keep="last").sort_values("timestamp", ignore_index=True)
    local = frame["timestamp"].dt.tz_localize(ZONE, ambiguous="NaT", nonexistent="NaT")
    known: pd.DataFrame = frame[local.notna()].reset_index(drop=True)
    known["hum"] = known["hum"].astype(float)
    known.loc[known["hum"] == 0, "hum"] = float("nan")  # a silent sensor, not dry air
    return known


def features(hours: pd.DataFrame) -> pd.DataFrame:
    """Features of every hour, from that hour's calendar and weather and from the rentals before it.

    Parameters
    ----------
    hours : pandas.DataFrame
        ``with_history`` of the hours of interest, else history is missing.

    Returns
    -------
    pandas.DataFrame
        ``timestamp``, ``FEATURES`` as float64, ``cnt``. Nothing of an hour's own rentals, nor of the 24
        hours before it but the same hour of yesterday, is in its features.

    Notes
    -----
    History is joined on the timestamp, not shifted by rows: 165 hours of the data are missing, because hours
    without a rental have no row. A missing hour within the data counts as no rentals in the mean.
    """
    frame = hours.copy()
    past = frame.set_index("timestamp")[TARGET].astype(float)
    frame["same_hour_last_week"] = _at(past, frame["timestamp"], "7D")
    frame["same_hour_yesterday"] = _at(past, frame["timestamp"], "1D")
    every = past.asfreq("h", fill_value=0.0)
    mean = every.rolling(168, min_periods=168).mean()
    frame["mean_of_last_week"] = _at(mean, frame["timestamp"], "1D")
    frame[list(FEATURES)] = frame[list(FEATURES)].astype(float)
    return frame[["timestamp", *FEATURES, TARGET]]


def with_history(hours: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """The rows from which ``features`` makes those of ``begin`` to ``end``, as it would from all rows.

    Parameters
    ----------
    hours : pandas.DataFrame
        As ``clean`` gives it.
    begin, end : pandas.Timestamp
        Local time; ``end`` is not included.

    Returns
    -------
    pandas.DataFrame
        From the last row that is ``LOOK_BACK`` or more before ``begin``: when hours are missing there, a row
        before them says that they count as no rentals, and not as unknown.
    """
    when = pd.DatetimeIndex(hours["timestamp"])
    first = when.searchsorted(begin - LOOK_BACK, side="right") - 1
    return hours.iloc[max(int(first), 0) : int(when.searchsorted(end))]


def coming_day(hours: pd.DataFrame, day: date) -> pd.DataFrame:
    """What is known of a day when it begins: the hours before it, and its own without their rentals.

    Parameters
    ----------
    hours : pandas.DataFrame
        As ``clean`` gives it, with the day's own weather (a forecast of it, when the day is still to come).
    day : datetime.date
        Local day.

    Returns
    -------
    pandas.DataFrame
        The form of ``hours``, for ``features``: the history of the day, then the ``hours_of`` the day, whose
        ``cnt`` is missing. An hour without a row has the weather of the hour before it, or of the first that
        has one.

    Raises
    ------
    ValueError
        There is no hour of the day, so no weather; or none of the eight days before it, so no history.
    """
    begin, end = pd.Timestamp(day), pd.Timestamp(day) + pd.Timedelta(days=1)
    when = hours["timestamp"]
    known = hours[(when >= begin) & (when < end)].set_index("timestamp")
    first, last = when.iloc[0].date(), when.iloc[-1].date()
    if known.empty or not when.between(begin - LOOK_BACK, begin, inclusive="left").any():
        lacking = "weather" if known.empty else "history"
        raise ValueError(f"there is no {lacking} for {day}: the data hold {first} to {last}")
    every = hours_of(day)
    near = known.reindex(every).ffill().bfill()
    near.loc[known.index] = known
    near["hr"] = every.hour
    near[TARGET] = float("nan")
    before = with_history(hours, begin, begin)
    return pd.concat([before, near.rename_axis("timestamp").reset_index()], ignore_index=True)


def seasonal_naive(hours: pd.DataFrame, day: date) -> pd.DataFrame:
    """The forecast that needs no model: an hour's rentals are those of the same hour a week before.

    Parameters
    ----------
    hours : pandas.DataFrame
        As ``clean`` gives it.
    day : datetime.date
        Local day; nothing of it or after it is read.

    Returns
    -------
    pandas.DataFrame
        ``timestamp`` and ``forecast`` of the ``hours_of`` the day. No row a week before is no rental.

    Raises
    ------
    ValueError
        There is no hour at all of the day a week before.
    """
    every = hours_of(day)
    past = hours.set_index("timestamp")[TARGET].astype(float)
    values = pd.Series(_at(past, every.to_series(), "7D"), index=every)
    if values.isna().all():
        raise ValueError(f"there are no rentals of a week before {day} to repeat")
    return pd.DataFrame({"timestamp": every, "forecast": values.fillna(0.0).to_numpy()})


def hours_of(day: date) -> pd.DatetimeIndex:
    """Every hour of a local day but those that a change of the clocks skips or repeats."""
    every = pd.date_range(pd.Timestamp(day), periods=24, freq="h")
    return every[every.tz_localize(ZONE, ambiguous="NaT", nonexistent="NaT").notna()]


def _at(series: pd.Series, when: pd.Series, before: str) -> list[float]:
    """Values of a time-indexed series ``before`` each moment; missing where there is none."""
    return series.reindex(pd.DatetimeIndex(when) - pd.Timedelta(before)).tolist()
