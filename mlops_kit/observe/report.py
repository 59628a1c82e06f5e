"""The report: what happened to a pipeline, as one HTML file that opens offline; must not call AWS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from mlops_kit.errors import KitError
from mlops_kit.observe import charts, cost
from mlops_kit.observe.execution import Execution
from mlops_kit.observe.history import History, find_judgement, verdict

_GOOD = ("SUCCEEDED",)
_MOMENT = 0.1  # seconds
_SYMBOL = {"SUCCEEDED": "✓", "FAILED": "✗", "TIMED_OUT": "✗", "CAUGHT": "!", "ABORTED": "■", "RUNNING": "…"}


@dataclass(frozen=True)
class Report:
    """What the report shows.

    Attributes
    ----------
    title : str
        Usually the pipeline's name.
    target : str
        Where it ran, in words.
    runs : sequence of (pipeline, Execution)
        Newest first; not empty.
    table : str
        The runs as an HTML table.
    metric_chart : str
        SVG of the first metric over the runs; may be empty.
    graph : str
        SVG of the way that the newest run went; may be empty.
    """

    title: str
    target: str
    runs: Sequence[tuple[str, Execution]]
    table: str
    metric_chart: str = ""
    graph: str = ""


def collect(history: History, pipeline: str | None, target: str, graph: str = "") -> Report | None:
    """A report on the executions in the history store; ``None`` where there are none.

    Parameters
    ----------
    history : History
        Already refreshed.
    pipeline : str or None
        One pipeline, or all of them.
    target : str
        In words, for the head of the page.
    graph : str
        SVG of the way that the newest run went.
    """
    runs = history.executions(pipeline)
    if not runs:
        return None
    frame = history.frame(pipeline)
    metrics = [name.removeprefix("challenger ") for name in map(str, frame) if name.startswith("challenger ")]
    chart = charts.metric_over_runs(frame, metrics[0]).svg() if metrics else ""
    shown = frame.head(200)
    shown = shown.assign(
        started=[f"{when:%Y-%m-%d %H:%M:%S}" for when in shown["started"]],
        seconds=[charts.duration(value) for value in shown["seconds"]],
    ).rename(columns={"seconds": "time", "as_of": "as of"})
    left_out = {"arn", *(["pipeline"] if pipeline else [])}
    left_out |= {f"{role} {metric}" for role in ("challenger", "champion") for metric in metrics[1:]}
    kept = [name for name in shown if name not in left_out]
    filled = shown[kept].astype(object).where(shown[kept].notna(), "")
    table = filled.to_html(index=False, border=0, float_format=lambda value: f"{value:.3g}")
    return Report(pipeline or "all pipelines", target, runs, table, chart, graph)


def write(report: Report, path: Path) -> Path:
    """Write the page; its folder is made where missing, and the file is replaced as a whole.

    Raises
    ------
    KitError
        The file cannot be written.
    """
    page, draft = render(report), path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise KitError(f"{path} cannot be written.", cause=error.strerror) from None
    return path


def render(report: Report) -> str:
    """The page as text: no script, no link to anything outside."""
    pipeline, newest = report.runs[0]
    parts = [
        f"<h1>{escape(report.title)}</h1>",
        f'<p class="soft">{escape(report.target)}, {_counted(len(report.runs), "run")}, '
        f"newest {newest.started:%Y-%m-%d %H:%M:%S} UTC</p>",
        _cards(newest),
        _failure(newest),
        _section("The newest run, state by state", _run(newest, report.graph)),
        _section("All runs", _figure(charts.runs(report.runs).svg()) + _figure(report.metric_chart)),
        f'<div class="scroll runs">{report.table}</div>',
        _cost(newest),
        f'<p class="soft">{escape(pipeline)}: {escape(newest.arn)}<br>'
        f"Written {datetime.now().astimezone():%Y-%m-%d %H:%M} by mlops-kit.</p>",
    ]
    style = files("mlops_kit.observe").joinpath("report.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>\n{style}</style></head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _cards(execution: Execution) -> str:
    tries = sum(max(len(visit.attempts) - 1, 0) for visit in execution.visits)
    cards = [
        ("status", _status(execution.status)),
        ("duration", charts.duration(execution.seconds)),
        ("verdict", escape(str(verdict(execution) or "none"))),
        ("retries", str(tries)),
        ("cost estimate", f"${cost.estimate(execution).dollars:.4f}"),
    ]
    return '<div class="cards">' + "".join(_card(name, value) for name, value in cards) + "</div>"


def _card(name: str, value: str) -> str:
    return f'<div class="card"><b>{value}</b><span>{escape(name)}</span></div>'


def _failure(execution: Execution) -> str:
    visit = execution.failure
    if visit is None or execution.status in ("SUCCEEDED", "RUNNING"):
        return ""
    error, cause = execution.why
    return (
        f'<div class="failure"><b>{escape(visit.state)}</b> failed with {escape(error)}'
        f"<pre>{escape(cause[:4000])}</pre>"
        f"<pre>mlops-kit redrive {escape(execution.arn)}</pre></div>"
    )


def _judgement(execution: Execution) -> str:
    judgement = find_judgement(execution)
    if judgement is None:
        return ""
    reasons = "".join(f"<li>{escape(str(reason))}</li>" for reason in judgement.get("reasons", ()))
    chart = charts.comparison(judgement["metrics"]).svg()
    return _section("Champion against challenger", _figure(chart) + f"<ul>{reasons}</ul>")


def _run(execution: Execution, graph: str) -> str:
    """Gantt, states and judgement; beside them, where there is room, the way that it went."""
    left = _figure(charts.gantt(execution).svg()) + _states(execution) + _judgement(execution)
    return f'<div class="run"><div>{left}</div>{_figure(graph, "graph")}</div>' if graph else left


def _states(execution: Execution) -> str:
    """States that took time, were tried again or failed; the others are folded."""
    repeated = {visit.state for visit in execution.visits if len(visit.attempts) > 1}
    shown: list[tuple[str, ...]] = []
    brief: list[tuple[str, ...]] = []
    for name, state in execution.states.items():
        row = (name, _status(state.status), str(state.attempts or ""), charts.duration(state.seconds))
        plain = state.status in _GOOD and (state.seconds or 0.0) < _MOMENT and name not in repeated
        (brief if plain else shown).append(row)
    head = ("state", "status", "tries", "time")
    words = f"{_counted(len(brief), 'more state')}, each under {_MOMENT:g} s"
    folded = f"<details><summary>{words}</summary>{_table(head, brief)}</details>" if brief else ""
    return _table(head, shown) + folded


def _cost(execution: Execution) -> str:
    total = cost.estimate(execution)
    rows = [
        (
            line.service,
            escape(line.what),
            f"{line.quantity:.4g} {line.unit}",
            f"${line.price:.8f}".rstrip("0"),
            f"${line.dollars:.6f}",
        )
        for line in sorted(total.lines, key=lambda line: -line.dollars)
    ]
    return _section("Cost estimate", f"<p>{escape(str(total))}</p>") + _table(
        ("service", "what", "quantity", "price", "cost"), rows
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _figure(svg: str, kind: str = "") -> str:
    """An SVG document as a figure: without its XML head, which HTML does not take."""
    named = f' class="{kind}"' if kind else ""
    return f"<figure{named}>{svg[svg.index('<svg') :]}</figure>" if "<svg" in svg else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _status(status: str) -> str:
    kind = (
        "good"
        if status in _GOOD
        else "bad"
        if status in ("FAILED", "TIMED_OUT", "ABORTED", "CAUGHT")
        else "soft"
    )
    return f'<span class="{kind}">{_SYMBOL.get(status, "")}&nbsp;{escape(status)}</span>'
