"""What the drift monitor kept of each window, newest last; must not compute a statistic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_kit.drift.windows import Window

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.observe.charts import Chart

_STATISTICS = ("psi", "js", "ks", "chi_square")


@dataclass(frozen=True, repr=False)
class Watched:
    """The monitor's results of a model.

    Attributes
    ----------
    model : str
        Name of the model.
    results : tuple of dict
        One a window, oldest first: ``window``, ``detail`` (of the event) and ``profile``.
    """

    model: str
    results: tuple[dict[str, Any], ...]

    @property
    def windows(self) -> tuple[Window, ...]:
        """What was measured."""
        return tuple(Window(**one["window"]) for one in self.results)

    @property
    def newest(self) -> dict[str, Any]:
        """Detail of the newest window."""
        detail: dict[str, Any] = self.results[-1]["detail"]
        return detail

    @property
    def drifted(self) -> bool:
        """Whether anything of the newest window is above its limit."""
        return bool(self.newest["drifted"])

    def of(self, start: str, end: str) -> Watched:
        """Up to the window of these days; none of that name leaves none."""
        found = [at for at, one in enumerate(self.windows) if (one.start, one.end) == (start, end)]
        return Watched(self.model, self.results[: found[-1] + 1] if found else ())

    def rows(self) -> list[dict[str, Any]]:
        """One row a feature of the newest window: statistics, and for how many windows it has drifted."""
        return [
            {
                "feature": name,
                **{statistic: found[statistic] for statistic in _STATISTICS if statistic in found},
                "windows in a row": found["consecutive_windows"],
            }
            for name, found in self.newest["features"].items()
        ]

    def frame(self) -> pd.DataFrame:
        """`rows` as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def heat_map(self, statistic: str = "psi", limit: float | None = 0.2) -> Chart:
        """A statistic of every feature over the windows."""
        from mlops_kit.observe.charts_drift import heat_map

        return heat_map(self.windows, statistic, limit)

    def errors(self) -> Chart:
        """Error and bias over the windows."""
        from mlops_kit.observe.charts_drift import errors

        changes = [
            one["detail"]["window"]["start"]
            for before, one in zip(self.results, self.results[1:], strict=False)
            if before["champion"] != one["champion"]
        ]
        return errors(self.windows, changes)

    def to_json(self) -> str:
        """The newest window's detail."""
        return json.dumps(self.newest, indent=2)

    def summary(self) -> str:
        """The newest window in two sentences."""
        said = self.newest
        error, window, champion = said["error"], said["window"], said["champion"]
        naive = (
            f", {error['error_vs_naive']:.2f} of the naive forecast's" if "error_vs_naive" in error else ""
        )
        drifted = ", ".join(said["drifted"]) or "nothing"
        return (
            f"{self.model}, {window['start']} to {window['end']}, champion trained until "
            f"{champion['trained_until']}: WAPE {error['wape']:.3f}{naive}, bias {error['bias']:+.3f}. "
            f"Above their limits: {drifted}."
        )

    def __repr__(self) -> str:
        rows = [[_text(value) for value in row.values()] for row in _whole(self.rows())]
        head = ["feature", *_STATISTICS, "windows in a row"]
        widths = [max(len(line[at]) for line in [head, *rows]) for at in range(len(head))]
        lines = [
            "  ".join(
                text.ljust(width) if at == 0 else text.rjust(width)
                for at, (text, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in [head, *rows]
        ]
        return "\n".join((self.summary(), "", *lines))

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in ("feature", *_STATISTICS, "windows in a row"))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(value))}</td>" for value in row.values()) + "</tr>"
            for row in _whole(self.rows())
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<p>{escape(self.summary())}</p>{table}"


def read(s3: Any, bucket: str, model: str) -> Watched:
    """Everything that the monitor kept of a model.

    Parameters
    ----------
    s3 : botocore client
        Of the service ``s3``.
    bucket : str
        The data bucket.
    model : str
        Name of the model.
    """
    prefix = f"drift/{model}/results/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
    return Watched(
        model, tuple(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys)
    )


def _whole(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {name: row.get(name) for name in ("feature", *_STATISTICS, "windows in a row")}


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
