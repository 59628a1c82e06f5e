"""StartExecution, StartSyncExecution, StopExecution and RedriveExecution; shows nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlops_kit.asl import jackson
from mlops_kit.local.service import AwsError, Handler, Request
from mlops_kit.local.stepfunctions import ledger, lifecycle, names
from mlops_kit.local.stepfunctions.docs import LIMIT, Doc, loads
from mlops_kit.local.stepfunctions.engine import Engine
from mlops_kit.local.stepfunctions.execution import Birth, Execution
from mlops_kit.local.stepfunctions.machine_calls import moment
from mlops_kit.local.stepfunctions.machines import Choice, Machines
from mlops_kit.local.stepfunctions.program import Scope

_REDRIVABLE_DAYS = 14
_MOST_OPEN = 20_000  # executions in memory at a time; AWS allows a million (Step Functions service quotas)
_ENDED = ("FAILED", "ABORTED", "TIMED_OUT")


class Starts:
    """The operations that start, stop and redrive executions."""

    def __init__(self, engine: Engine, machines: Machines) -> None:
        self._engine = engine
        self._machines = machines
        self._turns = threading.Condition()
        self._busy: set[str] = set()
        self.operations: dict[str, Handler] = {
            "StartExecution": self.start,
            "StartSyncExecution": self.start_sync,
            "StopExecution": self.stop,
            "RedriveExecution": self.redrive,
        }

    # ------------------------------------------------------------------- start
    async def start(self, request: Request) -> dict[str, Any]:
        """StartExecution: idempotent by name and input while the execution runs; on disk when answered."""
        params = request.params
        choice = self._choice(params["stateMachineArn"])
        document = checked_input(params.get("input"))
        name = names.check_name(params["name"]) if params.get("name") else names.new_name()
        self._room()
        birth = self._birth(choice, name, document, params)
        scope = self._machines.scope(birth.revision)
        unique = choice.machine.type == "EXPRESS" or not params.get("name")
        work = lifecycle.launch if unique else self._launch_once
        begun = await self._engine.answered(
            self._engine.call(work(self._engine, birth, scope, choice.machine.arn))
        )
        if isinstance(begun, ledger.Row):
            return _known(begun, document)
        return {"executionArn": birth.arn, "startDate": moment(birth.started)}

    async def _launch_once(
        self, engine: Engine, birth: Birth, scope: Scope, machine: str
    ) -> Execution | ledger.Row:
        """Start an execution, or give the one that has its name; nothing comes between look and start."""
        if birth.arn in engine.executions:  # it has begun or ended in memory only, until the disk has it
            await engine.committed()
        known = engine.book.find(birth.arn, pending=False)
        if known is not None:
            return known
        return await lifecycle.launch(engine, birth, scope, machine)

    @contextmanager
    def _turn(self, arn: str) -> Iterator[None]:
        """One redrive at a time for each execution."""
        with self._turns:
            self._turns.wait_for(lambda: arn not in self._busy)
            self._busy.add(arn)
        try:
            yield
        finally:
            with self._turns:
                self._busy.discard(arn)
                self._turns.notify_all()

    def _choice(self, arn: str) -> Choice:
        return self._machines.choose(names.parse(arn, "stateMachine").text)

    def _birth(self, choice: Choice, name: str, document: Doc, params: dict[str, Any]) -> Birth:
        machine, express = choice.machine, choice.machine.type == "EXPRESS"
        make = names.express_arn if express else names.execution_arn
        extra = {
            "stateMachineVersionArn": choice.version,
            "stateMachineAliasArn": choice.alias,
            "qualifier": choice.alias or choice.version,
            "traceHeader": params.get("traceHeader"),
            "kept": express or None,
        }
        return Birth(
            id=self._engine.new_id(),
            arn=make(machine.arn, name),
            name=name,
            machine_arn=machine.arn,
            machine_name=machine.name,
            role_arn=choice.revision.role,
            revision=choice.revision.number,
            kind=machine.type,
            input=document,
            started=self._engine.now(),
            extra={key: value for key, value in extra.items() if value is not None},
            logging=choice.revision.logging,
        )

    def _room(self) -> None:
        if len(self._engine.executions) >= _MOST_OPEN:
            words = f"Execution Limit Exceeded: '{_MOST_OPEN} executions are running'"
            raise AwsError("ExecutionLimitExceeded", words)

    async def start_sync(self, request: Request) -> dict[str, Any]:
        """StartSyncExecution: an Express execution, answered when it has ended."""
        params = request.params
        choice = self._choice(params["stateMachineArn"])
        if choice.machine.type != "EXPRESS":
            raise AwsError(
                "StateMachineTypeNotSupported",
                "This operation is not supported by this type of state machine",
            )
        document = checked_input(params.get("input"))
        name = names.check_name(params["name"]) if params.get("name") else names.new_name()
        birth = self._birth(choice, name, document, {**params})
        birth = _unkept(birth)
        scope = self._machines.scope(birth.revision)
        execution = await asyncio.wrap_future(self._engine.call(self._run(birth, scope, choice.machine.arn)))
        return _sync_answer(execution)

    async def _run(self, birth: Birth, scope: Any, machine: str) -> Execution:
        execution = await lifecycle.launch(self._engine, birth, scope, machine)
        await lifecycle.ended(execution)
        return execution

    def start_from_event(self, machine_arn: str, text: str, name: str | None = None) -> str:
        """Start an execution for EventBridge, Scheduler or another service: quick, from any thread.

        Returns
        -------
        str
            The execution's ARN; the execution is queued, and on disk a moment later.

        Raises
        ------
        AwsError
            As StartExecution.
        """
        choice = self._choice(machine_arn)
        self._room()
        birth = self._birth(choice, name or names.new_name(), checked_input(text), {})
        scope = self._machines.scope(birth.revision)
        self._engine.call(lifecycle.launch(self._engine, birth, scope, choice.machine.arn))
        return birth.arn

    # -------------------------------------------------------------------- stop
    async def _taken_up(self) -> None:
        """Wait until what a former process left running is known."""
        if not self._engine.ready.is_set():
            await asyncio.wrap_future(self._engine.call(self._engine.ready.wait()))

    async def stop(self, request: Request) -> dict[str, Any]:
        """StopExecution; an execution that has ended gives the time of its end."""
        params = request.params
        arn = names.parse(params["executionArn"], "execution", "express").text
        if ":express:" in arn:
            raise _unsupported()
        await self._taken_up()
        running = self._engine.executions.get(arn)
        if running is None:
            row = await asyncio.to_thread(self._engine.book.find, arn)
            if row is None:
                raise unknown(arn)
            return {"stopDate": moment(row.stopped or row.started)}
        work = lifecycle.halt(running, params.get("error"), params.get("cause"))
        return {"stopDate": moment(await asyncio.wrap_future(self._engine.call(work)))}

    async def stop_all(self, machine_arn: str) -> None:
        """End the running executions of a machine that was deleted; for the engine's loop."""
        for execution in list(self._engine.executions.values()):
            if names.base_machine(execution.birth.machine_arn) == machine_arn:
                self._engine.spawn(lifecycle.halt(execution, None, None))

    # ----------------------------------------------------------------- redrive
    def redrive(self, request: Request) -> dict[str, Any]:
        """RedriveExecution: go on from where the execution did not succeed, with the old definition."""
        arn = names.parse(request.params["executionArn"], "execution", "express").text
        self._engine.call(self._engine.ready.wait()).result()
        with self._turn(arn):
            row = self._engine.book.find(arn)
            if row is None:
                raise unknown(arn)
            reason = redrive_refusal(row, self._engine.now())
            if row.map_run is not None:
                reason = "Execution is a child of a Map Run and is redriven with it"
            if reason is not None:
                raise AwsError("ExecutionNotRedrivable", f"Execution Not Redrivable: '{reason}'")
            execution = self.revived(row)
            self._engine.answer(self._engine.call(lifecycle.redrive(execution)))
        return {"redriveDate": moment(execution.redriven_at or 0)}

    def revived(self, row: ledger.Row) -> Execution:
        """An execution from its row and frames, not yet running."""
        revision = self._machines.revision(row.revision)
        birth = Birth(
            id=row.id,
            arn=row.arn,
            name=row.name,
            machine_arn=row.machine,
            machine_name=names.machine_name(row.machine),
            role_arn=revision.role,
            revision=row.revision,
            kind=row.kind,
            input=Doc(text=row.input),
            started=row.started,
            extra={**row.extra, "qualifier": row.qualifier},
            logging=revision.logging,
        )
        return lifecycle.revive(self._engine, birth, self._machines.scope(row.revision), row)

    def take_up(self) -> None:
        """Go on with every execution that a former process left running."""
        for row in self._engine.book.running():
            if row.map_run is None and row.id <= self._engine.inherited:
                self._engine.call(_resume(self.revived(row))).result()
        self._engine.call(_set(self._engine.ready)).result()


async def _resume(execution: Execution) -> None:
    lifecycle.resume(execution)


async def _set(event: asyncio.Event) -> None:
    event.set()


def _unkept(birth: Birth) -> Birth:
    return replace(birth, extra={key: value for key, value in birth.extra.items() if key != "kept"})


def checked_input(text: str | None) -> Doc:
    """An execution's input.

    Raises
    ------
    AwsError
        InvalidExecutionInput in AWS's words.
    """
    if text is None:
        return Doc({}, "{}")
    if text == "":
        raise _bad_input("Invalid execution input.")
    try:
        document = Doc(loads(text), text)
        size = len(text.encode())
    except ValueError:
        raise _bad_input(jackson.words(text) or "Invalid execution input.") from None
    if size > LIMIT:
        words = (
            f"1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have "
            f"length less than or equal to {LIMIT}"
        )
        raise AwsError("ValidationException", words)
    return document


def _bad_input(words: str) -> AwsError:
    return AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{words}'")


def unknown(arn: str) -> AwsError:
    """The error of an unknown execution."""
    return AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


def _unsupported() -> AwsError:
    return AwsError(
        "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
    )


def _known(row: ledger.Row, document: Doc) -> dict[str, Any]:
    """A second StartExecution with a name: the same while it runs and the input is the same."""
    if row.status == "RUNNING" and loads(row.input) == document.value:
        return {"executionArn": row.arn, "startDate": moment(row.started)}
    raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{row.arn}'")


def redrive_refusal(row: ledger.Row, now: float) -> str | None:
    """Why an execution cannot be redriven, in AWS's words; None when it can."""
    if row.kind == "EXPRESS":
        return "Execution is EXPRESS and cannot be redriven"
    if row.status not in _ENDED:
        return f"Execution is {row.status} and cannot be redriven"
    if now - (row.stopped or now) > _REDRIVABLE_DAYS * 86_400:
        return "Execution redrivable period exceeded"
    if row.events >= 24_999:
        return "Execution history event limit exceeded"
    return None


def _sync_answer(execution: Execution) -> dict[str, Any]:
    birth, stopped = execution.birth, execution.stopped or 0
    milliseconds = max(100, -(-int((stopped - birth.started) * 1000) // 100) * 100)
    answer: dict[str, Any] = {
        "executionArn": birth.arn,
        "stateMachineArn": birth.machine_arn,
        "name": birth.name,
        "startDate": datetime.fromtimestamp(birth.started, UTC),
        "stopDate": datetime.fromtimestamp(stopped, UTC),
        "status": execution.status,
        "error": execution.error,
        "cause": execution.cause,
        "input": birth.input.text,
        "inputDetails": {"included": True},
        "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": milliseconds},
    }  # fmt: skip
    if execution.output is not None:
        answer |= {"output": execution.output.text, "outputDetails": {"included": True}}
    return answer
