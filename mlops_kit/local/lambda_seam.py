"""Puts our Lambda runtime in the place of ministack's executors; must not run a function itself.

ministack keeps the functions, their versions and triggers; whatever calls one (Invoke, queues, topics, rules,
URLs) comes through its ``_execute_function_dispatch``, which is ours here.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from mlops_kit.local import lambda_async
from mlops_kit.local.clients import client
from mlops_kit.local.lambda_files import Function, Layer
from mlops_kit.local.lambda_runtime import Invocation, LambdaRuntime
from mlops_kit.local.ministack import module

_NO_CODE = (
    "Error occurred while GetObject. S3 Error Code: NoSuch{}. "
    "S3 Error Message: The specified {} does not exist."
)


class MissingCode(ValueError):
    """The bucket or key of a function's code does not exist; the text is AWS's."""


def install(runtime: LambdaRuntime) -> None:
    """Let every call of a function reach `runtime`, and refuse code that is not there."""
    service = module("services.lambda_svc")
    client_context: ContextVar[str | None] = ContextVar("lambda_client_context", default=None)
    invoke, measure = service._invoke, service._emit_lambda_metrics

    async def _invoke(name: str, event: Any, headers: Mapping[str, str], *rest: Any, **more: Any) -> Any:
        client_context.set(_decoded(headers.get("x-amz-client-context", "")))
        return await invoke(name, event, headers, *rest, **more)

    def dispatch(
        func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, _begun: float
    ) -> dict[str, Any]:
        refusal = _refusal(func, config)
        if refusal:
            error = {"errorType": "Runtime.Unsupported", "errorMessage": refusal}
            return _result(request_id, error, f"{refusal}\n", failed=True)
        invocation = Invocation(
            request_id,
            json.dumps(event).encode(),
            config["FunctionArn"],
            _trace(service, config),
            client_context.get(),
        )
        begun = time.monotonic()
        outcome = runtime.invoke(_function(service, func, config), invocation)
        milliseconds = (time.monotonic() - begun) * 1000
        measure(config["FunctionName"], duration_ms=milliseconds, error=outcome.failed, throttle=False)
        body = outcome.payload if outcome.raw else json.loads(outcome.payload)
        return _result(request_id, body, outcome.log, failed=outcome.failed)

    def measure_throttles(name: str, *, throttle: bool, **values: Any) -> None:
        if throttle:  # what ran is measured above, whoever called
            measure(name, throttle=True, **values)

    service._invoke = _invoke
    service._execute_function_dispatch = dispatch
    service._emit_lambda_metrics = measure_throttles
    service._inbound_invoke_depth = _depth
    _refuse_missing_code(service)

    def acting(name: str, region: str, config: Mapping[str, Any]) -> Any:
        credentials = runtime.credentials(config.get("Role") or "", config["FunctionName"])
        return client(runtime.url, region, name, credentials)

    lambda_async.install(acting)


def _result(request_id: str, body: Any, log: str, *, failed: bool) -> dict[str, Any]:
    """What ministack takes for the end of a function, and `lambda_async` with it."""
    answer = {"body": body, "log": log, "request_id": request_id}
    return {**answer, "error": True, "function_error": "Unhandled"} if failed else answer


def _function(service: Any, func: Mapping[str, Any], config: Mapping[str, Any]) -> Function:
    layers = [layer for layer in config.get("Layers") or [] if layer]
    logging = config.get("LoggingConfig") or {}
    variables = {
        str(k): str(v) for k, v in ((config.get("Environment") or {}).get("Variables") or {}).items()
    }
    if logging.get("LogFormat") == "JSON":
        level = logging.get("ApplicationLogLevel", "INFO")
        variables |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": level}
    return Function(
        name=config["FunctionName"],
        arn=":".join(config["FunctionArn"].split(":")[:7]),
        version=config.get("Version") or "$LATEST",
        runtime=config["Runtime"],
        handler=config["Handler"],
        code_sha=config["CodeSha256"],
        code=func["code_zip"],
        layers=tuple(_layer(service, layer) for layer in layers),
        environment=variables,
        timeout=float(config.get("Timeout") or 3),
        memory=int(config.get("MemorySize") or 128),
        log_group=logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
        role_arn=config.get("Role") or "",
    )


def _layer(service: Any, attachment: Any) -> Layer:
    arn = attachment.get("Arn", "") if isinstance(attachment, Mapping) else str(attachment)
    return Layer(arn, service._resolve_layer_zip(attachment) or _EMPTY_ZIP)


_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)


def _refusal(func: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    name, runtime = config.get("FunctionName"), config.get("Runtime") or "a container image"
    if not str(runtime).startswith("python"):
        return f"Function {name} needs {runtime}; the embedded AWS runs Python functions from a zip."
    return "" if func.get("code_zip") else f"Function {name} has no code."


def _trace(service: Any, config: Mapping[str, Any]) -> str:
    """AWS's trace header: the SDK sends it with every call, so that a loop of functions is noticed."""
    trace = service._xray_trace_id_for_invocation(config)
    if trace is None:
        trace = (
            f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"
        )
    return f"{trace};Lineage={service._invoke_depth.get()}:{secrets.token_hex(4)}:0"


def _depth(headers: Mapping[str, str]) -> int:
    lineage = headers.get("x-amzn-trace-id", "").partition("Lineage=")[2].partition(":")[0]
    return int(lineage) if lineage.isdigit() else 0


def _decoded(client_context: str) -> str | None:
    try:
        return base64.b64decode(client_context, validate=True).decode() or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _refuse_missing_code(service: Any) -> None:
    fetch: Callable[..., bytes | None] = service._fetch_code_from_s3

    def fetched(bucket: str, key: str, version_id: str | None = None) -> bytes:
        code = fetch(bucket, key, version_id)
        if code is None:
            kind = (
                ("Key", "key")
                if module("services.s3")._buckets.get(bucket) is not None
                else ("Bucket", "bucket")
            )
            raise MissingCode(_NO_CODE.format(*kind))
        return code

    def refusing(operation: Callable[..., Any]) -> Callable[..., Any]:
        def refused(*arguments: Any) -> Any:
            try:
                return operation(*arguments)
            except MissingCode as error:
                return service.error_response_json("InvalidParameterValueException", str(error), 400)

        return refused

    service._fetch_code_from_s3 = fetched  # CloudFormation calls it too, and turns the error into a rollback
    for name in ("_create_function", "_update_code", "_publish_layer_version"):
        setattr(service, name, refusing(getattr(service, name)))
