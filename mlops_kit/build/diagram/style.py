"""Colours, signs and sizes of the drawing, and how wide a text will be; draws nothing.

Colours of states of an execution are those of Okabe and Ito, "Color Universal Design" (2008), told apart by
people who see red and green alike; each also has its own sign and its own pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
INK, SOFT, LINE, FRAME, PAPER = "#1f2937", "#64748b", "#7b8794", "#cbd5e1", "#ffffff"
CATCH, WAYS, CONTAINER = "#b45309", "#94a3b8", "#f8fafc"
NAME_SIZE, DETAIL_SIZE, LABEL_SIZE = 13.0, 11.0, 11.0
NAME_LENGTH = 24  # longer names are broken into two lines

_NARROW, _WIDE = frozenset("ijltfrI.,:;'!|()[]-/ "), frozenset("mwMW@%…≤≥")


@dataclass(frozen=True)
class Look:
    """How a status looks: its colour, a pale tint of it, the dashes of its bar, and its words."""

    colour: str
    tint: str
    dashes: str
    words: str


STATUSES = {
    "SUCCEEDED": Look("#009e73", "#ecfaf5", "", "succeeded"),
    "FAILED": Look("#d55e00", "#fdf1e8", "7 3", "failed"),
    "CAUGHT": Look("#b8860b", "#fdf8e6", "2 3", "failed, and was caught"),
    "RUNNING": Look("#0072b2", "#eaf4fb", "12 5", "running"),
    "TIMED_OUT": Look("#a5507f", "#fbf0f6", "4 2", "timed out"),
    "ABORTED": Look("#a5507f", "#fbf0f6", "1 2", "aborted"),
}
_SERVICE_COLOURS = {
    **{"Lambda": "#c2610c", "SageMaker": "#0f766e", "Glue": "#6d4bb8", "DynamoDB": "#2f5fc4"},
    **{"SNS": "#b83280", "SQS": "#b83280", "EventBridge": "#b83280", "S3": "#4d7c0f", "Athena": "#4d7c0f"},
    **{"Step Functions": "#b83280"},
}
_SIGNS = {
    **{"Lambda": "λ", "SageMaker": "SM", "Glue": "Gl", "DynamoDB": "DB", "SNS": "SN", "SQS": "SQ"},
    **{"EventBridge": "EB", "S3": "S3", "Athena": "At", "Step Functions": "SF", "CloudWatch": "CW"},
}


def colour_of(kind: str, service: str) -> str:
    """Colour of a state's sign, when no execution colours it."""
    if kind in ("Succeed", "Fail"):
        return {"Succeed": "#009e73", "Fail": "#d55e00"}[kind]
    return _SERVICE_COLOURS.get(service, "#64748b")


def sign_of(service: str) -> str:
    """Two letters or so for a service."""
    return _SIGNS.get(service, service[:2] or "▸")


def width(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text will be, in pixels, a little too wide rather than too narrow."""
    units = 0.0
    for letter in text:
        if letter in _NARROW:
            units += 0.37
        elif letter in _WIDE:
            units += 0.95
        elif letter.isupper() or ord(letter) > 0x2E7F:
            units += 0.73 if ord(letter) <= 0x2E7F else 1.05
        else:
            units += 0.63
    return units * size * (1.1 if bold else 1.0)


def shortened(text: str, length: int = 34) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def lines(name: str) -> list[str]:
    """A state's name in one or two lines, broken where a word begins."""
    if len(name) <= NAME_LENGTH:
        return [name]
    words = re.findall(r"[A-Z]?[^A-Z\s_-]+[\s_-]*|[A-Z]+(?![a-z])[\s_-]*|.", name)
    first = ""
    while words and len(first) + len(words[0]) <= max(NAME_LENGTH, len(name) // 2):
        first += words.pop(0)
    rest = "".join(words)
    if not first:
        first, rest = name[:NAME_LENGTH], name[NAME_LENGTH:]
    longest = NAME_LENGTH + 8
    return [first.rstrip(), rest if len(rest) <= longest else rest[: longest - 1] + "…"] if rest else [first]


def seconds(value: float | None) -> str:
    """A duration for people: ``40 ms``, ``4.2 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if value is None:
        return ""
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
