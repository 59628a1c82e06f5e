"""Pages of lists: tokens that only we can read, and AWS's error for any other; knows no list."""

from __future__ import annotations

import base64
import json
from typing import Any

from mlops_kit.local.service import AwsError

_DEFAULT = 100
_MOST = 1000


def limit(params: dict[str, Any]) -> int:
    """How many entries a page has (maxResults: 0 means 100, at most 1,000)."""
    return min(params.get("maxResults") or _DEFAULT, _MOST)


def token(*position: Any) -> str:
    """A nextToken for a position."""
    return base64.urlsafe_b64encode(json.dumps(["sfn", *position]).encode()).decode()


def position(params: dict[str, Any]) -> list[Any] | None:
    """The position that a request's nextToken stands for.

    Raises
    ------
    AwsError
        InvalidToken.
    """
    text = params.get("nextToken")
    if text is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(text))
        if parts[0] != "sfn":
            raise ValueError(text)
    except (ValueError, IndexError, TypeError, KeyError):
        raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'") from None
    return list(parts[1:])


def page(entries: list[Any], params: dict[str, Any]) -> tuple[list[Any], str | None]:
    """One page of a list in memory, and the token of the next."""
    place = position(params)
    start = int(place[0]) if place else 0
    end = start + limit(params)
    return entries[start:end], token(end) if end < len(entries) else None
