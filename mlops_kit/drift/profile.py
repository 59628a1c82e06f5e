"""What a profile is, how two add up, and its JSON; must not read data or judge.

Standard library only, so that a Lambda function can hold it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

from mlops_kit.drift.quiet import Quiet
from mlops_kit.errors import UsageError

BUCKETS = 256
KNOWN = 256
VERSION = 1


@dataclass(frozen=True)
class Numeric:
    """A numeric feature of a window.

    Attributes
    ----------
    count : int
        Values, infinite ones included.
    nulls : int
        Missing values; NaN is missing.
    mean, std, min, max : float or None
        ``std`` is the sample standard deviation. All ``None`` without values or when one is infinite, and
        ``std`` for a single value.
    low, high : float
        The reference's 0.1 and 99.9 percentiles; both are the value of a constant column, and 0 for a column
        without values.
    buckets : tuple of int
        258 counts: below ``low``; 256 equal steps from ``low`` to ``high``, both included; above ``high``.
        A constant reference has all that equals it in the first step.
    """

    count: int
    nulls: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    low: float
    high: float
    buckets: tuple[int, ...]

    def __add__(self, other: Numeric) -> Numeric:
        if (self.low, self.high) != (other.low, other.high):
            raise ValueError("ranges differ")
        count = self.count + other.count
        mean, squares = merged([self.moments(), other.moments()])
        extremes = [one for one in (self.min, self.max, other.min, other.max) if one is not None]
        return Numeric(
            count,
            self.nulls + other.nulls,
            mean,
            deviation(count, squares),
            None if mean is None else min(extremes),
            None if mean is None else max(extremes),
            self.low,
            self.high,
            tuple(map(add, self.buckets, other.buckets)),
        )

    def moments(self) -> tuple[int, float | None, float | None]:
        """Count, mean, and sum of the squared deviations from it."""
        squares = self.std**2 * (self.count - 1) if self.std is not None else None
        return self.count, self.mean, 0.0 if self.count == 1 and self.mean is not None else squares

    def emptied(self) -> Numeric:
        """The same range without data."""
        return Numeric(0, 0, None, None, None, None, self.low, self.high, (0,) * (BUCKETS + 2))

    def without(self, part: Numeric) -> Numeric:
        """Counts of what is not in the part; moments are not kept."""
        rest = tuple(whole - less for whole, less in zip(self.buckets, part.buckets, strict=True))
        nulls = self.nulls - part.nulls
        return replace(self.emptied(), count=self.count - part.count, nulls=nulls, buckets=rest)


@dataclass(frozen=True)
class Category:
    """A category of a window.

    Attributes
    ----------
    nulls : int
        Missing values.
    counts : mapping of str to int
        How often each known value occurs: those of the reference, at most its 256 most frequent ones.
    other : int
        Values that are not known: new ones, or rare ones of a reference with more than 256.
    """

    nulls: int
    counts: Mapping[str, int]
    other: int = 0

    @property
    def count(self) -> int:
        """Values that are not missing."""
        return sum(self.counts.values()) + self.other

    def __add__(self, other: Category) -> Category:
        if self.counts.keys() != other.counts.keys():
            raise ValueError("known values differ")
        counts = {label: number + other.counts[label] for label, number in self.counts.items()}
        return Category(self.nulls + other.nulls, counts, self.other + other.other)

    def emptied(self) -> Category:
        """The same known values without data."""
        return Category(0, dict.fromkeys(self.counts, 0), 0)

    def without(self, part: Category) -> Category:
        """Counts of what is not in the part."""
        counts = {label: number - part.counts[label] for label, number in self.counts.items()}
        return Category(self.nulls - part.nulls, counts, self.other - part.other)


@dataclass(frozen=True)
class Profile:
    """A window of data, described without keeping it; profiles of one reference add up.

    Attributes
    ----------
    rows : int
        Of the window; 0 for an empty one.
    numeric : mapping of str to Numeric
        By feature.
    categories : mapping of str to Category
        By feature.
    quiet : Quiet or None
        How far windows of the reference are from the rest of it; only in a reference's own profile.
    """

    rows: int
    numeric: Mapping[str, Numeric] = field(default_factory=dict)
    categories: Mapping[str, Category] = field(default_factory=dict)
    quiet: Quiet | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """Numbers first, then categories."""
        return (*self.numeric, *self.categories)

    def __add__(self, other: Profile) -> Profile:
        """The profile of both windows; it keeps no quiet windows.

        Raises
        ------
        UsageError
            The two were not made with the same ranges, known values and features.
        """
        if set(self.features) != set(other.features):
            raise UsageError("Profiles of different features do not add up.")
        try:
            return Profile(
                self.rows + other.rows,
                {name: one + other.numeric[name] for name, one in self.numeric.items()},
                {name: one + other.categories[name] for name, one in self.categories.items()},
            )
        except (KeyError, ValueError):
            raise UsageError(
                "Profiles of different references do not add up.",
                suggestion="make both with the same reference: profile(source, reference).",
            ) from None

    def emptied(self) -> Profile:
        """Ranges and known values without data: what a window's profile is made with."""
        return Profile(
            0,
            {name: one.emptied() for name, one in self.numeric.items()},
            {name: one.emptied() for name, one in self.categories.items()},
        )

    def without(self, part: Profile) -> Profile:
        """Counts of what is not in the part: the rest of a reference beside one of its windows."""
        return Profile(
            self.rows - part.rows,
            {name: one.without(part.numeric[name]) for name, one in self.numeric.items()},
            {name: one.without(part.categories[name]) for name, one in self.categories.items()},
        )

    def only(self, features: Iterable[str]) -> Profile:
        """Some features of it."""
        kept = set(features)
        return replace(
            self,
            numeric={name: one for name, one in self.numeric.items() if name in kept},
            categories={name: one for name, one in self.categories.items() if name in kept},
        )

    def to_json(self) -> str:
        """JSON of format version 1, as a retraining writes it for the model registry, and what it leaves out:
        ``other`` of a category and ``quiet``."""
        return json.dumps(
            {
                "version": VERSION,
                "rows": self.rows,
                "numeric": {
                    name: vars(one) | {"buckets": list(one.buckets)} for name, one in self.numeric.items()
                },
                "categories": {name: vars(one) for name, one in self.categories.items()},
            }
            | ({"quiet": self.quiet.to_dict()} if self.quiet else {}),
            allow_nan=False,
        )

    @staticmethod
    def from_json(text: str | bytes) -> Profile:
        """Read what `to_json` or a retraining wrote.

        Raises
        ------
        UsageError
            It is no profile, or one of a later version.
        """
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise UsageError(
                    f"The profile has version {data['version']}; this mlops-kit reads version {VERSION}.",
                    suggestion="install the mlops-kit that wrote it, or make it anew: mlops-kit profile FILE",
                )
            return Profile(
                int(data["rows"]),
                {name: _numeric(one) for name, one in data["numeric"].items()},
                {name: _category(one) for name, one in data["categories"].items()},
                Quiet.from_dict(data["quiet"]) if data.get("quiet") else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                "This is no profile.",
                cause=f"{type(error).__name__}: {error}",
                suggestion="make one: mlops-kit profile FILE -o profile.json",
            ) from None


def total(profiles: Iterable[Profile], empty: Profile) -> Profile:
    """The profile of all windows together: a month's from its days'.

    Parameters
    ----------
    profiles : iterable of Profile
        Made with one reference.
    empty : Profile
        What no windows add up to, such as ``reference.emptied()``.
    """
    return reduce(add, profiles, empty)


def merged(parts: Iterable[tuple[int, float | None, float | None]]) -> tuple[float | None, float | None]:
    """Mean and sum of squared deviations of parts together; ``None`` when a part has none.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
    1979.
    """
    count, mean, squares = 0, 0.0, 0.0
    for number, one, more in parts:
        if not number:
            continue
        if one is None or more is None:
            return None, None
        away = one - mean
        squares += more + away * away * (count / (count + number)) * number
        count += number
        mean += away * (number / count)
    return (finite(mean), finite(squares)) if count else (None, None)


def deviation(count: int, squares: float | None) -> float | None:
    """Sample standard deviation."""
    return math.sqrt(max(squares, 0.0) / (count - 1)) if squares is not None and count > 1 else None


def finite(value: Any) -> float | None:
    """A float that JSON can hold, else ``None``."""
    found = None if value is None else float(value)
    return found if found is not None and math.isfinite(found) else None


def _numeric(data: Mapping[str, Any]) -> Numeric:
    buckets = tuple(int(number) for number in data["buckets"])
    if len(buckets) != BUCKETS + 2:
        raise ValueError(f"{len(buckets)} buckets instead of {BUCKETS + 2}")
    mean, std, least, most = (finite(data[name]) for name in ("mean", "std", "min", "max"))
    low, high = float(data["low"]), float(data["high"])
    return Numeric(int(data["count"]), int(data["nulls"]), mean, std, least, most, low, high, buckets)


def _category(data: Mapping[str, Any]) -> Category:
    counts = {str(label): int(number) for label, number in data["counts"].items()}
    return Category(int(data["nulls"]), counts, int(data.get("other", 0)))
