"""Imports what will be wanted next while somebody waits for AWS; must change nothing else."""

from __future__ import annotations

import importlib
from contextlib import suppress
from threading import Thread

DRAWING = (
    "pandas",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg",
)
PREDICTING = ("joblib", "sklearn.ensemble")


def imports(*modules: str) -> None:
    """Import modules in the background; one that is missing is reported by whoever needs it."""
    Thread(target=_import, args=(modules,), name="imports", daemon=True).start()


def _import(modules: tuple[str, ...]) -> None:
    for module in modules:
        with suppress(ImportError):
            importlib.import_module(module)
