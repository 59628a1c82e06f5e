"""Models: one frozen spec each; a fourth is a spec, a feature module and, where it differs, a script."""

from __future__ import annotations

from mlops_kit.errors import UsageError
from pipelines.models.demand import DEMAND
from pipelines.models.spec import ModelSpec

MODELS = {spec.name: spec for spec in (DEMAND,)}


def find(name: str) -> ModelSpec:
    """The spec of that name.

    Raises
    ------
    UsageError
        There is none; the message lists those that there are.
    """
    if name not in MODELS:
        raise UsageError(
            f"There is no model {name!r}.", suggestion=f"use one of: {', '.join(sorted(MODELS))}."
        )
    return MODELS[name]
