"""The embedded AWS killed at random moments under load: nothing acknowledged is lost, stuck or done twice.

MLOPS_KIT_KILLS says how many kills (5), MLOPS_KIT_KILL_SEED which seed to begin with; a failure names the
seed of its world, which makes the same choices again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EmbeddedAws
from tests.local import kill_machines, kill_stack
from tests.local.kill_load import Load, Span
from tests.local.stepfunctions import walk

KILLS = int(os.environ.get("MLOPS_KIT_KILLS", "5"))
SEED = int(os.environ.get("MLOPS_KIT_KILL_SEED", time.time_ns() % 1_000_000))
_A_WORLD = 5  # kills of one state folder, which its executions live through
_BOUND = 90.0  # seconds after the last kill in which everything must have ended


def _worlds() -> list[tuple[int, int]]:
    """(seed, kills) of each world."""
    return [(SEED + n, min(_A_WORLD, KILLS - start)) for n, start in enumerate(range(0, KILLS, _A_WORLD))]


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("seed", "kills"), _worlds())
def test_nothing_acknowledged_is_lost_stuck_or_done_twice(
    fresh_aws: EmbeddedAws, tmp_path: Path, seed: int, kills: int
) -> None:
    chance = random.Random(seed)
    load = Load(fresh_aws, str(seed))
    jobs = Jobs(fresh_aws, load, tmp_path / "diary")
    walk.settle(fresh_aws)
    load.begin()
    try:
        for number in range(kills):
            jobs.start(number)
            time.sleep(chance.random() ** 2 * 5)
            _kill(fresh_aws, load, jobs, chance)
            fresh_aws.start()
            _check_now(load)
        load.end()
        _check_ends(load)
    finally:
        load.close()
    _check_effects(load)
    _check_ministack(load)
    jobs.check()
    _check_stack(fresh_aws, load)
    assert not load.facts.wrong, load.facts.wrong


def _kill(aws: EmbeddedAws, load: Load, jobs: Jobs, chance: random.Random) -> None:
    jobs.server_killed()
    begin = time.time()
    aws.kill()
    load.facts.kills.append((begin, time.time()))
    if chance.random() < 0.3:
        jobs.kill()
    while chance.random() < 0.3:  # one that has only begun to start
        load.facts.kills.append(_start_and_kill(aws, chance.random() * 1.5))


def _start_and_kill(aws: EmbeddedAws, seconds: float) -> Span:
    argv = [sys.executable, "-m", "mlops_kit.local.server", "--port", str(aws.port)]
    argv += ["--state-dir", str(aws.state_dir)]
    with (aws.state_dir.parent / "server.log").open("ab") as log:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)
    time.sleep(seconds)
    begin = time.time()
    process.kill()
    process.wait()
    return begin, time.time()


# -------------------------------------------------------------------------- checks
def _check_now(load: Load) -> None:
    """What our services had said before the kill, they say still."""
    aws, facts = load.aws, load.facts
    sfn = aws.client("stepfunctions")
    before, _ = facts.kills[-1]
    for arn in list(facts.executions):
        assert sfn.describe_execution(executionArn=arn)["executionArn"] == arn
    for arn, shown in list(facts.ends.items()):
        again = sfn.describe_execution(executionArn=arn)
        again.pop("ResponseMetadata")
        assert again == shown
    for arn, events in list(facts.histories.items())[-25:]:
        if events[-1]["timestamp"].timestamp() <= before:
            assert walk.events(aws, arn)[: len(events)] == events


def _check_ends(load: Load) -> None:
    """Every execution ends in bounded time, as it must, and its history has no gap."""
    deadline = time.monotonic() + _BOUND
    for arn, kind in load.facts.executions.items():
        shown = walk.until(load.aws, arn, seconds=max(1, deadline - time.monotonic()))
        assert shown["status"] == "SUCCEEDED", (kind, shown, load.aws.log[-2000:])
        events = walk.events(load.aws, arn)
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        known = load.facts.histories.get(arn, [])
        assert events[: len(known)] == known, f"{arn} remembers another past"


def _check_effects(load: Load) -> None:
    """A task whose end is recorded left its mark, and was not run again after that."""
    calls = defaultdict(list)
    for item in _scan(load, load.effects):
        calls[item["id"]["S"].partition("#")[0]].append(float(item["at"]["N"]))
    for entered, left, key in _tasks(load):
        assert calls[key], f"{key} has ended, and what it did is gone"
        assert max(calls[key]) <= left + 0.05, f"{key} ran again after its end at {left}: {calls[key]}"
        kills = sum(entered - 1 <= dead and before <= left for before, dead in load.facts.kills)
        assert len(calls[key]) <= 1 + kills, f"{key} ran {len(calls[key])} times with {kills} kills"


def _tasks(load: Load) -> list[tuple[float, float, str]]:
    """When each counted task was entered and left, and its key."""
    found = []
    for arn in load.facts.executions:
        for execution in (arn, *_children(load, arn)):
            events = {event["id"]: event for event in walk.events(load.aws, execution)}
            for event in events.values():
                if event["type"] == "TaskStateExited" and event["stateExitedEventDetails"]["name"] != "Ask":
                    before = event
                    while before["type"] != "TaskStateEntered":
                        before = events[before["previousEventId"]]
                    details = before["stateEnteredEventDetails"]
                    number = json.loads(details["input"])["n"]
                    key = f"{execution.rpartition(':')[2]}/{details['name']}/{number}"
                    found.append((before["timestamp"].timestamp(), event["timestamp"].timestamp(), key))
    assert found
    return found


def _children(load: Load, arn: str) -> list[str]:
    if load.facts.executions[arn] != "spread":
        return []
    sfn = load.aws.client("stepfunctions")
    runs = sfn.list_map_runs(executionArn=arn)["mapRuns"]
    assert len(runs) == 1
    children = sfn.list_executions(mapRunArn=runs[0]["mapRunArn"])["executions"]
    assert [child["status"] for child in children] == ["SUCCEEDED"] * 4
    return [child["executionArn"] for child in children]


def _check_ministack(load: Load) -> None:
    """What was acknowledged more than two seconds before a kill is there: items, objects, messages."""
    facts = load.facts
    there = {item["id"]["S"]: int(item["version"]["N"]) for item in _scan(load, load.table)}
    for key, versions in facts.items.items():
        safe = max((n for n, (_, when) in enumerate(versions) if when and facts.safe(when)), default=-1)
        allowed = {version for version, _ in versions[max(safe, 0) :]} | ({None} if safe < 0 else set())
        assert there.get(key) in allowed, f"item {key} is {there.get(key)}: {versions}"
    pages = load.aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=load.bucket)
    listed = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    lost = {name for name, when in facts.objects.items() if facts.safe(when)} - listed
    assert not lost
    messages = _drain(load)
    kept = {n for n, when in facts.sent.items() if facts.safe(when)} - facts.wanted
    lost_messages = {number: facts.sent[number] for number in kept - messages}
    assert not lost_messages, f"lost {lost_messages}, killed {facts.kills}"
    back = {n for n, when in facts.removed.items() if facts.safe(when)} & messages
    assert not back, f"deleted messages came back: {sorted(back)}"


def _drain(load: Load) -> set[int]:
    """All messages of the queue, those in flight too."""
    sqs, found = load.aws.client("sqs"), set[int]()
    begin = time.monotonic()
    while True:
        answer = sqs.receive_message(QueueUrl=load.queue, MaxNumberOfMessages=10, VisibilityTimeout=600)
        found |= {int(message["Body"]) for message in answer.get("Messages", [])}
        if not answer.get("Messages"):
            if time.monotonic() - begin > 4:  # more than the longest visibility timeout
                break
            time.sleep(0.1)
    return found


def _scan(load: Load, table: str) -> list[dict[str, Any]]:
    pages = load.aws.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return [item for page in pages for item in page["Items"]]


def _check_stack(aws: EmbeddedAws, load: Load) -> None:
    """The stack is in no one's hands any more, takes another change, and is then what it says."""
    assert not load.stack.stuck, f"the stack stayed {load.stack.stuck}"
    load.stack.settled()
    load.stack.change(kill_stack.template(kill_stack.LAST))
    client = aws.client("cloudformation")
    status = load.stack.settled()
    events = client.describe_stack_events(StackName=kill_stack.NAME)["StackEvents"]
    reasons = [event["ResourceStatusReason"] for event in events if event.get("ResourceStatusReason")]
    assert status == "UPDATE_COMPLETE", reasons[:5]
    listed = client.describe_stack_resources(StackName=kill_stack.NAME)["StackResources"]
    named = {entry["LogicalResourceId"]: entry["PhysicalResourceId"] for entry in listed}
    assert named.keys() == json.loads(kill_stack.template(kill_stack.LAST))["Resources"].keys()
    queues = {url for name, url in named.items() if name.startswith("Queue")}
    assert queues == {url for url in aws.client("sqs").list_queues()["QueueUrls"] if "changing" in url}
    assert aws.client("glue").get_job(JobName=named["Job"])
    assert aws.client("stepfunctions").describe_state_machine(stateMachineArn=named["Machine"])


# ---------------------------------------------------------------------------- jobs
class Jobs:
    """Executions of one job each, in Glue and in SageMaker, and what became of their processes."""

    def __init__(self, aws: EmbeddedAws, load: Load, diary: Path) -> None:
        self._aws = aws
        self._diary = diary
        self._machines = kill_machines.jobs(aws, load.bucket, str(diary))
        self._hits: dict[str, int] = defaultdict(int)
        self._started: dict[str, str] = {}
        self._servers = 0

    def start(self, number: int) -> None:
        """One more of each kind."""
        for kind, machine in self._machines.items():
            name = f"{kind}-{number}"
            self._started[name] = walk.start(self._aws, machine, name=name)

    def server_killed(self) -> None:
        """A job that was noted as started and had not begun fails, so that it can never begin twice."""
        self._servers += 1

    def kill(self) -> None:
        """Kill jobs, each with its supervisor."""
        for folder in (self._aws.state_dir / "processes").glob("*"):
            with contextlib.suppress(FileNotFoundError):
                spec = (folder / "spec").read_bytes()
                name = re.search(rb"--execution\W+(\w+-\d+)", spec)
                if name is None:
                    continue
                process = json.loads((folder / "process.json").read_text())
                for pid in (process["pid"], process["child"]):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self._hits[name[1].decode()] += 1

    def check(self) -> None:
        """A job that lived was found again; one that was killed, or never began, was repeated."""
        for name, arn in self._started.items():
            assert walk.until(self._aws, arn, seconds=_BOUND)["status"] == "SUCCEEDED"
            begun = sum(line.startswith(f"{name} ") for line in self._diary.read_text().splitlines())
            failed = [event for event in walk.events(self._aws, arn) if event["type"] == "TaskFailed"]
            told = f"{name} began {begun} times, was killed {self._hits[name]} times: {failed}"
            assert 1 <= begun <= 1 + self._hits[name], told
            assert len(failed) <= self._hits[name] + self._servers, told
