"""Reads Parquet, CSV and data frames with DuckDB for a profile; must not know statistics or thresholds."""

# ruff: noqa: S608 - identifiers and literals are quoted by sql.name and sql.literal

from __future__ import annotations

import gzip
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.drift import sql
from mlops_kit.drift.profile import KNOWN, Category, Numeric, Profile
from mlops_kit.errors import KitError, UsageError

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMBERS = (*INTEGERS, *(f"U{name}" for name in INTEGERS), "FLOAT", "DOUBLE", "DECIMAL")
LABELS = ("VARCHAR", "BOOLEAN", "ENUM", "UUID")
_PARQUET, _CSV = (".parquet", ".pq"), (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_DELIMITERS = (",", "\t", ";", "|")
_LONGEST_LINE = 1 << 21  # bytes, as DuckDB takes it
_MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null")  # in CSV; pandas reads them so, too
_FETCH = 20_000
_FIRST = 100  # rows that tell whether a column of text may be numbers
# With fewer, DuckDB 2.0 reads a file of one row group, as pandas writes it, column after column on one core.
_THREADS = 4


@dataclass(frozen=True)
class Table:
    """A source opened in DuckDB.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        In memory, without extensions from the network.
    relation : str
        SQL that reads the source.
    types : mapping of str to str
        DuckDB's type of each column.
    label : str
        What to call the source in messages.
    columnar : bool
        Whether reading one column leaves the others unread.
    """

    connection: Any
    relation: str
    types: Mapping[str, str]
    label: str
    columnar: bool

    def rows(self, text: str) -> Iterator[tuple[Any, ...]]:
        """The answer of a statement, fetched in parts."""
        try:
            answer = self.connection.execute(text)
            while part := answer.fetchmany(_FETCH):
                yield from part
        except _engine().Error as error:
            raise _unreadable(self.label, error) from None

    def once(self, columns: Sequence[str]) -> Table:
        """The same, read into memory (beyond it on disk) unless it is columnar: each row is parsed once."""
        return self if self.columnar else self.kept(columns)

    def kept(self, columns: Sequence[str], position: str = "") -> Table:
        """These columns as a temporary table; ``position`` is one more select item."""
        wanted = ", ".join([*map(sql.name, dict.fromkeys(columns)), *([position] if position else [])])
        list(self.rows(f"CREATE OR REPLACE TEMP TABLE kept AS SELECT {wanted} FROM {self.relation}"))
        return Table(self.connection, "kept", self.types, self.label, True)


@contextmanager
def opened(source: Any) -> Iterator[Table]:
    """Open a source.

    Parameters
    ----------
    source : str, Path or data frame
        A Parquet or CSV file, a folder or a glob of such, or a pandas, polars or Arrow table.

    Raises
    ------
    UsageError
        It is missing, empty, or something else.
    KitError
        DuckDB is not installed.
    """
    connection = _engine().connect(config={"autoinstall_known_extensions": "false"})
    try:
        settings = "SELECT current_setting('enable_progress_bar'), current_setting('threads')"
        ((bar, threads),) = connection.execute(settings).fetchall()
        if bar:  # in a kernel without ipywidgets it is off, and DuckDB refuses to hear so
            connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET threads = {max(threads, _THREADS)}")
        if isinstance(source, str | Path):
            label = str(source)
            relation, columnar = _reader(label)
        else:
            label, relation, columnar = "the data frame", "frame", True
            _register(connection, source)
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        types: Mapping[str, str] = {row[0]: row[1] for row in described}
        if not columnar:
            relation, types = _with_infinities(connection, relation, types)
        yield Table(connection, relation, types, label, columnar)
    except _engine().Error as error:
        raise _unreadable(
            str(source) if isinstance(source, str | Path) else "The data frame", error
        ) from None
    finally:
        connection.close()


def _register(connection: Any, source: Any) -> None:
    try:
        connection.register("frame", source)
    except (TypeError, _engine().Error):
        raise UsageError(
            f"A {type(source).__name__} is no table.",
            suggestion="give the path of a Parquet or CSV file, or a pandas, polars or Arrow table.",
        ) from None


def _with_infinities(
    connection: Any, relation: str, types: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """A CSV in which a column of numbers is one although DuckDB saw an infinity first and took it for text.

    Only columns whose first values are numbers are looked at as a whole: it costs others next to nothing.
    """
    words = [name for name, kind in types.items() if kind == "VARCHAR"]
    text = relation.replace("sample_size = -1)", f"sample_size = {_FIRST}, all_varchar = true)")
    for rows in (f"(FROM {text} LIMIT {_FIRST})", text):
        if words:
            tests = ", ".join(f"bool_and({_is_number(sql.name(name))})" for name in words)
            (found,) = connection.execute(f"SELECT {tests} FROM {rows}").fetchall()
            words = [name for name, whole in zip(words, found, strict=True) if whole]
    if not words:
        return relation, types
    named = ", ".join(f"{sql.literal(name)}: 'DOUBLE'" for name in words)
    return f"{relation[:-1]}, types = {{{named}}})", {**types, **dict.fromkeys(words, "DOUBLE")}


def _is_number(column: str) -> str:
    return f"TRY_CAST({column} AS DOUBLE) IS NOT NULL AND {column} NOT LIKE '%\\_%' ESCAPE '\\'"


def kinds(
    table: Table, features: Collection[str] | None, categories: Collection[str]
) -> tuple[list[str], list[str]]:
    """Which columns of a reference are numbers and which are categories.

    Parameters
    ----------
    table : Table
        The reference.
    features : collection of str or None
        Columns to describe; default all that are numbers or categories by type.
    categories : collection of str
        Numeric columns that are codes of categories.

    Raises
    ------
    UsageError
        A named column is missing or can be neither; or there is none.
    """
    types, named = table.types, dict.fromkeys((*(features or ()), *categories))
    if missing := [name for name in named if name not in types]:
        raise UsageError(
            f"{table.label} has no column {_listed(missing)}.", cause=f"it has {_listed(types)}."
        )
    wanted = list(types) if features is None else list(named)
    numbers = [name for name in wanted if name not in categories and _plain(types[name]) in NUMBERS]
    labels = [name for name in wanted if name in categories or _plain(types[name]) in LABELS]
    other = [name for name in wanted if name not in (*numbers, *labels)]
    if features is not None and other:
        raise UsageError(
            f"{table.label}: {_listed(other)} can be neither number nor category: {types[other[0]]}."
        )
    if not (numbers or labels):
        raise UsageError(f"{table.label} has no column that is a number or a category.")
    return numbers, labels


def survey(table: Table, numbers: Sequence[str], labels: Sequence[str]) -> Profile:
    """Ranges of numbers and known values of categories, as a profile without data."""
    ranges = " UNION ALL ".join(
        f"SELECT {index} AS feature, quantile_cont(x, [0.001, 0.999]) AS range FROM "
        f"(SELECT {sql.number(name, table.types[name])} AS x FROM {table.relation}) WHERE isfinite(x)"
        for index, name in enumerate(numbers)
    )
    found = dict(table.rows(ranges)) if numbers else {}
    numeric = {name: _range(*(found.get(index) or (0.0, 0.0))) for index, name in enumerate(numbers)}
    return Profile(0, numeric, {name: _known(table, name) for name in labels})


def check_types(table: Table, reference: Profile) -> Profile:
    """The part of a reference whose columns the table has.

    Raises
    ------
    UsageError
        They have no column in common, or a number is something else here.
    """
    common = [name for name in reference.features if name in table.types]
    if not common:
        raise UsageError(
            f"{table.label} has no column of the reference.",
            cause=f"it has {_listed(table.types)}; the reference has {_listed(reference.features)}.",
        )
    for name in common:
        kind = _plain(table.types[name])
        # A CSV column without a value is text to DuckDB; other text fails when it is cast.
        if name in reference.numeric and kind not in (*NUMBERS, "VARCHAR", "BOOLEAN"):
            raise UsageError(f"{table.label}: column {name!r} is {kind}; the reference has numbers there.")
    return reference.only(common)


def _engine() -> Any:
    try:
        import duckdb
    except ImportError:
        raise KitError("Drift needs DuckDB.", suggestion="pip install 'mlops-kit[drift]'") from None
    return duckdb


def _reader(source: str) -> tuple[str, bool]:
    """SQL that reads a file, folder or glob, and whether it is columnar."""
    if "://" in source:
        raise UsageError(f"{source} is not on this machine.", suggestion="copy it here, or use Athena.")
    path = Path(source)
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.is_file() and _kind(one.name))
        if not files:
            raise UsageError(f"{source} holds no Parquet or CSV file.")
    elif path.exists() or not any(letter in source for letter in "*?["):
        files = [path]
    else:
        files = sorted(one for one in Path(path.anchor or ".").glob(_relative(path)) if one.is_file())
        if not files:
            raise UsageError(f"No file matches {source}.")
    return _function(source, files)


def _function(source: str, files: Sequence[Path]) -> tuple[str, bool]:
    kinds = {_kind(one.name) for one in files}
    if not files[0].exists():
        raise UsageError(f"There is no file {source}.")
    if len(kinds) > 1 or None in kinds:
        raise UsageError(
            f"{source} is {'mixed' if len(kinds) > 1 else 'neither Parquet nor CSV'}.",
            suggestion=f"give files that end in {', '.join((*_PARQUET, *_CSV))}, of one kind.",
        )
    listed = ", ".join(sql.literal(_exact(str(one))) for one in files)
    if kinds == {"parquet"}:
        return f"read_parquet([{listed}], union_by_name = true)", True
    missing = ", ".join(map(sql.literal, _MISSING))
    # What DuckDB would guess of a ragged file, or of columns that are named by numbers, is another table.
    # Types from every row: a column whose first 20,000 numbers are whole may have others.
    return (
        f"read_csv([{listed}], union_by_name = true, header = true, skip = 0, "
        f"delim = {sql.literal(_delimiter(source, files))}, nullstr = [{missing}], sample_size = -1)"
    ), False


def _delimiter(source: str, files: Sequence[Path]) -> str:
    """What separates the names in the first line: the most frequent of four."""
    found = set()
    for file in files:
        unpacked = gzip.open if file.name.lower().endswith(".gz") else open
        try:
            with unpacked(file, "rb") as opened_file:
                line = opened_file.readline(_LONGEST_LINE)
        except OSError as error:
            raise _unreadable(str(file), error) from None
        if not line.strip():
            raise UsageError(
                f"{file} does not begin with the names of its columns.",
                suggestion="write them into its first line.",
            )
        counts = {one: re.sub(rb'"[^"]*"', b"", line).count(one.encode()) for one in _DELIMITERS}
        found.add(max(counts, key=lambda one: counts[one]) if any(counts.values()) else "")
    if len(some := found - {""}) > 1:
        raise UsageError(f"{source} holds CSV files with different delimiters: {' and '.join(sorted(some))}.")
    return next(iter(some), ",")


def _kind(name: str) -> str | None:
    lower = name.lower()
    return "parquet" if lower.endswith(_PARQUET) else "csv" if lower.endswith(_CSV) else None


def _relative(path: Path) -> str:
    return str(path.relative_to(path.anchor)) if path.anchor else str(path)


def _exact(path: str) -> str:
    """DuckDB's glob that matches this path alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _unreadable(label: str, error: Exception) -> KitError:
    first = str(error).strip().splitlines()[0]
    if "sniffing" in first:
        first = "it is no CSV in whose rows there are as many fields as names in the first line."
    return UsageError(f"{label} cannot be read.", cause=first)


def _plain(kind: str) -> str:
    """A type's name without its parameters."""
    return kind.partition("(")[0]


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:20]) + (" ..." if len(names) > 20 else "")


def _range(low: float, high: float) -> Numeric:
    return Numeric(0, 0, None, None, None, None, float(low), float(high), ()).emptied()


def _known(table: Table, column: str) -> Category:
    value = sql.label(column, table.types[column])
    counted = f"SELECT {value} AS value, count(*) AS number FROM {table.relation} GROUP BY 1"
    rows = table.rows(
        f"SELECT value FROM ({counted}) WHERE value IS NOT NULL ORDER BY number DESC, value LIMIT {KNOWN}"
    )
    return Category(0, dict.fromkeys(sorted(row[0] for row in rows), 0))
