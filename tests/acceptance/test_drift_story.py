"""Demand grows, the monitor sees it twice in a row, the rule starts a retraining, and its model is better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.runs import Run
from pipelines import drift_monitor
from tests.acceptance import town as room
from tests.acceptance.town import Town
from tests.conftest import EmbeddedAws

pytestmark = pytest.mark.slow
RULE = kit.DriftRule("bias", 0.05, windows=2)  # the few trees of the test lean on the level of last week
WINDOWS = ("2012-02-10", "2012-03-09")


@dataclass(frozen=True)
class Story:
    """The monitor's runs on two windows of the next year, with a champion of 2011-07-01."""

    town: Town
    ruled: kit.Pipeline
    monitored: tuple[Run, ...]
    first_alone: list[str]  # executions of the retraining after the first window


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("drift")
    aws = EmbeddedAws(folder / "state", ("--at", "2011-07-01"))
    aws.start()
    try:
        town = room.build(aws, folder / "kit")
        town.run("champion", as_of="2011-07-01")
        ruled = town.pipeline.adding(RULE)
        kit.apply(town.session, ruled)
        monitor = drift_monitor.build(town.session.settings)
        kit.apply(town.session, monitor)
        runs: list[Run] = []
        alone: list[str] = []
        for day in WINDOWS:
            run = town.ended(kit.run(town.session, monitor, as_of=day, wait=False))
            assert run.status == "SUCCEEDED", run.failure
            runs.append(run)
            alone = alone or [execution["name"] for execution in executions(town)]
        yield Story(town, ruled, tuple(runs), alone)
    finally:
        aws.stop()


def executions(town: Town) -> list[dict[str, Any]]:
    states = town.session.client("stepfunctions")
    (machine,) = [
        one["stateMachineArn"]
        for one in states.list_state_machines()["stateMachines"]
        if one["name"].endswith("retraining-demand")
    ]
    return list(states.list_executions(stateMachineArn=machine)["executions"])


def test_the_monitor_says_what_drifted_and_for_how_long(story: Story) -> None:
    first, second = (run.output["drift"] for run in story.monitored)
    assert first["window"] == {"start": "2012-01-13", "end": "2012-02-10"}
    assert first["champion"] == {"trained_until": "2011-07-01", "age_days": 224}
    assert first["rows"] == 670 and first["error"]["bias"] < -0.05
    assert "temp" in first["drifted"]
    assert first["features"]["hr"]["psi"] < 0.02 and first["features"]["temp"]["psi"] > 0.2
    assert set(first["lowest"]) == {"1"} and set(second["lowest"]) == {"1", "2"}
    assert second["features"]["temp"]["consecutive_windows"] == 2
    assert second["since_last_window"]["temp"] < first["features"]["temp"]["psi"]


def test_one_biased_window_starts_nothing_and_two_in_a_row_start_a_retraining(story: Story) -> None:
    town, (first, second) = story.town, story.monitored
    assert story.first_alone == ["champion"] and kit.follow(town.session, story.ruled, RULE, first) is None
    run = kit.follow(town.session, story.ruled, RULE, second)
    assert run is not None and len(executions(town)) == 2
    verdict = run.verdict()
    assert run.status == "SUCCEEDED" and verdict is not None and verdict.verdict == "promote"
    challenger, champion = verdict.metrics["challenger"], verdict.metrics["champion"]
    assert champion is not None and abs(challenger["bias"]) < abs(champion["bias"])
    row = kit.history(town.session, "retraining-demand").iloc[0]
    assert row["trigger"] == "drift-rule town-retraining-demand-drift-bias" and row["as_of"] == WINDOWS[1]


def test_the_measures_are_metrics_by_model_and_feature_and_kept_in_s3(story: Story) -> None:
    town = story.town
    found = town.session.client("cloudwatch").list_metrics(Namespace="mlops-kit/drift")["Metrics"]
    dimensions = {(one["MetricName"], *(pair["Value"] for pair in one["Dimensions"])) for one in found}
    assert {("bias", "demand"), ("psi", "demand", "temp")} <= dimensions
    s3, bucket = town.session.client("s3"), town.shared["DataBucket"]
    kept = s3.list_objects_v2(Bucket=bucket, Prefix="drift/demand/results/")["Contents"]
    assert [one["Key"].rpartition("/")[2] for one in kept] == [f"{day}.json" for day in WINDOWS]


def test_without_a_champion_there_is_nothing_to_compare_with(fresh_aws: EmbeddedAws, tmp_path: Any) -> None:
    town = room.build(fresh_aws, tmp_path / "kit")
    monitor = drift_monitor.build(town.session.settings)
    kit.apply(town.session, monitor)
    run = town.ended(kit.run(town.session, monitor, as_of="2012-02-10", wait=False))
    assert run.status == "SUCCEEDED" and room.states(run.execution)[-1] == "NoChampion"
    with pytest.raises(kit.KitError, match=f"ran \\({run.name}\\), but there is no champion"):
        kit.watched(town.session, town.pipeline)
