"""One Lambda worker: a process with a channel to it, its output, and the words for its end.

Must not keep a pool, and must not write logs.
"""

from __future__ import annotations

import select
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.local import lambda_worker
from mlops_kit.local.lambda_files import Files, Function
from mlops_kit.local.lambda_worker import Channel
from mlops_kit.local.processes import Ended, ProcessSpec, Runner

_INIT_LIMIT = 10.0  # seconds, "Lambda execution environment lifecycle": the init phase
_LARGEST_OUTPUT = 1 << 20  # bytes kept of what was delivered
_EXIT_WAIT = 5.0


class Crashed(Exception):
    """The worker did not answer: AWS's error type, and the reason after ``Error:``."""

    def __init__(self, error_type: str, reason: str) -> None:
        super().__init__(reason)
        self.error_type = error_type
        self.reason = reason

    def log_line(self, request_id: str) -> str:
        """What AWS writes into the function's log."""
        if self.error_type == "Sandbox.Timedout":
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return f"{now} {request_id} {self.reason}"
        return f"RequestId: {request_id} Error: {self.reason}\n{self.error_type}"


@dataclass(frozen=True)
class Reply:
    """What the function answered: a JSON document, or raw bytes where the handler returned bytes."""

    body: bytes
    failed: bool
    raw: bool
    init_error: bool = False


@dataclass(frozen=True)
class WorkerPlan:
    """What to start: the function, where its code and its libraries are, and the worker's own folder."""

    id: str
    function: Function
    task: Path
    layers: Path
    site: Path
    home: Path
    stream: str

    @classmethod
    def new(cls, function: Function, files: Files, homes: Path) -> WorkerPlan:
        """A plan with a new id, folder and log stream."""
        id = uuid.uuid4().hex
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{id}"
        task, layers = files.task_root(function), files.layers_root(function)
        return cls(f"lambda-{id}", function, task, layers, files.site(), homes / id, stream)

    def as_on_aws(self, text: str) -> str:
        """A text with the places of code as they are called on AWS, as in a stack trace."""
        text = text.replace(str(self.task), "/var/task").replace(str(self.layers), "/opt")
        return text.replace(str(self.site), "/var/runtime")

    @property
    def family(self) -> tuple[str, str]:
        """Function and version, whatever its configuration."""
        return self.function.arn, self.function.version


class Worker:
    """A process that serves one invocation at a time."""

    def __init__(self, runner: Runner, plan: WorkerPlan, connection: socket.socket) -> None:
        self.plan = plan
        self.idle_since = 0.0
        self.init_seconds = 0.0
        self.memory = 0  # MB, the peak that it told last
        self._runner = runner
        self._connection = connection
        self._channel = Channel(connection)
        self._output = runner.output(plan.id)
        self._offset = 0
        self._ended = threading.Event()
        self._end: Ended | None = None
        self._rest = ""
        self._init_error: Reply | None = None

    @classmethod
    def start(cls, runner: Runner, plan: WorkerPlan, env: dict[str, str]) -> Worker:
        """Start a worker; it may not outlive the server."""
        ours, theirs = socket.socketpair()
        worker = cls(runner, plan, ours)
        options = ["-s", "-S", "-P"]  # no site-packages, no folder of the script
        argv = [sys.executable, *options, lambda_worker.__file__, str(theirs.fileno()), str(plan.site)]
        spec = ProcessSpec(
            id=plan.id,
            argv=argv,
            cwd=plan.task,
            env=env,
            memory_limit=plan.function.memory << 20,
            outlives_server=False,
            handles=(theirs.fileno(),),
        )
        try:
            runner.start(spec, worker._on_end)
        finally:
            theirs.close()
        return worker

    def alive(self) -> bool:
        """Whether it waits for work; nothing is readable then, not even an end."""
        return not select.select([self._connection], [], [], 0)[0]

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until the function's module is loaded, or has said why it cannot be; raises `Crashed`.

        Loading may take the 10 s of AWS's init phase, and then the function's `timeout` in seconds.
        """
        begun = time.monotonic()
        header, body = self._receive(begun + _INIT_LIMIT + timeout, timeout)
        self.init_seconds = time.monotonic() - begun
        if header["type"] == "init_error":
            self._init_error = Reply(body, failed=True, raw=False, init_error=True)

    def run(self, headers: dict[str, str], payload: bytes, timeout: float) -> Reply:
        """One invocation; raises `Crashed` when no answer comes."""
        if self._init_error:
            return self._init_error
        begun = time.monotonic()
        try:
            self._connection.settimeout(timeout)
            self._channel.send({**headers, "remaining-ms": int(timeout * 1000)}, payload)
        except OSError:
            raise self._exited() from None
        header, body = self._receive(begun + timeout, timeout)
        raw = header.get("content-type", "application/json") != "application/json"
        return Reply(body, header["type"] == "error", raw)

    def output(self) -> str:
        """What was printed since the last call."""
        if self._ended.is_set():
            rest, self._rest = self._rest, ""
            return rest
        text = self._read()
        if self._offset > _LARGEST_OUTPUT:
            with self._output.open("r+b") as file:
                file.truncate(0)
            self._offset = 0
        return text

    def kill(self) -> None:
        """End it at once and wait for its end."""
        self._runner.stop(self.plan.id, 0.0)
        self._ended.wait(_EXIT_WAIT)
        self._connection.close()

    def _receive(self, deadline: float, limit: float) -> tuple[dict[str, Any], bytes]:
        try:
            header, body = self._channel.receive(deadline)
        except TimeoutError:
            raise Crashed("Sandbox.Timedout", f"Task timed out after {limit:.2f} seconds") from None
        except EOFError:
            raise self._exited() from None
        self.memory = header["memory"]
        return header, body

    def _exited(self) -> Crashed:
        self._ended.wait(_EXIT_WAIT)
        end = self._end
        if end is None or end.exit_code == 0:
            return Crashed("Runtime.ExitError", "Runtime exited without providing a reason")
        how = f"exit status {end.exit_code}"
        if end.signal is not None:
            how = f"signal: {signal.strsignal(end.signal) or end.signal}".lower()
        return Crashed("Runtime.ExitError", f"Runtime exited with error: {how}")

    def _read(self) -> str:
        try:
            with self._output.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return ""
        self._offset += len(data)
        return data.decode("utf-8", "replace")

    def _on_end(self, ended: Ended) -> None:
        self._rest = self._read()
        self._end = ended
        self._ended.set()
        shutil.rmtree(self.plan.home, ignore_errors=True)
