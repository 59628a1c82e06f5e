"""How a plan, a removal and a drift show themselves: in a terminal, in a log and in JupyterLab.

Must not call AWS. Every value here renders to the same plain text in each run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_kit.deploy.changes import ACTIONS, PropertyChange, Row

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLOUR = {"add": "green", "modify": "yellow", "replace": "magenta", "remove": "red", "import": "cyan"}
_SIGN = {"add": "+", "modify": "~", "replace": "±", "remove": "-", "import": ">"}
_HTML_COLOUR = {
    "add": "#009E73",
    "modify": "#B07A00",
    "replace": "#CC79A7",
    "remove": "#D55E00",
    "import": "#0072B2",
}
_WIDTH = 118


class Shown:
    """A value with a text form for terminals and logs and an HTML form for notebooks."""

    def __rich__(self) -> RenderableType:
        """For rich's console."""
        raise NotImplementedError

    def _html(self) -> str:
        raise NotImplementedError

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=_WIDTH, color_system=None, force_terminal=False, force_jupyter=False)
        with console.capture() as captured:
            console.print(self, crop=False)
        return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<div class="mathjax_ignore">{self._html()}</div>'  # ${...} is no formula


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """What an apply would change.

    Attributes
    ----------
    stack : str
        CloudFormation stack.
    rows : tuple of Row
        One a resource; empty when the stack is as described.
    first : Plan or None
        The foundation's, where it changes before.
    note : str
        What else will happen, such as that the stack is made anew.
    """

    stack: str
    rows: tuple[Row, ...]
    first: Plan | None = None
    note: str = ""

    @property
    def changes(self) -> bool:
        """Whether anything would change."""
        return bool(self.rows) or (self.first is not None and self.first.changes)

    @property
    def summary(self) -> str:
        """Such as ``1 to add, 2 to modify``."""
        counts = {action: sum(row.action == action for row in self.rows) for action in ACTIONS}
        return ", ".join(f"{count} to {action}" for action, count in counts.items() if count) or "no changes"

    def __rich__(self) -> RenderableType:
        from rich.console import Group

        return Group(*self._parts())

    def _parts(self) -> Iterator[RenderableType]:
        if self.first is not None and self.first.changes:
            yield from self.first._parts()
        yield _heading(self.stack, self.summary, self.note)
        if self.rows:
            yield _table(self.rows)
            yield from _diffs(self.rows)

    def _html(self) -> str:
        before = self.first._html() if self.first is not None and self.first.changes else ""
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"{before}<p><b>{escape(self.stack)}</b>: {self.summary}</p>{note}" + _html_table(self.rows)


def _heading(stack: str, summary: str, note: str) -> RenderableType:
    from rich.text import Text

    return Text.assemble((stack, "bold"), f": {summary}", (f"\n{note}" if note else "", "italic"))


def _table(rows: Sequence[Row]) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    wide = any(row.changes for row in rows)
    for name in ("", "resource", "type", *(("property", "before", "after") if wide else ())):
        table.add_column(name, overflow="fold", no_wrap=name in ("", "resource", "type"))
    for row in rows:
        style = _COLOUR[row.action]
        label = f"{row.logical_id} ({row.note})" if row.note else row.logical_id
        head = (
            Text(f"{_SIGN[row.action]} {row.action}", style),
            Text(label),
            Text(row.type.removeprefix("AWS::"), "dim"),
        )
        lines = [_cells(change) for change in row.changes] or [("", "", "")]
        for number, line in enumerate(lines):
            left = head if number == 0 else ("", "", "")
            table.add_row(*left, *(map(Text, line) if wide else ()))
    return table


def _cells(change: PropertyChange) -> tuple[str, str, str]:
    anew = {"Always": " (made anew)", "Conditionally": " (perhaps made anew)"}.get(change.recreation, "")
    if change.diff:
        return change.path + anew, "", "see the diff below"
    return change.path + anew, change.before or "", change.after or "(removed)"


def _diffs(rows: Sequence[Row]) -> Iterator[RenderableType]:
    from rich.text import Text

    for row in rows:
        for change in row.changes:
            if change.diff:
                yield Text(f"\n{row.logical_id}.{change.path}", "bold")
                for line in change.diff.splitlines():
                    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
                    yield Text(line, style, no_wrap=True, overflow="ignore")


def _html_table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    wide = any(row.changes for row in rows)
    head = ("", "resource", "type", *(("property", "before", "after") if wide else ()))
    table = html_table(head, [cells[: len(head)] for cells in _html_rows(rows)])
    return table + "".join(_html_diffs(rows))


def _html_rows(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        style = f"color:{_HTML_COLOUR[row.action]};white-space:nowrap"
        action = f'<b style="{style}">{_SIGN[row.action]} {row.action}</b>'
        note = f"<br><i>{escape(row.note)}</i>" if row.note else ""
        head = (action, escape(row.logical_id) + note, escape(row.type.removeprefix("AWS::")))
        for number, change in enumerate(row.changes or (PropertyChange(""),)):
            left = head if number == 0 else ("", "", "")
            yield (*left, *map(escape, _cells(change) if change.path else ("", "", "")))


def _html_diffs(rows: Sequence[Row]) -> Iterator[str]:
    """Below the table, as wide as the page."""
    for row in rows:
        for change in row.changes:
            if change.diff:
                name = escape(f"{row.logical_id}.{change.path}")
                yield f"<details open><summary><b>{name}</b></summary>{_html_diff(change.diff)}</details>"


def _html_diff(diff: str) -> str:
    colours = {"+": "#00785a", "-": "#b34700", "@": "#0072B2"}
    lines = (
        f'<span style="color:{colours.get(line[:1], "inherit")}">{escape(line)}</span>'
        for line in diff.splitlines()
    )
    style = "max-height:30em;overflow:auto;text-align:left;margin:0"
    return f'<pre style="{style}">' + "\n".join(lines) + "</pre>"


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for a notebook; cells are HTML already."""
    cell = 'style="text-align:left;vertical-align:top"'
    top = "".join(f"<th {cell}>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td {cell}>{one}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def text_table(head: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> RenderableType:
    """A table for a terminal, its title a line of its own above it; cells are text."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return Group(Text(title, "bold"), table) if title else table
