"""Tasks that call other services: their parameters, answers and error names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stepfunctions import walk


def _task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters,
        **more,
    }


def test_a_conditional_put_that_fails_has_dynamodbs_name_for_it(aws: Any) -> None:
    parameters = {
        "TableName": walk.table(aws),
        "Item": {"id": {"S": "x"}},
        "ConditionExpression": "attribute_not_exists(id)",
    }
    put = _task("dynamodb:putItem", parameters, ResultPath=None)
    shown = walk.run(aws, walk.states(("First", put), ("Second", put)))
    assert shown["error"] == "DynamoDB.ConditionalCheckFailedException"
    assert "Service: AmazonDynamoDBv2; Status Code: 400" in shown["cause"]


def test_an_unknown_parameter_is_refused_before_anything_is_called(aws: Any) -> None:
    shown = walk.run(aws, walk.states(("Send", _task("sqs:sendMessage", {"Nope": 1}))))
    assert shown["error"] == "States.Runtime"
    assert 'The field "Nope" is not supported by Step Functions' in shown["cause"]


def test_a_missing_parameter_is_refused_in_the_services_words(aws: Any) -> None:
    shown = walk.run(aws, walk.states(("Get", _task("aws-sdk:dynamodb:getItem", {"TableName": "abc"}))))
    assert shown["error"] == "DynamoDb.DynamoDbException"
    assert shown["cause"].startswith("1 validation error detected: Value null at 'key' failed to satisfy")


def test_objects_become_text_where_the_service_wants_text(aws: Any) -> None:
    url = walk.queue(aws)
    send = _task("sqs:sendMessage", {"QueueUrl": url, "MessageBody": {"a": [1, None]}})
    shown = walk.run(aws, walk.states(("Send", send)))
    assert shown["output"]["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert walk.receive(aws, url) == {"a": [1, None]}


def test_aws_sdk_integrations_answer_in_pascal_case_without_metadata(aws: Any) -> None:
    shown = walk.run(aws, walk.states(("List", _task("aws-sdk:sfn:listActivities", {}))))
    assert list(shown["output"]) == ["Activities"]


def test_a_rejected_event_fails_the_task(aws: Any) -> None:
    url = walk.queue(aws)
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events = aws.client("events")
    events.put_rule(Name="integration-events", EventPattern=json.dumps({"source": ["my.test"]}))
    events.put_targets(Rule="integration-events", Targets=[{"Id": "q", "Arn": arn["Attributes"]["QueueArn"]}])
    entry = {"Source": "my.test", "DetailType": "made", "Detail": {"n": 1}}
    shown = walk.run(aws, walk.states(("Put", _task("events:putEvents", {"Entries": [entry]}))))
    assert shown["output"]["FailedEntryCount"] == 0
    event = walk.receive(aws, url)
    assert event["detail"] == {"n": 1}
    assert shown["executionArn"] in event["resources"]


def test_the_status_of_an_execution_is_an_event_on_the_bus(aws: Any) -> None:
    url = walk.queue(aws)
    arn = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    machine = walk.create(aws, walk.states(("Only", {"Type": "Pass"})))
    pattern = {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {"stateMachineArn": [machine], "status": ["SUCCEEDED"]},
    }
    events = aws.client("events")
    events.put_rule(Name="integration-status", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="integration-status", Targets=[{"Id": "q", "Arn": arn["Attributes"]["QueueArn"]}])
    execution = walk.start(aws, machine, {"x": 1})
    event = walk.receive(aws, url)
    assert event["resources"] == [execution]
    assert event["detail"]["executionArn"] == execution
    assert json.loads(event["detail"]["output"]) == {"x": 1}


def test_executions_and_tasks_are_counted_and_timed_in_cloudwatch(aws: Any) -> None:
    send = _task("sqs:sendMessage", {"QueueUrl": walk.queue(aws), "MessageBody": "x"})
    shown = walk.run(aws, walk.states(("Send", send)))
    resource = "arn:aws:states:us-east-1:000000000000:sqs:sendMessage"
    dimensions = [{"Name": "StateMachineArn", "Value": shown["stateMachineArn"]}]
    expected = {"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionTime"}

    def names() -> set[str]:
        listed = aws.client("cloudwatch").list_metrics(Namespace="AWS/States", Dimensions=dimensions)
        return {metric["MetricName"] for metric in listed["Metrics"]}

    walk.holds(lambda: names() == expected)
    dimensions = [{"Name": "ServiceIntegrationResourceArn", "Value": resource}]
    expected = {"ServiceIntegrationsScheduled", "ServiceIntegrationsSucceeded", "ServiceIntegrationTime"}
    walk.holds(lambda: names() >= expected)


def test_a_log_line_has_the_shape_of_awss(aws: Any) -> None:
    logs, group = aws.client("logs"), "/aws/vendedlogs/states/integration"
    logs.create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    configuration = {
        "level": "ALL",
        "includeExecutionData": True,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
    }
    shown = walk.run(
        aws, walk.states(("Only", {"Type": "Pass"})), {"x": 1}, loggingConfiguration=configuration
    )
    walk.holds(lambda: len(logs.filter_log_events(logGroupName=group)["events"]) == 4)
    found = logs.filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(line["message"]) for line in found]
    assert [line["type"] for line in lines] == walk.types(aws, shown["executionArn"])
    assert lines[0]["execution_arn"] == shown["executionArn"]
    assert lines[1]["details"]["input"] == '{"x": 1}'
    assert set(lines[1]) == {
        "id", "type", "details", "previous_event_id", "event_timestamp", "execution_arn", "redrive_count",
    }  # fmt: skip


@pytest.mark.parametrize("arn", ["arn:aws:logs:us-east-1:000000000000:log-group:nobody-made-it:*", "no arn"])
def test_a_log_group_that_does_not_exist_is_refused(aws: Any, arn: str) -> None:
    logging = {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]}
    with pytest.raises(ClientError) as caught:
        walk.create(aws, walk.states(("Only", {"Type": "Pass"})), loggingConfiguration=logging)
    assert caught.value.response["Error"] == {
        "Code": "InvalidLoggingConfiguration",
        "Message": "Invalid Logging Configuration: Log Destination not found.",
    }


def test_items_come_from_csv_in_batches_and_results_go_to_s3(aws: Any) -> None:
    s3, bucket = aws.client("s3"), "integration-map-bucket"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="in.csv", Body=b"n,word\n1,a\n2,b\n3,c\n")
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"},
            "Parameters": {"Bucket": bucket, "Key": "in.csv"},
        },
        "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"run.$": "$.run"}},
        "ItemProcessor": {
            **walk.states(("Pass", {"Type": "Pass"})),
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        },
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": bucket, "Prefix": "out"},
        },
        "Label": "Rows",
    }
    shown = walk.run(aws, walk.states(("Each", state)), {"run": 7})
    where = shown["output"]["ResultWriterDetails"]
    manifest = json.loads(s3.get_object(Bucket=where["Bucket"], Key=where["Key"])["Body"].read())
    key = manifest["ResultFiles"]["SUCCEEDED"][0]["Key"]
    results = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    inputs = [json.loads(result["Input"]) for result in results]
    assert [item["BatchInput"] for item in inputs] == [{"run": 7}, {"run": 7}]
    assert [len(item["Items"]) for item in inputs] == [2, 1]
    assert inputs[0]["Items"][1] == {"n": "2", "word": "b"}
    run = aws.client("stepfunctions").describe_map_run(mapRunArn=shown["output"]["MapRunArn"])
    assert (run["itemCounts"]["succeeded"], "/Rows:" in run["mapRunArn"]) == (2, True)


def test_items_come_from_json_lines_and_from_a_listing(aws: Any) -> None:
    s3, bucket = aws.client("s3"), "integration-items-bucket"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="rows/a.jsonl", Body=b'{"n": 1}\n{"n": 2}\n')
    processor = {
        **walk.states(("Pass", {"Type": "Pass"})),
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
    }
    lines = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": bucket, "Key": "rows/a.jsonl"},
    }
    listing = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": bucket, "Prefix": "rows/"},
    }
    outputs = [
        walk.run(
            aws, walk.states(("Each", {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor}))
        )["output"]
        for reader in (lines, listing)
    ]
    assert outputs[0] == [{"n": 1}, {"n": 2}]
    assert [(entry["Key"], entry["Size"]) for entry in outputs[1]] == [("rows/a.jsonl", 18)]


def test_a_distributed_map_takes_the_pairs_of_an_object_and_an_inline_one_does_not(aws: Any) -> None:
    inner = walk.states(("P", {"Type": "Pass"}))
    spread = {**inner, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    pairs = [{"Key": "a", "Value": 1}, {"Key": "b", "Value": 2}]
    each = {"Type": "Map", "ItemProcessor": spread}
    assert walk.run(aws, walk.states(("Each", each)), {"a": 1, "b": 2})["output"] == pairs
    each["Items"] = "{% $states.input %}"
    shown = walk.run(aws, walk.states(("Each", each), QueryLanguage="JSONata"), {"a": 1, "b": 2})
    assert shown["output"] == pairs
    each["ItemProcessor"] = inner
    shown = walk.run(aws, walk.states(("Each", each), QueryLanguage="JSONata"), {"a": 1})
    assert shown["error"] == "States.QueryEvaluationError"


def test_an_unknown_call_of_an_sdk_is_refused_when_the_machine_is_made(aws: Any) -> None:
    for call in ("foo:bar", "sfn:nope", "s3:ListBuckets"):
        resource = f"arn:aws:states:::aws-sdk:{call}"
        with pytest.raises(ClientError, match=f"The resource provided {resource} is not recognized"):
            walk.create(aws, walk.states(("S", {"Type": "Task", "Resource": resource})))


def test_a_state_that_waits_for_others_is_tested_with_a_mock_only(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    activity = "arn:aws:states:us-east-1:000000000000:activity:nobody"
    for resource in (activity, "arn:aws:states:::sqs:sendMessage.waitForTaskToken"):
        state = json.dumps({"Type": "Task", "Resource": resource, "End": True})
        with pytest.raises(ClientError, match=r"InvalidDefinition.*without a mock"):
            sfn.test_state(definition=state, roleArn=walk.ROLE)
    state = json.dumps({"Type": "Pass", "End": True})
    with pytest.raises(ClientError, match="Variables must be a JSON object"):
        sfn.test_state(definition=state, roleArn=walk.ROLE, variables="[1]")
