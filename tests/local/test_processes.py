"""The runner of child processes: real processes, real signals, and a server that is really killed."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.local.processes import Ended, ProcessSpec, Runner


class Watch:
    """Collects what the runner tells."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.ends: list[Ended] = []
        self._event = threading.Event()

    def on_end(self, ended: Ended) -> None:
        self.ends.append(ended)
        self._event.set()

    def end(self) -> Ended:
        assert self._event.wait(30), "the end was never told"
        return self.ends[0]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "processes")
    yield runner
    runner.shutdown(grace=0.0)


def spec(tmp_path: Path, code: str, id: str = "job", **fields: Any) -> ProcessSpec:
    env = Runner.base_environment(tmp_path / "cwd", "http://127.0.0.1:1", "eu-central-1")
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    return ProcessSpec(id=id, argv=argv, cwd=tmp_path / "cwd", env=env, **fields)


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("never happened")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_lines_come_once_in_order_and_before_the_end(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    seen_at_end: list[int] = []
    code = """
        import sys, time
        for n in range(300):
            print(n)
            print("e", n, file=sys.stderr)
            if n % 100 == 0: time.sleep(0.2)
        sys.stdout.write("no newline")
        sys.exit(3)
    """

    def on_end(ended: Ended) -> None:
        seen_at_end.append(len(watch.lines))
        watch.on_end(ended)

    runner.start(spec(tmp_path, code, on_output=watch.lines.extend), on_end)
    ended = watch.end()
    assert (ended.exit_code, ended.signal, ended.timed_out, ended.lost) == (3, None, False, False)
    assert watch.lines == [line for n in range(300) for line in (str(n), f"e {n}")] + ["no newline"]
    assert seen_at_end == [601]
    assert runner.running() == []


def test_standard_error_can_be_followed_apart(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    code = "import sys; print('out'); print('err', file=sys.stderr)"
    sinks = {"on_output": watch.lines.extend, "on_error": watch.errors.extend}
    runner.start(spec(tmp_path, code, **sinks), watch.on_end)
    watch.end()
    assert (watch.lines, watch.errors) == (["out"], ["err"])


def test_a_sink_that_fails_does_not_stop_the_runner(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()

    def broken(lines: list[str]) -> None:
        raise RuntimeError("broken")

    runner.start(spec(tmp_path, "print(1)", on_output=broken), watch.on_end)
    assert watch.end().exit_code == 0


def test_the_environment_is_complete_and_nothing_is_inherited(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    watch = Watch()
    code = "import os, tempfile; print(sorted(os.environ)); print(os.getcwd()); print(tempfile.gettempdir())"
    one = spec(tmp_path, code, on_output=watch.lines.extend)
    runner.start(one, watch.on_end)
    watch.end()
    # LC_CTYPE is what Python itself adds to its own environment in some locales
    assert set(eval(watch.lines[0])) - {"LC_CTYPE"} == set(one.env)
    assert watch.lines[1:] == [str(tmp_path / "cwd"), str(tmp_path / "cwd" / "tmp")]


def test_a_program_that_is_missing_is_a_failed_process(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    one = ProcessSpec("job", ["/no/such/program"], tmp_path, {}, on_output=watch.lines.extend)
    runner.start(one, watch.on_end)
    assert watch.end().exit_code == 127
    assert "/no/such/program" in watch.lines[0]


def test_ids_that_cannot_be_folders_or_are_taken_are_refused(runner: Runner, tmp_path: Path) -> None:
    for bad in ("", "..", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="cannot name"):
            runner.start(spec(tmp_path, "pass", id=bad), lambda _: None)
    with pytest.raises(ValueError, match="NUL"):
        runner.start(spec(tmp_path, "a\0b"), lambda _: None)
    runner.start(spec(tmp_path, "import time; time.sleep(60)"), lambda _: None)
    with pytest.raises(ValueError, match="exists already"):
        runner.start(spec(tmp_path, "pass"), lambda _: None)


STUBBORN = """
    import signal, subprocess, sys, time, os
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    one = subprocess.Popen([sys.executable, "-c", code])
    two = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    time.sleep(0.3)
    print(os.getpid(), one.pid, two.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("how", ["stop", "time limit", "crash"])
def test_nothing_of_the_process_is_left(runner: Runner, tmp_path: Path, how: str) -> None:
    """A child that ignores SIGTERM, its child, and one in a session of its own all end."""
    watch = Watch()
    limit = 1.0 if how == "time limit" else None
    runner.start(spec(tmp_path, STUBBORN, time_limit=limit, on_output=watch.lines.extend), watch.on_end)
    eventually(lambda: watch.lines)
    pids = [int(pid) for pid in watch.lines[0].split()]
    if how == "stop":
        runner.stop("job", grace=0.1)
    if how == "crash":
        os.kill(pids[0], signal.SIGSEGV)
    ended = watch.end()
    assert ended.signal == (signal.SIGSEGV if how == "crash" else signal.SIGKILL)
    assert ended.timed_out == (how == "time limit")
    if sys.platform == "linux":
        assert all(gone(pid) for pid in pids)


def test_a_gentle_process_may_finish_within_the_grace(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    code = """
        import signal, sys, time
        def end(*_):
            print("saved"); sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(60)
    """
    runner.start(spec(tmp_path, code, on_output=watch.lines.extend), watch.on_end)
    eventually(lambda: watch.lines)
    runner.stop("job", grace=30)
    assert (watch.end().exit_code, watch.lines) == (0, ["ready", "saved"])


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not bound memory")
@pytest.mark.parametrize("held_by", ["itself", "its child"])
def test_a_process_that_holds_too_much_memory_is_killed(runner: Runner, tmp_path: Path, held_by: str) -> None:
    watch = Watch()
    fork = "import os, time; pid = os.fork()\nif pid: time.sleep(60)\n" if held_by == "its child" else ""
    code = fork + "import time; held = b'x' * (200 << 20); time.sleep(60)"
    runner.start(spec(tmp_path, code, memory_limit=128 << 20), watch.on_end)
    ended = watch.end()
    assert (ended.out_of_memory, ended.signal) == (True, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not bound memory")
def test_memory_that_is_only_reserved_or_shared_does_not_count(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    code = """
        import mmap, os, time
        reserved = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        held = b"x" * (80 << 20)
        children = [os.fork() for _ in range(1)]
        time.sleep(1)
    """
    runner.start(spec(tmp_path, code, memory_limit=128 << 20), watch.on_end)
    assert watch.end().exit_code == 0


def test_a_dead_supervisor_is_a_lost_process_and_its_child_is_killed(runner: Runner, tmp_path: Path) -> None:
    watch = Watch()
    code = "import os, time; print(os.getppid(), os.getpid(), flush=True); time.sleep(60)"
    runner.start(spec(tmp_path, code, on_output=watch.lines.extend), watch.on_end)
    eventually(lambda: watch.lines)
    parent, child = (int(pid) for pid in watch.lines[0].split())
    os.kill(parent, signal.SIGKILL)
    assert watch.end().lost
    eventually(lambda: gone(child))


CHILD = """
import os, time
from pathlib import Path
print(os.getpid()); print("before")
while not Path("go").exists(): time.sleep(0.02)
print("after"); raise SystemExit(5)
"""
SERVER = """
import sys, time
from pathlib import Path
from mlops_kit.local.processes import ProcessSpec, Runner
root, argv = Path(sys.argv[1]), [sys.executable, "-c", sys.argv[3]]
runner = Runner(root / "processes")
env = Runner.base_environment(root / "cwd", "http://127.0.0.1:1", "eu-central-1")
def show(lines): print(*lines, sep="\\n", flush=True)
runner.start(ProcessSpec("job", argv, root / "cwd", env, on_output=show,
                         outlives_server=sys.argv[2] == "outlives"), lambda _: None)
time.sleep(60)
"""


def killed_server(tmp_path: Path, mode: str) -> int:
    """Start a server with one process, wait for its first lines, kill -9 the server; the process's pid."""
    argv = [sys.executable, "-c", SERVER, str(tmp_path), mode, CHILD]
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    pid = int(server.stdout.readline())
    assert server.stdout.readline() == "before\n"
    eventually((tmp_path / "processes/job/stdout.offset").exists)
    server.kill()
    server.wait()
    server.stdout.close()
    return pid


def test_after_kill_9_a_living_process_is_found_again(runner: Runner, tmp_path: Path) -> None:
    killed_server(tmp_path, "outlives")
    watch = Watch()
    assert runner.recover("job", watch.on_end, watch.lines.extend)
    assert runner.running() == ["job"]
    (tmp_path / "cwd" / "go").touch()
    assert (watch.end().exit_code, watch.lines) == (5, ["after"])
    eventually(lambda: not (tmp_path / "processes" / "job").exists())
    assert not runner.recover("job", watch.on_end)


def test_after_kill_9_the_end_that_came_meanwhile_is_told(runner: Runner, tmp_path: Path) -> None:
    killed_server(tmp_path, "outlives")
    (tmp_path / "cwd" / "go").touch()
    eventually((tmp_path / "processes/job/end.json").exists)
    watch = Watch()
    assert runner.recover("job", watch.on_end, watch.lines.extend)
    assert (watch.end().exit_code, watch.lines) == (5, ["after"])


def test_after_kill_9_a_process_that_may_not_outlive_the_server_ends(tmp_path: Path) -> None:
    pid = killed_server(tmp_path, "with the server")
    eventually(lambda: gone(pid))


def test_a_recycled_pid_is_not_taken_for_ours(runner: Runner, tmp_path: Path) -> None:
    """The record names the pid of a living process that somebody else started."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    folder = tmp_path / "processes" / "job"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    record = f'{{"pid": {stranger.pid}, "child": {stranger.pid}, "child_started": "1"}}'
    (folder / "process.json").write_text(record)
    try:
        assert not runner.recover("job", lambda _: None)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_nobody_recovers_is_ended(runner: Runner, tmp_path: Path) -> None:
    pid = killed_server(tmp_path, "outlives")
    runner.end_unclaimed()
    eventually(lambda: gone(pid) and not list((tmp_path / "processes").iterdir()))


@pytest.mark.parametrize("written", [True, False])
def test_a_supervisor_that_ends_while_we_look_stops_no_start(
    runner: Runner, tmp_path: Path, written: bool
) -> None:
    folder = tmp_path / "processes" / "job"
    folder.mkdir(parents=True)
    if written:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        record = f'{{"pid": {gone.pid}, "child": {gone.pid}, "child_started": "1"}}'
        (folder / "process.json").write_text(record)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as it does until its very end
        runner.end_unclaimed()


def test_shutdown_leaves_no_process_and_the_end_is_told_after_the_next_start(tmp_path: Path) -> None:
    first, watch = Runner(tmp_path / "processes"), Watch()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    first.start(spec(tmp_path, code, on_output=watch.lines.extend), watch.on_end)
    eventually(lambda: watch.lines)
    first.shutdown()
    assert gone(int(watch.lines[0]))
    assert watch.ends == []
    second = Runner(tmp_path / "processes")
    assert second.recover("job", watch.on_end)
    assert watch.end().lost
    second.shutdown()


def test_an_end_that_could_not_be_told_is_told_after_the_next_start(tmp_path: Path) -> None:
    first, told = Runner(tmp_path / "processes"), threading.Event()

    def fails(ended: Ended) -> None:
        told.set()
        raise RuntimeError("the disk is full")

    first.start(spec(tmp_path, "pass"), fails)
    assert told.wait(30)
    first.shutdown()
    watch = Watch()
    second = Runner(tmp_path / "processes")
    assert second.recover("job", watch.on_end)
    assert watch.end().exit_code == 0
    second.shutdown()


def test_a_handed_channel_closes_with_the_process(runner: Runner, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    code = f"import socket; socket.socket(fileno={theirs.fileno()}).sendall(b'hello')"
    watch = Watch()
    runner.start(spec(tmp_path, code, handles=(theirs.fileno(),)), watch.on_end)
    theirs.close()
    ours.settimeout(30)
    assert [ours.recv(5), ours.recv(5)] == [b"hello", b""]
    assert watch.end().exit_code == 0
    ours.close()
