"""Whatever starts a retraining meets the same lock: one week is one retraining."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.build.drift_rules import DETECTED, SOURCE
from mlops_kit.deploy.stack import outputs
from mlops_kit.drift.windows import Window, detail
from mlops_kit.local import control
from tests.acceptance import town as room
from tests.acceptance.town import PROJECT
from tests.conftest import EmbeddedAws
from tests.local.kafka_place import Broker, broker  # noqa: F401 - the fixture

pytestmark = pytest.mark.slow
DAY = "2011-07-04"  # a Monday; all triggers stand for days of its ISO week
TOPIC = "drift-of-one-week"


def drift_event(bus: str) -> dict[str, Any]:
    """What the monitor says of two biased windows in a row."""
    weeks = (("2011-06-20", "2011-06-27"), ("2011-06-27", DAY))
    windows = [Window(start, end, {}, {"bias": -0.3, "wape": 0.3}) for start, end in weeks]
    said = json.dumps(detail("demand", "2011-06-01", windows, {"bias": 0.15}))
    return {"EventBusName": bus, "Source": SOURCE, "DetailType": DETECTED, "Detail": said}


def test_two_schedules_a_drift_event_and_ten_kafka_records_of_a_week_are_one_retraining(
    tmp_path: Path,
    broker: Broker,  # noqa: F811
) -> None:
    aws = EmbeddedAws(tmp_path / "state", ("--at", f"{DAY}T02:59:00"))
    aws.start()
    try:
        town = room.build(aws, tmp_path / "kit")
        triggers = [
            kit.Schedule(f"at({DAY}T03:00:00)", name="first"),
            kit.Schedule("cron(0 3 ? * MON *)", name="second"),
            kit.DriftRule("bias", 0.15, windows=2),
            kit.KafkaTrigger(TOPIC, bootstrap_servers=(broker.server,), starting_position="TRIM_HORIZON"),
        ]
        kit.apply(town.session, town.pipeline.adding(*triggers), on_progress=lambda _: None)
        for step in control.advance(aws.state_dir, seconds=120):
            assert step
        entry = drift_event(town.shared["EventBus"])
        assert town.session.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0
        record = json.dumps({"model": "demand", "as_of": "2011-07-06"})
        broker.put(TOPIC, *[record] * 10)

        states = town.session.client("stepfunctions")
        machine = outputs(town.session, f"{PROJECT}-retraining-demand")["StateMachineArn"]

        def executions() -> list[dict[str, Any]]:
            return list(states.list_executions(stateMachineArn=machine)["executions"])

        def ended() -> bool:
            found = executions()
            return len(found) >= 13 and all(one["status"] != "RUNNING" for one in found)

        town.until(ended, lambda: str(Counter(one["status"] for one in executions())))
        runs = [kit.find(town.session, one["executionArn"]) for one in executions()]
        assert Counter(room.states(run.execution)[-1] for run in runs) == {
            "Retrained": 1,
            "AlreadyRetraining": 12,
        }
        kinds = Counter((run.input or {})["trigger"]["kind"] for run in runs)
        assert kinds == {"schedule": 2, "drift-rule": 1, "kafka": 10}
    finally:
        aws.stop()
