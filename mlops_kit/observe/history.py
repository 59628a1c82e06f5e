"""The history store: executions kept in one local file, filled with what is new; must not draw.

SQLite, because two notebooks may be open at once: it lets several processes read and write one file,
which DuckDB does not.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import KitError
from mlops_kit.observe.execution import Attempt, Execution, Visit, read

if TYPE_CHECKING:
    import pandas as pd

VERSION = 2
ALREADY = "already"  # the verdict of a run that found its window claimed or done, and left it alone
LOCAL = "local"  # the target of the embedded AWS whose folder holds the store, whatever its port
_FINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_SCHEMA = """
CREATE TABLE execution (
  arn TEXT PRIMARY KEY, target TEXT NOT NULL, pipeline TEXT NOT NULL, status TEXT NOT NULL,
  redrives INTEGER NOT NULL, started TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX execution_by_pipeline ON execution (target, pipeline, started);
"""
_FROM_1 = """
UPDATE execution SET target = 'local' WHERE target LIKE 'http://127.0.0.1:%' OR target LIKE 'http://localhost:%';
"""  # the target was the URL, which another port changes


class History:
    """Executions that this machine has seen, newest first.

    Parameters
    ----------
    path : pathlib.Path
        The file; made where it is missing.
    target : str
        What the executions belong to, such as `LOCAL` or an account: several may share the file.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.target = target

    def refresh(
        self,
        client: Any,
        project: str,
        pipeline: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> int:
        """Read what is new from Step Functions: unseen executions, and those that were not final.

        Parameters
        ----------
        client : botocore client
            Of the service ``stepfunctions``.
        project : str
            State machines named ``<project>-<pipeline>`` are read.
        pipeline : str, optional
            Only this one.
        progress : callable, optional
            Told the name of each execution that is read.

        Returns
        -------
        int
            Number of executions read.
        """
        known = self._known()
        count = 0
        for machine in _machines(client, project, pipeline):
            name = machine["name"].removeprefix(f"{project}-")
            pages = client.get_paginator("list_executions").paginate(
                stateMachineArn=machine["stateMachineArn"]
            )
            for item in (item for page in pages for item in page["executions"]):
                mark = (item["status"], item.get("redriveCount", 0))
                if known.get(item["executionArn"]) == mark and mark[0] in _FINAL:
                    continue
                if progress:
                    progress(item["name"])
                self._keep(name, read(client, item["executionArn"]))
                count += 1
        return count

    def executions(
        self, pipeline: str | None = None, limit: int | None = None
    ) -> list[tuple[str, Execution]]:
        """(pipeline, execution) pairs, newest first."""
        where, values = "target = ?", [self.target]
        if pipeline is not None:
            where, values = where + " AND pipeline = ?", [*values, pipeline]
        order = f"SELECT pipeline, body FROM execution WHERE {where} ORDER BY started DESC, arn LIMIT ?"  # noqa: S608
        with self._open() as database:
            rows = database.execute(order, [*values, -1 if limit is None else limit]).fetchall()
        return [(name, _from_json(body)) for name, body in rows]

    def rows(self, pipeline: str | None = None) -> list[dict[str, Any]]:
        """One row an execution, newest first: what it was, how it ended, what it decided."""
        return [_row(name, execution) for name, execution in self.executions(pipeline)]

    def frame(self, pipeline: str | None = None) -> pd.DataFrame:
        """`rows` as a table, with the common columns first."""
        import pandas as pd

        rows = self.rows(pipeline)
        columns = [
            "pipeline",
            "name",
            "as_of",
            "trigger",
            "status",
            "started",
            "seconds",
            "retries",
            "verdict",
            "failed in",
        ]
        frame = pd.DataFrame(rows)
        rest = [column for column in frame.columns if column not in columns and column != "arn"]
        return frame.reindex(columns=[*columns, *rest, "arn"])

    def _known(self) -> dict[str, tuple[str, int]]:
        with self._open() as database:
            rows = database.execute(
                "SELECT arn, status, redrives FROM execution WHERE target = ?", [self.target]
            )
            return {arn: (status, redrives) for arn, status, redrives in rows}

    def _keep(self, pipeline: str, execution: Execution) -> None:
        row = (execution.arn, self.target, pipeline, execution.status, execution.redrives)
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO execution VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*row, execution.started.isoformat(), _to_json(execution)],
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            database = sqlite3.connect(self.path, timeout=30)
            try:
                with database:
                    self._check(database)
                    yield database
            finally:
                database.close()
        except sqlite3.DatabaseError as error:
            raise KitError(
                f"The history store {self.path} cannot be read.",
                cause=str(error),
                suggestion="delete the file; `mlops-kit history` then reads it anew from Step Functions.",
            ) from error

    def _check(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.execute("PRAGMA journal_mode=WAL")
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        elif version == 1:
            database.executescript(f"BEGIN IMMEDIATE; {_FROM_1} PRAGMA user_version={VERSION}; COMMIT;")
        elif version > VERSION:
            raise KitError(
                f"The history store {self.path} is of a newer mlops-kit (format {version}, known {VERSION}).",
                suggestion="update mlops-kit, or delete the file to read everything anew.",
            )


def _machines(client: Any, project: str, pipeline: str | None) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            name = machine["name"]
            if name == f"{project}-{pipeline}" or (pipeline is None and name.startswith(f"{project}-")):
                yield machine


def _row(pipeline: str, execution: Execution) -> dict[str, Any]:
    failure = execution.failure
    row: dict[str, Any] = {
        "pipeline": pipeline,
        "name": execution.name,
        "as_of": (execution.input or {}).get("as_of"),
        "trigger": trigger(execution.input),
        "status": execution.status,
        "started": execution.started,
        "seconds": execution.seconds,
        "retries": sum(max(len(visit.attempts) - 1, 0) for visit in execution.visits),
        "failed in": failure.state if failure and execution.status != "SUCCEEDED" else None,
        "verdict": verdict(execution),
        "arn": execution.arn,
    }
    if judgement := find_judgement(execution):
        for role in ("challenger", "champion"):
            for metric, value in (judgement["metrics"].get(role) or {}).items():
                row[f"{role} {metric}"] = value
    return row


def trigger(given: Any) -> str | None:
    """Who started an execution, in words: its kind and its name; ``None`` for a person."""
    said = given.get("trigger") if isinstance(given, dict) else None
    if not isinstance(said, dict):
        return None
    return " ".join(str(said[key]) for key in ("kind", "name") if said.get(key)) or None


def verdict(execution: Execution) -> str | None:
    """What a run came to: its last judgement's verdict; ``already`` where another run had its window."""
    if judgement := find_judgement(execution):
        return judgement.get("verdict")
    last = execution.visits[-1] if execution.visits else None
    return ALREADY if last and last.kind == "Succeed" and last.state.startswith("Already") else None


def find_judgement(execution: Execution) -> dict[str, Any] | None:
    """The last judgement that a state gave out.

    Returns
    -------
    dict or None
        ``{"verdict": str, "reasons": [str], "metrics": {"challenger": {name: value}, "champion": ...}}``;
        the champion's metrics are ``None`` where there was no champion.
    """
    for visit in reversed(execution.visits):
        for found in _objects(json.loads(visit.output)) if visit.output else ():
            if isinstance(found.get("metrics"), dict) and "challenger" in found["metrics"]:
                return found
    return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(inner)


def _to_json(execution: Execution) -> str:
    return json.dumps(
        execution, default=lambda value: value.isoformat() if isinstance(value, datetime) else vars(value)
    )


def _from_json(text: str) -> Execution:
    body = json.loads(text)
    visits = tuple(
        Visit(
            **_timed(visit | {"attempts": tuple(Attempt(**_timed(attempt)) for attempt in visit["attempts"])})
        )
        for visit in body["visits"]
    )
    return Execution(**_timed(body | {"visits": visits}))


def _timed(body: dict[str, Any]) -> dict[str, Any]:
    times = ("started", "ended", "entered", "exited", "stopped")
    return {
        key: datetime.fromisoformat(value) if key in times and value else value for key, value in body.items()
    }
