"""Which variables a state reads; must not evaluate anything."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from mlops_kit.asl import expressions, intrinsics
from mlops_kit.asl.jsonatafunctions import FUNCTIONS
from mlops_kit.asl.jsonatareferences import references
from mlops_kit.asl.pathparse import BadPath, parse
from mlops_kit.asl.states import Place


def read(place: Place, language: str) -> Iterator[str]:
    """Names (without ``$``) of the variables that a state's expressions read, with repetitions."""
    for found in expressions.find(place, language):
        if isinstance(found.text, str):
            yield from _jsonata(found.text) if found.kind == expressions.JSONATA_TEXT else _paths(found.text)


def _jsonata(text: str) -> Iterator[str]:
    for root, _ in references(text):
        name = root[1:]
        if root.startswith("$") and name not in ("", "$", "states") and name not in builtins():
            yield name


def _paths(text: str) -> Iterator[str]:
    texts = [text]
    if text.startswith("States."):
        try:
            texts = intrinsics.references(intrinsics.parse(text))
        except intrinsics.BadIntrinsic:
            return
    for path in texts:
        try:
            root = parse(path).root
        except BadPath:
            continue
        if root not in ("$", "$$"):
            yield root


@lru_cache(maxsize=1)
def builtins() -> frozenset[str]:
    """Names of JSONata's own functions and of those that Step Functions adds."""
    from jsonata import Jsonata

    return frozenset(Jsonata("1").environment.parent.bindings) | frozenset(FUNCTIONS)
