"""Charts of runs: each function takes what happened and returns a Chart; must not call AWS.

Colours are from Okabe and Ito's palette ("Color Universal Design", 2008), told apart without red and
green; a status has a hatch besides its colour.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import UsageError
from mlops_kit.observe.execution import Execution, Visit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATUS = {  # status: (colour, hatch, words)
    "SUCCEEDED": ("#0072B2", "", "succeeded"),
    "FAILED": ("#D55E00", "////", "failed"),
    "TIMED_OUT": ("#D55E00", "xxxx", "timed out"),
    "ABORTED": ("#999999", "\\\\\\\\", "aborted"),
    "CAUGHT": ("#E69F00", "////", "failed, caught"),
    "RETRIED": ("#E69F00", "xxxx", "failed, tried again"),
    "RUNNING": ("#56B4E9", "....", "running"),
}
ROLES = {"challenger": ("#0072B2", ""), "champion": ("#E69F00", "///"), "naive": ("#999999", "...")}
UNITS = {
    "wape": "share of the total, lower is better",
    "mae": "in the target's unit, lower is better",
    "rmse": "in the target's unit, lower is better",
    "bias": "share of the total, best near 0",
}


@dataclass(frozen=True)
class Chart:
    """A drawn figure that shows itself as SVG and PNG in a notebook and as a line of text elsewhere.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        To be changed further by whoever likes to.
    summary : str
        What one sees, in words; also the picture's alternative text.
    """

    figure: Figure
    summary: str

    def svg(self) -> str:
        """The picture as an SVG document."""
        import matplotlib as mpl

        with mpl.rc_context({"svg.hashsalt": "mlops_kit", "svg.fonttype": "path"}):
            return self._render("svg", metadata={"Date": None}).decode()

    def png(self) -> bytes:
        """The picture as PNG."""
        return self._render("png", dpi=144)

    def save(self, path: str | Path) -> Path:
        """Write the picture; the suffix (``.svg`` or ``.png``) says how."""
        path = Path(path)
        path.write_bytes(self.svg().encode() if path.suffix == ".svg" else self.png())
        return path

    def _render(self, kind: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format=kind, bbox_inches="tight", **options)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"image/svg+xml": self.svg(), "image/png": self.png(), "text/plain": self.summary}

    def __str__(self) -> str:
        return self.summary


def gantt(execution: Execution) -> Chart:
    """One run by state: when each was tried, for how long, how it ended, and the pauses before retries.

    Parameters
    ----------
    execution : Execution
        With its visits; states that took no time of their own (choices, passes) are left out.

    Returns
    -------
    Chart
        Time in seconds since the start; one row a state, in the order of first entering.
    """
    visits = [visit for visit in execution.visits if visit.attempts or visit.kind == "Wait"]
    names = list(dict.fromkeys(visit.state for visit in visits))
    figure, axes = new_figure(9, 1.1 + 0.36 * max(len(names), 1))
    used: dict[str, None] = {}
    ends = [_draw_visit(axes, names.index(visit.state), visit, execution, used) for visit in visits]
    span = max([*ends, execution.seconds or 0.0, 0.1])
    for row, name in enumerate(names):
        mine = [visit for visit in visits if visit.state == name]
        seconds = sum(visit.seconds or 0.0 for visit in mine)
        tries = sum(len(visit.attempts) for visit in mine)
        last = max(end for end, visit in zip(ends, visits, strict=True) if visit.state == name)
        note = duration(seconds) + (f", {tries} tries" if tries > len(mine) else "")
        axes.text(last + span * 0.01, row, note, va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, span * 1.14)
    axes.set_xlabel("seconds since the start")
    title(axes, f"{execution.name}: {_ended(execution)}")
    _legend(axes, used)
    slowest = max(visits, key=lambda visit: visit.seconds or 0.0, default=None)
    words = f", longest {slowest.state} ({duration(slowest.seconds)})" if slowest else ""
    return Chart(
        figure, f"Gantt of {execution.name}: {len(names)} states in {duration(execution.seconds)}{words}"
    )


def runs(executions: Sequence[tuple[str, Execution]]) -> Chart:
    """Duration and status of runs over time, oldest to the left.

    Parameters
    ----------
    executions : sequence of (pipeline, Execution)
        In any order.
    """
    ordered = sorted((execution for _, execution in executions), key=lambda execution: execution.started)
    figure, axes = new_figure(9, 3)
    used: dict[str, None] = {}
    for place, execution in enumerate(ordered):
        seconds = execution.seconds or 0.0
        axes.bar(place, max(seconds, 0.01), width=0.7, **_style(execution.status, used))
        axes.text(place, seconds, f" {duration(execution.seconds)}", ha="center", va="bottom", fontsize=8)
    labels = [_run_label(execution) for execution in ordered]
    axes.set_xticks(range(len(ordered)), labels, rotation=0 if len(ordered) <= 8 else 60, fontsize=8)
    axes.set_xlim(-0.8, max(len(ordered), 3) - 0.2)
    axes.margins(y=0.2)
    axes.set_ylabel("duration [s]")
    title(axes, "How long each run took")
    _legend(axes, used)
    counts = {
        status: sum(e.status == status for e in ordered)
        for status in dict.fromkeys(e.status for e in ordered)
    }
    words = ", ".join(f"{count} {STATUS[status][2]}" for status, count in counts.items())
    return Chart(figure, f"{len(ordered)} runs: {words or 'none yet'}")


def metric_over_runs(frame: pd.DataFrame, metric: str = "wape", limit: float | None = None) -> Chart:
    """One metric of challenger and champion over the runs that judged one.

    Parameters
    ----------
    frame : pandas.DataFrame
        As ``History.frame`` gives it.
    metric : str
        Name of the metric, as in the columns ``challenger <metric>`` and ``champion <metric>``.
    limit : float, optional
        Drawn as a line: the absolute threshold.

    Raises
    ------
    UsageError
        Runs were judged, but not by that metric.
    """
    known = [str(one).removeprefix("challenger ") for one in frame if str(one).startswith("challenger ")]
    if known and metric not in known:
        raise UsageError(f"The runs have no metric {metric!r}.", suggestion=f"use one of {', '.join(known)}.")
    figure, axes = new_figure(9, 3)
    columns = {role: f"{role} {metric}" for role in ("challenger", "champion")}
    shown = (
        frame[::-1].dropna(subset=[columns["challenger"]]) if columns["challenger"] in frame else frame[:0]
    )
    places = range(len(shown))
    for role, marker in (("challenger", "o"), ("champion", "s")):
        if columns[role] in shown:
            colour = ROLES[role][0]
            axes.plot(places, shown[columns[role]], marker=marker, color=colour, label=role)
    for place, verdict in zip(places, shown.get("verdict", ()), strict=False):
        point = (place, shown[columns["challenger"]].iloc[place])
        axes.annotate(str(verdict), point, (0, 8), textcoords="offset points", ha="center", fontsize=8)
    if limit is not None:
        axes.axhline(limit, color="#D55E00", linestyle="--", label=f"limit {limit:g}")
    axes.set_xticks(places, [str(value)[:10] for value in shown["as_of"]] if len(shown) else [], fontsize=8)
    axes.set_xlabel("as of")
    axes.set_ylabel(metric.upper())
    axes.margins(x=0.1, y=0.25)
    axes.set_xlim(-0.5, max(len(shown), 3) - 0.5)
    title(axes, f"{metric.upper()} over the runs" + (f" ({UNITS[metric]})" if metric in UNITS else ""))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**ABOVE).set_in_layout(False)
    return Chart(figure, f"{metric} over {len(shown)} judged run{'' if len(shown) == 1 else 's'}")


def comparison(metrics: Mapping[str, Mapping[str, float] | None]) -> Chart:
    """Champion, challenger and baseline side by side, one panel a metric (their units differ).

    Parameters
    ----------
    metrics : mapping
        Role (``challenger``, ``champion``, ``naive``) to metrics by name; ``None`` where there is none.
    """
    roles = [role for role in ROLES if metrics.get(role)]
    names = list(metrics["challenger"] or {})
    figure, panels = new_figure(2.2 * max(len(names), 1), 2.9, columns=max(len(names), 1))
    for axes, name in zip(panels, names, strict=False):
        for place, role in enumerate(roles):
            value = (metrics[role] or {}).get(name)
            if value is None:
                continue
            colour, hatch = ROLES[role]
            axes.bar(place, value, color=colour, hatch=hatch, edgecolor="white", width=0.7)
            below = value < 0
            axes.text(place, value, f"{value:.3g}", ha="center", va="top" if below else "bottom", fontsize=8)
        axes.set_xticks(range(len(roles)), roles, rotation=25, fontsize=8, ha="right")
        axes.set_title(name.upper(), fontsize=10, loc="left")
        axes.set_xlabel(UNITS.get(name, "").replace(", ", "\n"), fontsize=8)
        axes.margins(y=0.2)
        axes.axhline(0, color="black", linewidth=0.6)
    words = "; ".join(
        f"{name} "
        + ", ".join(
            f"{role} {value:.3g}" for role in roles if (value := (metrics[role] or {}).get(name)) is not None
        )
        for name in names
    )
    return Chart(figure, words or "no metrics")


def duration(seconds: float | None) -> str:
    """Seconds in words: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 4 min``; ``-`` for none."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def new_figure(width: float, height: float, columns: int = 0) -> tuple[Any, Any]:
    """A figure without pyplot, and its axes: one, or an array of ``columns``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes: Any = figure.subplots(1, columns, squeeze=False)[0] if columns else figure.subplots()
    for each in axes if columns else [axes]:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(status: str, used: dict[str, None]) -> dict[str, Any]:
    used[status] = None
    colour, hatch, _ = STATUS[status]
    return {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0.5}


# a legend right above the plot, where no bar can be
ABOVE: dict[str, Any] = {
    "frameon": False,
    "fontsize": 8,
    "loc": "lower right",
    "bbox_to_anchor": (1.0, 1.0),
    "ncols": 7,
    "columnspacing": 1.2,
}


def title(axes: Axes, words: str) -> None:
    """A chart's title, to the left."""
    axes.set_title(words, loc="left", fontsize=10)


def _ended(execution: Execution) -> str:
    """How it ended and after how long, in words."""
    how = STATUS.get(execution.status, ("", "", execution.status.lower()))[2]
    return f"{how} after {duration(execution.seconds)}" if execution.stopped else how


def _legend(axes: Axes, used: Mapping[str, None]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=STATUS[status][0], hatch=STATUS[status][1], edgecolor="white", label=STATUS[status][2]
        )
        for status in STATUS
        if status in used
    ]
    if handles:
        axes.legend(handles=handles, **ABOVE).set_in_layout(False)


def _draw_visit(axes: Axes, row: int, visit: Visit, execution: Execution, used: dict[str, None]) -> float:
    """Draw one visit's attempts in its row; gives back where it ends, in seconds since the start."""

    def since(when: datetime | None) -> float:
        return ((when or execution.stopped or visit.entered) - execution.started).total_seconds()

    end = since(visit.exited)
    axes.plot([since(visit.entered), end], [row, row], color="#999999", linewidth=1, linestyle=":", zorder=1)
    if visit.kind == "Wait":
        axes.plot([since(visit.entered), end], [row, row], color="#56B4E9", linewidth=4, zorder=2)
    for attempt in visit.attempts:
        status = "SUCCEEDED" if attempt.ended else "RUNNING"
        if attempt.failed:
            status = "RETRIED" if attempt is not visit.attempts[-1] else visit.status
        left, right = since(attempt.started), since(attempt.ended)
        axes.barh(row, max(right - left, 0.02), left=left, height=0.62, zorder=2, **_style(status, used))
    return end


def _run_label(execution: Execution) -> str:
    as_of = (execution.input or {}).get("as_of") if isinstance(execution.input, dict) else None
    return f"as of\n{str(as_of)[:10]}" if as_of else f"{execution.started:%Y-%m-%d\n%H:%M}"
