"""What Athena's statements other than SELECT and table DDL ask for; parses only, with ministack's scanner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_kit.local.corrections.athena_values import QueryFailed


@dataclass(frozen=True)
class Write:
    """A statement that writes what a SELECT gives.

    Attributes
    ----------
    kind : str
        ``create`` (CREATE TABLE AS), ``insert`` or ``unload``.
    select : str
        The SELECT.
    database, table : str or None
        The table, where there is one.
    columns : tuple of str
        INSERT's list of columns.
    location : str
        UNLOAD's target.
    properties : mapping
        What stands in WITH (...): texts, or tuples of texts.
    optional : bool
        IF NOT EXISTS.
    """

    kind: str
    select: str
    database: str | None = None
    table: str = ""
    columns: tuple[str, ...] = ()
    location: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class Look:
    """A statement about the catalogue.

    Attributes
    ----------
    kind : str
        tables, databases, partitions, describe, repair (MSCK) or add (a partition).
    database, table : str or None
        Of what.
    values, location, optional : tuple, str, bool
        The partition to add, as pairs; its LOCATION; IF NOT EXISTS.
    """

    kind: str
    database: str | None = None
    table: str = ""
    values: tuple[tuple[str, str], ...] = ()
    location: str = ""
    optional: bool = False


def parse(query: str, cursor_of: Callable[[str], Any]) -> Write | Look | None:
    """The statement that a text is, or None for a SELECT and what is none of ours.

    Raises
    ------
    QueryFailed
        It begins like one of these and does not go on like it.
    """
    cursor = cursor_of(query.strip().rstrip(";"))
    for reads in (_unload, _insert, _create, _alter, _look):
        cursor.reset()
        found = reads(cursor)
        if found is not None:
            return found
    return None


def _rest(cursor: Any) -> str:
    at = cursor.peek()[2]
    if at is None:
        raise _malformed("a query is missing")
    return str(cursor.text[at:])


def _malformed(what: str) -> QueryFailed:
    return QueryFailed(f"SYNTAX_ERROR: {what}")


def _name(cursor: Any) -> tuple[str | None, str]:
    name = cursor.dotted_name(3)
    if name is None:
        raise _malformed("the name of a table is missing")
    return name[1], name[2]


def _properties(cursor: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not cursor.keywords("with"):
        return found
    if not cursor.punct("("):
        raise _malformed("WITH wants properties in parentheses")
    while not cursor.punct(")"):
        key = cursor.identifier()
        if key is None or not cursor.punct("="):
            raise _malformed("a property of WITH cannot be read")
        found[key.lower()] = _value(cursor)
        cursor.punct(",")
    return found


def _value(cursor: Any) -> Any:
    if not cursor.keywords("array"):
        value = cursor.string()
        return str(cursor.number() or cursor.name()) if value is None else value
    if not cursor.punct("["):
        raise _malformed("ARRAY wants brackets")
    items = []
    while not cursor.punct("]"):
        item = cursor.string()
        if item is None:
            raise _malformed("an ARRAY of WITH holds texts only")
        items.append(item)
        cursor.punct(",")
    return tuple(items)


def _group(cursor: Any) -> str:
    """The text inside the parentheses that begin here."""
    if not cursor.punct("("):
        raise _malformed("UNLOAD wants a query in parentheses")
    begin = cursor.peek()[2]
    cursor.skip_group()
    return str(cursor.text[begin : cursor.tokens[cursor.i - 1][2]])


def _unload(cursor: Any) -> Write | None:
    if not cursor.keywords("unload"):
        return None
    query = _group(cursor)
    location = cursor.string() if cursor.keywords("to") else None
    if location is None:
        raise _malformed("UNLOAD wants TO 's3://...'")
    return Write("unload", query, location=location, properties=_properties(cursor))


def _insert(cursor: Any) -> Write | None:
    if not cursor.keywords("insert", "into"):
        return None
    database, table = _name(cursor)
    columns: list[str] = []
    after = cursor.tokens[cursor.i + 1][:2] if cursor.i + 1 < len(cursor.tokens) else (None, None)
    if cursor.peek()[:2] == ("punct", "(") and after not in (("name", "select"), ("name", "with")):
        cursor.punct("(")
        while not cursor.punct(")"):
            column = cursor.identifier()
            if column is None:
                raise _malformed("INSERT's list of columns cannot be read")
            columns.append(column)
            cursor.punct(",")
    return Write("insert", _rest(cursor), database, table, tuple(columns))


def _create(cursor: Any) -> Write | None:
    if not cursor.keywords("create", "table"):
        return None
    optional = cursor.keywords("if", "not", "exists")
    database, table = _name(cursor)
    if cursor.peek()[:2] not in (("name", "with"), ("name", "as")):
        return None
    properties = _properties(cursor)
    if not cursor.keywords("as"):
        raise _malformed("CREATE TABLE ... AS wants a query")
    return Write("create", _rest(cursor), database, table, properties=properties, optional=optional)


def _alter(cursor: Any) -> Look | None:
    if not cursor.keywords("alter", "table"):
        return None
    database, table = _name(cursor)
    if not cursor.keywords("add"):
        raise QueryFailed("NOT_SUPPORTED: Of ALTER TABLE, the embedded AWS has ADD PARTITION only")
    optional = cursor.keywords("if", "not", "exists")
    if not (cursor.keywords("partition") and cursor.punct("(")):
        raise _malformed("ADD wants PARTITION (key = 'value')")
    values = []
    while not cursor.punct(")"):
        key = cursor.identifier()
        if key is None or not cursor.punct("="):
            raise _malformed("a partition's value cannot be read")
        values.append((key, str(_value(cursor))))
        cursor.punct(",")
    location = cursor.string() if cursor.keywords("location") else ""
    if not cursor.at_end():
        raise QueryFailed("NOT_SUPPORTED: The embedded AWS adds one partition at a time")
    return Look("add", database, table, tuple(values), location or "", optional)


def _look(cursor: Any) -> Look | None:
    if cursor.keywords("show", "databases") or cursor.keywords("show", "schemas"):
        return Look("databases")
    if cursor.keywords("show", "tables"):
        database = cursor.identifier() if cursor.keywords("in") or cursor.keywords("from") else None
        return Look("tables", database)
    for kind, words in (
        ("partitions", ("show", "partitions")),
        ("repair", ("msck", "repair", "table")),
        ("describe", ("describe",)),
    ):
        if cursor.keywords(*words):
            return Look(kind, *_name(cursor))
    return None
