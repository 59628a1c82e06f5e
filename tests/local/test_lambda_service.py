"""Lambda through the port: errors, versions, triggers, and functions that call the port themselves."""

from __future__ import annotations

import base64
import io
import json
import os
import textwrap
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import EmbeddedAws

ROLE = "arn:aws:iam::000000000000:role/any"


def zipped(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", textwrap.dedent(code))
    return buffer.getvalue()


class Functions:
    """Makes functions with names of their own."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.client = aws.client("lambda")

    def make(self, code: str, **fields: Any) -> str:
        name = f"fn-{uuid.uuid4().hex[:10]}"
        self.client.create_function(
            FunctionName=name,
            Role=ROLE,
            Handler="app.handler",
            **{"Code": {"ZipFile": zipped(code)}, "Runtime": "python3.12", "Timeout": 10, **fields},
        )
        return name

    def call(self, name: str, event: Any = None, **fields: Any) -> tuple[dict[str, Any], Any]:
        answer = self.client.invoke(FunctionName=name, Payload=json.dumps(event), **fields)
        return answer, json.loads(answer["Payload"].read())

    def arn(self, name: str) -> str:
        return str(self.client.get_function(FunctionName=name)["Configuration"]["FunctionArn"])


@pytest.fixture
def functions(aws: EmbeddedAws) -> Functions:
    return Functions(aws)


def eventually(look: Callable[[], Any]) -> Any:
    for _ in range(600):
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("never happened")


def messages(aws: EmbeddedAws, name: str) -> list[str]:
    logs = aws.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def make_queue(sqs: Any, name: str) -> tuple[str, str]:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return url, attributes["QueueArn"]


def test_an_error_carries_its_class_and_a_stack_trace(functions: Functions) -> None:
    name = functions.make("def handler(e, c):\n    raise ValueError('boom')")
    answer, error = functions.call(name, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert set(error) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "boom")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert tail.startswith(
        f"START RequestId: {error['requestId']} Version: $LATEST\n[ERROR] ValueError: boom\n"
    )
    assert f"\nREPORT RequestId: {error['requestId']}\tDuration: " in tail


def test_answers_keep_their_json(functions: Functions) -> None:
    name = functions.make("def handler(e, c): return e")
    for value in (None, "ü", 1.5, [], {"a": {"b": [True, None]}}):
        answer, value_back = functions.call(name, value)
        assert value_back == value
        assert "FunctionError" not in answer


def test_output_is_in_the_functions_log_group(aws: EmbeddedAws, functions: Functions) -> None:
    name = functions.make("def handler(e, c): print('hello', c.aws_request_id)")
    functions.call(name)
    found = eventually(lambda: messages(aws, name))
    assert [line.split()[0] for line in found] == ["START", "hello", "END", "REPORT"]


def test_versions_aliases_and_updates(functions: Functions) -> None:
    name = functions.make("def handler(e, c): return ['one', c.invoked_function_arn, c.function_version]")
    functions.client.publish_version(FunctionName=name)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    functions.client.update_function_code(
        FunctionName=name, ZipFile=zipped("import os\ndef handler(e, c): return ['two', os.environ.get('A')]")
    )
    arn = functions.arn(name)
    assert functions.call(name, Qualifier="live")[1] == ["one", f"{arn}:live", "1"]
    assert functions.call(name)[1] == ["two", None]
    functions.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"A": "b"}})
    assert functions.call(name)[1] == ["two", "b"]


def test_a_client_context_arrives(functions: Functions) -> None:
    name = functions.make("def handler(e, c): return c.client_context and c.client_context.custom")
    context = base64.b64encode(json.dumps({"custom": {"who": "me"}}).encode()).decode()
    assert functions.call(name, ClientContext=context)[1] == {"who": "me"}
    assert functions.call(name)[1] is None


def test_layers_are_on_the_path(functions: Functions) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/shared.py", "WORD = 'from the layer'")
    layer = functions.client.publish_layer_version(
        LayerName=f"layer-{uuid.uuid4().hex[:8]}", Content={"ZipFile": buffer.getvalue()}
    )
    name = functions.make(
        "import shared\ndef handler(e, c): return shared.WORD", Layers=[layer["LayerVersionArn"]]
    )
    assert functions.call(name)[1] == "from the layer"


def test_a_function_reaches_the_port_with_plain_boto3(aws: EmbeddedAws, functions: Functions) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    code = """
        import boto3
        def handler(event, context):
            boto3.client("s3").put_object(Bucket=event, Key="k", Body=b"from the function")
            return boto3.client("sts").get_caller_identity()["Account"]
    """
    name = functions.make(code, MemorySize=512, Timeout=60)
    assert functions.call(name, bucket)[1] == "000000000000"
    assert aws.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == b"from the function"


@pytest.mark.slow
def test_a_loop_of_functions_is_stopped(functions: Functions) -> None:
    code = """
        import boto3, json
        def handler(event, context):
            own = {"FunctionName": context.function_name, "Payload": json.dumps(event + 1)}
            answer = boto3.client("lambda").invoke(**own)
            return json.load(answer["Payload"])
    """
    name = functions.make(code, MemorySize=512, Timeout=60)
    _, error = functions.call(name, 0)
    assert error["errorType"] == "RecursiveInvocationException"


def test_code_that_is_not_there_is_refused(aws: EmbeddedAws, functions: Functions) -> None:
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    name = functions.make("def handler(e, c): return 1")
    key, none = (
        {"S3Bucket": bucket, "S3Key": "no.zip"},
        {"S3Bucket": "no-such-bucket-here", "S3Key": "no.zip"},
    )
    for call in (
        lambda: functions.make("", Code=key),
        lambda: functions.client.update_function_code(FunctionName=name, **key),
    ):
        with pytest.raises(ClientError, match="S3 Error Code: NoSuchKey") as caught:
            call()
        assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
    with pytest.raises(ClientError, match="S3 Error Code: NoSuchBucket"):
        functions.make("", Code=none)
    assert functions.call(name)[1] == 1


def test_a_runtime_that_is_not_here_is_refused_with_words(functions: Functions) -> None:
    name = functions.make("", Runtime="nodejs20.x")
    answer, error = functions.call(name)
    assert answer["FunctionError"] == "Unhandled"
    assert "nodejs20.x" in error["errorMessage"]


def test_a_queue_a_topic_and_a_rule_reach_functions(aws: EmbeddedAws, functions: Functions) -> None:
    name = functions.make("import json\ndef handler(e, c): print('GOT ' + json.dumps(e))")
    arn = functions.arn(name)
    sqs, sns, events = aws.client("sqs"), aws.client("sns"), aws.client("events")
    queue, queue_arn = make_queue(sqs, name)
    functions.client.create_event_source_mapping(FunctionName=name, EventSourceArn=queue_arn)
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])

    sqs.send_message(QueueUrl=queue, MessageBody="by queue")
    sns.publish(TopicArn=topic, Message="by topic")
    events.put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": '{"by": "rule"}'}])

    def got() -> list[dict[str, Any]]:
        lines = [line[4:] for line in messages(aws, name) if line.startswith("GOT ")]
        return [json.loads(line) for line in lines] if len(lines) == 3 else []

    seen = eventually(got)
    assert {event["Records"][0]["body"] for event in seen if "body" in event.get("Records", [{}])[0]} == {
        "by queue"
    }
    assert {r["Sns"]["Message"] for e in seen for r in e.get("Records", []) if "Sns" in r} == {"by topic"}
    assert [event["detail"] for event in seen if "detail" in event] == [{"by": "rule"}]


def test_a_failing_message_comes_to_the_dead_letter_queue(aws: EmbeddedAws, functions: Functions) -> None:
    name = functions.make("def handler(e, c): raise ValueError('no')")
    sqs = aws.client("sqs")
    dead, arn = make_queue(sqs, f"{name}-dead")
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    queue = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "1"})[
        "QueueUrl"
    ]
    functions.client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn.removesuffix("-dead"))
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    found = eventually(lambda: sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1).get("Messages"))
    assert found[0]["Body"] == "poison"


def test_an_asynchronous_failure_is_retried_and_comes_to_its_destination(
    aws: EmbeddedAws, functions: Functions
) -> None:
    name = functions.make("def handler(e, c): raise ValueError('no')")
    sqs, events, arn = aws.client("sqs"), aws.client("events"), functions.arn(name)
    queue, queue_arn = make_queue(sqs, name)
    functions.client.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": queue_arn}}
    )
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"by": "invoke"}')
    events.put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": '{"by": "rule"}'}])
    found: list[dict[str, Any]] = []

    def two() -> bool:
        answer = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
        found.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
        return len(found) == 2

    eventually(two)
    for record in found:
        context = record["requestContext"]
        assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 2)
        assert context["functionArn"] == f"{arn}:$LATEST"
        assert record["responsePayload"]["errorType"] == "ValueError"
        assert record["responsePayload"]["requestId"] == context["requestId"]
        assert record["responseContext"]["functionError"] == "Unhandled"
    by = {(r["requestPayload"].get("detail") or r["requestPayload"])["by"] for r in found}
    assert by == {"invoke", "rule"}


def test_a_success_has_a_destination_and_a_dead_letter_is_the_event(
    aws: EmbeddedAws, functions: Functions
) -> None:
    sqs = aws.client("sqs")
    queue, queue_arn = make_queue(sqs, f"both-{uuid.uuid4().hex[:8]}")
    good = functions.make("def handler(e, c): return {'seen': e}")
    bad = functions.make("def handler(e, c): raise KeyError('k')", DeadLetterConfig={"TargetArn": queue_arn})
    success = {"OnSuccess": {"Destination": queue_arn}}
    functions.client.put_function_event_invoke_config(FunctionName=good, DestinationConfig=success)
    functions.client.put_function_event_invoke_config(FunctionName=bad, MaximumRetryAttempts=0)

    def sent(name: str) -> dict[str, Any]:
        functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b"[1]")
        query = {"QueueUrl": queue, "WaitTimeSeconds": 1, "MessageAttributeNames": ["All"]}
        message = eventually(lambda: sqs.receive_message(**query).get("Messages"))[0]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return dict(message)

    record = json.loads(sent(good)["Body"])
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", {"seen": [1]})
    letter = sent(bad)
    assert json.loads(letter["Body"]) == [1]
    assert letter["MessageAttributes"]["ErrorMessage"]["StringValue"] == "'k'"


def test_every_run_counts_in_the_metrics_whoever_called(aws: EmbeddedAws, functions: Functions) -> None:
    name = functions.make("def handler(e, c): return 1 / e")
    functions.client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    functions.call(name, 1)
    functions.client.invoke(FunctionName=name, InvocationType="Event", Payload=b"0")

    def count(metric: str) -> float:
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 600,
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))

    eventually(lambda: count("Invocations") == 2)
    assert count("Errors") == 1


def test_no_worker_outlives_the_server(fresh_aws: EmbeddedAws) -> None:
    functions = Functions(fresh_aws)
    name = functions.make("import os\ndef handler(e, c): return os.getpid()")
    for end in (fresh_aws.kill, fresh_aws.stop):
        pid = functions.call(name)[1]
        os.kill(pid, 0)
        eventually(lambda: "lambda" in json.dumps(os.listdir(fresh_aws.state_dir / "ministack")))  # noqa: PTH208
        time.sleep(1.5)
        end()

        def gone(pid: int = pid) -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return False

        eventually(gone)
        fresh_aws.start()
        functions = Functions(fresh_aws)
