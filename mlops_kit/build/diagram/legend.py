"""The line below the drawing that says what its marks mean; only of marks that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.build.diagram import style
from mlops_kit.build.diagram.marks import badge, element, end_mark, retry, text
from mlops_kit.build.diagram.scene import Scene, ways

ROW, GAP = 20.0, 22.0


def legend(whole: Scene, run: Mapping[str, Any] | None) -> tuple[str, float, float]:
    """The legend's SVG at the origin, its width and its height."""
    items = [*_lines(whole), *_statuses(whole, run)]
    body, x, y, widest = [], 0.0, 0.0, 0.0
    limit = max(whole.width, 420.0)
    for mark, words in items:
        room = 34 + style.width(words, style.LABEL_SIZE)
        if x and x + room > limit:
            x, y = 0.0, y + ROW
        place = f"translate({x:.1f} {y + 22:.1f})"
        words_at = text(34, 4, words, style.LABEL_SIZE, style.SOFT)
        body.append(f'<g transform="{place}">{mark}{words_at}</g>')
        x += room + GAP
        widest = max(widest, x - GAP)
    return "".join(body), widest, (y + ROW + 10 if items else 0.0)


def _lines(whole: Scene) -> Iterator[tuple[str, str]]:
    scenes = list(whole.scenes())
    catches: dict[str, bool] = {}
    for one in scenes:
        for edge, route in zip(one.edges, one.placement.routes, strict=True):
            if edge.kind == "catch":
                catches[edge.target] = catches.get(edge.target, False) or bool(route.lane)
    bundled = [target for target, shared in catches.items() if shared]
    if catches:
        words = f"on error (Catch) to {' and '.join(bundled)}" if bundled else "on error (Catch)"
        yield _line(style.CATCH, "5 4"), words
    if any(node.attempts for one in scenes for node in one.flow.nodes):
        yield retry(2, -6, 3).replace("×3", "×n"), "tried again on error (Retry)"
    for source, words in ways(scenes).items():
        yield _line(style.WAYS, None), f"{source}: {words}"
    if any(node.ends and node.kind not in ("Succeed", "Fail") for one in scenes for node in one.flow.nodes):
        yield end_mark(16, 0), "may end here"


def _statuses(whole: Scene, run: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if run is not None:
        present = {one.status for one in run.values()}
        for status, look in style.STATUSES.items():
            if status in present:
                yield badge(status, 20, 0), look.words
        if any(node.name not in run for node in whole.flow.all_nodes()):
            box = element("rect", x=4, y=-7, width=24, height=14, rx=4, stroke=style.FRAME, fill="none")
            yield box, "not reached"


def _line(colour: str, dashes: str | None) -> str:
    return element("path", d="M2 0H28", stroke=colour, stroke_width=1.5, stroke_dasharray=dashes, fill="none")
