"""What an event source mapping for Kafka asks for, and what AWS would refuse of it; must not read anything.

Sources: AWS Lambda API Reference, "CreateEventSourceMapping"; Developer Guide, "Configuring error handling
controls for Kafka event sources", "Configuring scaling modes", "Customizable consumer group ID".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_kit.local.kafka_batch import Source
from mlops_kit.local.kafka_reader import loopback
from mlops_kit.local.service import AwsError

SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
WINDOW = 0.5  # seconds; AWS's default for Kafka
RETRIES_BEFORE_DESTINATION = 10  # what endless retries become beside a destination
# These work in provisioned mode only.
PROVISIONED = (
    "FunctionResponseTypes",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
)
_NOT_FOR_KAFKA = (
    "ParallelizationFactor",
    "TumblingWindowInSeconds",
    "ScalingConfig",
    "Queues",
    "DocumentDBEventSourceConfig",
)
_DESTINATIONS = ("sqs", "sns", "s3")
_NETWORK = ("VPC_SUBNET", "VPC_SECURITY_GROUP")


@dataclass(frozen=True)
class Plan:
    """One mapping as its poller needs it.

    Attributes
    ----------
    uuid, function, topic, group : str
        `function` is the ARN to invoke.
    source : Source
    position : str
    moment : float or None
        Epoch seconds of ``AT_TIMESTAMP``.
    known : tuple of int or None
        Partitions that were found before; None at the very first.
    most : int
        Records of a batch.
    window : float
        Seconds in which a batch is gathered.
    retries, oldest : int
        -1 is without end; `oldest` is in seconds.
    bisect, partial : bool
    destination : str or None
        ARN.
    filters : tuple of str
        Event patterns, of which one must match.
    """

    uuid: str
    function: str
    topic: str
    group: str
    source: Source
    position: str
    moment: float | None
    known: tuple[int, ...] | None
    most: int
    window: float
    retries: int
    oldest: int
    bisect: bool
    partial: bool
    destination: str | None
    filters: tuple[str, ...]

    @classmethod
    def of(cls, mapping: Mapping[str, Any], servers: tuple[str, ...]) -> Plan:
        """The plan of a mapping in AWS's words; `servers` are its brokers."""
        moment: datetime | None = mapping.get("StartingPositionTimestamp")
        destination = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        retries = mapping.get("MaximumRetryAttempts", -1)
        known = mapping.get("KnownPartitions")
        return cls(
            uuid=mapping["UUID"],
            function=mapping["FunctionArn"],
            topic=mapping["Topics"][0],
            group=mapping[config_name(mapping)]["ConsumerGroupId"],
            source=Source(servers, mapping.get("EventSourceArn", "")),
            position=mapping["StartingPosition"],
            moment=moment.timestamp() if moment else None,
            known=None if known is None else tuple(known),
            most=mapping["BatchSize"],
            window=float(mapping.get("MaximumBatchingWindowInSeconds", WINDOW)),
            retries=RETRIES_BEFORE_DESTINATION if retries < 0 and destination else retries,
            oldest=mapping.get("MaximumRecordAgeInSeconds", -1),
            bisect=mapping.get("BisectBatchOnFunctionError", False),
            partial="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", ()),
            destination=destination,
            filters=tuple(one["Pattern"] for one in mapping.get("FilterCriteria", {}).get("Filters", ())),
        )


def config_name(mapping: Mapping[str, Any]) -> str:
    """The member that holds the consumer group."""
    kind = "AmazonManaged" if mapping.get("EventSourceArn") else "SelfManaged"
    return f"{kind}KafkaEventSourceConfig"


def invalid(words: str) -> AwsError:
    """AWS's refusal of a parameter."""
    return AwsError("InvalidParameterValueException", words)


def check_source(params: Mapping[str, Any], now: float) -> None:
    """Refuse a mapping whose source AWS would refuse, or that the embedded AWS cannot read.

    Parameters
    ----------
    params : mapping
        Of CreateEventSourceMapping.
    now : float
        Epoch seconds.

    Raises
    ------
    AwsError
        ``InvalidParameterValueException``.
    """
    arn, managed = params.get("EventSourceArn"), params.get("SelfManagedEventSource")
    if arn and managed:
        raise invalid("Only one of EventSourceArn and SelfManagedEventSource can be given.")
    if managed:
        servers = managed.get("Endpoints", {}).get(SERVERS) or ()
        if not servers:
            raise invalid(f"SelfManagedEventSource needs Endpoints with the key {SERVERS}.")
        check_servers(servers)
    if len(params.get("Topics", ())) != 1:
        raise invalid("Topics must name exactly one topic of the Kafka cluster.")
    if "StartingPosition" not in params:
        raise invalid("1 validation error detected: StartingPosition is required for a Kafka event source.")
    timed = params["StartingPosition"] == "AT_TIMESTAMP"
    if timed != ("StartingPositionTimestamp" in params):
        raise invalid("StartingPositionTimestamp goes with StartingPosition AT_TIMESTAMP, and only with it.")
    if timed and params["StartingPositionTimestamp"].timestamp() > now:
        raise invalid("StartingPositionTimestamp cannot be in the future.")
    own = config_name(params)
    for name in ("AmazonManagedKafkaEventSourceConfig", "SelfManagedKafkaEventSourceConfig"):
        if name in params and name != own:
            raise invalid(f"{name} does not go with this event source.")


def check_servers(servers: tuple[str, ...] | list[str]) -> None:
    """Refuse brokers that are not on this machine.

    Raises
    ------
    AwsError
        ``InvalidParameterValueException``.
    """
    for server in servers:
        if not loopback(server):
            raise invalid(
                f"The embedded AWS never leaves this machine, so it reads no broker at {server!r}: give "
                "a Kafka that listens on 127.0.0.1, as 127.0.0.1:<port>."
            )


def check_options(mapping: Mapping[str, Any]) -> None:
    """Refuse options that AWS would refuse for Kafka, or that the embedded AWS does not have.

    Raises
    ------
    AwsError
        ``InvalidParameterValueException``.
    """
    for name in _NOT_FOR_KAFKA:
        if name in mapping:
            raise invalid(f"{name} is not supported for a Kafka event source.")
    _check_mode(mapping)
    if 0 <= mapping.get("MaximumRecordAgeInSeconds", -1) < 60:
        raise invalid("MaximumRecordAgeInSeconds must be -1, or between 60 and 604800.")
    _check_destination(mapping.get("DestinationConfig", {}))
    if "SchemaRegistryConfig" in mapping.get(config_name(mapping), {}):
        raise invalid("The embedded AWS has no schema registry: leave SchemaRegistryConfig out.")
    for access in mapping.get("SourceAccessConfigurations", ()):
        if access.get("Type") not in _NETWORK:
            raise invalid(
                f"The embedded AWS reads Kafka on this machine without authentication: leave "
                f"{access.get('Type')} out of SourceAccessConfigurations."
            )


def _check_mode(mapping: Mapping[str, Any]) -> None:
    pollers = mapping.get("ProvisionedPollerConfig")
    if not pollers:
        given = [name for name in PROVISIONED if _says_something(mapping.get(name))]
        if given:
            words = "only supported in provisioned mode, with a ProvisionedPollerConfig"
            raise invalid(f"{', '.join(given)}: {words}.")
        return
    if pollers["MaximumPollers"] > 2000:
        raise invalid("ProvisionedPollerConfig.MaximumPollers of a Kafka event source is at most 2000.")
    if pollers["MinimumPollers"] > pollers["MaximumPollers"]:
        raise invalid("ProvisionedPollerConfig: MinimumPollers is above MaximumPollers.")


def _says_something(value: Any) -> bool:
    """Whether an option is other than what holds without it."""
    return value is not None and value is not False and value not in (-1, [])


def _check_destination(config: Mapping[str, Any]) -> None:
    if config.get("OnSuccess", {}).get("Destination"):
        raise invalid("DestinationConfig.OnSuccess is not supported for an event source mapping.")
    arn = config.get("OnFailure", {}).get("Destination")
    if not arn:
        return
    parts = arn.split(":")
    if arn.startswith("kafka://"):
        raise invalid("The embedded AWS sends discarded batches to SQS, SNS or S3, not to a Kafka topic.")
    if len(parts) < 6 or parts[2] not in _DESTINATIONS or arn.endswith(".fifo"):
        raise invalid(f"The destination ARN {arn} is invalid: it is no standard queue, topic or bucket.")
