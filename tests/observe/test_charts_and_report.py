"""Charts and the report show what happened, in one file, without anything from outside."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from mlops_kit.errors import KitError, UsageError
from mlops_kit.observe import charts, cost, report
from mlops_kit.observe.execution import Execution, from_answers
from mlops_kit.observe.history import LOCAL, History, find_judgement
from tests.observe.histories import MACHINE, caught, left_alone, retried_twice


class Recorded:
    """Answers as the Step Functions API would, from histories in memory; counts what is asked."""

    def __init__(self, *stories: tuple[dict, list[dict]]) -> None:
        self.stories = {
            f"arn:{n}": (
                {
                    **a,
                    "executionArn": f"arn:{n}",
                    "name": f"run-{n}",
                    "startDate": a["startDate"] + timedelta(days=n),
                    "stopDate": a["stopDate"] + timedelta(days=n),
                },
                [{**event, "timestamp": event["timestamp"] + timedelta(days=n)} for event in e],
            )
            for n, (a, e) in enumerate(stories)
        }
        self.read: list[str] = []

    def get_paginator(self, name: str) -> Recorded:
        self.asked = name
        return self

    def paginate(self, **parameters: str) -> list[dict]:
        if self.asked == "list_state_machines":
            return [
                {
                    "stateMachines": [
                        {"name": "mlops-kit-retraining-demand", "stateMachineArn": MACHINE},
                        {"name": "other", "stateMachineArn": "x"},
                    ]
                }
            ]
        if self.asked == "list_executions":
            assert parameters["stateMachineArn"] == MACHINE
            return [
                {
                    "executions": [
                        {k: a[k] for k in ("executionArn", "name", "status")}
                        for a, _ in self.stories.values()
                    ]
                }
            ]
        return [{"events": self.stories[parameters["executionArn"]][1]}]

    def describe_execution(self, executionArn: str) -> dict:
        self.read.append(executionArn)
        return self.stories[executionArn][0]


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = History(tmp_path / "history.sqlite", "here")
    assert history.refresh(Recorded(retried_twice(), caught()), "mlops-kit") == 2
    return history


def test_what_is_final_is_read_once(history: History) -> None:
    again = Recorded(retried_twice(), caught(), caught())
    assert history.refresh(again, "mlops-kit") == 1
    assert again.read == ["arn:2"]


def test_the_store_gives_back_what_was_put_in(history: History) -> None:
    answer, events = retried_twice()
    [(_, first), _] = sorted(history.executions("retraining-demand"), key=lambda pair: pair[1].name)
    expected = from_answers({**answer, "executionArn": "arn:0", "name": "run-0"}, events)
    assert first == expected


def test_the_frame_has_a_row_an_execution(history: History) -> None:
    frame = history.frame().set_index("name")
    assert frame.loc["run-0", "retries"] == 2
    assert frame.loc["run-0", "verdict"] == "promoted"
    assert frame.loc["run-0", "challenger wape"] == 0.151
    assert frame.loc["run-1", "failed in"] == "PrepareTrainingData"


def test_a_run_that_found_its_window_taken_says_so(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", "here")
    history.refresh(Recorded(left_alone()), "mlops-kit")
    [row] = history.rows()
    assert (row["status"], row["verdict"]) == ("SUCCEEDED", "already")
    (_, execution), *_ = history.executions()
    assert ">already<" in report._cards(execution)


def test_targets_do_not_see_each_other(history: History) -> None:
    assert History(history.path, "elsewhere").executions() == []


def test_a_store_whose_target_was_the_url_of_the_embedded_aws_is_read_on_every_port(history: History) -> None:
    import sqlite3

    with sqlite3.connect(history.path) as database:
        database.execute("UPDATE execution SET target = 'http://127.0.0.1:4566' WHERE arn = 'arn:0'")
        database.execute("PRAGMA user_version=1")
    assert [one.arn for _, one in History(history.path, LOCAL).executions()] == ["arn:0"]
    assert [one.arn for _, one in history.executions()] == ["arn:1"]


def test_a_store_of_a_newer_version_or_a_broken_one_is_refused_with_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"no database " * 100)
    with pytest.raises(KitError, match="delete the file"):
        History(broken, "here").executions()
    newer = History(tmp_path / "newer.sqlite", "here")
    newer.executions()
    import sqlite3

    with sqlite3.connect(newer.path) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(KitError, match="newer mlops-kit"):
        newer.executions()


def test_the_report_is_one_file_that_loads_nothing(history: History, tmp_path: Path) -> None:
    collected = report.collect(history, "retraining-demand", "the embedded AWS")
    assert collected is not None
    page = report.write(collected, tmp_path / "deep" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "<script" not in page
    assert "no &lt;column&gt; &#x27;temp&#x27;" in page, "causes are escaped"
    assert "mlops-kit redrive arn:1" in page
    assert "PrepareTrainingData" in page and "promoted" in page


def test_the_report_calls_a_run_failed_only_when_it_failed() -> None:
    answer, events = caught()
    for status, shown in (("FAILED", True), ("SUCCEEDED", False)):
        run = from_answers({**answer, "status": status}, events)
        page = report.render(report.Report("x", "there", [("x", run)], ""))
        assert ('class="failure"' in page) is shown


def test_the_gantt_names_states_tries_and_how_they_ended() -> None:
    chart = charts.gantt(from_answers(*retried_twice()))
    texts = {text.get_text() for text in chart.figure.axes[0].texts}
    assert "16 s, 3 tries" in texts
    legend = [text.get_text() for text in chart.figure.axes[0].get_legend().get_texts()]
    assert legend == ["succeeded", "failed, tried again"]
    bundle = chart._repr_mimebundle_()
    assert bundle["image/svg+xml"].lstrip().startswith("<?xml") and bundle["image/png"].startswith(b"\x89PNG")
    assert str(chart) == bundle["text/plain"] and "run-1" in str(chart)


def test_a_metric_that_no_run_has_is_refused_with_those_there_are(history: History) -> None:
    with pytest.raises(UsageError, match=r"no metric 'wap'(.|\n)*use one of wape, bias"):
        charts.metric_over_runs(history.frame(), "wap")
    assert charts.metric_over_runs(history.frame(), "bias").summary == "bias over 1 judged run"


def test_a_chart_is_the_same_bytes_each_time() -> None:
    execution = from_answers(*retried_twice())
    assert charts.gantt(execution).svg() == charts.gantt(execution).svg()


def test_a_judgement_is_found_wherever_a_state_put_it() -> None:
    judgement = find_judgement(from_answers(*retried_twice()))
    assert judgement is not None and judgement["metrics"]["champion"] is None
    assert find_judgement(from_answers(*caught())) is None
    assert "naive 0.245" in charts.comparison(judgement["metrics"]).summary


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.0, "0.0 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min 0 s"),
        (7200, "2 h 0 min"),
    ],
)
def test_durations_read_well(seconds: float | None, words: str) -> None:
    assert charts.duration(seconds) == words


def test_each_retry_is_a_transition_that_costs() -> None:
    def transitions(execution: Execution) -> float:
        return cost.estimate(execution).lines[0].quantity

    retried = from_answers(*retried_twice())
    assert transitions(retried) == len(retried.visits) + 2
