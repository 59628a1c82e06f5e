"""AWS's wire protocols for our services, from botocore's models; must not know what a service does.

Speaks JSON 1.0/1.1 and REST-JSON, which are all that our services use.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import random
import re
import sqlite3
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from mlops_kit.local import models, shapes
from mlops_kit.local.service import AwsError, Encoded, Request, Service, disk_refused

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HttpRequest:
    """One HTTP request.

    Attributes
    ----------
    method, path, query : str
        As sent: path is percent-encoded, query is without its question mark.
    headers : mapping
        Lower-case names.
    body : bytes
        The whole body.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class HttpResponse:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Call:
    operation: Any  # botocore's OperationModel
    params: dict[str, Any]


@functools.cache
def model(service: str) -> Any:
    """botocore's model of a service."""
    from botocore.model import ServiceModel

    return ServiceModel(models.loader().load_service_model(service, "service-2"), service)


def caller(headers: Mapping[str, str], default_region: str) -> tuple[str, str, str]:
    """Access key, region and signing name of a signed request; empty, the default and empty without one."""
    match = re.search(r"Credential=([^/,]*)/\d+/([^/,]+)/([^/,]+)/", headers.get("authorization", ""))
    return (match[1], match[2], match[3]) if match else ("", default_region, "")


async def dispatch(service: Service, request: HttpRequest, threads: ThreadPoolExecutor) -> HttpResponse:
    """Parse, check, handle and answer one request.

    Parameters
    ----------
    service : Service
        Whose operation it is.
    request : HttpRequest
        What came in.
    threads : concurrent.futures.ThreadPoolExecutor
        Where handlers that are plain functions run.

    Returns
    -------
    HttpResponse
        The answer, or the error in AWS's form. Never raises for what a request contains.
    """
    request_id = _new_id()
    described = model(service.name)
    try:
        call = _parse(described, request)
        name = call.operation.name
        if call.operation.input_shape is not None:
            code = "ValidationError" if "ValidationError" in described.shape_names else "ValidationException"
            shapes.check(call.operation.input_shape, call.params, code)
        result = await _handle(service, name, call.params, request, threads)
        return _answer(described, call.operation, result, request_id)
    except AwsError as error:
        return error_answer(service.name, error, request_id)
    except sqlite3.OperationalError as error:
        return error_answer(service.name, disk_refused(error), request_id)
    except Exception:
        logger.exception("%s failed on %s", service.name, request.headers.get("x-amz-target", request.path))
        words = f"The embedded AWS failed inside {service.name}; its log has the traceback."
        return error_answer(service.name, AwsError("InternalFailure", words, 500), request_id)


def _new_id() -> str:
    """An id that needs no secret: asking the system for randomness takes longer than many an answer."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def operation_name(service: str, request: HttpRequest) -> str:
    """AWS's operation of a request, or empty when the model has none for it."""
    if "x-amz-target" in request.headers:
        return request.headers["x-amz-target"].rpartition(".")[2]
    found = _match(model(service), request)
    return found[0] if found else ""


def error_answer(service: str, error: AwsError, request_id: str = "") -> HttpResponse:
    """An error as AWS's JSON services send it."""
    described = model(service)
    body = {"__type": error.code, "message": error.message, **error.fields}
    headers = _headers(described, request_id) | {"x-amzn-errortype": error.code}
    return HttpResponse(error.status, headers, json.dumps(body).encode())


async def _handle(
    service: Service, name: str, params: dict[str, Any], request: HttpRequest, threads: ThreadPoolExecutor
) -> dict[str, Any] | Encoded:
    handler = service.operations.get(name)
    if handler is None:
        raise AwsError("UnknownOperationException", f"The embedded AWS does not have {service.name}:{name}.")
    access_key, region, _ = caller(request.headers, service.context.region)
    call = Request(name, params, region, access_key, request.headers)
    if inspect.iscoroutinefunction(handler):
        result = await handler(call)
    else:
        result = await asyncio.get_running_loop().run_in_executor(threads, handler, call)
        if inspect.isawaitable(result):
            result = await result
    return result if isinstance(result, Encoded) else dict(result or {})


def _parse(described: Any, request: HttpRequest) -> _Call:
    if described.metadata["protocol"] == "json":
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if name not in described.operation_names:
            raise AwsError("UnknownOperationException", f"There is no operation {name!r}.")
        operation = described.operation_model(name)
        shape = operation.input_shape
        body = _json_body(request.body)
        return _Call(operation, shapes.parse(shape, body) if shape is not None else {})
    found = _match(described, request)
    if found is None:
        raise AwsError(
            "UnknownOperationException", f"No operation is at {request.method} {request.path}", 404
        )
    operation = described.operation_model(found[0])
    shape = operation.input_shape
    return _Call(operation, _parse_rest(shape, request, found[1]) if shape is not None else {})


def _json_body(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError as error:
        raise AwsError("SerializationException", "The request body is not valid JSON.") from error


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """Method, path pattern and operation; those with fewer placeholders first."""
    described = model(service)
    routes = []
    for name in described.operation_names:
        http = described.operation_model(name).http
        path = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\\\{([A-Za-z0-9_]+)(\\\+)?\\\}", _placeholder, re.escape(path))
        routes.append((path.count("{"), http["method"], re.compile(pattern + "/?"), name))
    return [(method, pattern, name) for _, method, pattern, name in sorted(routes, key=lambda r: r[0])]


def _placeholder(match: re.Match[str]) -> str:
    return f"(?P<{match[1]}>.+)" if match[2] else f"(?P<{match[1]}>[^/]+)"


def _match(described: Any, request: HttpRequest) -> tuple[str, dict[str, str]] | None:
    for method, pattern, name in _routes(described.service_name):
        match = pattern.fullmatch(request.path) if method == request.method else None
        if match:
            return name, match.groupdict()
    return None


def _parse_rest(shape: Any, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    body = {} if payload else _json_body(request.body)
    query = parse_qsl(request.query, keep_blank_values=True)
    params: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        value: Any = None
        match member.serialization.get("location"):
            case "uri":
                value = _from_text(member, unquote(labels[wire_name]))
            case "querystring":
                value = _from_query(member, [text for key, text in query if key == wire_name])
            case "header":
                text = request.headers.get(wire_name.lower())
                value = _from_text(member, text) if text is not None else None
            case _ if name == payload and member.type_name == "blob":
                value = request.body
            case _ if name == payload:
                value = shapes.parse(member, _json_body(request.body))
            case _ if body.get(wire_name) is not None:
                value = shapes.parse(member, body[wire_name])
        if value is not None:
            params[name] = value
    return params


def _from_query(shape: Any, texts: list[str]) -> Any:
    if not texts:
        return None
    if shape.type_name == "list":
        return [_from_text(shape.member, text) for text in texts]
    return _from_text(shape, texts[0])


def _from_text(shape: Any, text: str) -> Any:
    match shape.type_name:
        case "integer" | "long" | "float" | "double" | "boolean":
            return shapes.parse(shape, _json_body(text.encode()))
        case "timestamp":
            return shapes.parse_timestamp(text)
        case _:
            return text


def _answer(
    described: Any, operation: Any, result: Mapping[str, Any] | Encoded, request_id: str
) -> HttpResponse:
    headers = _headers(described, request_id)
    if isinstance(result, Encoded):
        return HttpResponse(200, headers, result.body)
    shape = operation.output_shape
    if described.metadata["protocol"] == "json":
        body = shapes.serialise(shape, result) if shape is not None else {}
        return HttpResponse(200, headers, json.dumps(body).encode() if shape is not None else b"")
    status = operation.http.get("responseCode", 200)
    if shape is None:
        return HttpResponse(status, headers, b"{}")
    payload = shape.serialization.get("payload")
    rest = {}
    for name, member in shape.members.items():
        value = result.get(name)
        if value is None:
            continue
        location = member.serialization.get("location")
        if location == "header":
            headers[member.serialization.get("name", name).lower()] = str(value)
        elif location == "statusCode":
            status = int(value)
        elif name != payload:
            rest[member.serialization.get("name", name)] = shapes.serialise(member, value)
    if payload is None:
        return HttpResponse(status, headers, json.dumps(rest).encode())
    return HttpResponse(status, headers, _payload(shape.members[payload], result.get(payload)))


def _payload(shape: Any, value: Any) -> bytes:
    if shape.type_name in ("blob", "string"):
        return value.encode() if isinstance(value, str) else bytes(value or b"")
    return json.dumps(shapes.serialise(shape, value or {})).encode()


def _headers(described: Any, request_id: str) -> dict[str, str]:
    version = described.metadata.get("jsonVersion", "1.0")
    kind = (
        f"application/x-amz-json-{version}"
        if described.metadata["protocol"] == "json"
        else "application/json"
    )
    return {"content-type": kind, "x-amzn-requestid": request_id}
