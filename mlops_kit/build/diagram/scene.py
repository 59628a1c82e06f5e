"""Sizes of states and the placement of each machine, those inside Map and Parallel first; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from mlops_kit.build.diagram import style
from mlops_kit.build.diagram.flow import Edge, Flow, Node
from mlops_kit.build.diagram.layout import Box, Placement, layout
from mlops_kit.build.diagram.ranking import Link

PAD, HEADER, TOP = 16.0, 40.0, 24.0
SIGN = 24.0
_WEIGHTS = {"next": 4.0, "default": 2.0, "choice": 2.0, "catch": 0.6}


@dataclass(frozen=True)
class Scene:
    """A machine that has been placed.

    Attributes
    ----------
    flow : Flow
    edges : tuple of Edge
        As drawn: those between the same two states in one way are one.
    placement : Placement
        Its routes are in the order of ``edges``.
    inner : mapping
        Name of a Map or Parallel -> scenes inside it.
    width, height : float
        With room for the mark of the start.
    """

    flow: Flow
    edges: tuple[Edge, ...]
    placement: Placement
    inner: Mapping[str, tuple[Scene, ...]]
    width: float
    height: float

    def scenes(self) -> Iterator[Scene]:
        """This machine, then those inside it."""
        yield self
        for many in self.inner.values():
            for one in many:
                yield from one.scenes()


def ways(scenes: Iterable[Scene]) -> dict[str, str]:
    """Source of many ways that share a lane -> what the labels of these ways have in common."""
    labels: dict[str, list[str]] = {}
    for one in scenes:
        for edge, route in zip(one.edges, one.placement.routes, strict=True):
            if route.lane.startswith("far left"):
                labels.setdefault(edge.source, []).append(edge.detail)
    found = {}
    for source, many in labels.items():
        same = takewhile(lambda letters: len(set(letters)) == 1, zip(*many, strict=False))
        common = "".join(letters[0] for letters in same).rstrip("\"' ")
        found[source] = f"{style.shortened(common)} …" if len(common) > 2 else f"{len(many)} ways"
    return found


def scene(flow: Flow, run: Mapping[str, Any] | None) -> Scene:
    """Place a machine and everything inside it."""
    inner = {
        node.name: tuple(scene(one, run) for one in node.inner if one.nodes)
        for node in flow.nodes
        if node.inner
    }
    boxes = [_box(node, inner.get(node.name, ()), run) for node in flow.nodes]
    edges = _joined(flow.edges)
    placement = layout(boxes, [_link(edge) for edge in edges], flow.start)
    return Scene(flow, edges, placement, inner, placement.width, placement.height + TOP)


def second_line(node: Node, run: Mapping[str, Any] | None) -> str:
    """The small line of a state: what it does, or how long that took in the execution."""
    happened = run.get(node.name) if run else None
    if happened is None:
        return node.detail
    tries = f"{happened.attempts} attempts" if happened.attempts > 1 else ""
    parts = (style.seconds(happened.seconds), tries, "running" if happened.status == "RUNNING" else "")
    return " · ".join(part for part in parts if part) or node.detail


def _box(node: Node, inner: tuple[Scene, ...], run: Mapping[str, Any] | None) -> Box:
    if inner:
        widths = sum(one.width for one in inner) + PAD * (len(inner) + 1)
        header = (
            style.width(f"{node.name}   {second_line(node, run)}", style.NAME_SIZE, True) + SIGN + 3 * PAD
        )
        height = HEADER + max(one.height for one in inner) + PAD
        return Box(node.name, max(widths, header), height)
    names = style.lines(node.name)
    text = max(
        *(style.width(line, style.NAME_SIZE, True) for line in names),
        style.width(style.shortened(second_line(node, run)), style.DETAIL_SIZE),
        96.0,
    )
    return Box(node.name, text + SIGN + 32, 28.0 + 16.0 * len(names))


def _joined(edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """One edge for all that lead from one state to another in one way, its label naming them."""
    found: dict[tuple[str, str, bool], Edge] = {}
    for edge in edges:
        key = (edge.source, edge.target, edge.kind == "catch")
        if (other := found.get(key)) is None:
            found[key] = edge
        else:
            labels = [one for one in (other.label, edge.label) if one]
            details = [one for one in (other.detail, edge.detail) if one]
            both = "\n".join(dict.fromkeys(labels))
            found[key] = Edge(edge.source, edge.target, other.kind, both, "\n".join(dict.fromkeys(details)))
    return tuple(found.values())


def shown_label(edge: Edge) -> list[str]:
    """Lines of an edge's label; what a Catch catches is left to the tooltip."""
    lines = [] if edge.kind == "catch" else edge.label.split("\n") if edge.label else []
    return lines if len(lines) <= 3 else [*lines[:2], f"and {len(lines) - 2} more"]


def _link(edge: Edge) -> Link:
    lines = shown_label(edge)
    room = max((style.width(line, style.LABEL_SIZE) for line in lines), default=0.0)
    return Link(edge.source, edge.target, edge.kind, _WEIGHTS[edge.kind], room, len(lines))
