"""States as cards and containers, with what happened to them in an execution; places nothing."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mlops_kit.build.diagram import style
from mlops_kit.build.diagram.flow import Node
from mlops_kit.build.diagram.lanes import Rect
from mlops_kit.build.diagram.marks import badge, element, end_mark, retry, sign, text
from mlops_kit.build.diagram.scene import HEADER, second_line

PALE = 0.45


def card(node: Node, rect: Rect, run: Mapping[str, Any] | None) -> str:
    """A state: its sign, its name, what it does; in an execution its status and how long it took."""
    look = look_of(node, run)
    body = [_frame(node, rect, look), _sign(node, rect.x + 22, rect.y + rect.height / 2, run)]
    names = style.lines(node.name)
    y = rect.y + (rect.height - 16 * len(names) - 13) / 2 + 12
    left = rect.x + 42
    for line in names:
        body.append(text(left, y, line, style.NAME_SIZE, style.INK, font_weight="600"))
        y += 16
    colour = look.colour if look else style.SOFT
    words = style.shortened(second_line(node, run))
    body.append(text(left, y - 1, words, style.DETAIL_SIZE, colour, font_weight="600" if look else None))
    return _group(node, rect, look, body, run)


def container(node: Node, rect: Rect, run: Mapping[str, Any] | None) -> str:
    """A Map or Parallel: a frame with a header around what is inside it."""
    look = look_of(node, run)
    body = [_frame(node, rect, look), _sign(node, rect.x + 22, rect.y + HEADER / 2, run)]
    y = rect.y + HEADER / 2 + 4.5
    body.append(text(rect.x + 42, y, node.name, style.NAME_SIZE, style.INK, font_weight="600"))
    after = rect.x + 42 + style.width(node.name, style.NAME_SIZE, bold=True) + 10
    colour = look.colour if look else style.SOFT
    body.append(
        text(after, y, second_line(node, run), style.DETAIL_SIZE, colour, font_weight="600" if look else None)
    )
    return _group(node, rect, look, body, run)


def look_of(node: Node, run: Mapping[str, Any] | None) -> style.Look | None:
    """How a state's status looks; ``None`` without an execution, or when the state was not reached."""
    happened = run.get(node.name) if run else None
    return style.STATUSES.get(happened.status) if happened else None


def _frame(node: Node, rect: Rect, look: style.Look | None) -> str:
    round_ends = node.kind in ("Succeed", "Fail") and not node.inner
    fill = look.tint if look else style.CONTAINER if node.inner else style.PAPER
    stroke = look.colour if look else style.CATCH if node.kind == "Missing" else style.FRAME
    shape = element(
        "rect",
        x=rect.x,
        y=rect.y,
        width=rect.width,
        height=rect.height,
        rx=rect.height / 2 if round_ends else 9.0,
        fill=fill,
        stroke=stroke,
        stroke_width=1.6 if look else 1.2,
        stroke_dasharray="4 3" if node.kind == "Missing" else None,
    )
    if look is None or round_ends:
        return shape
    bar = element(
        "path",
        d=f"M{rect.x + 4:.1f} {rect.y + 9:.1f}V{rect.bottom - 9:.1f}",
        stroke=look.colour,
        stroke_width=4.0,
        stroke_dasharray=look.dashes or None,
    )
    return shape + bar


def _sign(node: Node, x: float, y: float, run: Mapping[str, Any] | None) -> str:
    colour = style.colour_of(node.kind, node.service) if run is None else style.SOFT
    return sign(node.kind, node.service, x, y, colour)


def _group(
    node: Node, rect: Rect, look: style.Look | None, body: list[str], run: Mapping[str, Any] | None
) -> str:
    happened = run.get(node.name) if run else None
    if node.attempts:
        body.append(retry(rect.right, rect.y + 8, node.attempts))
    if node.ends and node.kind not in ("Succeed", "Fail"):
        body.append(end_mark(rect.middle, rect.bottom))
    if happened and happened.status in style.STATUSES:
        body.append(badge(happened.status, rect.x + 2, rect.y + 2))
    words = [node.name, node.detail]
    if happened:
        words += [str(happened.status), style.seconds(happened.seconds)]
    title = escape(" · ".join(word for word in words if word))
    pale = run is not None and happened is None
    opacity = f' opacity="{PALE}"' if pale else ""
    return f'<g data-state="{escape(node.name)}"{opacity}><title>{title}</title>{"".join(body)}</g>'
