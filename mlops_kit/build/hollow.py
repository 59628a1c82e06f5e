"""Import a heavy package alone: nearly all that it imports in turn is a hollow stand-in.

Must leave no trace: what it imported stands in ``sys.modules`` only while ``Island.active()`` is entered.

The Data Science SDK needs a few small modules of the SageMaker SDK, but importing them honestly takes 3 to
6 seconds (pandas, IPython, pydantic shapes, a grammar for IRIs), looks for credentials, prints, and patches
yaml and the root logger. None of that is needed to write a definition. A hollow module answers every name
with a class that can be inherited from, called and indexed, and is false.
"""

from __future__ import annotations

import importlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_lock = threading.RLock()  # sys.modules belongs to the process: one island is entered at a time


class _Anything(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Hollow

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls if cls is Hollow else super().__call__(*args, **kwargs)

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __or__(cls, other: Any) -> Any:
        return cls

    def __ror__(cls, other: Any) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __bool__(cls) -> bool:
        return False


class Hollow(metaclass=_Anything):
    """Stands in for any name of a module that was not imported."""


class HollowModule(ModuleType):
    """Stands in for a module; every public name of it is ``Hollow``."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Hollow


class _Finder(MetaPathFinder, Loader):
    def __init__(self, island: Island) -> None:
        self.island = island
        self.thread = threading.get_ident()

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if threading.get_ident() != self.thread or self.island.is_real(fullname):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return HollowModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []


@dataclass(frozen=True)
class Island:
    """Packages imported alone, and what stands in for the rest.

    Attributes
    ----------
    packages : tuple of str
        Top-level packages that are imported privately.
    shared : tuple of str
        Top-level packages that they may really import, and that stay imported.
    hollow : tuple of str
        Modules within ``packages`` that are hollow all the same.
    """

    packages: tuple[str, ...]
    shared: tuple[str, ...] = ()
    hollow: tuple[str, ...] = ()
    _modules: dict[str, ModuleType] = field(default_factory=dict)

    def is_real(self, name: str) -> bool:
        """Whether the module of this name is imported as it is."""
        top = name.partition(".")[0]
        if top in self.packages:
            return not any(name == one or name.startswith(f"{one}.") for one in self.hollow)
        return top in sys.stdlib_module_names or top in self.shared

    def load(self, names: Sequence[str]) -> Mapping[str, ModuleType]:
        """Import modules of the island.

        Parameters
        ----------
        names : sequence of str
            Full names.

        Returns
        -------
        mapping
            The modules by name.
        """
        with self.active(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            root, level = logging.getLogger(), logging.getLogger().level
            try:
                return {name: importlib.import_module(name) for name in names}
            finally:
                root.setLevel(level)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let the island's modules import from each other; the process gets its own ones back afterwards."""
        with _lock:
            finder = _Finder(self)
            # also what the process imported since, and the island has as hollow
            before = {
                name: module
                for name, module in sys.modules.items()
                if self._is_private(name, module) or name in self._modules
            }
            for name in before:
                del sys.modules[name]
            sys.modules.update(self._modules)
            sys.meta_path.insert(0, finder)
            try:
                yield
            finally:
                sys.meta_path.remove(finder)
                for name, module in list(sys.modules.items()):
                    if self._is_private(name, module):
                        self._modules[name] = sys.modules.pop(name)
                sys.modules.update(before)

    def _is_private(self, name: str, module: ModuleType) -> bool:
        return name.partition(".")[0] in self.packages or isinstance(module, HollowModule)
