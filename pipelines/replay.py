"""Replays of the models for offline simulations, with the code that the jobs run; must not call AWS."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from mlops_kit.drift import windows
from mlops_kit.drift.check import profile as profile_of
from mlops_kit.drift.profile import Profile
from mlops_kit.drift.windows import Window
from mlops_kit.errors import UsageError
from pipelines.models import find
from pipelines.models.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


@cache
def demand() -> Demand:
    """The demand model's replay, on the bundled data; one a process, for what it trained is kept."""
    return Demand(find("demand"))


@dataclass(frozen=True)
class Champion:
    """A trained model and the profile of its training."""

    until: str
    model: Any
    profile: Profile


@dataclass(frozen=True, eq=False)
class Demand:
    """Trains and measures as the retraining and the monitor do.

    Attributes
    ----------
    spec : ModelSpec
        Window, hyperparameters and data.
    """

    spec: ModelSpec

    @cached_property
    def _kept(self) -> dict[Any, Any]:
        return {}

    @property
    def days(self) -> int:
        """Length of a window."""
        return self.spec.drift.days

    @property
    def limits(self) -> Mapping[str, float]:
        """Above which a window counts as drifted."""
        return self.spec.drift.limits

    def train(self, until: str) -> Champion:
        """The model of a retraining as of a day.

        Raises
        ------
        UsageError
            The data do not hold its window.
        """
        if until not in self._kept:
            self._kept[until] = self._train(until)
        champion: Champion = self._kept[until]
        return champion

    def measure(self, champion: Champion, start: str, end: str) -> Window:
        """The measures of a window against a champion.

        Raises
        ------
        UsageError
            The data do not hold the window.
        """
        key = (champion.until, start, end)
        if key not in self._kept:
            self._kept[key] = self._measure(champion, start, end)
        window: Window = self._kept[key]
        return window

    def profiles(self, champion: Champion, start: str, end: str) -> tuple[Profile, Profile]:
        """The profiles of a champion's training and of a window."""
        return champion.profile, profile_of(self._between(start, end), champion.profile)

    @cached_property
    def _hours(self) -> pd.DataFrame:
        """Features of every hour of the data."""
        import pandas as pd

        from pipelines.features import demand as module

        return module.features(module.clean(pd.read_csv(self.spec.data.path)))

    def _between(self, start: str | date, end: str | date) -> pd.DataFrame:
        import pandas as pd

        when = self._hours["timestamp"]
        first, last = when.iloc[0].date(), when.iloc[-1].date()
        if date.fromisoformat(str(start)) < first or date.fromisoformat(str(end)) > last + timedelta(days=1):
            raise UsageError(
                f"The window {start} to {end} is outside the data of {self.spec.name}.",
                suggestion=f"the data hold {first} to {last}.",
            )
        return self._hours[(when >= pd.Timestamp(start)) & (when < pd.Timestamp(end))]

    def _train(self, until: str) -> Champion:
        from pipelines.features import demand as module
        from pipelines.features.profile import profile
        from pipelines.jobs import train

        end = date.fromisoformat(until)
        window = self._between(end - timedelta(days=self.spec.train_days), end)
        judged = window["timestamp"].dt.date >= end - timedelta(days=self.spec.test_days)
        known = window[~judged]
        numeric = [name for name in (*module.FEATURES, module.TARGET) if name not in module.CATEGORIES]
        seen = profile(known, numeric, module.CATEGORIES)
        with _one_thread():
            model = train.fit(known, Namespace(**self.spec.hyperparameters))
        return Champion(until, model, Profile.from_json(json.dumps(seen)))

    def _measure(self, champion: Champion, start: str, end: str) -> Window:
        from pipelines.functions.compare_windows import errors
        from pipelines.jobs.score_models import predict, score

        window = self._between(start, end)
        reference, seen = self.profiles(champion, start, end)
        with _one_thread():
            predicted = predict(champion.model, window)
        scored = {
            "champion": score(window["cnt"], predicted),
            "naive": score(window["cnt"], window["same_hour_last_week"].fillna(0.0)),
        }
        return Window(start, end, windows.features(reference, seen), errors(scored))


def _one_thread() -> AbstractContextManager[object]:
    """OpenMP's threads wait in a loop: beside other work two are slower than one."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
