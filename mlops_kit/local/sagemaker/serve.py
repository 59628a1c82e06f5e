"""One model behind /ping and /invocations on a loopback port; a process of its own, started by the variant.

Run as ``python -m mlops_kit.local.sagemaker.serve PROGRAM CODE MODEL_DIR ADDRESS_FILE``. It loads the model,
takes a free port, and writes port and secret into the address file. Must not import anything of the server.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, NoReturn

from mlops_kit.local.sagemaker.handler import Answer, Handler, load_or_exit

SECRET = "X-Mlops-Kit-Secret"  # noqa: S105 - the name of a header
_LINGER = 0.05  # seconds
_LARGEST = 8 << 20  # InvokeEndpoint takes at most 6 MiB


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: Handler, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.handler = handler
        self.secret = secret
        self.busy = 0
        self._count = threading.Lock()

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> Answer:
        """Answer one request, counted while it runs."""
        with self._count:
            self.busy += 1
        try:
            return self.handler.invoke(body, content_type, accept)
        finally:
            with self._count:
                self.busy -= 1

    def drain(self) -> NoReturn:
        """End the process when nothing is being answered any more."""
        while self.busy:
            time.sleep(_LINGER)
        time.sleep(_LINGER)  # the last answer is still being written
        os._exit(0)

    def server_bind(self) -> None:
        """Bind without asking a name server who 127.0.0.1 is."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_GET(self) -> None:
        self._send(Answer(200 if self.path == "/ping" else 404, b"", "text/plain"))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > _LARGEST:
            self.close_connection = True
            self._send(Answer(413, b"The body is too large.", "text/plain"))
            return
        body = self.rfile.read(length)
        if self.path != "/invocations":
            self._send(Answer(404, b"", "text/plain"))
        elif not hmac.compare_digest(self.headers.get(SECRET, ""), self.server.secret):
            self._send(Answer(403, b"Call this model through InvokeEndpoint.", "text/plain"))
        else:
            headers = self.headers
            self._send(self.server.invoke(body, headers.get("Content-Type"), headers.get("Accept")))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the log is the user's."""

    def _send(self, answer: Answer) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {'OK' if answer.status < 400 else 'Error'}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        )
        self.wfile.write(head.encode("latin-1", "replace") + answer.body)


def main(program: str, code: str, model_dir: str, address: str) -> None:
    """Serve until SIGTERM; what is being answered then is answered."""
    server = _Server(load_or_exit(program, code, model_dir), secrets.token_hex(16))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.drain).start())
    part = Path(f"{address}.part")
    part.touch(0o600)
    part.write_text(json.dumps({"port": server.server_port, "secret": server.secret, "pid": os.getpid()}))
    part.replace(address)
    server.serve_forever(poll_interval=3600)


if __name__ == "__main__":
    main(*sys.argv[1:5])
