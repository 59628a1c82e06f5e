"""The door to AWS fails in words, and never opens a real account by accident."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.deploy.aws import session
from mlops_kit.errors import NotReachable
from mlops_kit.settings import Settings


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


class Answering(http.server.BaseHTTPRequestHandler):
    """Gives each request the server's one answer and keeps its signature."""

    def do_POST(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.server.seen.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Any]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    made.seen = []  # type: ignore[attr-defined]
    made.url = f"http://127.0.0.1:{made.server_port}"  # type: ignore[attr-defined]
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def error(code: str, message: str) -> bytes:
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    return f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>".encode()


def test_no_server_at_the_endpoint_names_the_command_that_starts_one(clean: Any) -> None:
    where = session(Settings(endpoint_url="http://127.0.0.1:9"))
    with pytest.raises(NotReachable, match=r"No embedded AWS answers at .*:9\.\n.*mlops-kit local start"):
        _ = where.account


def test_missing_credentials_are_said_so(clean: Any) -> None:
    with pytest.raises(NotReachable, match=r"No AWS credentials were found(.|\n)*--target local"):
        _ = session(Settings(target="aws")).account


def test_an_unknown_profile_is_named(clean: Any) -> None:
    with pytest.raises(NotReachable, match="no profile 'nobody'"):
        _ = session(Settings(target="aws", profile="nobody")).account


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", r"expired or are not valid(.|\n)*aws sso login"),
        ("InvalidClientTokenId", r"expired or are not valid"),
        ("AccessDenied", r"AWS does not allow GetCallerIdentity\.\nCause: not for you"),
    ],
)
def test_refused_credentials_are_told_in_words(clean: Any, server: Any, code: str, words: str) -> None:
    clean.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    clean.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server.answer = (403, error(code, "not for you"))
    with pytest.raises(NotReachable, match=words):
        _ = session(Settings(target="aws", endpoint_url=server.url)).account
    assert "AKIAREAL" in server.seen[0], "the credential chain is AWS's own"


def test_something_else_at_the_endpoint_is_not_taken_for_aws(clean: Any, server: Any) -> None:
    server.answer = (200, b"<html><body>Hello</body>")
    with pytest.raises(NotReachable, match="does not speak AWS's protocols"):
        _ = session(Settings(endpoint_url=server.url)).account


def test_the_local_target_never_sends_a_real_key(clean: Any, server: Any, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=AKIAREAL\naws_secret_access_key=secret\n"
    )
    (tmp_path / "config").write_text("[default]\nendpoint_url=https://example.com\n")
    clean.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    clean.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    clean.setenv("AWS_PROFILE", "no-such-profile")
    clean.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answer = (403, error("Anything", ""))
    with pytest.raises(Exception, match="Anything"):
        _ = session(Settings(endpoint_url=server.url)).account
    assert server.seen and "AKIAREAL" not in server.seen[0]


def test_a_session_reads_well_and_gives_each_client_once(aws: Any) -> None:
    where = session(Settings(endpoint_url=aws.url))
    assert repr(where) == f"Session on embedded AWS at {aws.url}, project mlops-kit"
    assert where.client("sts") is where.client("sts") and len(where.account) == 12
