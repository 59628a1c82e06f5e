"""What AWS itself answered: the recorded rows of tests/conformance."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "conformance" / "cases.jsonl.gz"


def rows() -> list[dict[str, Any]]:
    """The recorded rows."""
    return [json.loads(line) for line in gzip.decompress(CASES.read_bytes()).decode().splitlines()]


def accepted(row: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Definitions of a row that AWS took, each with its type; they hold the recording's own ``${TOKENS}``."""
    if row["kind"] in ("create_error", "test_state"):
        return
    if row["kind"] == "validate" and row["expect"]["response"]["result"] != "OK":
        return
    if row.get("definition"):
        yield row["definition"], row.get("type") or (row.get("args") or {}).get("type", "STANDARD")
    for step in row.get("steps") or []:
        arguments = step.get("args", {})
        if isinstance(arguments.get("definition"), str) and "raises" not in step:
            try:
                yield json.loads(arguments["definition"]), arguments.get("type", "STANDARD")
            except ValueError:
                continue
