"""Timestamps of the States Language (RFC 3339 with upper-case T and Z); must not read a clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

_FORM = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)T(?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))?(?:Z|(?P<sign>[+-])(?P<h>\d\d):(?P<m>\d\d))"
)


def parse(text: Any) -> tuple[int, int] | None:
    """Seconds since 1970 and nanoseconds of a timestamp, or ``None`` when the value is none.

    >>> parse("1970-01-01T00:00:01.5Z")
    (1, 500000000)
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        zone = UTC
        if match["sign"]:
            offset = timedelta(hours=int(match["h"]), minutes=int(match["m"]))
            zone = timezone(-offset if match["sign"] == "-" else offset)
        moment = datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H:%M:%S").replace(
            tzinfo=zone
        )
    except ValueError:
        return None
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()), int(
        (match["fraction"] or "0").ljust(9, "0")
    )


def epoch(text: Any) -> float | None:
    """Seconds since 1970 of a timestamp, or ``None`` when the value is none."""
    parsed = parse(text)
    return None if parsed is None else parsed[0] + parsed[1] / 1e9
