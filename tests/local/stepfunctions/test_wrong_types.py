"""What the definition's check lets pass never breaks the engine, whatever stands in a field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlops_kit.asl import definition as checks
from mlops_kit.local.stepfunctions.api import StepFunctions
from tests.local.stepfunctions import walk
from tests.local.stepfunctions.test_engine import call, service, wait

__all__ = ["service"]
STATES = Path(__file__).with_name("every_field.json")  # states that together have every field
INPUT = {"n": 1, "t": "2020-01-01T00:00:00Z", "items": [1]}
WRONG: tuple[Any, ...] = (None, True, 0, -1, 1.5, "x", "$.no", "{% 1 %}", [], [1], {}, {"a": 1})


def changed(value: Any, replacement: Any) -> Iterator[Any]:
    """A value with each of its members, at any depth, replaced in turn."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in members:
        for new in (replacement, *changed(item, replacement)):
            copy = value.copy()
            copy[key] = new
            yield copy


def machine(name: str, state: dict[str, Any], language: str) -> str:
    """A definition of one state, and of the one that it may go to."""
    last = {"End": {"Type": "Succeed"}} if '": "End"' in json.dumps(state) else {}
    return json.dumps({"StartAt": name, "States": {name: state, **last}, "QueryLanguage": language})


def accepted() -> Iterator[str]:
    """Machines around one wrong member each that the check lets pass."""
    seen = set()
    for language, states in json.loads(STATES.read_text()).items():
        for name, state in states.items():
            for new in (new for wrong in WRONG for new in changed(state, wrong)):
                text = machine(name, new, language)
                if text not in seen and checks.refusal(checks.validate(text)) is None:
                    seen.add(text)
                    yield text


def computed() -> Iterator[str]:
    """The machines with every field, what they compute taken from the input's n."""
    for language, states in json.loads(STATES.read_text()).items():
        for name, state in states.items():
            text = re.sub(r"{% (1|9|'e') %}", "{% $states.input.n %}", json.dumps(state))
            yield machine(name, json.loads(text), language)


def broken(service: StepFunctions, machines: Iterable[str], inputs: Sequence[Any]) -> list[tuple[str, Any]]:
    """Executions that have not ended, or ended by a mistake of the engine, with how each was started."""
    started = {}
    for number, text in enumerate(machines):
        made = call(service, "CreateStateMachine", name=f"m{number}", definition=text, roleArn=walk.ROLE)
        for value in inputs:
            given = {"stateMachineArn": made["stateMachineArn"], "input": json.dumps(value)}
            started[call(service, "StartExecution", **given)["executionArn"]] = (text, value)
    assert len(started) > 500
    service.context.clock.advance(3600)
    ended = {execution: wait(service, execution) for execution in started}
    return [
        started[execution]
        for execution, shown in ended.items()
        if shown["status"] == "RUNNING" or "embedded AWS failed" in (shown.get("cause") or "")
    ]


def test_what_is_accepted_runs_or_fails_in_aws_s_words(service: StepFunctions) -> None:
    assert not broken(service, accepted(), [INPUT])


def test_whatever_an_input_holds_its_execution_ends_in_aws_s_words(service: StepFunctions) -> None:
    values = (None, "", "x", True, -1, 0, 1.5, 10**400, [], [[]], {"a": {}})
    inputs = [{**INPUT, name: value} for name in INPUT for value in values]
    assert not broken(service, computed(), [*values, *inputs])
