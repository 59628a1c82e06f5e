"""Runs Lambda functions in warm workers and answers as AWS does; must not know who stores the functions.

Sources: AWS Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle", "Troubleshoot
invocation issues in Lambda"; error documents as awslambdaric, AWS's own runtime client, writes them.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlops_kit.local.authorization import Authorization, Credentials, Session
from mlops_kit.local.lambda_files import Files, Function, environment
from mlops_kit.local.lambda_sandbox import Crashed, Reply, Worker, WorkerPlan
from mlops_kit.local.processes import Runner

Log = Callable[..., None]

_IDLE_SECONDS = 300.0  # AWS keeps an idle environment for some minutes
_LARGEST_RESPONSE = 6_291_556  # bytes, "Lambda quotas"


@dataclass(frozen=True)
class Invocation:
    """One call.

    Attributes
    ----------
    request_id : str
        AWS's request id.
    payload : bytes
        The event as JSON.
    arn : str
        The function as it was called, with a qualifier if there was one.
    trace : str or None
        X-Ray trace header.
    client_context : str or None
        JSON of the caller's context.
    """

    request_id: str
    payload: bytes
    arn: str
    trace: str | None = None
    client_context: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a call: the answer or the error document, and the log with START, END and REPORT."""

    payload: bytes
    failed: bool
    log: str
    raw: bool = False


class LambdaRuntime:
    """Warm workers for functions.

    Parameters
    ----------
    runner : Runner
        Starts the workers.
    root : pathlib.Path
        Folder for unpacked code and the workers' private folders.
    url : str
        The port, for the workers' environment.
    log : callable
        ``log(group, stream, lines)``.
    authorization : Authorization, optional
        Holds each function to its execution role.
    """

    def __init__(
        self, runner: Runner, root: Path, url: str, log: Log, authorization: Authorization | None = None
    ) -> None:
        self._runner = runner
        self._root = root
        self.url = url
        self._log = log
        self._authorization = authorization
        self._files = Files(root / "code")
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._reaper: threading.Thread | None = None
        self.under_way = 0  # functions that run now

    def start(self) -> None:
        """Forget what a former server unpacked."""
        self._files.clear()

    def credentials(self, role_arn: str, name: str) -> Credentials | None:
        """What a function acts with; None where roles are not held to their policies."""
        return Session(role_arn, name).credentials if self._authorization is not None else None

    def invoke(self, function: Function, invocation: Invocation) -> Outcome:
        """Run a function once; blocks the calling thread for as long as the function takes.

        Never raises for what the function does: that is in the outcome, as AWS words it.
        """
        with self._changed:
            self.under_way += 1
        try:
            return self._invoke(function, invocation)
        finally:
            with self._changed:
                self.under_way -= 1

    def _invoke(self, function: Function, invocation: Invocation) -> Outcome:
        worker = self._take(function)
        fresh = worker is None
        if worker is None:
            worker = self._start(function)
        report = _Report(function, invocation.request_id)
        try:
            if fresh:
                worker.wait_until_ready(function.timeout)
                report.init = worker.init_seconds
            report.before = worker.plan.as_on_aws(worker.output())
            report.begin()
            reply = worker.run(_headers(invocation), invocation.payload, function.timeout)
        except Crashed as crash:
            report.end(worker.memory)
            worker.kill()
            return self._crashed(worker, report, crash, invocation.request_id)
        report.end(worker.memory)
        return self._replied(worker, report, reply)

    def stop(self) -> None:
        """Kill the idle workers; the runner's shutdown ends those at work."""
        with self._changed:
            idle, self._idle = self._idle, []
            self._reaper = None
            self._changed.notify_all()
        for worker in idle:
            worker.kill()

    def _replied(self, worker: Worker, report: _Report, reply: Reply) -> Outcome:
        text = report.text(worker.plan.as_on_aws(worker.output()))
        self._write(worker.plan, text)
        log = "".join(f"{line}\n" for line in text)
        if reply.init_error:
            worker.kill()
        else:
            self._give_back(worker)
        if len(reply.body) > _LARGEST_RESPONSE:
            message = (
                f"Response payload size ({len(reply.body)} bytes) exceeded maximum allowed payload size "
                f"({_LARGEST_RESPONSE} bytes)."
            )
            error = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
            return Outcome(json.dumps(error).encode(), True, log)
        body = worker.plan.as_on_aws(reply.body.decode()).encode() if reply.failed else reply.body
        return Outcome(body, reply.failed, log, raw=reply.raw)

    def _crashed(self, worker: Worker, report: _Report, crash: Crashed, request_id: str) -> Outcome:
        report.status = (
            "timeout" if crash.error_type == "Sandbox.Timedout" else f"error\tError Type: {crash.error_type}"
        )
        text = report.text(worker.plan.as_on_aws(worker.output()), crash.log_line(request_id))
        self._write(worker.plan, text)
        message = f"RequestId: {request_id} Error: {crash.reason}"
        error = {"errorType": crash.error_type, "errorMessage": message}
        return Outcome(json.dumps(error).encode(), True, "".join(f"{line}\n" for line in text))

    def _start(self, function: Function) -> Worker:
        plan = WorkerPlan.new(function, self._files, self._root / "workers")
        base = Runner.base_environment(plan.home, self.url, region=function.arn.split(":")[3])
        if credentials := self.credentials(function.role_arn, function.name):
            base |= credentials.environment()
        return Worker.start(
            self._runner, plan, environment(function, plan.task, plan.layers, plan.stream, base)
        )

    def _write(self, plan: WorkerPlan, text: list[str]) -> None:
        """Log, as far as the function's role may."""
        function, log = plan.function, self._log
        if self._authorization is not None:
            region = function.arn.split(":")[3]
            log = self._authorization.logging(log, function.role_arn, function.name, region)
        log(function.log_group, plan.stream, text)

    def _take(self, function: Function) -> Worker | None:
        with self._changed:
            same = [w for w in self._idle if w.plan.family == (function.arn, function.version)]
            stale = [w for w in same if w.plan.function.fingerprint != function.fingerprint or not w.alive()]
            fit = [w for w in same if w not in stale]
            taken = fit[-1] if fit else None
            self._idle = [w for w in self._idle if w is not taken and w not in stale]
        for worker in stale:
            worker.kill()
        return taken

    def _give_back(self, worker: Worker) -> None:
        worker.idle_since = time.monotonic()
        with self._changed:
            self._idle.append(worker)
            if self._reaper is None:
                self._reaper = threading.Thread(target=self._reap, name="lambda-idle", daemon=True)
                self._reaper.start()

    def _reap(self) -> None:
        while True:
            with self._changed:
                if self._reaper is not threading.current_thread():
                    return
                if not self._idle:
                    self._reaper = None
                    return
                now = time.monotonic()
                due = [w for w in self._idle if now - w.idle_since >= _IDLE_SECONDS]
                self._idle = [w for w in self._idle if w not in due]
                if not due:
                    oldest = min(w.idle_since for w in self._idle)
                    self._changed.wait(oldest + _IDLE_SECONDS - now)
            for worker in due:
                worker.kill()


def _headers(invocation: Invocation) -> dict[str, str]:
    headers = {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
        "Content-Type": "application/json",
    }
    if invocation.trace:
        headers["Lambda-Runtime-Trace-Id"] = invocation.trace
    if invocation.client_context:
        headers["Lambda-Runtime-Client-Context"] = invocation.client_context
    return headers


class _Report:
    """The lines that AWS writes around a function's output."""

    def __init__(self, function: Function, request_id: str) -> None:
        self._function = function
        self._id = request_id
        self._begun = time.monotonic()
        self._seconds = 0.0
        self._memory = 0
        self.init: float | None = None
        self.before = ""
        self.status = ""

    def begin(self) -> None:
        self._begun = time.monotonic()

    def end(self, memory: int) -> None:
        self._seconds = time.monotonic() - self._begun
        self._memory = memory

    def text(self, output: str, note: str = "") -> list[str]:
        start = f"START RequestId: {self._id} Version: {self._function.version}"
        inside = [*_lines(output), *([note] if note else [])]
        return [*_lines(self.before), start, *inside, f"END RequestId: {self._id}", self._line()]

    def _line(self) -> str:
        duration, init = self._seconds * 1000, (self.init or 0.0) * 1000
        parts = [
            f"REPORT RequestId: {self._id}",
            f"Duration: {duration:.2f} ms",
            f"Billed Duration: {math.ceil(duration + init)} ms",
            f"Memory Size: {self._function.memory} MB",
            f"Max Memory Used: {self._memory} MB",
        ]
        if self.init is not None:
            parts.append(f"Init Duration: {init:.2f} ms")
        if self.status:
            parts.append(f"Status: {self.status}")
        return "\t".join(parts)


def _lines(output: str) -> list[str]:
    """Events of an output: one a line; a carriage return is a line break inside of one event."""
    return [line.replace("\r", "\n") for line in output.removesuffix("\n").split("\n")] if output else []
