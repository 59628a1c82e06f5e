"""CREATE TABLE AS, INSERT INTO and UNLOAD: what a SELECT gives becomes objects, tables and partitions."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from mlops_kit.local.corrections import athena_engine as engine
from mlops_kit.local.corrections.athena_statements import Write
from mlops_kit.local.corrections.athena_tables import Tables
from mlops_kit.local.corrections.athena_values import QueryFailed, Rows, glue_type

# By format: DuckDB's COPY options; texts without a delimiter of their own have Hive's Ctrl-A.
_OPTIONS = {
    "parquet": {"FORMAT": "parquet", "COMPRESSION": "snappy"},
    "json": {"FORMAT": "json"},
    "textfile": {"FORMAT": "csv", "HEADER": "false", "QUOTE": "''", "ESCAPE": "''", "NULLSTR": "'\\N'"},
}
_PROPERTIES = (
    *("format", "external_location", "partitioned_by", "field_delimiter"),
    *("compression", "write_compression", "parquet_compression"),
)
_JSON_SERDE = "org.openx.data.jsonserde.JsonSerDe"


def run_select(catalogue: engine.Catalogue, query: str, started: Callable[[Any], None]) -> Rows:
    """Run a SELECT, in a worker thread."""
    checked = engine.check_select(query)
    with engine.session(catalogue, started) as connection:
        return engine.select(connection, checked)


class Writes:
    """One writing statement.

    Parameters
    ----------
    athena : module
        ministack's Athena, for its form of a table's DDL.
    tables : Tables
        Catalogue and S3.
    catalogue : athena_engine.Catalogue
        What the SELECT may see.
    started : callable
        Gets the DuckDB connection.
    """

    def __init__(
        self, athena: Any, tables: Tables, catalogue: engine.Catalogue, started: Callable[[Any], None]
    ) -> None:
        self._athena = athena
        self._tables = tables
        self._catalogue = catalogue
        self._started = started

    async def run(self, write: Write, output: str, query_id: str) -> Rows:
        """Run it; the objects that it wrote.

        Raises
        ------
        QueryFailed
            In Athena's words where it has some.
        """
        handler = {"unload": self._unload, "insert": self._insert, "create": self._create}[write.kind]
        return await handler(write, output, query_id)

    async def _unload(self, write: Write, output: str, query_id: str) -> Rows:
        kind = _format(write, "format", "")
        partitions = _partitions(write)
        self._want_empty(write.location, "UNLOAD")
        _, folder = await self._copied(write.select, kind, partitions, _delimiter(write, ","))
        return Rows(written=self._tables.upload(folder, write.location, query_id))

    async def _create(self, write: Write, output: str, query_id: str) -> Rows:
        database = write.database or self._catalogue.database
        if self._tables.exists(database, write.table):
            if write.optional:
                return Rows()
            name = f"awsdatacatalog.{database}.{write.table}"
            raise QueryFailed(f"TABLE_ALREADY_EXISTS: Destination table '{name}' already exists")
        kind, partitions = _format(write, "format", "PARQUET"), _partitions(write)
        delimiter = _delimiter(write, "\x01")
        told = write.properties.get("external_location")
        location = told or f"{output.rpartition('/')[0]}/tables/{query_id}/"
        self._want_empty(location, write.table)
        columns, folder = await self._copied(write.select, kind, partitions, delimiter)
        if tuple(name for name, _ in columns[len(columns) - len(partitions) :]) != partitions:
            raise QueryFailed("SYNTAX_ERROR: Partition columns must be the last columns of the query")
        self._tables.create(database, self._definition(write, columns, location, delimiter))
        written = self._tables.upload(folder, location, query_id)
        self._tables.register(database, self._tables.get(database, write.table))
        return Rows(written=written)

    def _definition(
        self, write: Write, columns: Sequence[tuple[str, str]], location: str, delimiter: str
    ) -> Any:
        kind, keys = _format(write, "format", "PARQUET"), _partitions(write)
        given = [{"Name": name.lower(), "Type": glue_type(held)} for name, held in columns]
        stored = self._athena._STORED_AS["parquet" if kind == "parquet" else "textfile"]
        parameters = {"serialization.format": "1"}
        if kind == "textfile":
            parameters = {"field.delim": delimiter, "serialization.format": delimiter}
        return self._athena._CreateTable(
            write.database,
            write.table,
            external=True,
            columns=given[: len(given) - len(keys)],
            partition_keys=given[len(given) - len(keys) :],
            location=location,
            input_format=stored[0],
            output_format=stored[1],
            serde=_JSON_SERDE if kind == "json" else stored[2],
            serde_parameters=parameters,
            table_properties={"classification": "csv" if kind == "textfile" else kind},
        )

    async def _insert(self, write: Write, output: str, query_id: str) -> Rows:
        database = write.database or self._catalogue.database
        table = self._tables.get(database, write.table)
        storage, keys = table["StorageDescriptor"], table.get("PartitionKeys") or []
        kind = {"csv": "textfile"}.get(self._athena._data_format(table), self._athena._data_format(table))
        if kind not in _OPTIONS or "OpenCSV" in str(storage.get("SerdeInfo")):
            raise QueryFailed(
                f"NOT_SUPPORTED: The embedded AWS does not insert into {kind} tables of this serde"
            )
        columns = [*storage.get("Columns", ()), *keys]
        given = write.columns or tuple(column["Name"] for column in columns)
        source = f"({write.select}) AS given({', '.join(map(engine.quoted, given))})"
        engine.check_select(write.select)
        known = {name.lower() for name in given}
        projected = ", ".join(_cast(self._athena, column, known) for column in columns)
        parameters = (storage.get("SerdeInfo") or {}).get("Parameters") or {}
        delimiter = parameters.get("field.delim", "\x01")
        partitions = tuple(key["Name"] for key in keys)
        query = f"SELECT {projected} FROM {source}"  # noqa: S608 - run where nothing can be reached
        _, folder = await self._copied(query, kind, partitions, delimiter)
        written = self._tables.upload(folder, storage["Location"], query_id)
        self._tables.register(database, table)
        return Rows(written=written)

    def _want_empty(self, location: str, table: str) -> None:
        if not self._tables.empty(location):
            raise QueryFailed(
                f"HIVE_PATH_ALREADY_EXISTS: Target directory for table '{table}' already exists: {location}"
            )

    async def _copied(
        self, query: str, kind: str, partitions: Sequence[str], delimiter: str
    ) -> tuple[list[tuple[str, str]], str]:
        """Columns of a SELECT, and the folder that its files are in."""
        options = dict(_OPTIONS[kind])
        if kind == "textfile":
            options["DELIMITER"] = engine.literal(delimiter)
        folder = tempfile.mkdtemp(dir=self._catalogue.folders[0])

        def run() -> list[tuple[str, str]]:
            checked = engine.check_select(query)
            with engine.session(self._catalogue, self._started) as connection:
                columns = engine.shape(connection, checked)
                engine.copy(connection, _narrowed(checked, columns), folder, options, partitions)
                return columns

        return await asyncio.to_thread(run), folder


def _narrowed(query: str, columns: Sequence[tuple[str, str]]) -> str:
    """DuckDB's sums are wider than any type of a table."""
    names = ", ".join(engine.quoted(name) for name, _ in columns)
    cast = ", ".join(
        f"CAST({engine.quoted(name)} AS BIGINT) AS {engine.quoted(name)}"
        if held == "HUGEINT"
        else engine.quoted(name)
        for name, held in columns
    )
    return f"SELECT {cast} FROM ({query}) AS made({names})"  # noqa: S608 - run where nothing can be reached


def _cast(athena: Any, column: dict[str, Any], known: set[str]) -> str:
    name = engine.quoted(column["Name"])
    value = name if column["Name"].lower() in known else "NULL"
    return f"CAST({value} AS {athena._duckdb_type(column)}) AS {name}"


def _format(write: Write, key: str, default: str) -> str:
    kind = str(write.properties.get(key, default)).lower()
    if kind not in _OPTIONS:
        raise QueryFailed(f"NOT_SUPPORTED: The embedded AWS writes PARQUET, JSON and TEXTFILE, not '{kind}'")
    for name, value in write.properties.items():
        compression = "snappy" if kind == "parquet" else "none"
        if name not in _PROPERTIES or (name.endswith("compression") and value.lower() != compression):
            raise QueryFailed(f"NOT_SUPPORTED: The embedded AWS does not know {name} = {value} of {kind}")
    return kind


def _partitions(write: Write) -> tuple[str, ...]:
    told = write.properties.get("partitioned_by", ())
    return (told,) if isinstance(told, str) else tuple(told)


def _delimiter(write: Write, default: str) -> str:
    return str(write.properties.get("field_delimiter", default))
