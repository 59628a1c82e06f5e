"""Names that must be new at every call: over executions, retries, redrives and items of a Map."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.tasks import Task, in_map, tasks

_UNIQUE = {
    "sagemaker:createTrainingJob": "TrainingJobName",
    "sagemaker:createProcessingJob": "ProcessingJobName",
    "sagemaker:createTransformJob": "TransformJobName",
    "sagemaker:createHyperParameterTuningJob": "HyperParameterTuningJobName",
    "sagemaker:createLabelingJob": "LabelingJobName",
    "states:startExecution": "Name",
}
_EVERYTHING = frozenset({"States.ALL", "States.TaskFailed", "States.Timeout"})
_FRESH = re.compile(r"States\.UUID|States\.MathRandom\(|\$uuid\(|\$random\(|\$now\(|\$millis\(")
_RETRY_COUNT = re.compile(r"State\.RetryCount|\['State'\]\['RetryCount'\]")
_REDRIVE = re.compile(r"Execution\.Redrive(Count|Time)|State\.EnteredTime")
_ITEM = re.compile(r"Map\.Item|\['Map'\]\['Item'\]")
_INPUT = re.compile(r"(?<!\$)\$[.\[]|\$states\.(input|result)|\$(?!states\b)[A-Za-z_]\w*(?![\w(])")
_SAGEMAKER_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_EXECUTION_NAME = re.compile(r"(\$\$|\$states\.context)\.Execution\.Name\b")
_SHORTENED = re.compile(r"States\.(Hash|StringSplit)\(|\$(hash|substring\w*|split|replace|match)\(")


@dataclass(frozen=True)
class Name:
    """A name that a Task gives to what it makes.

    Attributes
    ----------
    task : Task
    field : str
        Member, with ``.$`` where it is evaluated.
    text : str
        Its text.
    evaluated : bool
        Whether the text is a path, an intrinsic or JSONata.
    """

    task: Task
    field: str
    text: str
    evaluated: bool

    def has(self, pattern: re.Pattern[str]) -> bool:
        """Whether an evaluated text holds something."""
        return self.evaluated and pattern.search(self.text) is not None


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of names that collide; a text with ``${Token}`` that is not evaluated counts as constant."""
    for task in tasks(definition):
        name = _name(task)
        if name is None or name.has(_FRESH):
            continue
        yield from _over_executions(name)
        yield from _over_retries(name)
        if in_map(task.place) and not name.has(_ITEM) and not name.has(_INPUT):
            yield _finding(
                name,
                "Every item of the Map gives the same name, so all but one fail.",
                "add $$.Map.Item.Index to the name.",
            )
        yield from _form(name)


def _name(task: Task) -> Name | None:
    resource = task.resource
    if resource is None or not isinstance(task.parameters, Mapping):
        return None
    service = resource.service if resource.service != "sfn" else "states"
    member = _UNIQUE.get(f"{service}:{resource.action}", "")
    for field, evaluated in ((member, False), (f"{member}.$", True)):
        text = task.parameters.get(field)
        if member and isinstance(text, str):
            return Name(task, field, text, evaluated or (task.jsonata and text.startswith("{%")))
    return None


def _over_executions(name: Name) -> Iterator[Finding]:
    if not name.evaluated:
        yield _finding(
            name,
            f"The name {name.text!r} is the same in every execution, and AWS takes each name once.",
            "derive it from $$.Execution.Id, hashed to stay short.",
        )


def _over_retries(name: Name) -> Iterator[Finding]:
    retriers = name.task.place.state.get("Retry")
    matched = {
        error
        for retrier in (retriers if isinstance(retriers, list) else ())
        if isinstance(retrier, Mapping) and retrier.get("MaxAttempts") != 0
        for error in _names(retrier.get("ErrorEquals"))
    }
    if name.evaluated and matched & _EVERYTHING and not name.has(_RETRY_COUNT):
        yield _finding(
            name,
            "A retry gives the same name again, and AWS refuses a name that is taken: the retry cannot help.",
            "add $$.State.RetryCount to what the name is made of.",
        )
    elif name.has(_RETRY_COUNT) and not name.has(_REDRIVE):
        yield _finding(
            name,
            "After a redrive RetryCount begins at 0 again, so the name of the failed attempt comes back.",
            "add $$.Execution.RedriveCount to what the name is made of.",
            "warning",
        )


def _names(errors: Any) -> list[str]:
    return [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []


def _form(name: Name) -> Iterator[Finding]:
    resource = name.task.resource
    if resource is None or resource.service != "sagemaker":
        return
    if not name.evaluated and "${" not in name.text and not _SAGEMAKER_NAME.fullmatch(name.text):
        yield _finding(
            name,
            f"{name.text!r} is no SageMaker job name.",
            "use 1 to 63 letters, digits and hyphens, with a letter or digit at both ends.",
        )
    if name.has(_EXECUTION_NAME) and not name.has(_SHORTENED):
        yield _finding(
            name,
            "The name of an execution that EventBridge starts (73 characters with '_') is no job name.",
            "hash it: States.Format('job-{}', States.Hash($$.Execution.Id, 'SHA-1')).",
            "warning",
        )


def _finding(name: Name, problem: str, fix: str, severity: Any = "error") -> Finding:
    return Finding(name.task.place.name, f"{name.task.field}/{name.field}", problem, fix, severity)
