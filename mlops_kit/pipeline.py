"""Frozen descriptions of what a pipeline is; no behaviour beyond adding one part to another.

A definition names other resources by ``${Token}``; the template resolves each one by CloudFormation's
``DefinitionSubstitutions``. The tokens:

=================================  ==============================================================
``${ArtifactBucket}``              bucket of code, from the foundation stack
``${DataBucket}``                  bucket of data and models, from the foundation stack
``${LockTable}``                   DynamoDB table of claims, from the foundation stack
``${EventBus}``                    name of the event bus, from the foundation stack
``${RoutineTopic}``                ARN of the SNS topic for routine news, from the foundation stack
``${CriticalTopic}``               ARN of the SNS topic for what a person must see, from the foundation stack
``${<Function.name>Function}``     ARN of a Lambda function of this pipeline
``${<GlueJob.name>Job}``           name of a Glue job of this pipeline
``${SageMakerRole}``               ARN of the role of this pipeline's SageMaker jobs and models
``${AWS::Region}`` and the like    CloudFormation's pseudo parameters, without a substitution
=================================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from mlops_kit.artifacts import Artifact, DataFile
from mlops_kit.errors import UsageError

FOUNDATION_TOKENS = ("ArtifactBucket", "DataBucket", "LockTable", "EventBus", "RoutineTopic", "CriticalTopic")


@dataclass(frozen=True)
class Permission:
    """What a function's role may do beside its logs and its S3 prefixes.

    Attributes
    ----------
    name : str
        What it is for, letters and digits.
    actions : tuple of str
        Such as ``sns:Publish``.
    resources : tuple of str
        ARNs; they may hold foundation tokens and pseudo parameters.
    """

    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A Lambda function of a pipeline.

    Attributes
    ----------
    name : str
        ``[A-Z][A-Za-z0-9]*``; the definition calls it by ``${<name>Function}``.
    handler : str
        ``module.function`` inside the zip.
    code : Artifact
        Of kind ``zip``.
    reads, writes : tuple of str
        S3 prefixes in the data bucket that its role may read and write, such as ``metrics/``.
    timeout : int
        Seconds, 1 to 900.
    memory : int
        MiB, 128 to 10,240.
    environment : mapping
        Variables; values may hold foundation tokens.
    permissions : tuple of Permission
        What it does with other services.
    """

    name: str
    handler: str
    code: Artifact
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    timeout: int = 60
    memory: int = 256
    environment: Mapping[str, str] = field(default_factory=dict)
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True)
class GlueJob:
    """A Glue Python shell job (Python 3.9, library set ``analytics``).

    Attributes
    ----------
    name : str
        ``[A-Z][A-Za-z0-9]*``; the definition names it by ``${<name>Job}``.
    script : Artifact
        Of kind ``file``.
    modules : tuple of Artifact
        Wheels for ``--extra-py-files``.
    reads, writes : tuple of str
        S3 prefixes in the data bucket that its role may read and write.
    arguments : mapping
        Default arguments, keys with their leading ``--``; values may hold foundation tokens.
    timeout : int
        Minutes.
    max_capacity : float
        DPU, 0.0625 or 1.
    """

    name: str
    script: Artifact
    modules: tuple[Artifact, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 30
    max_capacity: float = 0.0625


@dataclass(frozen=True)
class Schedule:
    """A time at which EventBridge Scheduler starts the pipeline.

    Attributes
    ----------
    expression : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    timezone : str
        IANA name.
    input : mapping
        Input of the execution; ``as_of`` is set to the scheduled time unless it is given.
    """

    expression: str
    timezone: str = "UTC"
    input: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EventRule:
    """Events of AWS's own bus that call a function of the pipeline.

    Attributes
    ----------
    name : str
        ``[A-Z][A-Za-z0-9]*``.
    pattern : mapping
        Event pattern; a text ``${StateMachine}`` is the ARN of the pipeline's state machine.
    function : str
        Name of the function.
    """

    name: str
    pattern: Mapping[str, Any]
    function: str


@dataclass(frozen=True, repr=False)
class Pipeline:
    """A workflow and everything it needs, as one value.

    Attributes
    ----------
    name : str
        ``[a-z][a-z0-9-]*``, such as ``retraining-demand``; the stack is ``<project>-<name>``.
    description : str
        One sentence.
    definition : mapping
        Amazon States Language, with tokens.
    input_schema : mapping
        JSON Schema of the execution's input.
    model : str or None
        The model that it trains, if it trains one.
    functions, jobs, schedules, rules : tuple
        Its parts.
    artifacts : tuple of Artifact
        Further code that the definition names by key (training and scoring sources).
    data : tuple of DataFile
        Bundled data that it reads.
    reads, writes : tuple of str
        S3 prefixes in the data bucket for the role of its SageMaker jobs and models.
    """

    name: str
    description: str
    definition: Mapping[str, Any]
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    model: str | None = None
    functions: tuple[Function, ...] = ()
    jobs: tuple[GlueJob, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    data: tuple[DataFile, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    rules: tuple[EventRule, ...] = ()

    def _facts(self) -> dict[str, str]:
        facts = {
            "states": self.definition.get("States", ()),
            "functions": [one.name for one in self.functions],
            "jobs": [one.name for one in self.jobs],
            "rules": [one.name for one in self.rules],
            "schedules": [f"{one.expression} {one.timezone}" for one in self.schedules],
            "data": [one.key for one in self.data],
            "input": self.input_schema.get("properties", ()),
        }
        return {name: ", ".join(values) for name, values in facts.items() if values}

    def __repr__(self) -> str:
        lines = [f"  {name:9}  {values}" for name, values in self._facts().items()]
        return "\n".join((f"{self.name}: {self.description}", *lines))

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left"'
        rows = "".join(
            f"<tr><th {cell}>{name}</th><td {cell}>{escape(values)}</td></tr>"
            for name, values in self._facts().items()
        )
        head = f"<p><b>{escape(self.name)}</b>: {escape(self.description)}</p>"
        return f'<div class="mathjax_ignore">{head}<table>{rows}</table></div>'

    def adding(self, *parts: Schedule) -> Pipeline:
        """A new pipeline with further parts.

        Raises
        ------
        UsageError
            A part is of a kind that a pipeline does not take.
        """
        for part in parts:
            if not isinstance(part, Schedule):
                raise UsageError(
                    f"A pipeline takes no {type(part).__name__}.", suggestion="add kit.Schedule(...) values."
                )
        return replace(self, schedules=self.schedules + parts)


@dataclass(frozen=True)
class Stack:
    """A built template and what must be in S3 before CloudFormation reads it.

    Attributes
    ----------
    name : str
        CloudFormation stack name.
    template : mapping
        The template's body; the same input gives the same bytes.
    parameters : tuple of str
        Names of parameters to be filled from the foundation stack's outputs of the same names.
    artifacts : tuple of Artifact
        To be uploaded to the artifact bucket, by key.
    data : tuple of DataFile
        To be put into the data bucket where missing.
    """

    name: str
    template: Mapping[str, Any]
    parameters: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    data: tuple[DataFile, ...] = ()
