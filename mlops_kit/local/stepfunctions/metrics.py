"""Counts for CloudWatch, gathered between commits so that a busy engine puts few; knows no execution."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mlops_kit.local.service import Context

_NAMESPACE = "AWS/States"


class Key(NamedTuple):
    """Which metric: region, name, and its one dimension."""

    region: str
    name: str
    dimension: str
    value: str


class Tally:
    """Counts that have not been put yet; for the engine's loop."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def add(self, key: Key) -> None:
        """Count one."""
        self._counts[key] += 1

    def put(self, context: Context) -> None:
        """Hand all counts to CloudWatch."""
        counts, self._counts = self._counts, Counter()
        for key, count in counts.items():
            dimensions = {key.dimension: key.value}
            context.within(key.region).metric(_NAMESPACE, key.name, count, "Count", dimensions)


def put_time(context: Context, key: Key, seconds: float) -> None:
    """Put a duration."""
    dimensions = {key.dimension: key.value}
    context.within(key.region).metric(_NAMESPACE, key.name, seconds * 1000, "Milliseconds", dimensions)
