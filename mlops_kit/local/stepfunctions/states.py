"""Pass, Choice, Succeed, Fail and Wait; they touch nothing outside their frame."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from mlops_kit.asl import choice as rules
from mlops_kit.asl import intrinsics
from mlops_kit.asl.errors import StatesError
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.frames import WAITING
from mlops_kit.local.stepfunctions.outcome import Outcome

_LONGEST_WAIT = 99_999_999  # seconds (Amazon States Language, Wait)
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def pass_(reader: Reader) -> Outcome:
    """Pass: give the input on, or Result, or Parameters."""
    state, frame = reader.state, reader.frame
    if state.plain:
        return Outcome(state.next, frame.input)
    if state.jsonata:
        return Outcome(state.next, *reader.close(frame.input.value, frame.input))
    raw = frame.input if state.spec.get("InputPath", "$") == "$" else None
    result = reader.narrowed()
    if "Result" in state.spec:
        result, raw = state.spec["Result"], None
    elif "Parameters" in state.spec:
        result, raw = reader.template(state.spec["Parameters"], result), None
    return Outcome(state.next, *reader.close(result, raw))


def choice(reader: Reader) -> Outcome:
    """Choice: the first rule that holds says where to go."""
    state, frame = reader.state, reader.frame
    if state.jsonata:
        return _choice_jsonata(reader)
    data = reader.narrowed()
    for rule in state.spec["Choices"]:
        if rules.matches(rule, data, reader.context, frame.visible):
            return _chosen(reader, rule, rule["Next"], data)
    return _chosen(reader, state.spec, state.spec.get("Default"), data)


def _chosen(reader: Reader, source: Any, next_state: str | None, data: Any) -> Outcome:
    if next_state is None:
        raise _no_choice(reader)
    assigned = reader.template(source["Assign"], data) if "Assign" in source else {}
    path = reader.state.spec.get("OutputPath", "$")
    if path is None:
        return Outcome(next_state, Doc({}, "{}"), assigned)
    if path == "$" and reader.state.spec.get("InputPath", "$") == "$":
        return Outcome(next_state, reader.frame.input, assigned)
    return Outcome(next_state, Doc(reader.path(path, data)), assigned)


def _choice_jsonata(reader: Reader) -> Outcome:
    spec = reader.state.spec
    for index, rule in enumerate(spec["Choices"]):
        field = f"Choices[{index}]/Condition"
        value = rule["Condition"]
        if reader.jsonata(value, field, expect="boolean") if isinstance(value, str) else value:
            return _chosen_jsonata(reader, rule, rule["Next"])
    if spec.get("Default") is None:
        raise _no_choice(reader)
    return _chosen_jsonata(reader, spec, spec["Default"])


def _chosen_jsonata(reader: Reader, source: Any, next_state: str) -> Outcome:
    assigned = reader.jsonata(source["Assign"], "Assign") if "Assign" in source else {}
    if "Output" in source:
        return Outcome(next_state, Doc(reader.jsonata(source["Output"], "Output")), assigned)
    return Outcome(next_state, reader.frame.input, assigned)


def _no_choice(reader: Reader) -> StateFailed:
    return StateFailed("States.NoChoiceMatched", _no_choice_words(reader))


def _no_choice_words(reader: Reader) -> str:
    return (
        f"An error occurred while executing the state '{reader.state.name}' (entered at the event id "
        f"#{reader.frame.entered_id}). Failed to transition out of the state. The state's Choices did not "
        "match and there is no Default."
    )


def succeed(reader: Reader) -> Outcome:
    """Succeed: end, with the output that it selects."""
    frame, spec = reader.frame, reader.state.spec
    if reader.state.jsonata:
        output = Doc(reader.jsonata(spec["Output"], "Output")) if "Output" in spec else frame.input
        return Outcome(None, output)
    if spec.get("InputPath", "$") == "$" and spec.get("OutputPath", "$") == "$":
        return Outcome(None, frame.input)
    path = spec.get("OutputPath", "$")
    value = reader.narrowed()
    return Outcome(None, Doc({} if path is None else reader.path(path, value)))


def fail(reader: Reader) -> Outcome:
    """Fail: end with an error; both its fields may be computed."""
    raise StateFailed(_fail_field(reader, "Error"), _fail_field(reader, "Cause"))


def _fail_field(reader: Reader, field: str) -> str | None:
    spec = reader.state.spec
    if f"{field}Path" in spec:
        return _fail_path(reader, f"{field}Path", spec[f"{field}Path"])
    value = spec.get(field)
    if value is None or not reader.state.jsonata:
        return value
    return str(reader.jsonata(value, field, expect="string"))


def _fail_path(reader: Reader, field: str, path: str) -> str:
    data = reader.frame.input.value
    if path.startswith("States."):
        value = intrinsics.evaluate(path, data, reader.context, reader.frame.visible)
    else:
        try:
            value = reader.path(path, data)
        except StatesError:
            words = f"The JSONPath '{path}' specified for the field '{field}' could not be found in the input"
            raise StatesError("States.Runtime", f"{words} '{reader.frame.input.text}'") from None
    if not isinstance(value, str):
        words = f"The JSONPath '{path}' specified for the field '{field}' did not return a string"
        raise StatesError("States.Runtime", words)
    return value


# -------------------------------------------------------------------------- Wait
async def wait(reader: Reader) -> Outcome:
    """Wait: until a time, on the embedded clock."""
    frame = reader.frame
    if frame.phase != WAITING:
        frame.until = until(reader)
        frame.phase = WAITING
        frame.execution.mark(frame)
    await frame.execution.engine.sleep_until(frame.until or 0)
    return close_wait(reader)


def close_wait(reader: Reader) -> Outcome:
    """What a Wait state hands on when its time has come."""
    state, spec, frame = reader.state, reader.state.spec, reader.frame
    if state.jsonata:
        return Outcome(state.next, *reader.close(frame.input.value, frame.input))
    data = reader.narrowed()
    assigned = reader.template(spec["Assign"], data) if "Assign" in spec else {}
    path = spec.get("OutputPath", "$")
    if path == "$" and spec.get("InputPath", "$") == "$":
        return Outcome(state.next, frame.input, assigned)
    return Outcome(state.next, Doc({} if path is None else reader.path(path, data)), assigned)


def until(reader: Reader) -> float:
    """The time until which a Wait state waits, epoch seconds."""
    spec, now = reader.state.spec, reader.frame.execution.engine.now()
    if "Seconds" in spec:
        seconds = spec["Seconds"]
        if isinstance(seconds, str):
            seconds = reader.jsonata(seconds, "Seconds", expect="integer")
        return now + _checked(seconds, "Seconds", reader)
    if "SecondsPath" in spec:
        return now + _checked(_wait_path(reader, "SecondsPath"), "SecondsPath", reader)
    if "Timestamp" in spec:
        text = spec["Timestamp"]
        if reader.state.jsonata:
            text = reader.jsonata(text, "Timestamp", expect="string")
        return _moment(reader, "Timestamp", text)
    return _moment(reader, "TimestampPath", _wait_path(reader, "TimestampPath"))


def _wait_path(reader: Reader, field: str) -> Any:
    path = reader.state.spec[field]
    try:
        return reader.path(path, reader.narrowed())
    except StatesError:
        words = f"The {field} parameter does not reference an input value: {path}"
        raise StatesError("States.Runtime", words) from None


def _checked(seconds: Any, field: str, reader: Reader) -> float:
    name = "States.QueryEvaluationError" if reader.state.jsonata else "States.Runtime"
    whole = isinstance(seconds, int) or (isinstance(seconds, float) and seconds.is_integer())
    if isinstance(seconds, bool) or not whole:
        path = reader.state.spec[field]
        raise StatesError(
            name, f"The {field} parameter cannot be parsed as a long value: {path} == {seconds}"
        )
    if seconds < 0:
        path = reader.state.spec[field]
        raise StatesError(name, f"The {field} parameter references a negative value: {path} == {seconds}")
    if seconds > _LONGEST_WAIT:
        raise StatesError(name, f"The {field} parameter references a value out of range: {seconds}")
    return float(seconds)


def _moment(reader: Reader, field: str, text: Any) -> float:
    match = _TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        if match is None:
            raise ValueError(text)
        zone = "+00:00" if match[3] == "Z" else match[3]
        whole = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
        return whole + float(match[2] or 0)
    except ValueError:
        raise _bad_moment(reader, field, text) from None


def _bad_moment(reader: Reader, field: str, text: Any) -> StatesError:
    shown = text if isinstance(text, str) else dumps(text)
    form = "ISO-8601 extended offset date-time format string"
    if reader.state.jsonata:
        words = f"The {field} field cannot be parsed as an {form}: {shown}"
        return StatesError("States.QueryEvaluationError", words, field)
    path = reader.state.spec[field]
    words = f"The {field} parameter does not reference a valid {form}: {path} == {shown}"
    return StatesError("States.Runtime", words)
