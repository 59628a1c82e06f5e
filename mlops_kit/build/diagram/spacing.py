"""Where the elements of ordered layers stand from left to right; changes no order.

Each sweep solves one layer exactly: the least squared distance to where the neighbours pull, at given
minimal distances (isotonic regression by pooling adjacent violators).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SWEEPS = 24


@dataclass
class Element:
    """A box, or the place where a long line passes a layer.

    Attributes
    ----------
    key : str
    rank : int
        Its layer.
    width, height : float
    real : bool
        A box.
    last : bool
        Stays at the right end of its layer.
    room : float
        Width that a label above it takes.
    x : float
        Middle; set by `place_rows`.
    up, down : list of (key, weight)
        Neighbours in the layers above and below.
    """

    key: str
    rank: int
    width: float
    height: float = 0.0
    real: bool = False
    last: bool = False
    room: float = 0.0
    x: float = 0.0
    up: list[tuple[str, float]] = field(default_factory=list)
    down: list[tuple[str, float]] = field(default_factory=list)


def place_rows(rows: Sequence[Sequence[str]], elements: Mapping[str, Element], gap: float) -> None:
    """Set ``x`` of every element so that lines are straight where they can be and nothing overlaps.

    Parameters
    ----------
    rows : sequence of sequence of str
        Keys by layer, from left to right.
    elements : mapping
        Key -> element.
    gap : float
        Least distance between two boxes of a layer.
    """
    for row in rows:
        x = 0.0
        for left, right in zip(["", *row], row, strict=False):
            x += _distance(elements[left], elements[right], gap) if left else 0.0
            elements[right].x = x
        for key in row:
            elements[key].x -= x / 2
    for sweep in range(SWEEPS):
        ways = ("up", "down") if sweep >= SWEEPS - 6 else (("up",) if sweep % 2 == 0 else ("down",))
        for row in reversed(rows) if sweep % 2 else rows:
            _settle([elements[key] for key in row], elements, ways, gap)
    _draw_together(rows, elements, gap)
    _straighten(rows, elements, gap)


def _distance(left: Element, right: Element, gap: float) -> float:
    between = gap if left.real else gap * 0.6  # a box may have a mark at its right
    return max((left.width + right.width) / 2 + between, (left.room + right.room) / 2 + 20.0)


def _settle(
    row: Sequence[Element], elements: Mapping[str, Element], ways: tuple[str, ...], gap: float
) -> None:
    offset, offsets = 0.0, []
    for i, one in enumerate(row):
        offset += _distance(row[i - 1], one, gap) if i else 0.0
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for one, shift in zip(row, offsets, strict=True):
        wanted, weight = _pull(one, elements, ways)
        block = (wanted - shift, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, other, count = blocks.pop()
            total = other + block[1]
            block = ((mean * other + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    means = [mean for mean, _, count in blocks for _ in range(count)]
    for one, mean, shift in zip(row, means, offsets, strict=True):
        one.x = mean + shift


def _pull(one: Element, elements: Mapping[str, Element], ways: tuple[str, ...]) -> tuple[float, float]:
    """Where the neighbours pull an element, and how strongly; it stays where it is without any."""
    near = [pair for way in ways for pair in getattr(one, way)]
    total = sum(weight for _, weight in near)
    if not total:
        return one.x, 0.05
    return sum(elements[key].x * weight for key, weight in near) / total, total


def _draw_together(rows: Sequence[Sequence[str]], elements: Mapping[str, Element], gap: float) -> None:
    """Move parts that no line joins to the first part as near to it as their neighbours let them."""
    part = _parts(elements)
    placed = {part[rows[0][0]]} if rows and rows[0] else set()
    for name in dict.fromkeys(part[key] for row in rows for key in row):
        if name in placed:
            continue
        placed.add(name)
        room = {"left": float("inf"), "right": float("inf")}
        for row in rows:
            for left, right in pairwise(row):
                one, other = elements[left], elements[right]
                free = other.x - one.x - _distance(one, other, gap)
                if part[right] == name != part[left]:
                    room["left"] = min(room["left"], free)
                elif part[left] == name != part[right]:
                    room["right"] = min(room["right"], free)
        side = "left" if room["left"] < float("inf") else "right"
        if room[side] < float("inf"):
            for key, owner in part.items():
                if owner == name:
                    elements[key].x += -room[side] if side == "left" else room[side]


def _parts(elements: Mapping[str, Element]) -> dict[str, str]:
    """Key -> first key of the part that lines join it to."""
    part: dict[str, str] = {}
    for first in elements:
        stack = [] if first in part else [first]
        while stack:
            key = stack.pop()
            if key not in part:
                part[key] = first
                stack += [other for other, _ in (*elements[key].up, *elements[key].down)]
    return part


def _straighten(rows: Sequence[Sequence[str]], elements: Mapping[str, Element], gap: float) -> None:
    """Put each run of elements that lead only to one another on one vertical, where there is room."""
    bounds: dict[str, tuple[float, float]] = {}
    for chain in _runs(elements):
        for row in rows:
            bounds |= _bounds([elements[key] for key in row], gap)
        low = max(bounds[key][0] for key in chain)
        high = min(bounds[key][1] for key in chain)
        if low <= high:
            mean = sum(elements[key].x for key in chain) / len(chain)
            for key in chain:
                elements[key].x = min(max(mean, low), high)


def _runs(elements: Mapping[str, Element]) -> list[list[str]]:
    def only(key: str, way: str) -> str | None:
        near = {other for other, _ in getattr(elements[key], way)}
        return near.pop() if len(near) == 1 else None

    follows = {
        key: below
        for key in elements
        if (below := only(key, "down")) is not None and only(below, "up") == key
    }
    runs = []
    for first in follows.keys() - follows.values():
        run = [first]
        while run[-1] in follows:
            run.append(follows[run[-1]])
        runs.append(run)
    return sorted(runs, key=lambda run: (-len(run), run[0]))


def _bounds(row: Sequence[Element], gap: float) -> dict[str, tuple[float, float]]:
    """How far each element of a row may move to the left and to the right."""
    found = {one.key: (float("-inf"), float("inf")) for one in row}
    for left, right in pairwise(row):
        distance = _distance(left, right, gap)
        found[right.key] = (left.x + distance, found[right.key][1])
        found[left.key] = (found[left.key][0], right.x - distance)
    return found
