"""Moves the embedded clock on request of ``mlops-kit local advance``: the one admin call of the port.

It takes a token that stands in the state folder, which a web page can neither read nor send. Must not know
who waits for the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlops_kit.cron import LAST_YEAR
from mlops_kit.local.activity import Activity
from mlops_kit.local.clock import Clock
from mlops_kit.local.control import TOKEN_HEADER
from mlops_kit.local.guard import Receive, Scope, Send, answer

_END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()  # schedules know no time after it
_SILENCE = 2.0  # real seconds after which a caller is told that the clock still moves


@dataclass(frozen=True)
class Advancing:
    """Answers ``POST /_mlops_kit/advance`` with lines of JSON while the clock moves, and when it has.

    Attributes
    ----------
    clock : Clock
        The one clock.
    activity : Activity
        Knows what is in motion.
    token : str
        What the caller must have read from the state folder.
    keep : callable
        Takes the clock's offset, durably, before anything fires at it.
    look : callable
        Arms what is not armed by whoever makes it.
    fired : callable
        ``fired()`` gives what has fired since it was last asked, in words.
    """

    clock: Clock
    activity: Activity
    token: str
    keep: Callable[[float], None]
    look: Callable[[], None]
    fired: Callable[[], Sequence[dict[str, Any]]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: ``{"seconds": number}`` or ``{"to": epoch seconds}``."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        if not hmac.compare_digest(headers.get(TOKEN_HEADER.encode(), b""), self.token.encode()):
            await answer(send, 403, {"__type": "AccessDenied", "message": "The token is not this server's."})
            return
        asked = json.loads(await _body(receive))
        seconds = asked["to"] - self.clock.now() if "to" in asked else asked["seconds"]
        if self.clock.advancing:
            words = "Somebody else is moving the clock."
            await answer(send, 409, {"__type": "ConflictException", "message": words})
            return
        problem = advice = ""
        if seconds < 0:
            problem, advice = "which is later, and it never goes back", "choose a later time."
        if seconds > _END - self.clock.now():
            problem, advice = f"and goes no further than the year {LAST_YEAR}", "choose an earlier time."
        if problem:
            words = f"The clock says {_text(self.clock.now())}, {problem}."
            refusal = {"__type": "ValidationException", "message": words, "suggestion": advice}
            await answer(send, 400, refusal)
            return
        await self._stream(float(seconds), receive, send)

    async def _stream(self, seconds: float, receive: Receive, send: Send) -> None:
        kind = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        loop, stop = asyncio.get_running_loop(), threading.Event()

        def say(line: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(lines.put_nowait, line)

        moving = asyncio.ensure_future(asyncio.to_thread(self._move, seconds, say, stop))
        leaving = asyncio.ensure_future(receive())
        try:
            while True:
                line = await _next(lines, leaving)
                if leaving.done():
                    return
                line = line or {"now": self.clock.now(), "fired": [], "waiting": []}
                await send(
                    {
                        "type": "http.response.body",
                        "body": json.dumps(line).encode() + b"\n",
                        "more_body": True,
                    }
                )
                if "done" in line:
                    break
            await send({"type": "http.response.body", "body": b""})
        finally:
            stop.set()
            leaving.cancel()
            with contextlib.suppress(Exception):
                await asyncio.shield(moving)

    def _move(self, seconds: float, say: Callable[[dict[str, Any]], None], stop: threading.Event) -> None:
        self.fired()
        last: Sequence[str] = ()

        def told(jobs: Sequence[str]) -> bool:
            nonlocal last
            if list(jobs) != list(last):
                last = jobs
                self._report(say, jobs)
            return not stop.is_set()

        def rest() -> None:
            self.activity.rest(told)
            self.look()
            self._report(say, ())

        try:
            self.look()
            ended = self.clock.advance(seconds, self.keep, rest, stop)
            rest()
            self.keep(self.clock.offset)
            self._report(say, ())
            say({"done": ended, "now": self.clock.now()})
        except Exception as error:
            say({"done": False, "now": self.clock.now(), "error": str(error)})
            raise

    def _report(self, say: Callable[[dict[str, Any]], None], jobs: Sequence[str]) -> None:
        say({"now": self.clock.now(), "fired": list(self.fired()), "waiting": list(jobs)})


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _next(lines: asyncio.Queue[dict[str, Any]], leaving: asyncio.Future[Any]) -> dict[str, Any] | None:
    """The next line, or None when the caller has gone or nothing is to be said for a while."""
    line = asyncio.ensure_future(lines.get())
    await asyncio.wait((line, leaving), timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
    if line.done():
        return line.result()
    line.cancel()
    return None


def _text(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="seconds")
