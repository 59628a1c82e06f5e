"""The workflow in words: an outline for a terminal, and Mermaid for Markdown; places nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from mlops_kit.build.diagram import style
from mlops_kit.build.diagram.flow import Edge, Flow, Node
from mlops_kit.build.diagram.scene import Scene, scene, second_line, shown_label, ways

SIGNS = {"SUCCEEDED": "✓", "FAILED": "✗", "CAUGHT": "!", "RUNNING": "▸", "TIMED_OUT": "⏱", "ABORTED": "■"}
_SHAPES = {"Choice": ("{", "}"), "Succeed": ("([", "])"), "Fail": ("([", "])"), "Wait": ("(", ")")}
_SHOWN_WAYS = 3


def outline(flow: Flow, run: Mapping[str, Any] | None, name: str) -> str:
    """One line a state, in the order in which it can happen.

    Parameters
    ----------
    flow : Flow
    run : mapping of str to StateRun, or None
    name : str
        Stands in the first line.
    """
    rows = list(_rows(flow, run, ""))
    states = sum(1 for _ in flow.all_nodes())
    columns = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f"{name}: {states} {'state' if states == 1 else 'states'}"]
    lines += [f"  {a:{columns[0]}}  {b:{columns[1]}}  {c}".rstrip() for a, b, c in rows]
    return "\n".join(lines)


def _rows(flow: Flow, run: Mapping[str, Any] | None, indent: str) -> Iterator[tuple[str, str, str]]:
    for node in in_order(flow):
        edges = [edge for edge in flow.edges if edge.source == node.name]
        yield f"{indent}{_sign(node, run)}{node.name}", second_line(node, run), _onwards(node, edges)
        for number, inner in enumerate(node.inner, 1):
            if len(node.inner) > 1:
                yield f"{indent}  branch {number}", "", ""
            yield from _rows(inner, run, indent + ("    " if len(node.inner) > 1 else "  "))


def _sign(node: Node, run: Mapping[str, Any] | None) -> str:
    if run is None:
        return ""
    happened = run.get(node.name)
    return f"{SIGNS.get(happened.status, '?') if happened else ' '} "


def _onwards(node: Node, edges: list[Edge]) -> str:
    """Where a state leads, how often it is tried again, and where its errors go."""
    plain = sorted((edge for edge in edges if edge.kind != "catch"), key=lambda edge: edge.kind != "default")
    if len(plain) <= _SHOWN_WAYS:
        plain = [edge for edge in edges if edge.kind != "catch"]
    words = [f"{edge.label} → {edge.target}".strip() for edge in plain[:_SHOWN_WAYS]]
    if len(plain) > _SHOWN_WAYS:
        words = [*words[:1], f"{len(plain) - 1} other ways"]
    parts = [" | ".join(words)] if words else ["end"] if node.ends else []
    if node.attempts:
        parts.append(f"retry ×{node.attempts}")
    catches: dict[str, list[str]] = {}
    for edge in edges:
        if edge.kind == "catch":
            catches.setdefault(edge.target, []).append(edge.label)
    for target, errors in catches.items():
        what = "any error" if errors == ["States.ALL"] else " or ".join(errors)
        parts.append(f"{what} → {target}")
    return " · ".join(parts)


def in_order(flow: Flow) -> list[Node]:
    """States so that each stands before those it leads to, loops aside, and each branch together."""
    kinds = ("catch", "default", "choice", "next")
    outgoing: dict[str, list[str]] = {node.name: [] for node in flow.nodes}
    indexed = sorted(enumerate(flow.edges), key=lambda pair: (kinds.index(pair[1].kind), -pair[0]))
    for _, edge in indexed:
        outgoing[edge.source].append(edge.target)
    seen: set[str] = set()
    names: list[str] = []
    for root in (flow.start, *outgoing):
        names += reversed(_finished(root, outgoing, seen))
    nodes = {node.name: node for node in flow.nodes}
    return [nodes[name] for name in names]


def _finished(root: str, outgoing: Mapping[str, list[str]], seen: set[str]) -> list[str]:
    """Names in the order in which a search depth first is done with them; empty when the root was seen."""
    if root in seen:
        return []
    seen.add(root)
    finished, stack = [], [(root, iter(outgoing[root]))]
    while stack:
        target = next(stack[-1][1], None)
        if target is None:
            finished.append(stack.pop()[0])
        elif target not in seen:
            seen.add(target)
            stack.append((target, iter(outgoing[target])))
    return finished


def mermaid(flow: Flow, run: Mapping[str, Any] | None) -> str:
    """A Mermaid flowchart; many catches of one state, and many ways out of one, are drawn as one line."""
    lines = ["flowchart TB", *_machine(scene(flow, run), "s", run, "    ")]
    for status in sorted({one.status for one in (run or {}).values()} & style.STATUSES.keys()):
        look = style.STATUSES[status]
        lines.append(
            f"    classDef {status} fill:{look.tint},stroke:{look.colour},stroke-width:2px,color:#111"
        )
    return "\n".join(lines) + "\n"


def _machine(one: Scene, prefix: str, run: Mapping[str, Any] | None, indent: str) -> Iterator[str]:
    """Statements of a machine; its ids begin with a prefix of their own."""
    ids = {node.name: f"{prefix}{number}" for number, node in enumerate(one.flow.nodes)}
    routed = list(zip(one.edges, (route.lane for route in one.placement.routes), strict=True))
    marks: dict[str, str] = {}
    for edge, lane in routed:
        if lane:
            marked, mark = (edge.source, " ⚠") if edge.kind == "catch" else (edge.target, " ↳")
            marks[marked] = marks.get(marked, "").replace(mark, "") + mark
    yield f"{indent}{prefix}start(( )) --> {ids[one.flow.start]}"
    for node in in_order(one.flow):
        yield from _statement(node, ids[node.name], marks.get(node.name, ""), one, run, indent)
    for edge, lane in routed:
        if not lane:
            line = "-.->" if edge.kind == "catch" else "-->"
            label = f"|{_quoted(shown_label(edge))}|" if shown_label(edge) else ""
            yield f"{indent}{ids[edge.source]} {line}{label} {ids[edge.target]}"
    common = ways([one])
    for number, lane in enumerate(sorted({lane for _, lane in routed if lane})):
        side, _, name = lane.partition(":")
        if side == "far right":
            yield f'{indent}{prefix}lane{number}(["⚠ on error"]) -.-> {ids[name]}'
        else:
            label = _quoted([common[name]])
            yield f'{indent}{ids[name]} -->|{label}| {prefix}lane{number}(["the state with ↳"])'


def _statement(
    node: Node, own: str, mark: str, one: Scene, run: Mapping[str, Any] | None, indent: str
) -> Iterator[str]:
    label = _quoted([f"{_sign(node, run).lstrip()}{node.name}", second_line(node, run) + mark])
    status = run[node.name].status if run and node.name in run else ""
    if inner := one.inner.get(node.name):
        yield f"{indent}subgraph {own}[{label}]"
        yield f"{indent}    direction TB"
        for number, branch in enumerate(inner):
            yield from _machine(branch, f"{own}b{number}s", run, indent + "    ")
        yield f"{indent}end"
        if status:
            yield f"{indent}class {own} {status}"
    else:
        opening, closing = _SHAPES.get(node.kind, ("[", "]"))
        yield f"{indent}{own}{opening}{label}{closing}{f':::{status}' if status else ''}"


def _quoted(lines: Iterable[str]) -> str:
    """A label in quotes; Mermaid reads ``#...;`` as an entity of its own, so that sign is named too."""
    named = (escape(line, quote=False).replace('"', "&quot;").replace("#", "&num;") for line in lines)
    return f'"{"<br/>".join(named)}"'
