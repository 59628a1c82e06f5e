"""Histories are spliced from the rows as they lie on disk, whatever page is asked for and who wrote them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.stepfunctions import history
from mlops_kit.local.stepfunctions.docs import dumps
from mlops_kit.local.stepfunctions.history import Event, Row
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


def _rows(events: Sequence[Event], length: int, old: bool) -> list[Row]:
    runs = [events[start : start + length] for start in range(0, len(events), length)]
    encode = (lambda run: dumps([tuple(event) for event in run])) if old else history.encode
    return [Row(run[0].id, run[-1].id, encode(run)) for run in runs]


@given(_events(), st.integers(1, 5), st.booleans(), st.integers(1, 12), st.integers(1, 12))
def test_any_page_of_rows_old_or_new_is_the_events(
    events: list[Event], length: int, old: bool, first: int, last: int
) -> None:
    rows = [row for row in _rows(events, length, old) if row.last >= first and row.first <= last]
    text = history.splice(rows, first, last)
    wanted = [_shown(event) for event in events if first <= event.id <= last]
    assert json.loads(f"[{text}]") == wanted
    assert json.loads(f"[{history.reshaped(text, True, True)}]") == wanted[::-1]
    bare = json.loads(f"[{history.reshaped(text, False, False)}]")
    assert [event["id"] for event in bare] == [event["id"] for event in wanted]
    assert "inputDetails" not in json.dumps(bare) and '"input":' not in dumps(bare).replace('\\"', "")


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
