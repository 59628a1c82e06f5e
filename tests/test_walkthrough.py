"""``make run`` retrains the next month against the champion that stands, and tells all; it fails in words."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

import mlops_kit as kit
from mlops_kit.walkthrough import PIPELINE, drift_story, next_run
from tests.conftest import ROOT, EmbeddedAws, Walked


def walk(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """``make run`` without make, in a folder of its own."""
    if not (folder / "notebooks").exists():
        (folder / "notebooks").symlink_to(ROOT / "notebooks")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_KIT_")}
    command = [sys.executable, "-m", "mlops_kit.walkthrough"]
    return subprocess.run(
        command, cwd=folder, env={**clean, **variables}, capture_output=True, text=True, check=False
    )


def runs(*rows: tuple[str | None, str | None]) -> list[dict[str, str | None]]:
    return [{"as_of": as_of, "verdict": verdict} for as_of, verdict in rows]


def test_the_first_month_comes_first_and_then_the_one_after_the_newest_that_was_judged() -> None:
    assert next_run(runs()) == (date(2011, 7, 1), False)
    assert next_run(runs(("2011-07-01", None))) == (date(2011, 7, 1), False), "that one judged nothing"
    judged = [("2011-07-01", "promote"), ("2011-12-01T03:00:00Z", "reject"), ("2011-08-01", "promote")]
    assert next_run(runs(*judged)) == (date(2012, 1, 1), False)
    assert next_run(runs(*judged, ("2012-03-01", "already"))) == (date(2012, 1, 1), False)


def test_when_the_data_end_it_begins_anew_although_that_window_is_done() -> None:
    assert next_run(runs(("2012-12-01", "promote"))) == (date(2011, 7, 1), True)


@pytest.mark.slow
def test_the_drift_story_names_the_event_the_rule_the_run_and_what_became_of_the_error(
    walked: Walked, tmp_path: Path
) -> None:
    session = kit.session(endpoint_url=walked.aws.url, region="eu-central-1", state_dir=tmp_path)
    runs = kit.history(session, PIPELINE)
    first = runs[runs["trigger"].str.startswith("drift-rule", na=False)].iloc[-1]
    assert re.fullmatch(
        r"ModelDriftDetected as of 2012-03-09 fired mlops-kit-retraining-demand-drift-bias, which started "
        rf"{first['name']}: SUCCEEDED, promote; wape 0\.\d+ before, 0\.\d+ after, "
        r"bias -0\.\d+ before, -?0\.\d+ after",
        drift_story(kit.find(session, first["arn"])),
    )
    assert first["challenger wape"] < first["champion wape"]


@pytest.mark.slow
def test_it_retrains_the_next_month_against_the_champion_and_tells_everything(
    walked: Walked, tmp_path: Path
) -> None:
    done = walk(tmp_path, **walked.environment)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout
    # the two passes before were followed by retrainings that the drift rule started, as of March and May
    assert "Retraining as of 2012-06-01: SUCCEEDED" in told
    assert re.search(r"TrainModel +SUCCEEDED +1 +[\d.]+ s", told)
    assert re.search(r"metric +challenger +champion +naive", told)
    assert re.search(r"wape( +0\.\d+){3}", told), "challenger, champion and naive have one each"
    assert re.search(r"Verdict +(promote|reject): WAPE .* than the champion's", told)
    assert "mlops-kit-demand, InService" in told and "on AWS $0.00" in told
    assert re.search(r"the simulated rule (fires on|does not fire until) 2012-", told)
    assert re.search(r"\n    TrainModel +[\d.]+ s", told), "the notebook's lines are seen as it runs"
    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    for name in names:
        assert re.search(rf"Time .*{name} [\d.]+ s", told)
    assert re.search(
        r"of which the retrainings' states \(of them TrainModel [\d.]+ s\) .*the drift monitor's states "
        r"[\d.]+ s .*apply [\d.]+ s .*simulations [\d.]+ s",
        told,
    )
    (report,) = (tmp_path / "runs").glob("*.html")
    assert "Champion against challenger" in report.read_text()
    assert len(list((tmp_path / "runs").glob("*.ipynb"))) == len(names)
    assert "IPKernelApp" not in done.stderr


def test_a_port_that_is_taken_is_said_with_the_way_around(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = walk(tmp_path, MLOPS_KIT_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stdout
    assert f"MLOPS_KIT_ENDPOINT_URL=http://127.0.0.1:{port + 1} make run" in done.stdout


def test_it_does_not_touch_aws_and_says_why(tmp_path: Path) -> None:
    done = walk(tmp_path, MLOPS_KIT_TARGET="aws")
    assert done.returncode == 2 and "`make run` works on the embedded AWS" in done.stdout


def test_another_address_than_the_folders_is_refused(aws: EmbeddedAws, tmp_path: Path) -> None:
    told = {"MLOPS_KIT_STATE_DIR": str(aws.state_dir)}
    done = walk(tmp_path, MLOPS_KIT_ENDPOINT_URL="http://127.0.0.1:9", **told)
    assert done.returncode == 2 and f"is served at {aws.url}, not at http://127.0.0.1:9" in done.stdout
    done = walk(tmp_path, MLOPS_KIT_ENDPOINT_URL="https://example.com", **told)
    assert done.returncode == 2 and "cannot be started at https://example.com" in done.stdout
