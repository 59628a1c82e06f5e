"""A definition as nodes and edges with short words for people; knows no coordinates and no colours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl.states import ends, machines, own, targets
from mlops_kit.errors import UsageError

LABEL_LENGTH = 30
_SERVICES = {
    **{"lambda": "Lambda", "sagemaker": "SageMaker", "sagemakerruntime": "SageMaker", "glue": "Glue"},
    **{"dynamodb": "DynamoDB", "sns": "SNS", "sqs": "SQS", "events": "EventBridge", "s3": "S3"},
    **{"states": "Step Functions", "sfn": "Step Functions", "athena": "Athena", "ecs": "ECS", "http": "HTTP"},
    **{"eventbridge": "EventBridge", "cloudwatch": "CloudWatch", "cloudwatchlogs": "CloudWatch Logs"},
    **{"apigateway": "API Gateway", "scheduler": "Scheduler", "ssm": "SSM", "batch": "Batch"},
}
_OPERATORS = (
    *(("LessThanEquals", "≤"), ("GreaterThanEquals", "≥"), ("LessThan", "<"), ("GreaterThan", ">")),
    *(("Matches", "like"), ("Equals", "=")),
)


@dataclass(frozen=True)
class Edge:
    """A way from one state to another of the same machine.

    Attributes
    ----------
    source, target : str
        Names of states.
    kind : {"next", "choice", "default", "catch"}
    label : str
        Short words, empty for ``next``.
    detail : str
        The same in full.
    """

    source: str
    target: str
    kind: str
    label: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Node:
    """A state.

    Attributes
    ----------
    name : str
    kind : str
        Its ``Type``, or ``Missing`` for a target that does not exist.
    service : str
        Service of a Task, such as ``SageMaker``; else empty.
    detail : str
        What it does, in a few words.
    attempts : int
        Further attempts that its Retry allows.
    ends : bool
        Whether the execution or the branch can end here.
    inner : tuple of Flow
        What is inside a Map or Parallel.
    """

    name: str
    kind: str
    service: str = ""
    detail: str = ""
    attempts: int = 0
    ends: bool = False
    inner: tuple[Flow, ...] = ()


@dataclass(frozen=True)
class Flow:
    """A machine: its states, the ways between them, and where it starts."""

    start: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def all_nodes(self) -> Iterator[Node]:
        """Every node, those inside Map and Parallel after the one that holds them."""
        for node in self.nodes:
            yield node
            for flow in node.inner:
                yield from flow.all_nodes()


def flow(definition: Mapping[str, Any]) -> Flow:
    """Read a definition, or a machine inside one.

    Raises
    ------
    UsageError
        It is no definition: no ``States``, or no ``StartAt``.
    """
    states = definition.get("States") if isinstance(definition, Mapping) else None
    if not isinstance(states, Mapping) or not states or not isinstance(definition.get("StartAt"), str):
        raise UsageError(
            "This is no definition in the Amazon States Language: it needs States and StartAt.",
            suggestion="hand in a pipeline, a definition, or the JSON that Workflow Studio exports.",
        )
    places = list(own(definition))
    edges = tuple(edge for place in places for edge in _edges(place.name, place.state))
    missing = dict.fromkeys([definition["StartAt"], *(edge.target for edge in edges)])
    ghosts = (Node(name, "Missing", detail="no such state") for name in missing if name not in states)
    nodes = (*(_node(place.name, place.state) for place in places), *ghosts)
    return Flow(definition["StartAt"], nodes, edges)


def _node(name: str, state: Mapping[str, Any]) -> Node:
    kind = str(state.get("Type", "Missing"))
    service, detail = _what(kind, state)
    retries = [one for one in _list(state.get("Retry")) if isinstance(one, Mapping)]
    allowed = [one.get("MaxAttempts", 3) for one in retries]
    attempts = max((number for number in allowed if isinstance(number, int)), default=0)
    inner = tuple(flow(machine) for _, machine in machines(state))
    return Node(name, kind, service, detail, attempts, ends(state), inner)


def _list(value: Any) -> list[Any]:
    """A malformed definition is drawn as far as it goes; what is wrong with it, the linter says."""
    return value if isinstance(value, list) else []


def _what(kind: str, state: Mapping[str, Any]) -> tuple[str, str]:
    if kind == "Task":
        return _task(str(state.get("Resource", "")))
    if kind == "Wait":
        seconds = state.get("Seconds")
        return "", f"wait {seconds} s" if isinstance(seconds, int) else "wait"
    if kind == "Parallel":
        branches = len(_list(state.get("Branches")))
        return "", f"{branches} branches side by side" if branches != 1 else "as one step"
    if kind == "Map":
        most = state.get("MaxConcurrency")
        configs = [machine.get("ProcessorConfig") for _, machine in machines(state)]
        distributed = any(isinstance(one, Mapping) and one.get("Mode") == "DISTRIBUTED" for one in configs)
        words = "for each item, distributed" if distributed else "for each item"
        return "", f"{words}, {most} at a time" if isinstance(most, int) and most else words
    if kind == "Fail":
        error = str(state.get("Error", "fail"))
        return "", "fail" if error.startswith("{%") else error
    return "", {"Choice": "choice", "Pass": "pass", "Succeed": "succeed"}.get(kind, kind)


def _task(resource: str) -> tuple[str, str]:
    match = re.search(r":::(?:aws-sdk:)?([A-Za-z0-9]+):([A-Za-z0-9]+)(?:\.(\w+))?", resource)
    if match is None:
        words = (
            ("Lambda", "Lambda function") if "lambda" in resource or "Function}" in resource else ("", "task")
        )
        return ("", "activity") if ":activity:" in resource else words
    service = _SERVICES.get(match[1], match[1])
    action = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", match[2]).lower().removesuffix(" v2")
    waits = " and wait for its token" if match[3] == "waitForTaskToken" else ""
    return service, f"{service} {action}{waits}"


def _edges(name: str, state: Mapping[str, Any]) -> Iterator[Edge]:
    for field, next_state in targets(state):
        target, head = str(next_state), field.partition("[")[0]
        if head == "Next":
            yield Edge(name, target, "next")
        elif head == "Default":
            yield Edge(name, target, "default", "otherwise", "otherwise")
        else:
            entry = state[head][int(field[len(head) + 1 : field.index("]")])]
            words = entry.get("Comment") or (
                _condition(entry)
                if head == "Choices"
                else ", ".join(map(str, _list(entry.get("ErrorEquals"))))
            )
            kind = "choice" if head == "Choices" else "catch"
            yield Edge(name, target, kind, shortened(str(words)), str(words))


def _condition(rule: Any) -> str:
    """A Choice rule in words, such as ``wape ≤ 0.25 and verdict = better``."""
    if not isinstance(rule, Mapping):
        return str(rule)
    if "Condition" in rule:
        text = re.sub(r"^\{%|%\}$", "", str(rule["Condition"])).strip()
        text = text.replace("$states.input.", "").replace("<=", "≤").replace(">=", "≥")
        return re.sub(r"\s+", " ", text)
    for field, word in (("And", " and "), ("Or", " or ")):
        if isinstance(rule.get(field), list):
            return word.join(_condition(one) for one in rule[field])
    if "Not" in rule:
        return f"not ({_condition(rule['Not'])})"
    variable = str(rule.get("Variable", "")).removeprefix("$.")
    tests = [
        (key, value) for key, value in rule.items() if key not in ("Variable", "Next", "Assign", "Output")
    ]
    return f"{variable} {_test(*tests[0])}" if tests else variable


def _test(operator: str, value: Any) -> str:
    if operator.startswith("Is"):
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", operator).lower().split(" ", 1)[1]
        return f"is {'' if value else 'not '}{words}"
    text = value if isinstance(value, str) else json.dumps(value)
    text = str(text).removeprefix("$.") if operator.endswith("Path") else text
    operator = operator.removesuffix("Path")
    return next(
        (f"{sign} {text}" for end, sign in _OPERATORS if operator.endswith(end)), f"{operator} {text}"
    )


def shortened(text: str, length: int = LABEL_LENGTH) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
