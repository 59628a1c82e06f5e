"""Event source mappings for Kafka: records of a broker reach a function, at least once, and none is lost."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import EmbeddedAws
from tests.local.kafka_place import PARTIAL, PROVISIONED, Broker, Place, broker, eventually

__all__ = ["broker"]


@pytest.fixture
def place(aws: EmbeddedAws) -> Place:
    made = Place(aws)
    made.function()
    return made


def test_records_reach_the_function_as_aws_shows_them(place: Place, broker: Broker) -> None:
    broker.put(place.topic, b"\xff", key=b"k", headers=[("h", b"ab")], timestamp=1762335600000)
    broker.put(place.topic, None, timestamp=1762335600001)
    id = place.mapping(broker.server)
    eventually(lambda: len(place.records()) == 2)
    (event,) = place.events()
    assert {name: event[name] for name in event if name != "records"} == {
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": broker.server,
    }
    shared = {"topic": place.topic, "partition": 0, "timestampType": "CREATE_TIME"}
    assert event["records"] == {
        f"{place.topic}-0": [
            {
                **shared,
                "offset": 0,
                "timestamp": 1762335600000,
                "key": base64.b64encode(b"k").decode(),
                "value": base64.b64encode(b"\xff").decode(),
                "headers": [{"h": [97, 98]}],
            },
            {**shared, "offset": 1, "timestamp": 1762335600001, "headers": []},
        ]
    }
    eventually(lambda: place.result(id) == "OK")
    eventually(lambda: broker.committed(place.topic, id) == 2)


def test_latest_begins_behind_what_was_there_before(place: Place, broker: Broker) -> None:
    broker.put(place.topic, "old")
    id = place.mapping(broker.server, StartingPosition="LATEST")
    broker.put(place.topic, "new", partition=1)
    broker.put(place.topic, "new")
    eventually(lambda: len(place.records()) == 2)
    assert sorted(place.places()) == ["0@1", "1@0"]
    assert broker.committed(place.topic, id, partition=3) == 0, "where it begins is the group's at once"


@pytest.mark.slow
def test_only_the_records_that_a_function_names_come_again_and_hold_their_partition(
    place: Place, broker: Broker
) -> None:
    broker.put(place.topic, "fine", "again:3", "fine")
    id = place.mapping(broker.server, **PARTIAL)
    eventually(lambda: len(place.batches()) == 2)
    assert place.batches() == [["0@0", "0@1", "0@2"], ["0@1"]]
    assert broker.committed(place.topic, id) == 1
    assert place.result(id).startswith("PROBLEM: Function call failed: 1 records wanted again")
    broker.put(place.topic, "behind")
    broker.put(place.topic, "beside", partition=1)
    eventually(lambda: broker.committed(place.topic, id) == 4)
    order = place.places()[3:]
    assert order.count("0@1") == 3 and order[-1] == "0@3" and order.index("1@0") < order.index("0@3")


@pytest.mark.slow
def test_an_error_splits_the_batch_until_the_bad_record_is_alone_and_goes_to_the_destination(
    place: Place, broker: Broker
) -> None:
    url, arn = place.queue()
    broker.put(place.topic, "a", "b", "raise:9", "c", timestamp=1762335600000)
    id = place.mapping(
        broker.server,
        **PROVISIONED,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    (message,) = eventually(lambda: place.received(url))
    record = json.loads(message["Body"])
    assert record["requestContext"].pop("requestId") and record.pop("timestamp")
    function = f"arn:aws:lambda:us-east-1:000000000000:function:{place.name}"
    condition = {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 2}
    assert record["requestContext"] == {"functionArn": function, **condition}
    assert record["KafkaBatchInfo"].pop("payloadSize") > 100
    moment = "2025-11-05T09:40:00.000Z"
    assert record["KafkaBatchInfo"] == {
        "batchSize": 1,
        "bootstrapServers": broker.server,
        "recordsInfo": {
            f"{place.topic}-0": {
                "firstRecordOffset": "2",
                "lastRecordOffset": "2",
                "firstRecordTimestamp": moment,
                "lastRecordTimestamp": moment,
            }
        },
    }
    eventually(lambda: broker.committed(place.topic, id) == 4)
    sizes = [len(batch) for batch in place.batches()]
    assert sizes[0] == 4 and sorted(sizes[1:]) == [1, 1, 1, 2, 2]


def test_too_old_a_record_is_never_seen_by_the_function_and_s3_gets_it_whole(
    place: Place, broker: Broker
) -> None:
    old = int((time.time() - 100) * 1000)
    broker.put(place.topic, "old", timestamp=old)
    broker.put(place.topic, "new")
    place.mapping(
        broker.server,
        **PROVISIONED,
        MaximumRecordAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{place.name}"}},
    )
    (found,) = eventually(lambda: place._objects("aws/lambda/"))
    record = json.loads(place.s3.get_object(Bucket=place.name, Key=found["Key"])["Body"].read())
    assert record["requestContext"]["condition"] == "RecordAgeExceeded" and record["responseContext"] is None
    (inside,) = json.loads(record["payload"])["records"][f"{place.topic}-0"]
    assert inside["timestamp"] == old
    eventually(lambda: place.batches() == [["0@1"]])


def test_a_filter_keeps_records_from_the_function_and_they_are_done(place: Place, broker: Broker) -> None:
    pattern = {"value": {"psi": [{"numeric": [">", 0.2]}]}}
    values = [json.dumps({"psi": psi}) for psi in (0.1, 0.3)]
    broker.put(place.topic, *values, "no JSON")
    id = place.mapping(broker.server, FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]})
    eventually(lambda: broker.committed(place.topic, id) == 3)
    assert place.batches() == [["0@1"]]


def test_batches_are_as_large_as_asked(place: Place, broker: Broker) -> None:
    broker.put(place.topic, *"abcde")
    place.mapping(broker.server, BatchSize=2)
    eventually(lambda: len(place.records()) == 5)
    assert [len(batch) for batch in place.batches()] == [2, 2, 1]


def test_a_disabled_mapping_reads_nothing_and_goes_on_where_it_was(place: Place, broker: Broker) -> None:
    broker.put(place.topic, "a")
    id = place.mapping(broker.server)
    eventually(lambda: broker.committed(place.topic, id) == 1)
    answer = place.lambdas.update_event_source_mapping(UUID=id, Enabled=False)
    assert answer["State"] == "Disabling"
    place.settled(id, "Disabled")
    broker.put(place.topic, "b", "c")
    place.lambdas.update_event_source_mapping(UUID=id, Enabled=True, BatchSize=1)
    place.settled(id)
    eventually(lambda: len(place.records()) == 3)
    assert place.batches() == [["0@0"], ["0@1"], ["0@2"]]
    assert place.lambdas.delete_event_source_mapping(UUID=id)["State"] == "Deleting"

    def gone() -> bool:
        try:
            place.get(id)
        except place.lambdas.exceptions.ResourceNotFoundException:
            return True
        return False

    eventually(gone)


def test_mappings_of_all_sources_are_in_one_list_and_answer_by_their_id(place: Place, broker: Broker) -> None:
    broker.put(place.topic, "a")
    ours = place.mapping(broker.server)
    _, queue = place.queue("-source")
    theirs = place.lambdas.create_event_source_mapping(FunctionName=place.name, EventSourceArn=queue)["UUID"]

    def listed(**given: Any) -> list[str]:
        pages = place.lambdas.get_paginator("list_event_source_mappings").paginate(**given)
        return [one["UUID"] for page in pages for one in page["EventSourceMappings"]]

    assert listed(FunctionName=place.name) == [ours, theirs]
    function = place.get(ours)["FunctionArn"]
    assert listed(FunctionName=function, PaginationConfig={"PageSize": 1}) == [ours, theirs]
    assert listed(EventSourceArn=queue) == [theirs]
    assert place.get(theirs)["EventSourceArn"] == queue
    changed = place.lambdas.update_event_source_mapping(UUID=theirs, BatchSize=3)
    assert changed["BatchSize"] == 3
    place.lambdas.delete_event_source_mapping(UUID=theirs)
    assert listed(FunctionName=place.name) == [ours]


def test_a_mapping_is_shown_with_the_defaults_of_aws(place: Place, broker: Broker) -> None:
    broker.put(place.topic, "a")
    shown = place.get(place.mapping(broker.server, ProvisionedPollerConfig={}))
    assert (shown["BatchSize"], shown["StartingPosition"]) == (100, "TRIM_HORIZON")
    assert shown["SelfManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": shown["UUID"]}
    assert shown["EventSourceMappingArn"].endswith(f":event-source-mapping:{shown['UUID']}")
    assert "ProvisionedPollerConfig" not in shown and "Region" not in shown


SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
MSK = "arn:aws:kafka:us-east-1:000000000000:cluster/sales/abcd1234-abcd-cafe-abab-9876543210ab-4"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"SelfManagedEventSource": {"Endpoints": {SERVERS: ["kafka.example.com:9092"]}}},
            "never leaves this machine",
        ),
        (
            {"SelfManagedEventSource": {"Endpoints": {SERVERS: ["10.0.0.1:9092"]}}},
            "never leaves this machine",
        ),
        ({"EventSourceArn": MSK, "SelfManagedEventSource": None}, "SSM parameter /mlops-kit/kafka/sales"),
        ({"EventSourceArn": MSK}, "Only one of"),
        ({"Topics": None}, "exactly one topic"),
        ({"StartingPosition": None}, "StartingPosition is required"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "StartingPositionTimestamp"),
        ({"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 4102444800}, "in the future"),
        ({"FunctionResponseTypes": ["ReportBatchItemFailures"]}, "only supported in provisioned mode"),
        ({"MaximumRetryAttempts": 0}, "only supported in provisioned mode"),
        ({"ProvisionedPollerConfig": {"MinimumPollers": 3, "MaximumPollers": 2}}, "above MaximumPollers"),
        ({"MaximumRecordAgeInSeconds": 59, **PROVISIONED}, "between 60 and 604800"),
        ({"ParallelizationFactor": 2}, "not supported for a Kafka event source"),
        ({"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": "x"}]}, "without authentication"),
        ({"DestinationConfig": {"OnFailure": {"Destination": "kafka://dead"}}}, "not to a Kafka topic"),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:iam::000000000000:role/x"}}},
            "is invalid",
        ),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern"),
        ({"FilterCriteria": {"Filters": [{"Pattern": '{"body": ["a"]}'}]}}, "filtered by value"),
        ({"AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"}}, "does not go with"),
        ({"FunctionName": "nobody"}, "nobody"),
        ({"BatchSize": 10001}, "failed to satisfy constraint"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_leaves_nothing(
    place: Place, fields: dict[str, Any], words: str
) -> None:
    wanted = {
        "FunctionName": place.name,
        "SelfManagedEventSource": {"Endpoints": {SERVERS: ["127.0.0.1:9"]}},
        "Topics": [place.topic],
        "StartingPosition": "LATEST",
        **fields,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    with pytest.raises(ClientError) as refused:
        place.lambdas.create_event_source_mapping(**given)
    assert words in str(refused.value)
    assert place.lambdas.list_event_source_mappings(FunctionName=place.name)["EventSourceMappings"] == []


def test_one_function_reads_a_topic_once_and_a_group_has_one_mapping(place: Place, broker: Broker) -> None:
    broker.put(place.topic, "a")
    config = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": f"{place.name}-group"}}
    id = place.mapping(broker.server, **config)
    with pytest.raises(place.lambdas.exceptions.ResourceConflictException, match=id):
        place.mapping(broker.server)
    with pytest.raises(place.lambdas.exceptions.ResourceConflictException, match="consumer group"):
        place.mapping(broker.server, Topics=["another"], **config)
    with pytest.raises(ClientError, match="cannot be changed"):
        place.lambdas.update_event_source_mapping(
            UUID=id, SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "another"}
        )


def test_an_msk_cluster_is_the_broker_that_a_parameter_names(place: Place, broker: Broker) -> None:
    cluster = MSK.replace("sales", place.name)
    place.aws.client("ssm").put_parameter(
        Name=f"/mlops-kit/kafka/{place.name}", Value=broker.server, Type="String"
    )
    broker.put(place.topic, "a")
    made = place.lambdas.create_event_source_mapping(
        FunctionName=place.name, EventSourceArn=cluster, Topics=[place.topic], StartingPosition="TRIM_HORIZON"
    )
    assert made["AmazonManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": made["UUID"]}
    (event,) = eventually(place.events)
    assert (event["eventSource"], event["eventSourceArn"]) == ("aws:kafka", cluster)


@pytest.mark.slow
def test_a_stack_makes_changes_and_removes_a_mapping(place: Place, broker: Broker) -> None:
    cloudformation = place.aws.client("cloudformation")
    broker.put(place.topic, "a", "again:1")
    properties = {
        "FunctionName": place.name,
        "SelfManagedEventSource": {"Endpoints": {"KafkaBootstrapServers": [broker.server]}},
        "Topics": [place.topic],
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": "7",
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ProvisionedPollerConfig": {"MinimumPollers": "1"},
        "Tags": [{"Key": "a", "Value": "b"}],
    }

    def template() -> str:
        mapping = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}
        outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Mapping", "EventSourceMappingArn"]}}}
        return json.dumps({"Resources": {"Mapping": mapping}, "Outputs": outputs})

    def settled(*status: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            (stack,) = cloudformation.describe_stacks(StackName=place.name)["Stacks"]
            return dict(stack) if not stack["StackStatus"].endswith("_IN_PROGRESS") else None

        stack: dict[str, Any] = eventually(look)
        assert stack["StackStatus"] in status, stack
        return stack

    cloudformation.create_stack(StackName=place.name, TemplateBody=template())
    stack = settled("CREATE_COMPLETE")
    (shown,) = place.lambdas.list_event_source_mappings(FunctionName=place.name)["EventSourceMappings"]
    assert stack["Outputs"][0]["OutputValue"] == shown["EventSourceMappingArn"]
    assert (shown["BatchSize"], shown["State"]) == (7, "Enabled")
    eventually(lambda: broker.committed(place.topic, shown["UUID"]) == 2)
    del properties["ProvisionedPollerConfig"], properties["FunctionResponseTypes"]
    properties["BatchSize"] = "8"
    cloudformation.update_stack(StackName=place.name, TemplateBody=template())
    settled("UPDATE_COMPLETE")
    changed = place.get(shown["UUID"])
    assert changed["BatchSize"] == 8 and "ProvisionedPollerConfig" not in changed
    cloudformation.delete_stack(StackName=place.name)
    eventually(
        lambda: not place.lambdas.list_event_source_mappings(FunctionName=place.name)["EventSourceMappings"]
    )
