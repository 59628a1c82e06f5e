"""The project's pipelines by the names that a person types; builds only the one that is asked for."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings

PACKAGE = "pipelines"


@dataclass(frozen=True)
class Entry:
    """A module of ``pipelines`` that describes a pipeline.

    Attributes
    ----------
    name : str
        As a person types it, with ``-`` for ``_``.
    module : str
        Name of the module.
    description : str
        First sentence of its docstring.
    """

    name: str
    module: str
    description: str


def entries() -> list[Entry]:
    """Every module of ``pipelines`` with a function ``build``, by name; none of them is imported."""
    found = []
    for path in sorted(_folder().glob("*.py")):
        tree = _parsed(path)
        if any(isinstance(node, ast.FunctionDef) and node.name == "build" for node in tree.body):
            words = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
            found.append(Entry(path.stem.replace("_", "-"), f"{PACKAGE}.{path.stem}", words))
    return found


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
    except SyntaxError as error:
        raise UsageError(
            f"{PACKAGE}/{path.name} is no Python.", cause=f"line {error.lineno}: {error.msg}"
        ) from None


def build(settings: Settings, text: str) -> Pipeline:
    """The pipeline that a text names: ``retraining``, ``retraining-demand`` or ``retraining:demand``.

    Raises
    ------
    UsageError
        There is no such pipeline, or it takes no model; names those there are.
    """
    entry, model = _split(text)
    module = _load(entry)
    takes_model = "model" in inspect.signature(module.build).parameters
    if model and not takes_model:
        raise UsageError(f"The pipeline {entry.name!r} takes no model, but {text!r} names {model!r}.")
    arguments: dict[str, Any] = {"model": model} if model else {}
    try:
        inspect.signature(module.build).bind(settings, **arguments)
    except TypeError as error:
        raise UsageError(
            f"{entry.module}.build cannot be called with settings{' and a model' if model else ''}.",
            cause=str(error),
            suggestion=f"name its model: {entry.name}:MODEL." if takes_model and not model else None,
        ) from None
    built = module.build(settings, **arguments)
    if not isinstance(built, Pipeline):
        raise UsageError(f"{entry.module}.build gives back a {type(built).__name__}, not a Pipeline.")
    return built


def module(name: str) -> ModuleType:
    """A module of ``pipelines`` by its name.

    Raises
    ------
    UsageError
        There is no such package or module here.
    """
    _folder()
    return _load(Entry(name, f"{PACKAGE}.{name}", ""))


def _split(text: str) -> tuple[Entry, str | None]:
    known = entries()
    for entry in sorted(known, key=lambda one: -len(one.name)):
        if text.replace("_", "-") == entry.name:
            return entry, None
        for sign in (":", "-"):
            head, rest = text[: len(entry.name)].replace("_", "-"), text[len(entry.name) :]
            if head == entry.name and rest.startswith(sign) and len(rest) > 1:
                return entry, rest[1:]
    names = ", ".join(entry.name for entry in known) or "none"
    raise UsageError(
        f"There is no pipeline {text!r}.", suggestion=f"pipelines are: {names}; with a model: NAME:MODEL."
    )


def _folder() -> Path:
    """The package's folder: the one here goes before an installed one."""
    here = Path.cwd()
    if (here / PACKAGE).is_dir():
        if str(here) not in sys.path:
            sys.path.insert(0, str(here))
        return here / PACKAGE
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"There is no package {PACKAGE!r} here.",
            suggestion="change to the project's folder and try again.",
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _load(entry: Entry) -> ModuleType:
    try:
        return importlib.import_module(entry.module)
    except (SyntaxError, ImportError) as error:
        marker = _folder() / "__init__.py"  # without it an installed package of this name goes first
        raise UsageError(
            f"{entry.module} cannot be imported.",
            cause=f"{type(error).__name__}: {error}",
            suggestion=None if marker.exists() else f"add an empty {PACKAGE}/__init__.py.",
        ) from error
