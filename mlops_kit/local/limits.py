"""How much is taken at a time: beyond that a request is refused in the words of its service; reads no body.

An ASGI layer behind the guard. Requests that wait, such as long polls, hold their place.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from mlops_kit.local import wire
from mlops_kit.local.guard import LARGEST_BODY, App, Receive, Scope, Send

REQUESTS = 500  # at a time
BODIES = 2 * LARGEST_BODY  # bytes of their bodies, which the services hold in memory

_WORDS = "Rate exceeded"
_JSON = {  # code and message of services that have their own (their API references, "Common Errors")
    "dynamodb": ("ThrottlingException", "Rate of requests exceeds the allowed throughput."),
    "sqs": ("RequestThrottled", "The request was denied due to request throttling."),
}
_REST = {  # code and status of services that speak REST-JSON
    "lambda": ("TooManyRequestsException", 429),
    "apigateway": ("TooManyRequestsException", 429),
}


class Limits:
    """Passes on what there is room for.

    Parameters
    ----------
    app : callable
        The ASGI application behind it.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        size = _size(headers)
        if self._requests >= REQUESTS or (self._bytes and self._bytes + size > BODIES):
            await _refuse(send, headers)
            return
        self._requests += 1
        self._bytes += size
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._bytes -= size


def _size(headers: Mapping[str, str]) -> int:
    """Bytes that a body may have; one that does not say may have as many as are taken at all."""
    if "transfer-encoding" in headers:
        return LARGEST_BODY
    return int(headers.get("content-length", "0"))


async def _refuse(send: Send, headers: Mapping[str, str]) -> None:
    status, kind, body = throttled(headers)
    pairs = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def throttled(headers: Mapping[str, str]) -> tuple[int, str, bytes]:
    """Status, content type and body of the error with which a request's service refuses when it is full."""
    service = wire.caller(headers, "")[2]
    if "x-amz-target" in headers:
        code, message = _JSON.get(service, ("ThrottlingException", _WORDS))
        return 400, headers.get("content-type", "application/x-amz-json-1.0"), _json(code, message)
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        error = f"<Error><Type>Sender</Type><Code>Throttling</Code><Message>{_WORDS}</Message></Error>"
        text = f"<ErrorResponse>{error}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
        return 400, "text/xml", text.encode()
    if service in ("s3", ""):
        error = "<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>"
        text = f"<Error>{error}<RequestId>{uuid.uuid4()}</RequestId></Error>"
        return 503, "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
    code, status = _REST.get(service, ("ThrottlingException", 429))
    return status, "application/json", _json(code, _WORDS)


def _json(code: str, message: str) -> bytes:
    body: dict[str, Any] = {"__type": code, "code": code, "message": message}
    return json.dumps(body).encode()
