"""What is expected of a day of raw data, declared as values, and the one statement that measures it all.

Must not judge: it knows bounds, not what was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """A figure of a day's rows and the bounds within which it is fit; no figure at all is never fit.

    Attributes
    ----------
    name : str
        Such as ``range of hum``.
    measure : str
        SQL aggregate over the rows of the day, in words that both Athena and DuckDB know.
    expected, found : str
        What is expected, and a format for what was measured, in words for people.
    least, most : float, optional
        Bounds, included.
    """

    name: str
    measure: str
    expected: str
    found: str
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class RawTable:
    """Raw data as a table, and what a day of it is like.

    Attributes
    ----------
    columns : mapping of str to str
        Name to type in the Glue catalogue's words, in the order of the file.
    day : str
        Column of type ``string`` that holds a row's local day, ``YYYY-MM-DD``.
    expectations : tuple of Expectation
        What a day must be like for its data to be fit.
    """

    columns: Mapping[str, str]
    day: str
    expectations: tuple[Expectation, ...]


def rows(least: int, most: int) -> Expectation:
    """So many rows a day."""
    return Expectation("row count", "count(*)", f"{least} to {most} rows", "{:g} rows", least, most)


def present(column: str, share: float = 0.0) -> Expectation:
    """At most this share of a column's values is null."""
    measure = f"CAST(count(*) FILTER (WHERE {column} IS NULL) AS double) / nullif(count(*), 0)"
    return Expectation(f"nulls of {column}", measure, f"at most {share:.1%} null", "{:.1%} null", most=share)


def within(column: str, least: float, most: float, above: bool = False) -> Expectation:
    """Every value that is not null lies between two bounds; with ``above``, the lower one is outside."""
    low = f"{column} > {least!r}" if above else f"{column} >= {least!r}"
    measure = f"count(*) FILTER (WHERE NOT ({low} AND {column} <= {most!r}))"
    words = f"{'above ' if above else ''}{least:g} to {most:g} in every row"
    return Expectation(f"range of {column}", measure, words, "{:g} rows outside", most=0)


def holds(name: str, condition: str) -> Expectation:
    """A condition in SQL that is false in no row."""
    measure = f"count(*) FILTER (WHERE NOT ({condition}))"
    return Expectation(name, measure, f"{condition} in every row", "{:g} rows where it is not", most=0)


def unique(column: str) -> Expectation:
    """No two rows of the day have the same value."""
    measure = f"count({column}) - count(DISTINCT {column})"
    return Expectation(f"duplicates of {column}", measure, "each once", "{:g} rows too many", most=0)


def fresh(hour: str, hours: int) -> Expectation:
    """The newest row is at most so many hours old when the day ends.

    Parameters
    ----------
    hour : str
        Column with the hour of the day, 0 to 23.
    hours : int
        Largest age of the end of that hour.
    """
    expected = f"newest row at most {hours} hours old at the end of the day"
    return Expectation("freshness", f"23 - max({hour})", expected, "{:g} hours old", most=hours)


def statement(expected: Sequence[Expectation], table: str, where: str) -> str:
    """One SELECT with one row: a column an expectation, in their order.

    Parameters
    ----------
    expected : sequence of Expectation
        What to measure.
    table : str
        Quoted name.
    where : str
        SQL condition that chooses the day's rows.
    """
    measures = ", ".join(f"{one.measure} AS e{number}" for number, one in enumerate(expected))
    return f"SELECT {measures} FROM {table} WHERE {where}"  # noqa: S608 - of declared expectations alone
