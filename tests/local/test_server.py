"""The port: who may speak to it, what it does not answer, and that nothing else listens."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlops_kit.local import guard
from tests.conftest import EmbeddedAws


def ask(
    aws: EmbeddedAws, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", aws.port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in (headers or {}))
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def test_health_says_who_answers(aws: EmbeddedAws) -> None:
    status, _, body = ask(aws, "GET", "/_mlops_kit/health")
    health = json.loads(body)
    assert (status, health["pid"], health["state_dir"]) == (200, aws.pid, str(aws.state_dir))
    assert health["version"] and abs(datetime.fromisoformat(health["now"]) - datetime.now(UTC)).seconds < 3600


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.com"},
        {"Host": "127.0.0.1.evil.example.com"},
        {"Host": ""},
        {"Origin": "https://evil.example.com"},
        {"Origin": "http://127.0.0.1:8888"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_web_page_is_refused_before_anything_reads_its_request(
    aws: EmbeddedAws, headers: dict[str, str]
) -> None:
    name = f"q-{uuid.uuid4().hex[:8]}"
    status, sent, _ = ask(aws, "GET", f"/?Action=CreateQueue&QueueName={name}", headers)
    assert status == 403
    assert not [header for header in sent if header.startswith("access-control-")]
    assert name not in json.dumps(aws.client("sqs").list_queues().get("QueueUrls", []))


def test_a_preflight_opens_nothing(aws: EmbeddedAws) -> None:
    status, sent, _ = ask(aws, "OPTIONS", "/", {"Access-Control-Request-Method": "POST"})
    assert not [header for header in sent if header.startswith("access-control-")]
    status, _, _ = ask(aws, "OPTIONS", "/", {"Origin": "https://evil.example.com"})
    assert status == 403


def test_answers_to_tools_carry_no_cors_headers(aws: EmbeddedAws) -> None:
    _, sent, _ = ask(aws, "GET", "/?Action=ListQueues")
    assert not [header for header in sent if header.startswith("access-control-")]


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset",
        "/_ministack/config",
        "/_ministack/health",
        "/_ministack/lambda-code/x",
        "/_ministack/sqs/messages",
        "/_localstack/health",
        "/_aws/sqs/messages",
        "/_aws/execute-api/a/b",
        "/_alb/x",
        "/health",
        "//_ministack/reset",
        "/%5Fministack/reset",
        "/_MINISTACK/reset",
        "/_mlops_kit/other",
        "/_ministack/cfn-response/0b6e3f52-6a3e-4d4b-9d0e-1f2a3b4c5d6e",  # is for PUT only
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_admin_paths_do_not_exist(aws: EmbeddedAws, method: str, path: str) -> None:
    aws.client("sqs").create_queue(QueueName="still-there")
    assert ask(aws, method, path)[0] == 404
    assert aws.client("sqs").get_queue_url(QueueName="still-there")


def test_localhost_names_work_too(aws: EmbeddedAws) -> None:
    for host in (f"localhost:{aws.port}", f"[::1]:{aws.port}", f"bucket.localhost:{aws.port}"):
        assert ask(aws, "GET", "/_mlops_kit/health", {"Host": host})[0] == 200


def test_a_body_that_says_it_is_too_large_is_not_read(aws: EmbeddedAws) -> None:
    with socket.create_connection(("127.0.0.1", aws.port)) as connection:
        lines = ["PUT /b/k HTTP/1.1", f"Host: 127.0.0.1:{aws.port}", f"Content-Length: {(1 << 30) + 1}"]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b" 413 " in connection.recv(4096)


def test_who_is_refused_before_the_body_was_read_is_told_to_leave_the_connection(aws: EmbeddedAws) -> None:
    foreign = {"Origin": "null"}
    _, kept, _ = ask(aws, "GET", "/", foreign)
    _, left, _ = ask(aws, "PUT", "/bucket/key", {**foreign, "Content-Length": "9"})  # as after Expect
    assert ("connection" in kept, left.get("connection")) == (False, "close")


def test_a_call_to_our_services_is_bounded(aws: EmbeddedAws) -> None:
    headers = {"X-Amz-Target": "AWSStepFunctions.CreateActivity"}
    assert ask(aws, "POST", "/", headers, b" " * ((32 << 20) + 1))[0] == 413


def test_our_services_and_ministacks_answer_on_one_port(aws: EmbeddedAws) -> None:
    activity = f"a-{uuid.uuid4().hex[:8]}"
    arn = aws.client("stepfunctions").create_activity(name=activity)["activityArn"]
    assert aws.client("stepfunctions").describe_activity(activityArn=arn)["name"] == activity
    assert aws.client("sts").get_caller_identity()["Account"] == "000000000000"
    bucket = f"b-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=bucket)
    aws.client("s3").put_object(Bucket=bucket, Key="large", Body=b"x" * (8 << 20))
    assert aws.client("s3").head_object(Bucket=bucket, Key="large")["ContentLength"] == 8 << 20


def test_every_answer_has_one_date(aws: EmbeddedAws) -> None:
    ours, ministacks = aws.client("stepfunctions"), aws.client("sts")
    for answer in (ours.list_state_machines(), ministacks.get_caller_identity()):
        date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        assert abs(time.time() - date.timestamp()) < 60


def test_a_service_that_nobody_serves_is_refused_with_words(aws: EmbeddedAws) -> None:
    for service, call in (("xray", "get_groups"), ("redshift-data", "list_statements")):
        with pytest.raises(ClientError, match=r"NotImplemented.*does not have the service"):
            getattr(aws.client(service), call)()


def test_a_body_without_a_length_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LARGEST_BODY", 10)
    taken: list[bytes] = []

    async def greedy(scope: Any, receive: Any, send: Any) -> None:
        while True:
            taken.append((await receive())["body"])

    async def chunks() -> dict[str, Any]:
        return {"type": "http.request", "body": b"1234", "more_body": True}

    scope = {"type": "http", "method": "PUT", "path": "/b/k", "headers": [(b"host", b"localhost")]}
    with pytest.raises(guard.BodyTooLarge):
        asyncio.run(guard.Guard(greedy, dict)(scope, chunks, chunks))
    assert taken == [b"1234", b"1234"]


def _listeners(pid: int) -> set[str]:
    """Addresses on which a process listens, as the kernel says."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listening = fields[3] == "0A" or table.startswith("udp")
            if listening and fields[9] in inodes:
                found.add(f"{table} {fields[1]}")
    return found


def test_nothing_listens_but_the_loopback_port(aws: EmbeddedAws) -> None:
    aws.client("iot").list_things()  # modules with listeners of their own are loaded
    aws.client("transfer").list_servers()
    aws.client("lambda").list_functions()
    assert _listeners(aws.pid) == {f"tcp 0100007F:{aws.port:04X}"}


def test_the_environment_of_the_caller_is_forgotten(tmp_path: Path) -> None:
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "realsecret",
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "realtoken",
        "SOME_PASSWORD": "hunter2",
    }
    argv = [sys.executable, "-m", "mlops_kit.local.server", "--port", "0", "--state-dir", str(tmp_path / "s")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        code = "import os\ndef handler(e, c):\n    return dict(os.environ)\n"
        seen = _run_function(url, code)
        text = json.dumps(seen)
        for secret in ("AKIAREAL", "realsecret", "production", "realtoken", "hunter2"):
            assert secret not in text
        assert seen["AWS_ENDPOINT_URL"] == url
    finally:
        process.terminate()
        process.wait(30)


def _run_function(url: str, code: str) -> Any:
    import io
    import zipfile

    from mlops_kit.local.clients import client

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    functions = client(url, "us-east-1", "lambda")
    functions.create_function(
        FunctionName="f",
        Runtime="python3.12",
        Handler="index.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Code={"ZipFile": buffer.getvalue()},
    )
    return json.load(functions.invoke(FunctionName="f")["Payload"])


def test_a_topic_reaches_queue_function_and_url(aws: EmbeddedAws) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    received: list[dict[str, Any]] = []
    arrived = threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            if received[-1]["Type"] == "Notification":
                arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    sns, sqs = aws.client("sns"), aws.client("sqs")
    name = f"t-{uuid.uuid4().hex[:8]}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    endpoint = f"http://127.0.0.1:{receiver.server_port}/"
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint)
    for _ in range(100):
        if received:
            break
        arrived.wait(0.05)
    sns.confirm_subscription(TopicArn=topic, Token=received[0]["Token"])
    sns.publish(TopicArn=topic, Message="hello")
    message = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"][0]
    assert message["Body"] == "hello"
    assert arrived.wait(10)
    assert received[-1]["Message"] == "hello"
    receiver.shutdown()
