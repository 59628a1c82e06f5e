"""Kafka triggers of a pipeline as resources: function, event source mapping, dead letters; reads no topic.

The function answers with the records to be tried again, which an event source mapping understands in
provisioned mode only. Sources: AWS Lambda Developer Guide, "Configuring error handling controls for Kafka
event sources", "Configuring Lambda execution role permissions"; Amazon MSK Developer Guide, "IAM access
control"; CloudFormation Template Reference, "AWS::Lambda::EventSourceMapping".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_kit import artifacts
from mlops_kit.artifacts import Artifact
from mlops_kit.build import dead_letters
from mlops_kit.build.policy import Tags
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.trigger import KafkaTrigger, Permission

POWERTOOLS = "aws-lambda-powertools==3.37.0"
MAXIMUM_AGE = (
    7 * 86_400
)  # seconds: an older record is no news, and AWS forgets an execution's name after 90 days
RETRIES = 10  # what AWS makes of endless retries beside a destination
ACCESS = {
    *("BASIC_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH", "SASL_SCRAM_256_AUTH", "SASL_SCRAM_512_AUTH"),
    *("SERVER_ROOT_CA_CERTIFICATE", "VPC_SECURITY_GROUP", "VPC_SUBNET"),
}
_HANDLER = Path(artifacts.__file__).parent / "handlers" / "kafka_trigger.py"
_CLUSTER = re.compile(r"(arn:aws[a-z-]*:kafka:[a-z0-9-]+:\d{12}):cluster/([\w.-]+/[\w-]+)")
_SERVER = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")
# As in AWSLambdaMSKExecutionRole: Lambda puts network interfaces into the cluster's subnets.
_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


def queue(trigger: KafkaTrigger) -> str:
    """Logical id of a trigger's dead-letter queue."""
    return f"{trigger.name}DeadLetters"


def with_functions(pipeline: Pipeline) -> Pipeline:
    """The pipeline with the functions of its Kafka triggers.

    Raises
    ------
    UsageError
        A trigger cannot be used; says which part is wrong and what may stand there.
    """
    seen: set[str] = set()
    for trigger in pipeline.kafka:
        _check(trigger, pipeline)
        if trigger.name in seen:
            raise UsageError(
                f"Two Kafka triggers of {pipeline.name!r} are named {trigger.name!r}.",
                suggestion="give one another name.",
            )
        seen.add(trigger.name)
    functions = tuple(_function(one, pipeline.model) for one in pipeline.kafka)
    return replace(pipeline, functions=pipeline.functions + functions)


def resources(stack: str, pipeline: Pipeline, tags: Tags) -> dict[str, Any]:
    """The event source mappings of a pipeline with `with_functions`, and their dead letters with an alarm."""
    found: dict[str, Any] = {}
    for trigger in pipeline.kafka:
        found |= dead_letters.resources(queue(trigger), f"{stack}-{trigger.name}-dead-letters", tags)
        found[f"{trigger.name}Mapping"] = _mapping(trigger, tags)
    return found


def _check(trigger: KafkaTrigger, pipeline: Pipeline) -> None:
    """Refuse what AWS would refuse, or what could never start the pipeline."""
    for wrong, words, suggestion in _problems(trigger, pipeline):
        if wrong:
            raise UsageError(f"The Kafka trigger {trigger.name!r} {words}.", suggestion=suggestion)


def _problems(trigger: KafkaTrigger, pipeline: Pipeline) -> Iterator[tuple[bool, str, str]]:
    cluster, servers = trigger.cluster_arn, trigger.bootstrap_servers
    name = not re.fullmatch(r"[A-Z][A-Za-z0-9]*", trigger.name)
    yield name, "has no name that AWS takes", "use letters and digits, beginning with a capital."
    topic = not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", trigger.topic)
    yield topic, f"reads the topic {trigger.topic!r}", "Kafka takes 1 to 249 of a-z, A-Z, 0-9, '.', '_', '-'."
    both = bool(cluster) == bool(servers)
    yield both, "names no one cluster", "give either cluster_arn (MSK) or bootstrap_servers."
    arn = cluster is not None and not _CLUSTER.fullmatch(cluster)
    yield (
        arn,
        f"has the cluster_arn {cluster!r}",
        "write arn:aws:kafka:<region>:<account>:cluster/<name>/<id>.",
    )
    wrong = [one for one in servers if not _SERVER.fullmatch(one)]
    yield bool(wrong) or len(servers) > 10, f"has the servers {servers}", "give 1 to 10 of <host>:<port>."
    size = trigger.batch_size
    yield not 1 <= size <= 10_000, f"has the batch_size {size}", "give 1 to 10,000 records."
    start = trigger.starting_position
    yield start not in ("LATEST", "TRIM_HORIZON"), f"starts at {start!r}", "start at LATEST or TRIM_HORIZON."
    low, high = trigger.pollers
    pollers = not (1 <= low <= 200 and low <= high <= 2000)
    yield pollers, f"has the pollers {trigger.pollers}", "give (least, most), up to (200, 2000)."
    kinds = [kind for kind, _ in trigger.access if kind not in ACCESS]
    yield bool(kinds), f"has the access {', '.join(kinds)}", f"use {', '.join(sorted(ACCESS))}."
    schema = pipeline.input_schema
    known = schema.get("properties", {})
    closed = schema.get("additionalProperties", True) is False and not {"as_of", "trigger"} <= set(known)
    words = f"starts {pipeline.name!r}, whose input takes no as_of and trigger"
    yield closed, words, "add both to its input_schema."


def _function(trigger: KafkaTrigger, model: str | None) -> Function:
    environment = {
        "STATE_MACHINE": "${StateMachine}",
        "DEAD_LETTERS": f"${{{queue(trigger)}}}",
        "MAXIMUM_AGE": str(MAXIMUM_AGE),
    }
    return Function(
        f"{trigger.name}Trigger",
        "kafka_trigger.handler",
        Artifact("kafka_trigger", "zip", ((_HANDLER.name, _HANDLER),), requirements=(POWERTOOLS,)),
        timeout=300,  # 10,000 records start as many executions
        environment=environment | ({"MODEL": model} if model else {}),
        permissions=tuple(_permissions(trigger)),
    )


def _permissions(trigger: KafkaTrigger) -> Iterator[Permission]:
    yield Permission("Start", ("states:StartExecution",), ("${StateMachine}",))
    yield Permission("PutAside", ("sqs:SendMessage",), (f"${{{queue(trigger)}.Arn}}",))
    if trigger.cluster_arn and (match := _CLUSTER.fullmatch(trigger.cluster_arn)):
        root, cluster = match.groups()
        describe = ("kafka:DescribeCluster", "kafka:DescribeClusterV2")
        yield Permission("DescribeCluster", describe, (trigger.cluster_arn,))
        yield Permission("FindBrokers", ("kafka:GetBootstrapBrokers",), ("*",))
        connect = ("kafka-cluster:Connect", "kafka-cluster:DescribeClusterDynamicConfiguration")
        yield Permission("Connect", connect, (trigger.cluster_arn,))
        read = ("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData")
        yield Permission("ReadTopic", read, (f"{root}:topic/{cluster}/{trigger.topic}",))
        group = ("kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup")
        yield Permission("KeepOffsets", group, (f"{root}:group/{cluster}/*",))  # AWS names it by the mapping
    if trigger.cluster_arn or any(kind.startswith("VPC_") for kind, _ in trigger.access):
        yield Permission("ReachBrokers", _NETWORK, ("*",))
    secrets = tuple(uri for _, uri in trigger.access if ":secretsmanager:" in uri)
    if secrets:
        yield Permission("ReadSecrets", ("secretsmanager:GetSecretValue",), secrets)


def _mapping(trigger: KafkaTrigger, tags: Tags) -> dict[str, Any]:
    function = f"{trigger.name}TriggerFunction"
    low, high = trigger.pollers
    properties: dict[str, Any] = {
        "FunctionName": {"Ref": function},
        "Topics": [trigger.topic],
        "StartingPosition": trigger.starting_position,
        "BatchSize": trigger.batch_size,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ProvisionedPollerConfig": {"MinimumPollers": low, "MaximumPollers": high},
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": RETRIES,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": [queue(trigger), "Arn"]}}},
        "Tags": tags,
    }
    if trigger.cluster_arn:
        properties["EventSourceArn"] = trigger.cluster_arn
    else:
        endpoints = {"KafkaBootstrapServers": list(trigger.bootstrap_servers)}
        properties["SelfManagedEventSource"] = {"Endpoints": endpoints}
    if trigger.access:
        access = [{"Type": kind, "URI": uri} for kind, uri in trigger.access]
        properties["SourceAccessConfigurations"] = access
    # The mapping is refused while the function's role cannot find the brokers or send to the queue.
    return {
        "Type": "AWS::Lambda::EventSourceMapping",
        "DependsOn": f"{function}Policy",
        "Properties": properties,
    }
