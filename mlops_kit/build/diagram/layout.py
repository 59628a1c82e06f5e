"""Where boxes and the lines between them go: a layered drawing, top to bottom; knows no states, no colours.

After Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981):
break cycles, rank, order each layer by barycentres, place. Lines that would make a thicket (many to one,
one to many, and those that lead back up) run in lanes beside the boxes (`lanes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mlops_kit.build.diagram.lanes import Lane, Rect, Route, lanes
from mlops_kit.build.diagram.ranking import Link, back_links, ranked, thickets
from mlops_kit.build.diagram.spacing import Element, place_rows

GAP_X, GAP_Y = 38.0, 36.0
LABEL_LINE = 15.0
STRAIGHT = (8.0, 2.0, 1.0)  # of a line between two passing places, one and a box, two boxes; as dot does


@dataclass(frozen=True)
class Box:
    """Something to be placed: its name and size."""

    name: str
    width: float
    height: float


@dataclass(frozen=True)
class Placement:
    """The result.

    Attributes
    ----------
    boxes : mapping
        Name -> rectangle.
    routes : tuple of Route
        One for each link, in the links' order.
    rows : tuple of tuple of str
        Names by layer, from left to right.
    width, height : float
    """

    boxes: Mapping[str, Rect]
    routes: tuple[Route, ...]
    rows: tuple[tuple[str, ...], ...]
    width: float
    height: float


def layout(boxes: Sequence[Box], links: Sequence[Link], start: str) -> Placement:
    """Place boxes in layers and route the links.

    Parameters
    ----------
    boxes : sequence of Box
    links : sequence of Link
        Links from a box to itself are left to the drawing; their routes have no points.
    start : str
        The box that everything begins with.

    Returns
    -------
    Placement
        The same input gives the same placement; no two boxes overlap.
    """
    back = back_links([box.name for box in boxes], links, start)
    loops = {i for i, link in enumerate(links) if link.source == link.target}
    ahead = [i for i in range(len(links)) if i not in back | loops]
    ranks = ranked([box.name for box in boxes], [links[i] for i in ahead])
    many_in, many_out = thickets(links, ahead, ranks)
    through = [i for i in ahead if i not in many_in | many_out]
    elements, chains = _elements(boxes, links, through, ranks, {links[i].target for i in many_in})
    rows = _ordered(elements, [box.name for box in boxes], start)
    place_rows(rows, elements, GAP_X)
    tops = _tops(rows, elements, [links[i] for i in through], ranks)
    rects = _rects(rows, elements, tops)
    routes = [Route(()) for _ in links]
    for i, chain in chains.items():
        routes[i] = _straight(chain, elements, rects, tops, links[i], _has_twin(links, i))
    placed = {box.name: rects[box.name] for box in boxes}
    wanted = _wanted(links, back, many_in, many_out)
    passing = [rects[key] for key in rects if not elements[key].real]
    for i, route in lanes(wanted, placed, ranks, passing).items():
        routes[i] = route
    real = tuple(tuple(key for key in row if elements[key].real) for row in rows)
    return _shifted(placed, routes, links, real)


def _wanted(links: Sequence[Link], back: set[int], many_in: set[int], many_out: set[int]) -> list[Lane]:
    """Which lines want which lane: a loop its own, a thicket one for all of it."""
    found = []
    for i, link in enumerate(links):
        if i in back:
            found.append(Lane(i, link.source, link.target, "near", i, link.label_width))
        elif i in many_in:
            found.append(Lane(i, link.source, link.target, "far right", link.target))
        elif i in many_out:
            found.append(Lane(i, link.source, link.target, "far left", link.source))
    return found


def _elements(
    boxes: Sequence[Box],
    links: Sequence[Link],
    through: Iterable[int],
    ranks: Mapping[str, int],
    rightmost: set[str],
) -> tuple[dict[str, Element], dict[int, list[str]]]:
    """Boxes and the passing places of long lines, joined layer by layer."""
    elements = {
        box.name: Element(box.name, ranks[box.name], box.width, box.height, True, box.name in rightmost)
        for box in boxes
    }
    chains: dict[int, list[str]] = {}
    for i in through:
        link = links[i]
        passed = range(ranks[link.source] + 1, ranks[link.target])
        for rank in passed:
            elements[f"\0{i}:{rank}"] = Element(f"\0{i}:{rank}", rank, 10.0)
        chain = [link.source, *(f"\0{i}:{rank}" for rank in passed), link.target]
        elements[chain[1]].room = max(elements[chain[1]].room, link.label_width)
        for upper, lower in pairwise(chain):
            straight = link.weight * STRAIGHT[elements[upper].real + elements[lower].real]
            elements[upper].down.append((lower, straight))
            elements[lower].up.append((upper, straight))
        chains[i] = chain
    return elements, chains


def _ordered(elements: Mapping[str, Element], names: Sequence[str], start: str) -> list[list[str]]:
    """Rows with few crossings: depth first at the beginning, then barycentres up and down; the best stays."""
    rows = _first_rows(elements, names, start)
    best, fewest = [list(row) for row in rows], _crossings(rows, elements)
    for sweep in range(16):
        upward = bool(sweep % 2)
        for row in reversed(rows[:-1]) if upward else rows[1:]:
            _sort_row(row, rows, elements, upward)
        crossings = _crossings(rows, elements)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _first_rows(elements: Mapping[str, Element], names: Sequence[str], start: str) -> list[list[str]]:
    rows: list[list[str]] = [[] for _ in range(1 + max(one.rank for one in elements.values()))]
    seen: set[str] = set()
    for root in (start, *names):
        stack = [root]
        while stack:
            key = stack.pop()
            if key not in seen:
                seen.add(key)
                rows[elements[key].rank].append(key)
                stack.extend(lower for lower, _ in reversed(elements[key].down))
    for row in rows:
        row.sort(key=lambda key: elements[key].last)
    return rows


def _sort_row(row: list[str], rows: list[list[str]], elements: Mapping[str, Element], upward: bool) -> None:
    position = {key: i for other in rows for i, key in enumerate(other)}

    def centre(key: str) -> tuple[bool, float]:
        near = elements[key].down if upward else elements[key].up
        total = sum(weight for _, weight in near)
        mean = sum(position[other] * weight for other, weight in near) / total if total else position[key]
        return elements[key].last, mean

    row.sort(key=centre)


def _crossings(rows: Sequence[Sequence[str]], elements: Mapping[str, Element]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        position = {key: i for i, key in enumerate(lower)}
        ends = [end for key in upper for end in sorted(position[other] for other, _ in elements[key].down)]
        total += sum(later < earlier for i, earlier in enumerate(ends) for later in ends[i + 1 :])
    return total


def _tops(
    rows: Sequence[Sequence[str]],
    elements: Mapping[str, Element],
    through: Iterable[Link],
    ranks: Mapping[str, int],
) -> list[tuple[float, float]]:
    """Top and bottom of each layer; a gap is higher where labels stand in it."""
    lines = [0] * (len(rows) + 1)
    for link in through:
        below = ranks[link.source] + 1
        lines[below] = max(lines[below], link.label_lines)
    found, y = [], 0.0
    for rank, row in enumerate(rows):
        y += LABEL_LINE * lines[rank] + (GAP_Y if rank else 0.0)
        height = max(elements[key].height for key in row)
        found.append((y, y + height))
        y += height
    return found


def _rects(
    rows: Sequence[Sequence[str]], elements: Mapping[str, Element], tops: Sequence[tuple[float, float]]
) -> dict[str, Rect]:
    found = {}
    for row, (top, bottom) in zip(rows, tops, strict=True):
        for key in row:
            one = elements[key]
            height = one.height if one.real else bottom - top
            x, width = one.x, (one.width if one.real else 0.0)
            found[key] = Rect(x - width / 2, (top + bottom - height) / 2, width, height)
    return found


def _straight(
    chain: Sequence[str],
    elements: Mapping[str, Element],
    rects: Mapping[str, Rect],
    tops: Sequence[tuple[float, float]],
    link: Link,
    twin: bool,
) -> Route:
    """The route of a line that goes down; a twin runs beside the line that it would cover."""
    points = _through(chain, elements, rects, tops, replace(link, kind="next") if twin else link)
    aside = 22.0 if twin else 0.0
    return Route(tuple((x + aside, y) for x, y in points), label=_label_at(chain, rects))


def _through(
    chain: Sequence[str],
    elements: Mapping[str, Element],
    rects: Mapping[str, Rect],
    tops: Sequence[tuple[float, float]],
    link: Link,
) -> tuple[tuple[float, float], ...]:
    """Points of a line that goes down: out below its box, past its places, in from above, upright at each."""
    source, first = rects[chain[0]], rects[chain[1]]
    inset = min(22.0, source.width / 3)
    spread = len(elements[chain[0]].down) > 1
    x = min(max(first.middle, source.x + inset), source.right - inset) if spread else source.middle
    if link.kind == "catch":  # the middle is the way of success
        x = min(max(first.middle, source.middle + inset), source.right - inset)
    points = [(x, source.bottom)]
    if (floor := tops[elements[chain[0]].rank][1]) > source.bottom:
        points.append((x, floor))
    for key in chain[1:]:
        rect, ceiling = rects[key], tops[elements[key].rank][0]
        upright = 8.0 + LABEL_LINE * (link.label_lines if key == chain[1] else 0)
        points += [(rect.middle, min(ceiling, rect.y) - upright), (rect.middle, rect.y)]
        if not elements[key].real:
            points.append((rect.middle, rect.bottom))
    return tuple(points)


def _has_twin(links: Sequence[Link], i: int) -> bool:
    """Whether a catch leads where its state leads anyway: it is drawn beside that line."""
    one = links[i]
    return one.kind == "catch" and any(
        other.kind != "catch" and (other.source, other.target) == (one.source, one.target) for other in links
    )


def _label_at(chain: Sequence[str], rects: Mapping[str, Rect]) -> tuple[float, float]:
    """Middle of the label's lower edge: just above what the line meets first."""
    first = rects[chain[1]]
    return first.middle, first.y - 12


def _shifted(
    boxes: Mapping[str, Rect],
    routes: Sequence[Route],
    links: Sequence[Link],
    rows: tuple[tuple[str, ...], ...],
) -> Placement:
    """Everything moved so that it begins at zero, labels included."""
    xs = [x for rect in boxes.values() for x in (rect.x, rect.right)]
    xs += [x for route in routes for x, _ in route.points]
    for route, link in zip(routes, links, strict=True):
        if route.label:
            room = link.label_width if route.joint else link.label_width / 2
            xs += [route.label[0] - room, route.label[0] + room]
    ys = [y for rect in boxes.values() for y in (rect.y, rect.bottom)]
    ys += [y for route in routes for _, y in route.points]
    left, top = min(xs), min(ys)
    moved = {name: rect.moved(-left, -top) for name, rect in boxes.items()}
    shifted = tuple(route.moved(-left, -top) for route in routes)
    return Placement(moved, shifted, rows, max(xs) - left, max(ys) - top)
