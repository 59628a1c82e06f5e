"""The SageMaker SDK v2 trains, deploys, predicts, transforms and processes, given an endpoint URL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import EmbeddedAws


@pytest.mark.slow
def test_the_sdk_walks_the_whole_way(aws: EmbeddedAws, tmp_path: Path) -> None:
    script = Path(__file__).with_name("sdk_walk.py")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, script, aws.url, tmp_path],
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "rows=3" in ran.stdout  # from CloudWatch Logs
    said = json.loads(ran.stdout.rpartition("SAID ")[2])
    assert said == {
        "metrics": {"rows": 3.0},
        "prediction": [[6.0, 7.0]],
        "transformed": ["6.0,5.0", "7.0,5.0", "8.0,5.0"],
        "script": "2",
        "framework": "2",
    }
