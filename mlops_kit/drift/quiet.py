"""How far a reference's own windows are from the rest of it, kept with its profile; must not compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """A statistic over quiet windows.

    Attributes
    ----------
    mean, std, highest : float
        Of its values; ``std`` is the sample's, 0 for a single window.
    """

    mean: float
    std: float
    highest: float


@dataclass(frozen=True)
class Quiet:
    """Spreads by the windows' size in rows, by feature and by statistic.

    The statistic ``chi_square`` grows with the rows; its spreads are of chi-square per effective row, the
    product of the two windows' rows over their sum.
    """

    spreads: Mapping[int, Mapping[str, Mapping[str, Spread]]]

    def size(self, rows: int) -> int:
        """The size to judge a window by: the largest that is not above its own, else the smallest.

        A smaller window is further from the rest, so a larger one is judged leniently, never strictly.
        """
        return max((size for size in self.spreads if size <= rows), default=min(self.spreads))

    def spread(self, rows: int, feature: str, statistic: str) -> Spread | None:
        """What is quiet for a feature; ``None`` when it was not among the reference's."""
        return self.spreads[self.size(rows)].get(feature, {}).get(statistic)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            str(size): {
                feature: {name: [one.mean, one.std, one.highest] for name, one in found.items()}
                for feature, found in features.items()
            }
            for size, features in self.spreads.items()
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Quiet:
        """From JSON; ValueError or TypeError when it is something else."""
        return Quiet(
            {
                int(size): {
                    feature: {name: Spread(*map(float, one)) for name, one in found.items()}
                    for feature, found in features.items()
                }
                for size, features in data.items()
            }
        )
