"""Run every benchmark, or those named: python -m benchmarks [front] [drift] ..."""

from __future__ import annotations

import importlib
import sys

ALL = ("front", "startup", "build", "engine", "load", "endpoint", "drift")

for name in sys.argv[1:] or ALL:
    print(importlib.import_module(f"benchmarks.{name}").main(), flush=True)
