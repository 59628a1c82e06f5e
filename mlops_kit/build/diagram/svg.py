"""The drawing as one SVG document: attributes only, no style sheet, no script, nothing to fetch.

Must not decide where anything stands (`scene`) nor how it looks (`style`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from mlops_kit.build.diagram import style
from mlops_kit.build.diagram.cards import card, container
from mlops_kit.build.diagram.flow import Edge, Flow
from mlops_kit.build.diagram.lanes import Point, Rect, Route
from mlops_kit.build.diagram.legend import legend
from mlops_kit.build.diagram.marks import arrow, element, text
from mlops_kit.build.diagram.scene import HEADER, PAD, TOP, Scene, scene, shown_label

MARGIN = 40.0  # room for the mark of a retry beside the outermost state
PAGE = 1080.0  # widest that it shows itself: a notebook's page; it is sharp at any size


def drawn(flow: Flow, run: Mapping[str, Any] | None, name: str) -> str:
    """A machine as an SVG document.

    Parameters
    ----------
    flow : Flow
    run : mapping of str to StateRun, or None
        What happened; states that are not in it are drawn pale.
    name : str
        Title, for people who do not see the picture.

    Returns
    -------
    str
        The same input gives the same text.
    """
    whole = scene(flow, run)
    words, legend_width, legend_height = legend(whole, run)
    width = max(whole.width, legend_width) + 2 * MARGIN
    height = whole.height + legend_height + 2 * MARGIN
    left = (width - whole.width) / 2
    body = [
        f"<title>{escape(name)}</title>",
        element("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=10).replace(
            "/>", f' fill="{style.PAPER}" stroke="{style.FRAME}"/>'
        ),
        *_machine(whole, left, MARGIN, run),
        f'<g transform="translate({MARGIN:.1f} {height - MARGIN - legend_height:.1f})">{words}</g>',
    ]
    part = min(1.0, PAGE / width)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * part:.0f}" height="{height * part:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;height:auto" '
        f'role="img" font-family="{style.FONT}">' + "\n".join(body) + "</svg>\n"
    )


def _machine(one: Scene, x: float, y: float, run: Mapping[str, Any] | None) -> Iterator[str]:
    """A machine at a place: lines first, then what is inside boxes, so that boxes cover line ends."""
    y += TOP
    rects = {name: rect.moved(x, y) for name, rect in one.placement.boxes.items()}
    routes = [route.moved(x, y) for route in one.placement.routes]
    yield from _start(rects[one.flow.start])
    for edge, route, whole, pale in _in_order(one.edges, routes, run):
        yield _edge(edge, route, whole, pale, rects)
    for node in one.flow.nodes:
        rect = rects[node.name]
        if inner := one.inner.get(node.name):
            yield container(node, rect, run)
            left = rect.x + (rect.width - sum(s.width for s in inner) - PAD * (len(inner) - 1)) / 2
            for number, branch in enumerate(inner):
                if number:
                    yield _divider(left - PAD / 2, rect)
                yield from _machine(branch, left, rect.y + HEADER, run)
                left += branch.width + PAD
        else:
            yield card(node, rect, run)
    for edge, route in zip(one.edges, routes, strict=True):
        pale = run is not None and not _taken(edge, route, run)
        yield _label(edge, route, style.WAYS if pale else style.SOFT)


def _start(rect: Rect) -> Iterator[str]:
    x, y = rect.middle, rect.y
    yield element("circle", cx=x, cy=y - TOP + 6, r=4.5, fill=style.INK)
    yield element("path", d=f"M{x:.1f} {y - TOP + 8:.1f}V{y - 4:.1f}", stroke=style.LINE, stroke_width=1.4)
    yield arrow((x, y - 8), (x, y), style.LINE)


def _divider(x: float, rect: Rect) -> str:
    line = f"M{x:.1f} {rect.y + HEADER:.1f}V{rect.bottom - 10:.1f}"
    return element("path", d=line, stroke=style.FRAME, stroke_dasharray="2 4")


def _in_order(
    edges: Sequence[Edge], routes: Sequence[Route], run: Mapping[str, Any] | None
) -> Iterator[tuple[Edge, Route, bool, bool]]:
    """Each edge with its route, whether it draws all of it, and whether it is pale; pale ones first.

    Of the lines that share a lane only the longest draws the lane, and in an execution each that was taken.
    """
    longest: dict[str, tuple[float, int]] = {}
    for i, route in enumerate(routes):
        if route.lane:
            ys = [y for _, y in route.points]
            longest[route.lane] = max(longest.get(route.lane, (0.0, i)), (max(ys) - min(ys), i))
    found = []
    for i, (edge, route) in enumerate(zip(edges, routes, strict=True)):
        taken = run is not None and _taken(edge, route, run)
        whole = not route.lane or longest[route.lane][1] == i or taken
        found.append((edge, route, whole, run is not None and not taken))
    yield from sorted(found, key=lambda one: not one[3])


def _taken(edge: Edge, route: Route, run: Mapping[str, Any]) -> bool:
    """Whether an execution may have gone this way, as far as what happened to its states tells."""
    source = run.get(edge.source)
    if source is None or edge.target not in run or route.lane.startswith("far left"):
        return False
    return bool(source.status == "CAUGHT") == (edge.kind == "catch")


def _edge(edge: Edge, route: Route, whole: bool, pale: bool, rects: Mapping[str, Rect]) -> str:
    points, ends = route.points, True
    if not points:
        points = _loop(rects[edge.source])
    elif not whole:
        points, ends = _branch(route)
    catch, ways = edge.kind == "catch", route.lane.startswith("far left")
    colour = style.CATCH if catch else style.WAYS if ways else style.LINE
    line = element(
        "path",
        d=_rounded(points) if route.joint or not route.points else _curved(points),
        fill="none",
        stroke=colour,
        stroke_width=1.2 if catch or ways else 1.5,
        stroke_dasharray="5 4" if catch else None,
    )
    head = arrow(points[-2], points[-1], colour) if ends else ""
    opacity = 0.3 if pale else 0.7 if route.lane else 1
    return f'<g opacity="{opacity}"><title>{escape(_tooltip(edge))}</title>{line}{head}</g>'


def _tooltip(edge: Edge) -> str:
    how = f" ({edge.detail})" if edge.detail else ""
    return f"{edge.source} → {edge.target}{how}"


def _branch(route: Route) -> tuple[tuple[Point, ...], bool]:
    """The part of a line that it does not share with the others in its lane, bent into the lane."""
    x, y = route.points[route.joint - 1]
    if route.lane.startswith("far left"):
        x, y = route.points[route.joint]
        return ((x, y - 9), *route.points[route.joint :]), True
    return (*route.points[: route.joint], (x, y + 9)), False


def _loop(rect: Rect) -> tuple[Point, ...]:
    """From a box to itself, at its right."""
    x, top, bottom = rect.right, rect.y + rect.height * 0.3, rect.y + rect.height * 0.8
    return ((x, bottom), (x + 16, bottom), (x + 16, top), (x, top))


def _curved(points: Sequence[Point]) -> str:
    """Straight down where it can, else a curve that leaves and arrives upright."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x0 - x1) < 0.5:
            path.append(f"L{x1:.1f} {y1:.1f}")
        else:
            middle = (y0 + y1) / 2
            path.append(f"C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}")
    return "".join(path)


def _rounded(points: Sequence[Point], radius: float = 9.0) -> str:
    """Straight lines with rounded corners."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _toward(corner, before, radius), _toward(corner, after, radius)
        path.append(
            f"L{start[0]:.1f} {start[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
        )
    path.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(path)


def _toward(corner: Point, other: Point, radius: float) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = max((dx * dx + dy * dy) ** 0.5, 0.01)
    part = min(radius, length / 2) / length
    return corner[0] + dx * part, corner[1] + dy * part


def _halo() -> dict[str, str | float | None]:
    """Attributes that keep a text readable above a line."""
    return {"stroke": style.PAPER, "stroke_width": 3.5, "paint_order": "stroke"}


def _label(edge: Edge, route: Route, colour: str) -> str:
    lines = shown_label(edge)
    if not lines or route.label is None or route.lane:
        return ""
    x, y = route.label
    anchor = "middle"
    if route.joint:
        anchor = "end" if x < route.points[route.joint][0] else "start"
    found = []
    for number, line in enumerate(reversed(lines)):
        found.append(text(x, y - number * 13, line, style.LABEL_SIZE, colour, text_anchor=anchor, **_halo()))
    return "".join(found)
