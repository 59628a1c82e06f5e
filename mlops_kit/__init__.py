"""ML workflows on AWS Step Functions, from a notebook. Names are lazy: importing this loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Artifact": "mlops_kit.artifacts",
    "KitError": "mlops_kit.errors",
    "Pipeline": "mlops_kit.pipeline",
    "Schedule": "mlops_kit.pipeline",
    "Settings": "mlops_kit.settings",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mlops_kit' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
