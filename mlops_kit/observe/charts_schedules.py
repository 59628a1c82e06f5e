"""The calendar of coming fires, drawn; asks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mlops_kit.observe.charts import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mlops_kit.observe.scheduled import Scheduled

_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#999999"
_LABELLED = 14  # fires in a row, above which their times would cover each other


def calendar(schedules: Sequence[Scheduled], now: datetime, days: int = 7) -> Chart:
    """When each schedule fires in the coming days.

    Parameters
    ----------
    schedules : sequence of Scheduled
        A row each, in the order of the first fire; those that are paused or not applied are hollow.
    now : datetime
        Aware; where the chart begins.
    days : int
        How many days of 24 hours it spans.

    Returns
    -------
    Chart
        Time in the zone of most schedules; the times above the marks are in each schedule's own.
    """
    from matplotlib.figure import Figure

    end = now + timedelta(days=days)
    rows = [(one, list(takewhile(lambda fire: fire <= end, one.fires(now)))) for one in schedules]
    rows.sort(key=lambda row: (row[1][0] if row[1] else end, row[0].name))
    zones = Counter(one.timezone for one, _ in rows)
    zone = zones.most_common(1)[0][0] if zones else "UTC"
    figure = Figure(figsize=(9, 1.2 + 0.42 * max(len(rows), 1)), layout="constrained")
    axes = figure.subplots()
    for place, (one, fires) in enumerate(rows):
        _draw(axes, place, one, fires)
    axes.set_yticks(range(len(rows)), [_label(one, zone) for one, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    _days(axes, now, end, ZoneInfo(zone))
    axes.set_xlabel(f"days in {zone}, times in each schedule's own zone" if len(zones) > 1 else zone)
    axes.set_title(f"The coming {days} days", loc="left", fontsize=10)
    running = [fires for one, fires in rows if fires and not _hollow(one)]
    words = f"{sum(map(len, running))} fires of {len(running)} schedules in the coming {days} days"
    hollow = sum(_hollow(one) != "" for one, _ in rows)
    return Chart(figure, words + (f"; {hollow} paused or not applied" if hollow else ""))


def _hollow(one: Scheduled) -> str:
    """Why its fires are none; empty when they are."""
    return "" if one.enabled and one.stands else "paused" if one.stands else "not applied"


def _label(one: Scheduled, zone: str) -> str:
    why = _hollow(one)
    return one.name + (f" ({why})" if why else "") + ("" if one.timezone == zone else f"\n{one.timezone}")


def _draw(axes: Axes, place: int, one: Scheduled, fires: Sequence[datetime]) -> None:
    x: Any = fires
    face = "white" if _hollow(one) else _BLUE
    if one.window:
        ends: Any = [fire + timedelta(minutes=one.window) for fire in fires]
        axes.hlines([place] * len(fires), x, ends, color=_BLUE, linewidth=4)
    size = 6 if len(fires) <= _LABELLED else 3
    axes.plot(x, [place] * len(fires), "o", color=_BLUE, markerfacecolor=face, markersize=size, clip_on=False)
    if len(fires) <= _LABELLED:
        zone = ZoneInfo(one.timezone)
        for fire in fires:
            point: Any = (fire, place)
            words = fire.astimezone(zone).strftime("%H:%M")
            axes.annotate(words, point, (0, 6), textcoords="offset points", ha="center", fontsize=7)


def _days(axes: Axes, now: datetime, end: datetime, zone: tzinfo) -> None:
    """Midnights of the zone, and where its clock changes."""
    first = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    local = [first + timedelta(days=day) for day in range((end - now).days + 2)]
    midnights: list[Any] = [one.astimezone(UTC) for one in local]
    left: Any = now
    right: Any = end
    axes.set_xlim(left, right)
    ticks = [one for one in midnights if now <= one <= end]
    axes.set_xticks(ticks, [one.astimezone(zone).strftime("%a\n%d %b") for one in ticks], fontsize=8)
    axes.grid(axis="x", color=_GREY, linewidth=0.4)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for before, after in pairwise(midnights):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            axes.axvspan(before, after, color=_ORANGE, alpha=0.15, linewidth=0)
            middle: Any = (before + (after - before) / 2, -0.62)
            axes.annotate("the clock changes", middle, ha="center", va="top", fontsize=7)
