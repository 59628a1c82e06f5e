"""Schedules under ``kill -9`` at random moments, while the clock moves: none is lost, none starts twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest

from mlops_kit.cron import occurrences
from mlops_kit.errors import KitError
from mlops_kit.local import control
from tests.conftest import EmbeddedAws
from tests.local.schedules import Queue, Schedules, eventually
from tests.local.stepfunctions import walk

ROLE = "arn:aws:iam::000000000000:role/any"
EXPRESSIONS = {"minutely": "rate(1 minute)", "hourly": "cron(17 * * * ? *)", "often": "cron(0/5 * * * ? *)"}
KILLS, HOURS = 8, 2
SEED = int(os.environ.get("MLOPS_KIT_KILL_SEED", time.time_ns() % 1_000_000))
GIVEN = json.dumps({"of": "<aws.scheduler.schedule-arn>", "at": "<aws.scheduler.scheduled-time>"})


def now(aws: EmbeddedAws) -> datetime:
    told = control.status(aws.state_dir).now
    assert told is not None
    return datetime.fromisoformat(told)


def move(aws: EmbeddedAws, to: datetime) -> None:
    with contextlib.suppress(KitError, ValueError):  # killed meanwhile
        list(control.advance(aws.state_dir, to=to))


@pytest.mark.alone
@pytest.mark.slow
def test_every_occurrence_starts_its_execution_once(fresh_aws: EmbeddedAws) -> None:
    chance = random.Random(SEED)
    schedules = Schedules(fresh_aws)
    states = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    machine = fresh_aws.client("stepfunctions").create_state_machine(
        name="m", definition=json.dumps(states), roleArn=ROLE
    )["stateMachineArn"]
    queue = schedules.queue(MessageRetentionPeriod="1209600")
    start = (now(fresh_aws) + timedelta(minutes=5)).replace(second=0, microsecond=0)
    end = start + timedelta(hours=HOURS)
    for name, expression in EXPRESSIONS.items():
        for kind, arn in (("machine", machine), ("queue", queue.arn)):
            target = {"Arn": arn, "Input": GIVEN}
            schedules.create(expression, name=f"{name}-{kind}", StartDate=start, EndDate=end, Target=target)
    walk.settle(fresh_aws)  # queue and role are ministack's, which saves a moment later
    for _ in range(KILLS):
        moving = threading.Thread(target=move, args=(fresh_aws, end))
        moving.start()
        time.sleep(chance.uniform(0.05, 1.2))
        fresh_aws.kill()
        moving.join()
        fresh_aws.start()
    assert now(fresh_aws) > start, "the kills came before anything fired"
    list(control.advance(fresh_aws.state_dir, to=max(now(fresh_aws), end) + timedelta(minutes=1)))
    announced = {name: announcement(schedules.group, name, start, end) for name in ("machine", "queue")}
    started = eventually(lambda: complete(fresh_aws, machine, len(announced["machine"])))
    assert Counter(started) == Counter(announced["machine"]), f"MLOPS_KIT_KILL_SEED={SEED}"
    sent = [message["Body"] for message in read(queue, len(announced["queue"]))]
    assert {one for body in sent for one in [tuple(json.loads(body).values())]} == set(announced["queue"])


def announcement(group: str, kind: str, start: datetime, end: datetime) -> list[tuple[str, str]]:
    found = []
    for name, expression in EXPRESSIONS.items():
        arn = f"arn:aws:scheduler:us-east-1:000000000000:schedule/{group}/{name}-{kind}"
        moments = occurrences(expression, "UTC", start - timedelta(seconds=1), start=start)
        found += [(arn, f"{one:%Y-%m-%dT%H:%M:%SZ}") for one in takewhile(lambda one: one <= end, moments)]
    return found


def complete(aws: EmbeddedAws, machine: str, number: int) -> list[tuple[str, str]]:
    """What each execution was started with, once there are as many as announced."""
    client = aws.client("stepfunctions")
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine)
    arns = [one["executionArn"] for page in pages for one in page["executions"]]
    if len(arns) < number:
        return []
    inputs = [json.loads(client.describe_execution(executionArn=arn)["input"]) for arn in arns]
    return [(one["of"], one["at"]) for one in inputs]


def read(queue: Queue, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    eventually(lambda: len(found.__iadd__(queue.messages())) >= number)
    return found
