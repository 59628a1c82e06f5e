"""Small pieces of SVG: text, arrow heads, the signs of states and of what happened to them."""

from __future__ import annotations

from html import escape

from mlops_kit.build.diagram import style

Point = tuple[float, float]


def element(name: str, **attributes: str | float | None) -> str:
    """An empty element; ``None`` leaves an attribute out, an underscore stands for a hyphen."""
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))
            words.append(f'{key.replace("_", "-")}="{shown}"')
    return f"<{' '.join(words)}/>"


def text(x: float, y: float, words: str, size: float, colour: str, **attributes: str | float | None) -> str:
    """One line of text whose baseline is ``y``; further attributes as for `element`."""
    opening = element("text", x=x, y=y, font_size=size, fill=colour, **attributes)
    return f"{opening[:-2]}>{escape(words)}</text>"


def arrow(before: Point, tip: Point, colour: str, size: float = 8.0) -> str:
    """The head of an arrow that comes from a point."""
    dx, dy = tip[0] - before[0], tip[1] - before[1]
    length = max((dx * dx + dy * dy) ** 0.5, 0.01)
    ux, uy = dx / length, dy / length
    base, half = (tip[0] - ux * size, tip[1] - uy * size), size * 0.45
    corners = (tip, (base[0] - uy * half, base[1] + ux * half), (base[0] + uy * half, base[1] - ux * half))
    return element("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "Z", fill=colour)


def retry(x: float, y: float, attempts: int) -> str:
    """A dashed loop back to the state, and how often it may be tried again."""
    loop = f"M{x:.1f} {y + 11:.1f}h3a5.5 5.5 0 0 0 0 -11h-1"
    return (
        f"<g><title>tried again up to {attempts} times</title>"
        + element("path", d=loop, fill="none", stroke=style.CATCH, stroke_width=1.2, stroke_dasharray="3 2")
        + arrow((x + 6, y), (x, y), style.CATCH, 5.5)
        + text(x + 12, y + 9, f"×{attempts}", 9.5, style.CATCH)
        + "</g>"
    )


def end_mark(x: float, y: float) -> str:
    """The ring of a state with which the execution can end."""
    return element(
        "circle", cx=x, cy=y, r=5.5, fill=style.PAPER, stroke=style.INK, stroke_width=1.3
    ) + element("circle", cx=x, cy=y, r=2.7, fill=style.INK)


def badge(status: str, x: float, y: float) -> str:
    """The sign of a status in a disc of its colour."""
    look = style.STATUSES[status]
    drawing = {
        "SUCCEEDED": "M-4 0.4L-1.2 3.2L4 -2.8",
        "FAILED": "M-3 -3L3 3M3 -3L-3 3",
        "CAUGHT": "M0 -4.2V0.8M0 3.6V3.9",
        "RUNNING": "M-2 -3.4L3.4 0L-2 3.4Z",
        "TIMED_OUT": "M0 -3.8V0.4L2.6 2.2",
        "ABORTED": "M-2.8 -2.8H2.8V2.8H-2.8Z",
    }[status]
    disc = element("circle", cx=0, cy=0, r=8.5, fill=look.colour, stroke=style.PAPER, stroke_width=1.5)
    sign = element(
        "path", d=drawing, fill="none", stroke=style.PAPER, stroke_width=1.9, stroke_linecap="round"
    )
    return f'<g transform="translate({x:.1f} {y:.1f})">{disc}{sign}</g>'


def sign(kind: str, service: str, x: float, y: float, colour: str) -> str:
    """The square that says what kind of state it is; ``x`` and ``y`` are its middle."""
    square = element("rect", x=x - 12, y=y - 12, width=24.0, height=24.0, rx=6.0, fill=colour)
    drawings = {
        "Choice": "M0 -7L7 0L0 7L-7 0Z",
        "Wait": "M0 -6.5A6.5 6.5 0 1 0 0.01 -6.5M0 -3.5V0.5L3 2",
        "Pass": "M-6 0H5M1.5 -3.5L5 0L1.5 3.5",
        "Succeed": "M-5.5 0.5L-1.5 4.5L6 -4",
        "Fail": "M-4.5 -4.5L4.5 4.5M4.5 -4.5L-4.5 4.5",
        "Map": "M-6 -4.5H2V3.5H-6ZM-2 -6.5H6V1.5",
        "Parallel": "M-3 -6V6M3 -6V6",
        "Missing": "M-2.8 -3A3 3 0 1 1 0 1V2.5M0 5.4V5.6",
    }
    if kind not in drawings:
        letters = style.sign_of(service)
        size = 14.0 if len(letters) == 1 else 10.5
        return square + text(
            x, y + size * 0.36, letters, size, style.PAPER, font_weight="600", text_anchor="middle"
        )
    drawing = element(
        "path",
        d=drawings[kind],
        fill="none",
        stroke=style.PAPER,
        stroke_width=1.8,
        stroke_linecap="round",
        stroke_linejoin="round",
    )
    return square + f'<g transform="translate({x:.1f} {y:.1f})">{drawing}</g>'
