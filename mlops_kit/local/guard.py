"""Who may speak to the port, and how much: an ASGI layer before everything; must not know services.

A web page in the user's browser can send requests to a loopback port. So a request that names another
host (DNS rebinding) or comes from any web page is refused before anything reads it. A page's plain GET has
no Origin, but browsers send Sec-Fetch-Site to loopback; what a person types into the address bar has "none".
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = (
    1 << 30
)  # ministack holds an S3 object in memory while it takes it; larger ones go by multipart

_OUR_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]|[a-z0-9.-]+\.localhost)(:\d+)?", re.IGNORECASE)
_ADMIN = re.compile(r"/+(_ministack|_localstack|_aws|_alb|_mlops_kit|_init)(/|$)|/+health/?$", re.IGNORECASE)
_ANSWER = re.compile(r"/_ministack/cfn-response/[A-Za-z0-9-]{16,}")
_CORS = b"access-control-"


class BodyTooLarge(Exception):
    """A body without a declared length went over the limit."""


class Guard:
    """Refuses what does not come from this machine's own tools.

    Parameters
    ----------
    app : callable
        The ASGI application behind it.
    health : callable
        What ``GET /_mlops_kit/health`` answers.
    admin : mapping, optional
        By path below ``/_mlops_kit/``: what answers a POST there, which must ask for a token.
    """

    def __init__(
        self, app: App, health: Callable[[], dict[str, Any]], admin: Mapping[str, App] | None = None
    ) -> None:
        self._app = app
        self._health = health
        self._admin = admin or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        body = _Body(receive, headers)
        send = _answering(send, body)
        if (refusal := _refusal(scope, headers, self._is_admin(scope))) is not None:
            await answer(send, refusal[0], {"__type": refusal[1], "message": refusal[2]})
        elif self._is_admin(scope):
            await self._admin[scope["path"]](scope, body.receive, send)
        elif scope["path"] == "/_mlops_kit/health":
            await answer(send, 200, self._health())
        else:
            await self._app(scope, body.receive, send)

    def _is_admin(self, scope: Scope) -> bool:
        return scope["method"] == "POST" and scope["path"] in self._admin


def _refusal(scope: Scope, headers: Mapping[bytes, bytes], admin: bool) -> tuple[int, str, str] | None:
    """Status, code and words for a request that is not for us; None for one that is."""
    host = headers.get(b"host", b"").decode("latin-1")
    length = headers.get(b"content-length", b"0")
    path = unquote(scope["path"])
    words = None
    if not _OUR_HOST.fullmatch(host):
        words = 403, "AccessDenied", f"The embedded AWS answers on loopback only, not as host {host!r}."
    elif b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none":
        words = 403, "AccessDenied", "The embedded AWS does not answer web pages (Origin or Sec-Fetch-Site)."
    elif _ADMIN.match(path) and not (admin or path == "/_mlops_kit/health" or _is_answer(scope, path)):
        words = 404, "NotFound", f"There is nothing at {path}."
    elif not length.isdigit():
        words = 400, "InvalidRequest", "Content-Length is not a number."
    elif int(length) > LARGEST_BODY:
        words = 413, "EntityTooLarge", f"The body has {int(length)} bytes; at most {LARGEST_BODY} are taken."
    return words


def _is_answer(scope: Scope, path: str) -> bool:
    """Whether this is a custom resource's function that answers its stack."""
    return scope["method"] == "PUT" and _ANSWER.fullmatch(path) is not None and scope["path"] == path


async def answer(send: Send, status: int, body: dict[str, Any]) -> None:
    """Send a JSON body."""
    headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", body.get("__type", "").encode())]
    await send(
        {"type": "http.response.start", "status": status, "headers": headers[: 1 + ("__type" in body)]}
    )
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


class _Body:
    """What a request brings with it, bounded.

    Attributes
    ----------
    unread : bool
        Whether some of it has not been taken from the connection.
    """

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes]) -> None:
        self.unread = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        self._receive = receive
        self._taken = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > LARGEST_BODY:
            raise BodyTooLarge(f"a body without a length went over {LARGEST_BODY} bytes")
        self.unread = self.unread and message.get("more_body", False)
        return message


def _answering(send: Send, body: _Body) -> Send:
    """Answer without words for web pages, and with the date, as AWS does: callers learn the time from it.

    A connection with the rest of a body on it takes no further request, so the caller is told not to keep it.
    """

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [(k, v) for k, v in message.get("headers", []) if not k.lower().startswith(_CORS)]
            if not any(name.lower() == b"date" for name, _ in kept):
                kept.append((b"date", formatdate(usegmt=True).encode()))
            if body.unread:
                kept.append((b"connection", b"close"))
            message = {**message, "headers": kept}
        await send(message)

    return sent
