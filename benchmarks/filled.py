"""A state folder that was used for long: 10,000 finished executions that were logged, and 1 GB of objects."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measure import answers, resident
from mlops_kit.local import clients

EXECUTIONS, OBJECTS = 10_000, 1_024
_ROLE = "arn:aws:iam::000000000000:role/any"
_GROUP = "/aws/vendedlogs/states/filled"


def restart(argv: Sequence[str], url: str) -> tuple[float, float]:
    """Fill a new state folder through the port; seconds until a second start has all of it, and MB then."""
    process = _started(argv, url)
    first, last = _fill(url)
    _stopped(process, url)
    begin = time.perf_counter()
    process = _started(argv, url)
    sfn, s3 = (clients.client(url, "us-east-1", name) for name in ("stepfunctions", "s3"))
    for execution in (first, last):
        if sfn.describe_execution(executionArn=execution)["status"] != "SUCCEEDED":
            raise RuntimeError(f"{execution} is not as it was")
    if len(s3.get_object(Bucket="filled", Key="0")["Body"].read()) != 1 << 20:
        raise RuntimeError("an object is not as it was")
    measured = time.perf_counter() - begin, resident(process.pid)
    _stopped(process, url)
    return measured


def _fill(url: str) -> tuple[str, str]:
    """ARNs of the first and the last execution."""
    s3, body = clients.client(url, "us-east-1", "s3"), os.urandom(1 << 20)
    s3.create_bucket(Bucket="filled")
    sfn, machine = clients.client(url, "us-east-1", "stepfunctions"), _machine(url)

    def start(number: int) -> str:
        answer = sfn.start_execution(stateMachineArn=machine, input=json.dumps({"n": number}))
        return str(answer["executionArn"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket="filled", Key=str(n), Body=body), range(OBJECTS)))
        started = list(pool.map(start, range(EXECUTIONS)))
    while sfn.list_executions(stateMachineArn=machine, statusFilter="RUNNING", maxResults=1)["executions"]:
        time.sleep(0.1)
    return started[0], started[-1]


def _machine(url: str) -> str:
    clients.client(url, "us-east-1", "logs").create_log_group(logGroupName=_GROUP)
    states: dict[str, Any] = {name: {"Type": "Pass", "Next": after} for name, after in ("AB", "BC")}
    place = f"arn:aws:logs:us-east-1:000000000000:log-group:{_GROUP}:*"
    logging = {"level": "ALL", "includeExecutionData": True}
    answer = clients.client(url, "us-east-1", "stepfunctions").create_state_machine(
        name="filled",
        definition=json.dumps({"StartAt": "A", "States": {**states, "C": {"Type": "Succeed"}}}),
        roleArn=_ROLE,
        loggingConfiguration={
            **logging,
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": place}}],
        },
    )
    return str(answer["stateMachineArn"])


def _started(argv: Sequence[str], url: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not answers(url):
        if process.poll() is not None:
            raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
        time.sleep(0.01)
    return process


def _stopped(process: subprocess.Popen[bytes], url: str) -> None:
    process.terminate()
    process.wait(30)
    clients.forget(url)
