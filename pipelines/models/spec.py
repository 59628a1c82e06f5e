"""What differs from one model to the next, as a frozen value; no behaviour beyond replacing thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlops_kit.artifacts import DataFile
from mlops_kit.errors import UsageError
from mlops_kit.trigger import Schedule
from pipelines.models.expectations import RawTable

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class DriftSpec:
    """How a model's drift is watched.

    Attributes
    ----------
    days : int
        Length of a window. Four weeks: single weeks are holidays and storms.
    limits : mapping of str to float
        By statistic: a window above it (for ``bias``, in size) counts as drifted.
    """

    days: int = 28
    limits: Mapping[str, float] = field(
        default_factory=lambda: {"psi": 0.2, "bias": 0.15, "error_vs_naive": 1.0}
    )


@dataclass(frozen=True)
class ModelSpec:
    """A model and how it is retrained.

    Attributes
    ----------
    name : str
        Short name; part of stack, endpoint and model package group.
    description : str
        One sentence.
    data : DataFile
        The raw data, bundled.
    features : tuple of str
        What its training's profile describes: its features and its target.
    thresholds : mapping of str to float
        ``wape``: absolute limit; ``worse_by``: how much worse than the champion's it may be.
    train_days : int
        Length of the window before ``as_of``: 181 days are 2011-01-01 to 2011-07-01.
    validation_days, test_days : int
        Its last days: held out for the judgement, and before them for the training's own metrics.
    hyperparameters : mapping of str to int, float or str
        For the training script.
    drift : DriftSpec
        How its drift is watched.
    raw : RawTable, optional
        Its raw data as a table, and what a day of it must be like.
    training_instance, processing_instance, serving_instance : str
        SageMaker instance types.
    schedule : Schedule, optional
        When it is retrained by itself.
    """

    name: str
    description: str
    data: DataFile
    features: tuple[str, ...]
    thresholds: Mapping[str, float]
    train_days: int = 181
    validation_days: int = 14
    test_days: int = 14
    hyperparameters: Mapping[str, int | float | str] = field(default_factory=dict)
    drift: DriftSpec = DriftSpec()
    raw: RawTable | None = None
    training_instance: str = "ml.m5.large"
    processing_instance: str = "ml.m5.large"
    serving_instance: str = "ml.t2.medium"
    schedule: Schedule | None = None

    def with_thresholds(self, thresholds: Mapping[str, float] | None) -> ModelSpec:
        """The same model with some thresholds replaced.

        Raises
        ------
        UsageError
            A threshold is unknown, or no number of 0 or more.
        """
        for name, value in (thresholds or {}).items():
            known = ", ".join(sorted(self.thresholds))
            if name not in self.thresholds:
                raise UsageError(
                    f"Model {self.name!r} has no threshold {name!r}.", suggestion=f"use one of: {known}."
                )
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UsageError(
                    f"Threshold {name!r} is {value!r}, which is no number of 0 or more.",
                    suggestion="give a number such as 0.25.",
                )
        return replace(self, thresholds={**self.thresholds, **(thresholds or {})})
