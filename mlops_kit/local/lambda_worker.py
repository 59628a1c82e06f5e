"""Inside a Lambda worker: AWS's runtime client, spoken to over one socket instead of HTTP.

Run by path as ``python -s -S -P lambda_worker.py FD SITE``; must import nothing of this package, for the
function would see it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
import types
from typing import Any

_HEAD = struct.Struct(">II")


class Channel:
    """Frames over a socket: the lengths of header and body, a JSON header, and a body of bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send one frame; OSError when the other side is gone."""
        head = json.dumps(header).encode()
        self._connection.sendall(_HEAD.pack(len(head), len(body)) + head + body)

    def receive(self, deadline: float | None = None) -> tuple[dict[str, Any], bytes]:
        """The next frame.

        Raises
        ------
        EOFError
            The other side is gone.
        TimeoutError
            `deadline` (monotonic seconds) has passed.
        """
        head, body = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        return json.loads(self._exactly(head, deadline)), self._exactly(body, deadline)

    def _exactly(self, size: int, deadline: float | None) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            if deadline is not None:
                self._connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                part = self._connection.recv(min(size - len(parts), 1 << 20))
            except ConnectionError as error:
                raise EOFError from error
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)


class RuntimeApi(types.ModuleType):
    """What AWS's compiled ``runtime_client`` offers, over the channel."""

    def __init__(self, channel: Channel) -> None:
        super().__init__("runtime_client")
        self._channel = channel
        self._ready = False

    def initialize_client(self, user_agent: str) -> None:
        """Nothing to open: the channel is."""

    def next(self) -> tuple[bytes, dict[str, Any]]:
        """Wait for an invocation; end with the server."""
        if not self._ready:
            self._ready = True
            self._channel.send({"type": "ready", "memory": peak_memory()})
        try:
            header, body = self._channel.receive()
        except EOFError:
            os._exit(0)
        remaining = header.pop("remaining-ms")
        header["Lambda-Runtime-Deadline-Ms"] = int(time.time() * 1000) + remaining
        return body, header

    def post_invocation_result(
        self, invoke_id: str, data: bytes, content_type: str, _invocation_id: str | None = None
    ) -> None:
        """Answer an invocation."""
        header = {"type": "response", "content-type": content_type, "memory": peak_memory()}
        self._channel.send(header, data)

    def post_error(self, invoke_id: str, data: str, _xray: str, _invocation_id: str | None = None) -> None:
        """Answer an invocation with the function's error."""
        self._channel.send({"type": "error", "memory": peak_memory()}, data.encode())

    def init_error(self, data: str) -> None:
        """Say that the function's module cannot be loaded."""
        self._channel.send({"type": "init_error", "memory": peak_memory()}, data.encode())


def peak_memory() -> int:
    """Most resident memory of this process so far, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 10 if sys.platform == "linux" else 1 << 20)


def search_path(task: str, opt: str, site: str) -> list[str]:
    """AWS's order: the function, its layers, boto3 and the runtime client; the standard library follows."""
    layers = f"{opt}/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    return [task, layers, f"{opt}/python", site]


def main() -> None:
    """Serve invocations until the server ends."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    site = sys.argv[2]
    handler = os.environ["_HANDLER"]
    sys.argv = ["/var/runtime/bootstrap.py", handler]
    sys.path[:0] = [site]
    api = RuntimeApi(Channel(connection))
    sys.modules["runtime_client"] = api
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
    from awslambdaric.lambda_runtime_marshaller import to_json

    class Client(LambdaRuntimeClient):  # type: ignore[misc]
        def post_init_error(self, error_response_data: Any, error_type_override: str | None = None) -> None:
            api.init_error(to_json(error_response_data))

    sys.path[:1] = search_path(os.environ["LAMBDA_TASK_ROOT"], os.environ.pop("_LAYERS_ROOT"), site)
    bootstrap.run(handler, Client("channel"))


if __name__ == "__main__":
    main()
