"""Lambda: starts one execution for each Kafka record that says a model has drifted; judges no drift itself.

It answers with the records that a retry can help (AWS was busy or out of reach), and no others: a record that
can never start anything goes to a queue for people, with the reason, and its partition goes on. Sources: AWS
Lambda Developer Guide, "Configuring error handling controls for Kafka event sources"; Step Functions API
Reference, "StartExecution".
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.kafka_event import KafkaEventRecord
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

EVENT = "ModelDriftDetected"
MESSAGE_LIMIT = (
    262_144  # bytes of an SQS message with its attributes, of which these are spared for the latter
)
_ATTRIBUTES = 4096
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?Z)?", re.ASCII)
_BUSY = {"ExecutionLimitExceeded", "RequestTimeout", "ServiceUnavailable", "TooManyRequestsException"}

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)


class Poison(Exception):
    """A record that no retry can help; the text is the reason that people read."""


def handler(event: dict[str, Any], context: Any) -> Mapping[str, Any]:
    """Start what the records ask for.

    Parameters
    ----------
    event : dict
        Of an event source mapping for MSK (``aws:kafka``) or a self-managed cluster. A record's value is the
        event as EventBridge has it, or its detail alone: ``model``, and ``as_of`` unless the time of the
        event, or else of the record, is meant.
    context
        Lambda's; not used.

    Returns
    -------
    dict
        ``batchItemFailures``: partition and offset of each record to be tried again.
    """
    processor = BatchProcessor(EventType.Kafka, raise_on_entire_batch_failure=False, logger=logger)
    return process_partial_response(event, _handle, processor, context)


def _handle(record: KafkaEventRecord) -> None:
    """Start an execution, or put the record aside; raises what a retry can help."""
    where = {"topic": record.topic, "partition": int(record.partition), "offset": int(record.offset)}
    try:
        detail = _detail(record)
        if detail["model"] != os.environ.get("MODEL", detail["model"]):
            logger.info("%s is about the model %s", where, detail["model"])
            return
        _start(where, detail["as_of"])
    except Poison as reason:
        logger.warning("%s is put aside: %s", where, reason)
        _put_aside(record, where, str(reason))


def _detail(record: KafkaEventRecord) -> dict[str, str]:
    """Model and moment that a record is about."""
    body = _json(record.get("value"))
    kind = body.get("detail-type", EVENT)
    if kind != EVENT:
        raise Poison(f"WrongEvent: detail-type is {kind!r}, not {EVENT!r}")
    detail = body.get("detail", body)
    if not isinstance(detail, dict):
        raise Poison("WrongSchema: detail is no object")
    model = detail.get("model")
    if not isinstance(model, str) or not model:
        raise Poison("MissingField: model is no text" if "model" in detail else "MissingField: model")
    written = _written(record)
    as_of = detail.get("as_of", body.get("time", written))
    if not isinstance(as_of, str) or not _exists(as_of):
        raise Poison(f"WrongSchema: as_of is {as_of!r}; it is a UTC day or time such as 2011-07-01T03:00:00Z")
    return {"model": model, "as_of": as_of}


def _json(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        raise Poison("MissingField: the record has no value")
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise Poison(f"MalformedValue: {error}") from error
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Poison(f"MalformedJson: {error}") from error
    if not isinstance(body, dict):
        raise Poison("WrongSchema: the value is no JSON object")
    return body


def _written(record: KafkaEventRecord) -> str:
    """When the record was written; refuses one that is too old to be news."""
    stamp = record.get("timestamp")
    if isinstance(stamp, bool) or not isinstance(stamp, int) or stamp < 0:
        raise Poison("MissingField: the record has no timestamp")
    oldest = int(os.environ["MAXIMUM_AGE"])
    if (age := time.time() - stamp / 1000) > oldest:
        raise Poison(f"TooOld: it was written {age:,.0f} s ago; the limit is {oldest:,} s")
    try:
        return datetime.fromtimestamp(stamp // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        raise Poison(f"WrongSchema: the timestamp {stamp} is no time") from error


def _exists(as_of: str) -> bool:
    if not _MOMENT.fullmatch(as_of):
        return False
    try:
        datetime.fromisoformat(as_of)
    except ValueError:
        return False
    return True


def _start(where: Mapping[str, Any], as_of: str) -> None:
    """Start an execution of the record's own name: however often the record comes, there is one."""
    partition = f"{where['topic']}-{where['partition']}"
    place = f"{partition}@{where['offset']}"
    name = f"kafka-{hashlib.sha256(place.encode()).hexdigest()}"
    given = {"as_of": as_of, "trigger": {"kind": "kafka", "name": where["topic"], "id": place}}
    try:
        _client("stepfunctions").start_execution(
            stateMachineArn=os.environ["STATE_MACHINE"], name=name, input=json.dumps(given)
        )
    except ClientError as error:
        code = error.response["Error"].get("Code", "")
        if code == "ExecutionAlreadyExists":
            logger.info("%s has started %s before", place, name)
            return
        if _busy(code, error.response["ResponseMetadata"].get("HTTPStatusCode", 400)):
            raise
        raise Poison(f"{code}: {error.response['Error'].get('Message', '')}") from error
    logger.info("%s started %s", place, name)


def _busy(code: str, status: int) -> bool:
    """Whether a retry can help: throttling, a full quota of running executions, a failure of AWS's own."""
    return status >= 500 or "Throttl" in code or "RequestLimit" in code or code in _BUSY


def _put_aside(record: KafkaEventRecord, where: Mapping[str, Any], reason: str) -> None:
    """Send the record to the dead-letter queue; what SQS would refuse as too large is left in Kafka."""
    body = json.dumps(record.raw_event)
    if whole := len(body) <= MESSAGE_LIMIT - _ATTRIBUTES:
        message = body
    else:
        message = json.dumps({**where, "timestamp": record.get("timestamp")})
    texts = {**where, "reason": _plain(reason), "whole": "true" if whole else "false"}
    attributes = {
        name: {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
        for name, value in texts.items()
    }
    try:
        _client("sqs").send_message(
            QueueUrl=os.environ["DEAD_LETTERS"], MessageBody=message, MessageAttributes=attributes
        )
    except (BotoCoreError, ClientError):
        logger.exception("%s could not be put aside and comes again", where)
        raise


def _plain(text: str) -> str:
    """At most 1,000 characters that SQS takes."""
    return "".join(one if " " <= one <= "~" else "?" for one in text)[:1000]


@functools.cache
def _client(service: str) -> Any:
    """One client for all calls of this sandbox; it gives up before the function's time does."""
    retries = {"mode": "standard", "total_max_attempts": 3}
    return boto3.client(service, config=Config(connect_timeout=3, read_timeout=10, retries=retries))
