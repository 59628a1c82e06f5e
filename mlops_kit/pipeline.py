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
``${<logical id>}``                what ``Ref`` gives of one of this pipeline's further `resources`
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
from mlops_kit.trigger import DriftRule, EventRule, KafkaTrigger, Permission, Schedule, Trigger

FOUNDATION_TOKENS = ("ArtifactBucket", "DataBucket", "LockTable", "EventBus", "RoutineTopic", "CriticalTopic")


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
        Variables; values may hold foundation tokens, logical ids of the pipeline's `resources`, and
        ``${StateMachine}``.
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
        Default arguments, keys with their leading ``--``; tokens as in `Function.environment`.
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
    features : tuple of str
        What the drift monitor measures of its model, by which its drift rules are checked; empty: not known.
    functions, jobs, schedules, rules, drift_rules, kafka : tuple
        Its parts.
    artifacts : tuple of Artifact
        Further code that the definition names by key (training and scoring sources).
    data : tuple of DataFile
        Bundled data that it reads.
    reads, writes : tuple of str
        S3 prefixes in the data bucket for the role of its SageMaker jobs and models.
    replay : str, optional
        ``module:function`` that gives a `mlops_kit.drift.simulate.Replay` of its model, for simulations.
    resources : mapping
        Further resources of its template by logical id, in CloudFormation's words, such as a table.
    """

    name: str
    description: str
    definition: Mapping[str, Any]
    input_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    model: str | None = None
    features: tuple[str, ...] = ()
    functions: tuple[Function, ...] = ()
    jobs: tuple[GlueJob, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    data: tuple[DataFile, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    rules: tuple[EventRule, ...] = ()
    drift_rules: tuple[DriftRule, ...] = ()
    kafka: tuple[KafkaTrigger, ...] = ()
    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    replay: str | None = None

    def _facts(self) -> dict[str, str]:
        facts = {
            "states": self.definition.get("States", ()),
            "functions": [one.name for one in self.functions],
            "jobs": [one.name for one in self.jobs],
            "rules": [one.name for one in self.rules],
            "schedules": [f"{one.expression} {one.timezone}" for one in self.schedules],
            "drift": [f"{one.statistic} > {one.threshold}" for one in self.drift_rules],
            "kafka": [one.topic for one in self.kafka],
            "resources": self.resources,
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

    def adding(self, *parts: Trigger) -> Pipeline:
        """A new pipeline with further triggers.

        Raises
        ------
        UsageError
            A part is of a kind that a pipeline does not take.
        """
        fields = {Schedule: "schedules", DriftRule: "drift_rules", KafkaTrigger: "kafka", EventRule: "rules"}
        more: dict[str, Any] = {}
        for part in parts:
            if type(part) not in fields:
                raise UsageError(
                    f"A pipeline takes no {type(part).__name__}.",
                    suggestion=f"add {', '.join(f'kit.{kind.__name__}' for kind in fields)} values.",
                )
            name = fields[type(part)]
            more[name] = (*more.get(name, getattr(self, name)), part)
        return replace(self, **more)


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
