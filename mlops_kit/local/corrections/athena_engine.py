"""Runs one SELECT on DuckDB over copies of tables' objects, with no way out of them; knows no service."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_kit.local.corrections.athena_values import (
    QueryFailed,
    Rows,
    athena_type,
    column_name,
    reason,
    text,
)

# Functions that Athena has under another name.
_MACROS = (
    "approx_distinct(x) AS approx_count_distinct(x)",
    "approx_percentile(x, p) AS approx_quantile(x, p)",
    "arbitrary(x) AS any_value(x)",
    "array_join(a, s) AS array_to_string(a, s)",
    "date_add(u, n, t) AS t + n * CAST('1 ' || u AS INTERVAL)",
    "date_format(t, f) AS strftime(t, replace(replace(f, '%i', '%M'), '%s', '%S'))",
    "element_at(c, k) AS c[k]",  # DuckDB's own gives a list
    "from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ)",
    "from_unixtime(x) AS CAST(make_timestamp(CAST(x * 1000000 AS BIGINT)) AS TIMESTAMP)",
    "infinity() AS CAST('inf' AS DOUBLE)",
    "is_finite(x) AS isfinite(x)",
    "is_infinite(x) AS isinf(x)",
    "is_nan(x) AS isnan(x)",
    "json_extract_scalar(j, p) AS json_extract_string(j, p)",
    "nan() AS CAST('nan' AS DOUBLE)",
    "regexp_like(s, p) AS regexp_matches(s, p)",
    "to_unixtime(t) AS epoch(t)",
)


@dataclass(frozen=True)
class Catalogue:
    """The tables that a query may see.

    Attributes
    ----------
    database : str
        The current database.
    databases : tuple of str
        All databases.
    relations : mapping
        (database, table) to the DuckDB relation over its files.
    folders : tuple of str
        The only folders that the query may touch.
    """

    database: str
    databases: tuple[str, ...]
    relations: Mapping[tuple[str, str], str]
    folders: tuple[str, ...]


def quoted(name: str) -> str:
    """An identifier in quotes."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A string in quotes."""
    return "'" + value.replace("'", "''") + "'"


@contextlib.contextmanager
def session(catalogue: Catalogue, started: Callable[[Any], None]) -> Iterator[Any]:
    """A DuckDB connection with the tables as views, shut off from the host; `started` gets it.

    Raises
    ------
    QueryFailed
        DuckDB refused something, in Athena's words.
    """
    import duckdb

    # DuckDB would spill into the folder that the server was started in.
    with tempfile.TemporaryDirectory(prefix="athena-") as spill:
        settings = {"python_enable_replacements": False, "threads": 2, "temp_directory": spill}
        connection = duckdb.connect(":memory:", config=settings)
        started(connection)
        try:
            _prepare(connection, catalogue)
            yield connection
        except duckdb.Error as error:
            raise QueryFailed(reason(str(error), catalogue.database)) from None
        finally:
            connection.close()


def _prepare(connection: Any, catalogue: Catalogue) -> None:
    connection.execute("SET integer_division = true")  # as in Athena
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET memory_limit = '1GB'")
    connection.execute("SET disabled_optimizers = 'type_pushdown'")  # makes TRY_CAST of CSV columns strict
    folders = ", ".join(map(literal, catalogue.folders))
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("ATTACH ':memory:' AS awsdatacatalog")
    connection.execute("SET enable_external_access = false")
    for database in {*catalogue.databases, catalogue.database}:
        connection.execute(f"CREATE SCHEMA awsdatacatalog.{quoted(database)}")
    for (database, table), relation in catalogue.relations.items():
        name = f"awsdatacatalog.{quoted(database)}.{quoted(table)}"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {relation}")  # noqa: S608 - made by us
    for macro in _MACROS:
        connection.execute(f"CREATE MACRO memory.main.{macro}")
    connection.execute(
        f"SET search_path = {literal(f'awsdatacatalog.{quoted(catalogue.database)},memory.main')}"
    )
    connection.execute("SET lock_configuration = true")


def check_select(query: str) -> str:
    """The one SELECT that a text holds, without its semicolon.

    Raises
    ------
    QueryFailed
        It is something else, or more than one.
    """
    import duckdb

    try:
        found = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise QueryFailed(reason(str(error), "")) from None
    if len(found) != 1:
        raise QueryFailed("SYNTAX_ERROR: Only one sql statement is allowed.")
    if found[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise QueryFailed("NOT_SUPPORTED: The embedded AWS does not run this kind of statement")
    return query.strip().rstrip(";").rstrip()


def select(connection: Any, query: str) -> Rows:
    """Run a checked SELECT."""
    result = connection.execute(query)
    columns = [column_name(told[0], at, query) for at, told in enumerate(result.description)]
    types = [athena_type(str(told[1])) for told in result.description]
    rows = tuple(tuple(map(text, row)) for row in result.fetchall())
    return Rows(tuple(columns), tuple(types), rows)


def shape(connection: Any, query: str) -> list[tuple[str, str]]:
    """Names and DuckDB's types of the columns of a checked SELECT."""
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    return [(column_name(row[0], at, query), str(row[1])) for at, row in enumerate(described)]


def copy(
    connection: Any, query: str, folder: str, options: Mapping[str, str], partitions: Sequence[str]
) -> None:
    """Write a checked SELECT into a folder, one folder a partition where there are any."""
    told = dict(options)
    target = folder
    if partitions:
        told["PARTITION_BY"] = f"({', '.join(map(quoted, partitions))})"
    else:
        target = f"{folder}/part-0"
    words = ", ".join(f"{key} {value}" for key, value in told.items())
    connection.execute(f"COPY ({query}) TO {literal(target)} ({words})")
