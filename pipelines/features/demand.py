"""Features of the demand model; must not read or write anything.

The one feature module: preparation, training, endpoint and monitor all call it, so that a model is never
asked with features that it was not trained on. Runs on Python 3.9 (Glue) to 3.13; needs pandas alone.
"""

from __future__ import annotations

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
        As ``clean`` gives it; at least eight days before the first hour of interest, else history is missing.

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


def _at(series: pd.Series, when: pd.Series, before: str) -> list[float]:
    """Values of a time-indexed series ``before`` each moment; missing where there is none."""
    return series.reindex(pd.DatetimeIndex(when) - pd.Timedelta(before)).tolist()
