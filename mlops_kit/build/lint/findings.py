"""Findings as values, with a form for the terminal, for notebooks and for programs; must not look for any."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Literal, overload

Severity = Literal["error", "warning"]
WIDTH = 100
_STYLE = "text-align:left;vertical-align:top;white-space:normal"


@dataclass(frozen=True)
class Finding:
    """One thing that a person should change.

    Attributes
    ----------
    state : str
        Name of the state; empty for the definition as a whole.
    field : str
        Field within the state, such as ``Parameters/TrainingJobName.$``; may be empty.
    problem : str
        What is wrong, and why.
    fix : str
        What to do.
    severity : {"error", "warning"}
        ``error``: AWS refuses the definition, or it fails when it comes to this point. ``warning``: it may
        run, but a careful person would not leave it so.
    """

    state: str
    field: str
    problem: str
    fix: str
    severity: Severity = "error"

    def __str__(self) -> str:
        where = " ".join(part for part in (self.state or "(definition)", self.field) if part)
        lines = [f"{self.severity:<8} {where}"]
        for name, text in (("", self.problem), ("Fix: ", self.fix)):
            lines += textwrap.wrap(name + text, WIDTH - 9, break_long_words=False, break_on_hyphens=False)
        return "\n         ".join(lines)


class Findings(Sequence[Finding]):
    """Findings in order: errors first, then as the states stand in the definition; empty when all is well."""

    def __init__(self, found: Iterable[Finding] = ()) -> None:
        unique = dict.fromkeys(found)
        self._found = tuple(sorted(unique, key=lambda finding: finding.severity != "error"))

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | Sequence[Finding]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those of severity ``error``."""
        return tuple(finding for finding in self._found if finding.severity == "error")

    def __repr__(self) -> str:
        return "\n\n".join([*map(str, self._found), self.summary()])

    __str__ = __repr__

    def summary(self) -> str:
        """One line: how many of each."""
        if not self._found:
            return "No findings."
        errors = len(self.errors)
        return f"{_counted(errors, 'error')}, {_counted(len(self) - errors, 'warning')}"

    def to_json(self) -> str:
        """A JSON array with one object a finding: state, field, problem, fix, severity."""
        return json.dumps([asdict(finding) for finding in self._found], indent=2, ensure_ascii=False)

    def _repr_html_(self) -> str:
        if not self._found:
            return "<p>No findings.</p>"
        head = "".join(
            f'<th style="{_STYLE}">{name}</th>' for name in ("", "State", "Field", "Problem", "Fix")
        )
        return (
            f'<table class="mathjax_ignore"><caption>'
            f"{self.summary()}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(map(_row, self._found))}</tbody></table>"
        )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _row(finding: Finding) -> str:
    colour = "#b3261e" if finding.severity == "error" else "#8a5a00"
    cells = [f'<td style="{_STYLE};color:{colour}"><b>{finding.severity}</b></td>']
    for text in (finding.state, finding.field, finding.problem, finding.fix):
        cells.append(f'<td style="{_STYLE}">{escape(text)}</td>')
    return f"<tr>{''.join(cells)}</tr>"
