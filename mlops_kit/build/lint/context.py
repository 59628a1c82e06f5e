"""Reads of what the context object, ``$states`` or a state's input do not hold; tokens that nobody is given.

Fields: Step Functions Developer Guide, "Accessing execution data from the Context object in Step Functions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl import expressions, intrinsics, jsonatareferences, paths
from mlops_kit.asl.definition import is_downgraded, language_of
from mlops_kit.asl.pathparse import BadPath, Step, parse
from mlops_kit.asl.resources import TOKEN
from mlops_kit.asl.states import Place, walk
from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.language import where
from mlops_kit.build.lint.names import nearest
from mlops_kit.build.lint.tasks import tasks

# None: whatever the execution was given, or a text or number, below which nothing is looked at
_CONTEXT: dict[str, Any] = {
    "Execution": dict.fromkeys(
        ("Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"), None
    ),
    "State": dict.fromkeys(("EnteredTime", "Name", "RetryCount"), None),
    "StateMachine": dict.fromkeys(("Id", "Name"), None),
    "Task": {"Token": None},
    "Map": {"Item": dict.fromkeys(("Index", "Value", "Key", "Source"), None)},
}
_STATES = ("input", "result", "errorOutput", "context")
_ONE_VALUE = ("SecondsPath", "TimestampPath", "MaxConcurrencyPath", "PercentagePath", "CountPath")
_TOKEN = ("Task", "Token")
_GIVEN = ("InputPath", "Parameters", "Arguments")


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of fields that there are not, of lists where a number is wanted, and of missing tokens."""
    for place in walk(definition):
        if is_downgraded(place, definition):
            continue
        for found in expressions.find(place, language_of(place, definition)):
            if found.kind == expressions.JSONATA_TEXT:
                yield from _jsonata(found)
            elif isinstance(found.text, str):
                yield from _jsonpath(found)
    yield from _tokens(definition)


def _jsonata(found: expressions.Expression) -> Iterator[Finding]:
    state, field = where(found.location)
    for root, rest in jsonatareferences.references(found.text):
        if root == "$states" and rest and rest[0] not in _STATES:
            yield Finding(
                state,
                field,
                f"$states has no member {rest[0]!r}.",
                nearest(rest[0], _STATES, "use one of: "),
            )
    for steps in _context_steps(found):
        if wrong := _unknown(steps, "$states.context"):
            yield Finding(state, field, *wrong, "warning")


def _jsonpath(found: expressions.Expression) -> Iterator[Finding]:
    state, field = where(found.location + found.inner)
    for steps in _context_steps(found):
        if wrong := _unknown(steps, "$$"):
            yield Finding(state, field, *wrong, "warning")
    if (
        found.kind == expressions.PATH
        and found.field.endswith(_ONE_VALUE)
        and not paths.is_definite(found.text)
    ):
        problem = f"{found.text!r} finds a list, and one value is wanted here."
        yield Finding(state, field, problem, "name one place, such as $.n[0].")


def _context_steps(found: expressions.Expression) -> Iterator[tuple[Step, ...]]:
    """What an expression reads of the context object, as steps from it on."""
    if found.kind == expressions.JSONATA_TEXT:
        for root, rest in jsonatareferences.references(found.text):
            if root == "$states" and rest[:1] in ((), ("context",)):
                yield rest[1:]
        return
    for path in _paths(found.text):
        try:
            parsed = parse(path)
        except BadPath:
            continue
        if parsed.root == "$$":
            yield parsed.steps


def _paths(text: Any) -> list[str]:
    if not isinstance(text, str) or not text.startswith("States."):
        return [text] if isinstance(text, str) else []
    try:
        return intrinsics.references(intrinsics.parse(text))
    except intrinsics.BadIntrinsic:
        return []


def _unknown(steps: tuple[Step, ...], root: str) -> tuple[str, str] | None:
    """The problem and its fix, where a step leads to nothing that AWS documents."""
    known: Any = _CONTEXT
    for number, step in enumerate(steps):
        if known is None:
            return None
        if step not in known:
            at = ".".join((root, *map(str, steps[:number])))
            return f"The context object has no {at}.{step}.", nearest(str(step), known, f"{at} has: ")
        known = known[step]
    return None


def _tokens(definition: Mapping[str, Any]) -> Iterator[Finding]:
    for task in tasks(definition):
        if task.resource is None or task.resource.pattern != TOKEN:
            continue
        whole = isinstance(task.parameters, str) and "${" in task.parameters  # known when it is deployed
        if not whole and not _gives_token(task.place, language_of(task.place, definition)):
            source = "{% $states.context.Task.Token %}" if task.jsonata else "$$.Task.Token"
            yield Finding(
                task.place.name,
                task.field,
                "It waits for its task token to come back and gives it to nobody.",
                f"pass {source} to what is called, which answers with SendTaskSuccess or SendTaskFailure.",
                "warning",
            )


def _gives_token(place: Place, language: str) -> bool:
    """Whether the token, or something that holds it, stands in what is called."""
    for found in expressions.find(place, language):
        if found.location.removeprefix(f"{place.path}/").partition("/")[0].partition("[")[0] not in _GIVEN:
            continue
        if any(steps[:2] == _TOKEN[: len(steps)] for steps in _context_steps(found)):
            return True
    return False
