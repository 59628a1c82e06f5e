"""TestState: one state run alone, with its data at each step; keeps nothing and has no history."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from mlops_kit.asl import definition as checks
from mlops_kit.asl.errors import StatesError
from mlops_kit.local.service import AwsError, Handler, Request
from mlops_kit.local.stepfunctions import maps, mocks, names, states, tasks
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import Doc, dumps, loads
from mlops_kit.local.stepfunctions.engine import Engine
from mlops_kit.local.stepfunctions.execution import Birth, Execution
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.frames import WORK
from mlops_kit.local.stepfunctions.integrations.names import is_call
from mlops_kit.local.stepfunctions.outcome import Outcome
from mlops_kit.local.stepfunctions.program import Scope, State, compile_scope, matches
from mlops_kit.local.stepfunctions.starts import checked_input

_NAME = "StateName"  # what AWS calls a state that is tested alone
_SELECTS = ("Task", "Pass", "Map", "Parallel")
_INSTANT = {"Pass": states.pass_, "Choice": states.choice, "Succeed": states.succeed, "Fail": states.fail}


class Traced(Reader):
    """A reader that notes the data at each step, as inspectionData shows them."""

    __slots__ = ("given", "seen")

    def __init__(self, frame: Any, state: State, given: Mapping[str, Any]) -> None:
        super().__init__(frame, state)
        self.given = given
        self.seen: dict[str, Any] = {"input": frame.input.text}

    @property
    def context(self) -> dict[str, Any]:
        """The context object that the caller gave, over one that is made up."""
        if self._context is None:
            known = self.frame.execution.context(self.frame)
            del known["Execution"]["RedriveCount"]
            self._context = {**known, **self.given}
        return self._context

    def note(self, member: str, value: Any) -> None:
        """Take down a step's data."""
        self.seen[member] = dumps(value)

    def narrowed(self) -> Any:
        """Input after InputPath."""
        value = super().narrowed()
        spec = self.state.spec
        shown = self.state.kind not in ("Pass", "Parallel") or "Parameters" in spec
        if shown and "Result" not in spec:
            self.note("afterInputPath", value)
        return value

    def arguments(self) -> Any:
        """Arguments, or input after Parameters."""
        value = super().arguments()
        if self.state.jsonata:
            if "Arguments" in self.state.spec and self.state.kind == "Task":
                self.note("afterArguments", value)
        elif self.state.kind != "Parallel":
            self.note("afterParameters", value)
        return value

    def close(self, result: Any, raw: Doc | None = None) -> tuple[Doc, dict[str, Any]]:
        """Output, with the steps that lead to it."""
        spec = self.state.spec
        if not self.state.jsonata and self.state.kind in _SELECTS:
            if "Parameters" in spec and self.state.kind == "Pass" and "Result" not in spec:
                self.note("afterParameters", result)
            if self.state.kind == "Task" or "Result" in spec:
                self.note("result", result)
            selector = spec.get("ResultSelector")
            self.note("afterResultSelector", self.template(selector, result) if selector else result)
        return super().close(result, raw)

    def _placed(self, result: Any, raw: Doc | None, result_path: str | None) -> Doc:
        output = super()._placed(result, raw, result_path)
        self.seen["afterResultPath"] = output.text
        return output


class Trials:
    """The operation TestState."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.operations: dict[str, Handler] = {"TestState": self.test}

    async def test(self, request: Request) -> dict[str, Any]:
        """TestState, with or without a mock."""
        params = request.params
        scope, name = _definition(params)
        state = scope.states[name]
        mock = mocks.checked(params, state)
        if mock is None and state.kind == "Task" and not params.get("roleArn"):
            raise AwsError("ValidationException", "RoleArn must be specified when testing a Task state")
        given = mocks.context(params.get("context"))
        variables = _variables(params)
        execution = self._execution(request, scope)
        frame = execution.root
        frame.state, frame.phase = name, WORK
        frame.input = execution.birth.input
        frame.entered_at = self._engine.now()
        frame.assign(variables)
        reader = Traced(frame, state, given)
        work = _attempt(reader, params, mock)
        answer = await asyncio.wrap_future(self._engine.call(work))
        if params.get("inspectionLevel", "INFO") == "INFO":
            answer.pop("inspectionData", None)
        return answer

    def _execution(self, request: Request, scope: Scope) -> Execution:
        machine, now = str(uuid.uuid4()), self._engine.now()
        arn = names.arn(request.region, "stateMachine", machine)
        name = str(uuid.uuid4())
        birth = Birth(
            id=0,
            arn=f"{arn.replace(':stateMachine:', ':express:')}:{name}",
            name=name,
            machine_arn=arn,
            machine_name=machine,
            role_arn=request.params.get("roleArn") or "",
            revision=0,
            kind="EXPRESS",
            input=checked_input(request.params.get("input")),
            started=now,
        )
        return Execution(self._engine, birth, scope)


def _definition(params: Mapping[str, Any]) -> tuple[Scope, str]:
    """The scope that holds the state to test, and its name."""
    try:
        spec = loads(params["definition"])
    except ValueError:
        spec = None
    if not isinstance(spec, dict):
        raise AwsError("InvalidDefinition", checks.refusal(checks.validate(params["definition"])) or "")
    wanted = str(params.get("stateName"))
    if "States" not in spec:
        spec, wanted = _alone(spec), _NAME
    refusal = checks.refusal(checks.validate(spec, knows=is_call))
    if refusal is not None:
        raise AwsError("InvalidDefinition", refusal)
    scopes = [compile_scope(spec)]
    while scopes:
        scope = scopes.pop()
        if wanted in scope.states:
            return scope, wanted
        for state in scope.states.values():
            scopes += [*state.branches, *([state.processor] if state.processor else [])]
    raise AwsError("ValidationException", "State not found in definition")


def _variables(params: Mapping[str, Any]) -> dict[str, Any]:
    try:
        variables = loads(params.get("variables") or "{}")
    except ValueError:
        variables = None
    if not isinstance(variables, dict):
        raise AwsError("ValidationException", "Variables must be a JSON object.")
    return variables


def _alone(spec: dict[str, Any]) -> dict[str, Any]:
    """A machine around one state, with stand-ins for the states that it names."""
    targets = {spec.get("Next"), spec.get("Default")}
    targets |= {entry.get("Next") for key in ("Choices", "Catch") for entry in spec.get(key) or ()}
    others = {target: {"Type": "Succeed"} for target in targets if target and target != _NAME}
    return {"StartAt": _NAME, "States": {_NAME: spec, **others}}


async def _attempt(reader: Traced, params: Mapping[str, Any], mock: mocks.Mock | None) -> dict[str, Any]:
    """Run the state and say how it went."""
    answer: dict[str, Any] = {"status": "SUCCEEDED"}
    try:
        outcome = await _run(reader, params, mock)
        answer["output"] = outcome.output.text
        if outcome.next is not None:
            answer["nextState"] = outcome.next
        if outcome.assigned:
            reader.note("variables", {**reader.frame.visible, **outcome.assigned})
    except StatesError as error:
        cause = (
            f"An error occurred while executing the state '{reader.state.name}' (entered at the event id "
            f"#0). {error.cause or ''}"
        )
        answer |= {"status": "FAILED", "error": error.error, "cause": cause}
    except StateFailed as failure:
        answer |= _failed(reader, params, failure)
    return {**answer, "inspectionData": reader.seen}


def _failed(reader: Traced, params: Mapping[str, Any], failure: StateFailed) -> dict[str, Any]:
    """Whether Retry or Catch would have the failure."""
    answer: dict[str, Any] = {"status": "FAILED", "error": failure.error, "cause": failure.cause}
    configuration = params.get("stateConfiguration") or {}
    used = configuration.get("retrierRetryCount") or 0
    for index, retrier in enumerate(reader.state.retry):
        if matches(retrier.errors, failure.names):
            if used < retrier.attempts and not failure.fatal:
                delay = int(retrier.delay(used))
                reader.seen["errorDetails"] = {"retryIndex": index, "retryBackoffIntervalSeconds": delay}
                return {**answer, "status": "RETRIABLE"}
            break
    for index, catcher in enumerate(reader.state.catch):
        if matches(catcher["ErrorEquals"], failure.names) and not failure.fatal:
            output, _ = reader.caught(catcher, failure.output)
            reader.seen["errorDetails"] = {"catchIndex": index}
            return {**answer, "status": "CAUGHT_ERROR", "output": output.text, "nextState": catcher["Next"]}
    return answer


async def _run(reader: Traced, params: Mapping[str, Any], mock: mocks.Mock | None) -> Outcome:
    state = reader.state
    if state.kind in _INSTANT:
        if state.plain or state.kind in ("Succeed", "Fail"):
            _note_input(reader)
        return _INSTANT[state.kind](reader)
    if state.kind == "Wait":
        states.until(reader)
        return states.close_wait(reader)
    if mock is None:
        return await tasks.perform(reader)
    if state.kind == "Map":
        _map(reader, params)
    else:
        reader.arguments()
    if mock.error is not None:
        raise StateFailed(mock.error.get("error"), mock.error.get("cause"))
    if state.kind == "Map":
        _judge(reader, params)
    return Outcome(state.next, *reader.close(loads(mock.result or "null")))


def _note_input(reader: Traced) -> None:
    if not reader.state.jsonata:
        if reader.state.plain:
            reader.note("afterInputPath", reader.frame.input.value)
            for member in ("afterParameters", "afterResultSelector", "afterResultPath"):
                reader.note(member, reader.frame.input.value)
        else:
            reader.narrowed()


def _map(reader: Traced, params: Mapping[str, Any]) -> None:
    """Evaluate a Map state's own fields."""
    data = (params.get("stateConfiguration") or {}).get("mapItemReaderData")
    reader.seen["maxConcurrency"] = maps.whole_number(reader, "MaxConcurrency") or 0
    if data is None and "ItemReader" not in reader.state.spec:
        found = maps.items(reader)
        if not reader.state.jsonata:
            reader.note("afterItemsPath", found)
    tolerance = maps.tolerance(reader)
    if tolerance.count is not None:
        reader.seen["toleratedFailureCount"] = tolerance.count
    if tolerance.percentage is not None:
        reader.seen["toleratedFailurePercentage"] = float(tolerance.percentage)


def _judge(reader: Traced, params: Mapping[str, Any]) -> None:
    failed = (params.get("stateConfiguration") or {}).get("mapIterationFailureCount") or 0
    tolerance = maps.tolerance(reader)
    if tolerance.count is None and tolerance.percentage is None:
        return
    items = loads(params["mock"].get("result") or "[]")
    total = len(items) if isinstance(items, list) else 0
    if tolerance.exceeded(failed, total):
        words = "The specified tolerated failure threshold was exceeded"
        raise StateFailed("States.ExceedToleratedFailureThreshold", words)
