"""The clock passes midnight in New York, and the daily pipelines follow each other by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import mlops_kit as kit
from mlops_kit.local import control
from pipelines import cache_warmup, data_quality, forecast
from tests.acceptance import town
from tests.conftest import EmbeddedAws

pytestmark = pytest.mark.slow


def test_the_check_the_forecast_and_the_cache_follow_each_other_after_midnight(tmp_path: Path) -> None:
    aws = EmbeddedAws(tmp_path / "state", ("--at", "2011-07-01T03:55:00"))
    aws.start()
    try:
        session = kit.session(town.settings(aws, tmp_path / "kit"))
        built = [one.build(session.settings) for one in (data_quality, forecast, cache_warmup)]
        for pipeline in built:
            kit.apply(session, pipeline, on_progress=lambda _: None)
        moved = list(control.advance(aws.state_dir, seconds=3600))
        assert moved[-1]["done"]
        found = [kit.latest(session, pipeline) for pipeline in built]
        runs = [run for run in found if run is not None]
        assert len(runs) == 3 and {run.status for run in runs} == {"SUCCEEDED"}, runs
        check, forecasting, warming = runs
        assert check.output["quality"]["verdict"] == "fit" and check.output["checked"] == "2011-06-30"
        assert forecasting.output["data_quality"] == "fit"  # so it came after the check
        assert forecasting.output["kind"] == "seasonal-naive"  # nobody has retrained yet
        assert warming.output["cache"] == {"date": "2011-07-01", "kind": "seasonal-naive", "items": 24}
        triggers = [(run.input or {})["trigger"] for run in runs]
        assert [one["kind"] for one in triggers] == ["schedule"] * 3
        assert [one["name"] for one in triggers] == [pipeline.schedules[0].name for pipeline in built]
    finally:
        aws.stop()
