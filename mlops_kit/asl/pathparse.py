"""The text of a JSONPath taken apart, Jayway's dialect; must not look at any data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

Step = str | int

_ROOT = re.compile(r"\$\$|\$(?P<variable>[^\W\d]\w*)?")
# Jayway ends a dotted name only at '.', '[' and '(', and refuses blanks in it.
_DOTTED = re.compile(r"\.(?P<name>[^\s.\[\]()*'\"][^\s.\[\]()'\"]*)")
_INDEX = re.compile(r"\[\s*(?P<index>-?\d+)\s*\]")
_QUOTED = re.compile(r"""\[\s*(?:'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*\]""")
_MANY_NAMES = re.compile(
    r"""\[\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:\s*,\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))+\s*\]"""
)
_MANY_INDEXES = re.compile(r"\[\s*-?\d+(?:\s*,\s*-?\d+)+\s*\]")
_SLICE = re.compile(r"\[\s*(?:-?\d+)?\s*:\s*(?:-?\d+)?\s*(?::\s*(?:-?\d+)?\s*)?\]")
_WILDCARD = re.compile(r"\.\*|\[\s*\*\s*\]")
_FUNCTION = re.compile(r"\.\w+\(\)$")


@dataclass(frozen=True)
class Path:
    """A parsed path.

    Attributes
    ----------
    root : str
        ``$`` (the data), ``$$`` (the context object), or the name of a variable.
    steps : tuple of str or int
        Names and indexes up to the first part that can select many values.
    rest : str
        That part and what follows, in a form that RFC 9535 libraries read; empty for a definite path.
    function : str
        A function call at the end, such as ``length()``, which AWS's paths do not have.
    """

    root: str
    steps: tuple[Step, ...]
    rest: str = ""
    function: str = ""

    @property
    def definite(self) -> bool:
        """Whether the path gives one value, not a list."""
        return not self.rest


class BadPath(ValueError):
    """A text is no path; the message says why."""


@lru_cache(maxsize=8192)
def parse(text: str) -> Path:
    """Take a path apart.

    Raises
    ------
    BadPath
        The text is no path.
    """
    root = _ROOT.match(text)
    if root is None:
        raise BadPath("a path begins with $, $$ or $name")
    position, steps = root.end(), []
    while position < len(text):
        part = _step(text, position)
        if part is None:
            break
        steps.append(part[0])
        position = part[1]
    name = root["variable"] or root.group()
    rest, function = _rest(text, position)
    return Path(name, tuple(steps), rest, function)


def fragment(steps: tuple[Step, ...]) -> str:
    """Steps in Jayway's bracket form, such as ``['a'][0]``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f"['{step}']" for step in steps)


def _step(text: str, position: int) -> tuple[Step, int] | None:
    if match := _DOTTED.match(text, position):
        # 'name(' is a function call, not a name
        return None if text[match.end() : match.end() + 1] == "(" else (match["name"], match.end())
    if match := _INDEX.match(text, position):
        return int(match["index"]), match.end()
    if match := _QUOTED.match(text, position):
        if match["single"] is not None:
            return re.sub(r"\\([\\'])", r"\1", match["single"]), match.end()
        return re.sub(r'\\([\\"])', r"\1", match["double"]), match.end()
    return None


def _rest(text: str, position: int) -> tuple[str, str]:
    parts: list[str] = []
    while position < len(text):
        if match := _FUNCTION.match(text, position):
            return "".join(parts), match.group()[1:]
        part, position = _segment(text, position)
        parts.append(part)
    return "".join(parts), ""


def _segment(text: str, position: int) -> tuple[str, int]:
    if step := _step(text, position):
        return library_form(step[0]), step[1]
    for pattern in (_WILDCARD, _SLICE, _MANY_NAMES, _MANY_INDEXES):
        if match := pattern.match(text, position):
            return match.group(), match.end()
    if text.startswith("..", position):
        return _descent(text, position)
    if text.startswith("[?", position):
        end = _closing(text, position)
        return text[position:end], end
    raise BadPath(_complaint(text, position))


def library_form(step: Step) -> str:
    """A step in brackets, quoted as RFC 9535 libraries read it."""
    if isinstance(step, int):
        return f"[{step}]"
    escaped = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def _descent(text: str, position: int) -> tuple[str, int]:
    after = position + 2
    if after >= len(text):
        raise BadPath("a path must not end with '..'")
    if text[after] == "[":
        part, end = _segment(text, after)
    else:
        part, end = _segment(text, position + 1)
    return ".." + (part[1:] if part.startswith(".") else part), end


def _closing(text: str, position: int) -> int:
    depth, quote, i = 0, "", position
    while i < len(text):
        char = text[i]
        if quote:
            if char == "\\":
                i += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    raise BadPath("a '[' is not closed")


def _complaint(text: str, position: int) -> str:
    rest = text[position:]
    if rest == ".":
        return "a path must not end with '.'"
    if rest.startswith("["):
        return f"'{rest}' is no index, quoted name, slice, wildcard or filter"
    if rest[:1].isspace():
        return "names with blanks are written ['my name']"
    return f"'{rest}' cannot be read at character {position + 1}"
