"""How wrong a model was in a window, where labels exist, as sums that add up; must not read data or judge.

Standard library only, like the profile beside it.
"""

# ruff: noqa: S608 - identifiers are quoted by sql.number

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_kit.drift import sql


@dataclass(frozen=True)
class ModelError:
    """Predictions of a window against what happened; windows add up.

    Attributes
    ----------
    rows, unlabelled : int
        Rows with a label and a prediction, and rows that lack one.
    absolute, signed, actual : float
        Sums of abs(prediction - label), of prediction - label and of the labels, over ``rows``.
    beside_naive, naive : float
        Sums of the model's and of the naive forecast's absolute error, over those rows that have a naive one.
    """

    rows: int = 0
    unlabelled: int = 0
    absolute: float = 0.0
    signed: float = 0.0
    actual: float = 0.0
    beside_naive: float = 0.0
    naive: float = 0.0

    def __add__(self, other: ModelError) -> ModelError:
        return ModelError(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def mae(self) -> float | None:
        """Mean absolute error in the label's unit, from 0; ``None`` without labels."""
        return self.absolute / self.rows if self.rows else None

    @property
    def wape(self) -> float | None:
        """Sum of absolute errors over the sum of labels, from 0; ``None`` when that sum is 0."""
        return self.absolute / abs(self.actual) if self.actual else None

    @property
    def bias(self) -> float | None:
        """Sum of errors over the sum of labels: -0.4 forecasts 40 % too little; ``None`` when that sum is 0.

        The absolute error's size at most: of one sign for weeks, it is what growth or decline look like.
        """
        return self.signed / abs(self.actual) if self.actual else None

    @property
    def naive_ratio(self) -> float | None:
        """Absolute error over the naive forecast's, from 0; above 1 the model is of no use.

        Weathers seasons that are hard for everyone, such as a winter. ``None`` without a naive error. Source:
        Hyndman, Koehler, "Another Look at Measures of Forecast Accuracy", 2006 (relative MAE).
        """
        return self.beside_naive / self.naive if self.naive else None

    def figures(self) -> dict[str, float | None]:
        """``mae``, ``wape``, ``bias`` and ``naive_ratio``."""
        return {"mae": self.mae, "wape": self.wape, "bias": self.bias, "naive_ratio": self.naive_ratio}

    def change(self, reference: ModelError) -> dict[str, float | None]:
        """Each figure less the reference's; ``None`` where either has none."""
        before = reference.figures()
        return {
            name: None if now is None or before[name] is None else now - (before[name] or 0.0)
            for name, now in self.figures().items()
        }


def statement(
    columns: Mapping[str, str], table: str, dialect: str = "duckdb", *, by: str | None = None
) -> str:
    """The statement whose answer `read` makes errors of: one row a window.

    Parameters
    ----------
    columns : mapping of str to str
        Names of the columns ``label``, ``prediction`` and, if there is one, ``naive``.
    table, dialect, by
        As for `sql.statement`.
    """
    label, prediction = (_number(columns[name]) for name in ("label", "prediction"))
    naive = _number(columns["naive"]) if "naive" in columns else "CAST(NULL AS DOUBLE)"
    inner = f"SELECT {by or 0} AS part, {label} AS a, {prediction} AS p, {naive} AS n FROM {table}"
    text = (
        "SELECT part, count(p - a) AS labelled, count(*) - count(p - a) AS unlabelled, "
        "sum(abs(p - a)) AS absolute, sum(p - a) AS signed, "
        "sum(CASE WHEN p IS NOT NULL THEN a END) AS actual, "
        "sum(CASE WHEN n IS NOT NULL THEN abs(p - a) END) AS beside, "
        f"sum(CASE WHEN p IS NOT NULL THEN abs(n - a) END) AS naive FROM ({inner}) AS found GROUP BY 1"
    )
    return sql.rendered(text, dialect)


def read(rows: Iterable[Sequence[Any]]) -> dict[str, ModelError]:
    """The error of each window by the text of its key, ``"0"`` without ``by``; rows may be text."""
    return {
        str(part): ModelError(int(labelled), int(unlabelled), *(float(one or 0) for one in sums))
        for part, labelled, unlabelled, *sums in rows
    }


def _number(column: str) -> str:
    x = sql.number(column, "")
    return f"CASE WHEN isnan({x}) THEN NULL ELSE {x} END"
