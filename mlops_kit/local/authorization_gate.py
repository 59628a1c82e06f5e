"""The port's own check of who calls: an ASGI layer that refuses what a role's policies do not allow.

Stands behind the guard, and only when policies are enforced. Must not know a service.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from mlops_kit.local import authorization_policies as policies
from mlops_kit.local import wire
from mlops_kit.local.authorization import Session
from mlops_kit.local.authorization_requests import FREE, Asked, Refusal
from mlops_kit.local.guard import App, Message, Receive, Scope, Send


class Gate:
    """Lets the administrator pass, and holds everybody else to their policies.

    Parameters
    ----------
    app : callable
        The ASGI application behind it.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope.get("headers", ())}
        caller = _caller(scope, headers) if scope["type"] == "http" else None
        if caller is None:
            await self._app(scope, receive, send)
            return
        kept = Kept(receive)
        body = b"" if _streams(scope, headers) else await kept.body()
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        asked = Asked(wire.HttpRequest(scope["method"], path, query, headers, body))
        refusal = _refusal(asked, caller)
        if refusal is not None:
            await _answer(send, refusal)
            return
        token = policies.CALLING.set(caller if isinstance(caller, policies.Caller) else None)
        try:
            await self._app(scope, kept.receive, send)
        finally:
            policies.CALLING.reset(token)


class Kept:
    """What was received, to be received again by the application."""

    def __init__(self, receive: Receive) -> None:
        self._source = receive
        self._messages: list[Message] = []

    async def body(self) -> bytes:
        """The whole body; what came of it when the caller has gone."""
        more = True
        while more:
            message = await self._source()
            self._messages.append(message)
            more = message["type"] == "http.request" and message.get("more_body", False)
        return b"".join(message.get("body", b"") for message in self._messages)

    async def receive(self) -> Message:
        """The next message, kept or new."""
        return self._messages.pop(0) if self._messages else await self._source()


def _caller(scope: Scope, headers: dict[str, str]) -> policies.Caller | policies.Unknown | None:
    """Who signed, in the header or (a presigned URL) in the query; None for the administrator, and nobody."""
    found = re.search(r"Credential=([^/,]+)/", headers.get("authorization", ""))
    key, token = found[1] if found else "", headers.get("x-amz-security-token", "")
    query = scope.get("query_string", b"").decode("latin-1")
    if not key and ("X-Amz-Credential=" in query or "AWSAccessKeyId=" in query):
        signed = {name.lower(): value for name, value in parse_qsl(query)}
        key = signed.get("awsaccesskeyid") or signed.get("x-amz-credential", "").partition("/")[0]
        token = signed.get("x-amz-security-token", "")
    session = Session.of(key, token) if key else None
    if session is None:
        return policies.of_key(key) if key else None
    if "/sts/aws4_request" in headers.get("authorization", ""):
        policies.show(session)
    return policies.of_role(session)


def _streams(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether the body is an object's, which says nothing about permissions and may be large."""
    return scope["method"] == "PUT" and "/s3/aws4_request" in headers.get("authorization", "")


def _refusal(asked: Asked, caller: policies.Caller | policies.Unknown) -> Refusal | None:
    if isinstance(caller, policies.Unknown):
        return asked.unknown(caller.code, caller.message)
    if asked.action in FREE:
        return None
    for need in asked.needs():
        decision = policies.decide(caller, need.action, need.resource, need.context, asked.region)
        if not decision.allowed:
            return asked.refused(caller.arn, need, decision)
    return None


async def _answer(send: Send, refusal: Refusal) -> None:
    pairs = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in refusal.headers.items()]
    pairs.append((b"content-length", str(len(refusal.body)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": refusal.body})
