"""Frozen descriptions of what starts a pipeline: schedules, drift rules, Kafka, events; no behaviour.

Whatever starts an execution names itself in the input's ``trigger``: ``{"kind": "schedule", "name": ...,
"id": ...}``, so that the history can say who it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Permission:
    """What a role may do beside what the kit derives.

    Attributes
    ----------
    name : str
        What it is for, letters and digits.
    actions : tuple of str
        Such as ``sns:Publish``.
    resources : tuple of str
        ARNs; they may hold tokens and pseudo parameters.
    condition : tuple of (operator, key, values)
        All must hold, such as ``("StringEquals", "aws:ResourceTag/mlops-kit:project", ("shop",))``.
    """

    name: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Retry:
    """How long EventBridge Scheduler tries again when a target refuses; the backoff is AWS's.

    Attributes
    ----------
    attempts : int
        0 to 185.
    maximum_age : int
        Seconds, 60 to 86,400. The default ends within the hour: a later start would be the next window's.
    """

    attempts: int = 10
    maximum_age: int = 3600


@dataclass(frozen=True)
class Target:
    """What a schedule calls instead of its pipeline's state machine.

    Attributes
    ----------
    arn : str
        Of a Lambda function, SQS queue, SNS topic, event bus, ECS cluster, SageMaker pipeline or other state
        machine, or ``arn:aws:scheduler:::aws-sdk:<service>:<apiAction>`` for any action of AWS's that does
        not only read; may hold tokens, or be one: ``${WarmFunction}``, or the logical id of a resource.
    parameters : mapping
        Further members of the schedule's target in CloudFormation's words, such as ``EcsParameters``; may
        hold tokens.
    permissions : tuple of Permission
        What Scheduler's role needs beside what the ARN says, such as ``iam:PassRole`` for the roles of an
        ECS task; for ``aws-sdk`` actions it stands in place of what the kit derives from the input.
    """

    arn: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    permissions: tuple[Permission, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """A time at which EventBridge Scheduler starts the pipeline, or calls another target.

    Attributes
    ----------
    expression : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    timezone : str
        IANA name.
    target : Target, optional
        Default: the pipeline's state machine.
    input : mapping
        Input of the execution; ``as_of`` is set to the scheduled time and ``trigger`` to the schedule unless
        they are given or the pipeline does not take them. Values may hold tokens, and Scheduler's context
        attributes such as ``<aws.scheduler.scheduled-time>``. For another target it is handed on as it is.
    name : str, optional
        ``[0-9A-Za-z_.-]{1,64}``. Default: stack and number.
    retry : Retry
        How long to try again.
    dead_letter : bool
        Keep what could not be delivered in a queue, with an alarm on its depth.
    flexible_window : int
        Minutes within which it may fire, 0 to 1,440; 0 is at the time itself.
    start, end : str, optional
        UTC times between which it fires, ``yyyy-mm-ddThh:mm:ssZ``; not for ``at(...)``.
    group : str, optional
        Schedule group; default ``<project>-<pipeline>``, made with the pipeline. Another name must exist.
    """

    expression: str
    timezone: str = "UTC"
    target: Target | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    retry: Retry = Retry()
    dead_letter: bool = True
    flexible_window: int = 0
    start: str | None = None
    end: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class DriftRule:
    """An EventBridge rule that starts the pipeline when a model drifts; its pattern does the deciding.

    Attributes
    ----------
    statistic : str
        Of a feature: ``psi``, ``js``, ``ks``, ``chi_square``; of the model's error: ``bias``, ``wape``,
        ``error_vs_naive``.
    threshold : float
        Fires above it; for ``bias``, when its size is above it.
    features : tuple of str
        For a statistic of features: fires when any of them is above; empty means any of all. For one of the
        error: empty.
    windows : int
        In so many consecutive windows.
    cooldown : int
        Days that the champion must be old, so that a new one is given time.
    model : str, optional
        Default: the pipeline's.
    name : str, optional
        Default: from the statistic.
    input : mapping
        Further input of the execution that it starts.
    """

    statistic: str
    threshold: float
    features: tuple[str, ...] = ()
    windows: int = 2
    cooldown: int = 0
    model: str | None = None
    name: str | None = None
    input: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name within its pipeline."""
        return self.name or "-".join(["drift", self.statistic.replace("_", "-"), *self.features[:2]])


@dataclass(frozen=True)
class KafkaTrigger:
    """Records of a Kafka topic that start the pipeline, through an event source mapping of Lambda's.

    Attributes
    ----------
    topic : str
        Its records are JSON: a ``ModelDriftDetected`` event as EventBridge has it, or its detail alone,
        ``{"model": ..., "as_of": ...}``; without ``as_of``, the time of the event or record is meant.
    name : str
        ``[A-Z][A-Za-z0-9]*``.
    cluster_arn : str, optional
        Of an MSK cluster.
    bootstrap_servers : tuple of str
        ``host:port`` of a self-managed cluster; either these or `cluster_arn`.
    batch_size : int
        Records a call, 1 to 10,000.
    starting_position : str
        ``LATEST`` or ``TRIM_HORIZON``.
    pollers : tuple of int
        Least and most event pollers of the provisioned mode, which partial batch answers need.
    access : tuple of (str, str)
        How Lambda reaches the brokers and who it is there: types and URIs of the mapping's
        ``SourceAccessConfigurations``, such as ``("VPC_SUBNET", "subnet:subnet-1a2b3c4d")`` or
        ``("SASL_SCRAM_512_AUTH", "arn:aws:secretsmanager:...")``. MSK without any: by IAM.
    """

    topic: str
    name: str = "Kafka"
    cluster_arn: str | None = None
    bootstrap_servers: tuple[str, ...] = ()
    batch_size: int = 100
    starting_position: str = "LATEST"
    pollers: tuple[int, int] = (1, 2)
    access: tuple[tuple[str, str], ...] = ()


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


Trigger = Schedule | DriftRule | KafkaTrigger | EventRule
