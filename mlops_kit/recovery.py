"""How a failed execution is taken up again: decided from its history, then done; must not read it itself.

RedriveExecution repeats the state that ended the execution, with the definition of then. Where a Catch led
to a Fail state that is the Fail state, so a caught failure is repeated by a new execution through the
workflow's ResumeFrom state. So is every other end where that state leads to where it ended: what the
execution had claimed may have been freed, and is claimed anew on that way. Source: Step Functions Developer
Guide, "Restarting state machine executions with redrive".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mlops_kit.deploy.aws import Session
from mlops_kit.errors import KitError, UsageError

ENTRY = "ResumeFrom"
_OVER = ("FAILED", "TIMED_OUT", "ABORTED")
_WORKS = ("Task", "Map", "Parallel")


class Visit(Protocol):
    """One stay in a state, as the history tells it."""

    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def input(self) -> str | None: ...  # noqa: D102


class Execution(Protocol):
    """An execution with its visits, in the order of entering."""

    @property
    def arn(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def state_machine_arn(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102
    @property
    def input(self) -> Any: ...  # noqa: D102
    @property
    def visits(self) -> Sequence[Visit]: ...  # noqa: D102


@dataclass(frozen=True)
class Decision:
    """How to take an execution up again.

    Attributes
    ----------
    way : {"redrive", "resume"}
        RedriveExecution, or a new execution through ResumeFrom.
    state : str
        The state that is repeated first.
    keeps : tuple of str
        States whose work is kept.
    why : str
        One sentence.
    input : mapping
        Of the new execution; empty for a redrive.
    """

    way: Literal["redrive", "resume"]
    state: str
    keeps: tuple[str, ...]
    why: str
    input: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        how = "redriven" if self.way == "redrive" else "taken up by a new execution"
        kept = f"Kept: {', '.join(self.keeps)}." if self.keeps else "Nothing before it is kept."
        return f"{self.why} It is {how}. Repeated: {self.state} and what follows. {kept}"


def decide(
    execution: Execution, then: Mapping[str, Any], now: Mapping[str, Any], redrivable: str
) -> Decision:
    """The right way for an execution.

    Parameters
    ----------
    execution : Execution
        Read from its history.
    then, now : mapping
        The definition with which it ran, and the one that stands now.
    redrivable : str
        Empty where AWS can redrive it, else AWS's reason why not.

    Raises
    ------
    UsageError
        It runs or has succeeded, or nothing in it can be repeated; says what to do instead.
    """
    if execution.status not in _OVER:
        raise UsageError(
            f"Execution {execution.name} is {execution.status}; there is nothing to repeat.",
            suggestion="start another: mlops-kit run PIPELINE",
        )
    top = [visit for visit in execution.visits if visit.state in then["States"]]
    if not top:
        raise UsageError(f"Execution {execution.name} ended before its first state; start another.")
    caught = _caught(top, then)
    if caught is not None:
        why = f"{top[caught].state} failed and the failure was caught."
        return _resume(execution, top, caught, now, why)
    last = top[-1]
    if last.kind == "Fail" and execution.status == "FAILED":
        raise UsageError(
            f"No state of {execution.name} failed: the workflow itself decided to end in {last.state}.",
            suggestion="mend what led there and start another: mlops-kit run PIPELINE",
        )
    why = f"The execution ended in {last.state} ({execution.status})."
    if then != now:
        why += " The definition was changed meanwhile."
    for definition in (now, then):  # one in which it can begin no more is refused with words
        number = _last_entry(top, _entries(definition))
        if number is not None:
            return _resume(execution, top, number, now, why)
    if redrivable:
        return _resume(execution, top, len(top) - 1, now, f"{why} AWS cannot redrive it: {redrivable}")
    if then != now:
        why += " The old one goes on."
    return Decision("redrive", last.state, _kept(top[:-1], last.state), why)


def carry_out(session: Session, execution: Execution, decision: Decision) -> str:
    """Do what was decided.

    Returns
    -------
    str
        ARN of the execution that goes on: the same after a redrive, a new one after a resume.

    Raises
    ------
    KitError
        AWS refuses.
    """
    from botocore.exceptions import ClientError

    client = session.client("stepfunctions")
    try:
        if decision.way == "redrive":
            client.redrive_execution(executionArn=execution.arn)
            return execution.arn
        answer = client.start_execution(
            stateMachineArn=execution.state_machine_arn,
            input=json.dumps(decision.input, ensure_ascii=False),
            name=_next_name(client, execution),
        )
        return str(answer["executionArn"])
    except ClientError as error:
        words = error.response["Error"]["Message"]
        raise KitError(f"{execution.name} cannot be taken up again.", cause=words) from None


def prepare(session: Session, execution: Execution) -> Decision:
    """The decision for an execution, with what AWS says about it; starts nothing."""
    client = session.client("stepfunctions")
    then = client.describe_state_machine_for_execution(executionArn=execution.arn)["definition"]
    now = client.describe_state_machine(stateMachineArn=execution.state_machine_arn)["definition"]
    answer = client.describe_execution(executionArn=execution.arn)
    reason = answer.get("redriveStatusReason", "") or "it is not redrivable."
    blocked = reason if answer.get("redriveStatus") == "NOT_REDRIVABLE" else ""
    return decide(execution, json.loads(then), json.loads(now), blocked)


def _caught(top: Sequence[Visit], definition: Mapping[str, Any]) -> int | None:
    """The last caught failure after which the workflow could only fail."""
    good = _can_succeed(definition["States"])
    pairs = zip(range(len(top)), top, top[1:], strict=False)
    found = [
        number
        for number, visit, after in pairs
        if visit.status == "CAUGHT" and visit.state in good and after.state not in good
    ]
    return found[-1] if found else None


def _last_entry(top: Sequence[Visit], entries: set[str]) -> int | None:
    """The last state at which the workflow can begin, with no work done after it."""
    for number in reversed(range(len(top))):
        if top[number].state in entries:
            return number
        if top[number].kind in _WORKS:
            return None
    return None


def _can_succeed(states: Mapping[str, Any]) -> set[str]:
    """States from which, without another failure, the end of the workflow as a success can be reached."""
    good = {name for name, state in states.items() if state["Type"] == "Succeed" or state.get("End")}
    while True:
        more = {
            name for name, state in states.items() if name not in good and good.intersection(_after(state))
        }
        if not more:
            return good
        good |= more


def _after(state: Mapping[str, Any]) -> Iterator[str]:
    for rule in (state, *state.get("Choices", ())):
        if "Next" in rule:
            yield rule["Next"]
    if "Default" in state:
        yield state["Default"]


def _entries(definition: Mapping[str, Any]) -> set[str]:
    """States at which the workflow can begin: those that the Choices behind ResumeFrom lead to or name."""
    states = definition["States"]
    rules = list(states.get(ENTRY, {}).get("Choices", ()))
    for rule in list(rules):
        state = states.get(rule.get("Next"), {})
        while state.get("Type") != "Choice" and "Next" in state:
            state = states[state["Next"]]
        rules += state.get("Choices", ()) if state.get("Type") == "Choice" else ()
    named = {rule["Next"] for rule in rules if "Next" in rule}
    named.update(*(re.findall(r"[\"']([^\"'\\]+)\\?[\"']", json.dumps(rule)) for rule in rules))
    return named & set(states)


def _resume(
    execution: Execution, top: Sequence[Visit], number: int, now: Mapping[str, Any], why: str
) -> Decision:
    failed, entries = top[number], _entries(now)
    given = dict(execution.input) if isinstance(execution.input, dict) else {}
    if failed.state not in entries and given.get("resume", {}).get("state") in entries:
        return Decision("resume", given["resume"]["state"], (), f"{why} It had not come to its work.", given)
    if failed.state not in entries:
        known = f"it can begin at {', '.join(sorted(entries))}" if entries else f"it has no state {ENTRY}"
        raise UsageError(
            f"{why} The workflow cannot begin at {failed.state}.",
            cause=known,
            suggestion="start another from the beginning: mlops-kit run PIPELINE",
        )
    if failed.input is None:
        raise UsageError(f"{why} The history does not hold what {failed.state} was given.")
    resume = {"state": failed.state, "data": json.loads(failed.input), "execution": execution.arn}
    kept = _kept(top[:number], failed.state)
    return Decision("resume", failed.state, kept, why, {**given, "resume": resume})


def _kept(visits: Sequence[Visit], repeated: str) -> tuple[str, ...]:
    """States that did work and succeeded, once each."""
    worked = (v.state for v in visits if v.status == "SUCCEEDED" and v.kind in _WORKS)
    return tuple(dict.fromkeys(name for name in worked if name != repeated))


def _next_name(client: Any, execution: Execution) -> str:
    """``<name>-again``, ``<name>-again-2`` and so on: the link that people see."""
    from botocore.exceptions import ClientError

    base = execution.name.partition("-again")[0][:70] + "-again"
    for number in range(1, 1000):
        name = base if number == 1 else f"{base}-{number}"
        arn = f"{execution.arn.rpartition(':')[0]}:{name}"
        try:
            client.describe_execution(executionArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return name
            raise
    raise KitError(f"{execution.name} was taken up again too often.")
