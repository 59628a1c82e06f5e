"""What a poller calls through the port: the function, the filter, the destination; must not read a topic.

Source: AWS Lambda Developer Guide, "Using event filtering with a Kafka event source", "Capturing discarded
batches for Amazon MSK and self-managed Apache Kafka event sources".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_kit.local.kafka_batch import Ending, Record, event, failed, failure
from mlops_kit.local.kafka_plan import Plan, invalid
from mlops_kit.local.service import AwsError

Client = Callable[[str], Any]  # by botocore's name of the service


@dataclass(frozen=True)
class Answer:
    """How an invocation ended.

    Attributes
    ----------
    again : tuple of Record
        What the function wants again; empty is a success.
    whole : bool
        The function failed, so that it said nothing of single records.
    error : str
        For people.
    request_id : str
    """

    again: tuple[Record, ...] = ()
    whole: bool = False
    error: str = ""
    request_id: str = ""


def invoke(client: Client, plan: Plan, records: Sequence[Record]) -> Answer:
    """Call the function with a batch.

    Raises
    ------
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        It could not be called: that is no attempt of the function's.
    """
    payload = json.dumps(event(plan.source, records)).encode()
    result = client("lambda").invoke(FunctionName=plan.function, Payload=payload)
    request_id = result["ResponseMetadata"].get("RequestId", "")
    body = result["Payload"].read()
    if result.get("FunctionError"):
        return Answer(tuple(records), True, body.decode(errors="replace")[:500], request_id)
    if not plan.partial:
        return Answer(request_id=request_id)
    try:
        again = failed(json.loads(body or b"null"), records)
    except ValueError:
        again = tuple(records)
    places = ", ".join(f"{one.place}@{one.offset}" for one in again[:3])
    return Answer(again, False, f"{len(again)} records wanted again: {places}" if again else "", request_id)


def matching(client: Client, plan: Plan, records: Sequence[Record]) -> tuple[Record, ...]:
    """The records that a filter lets through; without filters, all of them."""
    if not plan.filters:
        return tuple(records)
    return tuple(one for one in records if any(_matches(client, text, one) for text in plan.filters))


def check_filters(client: Client, criteria: Mapping[str, Any]) -> None:
    """Refuse patterns that EventBridge's matcher does not take, or that ask for more than the value.

    Raises
    ------
    AwsError
        ``InvalidParameterValueException``.
    """
    from botocore.exceptions import ClientError

    for item in criteria.get("Filters", ()):
        text = item.get("Pattern", "")
        try:
            pattern = json.loads(text)
            if not isinstance(pattern, dict) or set(pattern) != {"value"}:
                raise invalid(
                    f"Invalid filter pattern definition: {text}: a Kafka record is filtered by value."
                )
            _matches(client, text, Record("topic", 0, 0, value=b"{}"))
        except (ValueError, ClientError) as error:
            raise invalid(f"Invalid filter pattern definition: {text}") from error


def _matches(client: Client, text: str, record: Record) -> bool:
    """EventBridge decides, with the record's value inside a detail of its own."""
    try:
        value = json.loads(record.value or b"")
    except ValueError:
        value = (record.value or b"").decode(errors="replace")
    around = {"id": "1", "account": "000000000000", "source": "kafka", "region": "us-east-1", "resources": []}
    whole = {**around, "time": "2000-01-01T00:00:00Z", "detail-type": "Record", "detail": {"value": value}}
    answer = client("events").test_event_pattern(
        EventPattern=json.dumps({"detail": json.loads(text)}), Event=json.dumps(whole)
    )
    return bool(answer["Result"])


def discard(client: Client, plan: Plan, records: Sequence[Record], ending: Ending, now: float) -> None:
    """Send a batch's invocation record to the mapping's destination.

    Raises
    ------
    botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError
        The destination did not take it.
    """
    arn = plan.destination
    if arn is None:
        return
    body = failure(plan.source, records, plan.function, ending, now)
    kind, name = arn.split(":")[2], arn.rpartition(":")[2]
    if kind == "sqs":
        url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(body))
    elif kind == "sns":
        client("sns").publish(TopicArn=arn, Message=json.dumps(body))
    else:
        body["payload"] = json.dumps(event(plan.source, records))
        moment = datetime.fromtimestamp(now, UTC)
        key = f"aws/lambda/{plan.uuid}/{records[0].place}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        client("s3").put_object(Bucket=name, Key=key, Body=json.dumps(body).encode())


def brokers(client: Client, cluster: str) -> tuple[str, ...]:
    """The brokers of an MSK cluster, as an SSM parameter says them.

    Raises
    ------
    AwsError
        Nothing says them.
    """
    from botocore.exceptions import ClientError

    parts = cluster.rpartition(":")[2].split("/")
    name = f"/mlops-kit/kafka/{parts[1]}" if len(parts) > 1 else ""
    try:
        value = client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        raise AwsError(
            "InvalidParameterValueException",
            f"The embedded AWS has no MSK clusters: say which broker of this machine stands for {cluster} "
            f"in the SSM parameter {name}, such as 127.0.0.1:9092.",
        ) from error
    return tuple(one.strip() for one in value.split(","))
