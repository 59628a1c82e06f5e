"""What one sees in a chart, in words: a picture's bytes differ by fonts, what it tells does not."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from mlops_kit.observe.charts import Chart


def seen(chart: Chart) -> str:
    """Titles, axes, bars, lines, notes and legends, panel by panel."""
    return "\n".join([str(chart), *(line for axes in chart.figure.axes for line in _panel(axes))])


def _panel(axes: Axes) -> Iterator[str]:
    yield f"title   {axes.get_title(loc='left')}"
    yield f"x       {axes.get_xlabel()!r} {_ticks(axes.get_xticklabels())}"
    yield f"y       {axes.get_ylabel()!r} {_ticks(axes.get_yticklabels())}"
    for bar in (patch for patch in axes.patches if isinstance(patch, Rectangle)):
        place = f"{bar.get_x():6.2f} {bar.get_y():6.2f}, {bar.get_width():.2f} x {bar.get_height():.2f}"
        yield f"bar     {place} {bar.get_hatch() or ''}".rstrip()
    for line in axes.lines:
        if not str(line.get_label()).startswith("_"):
            yield f"line    {line.get_label()}: {[round(float(value), 4) for value in line.get_ydata()]}"
    for text in axes.texts:
        yield f"note    {text.get_text().strip()}"
    if legend := axes.get_legend():
        yield f"legend  {', '.join(text.get_text() for text in legend.get_texts())}"


def _ticks(labels: list) -> list[str]:
    return [label.get_text() for label in labels]
