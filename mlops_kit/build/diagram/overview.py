"""The part of a flow that tells its story; what it leaves out is in the whole drawing. Draws nothing.

Without an execution: what a run may pass on its way to success. With one: what it passed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from mlops_kit.build.diagram.flow import Edge, Flow

MANY = 5  # a Choice with as many ways into the middle is a switchboard, such as for taking a run up again


def overview(flow: Flow, run: Mapping[str, Any] | None) -> Flow:
    """A smaller flow: Map and Parallel as one state each, and of the rest what matters.

    Parameters
    ----------
    flow : Flow
        The whole.
    run : mapping of str to StateRun, or None
        What happened in an execution.

    Returns
    -------
    Flow
        At least with the first state.
    """
    edges = _story(flow) if run is None else _passed(flow, run)
    kept = run if run is not None else _useful(flow, edges)
    nodes = tuple(
        replace(node, inner=()) for node in flow.nodes if node.name in kept or node.name == flow.start
    )
    names = {node.name for node in nodes}
    return Flow(
        flow.start, nodes, tuple(edge for edge in edges if edge.source in names and edge.target in names)
    )


def _passed(flow: Flow, run: Mapping[str, Any]) -> tuple[Edge, ...]:
    """Ways that the execution went: of a state's ways forward the one to the state that was entered first.

    ``run`` is in the order of entering.
    """
    place = {name: number for number, name in enumerate(run)}
    taken = [
        edge
        for edge in flow.edges
        if edge.source in run and edge.target in run
        if (run[edge.source].status == "CAUGHT") == (edge.kind == "catch")
    ]
    following: dict[str, int] = {}
    for edge in taken:
        if place[edge.target] > place[edge.source]:
            following[edge.source] = min(following.get(edge.source, len(run)), place[edge.target])
    return tuple(
        edge for edge in taken if place[edge.target] <= following.get(edge.source, place[edge.source])
    )


def _story(flow: Flow) -> tuple[Edge, ...]:
    """Without what only an error does, and without switchboards' ways to states that are met anyway."""
    edges = tuple(edge for edge in flow.edges if edge.kind != "catch")
    for node in flow.nodes:
        ways = [edge for edge in edges if edge.source == node.name]
        others = tuple(edge for edge in edges if edge.source != node.name)
        if len(ways) >= MANY:
            met = _reached([flow.start], others)
            edges = (*others, *(edge for edge in ways if edge.target not in met))
    return edges


def _useful(flow: Flow, edges: Collection[Edge]) -> set[str]:
    """States on a way from the start to a good end; all that are reached where there is no good end."""
    back = [replace(edge, source=edge.target, target=edge.source) for edge in edges]
    good = [node.name for node in flow.nodes if node.ends and node.kind != "Fail"]
    reached = _reached([flow.start], edges)
    return (reached & _reached(good, back)) or reached


def _reached(begin: Iterable[str], edges: Collection[Edge]) -> set[str]:
    found, waiting = set(), list(begin)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [edge.target for edge in edges if edge.source == name]
    return found
