"""Follow a growing file line by line and remember how far; must not know what the lines are for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

_CHUNK = 1 << 20
_LONGEST = 1 << 18  # a line longer than an event of CloudWatch Logs is delivered in pieces

_log = logging.getLogger(__name__)


class Tail:
    """Lines of one file, each delivered once, from a remembered offset on.

    Parameters
    ----------
    path : pathlib.Path
        The file; it need not exist yet. Beside it stands ``<name>.offset``.
    deliver : callable
        Takes a list of lines without their ends; must be quick. What it raises is logged.
    """

    def __init__(self, path: Path, deliver: Callable[[list[str]], None]) -> None:
        self._path = path
        self._deliver = deliver
        self._mark = path.with_name(f"{path.name}.offset")
        self._offset: int | None = None
        self._seen = -1

    def pump(self, *, final: bool = False) -> None:
        """Deliver what has been written since; with ``final`` also a last line without an end."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if self._offset is None:
            self._offset = self._remembered()
        if size == self._seen and not final:
            return
        self._seen = size
        with self._path.open("rb") as file:
            taken = 1
            while taken:
                file.seek(self._offset)
                taken = self._take(file.read(_CHUNK), final)
                self._offset += taken

    def _take(self, data: bytes, final: bool) -> int:
        end = data.rfind(b"\n") + 1
        if end == 0 and (final or len(data) >= _LONGEST):
            end = len(data)
        if end == 0:
            return 0
        lines = data[:end].decode("utf-8", "replace").removesuffix("\n").split("\n")
        try:
            self._deliver([line.rstrip("\r") for line in lines])
        except Exception:
            _log.exception("Output of %s could not be delivered", self._path)
        self._mark.write_text(str((self._offset or 0) + end))
        return end

    def _remembered(self) -> int:
        try:
            return int(self._mark.read_text())
        except (FileNotFoundError, ValueError):
            return 0
