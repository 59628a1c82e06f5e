"""What a check found, in words, HTML, JSON and as a table; must not compute it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING

from mlops_kit.drift.thresholds import Verdict

if TYPE_CHECKING:
    import pandas as pd

_STYLE = "text-align:left;padding:2px 10px"


@dataclass(frozen=True, repr=False)
class DriftReport:
    """A window against its reference.

    Attributes
    ----------
    rows : int
        Of the window.
    reference_rows : int
        Of the reference.
    features : tuple of Verdict
        One a feature, in the reference's order.
    missing : tuple of str
        Features of the reference that the window does not have.
    """

    rows: int
    reference_rows: int
    features: tuple[Verdict, ...]
    missing: tuple[str, ...] = ()

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that have drifted."""
        return tuple(one.feature for one in self.features if one.drifted)

    def to_json(self) -> str:
        """``{"rows", "features": [{"feature", "statistic", "value", "threshold", "drifted"}]}``."""
        features = [asdict(one) for one in self.features]
        return json.dumps({"rows": self.rows, "features": features}, indent=2, allow_nan=False)

    def frame(self) -> pd.DataFrame:
        """One row a feature: feature, statistic, value, threshold, drifted."""
        import pandas as pd

        columns = ["feature", "statistic", "value", "threshold", "drifted"]
        return pd.DataFrame([asdict(one) for one in self.features], columns=columns)

    def summary(self) -> str:
        """One line: how many rows and how many features drifted."""
        if not self.rows:
            return f"The window has no rows: nothing to compare with the reference's {self.reference_rows:,}."
        words = f"{len(self.drifted)} of {len(self.features)} features drifted"
        lost = f"; not in the window: {', '.join(self.missing)}" if self.missing else ""
        return f"{self.rows:,} rows against the reference's {self.reference_rows:,}: {words}{lost}."

    def __str__(self) -> str:
        cells = [("feature", "statistic", "value", "threshold", ""), *map(_cells, self.features)]
        widths = [max(len(row[column]) for row in cells) for column in range(5)]
        lines = (
            "  ".join(
                text.ljust(width) if column in (0, 1, 4) else text.rjust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        )
        return "\n".join([self.summary(), *lines])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th style="{_STYLE}">{name}</th>' for name in ("Feature", "Statistic", "Value", "Threshold", "")
        )
        return (
            f'<table class="mathjax_ignore"><caption>{escape(self.summary())}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, self.features))}</tbody></table>"
        )


def _cells(one: Verdict) -> tuple[str, str, str, str, str]:
    return (
        one.feature,
        one.statistic,
        _figure(one.value),
        _figure(one.threshold),
        "drifted" if one.drifted else "",
    )


def _row(one: Verdict) -> str:
    colour = ";color:#b3261e;font-weight:bold" if one.drifted else ""
    return (
        "<tr>"
        + "".join(f'<td style="{_STYLE}{colour}">{escape(text)}</td>' for text in _cells(one))
        + "</tr>"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
