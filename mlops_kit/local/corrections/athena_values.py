"""How Athena writes values, types and errors down; runs no query.

Sources: "Working with query results, recent queries, and output files", "Data types in Amazon Athena".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Rows:
    """What a query gave.

    Attributes
    ----------
    columns, types : tuple of str
        Names of the columns and Athena's names of their types.
    rows : tuple
        Rows of texts; None is NULL.
    written : tuple of str
        S3 URIs of the objects that the query wrote.
    """

    columns: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    written: tuple[str, ...] = ()


class QueryFailed(Exception):
    """A query that fails for a reason of its own; the text is Athena's StateChangeReason."""


_TYPES = {
    "BOOLEAN": "boolean", "TINYINT": "tinyint", "SMALLINT": "smallint", "INTEGER": "integer",
    "BIGINT": "bigint", "HUGEINT": "bigint", "UBIGINT": "bigint", "UINTEGER": "bigint", "FLOAT": "float",
    "DOUBLE": "double", "DECIMAL": "decimal", "VARCHAR": "varchar", "BLOB": "varbinary", "DATE": "date",
    "TIME": "time", "TIMESTAMP": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "STRUCT": "row", "MAP": "map",
}  # fmt: skip
_GLUE = {
    "integer": "int",
    "varchar": "string",
    "varbinary": "binary",
    "timestamp with time zone": "timestamp",
}


def athena_type(kind: str) -> str:
    """Athena's name of one of DuckDB's types, in results."""
    if kind.endswith("]"):
        return "array"
    return _TYPES.get(kind.partition("(")[0].strip(), "varchar")


def glue_type(kind: str) -> str:
    """The catalogue's name of one of DuckDB's types.

    Raises
    ------
    QueryFailed
        For a type that a table here cannot have.
    """
    if kind.startswith("DECIMAL"):
        return kind.lower()
    name = athena_type(kind)
    if name in ("array", "row", "map"):
        raise QueryFailed(f"NOT_SUPPORTED: The embedded AWS writes no columns of the type {kind}")
    return _GLUE.get(name, name)


def text(value: Any) -> str | None:
    """A value as results show it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _double(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo else ""
        return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}{zone}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{text(key)}={_inner(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_inner(item) for item in value) + "]"
    return str(value)


def _inner(value: Any) -> str:
    shown = text(value)
    return "null" if shown is None else shown


def _double(value: float) -> str:
    """As Java's Double.toString."""
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        shown = repr(value)
        return shown if "e" not in shown else format(Decimal(shown), "f")
    digits, exponent = Decimal(repr(value)).normalize().as_tuple()[1:]
    head, tail = str(digits[0]), "".join(map(str, digits[1:])) or "0"
    return f"{'-' if value < 0 else ''}{head}.{tail}E{int(exponent) + len(digits) - 1}"


def column_name(name: str, position: int, query: str) -> str:
    """A result column's name: an expression without an alias is ``_colN``."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) is not None
    return name if plain or f'"{name}"' in query else f"_col{position}"


def csv_text(rows: Iterable[Sequence[str | None]]) -> str:
    """Rows as Athena's result file has them: every value quoted, NULL as nothing."""
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


_NO_FILES = "PERMISSION_DENIED: SQL may read tables of the catalogue, no files and no settings"
# DuckDB's complaint, and the words that Athena has for it.
_REASONS = (
    (r'Table with name "?(?P<x>.+?)"? does not exist', "TABLE_NOT_FOUND: Table '{place}.{x}' does not exist"),
    (r"Function with name (?P<x>\S+) does not exist", "FUNCTION_NOT_FOUND: Function '{x}' not registered"),
    (r'(column|Column) "?(?P<x>[^"]+)"? not found', "COLUMN_NOT_FOUND: Column '{x}' cannot be resolved"),
    (r"disabled (by|through) config|configuration has been locked", _NO_FILES),
    (r"^Parser Error: (?P<x>.+)", "SYNTAX_ERROR: {x}"),
    (r"^Conversion Error: (?P<x>.+)", "INVALID_CAST_ARGUMENT: {x}"),
    (r"^Binder Error: (?P<x>.+)", "SYNTAX_ERROR: {x}"),
    (r"^INTERRUPT", "Query was cancelled by user"),
    (r"^Out of Memory Error", "EXCEEDED_LOCAL_MEMORY_LIMIT: The query needs more than 1 GB"),
)  # fmt: skip


def reason(problem: str, database: str) -> str:
    """Athena's StateChangeReason for what DuckDB complains about; its first line, without host paths."""
    first = re.sub(r"/\S+/", "", problem.splitlines()[0]) if problem else ""
    for pattern, words in _REASONS:
        if match := re.search(pattern, first):
            return words.format(place=f"awsdatacatalog.{database}", x=match.groupdict().get("x", ""))
    return f"GENERIC_USER_ERROR: {first}"
