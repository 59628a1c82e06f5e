"""The Step Functions engine: the embedded AWS, on disk, beside ministack's and moto's, in memory."""

from __future__ import annotations

import http.client
import io
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import HERE, PEERS, answers, free_port, resident, table
from mlops_kit.local import clients

_ROLE = "arn:aws:iam::000000000000:role/any"
_SCOPE = "Credential=test/20200101/us-east-1/states/aws4_request"
_SIGNED = {
    "Authorization": f"AWS4-HMAC-SHA256 {_SCOPE}, SignedHeaders=host, Signature=0",
    "Content-Type": "application/x-amz-json-1.0",
}
_BOUND = 20.0  # seconds for one row of one server
_ITEMS = 10_000
_LONGEST = 12_498  # Pass states in 25,000 events


class TooLong(Exception):
    """A row took more than its bound."""


class Failed(Exception):
    """An execution did not succeed, or the server refused."""


@dataclass
class Engine:
    """One server that runs state machines."""

    name: str
    url: str
    pid: int
    durable: bool
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def client(self, service: str = "stepfunctions") -> Any:
        """A client; the same for every server."""
        return clients.client(self.url, "us-east-1", service)

    def create(self, definition: dict[str, Any]) -> str:
        """A state machine; its ARN."""
        answer = self.client().create_state_machine(
            name=f"m{time.time_ns()}", definition=json.dumps(definition), roleArn=_ROLE
        )
        return str(answer["stateMachineArn"])

    def run(self, machine: str, value: Any = None, times: int = 1) -> list[str]:
        """Run executions at once, and wait until all have succeeded."""
        begin, text = time.perf_counter(), json.dumps(value or {})
        with ThreadPoolExecutor(8) as pool:
            started = list(pool.map(lambda _: self._start(machine, text), range(times)))
        for execution in started:
            while (status := self._status(execution)) == "RUNNING":
                if time.perf_counter() - begin > _BOUND:
                    raise TooLong
                time.sleep(0.005)
            if status != "SUCCEEDED":
                raise Failed(status)
        return started

    def _start(self, machine: str, text: str) -> str:
        name = uuid.uuid4().hex
        answer = self.call("StartExecution", stateMachineArn=machine, input=text, name=name)
        return str(answer["executionArn"])

    def _status(self, execution: str) -> str:
        return str(self.call("DescribeExecution", executionArn=execution)["status"])

    def call(self, operation: str, **params: Any) -> Any:
        """One call without the SDK, which takes longer than the server on the same two cores."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            host, _, port = self.url.removeprefix("http://").partition(":")
            connection = self._local.connection = http.client.HTTPConnection(host, int(port), timeout=60)
        headers = {**_SIGNED, "X-Amz-Target": f"AWSStepFunctions.{operation}"}
        connection.request("POST", "/", json.dumps(params), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read() or b"{}")
        if answer.status != 200:
            raise Failed(f"{operation}: {body}")
        return body


# ---------------------------------------------------------------------------- rows
def _chain(length: int) -> dict[str, Any]:
    states = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(length - 1)}
    return {"StartAt": "S0", "States": {**states, f"S{length - 1}": {"Type": "Pass", "End": True}}}


def _rate(engine: Engine, definition: dict[str, Any], work: int, value: Any = None, **run: int) -> float:
    """Pieces of work a second; the median of three runs after one that is not counted, or of one long one."""
    machine = engine.create(definition)
    spent: list[float] = []
    while len(spent) < 4 and sum(spent) < 5:
        begin = time.perf_counter()
        engine.run(machine, value, **run)
        spent.append(time.perf_counter() - begin)
    return work / statistics.median(spent[1:] or spent)


def _lambda(engine: Engine) -> float:
    """Tasks a second that call a warm function, one after another."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return event\n")
    made = engine.client("lambda").create_function(
        FunctionName=f"f{time.time_ns()}",
        Runtime="python3.11",
        Handler="index.handler",
        Role=_ROLE,
        Code={"ZipFile": body.getvalue()},
    )
    task = {"Type": "Task", "Resource": made["FunctionArn"]}
    chain = _chain(100)
    chain["States"] = {name: {**state, **task} for name, state in chain["States"].items()}
    return _rate(engine, chain, 100)


def _map(mode: str, items: int, times: int = 1) -> Callable[[Engine], float]:
    processor = {**_chain(1), "ProcessorConfig": {"Mode": mode}}
    if mode == "DISTRIBUTED":
        processor["ProcessorConfig"]["ExecutionType"] = "STANDARD"
    each = {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 40, "ResultPath": None, "End": True}
    definition = {"StartAt": "Each", "States": {"Each": each}}
    return lambda engine: _rate(engine, definition, items * times, list(range(items)), times=times)


def _memory(engine: Engine) -> float:
    """KB that an execution takes while it waits."""
    wait = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    machine, text = engine.create(wait), json.dumps({"x": "y" * 100})
    engine._start(machine, text)
    before = resident(engine.pid)
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: engine._start(machine, text), range(1000)))
    time.sleep(1)
    after = resident(engine.pid)
    if engine._status(started[-1]) != "RUNNING":
        raise Failed
    for execution in started:
        engine.client().stop_execution(executionArn=execution)
    return after - before  # MB a thousand is KB a piece


def _history(engine: Engine) -> float:
    """Events a second, read in pages of a thousand."""
    (execution,) = engine.run(engine.create(_chain(_LONGEST)))
    spent = []
    for _ in range(3):
        begin, count, page = time.perf_counter(), 0, {"executionArn": execution, "maxResults": 1000}
        while True:
            answer = engine.call("GetExecutionHistory", **page)
            count += len(answer["events"])
            if not answer.get("nextToken"):
                break
            page["nextToken"] = answer["nextToken"]
        spent.append(time.perf_counter() - begin)
        if count != 2 * _LONGEST + 2:
            raise Failed(f"{count} events")
    return count / min(spent)


ROWS: dict[str, Callable[[Engine], float]] = {
    "memory of a waiting execution [KB]": _memory,  # first, while nothing freed can be taken for it
    "one chain of 500 Pass states [transitions/s]": lambda engine: _rate(engine, _chain(500), 500),
    "one chain of 5,000 Pass states [transitions/s]": lambda engine: _rate(engine, _chain(5000), 5000),
    "8 chains of 500 at once [transitions/s]": lambda engine: _rate(engine, _chain(500), 4000, times=8),
    "Lambda tasks, warm, one after another [1/s]": _lambda,
    "inline Map, 10,000 items in 5 executions [items/s]": _map("INLINE", _ITEMS // 5, 5),
    "distributed Map, 10,000 items [items/s]": _map("DISTRIBUTED", _ITEMS),
    "200 executions of 10 states at once [executions/s]": lambda e: _rate(e, _chain(10), 200, times=200),
    "a history of 25,000 events, read [events/s]": _history,
}


# ------------------------------------------------------------------------- servers
@contextmanager
def _serving(name: str, argv: Sequence[str], environment: dict[str, str], port: int) -> Iterator[Engine]:
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(url):
            if process.poll() is not None:
                raise RuntimeError(f"{argv[0]} ended with {process.returncode}")
            time.sleep(0.05)
        yield Engine(name, url, process.pid, durable=name == "embedded AWS")
    finally:
        process.terminate()
        process.wait(30)
        clients.forget(url)


@contextmanager
def _ours(folder: Path) -> Iterator[Engine]:
    port = free_port()
    argv = [
        str(HERE / "python"),
        "-m",
        "mlops_kit.local.server",
        "--port",
        str(port),
        "--state-dir",
        str(folder),
    ]
    with _serving("embedded AWS", argv, {}, port) as engine:
        yield engine


@contextmanager
def _ministack(folder: Path) -> Iterator[Engine]:
    port = free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    settings |= {"STATE_DIR": str(folder), "LAMBDA_EXECUTOR": "local"}
    with _serving("ministack", [str(HERE / "ministack")], settings, port) as engine:
        yield engine


@contextmanager
def _moto(folder: Path) -> Iterator[Engine]:
    port = free_port()
    with _serving("moto", [str(PEERS / "moto_server"), "-p", str(port)], {}, port) as engine:
        settings = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
        urllib.request.urlopen(f"{engine.url}/moto-api/config", data=settings)
        yield engine


def _measured(engine: Engine, row: Callable[[Engine], float]) -> float | str:
    try:
        return row(engine)
    except TooLong:
        return f"over {_BOUND:.0f} s"
    except Exception as error:  # a peer that cannot do it says so in its own way
        return f"no ({type(error).__name__})"


def main() -> str:
    """A table with ratios to the better peer."""
    servers = [_ours, _ministack] + ([_moto] if (PEERS / "moto_server").exists() else [])
    columns: list[list[float | str]] = []
    for serve in servers:
        with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as engine:
            columns.append([_measured(engine, row) for row in ROWS.values()])
    rows = []
    for name, *cells in zip(ROWS, *columns, strict=True):
        peers = [cell for cell in cells[1:] if isinstance(cell, float)]
        best = (min if "KB" in name else max)(peers) if peers else None
        ratio = cells[0] / best if best and isinstance(cells[0], float) else "-"
        rows.append((name, *cells, ratio))
    head = ["row", "embedded AWS (on disk)", "ministack (in memory)", "moto (in memory)"][: len(servers) + 1]
    return table("Step Functions engine", [*head, "ratio to the better peer"], rows)
