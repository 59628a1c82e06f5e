"""Histories: kept in rows, shown in pages, forwards and backwards, with and without data."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.stepfunctions import history
from mlops_kit.local.stepfunctions.history import Event
from tests.conftest import EmbeddedAws
from tests.local.stepfunctions import walk

_details = st.fixed_dictionaries(
    {"name": st.text(), "input": st.text()},
    optional={"index": st.integers(), "assignedVariables": st.dictionaries(st.text(), st.text())},
)


@st.composite
def _events(draw: st.DrawFn) -> list[Event]:
    kinds = st.sampled_from(("PassStateEntered", "MapIterationStarted", "ParallelStateStarted"))
    count = draw(st.integers(min_value=1, max_value=12))
    return [Event(n, n - 1, 1.5 + n, draw(kinds), draw(_details)) for n in range(1, count + 1)]


def _shown(event: Event) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "timestamp": event.time,
        "type": event.type,
        "id": event.id,
        "previousEventId": event.previous,
    }
    if event.type != "ParallelStateStarted":
        details = dict(event.details)
        for name in ("input", "assignedVariables"):
            if name in details:
                details[f"{name}Details"] = {"truncated": False}
        entered = event.type == "PassStateEntered"
        answer["stateEnteredEventDetails" if entered else "mapIterationStartedEventDetails"] = details
    return answer


@given(_events())
def test_events_come_back_from_their_row_and_are_shown_as_aws_shows_them(events: list[Event]) -> None:
    again = history.decode(json.loads(history.encode(events)))
    assert again == events
    assert json.loads(f"[{history.shown(again)}]") == [_shown(event) for event in events]
    bare = json.loads(f"[{history.shown(again, with_data=False)}]")
    wanted = [_without_data(_shown(event)) for event in events]
    assert bare == wanted


def _without_data(event: dict[str, Any]) -> dict[str, Any]:
    for value in event.values():
        if isinstance(value, dict):
            value.pop("input", None)
            value.pop("inputDetails", None)
    return event


def test_pages_forwards_and_backwards_hold_every_event_once(aws: EmbeddedAws) -> None:
    machine = walk.create(aws, walk.states(*((f"S{n}", {"Type": "Pass"}) for n in range(200))))
    execution = walk.start(aws, machine, {"text": "ü😀"})
    walk.until(aws, execution)
    pages = aws.client("stepfunctions").get_paginator("get_execution_history")
    for backwards in (False, True):
        found = pages.paginate(
            executionArn=execution, reverseOrder=backwards, PaginationConfig={"PageSize": 37}
        )
        events = [event for page in found for event in page["events"]]
        numbers = [event["id"] for event in events]
        assert numbers == sorted(range(1, 403), reverse=backwards)
        started = next(event for event in events if event["type"] == "ExecutionStarted")
        assert json.loads(started["executionStartedEventDetails"]["input"]) == {"text": "ü😀"}
