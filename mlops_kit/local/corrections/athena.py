"""Athena queries as AWS runs them, in the place of ministack's runner: results where it says they are, CTAS,
INSERT, UNLOAD, a reason for every failure, and no SQL that reaches the host. ministack keeps the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

from mlops_kit.local.corrections import athena_access
from mlops_kit.local.corrections.athena_statements import Look, parse
from mlops_kit.local.corrections.athena_tables import Tables
from mlops_kit.local.corrections.athena_values import QueryFailed, Rows, csv_text
from mlops_kit.local.corrections.athena_writes import Writes, run_select
from mlops_kit.local.ministack import module

logger = logging.getLogger(__name__)

_AT_ONCE = 4  # queries that run; each may take 1 GB, so further ones queue
_AGAIN = 0.05  # seconds between two interrupts
_LOST = "The embedded AWS was stopped while the query ran"


def install(changed: Callable[[str], None]) -> None:
    """Put ours in the place of ministack's; `changed(service)` hears of what a query changes."""
    Athena(module("services.athena"), changed).install()


class Athena:
    """Runs queries for ministack's Athena.

    Parameters
    ----------
    loaded : module
        ministack's Athena.
    changed : callable
        Told which service a query has changed.
    """

    def __init__(self, loaded: Any, changed: Callable[[str], None]) -> None:
        self._loaded = loaded
        self._changed = changed
        self._tables = Tables(loaded)
        self._start, self._stop = loaded._start_query_execution, loaded._stop_query_execution
        self._restore, self._hidden = loaded.load_persisted_state, loaded._hidden
        self._running: dict[str, Any] = {}  # connection by query, None before it has one
        self._stopping: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(_AT_ONCE)

    def install(self) -> None:
        """Replace ministack's functions."""
        self._loaded._start_query_execution = self._started
        self._loaded._stop_query_execution = self._stopped
        self._loaded._execute_query = self._execute
        self._loaded.load_persisted_state = self._restored
        # A key with an empty part would name a file of the host when it is copied.
        self._loaded._hidden = lambda key: key.startswith("/") or self._hidden(key)

    def _restored(self, state: Any) -> None:
        self._restore(state)
        for execution in self._loaded._executions._data.values():
            if execution["Status"]["State"] in ("QUEUED", "RUNNING"):
                _end(execution, "FAILED", _LOST)

    def _started(self, data: dict[str, Any]) -> Any:
        """Submit: the workgroup must exist, its place may rule, the result is named after the statement."""
        group = self._loaded._workgroups.get(data.get("WorkGroup", "primary"))
        if group is None:
            words = f"WorkGroup {data.get('WorkGroup')} is not found."
            return self._loaded.error_response_json("InvalidRequestException", words, 400)
        own = dict(data.get("ResultConfiguration") or {})
        rule = group.get("Configuration") or {}
        default = (rule.get("ResultConfiguration") or {}).get("OutputLocation")
        wanted = own.get("OutputLocation")
        location = (default if rule.get("EnforceWorkGroupConfiguration") and default else wanted) or default
        if location:
            own["OutputLocation"] = location if location.endswith("/") else f"{location}/"
        answer = self._start({**data, "ResultConfiguration": own})
        if answer[0] == 200:
            execution = self._loaded._executions[json.loads(answer[2])["QueryExecutionId"]]
            ending = ".csv" if execution["StatementType"] == "DML" else ".txt"
            execution["ResultConfiguration"]["OutputLocation"] = (
                f"{own['OutputLocation']}{execution['QueryExecutionId']}{ending}"
            )
        return answer

    def _stopped(self, data: dict[str, Any]) -> Any:
        answer = self._stop(data)
        task = asyncio.ensure_future(self._interrupt(data.get("QueryExecutionId", "")))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        return answer

    async def _interrupt(self, query_id: str) -> None:
        """Again and again until the query has ended: DuckDB forgets an interrupt between two statements."""
        import duckdb

        while query_id in self._running:
            connection = self._running[query_id]
            with contextlib.suppress(duckdb.Error):  # it has just been closed
                if connection is not None:
                    connection.interrupt()
            await asyncio.sleep(_AGAIN)

    async def _execute(self, query_id: str, query: str, database: str, ddl: Any, catalog: Any = None) -> None:
        execution = self._loaded._executions.get(query_id)
        if execution is None:
            return
        async with self._places:
            if execution["Status"]["State"] == "QUEUED":
                await self._execute_one(execution, query_id, query, ddl)

    async def _execute_one(self, execution: dict[str, Any], query_id: str, query: str, ddl: Any) -> None:
        execution["Status"]["State"] = "RUNNING"
        self._running[query_id] = None
        began, folders = time.monotonic(), [tempfile.mkdtemp(prefix="athena-")]
        try:
            rows = await self._run(execution, query, ddl, folders)
            if execution["Status"]["State"] == "RUNNING":
                self._save(execution, rows)
                _end(execution, "SUCCEEDED")
        except (QueryFailed, ValueError) as failure:
            _end(execution, "FAILED", str(failure))
        except Exception as error:
            logger.exception("Athena query %s", query_id)
            _end(execution, "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}")
        finally:
            self._running.pop(query_id)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            spent = int((time.monotonic() - began) * 1000)
            execution["Statistics"].update(
                EngineExecutionTimeInMillis=spent, TotalExecutionTimeInMillis=spent
            )
            for service in ("athena", "glue", "s3"):
                self._changed(service)

    async def _run(self, execution: dict[str, Any], query: str, ddl: Any, folders: list[str]) -> Rows:
        database = execution["QueryExecutionContext"]["Database"]
        if ddl is not None:
            action = "CreateTable" if isinstance(ddl, self._loaded._CreateTable) else "DeleteTable"
            athena_access.catalogue(action, ddl.database or database, ddl.table)
            self._loaded._run_ddl(ddl, database)
            return Rows()
        asked = parse(query, self._loaded._Cursor)
        if isinstance(asked, Look):
            return self._tables.look(asked, database)
        catalogue = self._tables.catalogue(query, database, folders)

        def started(connection: Any) -> None:
            self._running[execution["QueryExecutionId"]] = connection

        if asked is None:
            return await asyncio.to_thread(run_select, catalogue, query, started)
        output = execution["ResultConfiguration"]["OutputLocation"]
        writes = Writes(self._loaded, self._tables, catalogue, started)
        return await writes.run(asked, output, execution["QueryExecutionId"])

    def _save(self, execution: dict[str, Any], rows: Rows) -> None:
        """The result object, its metadata, and what GetQueryResults shows."""
        configuration = execution["ResultConfiguration"]
        execution["_results"] = {"columns": list(rows.columns), "rows": [list(row) for row in rows.rows]}
        execution["_column_types"] = list(rows.types)
        execution["Statistics"]["DataScannedInBytes"] = sum(len(str(row)) for row in rows.rows)
        target = configuration["OutputLocation"]
        if rows.written:
            configuration["OutputLocation"] = target = target.rpartition(".")[0]
            manifest = f"{target}-manifest.csv"
            execution["Statistics"]["DataManifestLocation"] = manifest
            self._tables.put(manifest, "".join(f"{uri}\n" for uri in rows.written).encode(), "text/csv")
        elif execution["StatementType"] == "DML":
            self._tables.put(target, csv_text([rows.columns, *rows.rows]).encode(), "text/csv")
        else:
            lines = "".join("\t".join(value or "" for value in row) + "\n" for row in rows.rows)
            self._tables.put(target, lines.encode(), "text/plain")
        metadata = {
            "columns": [{"name": n, "type": t} for n, t in zip(rows.columns, rows.types, strict=True)]
        }
        self._tables.put(f"{target}.metadata", json.dumps(metadata).encode())


def _end(execution: dict[str, Any], state: str, why: str = "") -> None:
    """Say how a query ended, unless it was stopped before."""
    status = execution["Status"]
    if status["State"] == "CANCELLED":
        return
    status.update(State=state, StateChangeReason=why[:2000], CompletionDateTime=int(time.time()))
    if state == "FAILED":
        status["AthenaError"] = {"ErrorCategory": 2, "Retryable": False, "ErrorMessage": why[:2000]}
