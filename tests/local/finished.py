"""Many finished executions in a state folder, made from one that really ran; the server must not run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"


def multiply(state_dir: Path, arn: str, count: int) -> None:
    """Add ``count`` executions like one that has ended, a second apart, with its history."""
    database = sqlite3.connect(state_dir / "state.db")
    columns = [row[1] for row in database.execute("PRAGMA table_info(sfn_executions)")]
    changed = {
        "id": "id + n.i",
        "arn": "arn || '-' || n.i",
        "name": "name || '-' || n.i",
        "started": "started + n.i",
        "stopped": "stopped + n.i",
    }
    chosen = ", ".join(changed.get(column, column) for column in columns)
    with database:
        (number,) = database.execute("SELECT id FROM sfn_executions WHERE arn = ?", (arn,)).fetchone()
        database.execute(
            f"{_NUMBERS} INSERT INTO sfn_executions ({', '.join(columns)}) "
            f"SELECT {chosen} FROM sfn_executions, n WHERE id = ?",
            (count, number),
        )
        database.execute(
            f"{_NUMBERS} INSERT INTO sfn_history (execution, first, last, events) "
            "SELECT execution + n.i, first, last, events FROM sfn_history, n WHERE execution = ?",
            (count, number),
        )
    database.close()
