"""Task states: schedule, call, wait for a job or a token, time out; what is called is in `integrations/`."""

from __future__ import annotations

import asyncio
from typing import Any

from mlops_kit.asl.errors import StatesError
from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions import identity, integrations, reports
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed, data_limit, timed_out
from mlops_kit.local.stepfunctions.frames import CALLED, SUBMITTED, WORK, Frame
from mlops_kit.local.stepfunctions.integrations.target import Reply, Target
from mlops_kit.local.stepfunctions.outcome import Outcome
from mlops_kit.local.stepfunctions.tokens import Pending, new_token

_FIRST_POLL, _LONGEST_POLL = 0.25, 0.5  # seconds between looks at a job
_LONGEST = 99_999_999  # seconds that a task may take (Amazon States Language, TimeoutSeconds)
_LOOKS = 5  # failed looks in a row before the task fails with the service's error


async def perform(reader: Reader) -> Outcome:
    """Task: do it, or go on with it after a restart."""
    attempt = Attempt(reader, integrations.resolve(reader.state.spec["Resource"]))
    result = await attempt.run()
    return Outcome(reader.state.next, *reader.close(result.value, result))


class Attempt:
    """One attempt at a task, which its frame's row can take up again."""

    def __init__(self, reader: Reader, target: Target) -> None:
        self.reader = reader
        self.target = target
        self.frame: Frame = reader.frame
        self.execution = reader.frame.execution
        self.engine = self.execution.engine
        self.pending: Pending | None = None

    async def run(self) -> Doc:
        """The task's result.

        Raises
        ------
        StateFailed
            The attempt failed; its event is recorded.
        """
        if self.frame.phase == WORK:
            self._schedule()
        try:
            return await self._work()
        except asyncio.CancelledError:
            self._stop_job()
            raise
        finally:
            if self.pending is not None and not self.engine.closing:
                self.engine.tokens.close(self.frame.task.get("token", ""))

    # ---------------------------------------------------------------- schedule
    @property
    def _context(self) -> Context:
        """What the server offers, in the region of the execution and as the task's role."""
        context = self.engine.context.within(self.execution.birth.arn.split(":")[3])
        return identity.acting(context, self.frame.task.get("role") or self.execution.birth.role_arn)

    def _schedule(self) -> None:
        """Evaluate what the task needs, note it in the frame, and record that it is scheduled."""
        frame, target = self.frame, self.target
        frame.task = {"token": new_token(self.execution.birth.arn, frame.id)} if target.may_call_back else {}
        self.reader.fresh()
        timeout = self._seconds("TimeoutSeconds")
        heartbeat = self._seconds("HeartbeatSeconds")
        arguments = Doc(self.reader.arguments())
        if arguments.too_large:
            raise data_limit(target.resource)
        target.check(arguments.value)
        limits = {"timeoutInSeconds": timeout, "heartbeatInSeconds": heartbeat}
        shown = {key: value for key, value in limits.items() if value is not None}
        region = self._context.region
        self.execution.record(frame, *target.scheduled(arguments.text, region, shown))
        reports.task(self.execution, target, "Scheduled")
        started = target.started()
        if started is not None:
            self.execution.record(frame, *started)
        now = self.engine.now()
        frame.task["arguments"] = arguments.text
        if timeout is not None:
            frame.task["timeout_at"] = now + timeout
        if heartbeat is not None:
            frame.task["heartbeat"] = heartbeat
            frame.task["heartbeat_by"] = now + heartbeat
        frame.task["since"] = now
        if self.engine.context.authorization is not None and (role := self.reader.role()):
            frame.task["role"] = role
        frame.phase = CALLED
        self.execution.mark(frame)

    def _seconds(self, field: str) -> int | None:
        """TimeoutSeconds or HeartbeatSeconds, from the value, an expression or a path."""
        spec = self.reader.state.spec
        value = spec.get(field)
        if isinstance(value, str):
            value = self.reader.jsonata(value, field, expect="integer")
        elif f"{field}Path" in spec:
            value = self._seconds_path(f"{field}Path", spec[f"{field}Path"])
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            name = "States.QueryEvaluationError" if self.reader.state.jsonata else "States.Runtime"
            raise StatesError(name, f"{field} must be a positive integer.", field)
        return int(min(value, _LONGEST))

    def _seconds_path(self, field: str, path: str) -> Any:
        value = self.reader.path(path, self.frame.input.value)
        if isinstance(value, bool) or not isinstance(value, int):
            shown = value if isinstance(value, str) else dumps(value)
            words = f'The {field} field refers to value "{shown}" which is not a valid integer: {path}'
            raise StatesError("States.Runtime", words)
        return value

    # -------------------------------------------------------------------- work
    async def _work(self) -> Doc:
        try:
            if self.frame.phase == CALLED and self.target.kind != "activity":
                reply = await self._call()
                if not self.target.lasting:
                    return self._succeeded(reply)
                self._submitted(reply)
            return self._succeeded(await self._answer())
        except TimeoutError:
            self._stop_job()
            raise self._failed(timed_out()) from None

    async def _call(self) -> Reply:
        """Make the call, once the disk knows that it is about to be made."""
        frame, birth = self.frame, self.execution.birth
        try:
            identity.check(self.engine.context, birth.role_arn, frame.task.get("role"))
        except StateFailed as failure:
            raise self._failed(failure) from None
        call = integrations.Call(
            context=self._context,
            target=self.target,
            arguments=Doc(text=frame.task["arguments"]).value,
            execution=birth.arn,
            attempt=f"{birth.arn}/{frame.id}/{frame.entered_id}/{frame.retry_count}",
            since=frame.task["since"],
            repeated=bool(frame.task.get("repeated")),
        )
        if self.execution.durable:
            await self.engine.committed()
        if self.pending is None and self.target.may_call_back:
            self.pending = self.engine.tokens.open(frame.task["token"], frame)
        try:
            work = self.engine.blocking(integrations.perform, call)
            return await self.engine.within(self._first_limit(), work)
        except StateFailed as failure:
            raise self._failed(failure, submitting=self.target.lasting) from None

    def _first_limit(self) -> float | None:
        """When a call without a token must have answered."""
        limits = [self.frame.task.get("timeout_at")]
        return min((limit for limit in limits if limit is not None), default=None)

    def _submitted(self, reply: Reply) -> None:
        frame = self.frame
        self.execution.record(frame, *self.target.submitted(reply.output.text))
        frame.task["job"] = reply.job
        if "heartbeat" in frame.task:
            frame.task["heartbeat_by"] = self.engine.now() + frame.task["heartbeat"]
        frame.phase = SUBMITTED
        self.execution.mark(frame)

    async def _answer(self) -> Reply:
        """Wait for the job's end, a token's answer, or a limit."""
        frame = self.frame
        if self.pending is None and "token" in frame.task:
            self.pending = self.engine.tokens.open(frame.task["token"], frame)
        if self.target.kind == "activity" and self.pending and not frame.task.get("worker"):
            self.engine.tokens.offer(self.target.resource, self.pending)
        if frame.task.get("job") is None:
            return await self._token()
        waits = [asyncio.ensure_future(self._token()), asyncio.ensure_future(self._job())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _token(self) -> Reply:
        """Wait for SendTaskSuccess or SendTaskFailure; heartbeats put the limit off."""
        frame, pending = self.frame, self.pending
        if pending is None:
            await asyncio.Event().wait()
        assert pending is not None  # noqa: S101
        while "outcome" not in frame.task:
            limits = [frame.task.get("timeout_at"), frame.task.get("heartbeat_by")]
            limit = min((value for value in limits if value is not None), default=None)
            pending.beat.clear()
            try:
                await self.engine.within(limit, pending.beat.wait())
            except TimeoutError:
                self._stop_job()
                raise self._failed(timed_out(limit != frame.task.get("timeout_at"))) from None
        outcome = frame.task["outcome"]
        if "output" in outcome:
            return Reply(Doc(text=outcome["output"]))
        raise self._failed(StateFailed(outcome["error"], outcome["cause"]))

    async def _job(self) -> Reply:
        """Look at the job until it has ended.

        A nested execution may wait for the clock; any other job comes to an end in real time.
        """
        if self.target.service != "states":
            self.engine.followed[id(self)] = self.reader.state.name
        try:
            return await self._looked_at()
        finally:
            self.engine.followed.pop(id(self), None)

    async def _looked_at(self) -> Reply:
        delay, failures = _FIRST_POLL, 0
        while True:
            try:
                reply = await self.engine.blocking(
                    integrations.look, self._context, self.target, self.frame.task["job"]
                )
                failures = 0
            except StateFailed as failure:
                failures += 1
                if failure.error == "States.TaskFailed" or failures >= _LOOKS:
                    raise self._failed(failure) from None
                reply = None
            if reply is not None:
                return reply
            await asyncio.sleep(delay)
            delay = min(_LONGEST_POLL, delay * 1.5)

    # --------------------------------------------------------------------- end
    def _succeeded(self, reply: Reply) -> Doc:
        if reply.output.too_large:
            raise self._failed(data_limit(self.target.full_resource))
        self.execution.record(self.frame, *self.target.succeeded(reply.output.text))
        reports.task(self.execution, self.target, "Succeeded", self.frame.task["since"])
        return reply.output

    def _failed(self, failure: StateFailed, submitting: bool = False) -> StateFailed:
        """Record how the attempt failed."""
        kind, details = self.target.failed(failure.details, submitting)
        late = failure.error == "States.Timeout"
        if late:
            kind, details = self.target.timed_out(failure.details)
        self.execution.record(self.frame, kind, details)
        what = "TimedOut" if late else "Failed"
        reports.task(self.execution, self.target, what, self.frame.task["since"])
        return failure

    def _stop_job(self) -> None:
        """Ask the service to stop the job, as AWS does on abort and timeout: best effort."""
        job = self.frame.task.get("job")
        if job is not None and not self.engine.closing:
            self.engine.spawn(self.engine.blocking(integrations.stop, self._context, self.target, job))
