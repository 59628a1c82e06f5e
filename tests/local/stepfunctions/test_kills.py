"""Kills at random moments under load: nothing acknowledged is lost, stuck, torn or done twice."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any

import pytest

from tests.local.stepfunctions import walk

ROUNDS = 6


def _machines(aws: Any, table: str) -> list[str]:
    inner = walk.create(aws, walk.states(("Wait", {"Type": "Wait", "Seconds": 1})))
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": table, "Item": {"id": {"S.$": "$$.Execution.Name"}}},
        "ResultPath": None,
    }
    nested = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": inner},
        "ResultPath": None,
    }
    item = walk.states(("Item1", {"Type": "Pass"}), ("Item2", {"Type": "Wait", "Seconds": 0}))
    spread = {**item, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    chain = [(f"S{n}", {"Type": "Pass"}) for n in range(80)]
    branches = [walk.states(("B", {"Type": "Wait", "Seconds": 1})), walk.states(("C", {"Type": "Pass"}))]
    definitions = [
        walk.states(*chain, ("Put", put), ("End", {"Type": "Pass"})),
        walk.states(("Map", {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": item}), ("Put", put)),
        walk.states(("Spread", {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": spread})),
        walk.states(("Nested", nested), ("Put", put)),
        walk.states(("Both", {"Type": "Parallel", "Branches": branches}), ("Put", put)),
    ]
    return [walk.create(aws, definition) for definition in definitions]


def _load(aws: Any, machines: list[str], seconds: float) -> list[str]:
    """Start executions from four threads until the server is killed; those that it acknowledged."""
    started: list[str] = []
    over = threading.Event()

    def go() -> None:
        while not over.is_set():
            try:
                started.append(walk.start(aws, random.choice(machines), {"items": [1, 2, 3]}))
            except Exception:
                return
            time.sleep(random.random() * 0.03)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    aws.kill()
    over.set()
    for thread in threads:
        thread.join()
    return started


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_done_twice(fresh_aws: Any) -> None:
    table = walk.table(fresh_aws)
    machines = _machines(fresh_aws, table)
    walk.settle(fresh_aws)
    for _ in range(ROUNDS):
        started = _load(fresh_aws, machines, 0.1 + random.random())
        fresh_aws.start()
        for execution in started:
            shown = walk.until(fresh_aws, execution, seconds=60)
            assert shown["status"] == "SUCCEEDED", shown
            events = walk.events(fresh_aws, execution)
            assert [event["id"] for event in events] == list(range(1, len(events) + 1))
            ended = Counter(
                event["stateExitedEventDetails"]["name"]
                for event in events
                if "stateExitedEventDetails" in event
            )
            assert all(count == (3 if name.startswith("Item") else 1) for name, count in ended.items()), ended
            if "Put" in ended:
                found = fresh_aws.client("dynamodb").get_item(
                    TableName=table, Key={"id": {"S": shown["name"]}}
                )
                assert "Item" in found, f"{execution} remembers what the disk forgot"
