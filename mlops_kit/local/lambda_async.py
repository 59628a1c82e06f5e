"""Asynchronous calls of functions: retries, destinations and dead letters as AWS delivers them.

Must not run a function itself. Source: AWS Lambda Developer Guide, "Invoking a Lambda function
asynchronously", "Capturing records of Lambda asynchronous invocations".
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mlops_kit.local.ministack import after_import, module

_BACKOFF = 1.0  # seconds before the first retry, doubled for the second; AWS waits one minute and two
_RETRIES, _AGE = 2, 21600  # AWS's defaults: attempts after the first, seconds

_log = logging.getLogger(__name__)

Record = dict[str, Any]
Client = Callable[[str, str, Mapping[str, Any]], Any]  # service, region, the function's configuration


def install(client: Client) -> None:
    """Send every asynchronous call (Invoke, rules, topics, buckets) through `Calls`."""
    service = module("services.lambda_svc")
    calls = Calls(service, client)
    service.invoke_async_with_retry = calls.begin

    def found(arn: str, event: Any) -> None:
        func, config, name = service._get_func_record_for_ref(arn)
        if func and config:
            calls.begin(service._execution_record_for_config(func, config), event)
        else:
            _log.warning("Function %s does not exist; an event for it was dropped", name)

    def from_rule(arn: str, payload: str) -> None:
        found(arn, _parsed(payload))

    def from_topic(endpoint: str, envelope: str, _topic: str, subscription: str, *_rest: Any) -> None:
        record = {"EventVersion": "1.0", "EventSubscriptionArn": subscription, "EventSource": "aws:sns"}
        found(endpoint, {"Records": [{**record, "Sns": json.loads(envelope)}]})

    after_import(
        "services.eventbridge", lambda: _put("services.eventbridge", "_dispatch_to_lambda", from_rule)
    )
    after_import("services.sns", lambda: _put("services.sns", "_deliver_to_lambda", from_topic))


class Calls:
    """Runs asynchronous calls, each in a thread of its own.

    Parameters
    ----------
    service : module
        ministack's Lambda.
    client : callable
        ``client(service, region, config)``: a botocore client of our port, as the function's role.
    """

    def __init__(self, service: Any, client: Client) -> None:
        self._service = service
        self._client = client

    def begin(self, func: Record, event: Any) -> None:
        """Call a function; returns at once."""
        run = contextvars.copy_context().run  # the caller's depth in a chain of functions
        scoped = self._service._run_with_function_config_scope
        threading.Thread(target=run, args=(scoped, func, self._call, func, event), daemon=True).start()

    def _call(self, func: Record, event: Any) -> None:
        config = func["config"]
        options = self._options(func, config)
        begun, retries = time.monotonic(), int(options.get("MaximumRetryAttempts", _RETRIES))
        count, condition = 0, "Success"
        while True:
            result = self._service._execute_function(func, event)
            count += 1
            if not result.get("error"):
                break
            condition = "RetriesExhausted"
            delay = _BACKOFF * 2 ** (count - 1)
            if count > retries:
                break
            if time.monotonic() - begun + delay > options.get("MaximumEventAgeInSeconds", _AGE):
                condition = "EventAgeExceeded"
                break
            time.sleep(delay)
        record = _record(config, event, result, condition, count)
        self._deliver(config, options.get("DestinationConfig") or {}, record)

    def _options(self, func: Record, config: Mapping[str, Any]) -> Record:
        base = self._service._functions.get(config["FunctionName"]) or func
        qualifier = ":".join(config["FunctionArn"].split(":")[7:]) or None
        return self._service._event_invoke_config(base, qualifier) or {}

    def _deliver(self, config: Mapping[str, Any], destinations: Mapping[str, Any], record: Record) -> None:
        failed = record["requestContext"]["condition"] != "Success"
        chosen = destinations.get("OnFailure" if failed else "OnSuccess") or {}
        letters = (config.get("DeadLetterConfig") or {}).get("TargetArn") if failed else None
        for arn, send in ((chosen.get("Destination"), self._send_record), (letters, self._send_letter)):
            if not arn:
                continue
            try:
                send(self._client(arn.split(":")[2], arn.split(":")[3], config), arn, record)
            except (BotoCoreError, ClientError, ValueError) as error:
                _log.warning("The result of %s did not reach %s: %s", config["FunctionName"], arn, error)

    @staticmethod
    def _send_record(client: Any, arn: str, record: Record) -> None:
        service, body = arn.split(":")[2], json.dumps(record)
        if service == "sqs":
            client.send_message(QueueUrl=_queue_url(client, arn), MessageBody=body)
        elif service == "sns":
            client.publish(TopicArn=arn, Message=body)
        elif service == "lambda":
            client.invoke(FunctionName=arn, InvocationType="Event", Payload=body.encode())
        elif service == "events":
            result = "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
            entry = {
                "Source": "lambda",
                "DetailType": f"Lambda Function Invocation Result - {result}",
                "Resources": [arn, record["requestContext"]["functionArn"]],
                "Detail": body,
                "EventBusName": arn,
            }
            client.put_events(Entries=[entry])
        else:
            raise ValueError(f"the embedded AWS has no destination in {service}")

    @staticmethod
    def _send_letter(client: Any, arn: str, record: Record) -> None:
        """A dead letter is the event itself; what went wrong stands in its attributes."""
        response = record["responsePayload"] or {}
        values = {
            "RequestID": ("String", record["requestContext"]["requestId"]),
            "ErrorCode": ("Number", "200"),
            "ErrorMessage": ("String", str(response.get("errorMessage") or "unknown")[:1024]),
        }
        attributes = {name: {"DataType": kind, "StringValue": text} for name, (kind, text) in values.items()}
        body = json.dumps(record["requestPayload"])
        if arn.split(":")[2] == "sqs":
            url = _queue_url(client, arn)
            client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
        else:
            client.publish(TopicArn=arn, Message=body, MessageAttributes=attributes)


def _record(
    config: Mapping[str, Any], event: Any, result: Mapping[str, Any], condition: str, count: int
) -> Record:
    arn = config["FunctionArn"]
    response = {"statusCode": 200, "executedVersion": config.get("Version", "$LATEST")}
    if result.get("error"):
        response["functionError"] = result.get("function_error", "Unhandled")
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": result.get("request_id", ""),
            "functionArn": arn if len(arn.split(":")) > 7 else f"{arn}:$LATEST",
            "condition": condition,
            "approximateInvokeCount": count,
        },
        "requestPayload": event,
        "responseContext": response,
        "responsePayload": result.get("body"),
    }


def _queue_url(client: Any, arn: str) -> str:
    """URL of a queue, made up as asking for it would take a permission that AWS does not take."""
    return f"{client.meta.endpoint_url}/{arn.split(':')[4]}/{arn.rpartition(':')[2]}"


def _parsed(payload: str) -> Any:
    try:
        return json.loads(payload)
    except (json.JSONDecodeError, TypeError):
        return {"body": payload}


def _put(place: str, name: str, ours: Callable[..., None]) -> None:
    setattr(module(place), name, ours)
