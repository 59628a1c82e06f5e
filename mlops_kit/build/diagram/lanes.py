"""Lines in lanes beside the boxes: loops that lead back up, many lines to one box, many lines out of one.

Must not move a box. A line leaves its box at the side when nothing stands between it and its lane, and
through the gap between two layers when something does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

Point = tuple[float, float]
LANE = 14.0
# Heights, as parts of a box, at which lines of each kind of lane leave and enter.
_LEAVE = {"left": 0.7, "right": 0.85, "far left": 0.5, "far right": 0.72}
_ENTER = {"left": 0.7, "right": 0.85, "far left": 0.34, "far right": 0.66}


@dataclass(frozen=True)
class Rect:
    """A rectangle; y grows downwards."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """Middle from left to right."""
        return self.x + self.width / 2

    def moved(self, x: float, y: float) -> Rect:
        """The same elsewhere."""
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True)
class Route:
    """A line.

    Attributes
    ----------
    points : tuple of (x, y)
    label : (x, y) or None
        Middle of the lower edge of its label; for a line in a lane, the label's end.
    lane : str
        The lane that it shares with others, or empty.
    joint : int
        Number of points before it turns into its lane.
    """

    points: tuple[Point, ...]
    label: Point | None = None
    lane: str = ""
    joint: int = 0

    def moved(self, x: float, y: float) -> Route:
        """The same elsewhere."""
        points = tuple((px + x, py + y) for px, py in self.points)
        label = (self.label[0] + x, self.label[1] + y) if self.label else None
        return replace(self, points=points, label=label)


@dataclass(frozen=True)
class Lane:
    """A line that wants a lane.

    Attributes
    ----------
    link : int
        Its number.
    source, target : str
    side : {"near", "left", "right", "far left", "far right"}
        Beside the layers that it spans (``near``: at the side with the shorter way), or beside everything.
    group : int or str
        Lines of one group share one lane.
    label_width : float
    """

    link: int
    source: str
    target: str
    side: str
    group: int | str
    label_width: float = 0.0


def lanes(
    wanted: Sequence[Lane], boxes: Mapping[str, Rect], ranks: Mapping[str, int], passing: Iterable[Rect]
) -> dict[int, Route]:
    """A route for each line that wants a lane.

    Parameters
    ----------
    wanted : sequence of Lane
    boxes : mapping
        Name -> rectangle.
    ranks : mapping
        Name -> layer.
    passing : iterable of Rect
        Where long lines pass.

    Returns
    -------
    dict
        Number of the link -> route.
    """
    rows: dict[int, list[Rect]] = {}
    for name, rect in boxes.items():
        rows.setdefault(ranks[name], []).append(rect)
    obstacles = [*boxes.values(), *passing]
    left, right = min(rect.x for rect in obstacles), max(rect.right for rect in obstacles)
    routes: dict[int, Route] = {}
    taken: list[tuple[float, float, float]] = []
    for lane in (one for one in wanted if one.side == "near"):
        beside, x = _beside(lane, boxes, obstacles, taken)
        left = min(left, x - lane.label_width if beside.side == "left" else left)
        right = max(right, x + lane.label_width if beside.side == "right" else right)
        routes[lane.link] = _route(beside, x, boxes, ranks, rows)
    groups: dict[tuple[str, int | str], float] = {}
    for lane in (one for one in wanted if one.side != "near"):
        if (key := (lane.side, lane.group)) not in groups:
            before = sum(1 for side, _ in groups if side == lane.side)
            step = 36 + before * LANE
            groups[key] = left - step if lane.side == "far left" else right + step
        routes[lane.link] = _route(lane, groups[key], boxes, ranks, rows)
    return routes


def _beside(
    lane: Lane, boxes: Mapping[str, Rect], obstacles: Sequence[Rect], taken: list[tuple[float, float, float]]
) -> tuple[Lane, float]:
    """The lane of a loop, clear of what stands in the layers it spans, at the side with the shorter way."""
    source, target = boxes[lane.source], boxes[lane.target]
    top, bottom = target.y - 26, source.bottom + 26
    spanned = [rect for rect in obstacles if rect.bottom > top and rect.y < bottom]
    ways = {}
    for side, outward in (("left", -1), ("right", 1)):
        edge = min(rect.x for rect in spanned) if outward < 0 else max(rect.right for rect in spanned)
        x = edge + outward * 20
        while any(abs(x - other) < LANE and top < end and begin < bottom for other, begin, end in taken):
            x += outward * LANE
        ways[side] = x
    length = {"left": source.x + target.x - 2 * ways["left"]}
    length["right"] = 2 * ways["right"] - source.right - target.right
    side = "left" if length["left"] <= length["right"] + 60 else "right"
    taken.append((ways[side], top, bottom))
    return replace(lane, side=side), ways[side]


def _route(
    lane: Lane,
    x: float,
    boxes: Mapping[str, Rect],
    ranks: Mapping[str, int],
    rows: Mapping[int, Sequence[Rect]],
) -> Route:
    source, target = boxes[lane.source], boxes[lane.target]
    leftwards = lane.side.endswith("left")
    out = _leave(source, x, rows[ranks[lane.source]], _LEAVE[lane.side], leftwards)
    back = _enter(target, x, rows[ranks[lane.target]], _ENTER[lane.side], leftwards)
    label = None
    if not lane.side.startswith("far"):
        label = (x - 5 if leftwards else x + 5, (out[-1][1] + back[0][1]) / 2)
    shared = f"{lane.side}:{lane.group}" if lane.side.startswith("far") else ""
    return Route((*out, *back), label, shared, len(out))


def _blocked(box: Rect, row: Sequence[Rect], leftwards: bool) -> bool:
    return any(other.x < box.x if leftwards else other.x > box.x for other in row)


def _leave(box: Rect, x: float, row: Sequence[Rect], part: float, leftwards: bool) -> list[Point]:
    if not _blocked(box, row, leftwards):
        y = box.y + box.height * part
        return [(box.x if leftwards else box.right, y), (x, y)]
    floor = max(other.bottom for other in row) + 10
    side = box.x + 14 if leftwards else box.right - 14
    return [(side, box.bottom), (side, floor), (x, floor)]


def _enter(box: Rect, x: float, row: Sequence[Rect], part: float, leftwards: bool) -> list[Point]:
    if not _blocked(box, row, leftwards):
        y = box.y + box.height * part
        return [(x, y), (box.x if leftwards else box.right, y)]
    ceiling = min(other.y for other in row) - 24
    side = box.x + 14 if leftwards else box.right - 14
    return [(x, ceiling), (side, ceiling), (side, box.y)]
