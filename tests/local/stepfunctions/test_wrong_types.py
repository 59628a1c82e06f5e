"""What the definition's check lets pass never breaks the engine, whatever stands in a field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_kit.asl import definition as checks
from mlops_kit.local.stepfunctions.api import StepFunctions
from tests.local.stepfunctions import walk
from tests.local.stepfunctions.test_engine import call, service, wait

__all__ = ["service"]
STATES = Path(__file__).with_name("every_field.json")  # states that together have every field
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


def accepted() -> Iterator[str]:
    """Machines around one wrong member each that the check lets pass."""
    seen = set()
    for language, states in json.loads(STATES.read_text()).items():
        for name, state in states.items():
            for new in (new for wrong in WRONG for new in changed(state, wrong)):
                last = {"End": {"Type": "Succeed"}} if '": "End"' in json.dumps(new) else {}
                text = json.dumps({"StartAt": name, "States": {name: new, **last}, "QueryLanguage": language})
                if text not in seen and checks.refusal(checks.validate(text)) is None:
                    seen.add(text)
                    yield text


def test_what_is_accepted_runs_or_fails_in_aws_s_words(service: StepFunctions) -> None:
    value = json.dumps({"n": 1, "t": "2020-01-01T00:00:00Z", "items": [1]})
    started = {}
    for number, text in enumerate(accepted()):
        made = call(service, "CreateStateMachine", name=f"m{number}", definition=text, roleArn=walk.ROLE)
        answer = call(service, "StartExecution", stateMachineArn=made["stateMachineArn"], input=value)
        started[answer["executionArn"]] = text
    service.context.clock.advance(3600)
    ended = {text: wait(service, execution) for execution, text in started.items()}
    assert len(ended) > 500
    broken = {
        text: shown
        for text, shown in ended.items()
        if shown["status"] == "RUNNING" or "embedded AWS failed" in (shown.get("cause") or "")
    }
    assert not broken
