"""The Glue catalogue and S3 as Athena's statements read and change them, inside ministack's stores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlops_kit.local.corrections import athena_access
from mlops_kit.local.corrections.athena_engine import Catalogue, literal, quoted
from mlops_kit.local.corrections.athena_statements import Look
from mlops_kit.local.corrections.athena_values import QueryFailed, Rows
from mlops_kit.local.ministack import module

_UNREADABLE = {"avro", "orc", "iceberg", "virtual_view"}


class Tables:
    """Tables of the caller's account and region; call on the loop, in the request's scope.

    Parameters
    ----------
    athena : module
        ministack's Athena, whose table readers are used.
    """

    def __init__(self, athena: Any) -> None:
        self._athena = athena

    @property
    def _glue(self) -> Any:
        return module("services.glue")

    def get(self, database: str, table: str) -> dict[str, Any]:
        """A table.

        Raises
        ------
        QueryFailed
            It does not exist.
        """
        found = self._glue._tables.get(f"{database}/{table.lower()}") or self._glue._tables.get(
            f"{database}/{table}"
        )
        if found is None:
            raise QueryFailed(f"TABLE_NOT_FOUND: Table 'awsdatacatalog.{database}.{table}' does not exist")
        athena_access.catalogue("GetTable", database, table)
        return dict(found)

    def exists(self, database: str, table: str) -> bool:
        """Whether a table exists."""
        return f"{database}/{table}" in self._glue._tables

    def catalogue(self, query: str, database: str, folders: list[str]) -> Catalogue:
        """The tables that a query names, their objects copied into folders that are added to the list."""
        names = {
            text.lower() for kind, text, _, _ in self._athena._sql_tokens(query) if kind in ("name", "qname")
        }
        relations = {}
        for key, table in self._glue._tables.items():
            holder, _, name = str(key).partition("/")
            if name.lower() in names and (holder == database or holder.lower() in names):
                athena_access.catalogue("GetTable", holder, name)
                relations[holder, name] = self._relation(table, folders)
        return Catalogue(database, tuple(self._glue._databases), relations, tuple(folders))

    def _relation(self, table: Mapping[str, Any], folders: list[str]) -> str:
        kind = self._athena._data_format(table)
        kept = str((table.get("Parameters") or {}).get("table_type", kind)).lower()
        unreadable = {kind, kept, str(table.get("TableType")).lower()} & _UNREADABLE
        if unreadable:
            raise QueryFailed(
                f"NOT_SUPPORTED: The embedded AWS reads no table like {table['Name']}: {min(unreadable)}"
            )
        location = (table.get("StorageDescriptor") or {}).get("Location") or ""
        projected = str((table.get("Parameters") or {}).get("projection.enabled", "")).lower() == "true"
        if table.get("PartitionKeys") and not projected:
            return self._partitioned(table, folders)
        files = self._files(location, folders)
        made: str = (
            self._athena._table_relation(table, files) if files else self._athena._empty_relation(table)
        )
        return made

    def _partitioned(self, table: Mapping[str, Any], folders: list[str]) -> str:
        """What lies in the partitions that the catalogue knows; Athena sees no others."""
        athena_access.catalogue("GetPartitions", table["DatabaseName"], table["Name"])
        keys, parts = table["PartitionKeys"], [str(self._athena._empty_relation(table))]
        bare = {**table, "PartitionKeys": []}
        for known in self._glue._partitions.get(f"{table['DatabaseName']}/{table['Name']}") or ():
            location = (known.get("StorageDescriptor") or {}).get("Location") or ""
            files = self._files(location, folders)
            if files:
                values = ", ".join(
                    f"CAST({literal(value)} AS {self._athena._duckdb_type(key)}) AS {quoted(key['Name'])}"
                    for key, value in zip(keys, known["Values"], strict=True)
                )
                read = self._athena._table_relation(bare, files)
                parts.append(f"(SELECT *, {values} FROM {read})")  # noqa: S608 - made by us
        return "(" + " UNION ALL BY NAME ".join(f"SELECT * FROM {part}" for part in parts) + ")"  # noqa: S608

    def _files(self, location: str, folders: list[str]) -> list[str]:
        """Copies of the objects under a location, which the caller must be allowed to read."""
        bucket, prefix = place(location)
        held = module("services.s3")._buckets.get(bucket) or {"objects": ()}
        athena_access.read(location, (key for key in held["objects"] if key.startswith(prefix)))
        files: list[str] = self._athena._materialize_table_files(location, folders)
        return files

    def create(self, database: str, definition: Any) -> None:
        """Make a table from ministack's form of its DDL."""
        if database not in self._glue._databases:
            raise QueryFailed(f"SCHEMA_NOT_FOUND: Schema '{database}' does not exist")
        athena_access.catalogue("CreateTable", database, definition.table)
        given = self._athena._create_table_input(definition)
        self._glue._create_table({"DatabaseName": database, "TableInput": given})

    def empty(self, location: str) -> bool:
        """Whether no object lies under a location."""
        bucket, prefix = place(location)
        held = module("services.s3")._buckets.get(bucket)
        return held is None or not any(key.startswith(prefix) for key in held["objects"])

    def put(self, uri: str, body: bytes, kind: str = "application/octet-stream") -> None:
        """Write an object.

        Raises
        ------
        QueryFailed
            S3 refused.
        """
        athena_access.write(uri)
        parsed = urlparse(uri)
        headers = {"content-type": kind, "content-length": str(len(body))}
        answer = module("services.s3")._put_object(parsed.netloc, parsed.path.lstrip("/"), body, headers)
        if answer[0] >= 300:
            raise QueryFailed(f"GENERIC_USER_ERROR: The object {uri} could not be written: {answer[2]!r}")

    def upload(self, folder: str, location: str, stem: str) -> tuple[str, ...]:
        """Move the files of a folder under a location; their URIs."""
        base = location if location.endswith("/") else f"{location}/"
        written = []
        for at, path in enumerate(sorted(found for found in Path(folder).rglob("*") if found.is_file())):
            parent = path.parent.relative_to(folder).as_posix()
            uri = base + ("" if parent == "." else f"{parent}/") + f"{stem}-{at:05d}"
            self.put(uri, path.read_bytes())
            written.append(uri)
        return tuple(written)

    def look(self, asked: Look, database: str) -> Rows:
        """Answer a statement about the catalogue."""
        holder = asked.database or database
        if asked.kind == "databases":
            return _rows(("database_name",), sorted([name] for name in self._glue._databases))
        if asked.kind == "tables":
            keys = [str(key).partition("/") for key in self._glue._tables]
            return _rows(("tab_name",), sorted([name] for place, _, name in keys if place == holder))
        table = self.get(holder, asked.table)
        if asked.kind == "describe":
            told = [*table["StorageDescriptor"].get("Columns", ()), *(table.get("PartitionKeys") or ())]
            rows = [
                [column["Name"], column.get("Type", "string"), column.get("Comment", "")] for column in told
            ]
            return _rows(("col_name", "data_type", "comment"), rows)
        if asked.kind == "repair":
            self.register(holder, table)
            return Rows()
        if asked.kind == "add":
            self._add(holder, table, asked)
            return Rows()
        keys = [key["Name"] for key in table.get("PartitionKeys") or ()]
        known = self._glue._partitions.get(f"{holder}/{table['Name']}") or ()
        lines = ["/".join(f"{k}={v}" for k, v in zip(keys, one["Values"], strict=True)) for one in known]
        return _rows(("partition",), sorted([line] for line in lines))

    def _add(self, database: str, table: Mapping[str, Any], asked: Look) -> None:
        """ALTER TABLE ADD PARTITION."""
        keys, told = [key["Name"] for key in table.get("PartitionKeys") or ()], dict(asked.values)
        if sorted(keys) != sorted(told):
            raise QueryFailed(f"SYNTAX_ERROR: The partition keys of {table['Name']} are {', '.join(keys)}")
        storage = table["StorageDescriptor"]
        default = storage["Location"].rstrip("/") + "/" + "/".join(f"{key}={told[key]}" for key in keys)
        given = {
            "Values": [told[key] for key in keys],
            "StorageDescriptor": {**storage, "Location": asked.location or default},
        }
        athena_access.catalogue("BatchCreatePartition", database, table["Name"])
        request = {"DatabaseName": database, "TableName": table["Name"], "PartitionInputList": [given]}
        errors = json.loads(self._glue._batch_create_partition(request)[2])["Errors"]
        if errors and not asked.optional:
            raise QueryFailed("FAILED: AlreadyExistsException: Partition already exists.")

    def register(self, database: str, table: Mapping[str, Any]) -> None:
        """Put the partitions that lie under a table's location into the catalogue."""
        storage, keys = table["StorageDescriptor"], [key["Name"] for key in table.get("PartitionKeys") or ()]
        bucket, prefix = place(storage.get("Location", ""))
        held = module("services.s3")._buckets.get(bucket)
        found = {}
        for key in held["objects"] if held and keys else ():
            parts = key[len(prefix) :].split("/")[:-1] if key.startswith(prefix) else []
            told = dict(part.split("=", 1) for part in parts if "=" in part)
            if set(keys) <= set(told):
                found[tuple(told[name] for name in keys)] = f"s3://{bucket}/{prefix}{'/'.join(parts)}"
        given = [
            {"Values": list(values), "StorageDescriptor": {**storage, "Location": location}}
            for values, location in sorted(found.items())
        ]
        if not given:
            return
        athena_access.catalogue("BatchCreatePartition", database, table["Name"])
        self._glue._batch_create_partition(
            {"DatabaseName": database, "TableName": table["Name"], "PartitionInputList": given}
        )


def place(location: str) -> tuple[str, str]:
    """Bucket and prefix of a location; the prefix ends in a slash or is empty."""
    parsed = urlparse(location)
    prefix = parsed.path.strip("/")
    return parsed.netloc, f"{prefix}/" if prefix else ""


def _rows(columns: tuple[str, ...], rows: list[list[str]]) -> Rows:
    return Rows(columns, ("string",) * len(columns), tuple(map(tuple, rows)))
