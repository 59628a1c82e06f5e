"""Lambda functions in real workers: what they see, what they answer, and how they end."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import textwrap
import threading
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.local.lambda_files import Function, Layer
from mlops_kit.local.lambda_runtime import Invocation, LambdaRuntime, Outcome
from mlops_kit.local.processes import Runner


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, textwrap.dedent(text))
    return buffer.getvalue()


def function(code: str, **fields: Any) -> Function:
    name = fields.pop("name", "fn")
    packed = zipped({"app.py": code, **fields.pop("files", {})})
    defaults = {
        "name": name,
        "arn": f"arn:aws:lambda:eu-central-1:000000000000:function:{name}",
        "version": "$LATEST",
        "runtime": "python3.12",
        "handler": "app.handler",
        "code_sha": str(hash(packed)),
        "code": packed,
        "log_group": f"/aws/lambda/{name}",
    }
    return Function(**{**defaults, **fields})


@dataclass
class Lambda:
    runtime: LambdaRuntime
    logs: list[tuple[str, str, list[str]]] = field(default_factory=list)

    def __call__(self, function: Function, event: Any = None, **fields: Any) -> Outcome:
        invocation = Invocation(str(uuid.uuid4()), json.dumps(event).encode(), function.arn, **fields)
        return self.runtime.invoke(function, invocation)

    def value(self, function: Function, event: Any = None, **fields: Any) -> Any:
        outcome = self(function, event, **fields)
        assert not outcome.failed, outcome.payload
        return json.loads(outcome.payload)

    def error(self, function: Function, event: Any = None) -> dict[str, Any]:
        outcome = self(function, event)
        assert outcome.failed
        return dict(json.loads(outcome.payload))


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "processes")
    yield runner
    runner.shutdown(grace=0.0)


@pytest.fixture
def aws_lambda(tmp_path: Path, runner: Runner) -> Lambda:
    logs: list[tuple[str, str, list[str]]] = []

    def log(group: str, stream: str, lines: Any) -> None:
        logs.append((group, stream, list(lines)))

    runtime = LambdaRuntime(runner, tmp_path, "http://127.0.0.1:1", log)
    return Lambda(runtime, logs)


def test_a_warm_worker_keeps_what_its_module_holds(aws_lambda: Lambda) -> None:
    one = function("n = 0\ndef handler(event, context):\n    global n; n += event['by']; return {'n': n}")
    assert [aws_lambda.value(one, {"by": by}) for by in (1, 2, 3)] == [{"n": 1}, {"n": 3}, {"n": 6}]


def test_new_code_or_configuration_runs_in_a_new_worker(aws_lambda: Lambda) -> None:
    one = function("import os\ndef handler(e, c): return [os.getpid(), os.environ.get('MODE')]")
    first, mode = aws_lambda.value(one)
    assert (mode, aws_lambda.value(one)[0]) == (None, first)
    second, mode = aws_lambda.value(replace(one, environment={"MODE": "x"}))
    assert (second != first, mode) == (True, "x")
    assert not Path(f"/proc/{first}").exists()


CONTEXT = """
    def handler(event, context):
        left = context.get_remaining_time_in_millis()
        return [context.function_name, context.function_version, context.invoked_function_arn,
                context.memory_limit_in_mb, context.aws_request_id, context.log_group_name,
                context.log_stream_name, 0 < left <= 5000, context.client_context.custom]
"""


def test_the_context_is_complete(aws_lambda: Lambda) -> None:
    one = function(CONTEXT, timeout=5.0, memory=256)
    invocation = Invocation(
        "the-id", b"null", one.arn + ":live", client_context=json.dumps({"custom": {"who": "me"}})
    )
    answer = json.loads(aws_lambda.runtime.invoke(one, invocation).payload)
    stream = answer.pop(6)
    assert answer == [
        "fn",
        "$LATEST",
        one.arn + ":live",
        "256",
        "the-id",
        "/aws/lambda/fn",
        True,
        {"who": "me"},
    ]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)
    assert [(group, name) for group, name, _ in aws_lambda.logs] == [("/aws/lambda/fn", stream)]


def test_it_sees_its_zip_layers_boto3_and_nothing_else(aws_lambda: Lambda) -> None:
    code = """
        import importlib, os
        def handler(event, context):
            found = {}
            for name in event:
                try: found[name] = getattr(importlib.import_module(name), "WHO", "there")
                except ImportError: found[name] = None
            return found, os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]
    """
    lower = Layer("arn:1", zipped({"python/shared.py": "WHO = 'lower'", "python/low.py": "WHO = 'low'"}))
    upper = Layer("arn:2", zipped({"python/shared.py": "WHO = 'upper'"}))
    one = function(code, files={"helper.py": "WHO = 'zip'"}, layers=(lower, upper), memory=512, timeout=30.0)
    names = ["helper", "shared", "low", "boto3", "numpy", "pandas", "mlops_kit", "ministack", "pip", "click"]
    found, in_task_root = aws_lambda.value(one, names)
    assert found == dict.fromkeys(names) | {
        "helper": "zip",
        "shared": "upper",
        "low": "low",
        "boto3": "there",
    }
    assert in_task_root


VARIABLES = """
    _HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE
    AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    AWS_SESSION_TOKEN LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR LANG PATH LD_LIBRARY_PATH TZ
    AWS_XRAY_CONTEXT_MISSING AWS_ENDPOINT_URL
    HOME TMPDIR AWS_EC2_METADATA_DISABLED AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE
"""


def test_its_environment_is_awss_its_own_and_the_port(
    aws_lambda: Lambda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    code = "import os, tempfile\ndef handler(e, c): return [dict(os.environ), tempfile.gettempdir()]"
    one = function(code, environment={"MODEL": "demand", "AWS_REGION": "mars-1"})
    seen, temporary = aws_lambda.value(one, trace="Root=1-2-3")
    assert set(seen) == {"MODEL", *VARIABLES.split()}
    assert (seen["MODEL"], seen["AWS_REGION"], seen["_X_AMZN_TRACE_ID"]) == (
        "demand",
        "eu-central-1",
        "Root=1-2-3",
    )
    assert temporary.startswith(str(tmp_path / "workers"))


def test_an_exception_is_told_by_its_class_with_a_stack_trace(aws_lambda: Lambda) -> None:
    one = function("class Odd(ValueError): pass\ndef handler(e, c):\n    raise Odd('boom ü')")
    error = aws_lambda.error(one)
    assert {key: error[key] for key in ("errorMessage", "errorType")} == {
        "errorMessage": "boom ü",
        "errorType": "Odd",
    }
    trace = "  File \"/var/task/app.py\", line 3, in handler\n    raise Odd('boom ü')\n"
    assert error["stackTrace"] == [trace]
    assert error["requestId"] in aws_lambda.logs[0][2][0]


@pytest.mark.parametrize(
    ("code", "handler", "type", "words"),
    [
        (
            "import no_such_thing",
            "app.handler",
            "Runtime.ImportModuleError",
            "No module named 'no_such_thing'",
        ),
        ("x = 1", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("x = 1", "missing.handler", "Runtime.ImportModuleError", "Unable to import module 'missing'"),
        ("x = 1", "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("raise KeyError('at import')", "app.handler", "KeyError", "'at import'"),
        (
            "def handler(e, c): return {1, 2}",
            "app.handler",
            "Runtime.MarshalError",
            "Unable to marshal response",
        ),
        ("import sys; sys.exit(3)", "app.handler", "Runtime.ExitError", "exit status 3"),
        ("import os\ndef handler(e, c): os._exit(4)", "app.handler", "Runtime.ExitError", "exit status 4"),
        (
            "import os\ndef handler(e, c): os._exit(0)",
            "app.handler",
            "Runtime.ExitError",
            "without providing a reason",
        ),
        (
            "import os\ndef handler(e, c): os.kill(os.getpid(), 9)",
            "app.handler",
            "Runtime.ExitError",
            "signal: killed",
        ),
        ("import sys\ndef handler(e, c): sys.exit(5)", "app.handler", "Runtime.ExitError", "exit status 5"),
        (
            "def handler(e, c): return 'x' * (7 << 20)",
            "app.handler",
            "Function.ResponseSizeTooLarge",
            "exceeded maximum allowed payload size (6291556 bytes).",
        ),
    ],
)
def test_every_failure_has_awss_name(
    aws_lambda: Lambda, code: str, handler: str, type: str, words: str
) -> None:
    error = aws_lambda.error(function(code, handler=handler))
    assert error["errorType"] == type
    assert words in error["errorMessage"]
    assert aws_lambda.error(function(code, handler=handler))["errorType"] == type


def test_a_function_that_takes_too_long_is_ended(aws_lambda: Lambda) -> None:
    code = """
        import os, time
        def handler(event, context):
            if event: print("slow"); time.sleep(60)
            return os.getpid()
    """
    one = function(code, timeout=0.5)
    pid = aws_lambda.value(one)
    outcome = aws_lambda(one, True)
    error = json.loads(outcome.payload)
    request_id = re.match(r"START RequestId: (\S+)", outcome.log).group(1)  # type: ignore[union-attr]
    assert outcome.failed
    assert error == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 0.50 seconds",
    }
    assert "slow\n" in outcome.log
    assert "Status: timeout" in outcome.log
    assert aws_lambda.value(one) != pid


def test_output_is_logged_between_start_end_and_report(aws_lambda: Lambda) -> None:
    code = """
        import logging, sys
        print("loaded")
        logging.getLogger().setLevel("INFO")
        def handler(event, context):
            print("one\\ntwo"); logging.info("three"); print("four", file=sys.stderr)
    """
    one = function(code)
    outcome = aws_lambda(one)
    _, stream, lines = aws_lambda.logs[0]
    assert outcome.log == "".join(f"{line}\n" for line in lines)
    assert [line.partition(" RequestId")[0] for line in lines[:4]] == ["loaded", "START", "one", "two"]
    assert re.fullmatch(r"\[INFO\]\t\S+Z\t[0-9a-f-]{36}\tthree", lines[4])
    assert lines[5] == "four"
    assert lines[6].startswith("END RequestId: ")
    assert re.fullmatch(
        r"REPORT RequestId: [0-9a-f-]{36}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB"
        r"\tMax Memory Used: [1-9]\d* MB\tInit Duration: [\d.]+ ms",
        lines[7],
    )
    aws_lambda(one)
    assert aws_lambda.logs[1][1] == stream
    assert "Init Duration" not in aws_lambda.logs[1][2][-1]


def test_a_traceback_is_one_event(aws_lambda: Lambda) -> None:
    aws_lambda(function("def handler(e, c):\n    raise ValueError('x')"))
    events = [line for line in aws_lambda.logs[0][2] if "ValueError" in line]
    assert len(events) == 1
    assert events[0].startswith("[ERROR] ValueError: x\nTraceback (most recent call last):\n")


def test_much_output_does_not_fill_the_disk_and_none_is_lost(aws_lambda: Lambda, tmp_path: Path) -> None:
    one = function("def handler(e, c): print('x' * 400_000)", timeout=30.0)
    for _ in range(8):
        aws_lambda(one)
    assert [sum(len(line) for line in lines if line.startswith("x")) for _, _, lines in aws_lambda.logs] == [
        400_000
    ] * 8
    assert sum(file.stat().st_size for file in (tmp_path / "processes").glob("*/stdout")) < 2_000_000


def test_calls_at_once_run_beside_each_other(aws_lambda: Lambda) -> None:
    """Each waits for all the others: in one worker they would never meet."""
    code = """
        import os, time
        from pathlib import Path
        def handler(folder, context):
            Path(folder, str(os.getpid())).touch()
            while len(list(Path(folder).iterdir())) < 3: time.sleep(0.01)
            return os.getpid()
    """
    one = function(code, timeout=30.0)
    meeting = Path(aws_lambda.runtime._root / "meeting")
    meeting.mkdir()
    with ThreadPoolExecutor(3) as threads:
        pids = list(threads.map(lambda _: aws_lambda.value(one, str(meeting)), range(3)))
    assert len(set(pids)) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not bound memory")
def test_memory_is_bounded(aws_lambda: Lambda) -> None:
    code = """
        import time
        def handler(event, context):
            held = b"x" * (200 << 20)
            time.sleep(1)
            return len(held)
    """
    one = function(code, timeout=30.0)
    error = aws_lambda.error(one)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Runtime exited with error: signal: killed")
    assert aws_lambda.value(replace(one, memory=512)) == 200 << 20


def test_a_worker_that_died_while_idle_is_replaced(aws_lambda: Lambda) -> None:
    code = """
        import os, threading
        def handler(event, context):
            threading.Timer(0.05, os._exit, [1]).start()
            return os.getpid()
    """
    one = function(code)
    first = aws_lambda.value(one)
    deadline = threading.Event()
    while Path(f"/proc/{first}").exists():
        deadline.wait(0.02)
    assert aws_lambda.value(one) != first


def test_a_zip_cannot_write_outside_of_its_folder(aws_lambda: Lambda, tmp_path: Path) -> None:
    one = function(
        "def handler(e, c): return 1", files={"../../../escaped.py": "x", "/tmp/escaped-too.py": "x"}
    )
    assert aws_lambda.value(one) == 1
    assert not [path for path in tmp_path.rglob("escaped*.py") if "task" not in path.parts]
    assert not Path("/tmp/escaped-too.py").exists()


def test_stop_leaves_no_worker(aws_lambda: Lambda, runner: Runner) -> None:
    pid = aws_lambda.value(function("import os\ndef handler(e, c): return os.getpid()"))
    os.kill(pid, 0)
    aws_lambda.runtime.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert runner.running() == []
