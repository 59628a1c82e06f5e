"""The overview of a workflow tells its story: the way to success, or the way that an execution went."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from mlops_kit.build.graph import StateRun, graph
from tests.build.test_graph import drawn_states, edges

DONE = StateRun("SUCCEEDED", 1.0)


def task(following: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Next": following, **more}


def rules(*targets: str) -> list[dict[str, Any]]:
    return [{"Variable": "$.at", "StringEquals": target, "Next": target} for target in targets]


CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "Tell"}]
INNER = {"StartAt": "Inside", "States": {"Inside": {"Type": "Pass", "End": True}}}
STATES = {
    "Enter": {"Type": "Choice", "Choices": rules("Switch", "Refused"), "Default": "One"},
    "Switch": {
        "Type": "Choice",
        "Choices": rules("One", "Two", "Three", "Four", "Five"),
        "Default": "Refused",
    },
    "One": task("Two", Catch=CATCH),
    "Two": task("Three", Catch=CATCH),
    "Three": {"Type": "Parallel", "Branches": [INNER], "Next": "Four"},
    "Four": {"Type": "Choice", "Choices": rules("Five"), "Default": "Six"},
    "Five": task("Six"),
    "Six": {"Type": "Succeed"},
    "Tell": task("Refused"),
    "Refused": {"Type": "Fail"},
}
WORKFLOW = {"StartAt": "Enter", "States": STATES}


def ways(**run: StateRun) -> tuple[set[str], set[str]]:
    """States and ways of the overview, of the workflow or of a run."""
    svg = graph(WORKFLOW, run or None).overview().svg()
    return set(drawn_states(svg)), {one.partition(" (")[0] for one in edges(svg)}


def test_failure_paths_switchboards_and_insides_are_left_out() -> None:
    states, found = ways()
    assert states == {"Enter", "One", "Two", "Three", "Four", "Five", "Six"}
    assert found == {
        *("Enter → One", "One → Two", "Two → Three", "Three → Four"),
        *("Four → Five", "Four → Six", "Five → Six"),
    }


def test_the_whole_drawing_still_has_everything() -> None:
    assert set(drawn_states(graph(WORKFLOW).svg())) == {*STATES, "Inside"}


def test_of_a_run_it_shows_the_states_that_were_entered_and_the_ways_that_were_taken() -> None:
    order = ("Enter", "One", "Two", "Three", "Four", "Five", "Six")
    states, found = ways(**dict.fromkeys(order, DONE))
    assert states == set(order)
    assert "Four → Five" in found and "Four → Six" not in found, "it went through Five"
    run = dict.fromkeys(order, DONE)
    assert "not reached" not in graph(WORKFLOW, run).overview().svg(), "only what was"
    assert "not reached" in graph(WORKFLOW, run).svg()


def test_a_failure_that_was_caught_leads_where_it_led() -> None:
    states, found = ways(Enter=DONE, One=StateRun("CAUGHT", 2.0), Tell=DONE, Refused=StateRun("FAILED"))
    assert states == {"Enter", "One", "Tell", "Refused"}
    assert found == {"Enter → One", "One → Tell", "Tell → Refused"}


def test_a_workflow_that_can_only_fail_is_shown_as_it_is() -> None:
    only = {"StartAt": "A", "States": {"A": {"Type": "Fail"}}}
    assert drawn_states(graph(only).overview().svg()) == ["A"]


def test_a_drawing_is_no_wider_than_a_page_and_keeps_its_shape() -> None:
    wide = {"StartAt": "P", "States": {"P": {"Type": "Parallel", "Branches": [INNER] * 12, "End": True}}}
    for definition, at_most in ((wide, 1080.0), (WORKFLOW, 1080.0)):
        root = ET.fromstring(graph(definition).svg())
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        _, _, natural, tall = map(float, root.attrib["viewBox"].split())
        assert width <= min(natural, at_most) and abs(width / height - natural / tall) < 0.01
