"""A script sees what AWS's own training toolkit shows it (recorded from sagemaker-training 5.1.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_kit.local.sagemaker.toolkit import Script, resource_config

RECORDED = json.loads(Path(__file__).with_name("toolkit_5_1_4.json").read_text())


def script(case: str) -> Script:
    files = RECORDED[case]["files"]
    return Script(
        base=Path("BASE"),
        given=files["hyperparameters"],
        resources=files["resourceconfig"],
        channels=files["inputdataconfig"],
        job_name="job-1",
        region="eu-central-1",
        framework="",
    )


@pytest.mark.parametrize("case", RECORDED)
def test_arguments_are_those_of_the_toolkit(case: str) -> None:
    assert [script(case).program, *script(case).arguments] == RECORDED[case]["seen"]["argv"]


@pytest.mark.parametrize("case", RECORDED)
def test_variables_are_those_of_the_toolkit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = RECORDED[case]["seen"]["env"]
    monkeypatch.setattr("os.cpu_count", lambda: int(recorded["SM_NUM_CPUS"]))
    ours = script(case).variables()
    del ours["PYTHONPATH"]
    assert ours == {n: v for n, v in recorded.items() if n not in ("SAGEMAKER_BASE_DIR", "TRAINING_JOB_NAME")}


def test_resource_config_is_that_of_one_instance() -> None:
    assert resource_config("ml.m5.large", "localhost") == RECORDED["plain"]["files"]["resourceconfig"]
