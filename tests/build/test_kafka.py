"""A Kafka trigger becomes a function, a mapping that takes partial answers, dead letters with an alarm."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib import metadata
from typing import Any

import pytest

from mlops_kit.build import kafka
from mlops_kit.build.iam import STARRED
from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import KafkaTrigger
from pipelines import retraining
from tests.build.sample import pipeline
from tests.policies import findings

SETTINGS = Settings()
CLUSTER = "arn:aws:kafka:eu-central-1:111122223333:cluster/sales/abcd1234-abcd-cafe-abab-9876543210ab-4"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:broker-Ab12Cd"
MSK = KafkaTrigger("drift", "Msk", cluster_arn=CLUSTER)
ACCESS = (
    ("VPC_SUBNET", "subnet:subnet-0123456789abcdef0"),
    ("VPC_SECURITY_GROUP", "security_group:sg-0123456789abcdef0"),
    ("SASL_SCRAM_512_AUTH", SECRET),
)
OWN = KafkaTrigger("drift", bootstrap_servers=("kafka.example.com:9092",), access=ACCESS)
OPEN = KafkaTrigger("drift", bootstrap_servers=("127.0.0.1:9092",))


def with_triggers(*triggers: KafkaTrigger) -> Pipeline:
    return retraining.build(SETTINGS).adding(*triggers)


def template(*triggers: KafkaTrigger) -> Mapping[str, Any]:
    made: Mapping[str, Any] = build(SETTINGS, with_triggers(*triggers)).template["Resources"]
    return made


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    from cfnlint.api import lint

    stack = build(SETTINGS, with_triggers(MSK, OWN))
    found = lint(json.dumps(stack.template), None, ["eu-central-1", "us-east-1"])
    assert [f"{one.rule.id} {one.path}: {one.message}" for one in found] == []


def resolved(policy: Any) -> str:
    """A policy as text, what CloudFormation fills in replaced by something of its form."""
    known = {
        "AWS::Partition": "aws",
        "AWS::Region": "eu-central-1",
        "AWS::AccountId": "111122223333",
        "StateMachine": "arn:aws:states:eu-central-1:111122223333:stateMachine:m",
    }

    def filled(match: re.Match[str]) -> str:
        return known.get(match[1], "arn:aws:sqs:eu-central-1:111122223333:queue")

    text = re.sub(r'\{"Ref": "(\w+)"\}', r'"${\1}"', json.dumps(policy))
    text = re.sub(r'\{"Fn::GetAtt": \["(\w+)", "Arn"\]\}', r'"${\1.Arn}"', text)
    text = re.sub(r'\{"Fn::Sub": ("[^"]*")\}', r"\1", text)
    return re.sub(r"\$\{([^}]+)\}", filled, text)


@pytest.mark.parametrize("trigger", [MSK, OWN, OPEN], ids=["msk", "self-managed", "open"])
def test_the_functions_role_may_do_what_it_needs_and_no_more(trigger: KafkaTrigger) -> None:
    policy = template(trigger)[f"{trigger.name}TriggerFunctionPolicy"]["Properties"]["PolicyDocument"]
    assert findings(resolved(policy)) == []
    allowed = {action: one["Resource"] for one in policy["Statement"] for action in one["Action"]}
    for action, resources in allowed.items():
        assert "*" not in resources or any(fnmatchcase(action, one) for one in STARRED), action
    assert allowed["states:StartExecution"] == [{"Ref": "StateMachine"}]
    assert allowed["sqs:SendMessage"] == [{"Fn::GetAtt": [f"{trigger.name}DeadLetters", "Arn"]}]
    services = {action.partition(":")[0] for action in allowed}
    assert (
        services - {"states", "sqs", "logs", "xray"}
        == {
            "Msk": {"kafka", "kafka-cluster", "ec2"},
            "Kafka": {"ec2", "secretsmanager"} if trigger.access else set(),
        }[trigger.name]
    )
    if trigger is MSK:
        assert allowed["kafka-cluster:ReadData"] == [CLUSTER.replace(":cluster/", ":topic/") + "/drift"]
    if trigger.access:
        assert allowed["secretsmanager:GetSecretValue"] == [SECRET]


def test_the_mapping_takes_partial_answers_which_needs_provisioned_mode() -> None:
    mapping = template(OWN)["KafkaMapping"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ProvisionedPollerConfig"] == {"MinimumPollers": 1, "MaximumPollers": 2}
    assert mapping["SelfManagedEventSource"] == {
        "Endpoints": {"KafkaBootstrapServers": ["kafka.example.com:9092"]}
    }
    assert [one["Type"] for one in mapping["SourceAccessConfigurations"]] == [kind for kind, _ in ACCESS]
    assert template(MSK)["MskMapping"]["Properties"]["EventSourceArn"] == CLUSTER


def test_the_function_is_told_what_it_starts_and_where_poison_goes() -> None:
    found = template(MSK, OWN)
    variables = found["MskTriggerFunction"]["Properties"]["Environment"]["Variables"]
    assert variables == {
        "STATE_MACHINE": {"Ref": "StateMachine"},
        "DEAD_LETTERS": {"Ref": "MskDeadLetters"},
        "MAXIMUM_AGE": "604800",
        "MODEL": "demand",
    }
    for name in ("Msk", "Kafka"):
        assert found[f"{name}DeadLettersAlarm"]["Properties"]["AlarmActions"] == [{"Ref": "CriticalTopic"}]
    plain = build(SETTINGS, dataclasses.replace(with_triggers(OPEN), model=None)).template["Resources"]
    assert "MODEL" not in plain["KafkaTriggerFunction"]["Properties"]["Environment"]["Variables"]


def test_the_zip_carries_the_powertools_that_the_tests_ran_with() -> None:
    stack = build(SETTINGS, with_triggers(OPEN))
    (artifact,) = [one for one in stack.artifacts if one.name == "kafka_trigger"]
    assert artifact.requirements == (f"aws-lambda-powertools=={metadata.version('aws-lambda-powertools')}",)


def test_a_pipeline_without_kafka_is_as_it_was() -> None:
    assert kafka.with_functions(pipeline()) == pipeline()
    assert kafka.resources("stack", pipeline(), []) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "kafka"}, "has no name that AWS takes"),
        ({"topic": "a/b"}, "reads the topic 'a/b'"),
        ({"bootstrap_servers": ()}, "names no one cluster"),
        ({"cluster_arn": CLUSTER}, "names no one cluster"),
        ({"bootstrap_servers": (), "cluster_arn": "arn:aws:sqs:x"}, "has the cluster_arn"),
        ({"bootstrap_servers": ("kafka",)}, "has the servers"),
        ({"batch_size": 0}, "has the batch_size 0"),
        ({"starting_position": "AT_TIMESTAMP"}, "starts at 'AT_TIMESTAMP'"),
        ({"pollers": (3, 2)}, "has the pollers (3, 2)"),
        ({"access": (("PASSWORD", "x"),)}, "has the access PASSWORD"),
    ],
)
def test_what_aws_would_refuse_is_refused_in_words(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as refused:
        template(dataclasses.replace(OPEN, **changes))
    assert refused.value.suggestion


def test_two_triggers_need_two_names() -> None:
    with pytest.raises(UsageError, match="Two Kafka triggers"):
        template(OPEN, OWN)


def test_a_pipeline_whose_input_takes_no_moment_is_not_started_by_kafka() -> None:
    closed = {"type": "object", "additionalProperties": False, "properties": {"day": {"type": "string"}}}
    with pytest.raises(UsageError, match="takes no as_of and trigger"):
        build(SETTINGS, dataclasses.replace(with_triggers(OPEN), input_schema=closed))
