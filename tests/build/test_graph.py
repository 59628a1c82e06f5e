"""A workflow's picture shows every state and every way, overlaps nothing, and opens without a network."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.asl.states import walk
from mlops_kit.build.diagram.flow import Flow, flow
from mlops_kit.build.diagram.lanes import Rect
from mlops_kit.build.diagram.layout import Box, layout
from mlops_kit.build.diagram.ranking import KINDS, Link
from mlops_kit.build.diagram.style import STATUSES, lines, seconds
from mlops_kit.build.graph import StateRun, graph
from mlops_kit.errors import UsageError
from tests.build.sample import definition, pipeline, task

SVG = "{http://www.w3.org/2000/svg}"
CATCH = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]

FIELDS = [
    *("Type", "Next", "End", "Retry", "Catch", "Choices", "Default", "Branches", "ItemProcessor", "Iterator"),
    *("States", "StartAt", "Resource", "Seconds", "Error", "ErrorEquals", "MaxAttempts", "MaxConcurrency"),
    *(
        "Variable",
        "And",
        "Not",
        "IsNull",
        "NumericEqualsPath",
        "Condition",
        "Comment",
        "ProcessorConfig",
        "Mode",
    ),
]


def texts(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}text")]


def drawn_states(svg: str) -> list[str]:
    return [
        one.attrib["data-state"] for one in ET.fromstring(svg).iter(f"{SVG}g") if "data-state" in one.attrib
    ]


def edges(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter(f"{SVG}title") if "→" in (one.text or "")]


NAMES = st.text("AbZ9 -_<&\"'#;é.", min_size=1, max_size=30).map(str.strip).filter(bool)


@st.composite
def definitions(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    """Any machine that has the form of one: loops, dead ends, catches, unreachable states, nesting."""
    names = draw(st.lists(NAMES, min_size=1, max_size=7, unique=True))
    target = st.sampled_from(names)
    states: dict[str, Any] = {}
    for name in names:
        kinds = ["Pass", "Task", "Wait", "Choice", "Succeed", "Fail"] + (["Map", "Parallel"] if depth else [])
        state: dict[str, Any] = {"Type": draw(st.sampled_from(kinds))}
        if state["Type"] == "Choice":
            ways = draw(st.lists(target, max_size=5))
            state["Choices"] = [
                {"Variable": f"$.{i}", "IsNull": True, "Next": one} for i, one in enumerate(ways)
            ]
            state["Default"] = draw(target)
        elif state["Type"] not in ("Succeed", "Fail"):
            state |= {"End": True} if draw(st.booleans()) else {"Next": draw(target)}
        if state["Type"] in ("Task", "Map", "Parallel"):
            state["Resource"] = "arn:aws:states:::lambda:invoke"
            state["Catch"] = [
                {"ErrorEquals": ["E"], "Next": one} for one in draw(st.lists(target, max_size=2))
            ]
        if state["Type"] == "Map":
            state["ItemProcessor"] = draw(definitions(depth - 1))
        if state["Type"] == "Parallel":
            state["Branches"] = draw(st.lists(definitions(depth - 1), min_size=1, max_size=2))
        states[name] = state
    return {"StartAt": draw(target), "States": states}


@given(definitions())
@settings(max_examples=60, deadline=None)
def test_every_state_appears_in_picture_mermaid_and_outline(machine: dict[str, Any]) -> None:
    names = sorted(place.name for place in walk(machine))
    drawing = graph(machine)
    assert sorted(drawn_states(drawing.svg())) == names
    shown = [html.unescape(one) for one in re.findall(r'"([^"]*?)<br/>', drawing.mermaid())]
    outline = str(drawing)
    for name in names:
        assert name in shown and name in outline
    assert drawing.svg() == graph(machine).svg() and drawing.mermaid() == graph(machine).mermaid()


@given(definitions(depth=0))
@settings(max_examples=60, deadline=None)
def test_every_way_from_state_to_state_is_drawn(machine: dict[str, Any]) -> None:
    wanted = {f"{edge.source} → {edge.target}" for edge in flow(machine).edges}
    shown = edges(graph(machine).svg())
    assert all(any(one.startswith(way) for one in shown) for way in wanted)


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[Box], list[Link]]:
    """Boxes of any size with links of any kind, loops and multiples included."""
    count = draw(st.integers(1, 14))
    size = st.tuples(st.integers(60, 260), st.integers(30, 160))
    boxes = [Box(f"n{i}", *map(float, draw(size))) for i in range(count)]
    name = st.integers(0, count - 1).map("n{}".format)
    label = st.sampled_from([(0.0, 0), (90.0, 1), (150.0, 3)])
    link = st.builds(
        lambda source, target, kind, room: Link(source, target, kind, 1.0, *room),
        *(name, name, st.sampled_from(KINDS), label),
    )
    return boxes, draw(st.lists(link, max_size=24))


@given(drawings())
@settings(max_examples=150, deadline=None)
def test_boxes_never_overlap_and_all_is_inside_the_picture(drawing: tuple[list[Box], list[Link]]) -> None:
    boxes, links = drawing
    placement = layout(boxes, links, "n0")
    rects = list(placement.boxes.values())
    for i, one in enumerate(rects):
        assert one.x >= -0.01 and one.y >= -0.01
        assert one.right <= placement.width + 0.01 and one.bottom <= placement.height + 0.01
        for other in rects[i + 1 :]:
            apart = one.right < other.x or other.right < one.x or one.bottom < other.y or other.bottom < one.y
            assert apart, (one, other)
    for route in placement.routes:
        for x, y in route.points:
            assert -0.01 <= x <= placement.width + 0.01 and -0.01 <= y <= placement.height + 0.01


def crosses(rect: Rect, a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether a horizontal or vertical line runs through the inside of a rectangle."""
    left, right, top, bottom = min(a[0], b[0]), max(a[0], b[0]), min(a[1], b[1]), max(a[1], b[1])
    return left < rect.right - 1 and right > rect.x + 1 and top < rect.bottom - 1 and bottom > rect.y + 1


@given(drawings())
@settings(max_examples=150, deadline=None)
def test_lines_in_lanes_run_through_no_box(drawing: tuple[list[Box], list[Link]]) -> None:
    boxes, links = drawing
    placement = layout(boxes, links, "n0")
    for link, route in zip(links, placement.routes, strict=True):
        assert route.points or link.source == link.target
        if route.joint:
            for a, b in zip(route.points, route.points[1:], strict=False):
                assert not any(crosses(rect, a, b) for rect in placement.boxes.values()), (link, a, b)


def test_many_catches_of_one_state_share_one_lane_instead_of_a_thicket() -> None:
    svg = graph(definition()).svg()
    assert "on error (Catch) to NotifyFailure" in texts(svg)
    root = ET.fromstring(svg)
    into = [
        one
        for one in root.iter(f"{SVG}g")
        if (title := one.find(f"{SVG}title")) is not None
        and "→ NotifyFailure (States.ALL)" in (title.text or "")
    ]
    assert len(into) == 16
    heads = [one for one in into if len(one.findall(f"{SVG}path")) == 2]
    assert len(heads) == 1, "one arrow enters NotifyFailure, the others join its lane"
    assert all(one.find(f"{SVG}path").attrib["stroke-dasharray"] for one in into)  # type: ignore[union-attr]
    assert graph(definition()).mermaid().count("-.-> s23") == 1
    assert "ResumeFrom: resume.from = …" in texts(svg)


def test_labels_of_a_choice_are_short_and_the_tooltip_has_the_whole() -> None:
    svg = graph(definition()).svg()
    assert "metrics.wape ≤ 0.25 and verdi…" in texts(svg) and "otherwise" in texts(svg)
    assert "CheckMetrics → RegisterModel (metrics.wape ≤ 0.25 and verdict = better)" in edges(svg)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"Variable": "$.a", "NumericGreaterThanPath": "$.b"}, "a > b"),
        ({"Variable": "$.a", "IsPresent": False}, "a is not present"),
        ({"Variable": "$.a", "StringMatches": "x*"}, "a like x*"),
        ({"Not": {"Variable": "$.a", "BooleanEquals": True}}, "not (a = true)"),
        (
            {"Or": [{"Variable": "$.a", "NumericLessThan": 1}, {"Variable": "$.b", "IsNull": True}]},
            "a < 1 or b is null",
        ),
        ({"Condition": "{% $states.input.a  >  3 %}"}, "a > 3"),
        ({"Variable": "$.a", "IsNull": True, "Comment": "nothing came"}, "nothing came"),
    ],
)
def test_a_rule_reads_like_a_sentence(rule: dict[str, Any], words: str) -> None:
    machine = {
        "StartAt": "A",
        "States": {"A": {"Type": "Choice", "Choices": [{**rule, "Next": "B"}]}, "B": {"Type": "Succeed"}},
    }
    assert words in texts(graph(machine).svg())


RUN = {
    "ResumeFrom": StateRun("SUCCEEDED", 0.01),
    "ClaimWindow": StateRun("SUCCEEDED", 0.2),
    "PrepareTrainingData": StateRun("SUCCEEDED", 125.0, 3),
    "TrainModel": StateRun("CAUGHT", 44.2, 3),
    "NotifyFailure": StateRun("SUCCEEDED", 0.3),
    "ReleaseWindow": StateRun("RUNNING", None),
    "RetrainingFailed": StateRun("FAILED", 0.0),
}


def test_after_a_run_states_carry_status_by_colour_sign_and_pattern_and_their_duration() -> None:
    svg = graph(pipeline(), RUN).svg()
    groups = {
        one.attrib["data-state"]: one
        for one in ET.fromstring(svg).iter(f"{SVG}g")
        if "data-state" in one.attrib
    }

    def colours(name: str) -> set[str]:
        return {one.attrib.get("stroke", "") for one in groups[name].iter(f"{SVG}rect")}

    for name, happened in RUN.items():
        look = STATUSES[happened.status]
        assert look.colour in colours(name), name
        badge = groups[name].find(f"{SVG}g[@transform]/{SVG}circle")
        assert badge is not None and "opacity" not in groups[name].attrib
        words = [one.text for one in groups[name].iter(f"{SVG}text")]
        if happened.seconds is not None:
            assert any(seconds(happened.seconds) in (one or "") for one in words), name
    assert "2 min 5 s · 3 attempts" in texts(svg)
    assert len({look.dashes for look in STATUSES.values()}) == len(STATUSES), "patterns differ without colour"
    assert groups["EvaluateModel"].attrib["opacity"] == "0.45"
    assert STATUSES["FAILED"].colour not in colours("EvaluateModel")
    assert {"succeeded", "failed, and was caught", "running", "not reached"} <= set(texts(svg))


def test_the_way_that_an_error_took_stands_out() -> None:
    groups = ET.fromstring(graph(pipeline(), RUN).svg()).iter(f"{SVG}g")
    opacity = {
        title.text: float(one.attrib["opacity"])
        for one in groups
        if (title := one.find(f"{SVG}title")) is not None and "→" in (title.text or "")
    }
    assert opacity["TrainModel → NotifyFailure (States.ALL)"] > 0.5
    assert opacity["TrainModel → ScoreModels"] < 0.5
    assert opacity["PrepareTrainingData → NotifyFailure (States.ALL)"] < 0.5
    assert opacity["PrepareTrainingData → TrainModel"] == 1


def test_mermaid_and_outline_carry_the_run() -> None:
    drawing = graph(pipeline(), RUN)
    assert re.search(r'\["! TrainModel<br/>44 s · 3 attempts ↳ ⚠"\]:::CAUGHT', drawing.mermaid())
    assert f"classDef CAUGHT fill:{STATUSES['CAUGHT'].tint}" in drawing.mermaid()
    outline = str(drawing).splitlines()
    assert outline[0] == "retraining-demand: 26 states"
    assert re.match(
        r"  ! TrainModel +44 s · 3 attempts +→ ScoreModels · retry ×5 · any error → NotifyFailure", outline[4]
    )


def test_the_outline_tells_states_in_the_order_in_which_they_happen() -> None:
    names = [line.split()[0] for line in str(graph(pipeline())).splitlines()[1:]]
    order = ["ResumeFrom", "ClaimWindow", "PrepareTrainingData", "TrainModel", "ScoreModels", "EvaluateModel"]
    assert names[:6] == order
    assert names.index("RegisterModel") < names.index("NotifySuccess") < names.index("NotifyFailure")


def test_the_picture_needs_no_network_and_runs_no_script() -> None:
    svg = graph(pipeline(), RUN).svg()
    assert not re.search(r"<script|<style|<image|@import|url\(|href", svg)
    assert re.findall(r"https?://[^\"\s]+", svg) == ["http://www.w3.org/2000/svg"]


def test_jupyter_gets_the_picture_and_a_terminal_the_outline() -> None:
    drawing = graph(pipeline())
    assert drawing._repr_mimebundle_() == {"image/svg+xml": drawing.svg(), "text/plain": str(drawing)}


def test_a_target_that_does_not_exist_is_drawn_as_missing() -> None:
    machine = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Gone"}}}
    svg = graph(machine).svg()
    assert "no such state" in texts(svg) and "Gone" in drawn_states(svg)


@pytest.mark.parametrize(
    "wrong", [{}, {"States": {}}, {"StartAt": "A", "States": []}, {"StartAt": 1, "States": {"A": {}}}]
)
def test_what_is_no_definition_is_refused_with_words(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Amazon States Language"):
        graph(wrong)


JUNK: list[Any] = [
    *(None, True, 5, "x", [], [5], ["x"], {}, {"A": 1}, [{}], [[]], {"States": 5}, [{"Next": 5}]),
    *([{"Next": "B", field: value}] for field in ("ErrorEquals", "And", "Not") for value in (5, [5])),
    *([{"MaxAttempts": "x"}], {"StartAt": "q", "States": {"q": {"Type": 5}}}),
]


@pytest.mark.parametrize("kind", ["Task", "Choice", "Map", "Parallel", 5])
def test_a_malformed_state_is_drawn_or_refused_in_words_never_a_traceback(kind: Any) -> None:
    drawn = 0
    for field in FIELDS:
        for value in JUNK:
            state = {"Type": kind, field: value}
            try:
                drawing = graph({"StartAt": "A", "States": {"A": state, "B": {"Type": "Succeed"}, "C": 1}})
            except UsageError as error:
                assert error.message
                continue
            drawn += 1
            assert "A" in drawn_states(drawing.svg()) and "A" in drawing.mermaid() and "A" in str(drawing)
    assert drawn


def test_what_is_neither_pipeline_nor_definition_is_refused() -> None:
    with pytest.raises(UsageError, match="A list has no graph"):
        graph([])  # type: ignore[arg-type]


def test_a_map_and_a_parallel_hold_what_is_inside_them() -> None:
    inner = {"StartAt": "Score", "States": {"Score": task("lambda:invoke", {}, None)}}
    each = {"Type": "Map", "ItemProcessor": inner, "MaxConcurrency": 5, "End": True}
    both = {"Type": "Parallel", "Branches": [{"StartAt": "Each", "States": {"Each": each}}], "End": True}
    machine = {"StartAt": "Both", "States": {"Both": both}}
    frames = {}
    for group in ET.fromstring(graph(machine).svg()).iter(f"{SVG}g"):
        if "data-state" in group.attrib:
            x, y, width, height = (
                float(group.find(f"{SVG}rect").attrib[key]) for key in ("x", "y", "width", "height")
            )  # type: ignore[union-attr]
            frames[group.attrib["data-state"]] = (x, y, x + width, y + height)
    for outer, held in (("Both", "Each"), ("Each", "Score")):
        a, b = frames[outer], frames[held]
        assert a[0] < b[0] and a[1] < b[1] and a[2] > b[2] and a[3] > b[3]
    assert "for each item, 5 at a time" in texts(graph(machine).svg())
    assert "subgraph" in graph(machine).mermaid()


def test_a_workflow_that_waits_in_a_loop_is_drawn_with_the_loop_at_its_side() -> None:
    read = flow(definition())
    assert isinstance(read, Flow)
    boxes = [Box(node.name, 180.0, 44.0) for node in read.nodes]
    placement = layout(boxes, [Link(edge.source, edge.target, edge.kind) for edge in read.edges], read.start)
    route = next(
        route
        for edge, route in zip(read.edges, placement.routes, strict=True)
        if (edge.source, edge.target) == ("CheckEndpoint", "WaitForEndpoint")
    )
    assert route.joint and placement.boxes["WaitForEndpoint"].y < placement.boxes["CheckEndpoint"].y


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ""),
        (0.02, "20 ms"),
        (4.21, "4.2 s"),
        (59.2, "59 s"),
        (125, "2 min 5 s"),
        (7800, "2 h 10 min"),
        (120, "2 min"),
    ],
)
def test_durations_are_words(value: float | None, words: str) -> None:
    assert seconds(value) == words


def test_a_long_name_is_broken_where_a_word_begins() -> None:
    assert lines("CreateTheEndpointConfiguration") == ["CreateTheEndpoint", "Configuration"]
    assert len(lines("x" * 80)) == 2 and all(len(one) <= 40 for one in lines("x" * 80))
