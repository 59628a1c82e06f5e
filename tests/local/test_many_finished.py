"""Finished executions cost a start nothing: they are on disk, and read when somebody asks."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import EmbeddedAws
from tests.local import finished
from tests.local.stepfunctions import walk

COUNT = 10_000


def _resident(aws: EmbeddedAws) -> float:
    """MB of the server's memory."""
    lines = Path(f"/proc/{aws.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def test_a_restart_keeps_finished_executions_and_does_not_load_them(fresh_aws: EmbeddedAws) -> None:
    machine = walk.create(fresh_aws, walk.states(*((f"S{n}", {"Type": "Pass"}) for n in range(3))))
    arn = walk.start(fresh_aws, machine, {"text": "x" * 200})
    before = walk.until(fresh_aws, arn)
    fresh_aws.restart()
    small = _resident(fresh_aws)
    fresh_aws.stop()
    finished.multiply(fresh_aws.state_dir, arn, COUNT)
    fresh_aws.start()
    assert _resident(fresh_aws) - small < 10  # loaded they would take more than 50 MB
    client = fresh_aws.client("stepfunctions")
    pages = client.get_paginator("list_executions").paginate(
        stateMachineArn=machine, PaginationConfig={"PageSize": 1000}
    )
    listed = [entry["executionArn"] for page in pages for entry in page["executions"]]
    assert listed == [f"{arn}-{n}" for n in range(COUNT, 0, -1)] + [arn]
    shown = walk.until(fresh_aws, f"{arn}-{COUNT // 2}")
    assert (shown["status"], shown["output"]) == ("SUCCEEDED", before["output"])
    assert walk.events(fresh_aws, f"{arn}-{COUNT}") == walk.events(fresh_aws, arn)
    assert _resident(fresh_aws) - small < 50  # a page has a thousand at most
