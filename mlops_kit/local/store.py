"""One SQLite file that holds what our services acknowledge; must not know what any of them means.

Writes go through one thread that commits whatever waits as one group, so a hundred threads that write at
once pay for one flush. A future resolves when its group is on disk.
"""

from __future__ import annotations

import base64
import json
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.errors import KitError

Statement = tuple[str, Sequence[Any]]

_GROUP = 512  # batches in one commit: bounds how long the first of them waits
_DOCUMENTS = [
    "CREATE TABLE documents (kind TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, "
    "body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX documents_by_seq ON documents (kind, seq);"
]


@dataclass
class _Batch:
    statements: Sequence[Statement]
    done: Future[None] = field(default_factory=Future)


class Store:
    """A durable store for many threads.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file; made when missing.

    Raises
    ------
    KitError
        The file cannot be opened: it is no database, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._order = threading.Lock()
        self._last: Future[None] | None = None
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        try:
            self._writer = _connect(path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")
            self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
            self._thread.start()
            self.execute(
                "CREATE TABLE IF NOT EXISTS schema_versions (component TEXT PRIMARY KEY, version INT)"
            )
            self.migrate("documents", _DOCUMENTS)
        except sqlite3.Error as error:
            raise KitError(
                f"The state file {path} cannot be opened.",
                cause=str(error),
                suggestion="free some space if its disk is full; if it is damaged, move its folder away "
                "(what it holds is then gone), or start with another --state-dir.",
            ) from error

    def write(self, statements: Sequence[Statement]) -> Future[None]:
        """Queue statements as one atomic batch.

        Returns
        -------
        concurrent.futures.Future
            Resolved when the batch is on disk; holds the ``sqlite3.Error`` of a batch that failed, which
            leaves nothing of that batch and does not touch the others of its group.
        """
        batch = _Batch(statements)
        with self._order:
            self._last = batch.done
            self._queue.put(batch)
        return batch.done

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Write one statement and wait until it is on disk."""
        self.write([(sql, params)]).result()

    def query(self, sql: str, params: Sequence[Any] = (), pending: bool = True) -> list[sqlite3.Row]:
        """Rows of a SELECT, which sees every write that any thread submitted before this call.

        Parameters
        ----------
        pending : bool
            False: it sees what is on disk, and waits for nothing.
        """
        with self._order:
            last = self._last
        if pending and last is not None and not last.done():
            last.exception()  # its writer hears of a failure; a reader only waits
        with self._reader() as connection:
            return connection.execute(sql, params).fetchall()

    def migrate(self, component: str, steps: Sequence[str]) -> None:
        """Bring a component's tables to the newest schema.

        Parameters
        ----------
        component : str
            Whose tables.
        steps : sequence of str
            SQL scripts, numbered by position; only ever appended to.

        Raises
        ------
        KitError
            When the file was written by a newer version.
        """
        rows = self.query("SELECT version FROM schema_versions WHERE component = ?", (component,))
        version = int(rows[0]["version"]) if rows else 0
        if version > len(steps):
            raise KitError(
                f"{self._path} was written by a newer version of this package "
                f"({component} schema {version}, this version knows {len(steps)}).",
                suggestion="upgrade mlops_kit, or start with another --state-dir.",
            )
        statements: list[Statement] = [(sql, ()) for step in steps[version:] for sql in _split(step)]
        if statements:
            statements.append(
                ("INSERT OR REPLACE INTO schema_versions VALUES (?, ?)", (component, len(steps)))
            )
            self.write(statements).result()

    def put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        """Keep a document; durable on return. A replaced document keeps its place in the order."""
        self.execute(
            "INSERT INTO documents (kind, name, seq, body) VALUES (?1, ?2, "
            "(SELECT coalesce(max(seq), 0) + 1 FROM documents WHERE kind = ?1), ?3) "
            "ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            (kind, name, encode(body)),
        )

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """The document, or None."""
        rows = self.query("SELECT body FROM documents WHERE kind = ? AND name = ?", (kind, name))
        return decode(rows[0]["body"]) if rows else None

    def list(self, kind: str) -> list[dict[str, Any]]:
        """All documents of a kind, in the order of creation."""
        rows = self.query("SELECT body FROM documents WHERE kind = ? ORDER BY seq", (kind,))
        return [decode(row["body"]) for row in rows]

    def delete(self, kind: str, name: str) -> bool:
        """Remove a document; durable on return. False when there was none."""
        found = self.get(kind, name) is not None
        self.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))
        return found

    def close(self) -> None:
        """Write what waits and close the file."""
        self._queue.put(None)
        self._thread.join()
        while not self._readers.empty():
            self._readers.get().close()

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = _connect(self._path)
        try:
            yield connection
        finally:
            self._readers.put(connection)

    def _run(self) -> None:
        while True:
            group, closing = self._take()
            if group:
                self._commit(group)
            if closing:
                self._writer.close()
                return

    def _take(self) -> tuple[Sequence[_Batch], bool]:
        group: list[_Batch] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP:
                return group, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit(self, group: Sequence[_Batch]) -> None:
        failures: list[sqlite3.Error | None] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            failures = [self._apply(batch.statements) for batch in group]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:  # the disk is full, or the file is gone: nobody was acknowledged
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            failures = [error] * len(group)
        for batch, failure in zip(group, failures, strict=True):
            if failure is None:
                batch.done.set_result(None)
            else:
                batch.done.set_exception(failure)

    def _apply(self, statements: Sequence[Statement]) -> sqlite3.Error | None:
        self._writer.execute("SAVEPOINT batch")
        try:
            for sql, params in statements:
                self._writer.execute(sql, params)
        except sqlite3.Error as error:
            self._writer.execute("ROLLBACK TO batch")
            self._writer.execute("RELEASE batch")
            return error
        self._writer.execute("RELEASE batch")
        return None


def encode(body: Any) -> str:
    """JSON text; aware datetimes become ``{"$time": epoch seconds}``, bytes ``{"$bytes": base64}``."""
    return json.dumps(body, default=_encode_value, separators=(",", ":"))


def decode(text: str) -> Any:
    """What `encode` was given."""
    return json.loads(text, object_hook=_decode_object)


def _encode_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$time": value.timestamp()}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} has no JSON form in the store")


def _decode_object(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        if "$time" in value:
            return datetime.fromtimestamp(value["$time"], UTC)
        if "$bytes" in value:
            return base64.b64decode(value["$bytes"])
    return value


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.row_factory = sqlite3.Row
    return connection


def _split(script: str) -> Iterator[str]:
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""
