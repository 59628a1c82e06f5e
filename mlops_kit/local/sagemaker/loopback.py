"""HTTP/1.1 to a serving process over kept connections, on the server's loop; must not know what is said."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

_IDLE = 16  # connections kept for one port
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    content_type: str
    body: bytes


class Loopback:
    """Connections to ports of this machine; for one event loop."""

    def __init__(self) -> None:
        self._idle: defaultdict[int, list[_Connection]] = defaultdict(list)

    async def post(self, port: int, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request, once; a kept connection that the other side has closed meanwhile is not used.

        Raises
        ------
        ConnectionError
            Nobody listens, or the other side went away before it had answered.
        """
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
        while self._idle[port]:
            connection = self._idle[port].pop()
            if not connection[0].at_eof():
                return await self._exchange(port, connection, message)
            connection[1].close()
        return await self._exchange(port, await asyncio.open_connection("127.0.0.1", port), message)

    async def _exchange(self, port: int, connection: _Connection, message: bytes) -> Reply:
        reader, writer = connection
        whole = False
        try:
            writer.write(message)
            await writer.drain()
            reply = await _read(reader)
            whole = True
            return reply
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the connection was closed before the answer") from error
        finally:
            if whole and len(self._idle[port]) < _IDLE:
                self._idle[port].append(connection)
            else:
                writer.close()


async def _read(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(first.split(" ", 2)[1]), headers.get("content-type", ""), body)
