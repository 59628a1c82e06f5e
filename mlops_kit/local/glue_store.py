"""Glue jobs and their runs in the store; must not run anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlops_kit.local.store import Statement, Store, decode, encode

ACTIVE = ("STARTING", "RUNNING", "STOPPING")

_SCHEMA = [
    "CREATE TABLE glue_jobs (region TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, "
    "PRIMARY KEY (region, name)) WITHOUT ROWID;"
    "CREATE TABLE glue_runs (seq INTEGER PRIMARY KEY AUTOINCREMENT, region TEXT NOT NULL, job TEXT NOT NULL, "
    "id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, body TEXT NOT NULL);"
    "CREATE INDEX glue_runs_by_job ON glue_runs (region, job, seq);"
    "CREATE INDEX glue_runs_by_state ON glue_runs (state);"
]


class GlueStore:
    """Jobs and runs as AWS's ``Job`` and ``JobRun`` structures; durable on return.

    Parameters
    ----------
    store : Store
        The one SQLite file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def migrate(self) -> None:
        """Bring the tables to the newest schema."""
        self._store.migrate("glue", _SCHEMA)

    def job(self, region: str, name: str) -> dict[str, Any] | None:
        """A job, or None."""
        rows = self._store.query("SELECT body FROM glue_jobs WHERE region = ? AND name = ?", (region, name))
        return dict(decode(rows[0]["body"])) if rows else None

    def jobs(self, region: str) -> list[dict[str, Any]]:
        """All jobs by name."""
        rows = self._store.query("SELECT body FROM glue_jobs WHERE region = ? ORDER BY name", (region,))
        return [decode(row["body"]) for row in rows]

    def keep_job(self, region: str, job: Mapping[str, Any]) -> None:
        """Add or replace a job."""
        row = (region, job["Name"], encode(dict(job)))
        self._store.execute("INSERT OR REPLACE INTO glue_jobs (region, name, body) VALUES (?, ?, ?)", row)

    def delete_job(self, region: str, name: str) -> None:
        """Remove a job with the runs that have ended."""
        marks = ", ".join("?" * len(ACTIVE))
        runs = f"DELETE FROM glue_runs WHERE region = ? AND job = ? AND state NOT IN ({marks})"  # noqa: S608
        job = "DELETE FROM glue_jobs WHERE region = ? AND name = ?"
        self._store.write([(job, (region, name)), (runs, (region, name, *ACTIVE))]).result()

    def run(self, region: str, job: str, id: str) -> dict[str, Any] | None:
        """A run of a job, or None."""
        sql = "SELECT body FROM glue_runs WHERE id = ? AND region = ? AND job = ?"
        rows = self._store.query(sql, (id, region, job))
        return dict(decode(rows[0]["body"])) if rows else None

    def runs(
        self, region: str, job: str, *, before: int | None, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """Sequence number and run, the newest first; only those before a number, if one is given."""
        sql = (
            "SELECT seq, body FROM glue_runs WHERE region = ? AND job = ? AND seq < ? "
            "ORDER BY seq DESC LIMIT ?"
        )
        bound = 1 << 62 if before is None else before
        rows = self._store.query(sql, (region, job, bound, limit))
        return [(int(row["seq"]), decode(row["body"])) for row in rows]

    def active(self, region: str | None = None, job: str | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Region and run of every run that has not ended; of one job when it is named."""
        marks = ", ".join("?" * len(ACTIVE))
        sql = f"SELECT region, body FROM glue_runs WHERE state IN ({marks})"  # noqa: S608
        params: tuple[str, ...] = ACTIVE
        if region is not None and job is not None:
            sql, params = f"{sql} AND region = ? AND job = ?", (*ACTIVE, region, job)
        rows = self._store.query(f"{sql} ORDER BY seq", params)
        return [(row["region"], decode(row["body"])) for row in rows]

    def add_run(self, region: str, run: Mapping[str, Any]) -> None:
        """Add a new run."""
        self._store.write([_added(region, run)]).result()

    def keep_run(self, region: str, run: Mapping[str, Any], retry: Mapping[str, Any] | None = None) -> None:
        """Replace a run, and add the run that retries it in the same breath."""
        kept = (
            "UPDATE glue_runs SET state = ?, body = ? WHERE id = ?",
            (run["JobRunState"], encode(dict(run)), run["Id"]),
        )
        self._store.write([kept, _added(region, retry)] if retry else [kept]).result()


def _added(region: str, run: Mapping[str, Any]) -> Statement:
    row = (region, run["JobName"], run["Id"], run["JobRunState"], encode(dict(run)))
    return "INSERT INTO glue_runs (region, job, id, state, body) VALUES (?, ?, ?, ?, ?)", row
