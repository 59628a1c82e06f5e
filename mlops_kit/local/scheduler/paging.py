"""Pages of Scheduler's lists: a token names the last entry seen, so that a page misses nothing that stays."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mlops_kit.local.service import AwsError

T = TypeVar("T")

_DEFAULT = 100


def page(
    entries: Sequence[T], place: Callable[[T], list[str]], params: dict[str, Any]
) -> tuple[list[T], str | None]:
    """One page of sorted entries, and the token of the next.

    Raises
    ------
    AwsError
        ValidationException for a token that no page has given.
    """
    after = _place(params.get("NextToken"))
    left = [entry for entry in entries if after is None or place(entry) > after]
    shown = left[: params.get("MaxResults", _DEFAULT)]
    if len(shown) == len(left):
        return shown, None
    return shown, base64.urlsafe_b64encode(json.dumps(place(shown[-1])).encode()).decode()


def _place(token: str | None) -> list[str] | None:
    if token is None:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(token))
        if not isinstance(place, list):
            raise ValueError(token)
    except ValueError:
        words = "Invalid NextToken."
        raise AwsError("ValidationException", words, 400, {"Message": words}) from None
    return place
