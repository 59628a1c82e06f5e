"""Lets modules that copy before they hand out share instead, for a moment and one thread; knows no module.

ministack's `get_state` copies all that a service holds, which takes longer than to encode it. What is encoded
at once, in the loop's own turn, needs no copy.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any


class _SharingCopy:
    """Stands for the module ``copy``: `deepcopy` gives the value itself to the thread that shares."""

    def __init__(self) -> None:
        self.thread = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(copy, name)

    def deepcopy(self, value: Any, memo: Any = None) -> Any:
        """The value itself while this thread shares, else a copy."""
        return value if threading.get_ident() == self.thread else copy.deepcopy(value, memo)


_COPY = _SharingCopy()


@contextlib.contextmanager
def sharing(names: Iterable[str]) -> Iterator[None]:
    """Let ``copy.deepcopy`` of the loaded modules named share, in this thread, until the block ends."""
    for name in names:
        loaded: Any = sys.modules.get(name)
        if loaded is not None and getattr(loaded, "copy", None) is copy:
            loaded.copy = _COPY
    _COPY.thread = threading.get_ident()
    try:
        yield
    finally:
        _COPY.thread = 0
