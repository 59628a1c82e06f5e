"""Where a request for an endpoint goes: variants, their weights, their addresses; must not call them."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Address:
    """Where a serving process listens, and the secret it wants to hear."""

    port: int
    secret: str


class Target(Protocol):
    """A variant that can be called."""

    name: str

    @property
    def address(self) -> Address | None:
        """Where its process listens; None while there is none."""


@dataclass(frozen=True)
class Route:
    """A variant and its share of the traffic."""

    target: Target
    weight: float


class Routes:
    """The routes of every endpoint; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str], tuple[Route, ...]] = {}

    def set(self, region: str, endpoint: str, routes: Sequence[Route]) -> None:
        """Send an endpoint's traffic to these variants from now on."""
        with self._lock:
            self._routes[region, endpoint] = tuple(routes)

    def remove(self, region: str, endpoint: str) -> None:
        """Send no more traffic."""
        with self._lock:
            self._routes.pop((region, endpoint), None)

    def of(self, region: str, endpoint: str) -> tuple[Route, ...]:
        """The routes of an endpoint; empty when nothing is in service."""
        with self._lock:
            return self._routes.get((region, endpoint), ())


def choose(routes: Sequence[Route], variant: str | None) -> Target | None:
    """The variant that is asked for, or one by weight; None when there is no such variant.

    With all weights 0 every variant is as likely.
    """
    if variant is not None:
        return next((route.target for route in routes if route.target.name == variant), None)
    weights = [route.weight for route in routes]
    if not any(weights):
        weights = [1.0] * len(routes)
    return random.choices(routes, weights)[0].target  # noqa: S311 - traffic, no secret
