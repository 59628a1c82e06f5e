"""The tables of executions, events, frames and map runs: every SQL statement about them; no AWS rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.history import Event, decode, encode

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.execution import Birth, Execution
    from mlops_kit.local.store import Store

Statement = tuple[str, Sequence[Any]]

_ROW = 128  # events in one row of the history at most

SCHEMA = (
    """
    CREATE TABLE sfn_executions (
      id INTEGER PRIMARY KEY, arn TEXT NOT NULL UNIQUE, machine TEXT NOT NULL, name TEXT NOT NULL,
      kind TEXT NOT NULL, status TEXT NOT NULL, revision INTEGER NOT NULL, started REAL NOT NULL,
      stopped REAL, input TEXT NOT NULL, output TEXT, error TEXT, cause TEXT,
      redrives INTEGER NOT NULL DEFAULT 0, redriven REAL, events INTEGER NOT NULL DEFAULT 0,
      frames INTEGER NOT NULL DEFAULT 1, map_run TEXT, qualifier TEXT, extra TEXT NOT NULL DEFAULT '{}');
    CREATE INDEX sfn_executions_machine ON sfn_executions (machine, started DESC, id DESC);
    CREATE INDEX sfn_executions_running ON sfn_executions (status) WHERE status = 'RUNNING';
    CREATE INDEX sfn_executions_map_run ON sfn_executions (map_run, id) WHERE map_run IS NOT NULL;
    CREATE TABLE sfn_history (
      execution INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, events TEXT NOT NULL,
      PRIMARY KEY (execution, first)) WITHOUT ROWID;
    CREATE TABLE sfn_frames (
      execution INTEGER NOT NULL, frame INTEGER NOT NULL, parent INTEGER NOT NULL, body TEXT NOT NULL,
      PRIMARY KEY (execution, frame)) WITHOUT ROWID;
    CREATE INDEX sfn_frames_parent ON sfn_frames (execution, parent);
    CREATE TABLE sfn_items (
      execution INTEGER NOT NULL, frame INTEGER NOT NULL, items TEXT NOT NULL,
      PRIMARY KEY (execution, frame)) WITHOUT ROWID;
    CREATE TABLE sfn_map_runs (
      arn TEXT PRIMARY KEY, execution INTEGER NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX sfn_map_runs_execution ON sfn_map_runs (execution, seq);
    """,
)


@dataclass(frozen=True)
class Row:
    """One execution as the table has it."""

    id: int
    arn: str
    machine: str
    name: str
    kind: str
    status: str
    revision: int
    started: float
    stopped: float | None
    input: str
    output: str | None
    error: str | None
    cause: str | None
    redrives: int
    redriven: float | None
    events: int
    frames: int
    map_run: str | None
    qualifier: str | None
    extra: dict[str, Any]


_COLUMNS = ", ".join(Row.__dataclass_fields__)


def _row(row: Any) -> Row:
    values = {key: row[key] for key in Row.__dataclass_fields__}
    return Row(**{**values, "extra": json.loads(values["extra"])})


# -------------------------------------------------------------------- statements
def insert(birth: Birth, machine: str) -> Statement:
    """The row of a new execution; ``machine`` is the key under which ListExecutions finds it."""
    extra = dict(birth.extra)
    return (
        "INSERT INTO sfn_executions (id, arn, machine, name, kind, status, revision, started, input, "
        "map_run, qualifier, extra) VALUES (?, ?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?, ?)",
        (
            birth.id, birth.arn, machine, birth.name, birth.kind, birth.revision, birth.started,
            birth.input.text, extra.pop("map_run", None), extra.pop("qualifier", None), dumps(extra),
        ),
    )  # fmt: skip


def end(execution: Execution) -> Statement:
    """Take down how an execution ended."""
    output: Doc | None = execution.output
    return (
        "UPDATE sfn_executions SET status = ?, stopped = ?, output = ?, error = ?, cause = ?, events = ?, "
        "frames = ? WHERE id = ?",
        (
            execution.status, execution.stopped, output.text if output else None, execution.error,
            execution.cause, execution.next_event - 1, execution.next_frame, execution.birth.id,
        ),
    )  # fmt: skip


def reopen(execution: Execution) -> Statement:
    """Take down that an execution runs again after a redrive."""
    return (
        "UPDATE sfn_executions SET status = 'RUNNING', stopped = NULL, output = NULL, error = NULL, "
        "cause = NULL, redrives = ?, redriven = ? WHERE id = ?",
        (execution.redrives, execution.redriven_at, execution.birth.id),
    )


def events(execution: int, run: Sequence[Event]) -> list[Statement]:
    """A run of events as rows of a bounded length, so that a page of history reads few of them."""
    parts = (run[start : start + _ROW] for start in range(0, len(run), _ROW))
    sql = "INSERT INTO sfn_history VALUES (?, ?, ?, ?)"
    return [(sql, (execution, part[0].id, part[-1].id, encode(part))) for part in parts]


def frame(execution: int, number: int, parent: int, body: str) -> Statement:
    """A frame's row, new or changed."""
    return ("INSERT OR REPLACE INTO sfn_frames VALUES (?, ?, ?, ?)", (execution, number, parent, body))


def drop_all_frames(execution: int) -> list[Statement]:
    """Remove all frames of an execution that has succeeded."""
    return [
        ("DELETE FROM sfn_frames WHERE execution = ?", (execution,)),
        ("DELETE FROM sfn_items WHERE execution = ?", (execution,)),
    ]


def drop_frames(execution: int, parent: int, below: int) -> list[Statement]:
    """Remove the frames right below one frame whose numbers are smaller than ``below``, and its items."""
    return [
        (
            "DELETE FROM sfn_frames WHERE execution = ? AND parent = ? AND frame < ?",
            (execution, parent, below),
        ),
    ]


def items(execution: int, number: int, text: str) -> Statement:
    """The items of a Map state, written once."""
    return ("INSERT OR REPLACE INTO sfn_items VALUES (?, ?, ?)", (execution, number, text))


def map_run(arn: str, execution: int, seq: int, body: dict[str, Any]) -> Statement:
    """A Map Run, new or changed."""
    return ("INSERT OR REPLACE INTO sfn_map_runs VALUES (?, ?, ?, ?)", (arn, execution, seq, dumps(body)))


# ----------------------------------------------------------------------- queries
class Ledger:
    """Reads the tables; every answer is on disk already."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last_id(self) -> int:
        """The highest row number in use."""
        return int(self._store.query("SELECT coalesce(max(id), 0) AS n FROM sfn_executions")[0]["n"])

    def find(self, arn: str, pending: bool = True) -> Row | None:
        """The execution with this ARN; without waiting for what is being written unless ``pending``."""
        sql = f"SELECT {_COLUMNS} FROM sfn_executions WHERE arn = ?"  # noqa: S608
        rows = self._store.query(sql, (arn,), pending)
        return _row(rows[0]) if rows else None

    def running(self) -> list[Row]:
        """All executions that have not ended."""
        sql = f"SELECT {_COLUMNS} FROM sfn_executions WHERE status = 'RUNNING' ORDER BY id"  # noqa: S608
        return [_row(row) for row in self._store.query(sql)]

    def search(self, where: dict[str, Any], before: tuple[float, int] | None, limit: int) -> list[Row]:
        """Executions, newest first, that have these column values (None: is null; a tuple: any of)."""
        clauses: list[str] = []
        params: list[Any] = []
        for column, value in where.items():
            if value is None:
                clauses.append(f"{column} IS NULL")
            elif isinstance(value, tuple):
                clauses.append(f"{column} IN ({', '.join('?' * len(value))})")
                params += value
            else:
                clauses.append(f"{column} = ?")
                params.append(value)
        if before is not None:
            clauses.append("(started, id) < (?, ?)")
            params += before
        condition = " AND ".join(clauses) or "1"
        sql = (
            f"SELECT {_COLUMNS} FROM sfn_executions WHERE {condition} ORDER BY started DESC, id DESC LIMIT ?"  # noqa: S608
        )
        return [_row(row) for row in self._store.query(sql, (*params, limit))]

    def count(self, map_run_arn: str) -> dict[str, int]:
        """Number of a Map Run's child executions by status."""
        rows = self._store.query(
            "SELECT status, count(*) AS n FROM sfn_executions WHERE map_run = ? GROUP BY status",
            (map_run_arn,),
        )
        return {row["status"]: int(row["n"]) for row in rows}

    def history(self, execution: int, first: int, last: int) -> list[Event]:
        """Events with ids from first to last."""
        rows = self._store.query(
            "SELECT events FROM sfn_history WHERE execution = ? AND first BETWEEN ? AND ? ORDER BY first",
            (execution, first - _ROW + 1, last),
            pending=False,
        )
        found = (event for row in rows for event in decode(json.loads(row["events"])))
        return [event for event in found if first <= event.id <= last]

    def last_event(self, execution: int) -> int:
        """Id of the newest event."""
        rows = self._store.query(
            "SELECT last FROM sfn_history WHERE execution = ? ORDER BY first DESC LIMIT 1",
            (execution,),
            pending=False,
        )
        return int(rows[0]["last"]) if rows else 0

    def frames(self, execution: int) -> dict[int, dict[str, Any]]:
        """All frames of an execution by number."""
        rows = self._store.query(
            "SELECT frame, body FROM sfn_frames WHERE execution = ? ORDER BY frame", (execution,)
        )
        return {int(row["frame"]): json.loads(row["body"]) for row in rows}

    def items(self, execution: int, number: int) -> str | None:
        """The items of a Map state as text."""
        rows = self._store.query(
            "SELECT items FROM sfn_items WHERE execution = ? AND frame = ?", (execution, number)
        )
        return str(rows[0]["items"]) if rows else None

    def map_run(self, arn: str) -> dict[str, Any] | None:
        """A Map Run."""
        rows = self._store.query("SELECT body FROM sfn_map_runs WHERE arn = ?", (arn,))
        return dict(json.loads(rows[0]["body"])) if rows else None

    def map_runs(self, execution: int) -> list[tuple[str, dict[str, Any]]]:
        """The Map Runs of an execution, newest first."""
        rows = self._store.query(
            "SELECT arn, body FROM sfn_map_runs WHERE execution = ? ORDER BY seq DESC", (execution,)
        )
        return [(row["arn"], json.loads(row["body"])) for row in rows]
