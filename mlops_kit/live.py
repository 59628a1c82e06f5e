"""Tell a run as it goes: a line for each state that is done or has failed; must not call AWS.

Whole lines only, so that a terminal, a notebook and papermill's log all read well; a terminal also sees which
state is being waited for.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from mlops_kit.execute import Change

_WORKS = ("Task", "Map", "Parallel", "Wait")


class Live:
    """Prints changes; used as ``with Live(title) as live: wait(..., live)``.

    Parameters
    ----------
    title : str
        First line.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._told: set[str] = set()
        self._open: dict[str, None] = {}
        self._spinner: Any = None

    def __enter__(self) -> Live:
        if sys.stdout.isatty():
            from rich.console import Console

            self._spinner = Console().status("")
            self._spinner.start()
        print(self._title, flush=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner:
            self._spinner.stop()

    def __call__(self, change: Change) -> None:
        """One change; a state visited again is told only when it fails."""
        if change.what == "entered":
            self._open[change.state] = None
        elif change.what == "failed":
            print(f"  {change.state:24} failed after {_seconds(change.seconds)}: {change.error}", flush=True)
        else:
            self._open.pop(change.state, None)
            told = change.state in self._told
            if change.error or (not told and (change.kind in _WORKS or change.seconds >= 0.05)):
                self._told.add(change.state)
                words = "  failure caught" if change.error else ""
                print(f"  {change.state:24} {_seconds(change.seconds):>8}{words}", flush=True)
        if self._spinner:
            self._spinner.update(f"  {', '.join(self._open)} ..." if self._open else "")


def _seconds(value: float) -> str:
    if value < 119.5:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"
