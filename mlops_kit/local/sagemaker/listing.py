"""How SageMaker's List operations filter, sort and page; must not know what it lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_kit.local.sagemaker.records import refusal

_TIMES = {
    "CreationTimeAfter": ("CreationTime", True),
    "CreationTimeBefore": ("CreationTime", False),
    "LastModifiedTimeAfter": ("LastModifiedTime", True),
    "LastModifiedTimeBefore": ("LastModifiedTime", False),
}


@dataclass(frozen=True)
class Listing:
    """What a List operation answers from.

    Attributes
    ----------
    answer : str
        Member that holds the summaries.
    members : tuple of str
        Members of a summary, taken from the Describe answer where it has them.
    name : str
        Member that ``NameContains`` and the sort by name look at.
    status : str
        Member that ``StatusEquals`` and the sort by status look at.
    order : str
        Sort order when the caller gives none; the API reference states it operation by operation.
    """

    answer: str
    members: tuple[str, ...]
    name: str
    status: str = ""
    order: str = "Ascending"


def page(listing: Listing, views: Sequence[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """One page of summaries, with ``NextToken`` when there is more.

    Raises
    ------
    AwsError
        ``ValidationException`` for a token that no page has given.
    """
    kept = [view for view in views if _matches(listing, view, params)]
    kept.sort(
        key=_key(listing, params.get("SortBy")),
        reverse=params.get("SortOrder", listing.order) == "Descending",
    )
    start = _offset(params.get("NextToken"))
    end = start + params.get("MaxResults", 10)
    summaries = [
        {member: view[member] for member in listing.members if member in view} for view in kept[start:end]
    ]
    answer: dict[str, Any] = {listing.answer: summaries}
    if end < len(kept):
        answer["NextToken"] = base64.b64encode(str(end).encode()).decode()
    return answer


def _matches(listing: Listing, view: dict[str, Any], params: dict[str, Any]) -> bool:
    if params.get("NameContains", "").lower() not in str(view.get(listing.name, "")).lower():
        return False
    if "StatusEquals" in params and view.get(listing.status) != params["StatusEquals"]:
        return False
    for parameter, (member, after) in _TIMES.items():
        bound = params.get(parameter)
        value = view.get(member, view["CreationTime"])
        if bound is not None and (value <= bound if after else value >= bound):
            return False
    return True


def _key(listing: Listing, sort_by: str | None) -> Callable[[dict[str, Any]], Any]:
    names = {"Name": listing.name, "Status": listing.status}
    member = names.get(sort_by, sort_by) if sort_by else "CreationTime"
    return lambda view: (
        view.get(member, view["CreationTime"]),
        view["CreationTime"],
        str(view.get(listing.name)),
    )


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError) as error:
        raise refusal(f"Invalid NextToken {token!r}.") from error
