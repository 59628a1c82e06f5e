"""Lines that tell how far something is: kept in a terminal and a log, gone from a notebook's cell once it is
done; must not know what is being done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def passing() -> Iterator[None]:
    """What is printed inside gives way to the cell's next output, unless an error ends the block.

    Papermill's log has told the lines by then. Outside a Jupyter kernel nothing is taken away.
    """
    yield
    if _in_kernel():
        from IPython.display import clear_output

        clear_output(wait=True)


def _in_kernel() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
