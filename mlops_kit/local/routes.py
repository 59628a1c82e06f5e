"""Which requests are ours and which are ministack's, and ASGI on one side of `wire`; no service's logic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from mlops_kit.local import kafka, wire
from mlops_kit.local.durability import Saver
from mlops_kit.local.guard import Message, Receive, Scope, Send, answer
from mlops_kit.local.ministack import Ministack
from mlops_kit.local.service import Service

LARGEST_CALL = 32 << 20  # bytes of one call to our services; AWS takes at most 25 MB (InvokeEndpoint)

_TARGETS = {"AWSStepFunctions": "stepfunctions", "SageMaker": "sagemaker", "AWSGlue": "glue"}
_RUNTIME = re.compile(r"/endpoints/[^/]+/(async-invocations|invocations|invocations-response-stream)")
_WHOLE = ("stepfunctions", "sagemaker", "scheduler")  # ministack has nothing to answer for these


class Router:
    """The ASGI application behind the guard.

    Parameters
    ----------
    services : mapping
        Ours, by botocore's name.
    ministack : Ministack
        Everything else.
    saver : Saver
        Hears which of ministack's services a request may have changed.
    threads : concurrent.futures.ThreadPoolExecutor
        Where handlers that are plain functions run.
    """

    def __init__(
        self, services: Mapping[str, Service], ministack: Ministack, saver: Saver, threads: ThreadPoolExecutor
    ) -> None:
        self._services = services
        self._ministack = ministack
        self._saver = saver
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] != "http":
            await self._ministack.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        service = self._ours(scope["method"], scope["path"], headers)
        if scope["path"].startswith(kafka.PATH):
            service, receive = await self._mappings(scope, receive)
        if service is None:
            await self._pass_on(scope, receive, send, headers)
        else:
            await self._serve(service, scope, receive, send, headers)

    def _ours(self, method: str, path: str, headers: Mapping[str, str]) -> Service | None:
        target, _, operation = headers.get("x-amz-target", "").partition(".")
        name = _TARGETS.get(target, "")
        signed_for = "" if target else wire.caller(headers, "")[2]
        if not target and method == "POST" and _RUNTIME.fullmatch(path):
            name = "sagemaker-runtime" if signed_for in ("", "sagemaker") else ""
        elif signed_for == "scheduler":
            name = signed_for
        service = self._services.get(name)
        if service is None or name in _WHOLE or name == "sagemaker-runtime":
            return service
        return service if operation in service.operations else None

    async def _mappings(self, scope: Scope, receive: Receive) -> tuple[Service | None, Receive]:
        """Whose event source mapping it is about stands in the body, which is then to be read again."""
        body = await _read(receive)
        messages = iter([{"type": "http.request", "body": body or b"", "more_body": False}])

        async def again() -> Message:
            return next(messages, None) or await receive()

        service = cast(kafka.EventSourceMappings, self._services["lambda"])
        return (service if service.takes(scope["method"], scope["path"], body or b"") else None), again

    async def _serve(
        self, service: Service, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]
    ) -> None:
        body = await _read(receive)
        if body is None:
            words = f"The request has more than {LARGEST_CALL} bytes."
            await answer(send, 413, {"__type": "RequestEntityTooLarge", "message": words})
            return
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        request = wire.HttpRequest(scope["method"], path, query, headers, body)
        response = await wire.dispatch(service, request, self._threads)
        pairs = [(k.encode("latin-1"), v.encode("utf-8")) for k, v in response.headers.items()]
        pairs.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": response.body})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str]) -> None:
        beginning = b""

        async def received() -> Message:
            nonlocal beginning
            message = await receive()
            beginning = beginning or message.get("body", b"")[:256]
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":  # before the caller can know: `settle` counts on it
                changed = self._ministack.changes(scope["method"], scope["path"], headers, beginning)
                self._saver.touch(changed, awaited=not self._ministack.runs(scope["path"], headers))
            await send(message)

        await self._ministack.app(scope, received, sent)


async def _read(receive: Receive) -> bytes | None:
    """The whole body, or None when it is too large or the caller went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST_CALL:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)
