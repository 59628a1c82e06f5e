"""Runs something right after a module was imported, so that what is unused is not loaded; knows no module."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_hooks: dict[str, list[Callable[[], None]]] = {}


def after_import(name: str, hook: Callable[[], None]) -> None:
    """Call ``hook`` once, as soon as the module has been imported; at once when it has been already."""
    if name in sys.modules:
        hook()
        return
    _hooks.setdefault(name, []).append(hook)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _hooks:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            _call_after(spec.loader, fullname)
        return spec


def _call_after(loader: Any, name: str) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        for hook in _hooks.pop(name, []):
            hook()

    loader.exec_module = exec_module
