"""Starting, finding and stopping an embedded AWS, and what is said when that does not work."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from mlops_kit.errors import KitError, UsageError
from mlops_kit.local import control
from mlops_kit.local.clients import client


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    control.stop(tmp_path / "state")


def test_start_status_stop(folder: Path) -> None:
    assert not control.status(folder).running
    started = control.start(folder, port=0)
    assert started.running and started.url and started.pid
    assert control.status(folder).pid == started.pid
    again = control.start(folder, port=4999, at="2012-07-01")  # it serves already: nothing is started
    assert (again.pid, again.url, again.found) == (started.pid, started.url, True) and not started.found
    for wrong in ({"port": -1}, {"at": "garbage"}):
        with pytest.raises(UsageError, match="is no"):
            control.start(folder, **wrong)
    assert control.stop(folder)
    assert not Path(f"/proc/{started.pid}").exists()
    assert not control.status(folder).running
    assert not control.stop(folder)


def test_it_stays_when_its_starter_goes_and_stops_without_a_trace(folder: Path) -> None:
    started = control.start(folder, port=0)
    assert os.getsid(started.pid) == started.pid
    client(started.url, "us-east-1", "sqs").create_queue(QueueName="q")
    control.stop(folder)
    session = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/stat")
        if path.exists() and _session(path) == started.pid
    ]
    assert session == []


def _session(path: Path) -> int:
    try:
        return int(path.read_text().rpartition(")")[2].split()[3])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def test_a_second_start_says_who_holds_the_folder(folder: Path) -> None:
    from mlops_kit.local.state_folder import StateFolder

    started = control.start(folder, port=0)
    with pytest.raises(KitError) as caught, StateFolder(folder).owned():
        pass
    assert str(started.pid) in str(caught.value) and str(started.url) in str(caught.value)


def test_a_taken_port_says_what_answers_there(folder: Path, tmp_path: Path) -> None:
    started = control.start(folder, port=0)
    port = int(str(started.url).rpartition(":")[2])
    with pytest.raises(KitError, match=f"the embedded AWS of {folder.resolve()}"):
        control.start(tmp_path / "other", port=port)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(KitError, match="another program"):
        control.start(tmp_path / "other", port=silent.getsockname()[1])
    assert not control.status(tmp_path / "other").running


def test_bad_options_get_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no port"):
        control.start(tmp_path / "s", port=99999)
    for wrong in ("yesterday", ""):
        with pytest.raises(UsageError, match=f"'{wrong}' is no time"):
            control.start(tmp_path / "s", port=0, at=wrong)
    with pytest.raises(UsageError, match="no further than the year 2199"):
        control.start(tmp_path / "s", port=0, at="2200-01-01")
    assert not (tmp_path / "s").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(KitError, match="cannot be made"):
        control.start(tmp_path / "file" / "s", port=0)


def test_a_state_of_a_newer_version_is_refused(folder: Path) -> None:
    control.start(folder, port=0)
    control.stop(folder)
    (folder / "version.json").write_text(json.dumps({"layout": 99}))
    with pytest.raises(KitError, match="newer mlops_kit"):
        control.start(folder, port=0)


def test_a_state_that_cannot_be_read_is_refused_and_kept(folder: Path) -> None:
    url = str(control.start(folder, port=0).url)
    client(url, "us-east-1", "sqs").create_queue(QueueName="q")
    control.stop(folder)
    broken = folder / "ministack" / "sqs.json"
    broken.write_text("{")
    with pytest.raises(KitError, match=r"sqs\.json cannot be read"):
        control.start(folder, port=0)
    assert broken.read_text() == "{"


def test_the_clock_goes_on_over_a_restart(folder: Path) -> None:
    def now() -> datetime:
        return datetime.fromisoformat(str(control.status(folder).now))

    control.start(folder, port=0, at="2011-07-01")
    first = now()
    assert (first.year, first.month, first.day) == (2011, 7, 1)
    control.stop(folder)
    control.start(folder, port=0)
    assert 0 < (now() - first).total_seconds() < 300
    control.stop(folder)
    control.start(folder, port=0, at="2011-06-01")  # never back behind what the state has seen
    assert now().month == 7
    control.stop(folder)
    control.start(folder, port=0, at="2011-09-01T12:00:00Z")
    assert (now().month, now().hour) == (9, 12)


def test_calls_that_wait_do_not_keep_it(folder: Path) -> None:
    started = control.start(folder, port=0)
    states = client(str(started.url), "us-east-1", "stepfunctions")
    sqs = client(str(started.url), "us-east-1", "sqs")
    functions = client(str(started.url), "us-east-1", "lambda")
    arn = states.create_activity(name="a")["activityArn"]
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("i.py", "import time\ndef h(e, c):\n    time.sleep(600)\n")
    role = "arn:aws:iam::000000000000:role/any"
    functions.create_function(
        FunctionName="f",
        Runtime="python3.12",
        Handler="i.h",
        Role=role,
        Timeout=900,
        Code={"ZipFile": code.getvalue()},
    )
    waiting: list[Callable[[], object]] = [
        lambda: states.get_activity_task(activityArn=arn),
        lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20),
        lambda: functions.invoke(FunctionName="f"),
    ]
    threads = [threading.Thread(target=_ignoring, args=(call,)) for call in waiting]
    for thread in threads:
        thread.start()
    time.sleep(1)
    assert control.stop(folder)
    assert not Path(f"/proc/{started.pid}").exists()
    for thread in threads:
        thread.join()


def _ignoring(call: Callable[[], object]) -> None:
    with contextlib.suppress(BotoCoreError, ClientError):
        call()


def test_interrupting_it_stops_it_cleanly(folder: Path) -> None:
    started = control.start(folder, port=0)
    client(str(started.url), "us-east-1", "sqs").create_queue(QueueName="q")
    os.kill(started.pid or 0, signal.SIGINT)
    for _ in range(600):
        if not control.status(folder).running:
            break
        time.sleep(0.05)
    assert "q" in (folder / "ministack" / "sqs.json").read_text()
    assert "Traceback" not in started.log.read_text()
