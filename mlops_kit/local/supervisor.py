"""Supervise one child process: limits, time limit, stop, and a record of its end that outlives the server.

Run by path as ``python -I -S supervisor.py FOLDER LOCK_FD LIFELINE_FD [HANDLE_FD]...``; must import only what
starts in a few milliseconds, and nothing of this package.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping, Sequence
    from typing import NoReturn
else:
    import _signal  # the signal module costs 4 ms for enums that nobody reads here

SPEC, PROCESS, STOP, END = "spec", "process.json", "stop", "end.json"
STDOUT, STDERR = "stdout", "stderr"
TIME_LIMIT_GRACE = 5.0  # seconds between SIGTERM and SIGKILL when the time limit is reached
CANNOT_START = 127
RESERVE = 4 << 30  # bytes that may be reserved beyond the memory limit: allocators map more than they use


class Spec:
    """What to run, as fields joined by NUL: limits, working folder, argv, environment."""

    def __init__(
        self, limits: tuple[float, int, bool], cwd: str, argv: Sequence[str], env: Mapping[str, str]
    ) -> None:
        self.time_limit, self.memory_limit, self.split = limits
        self.cwd, self.argv, self.env = cwd, list(argv), dict(env)

    def dump(self) -> bytes:
        """Bytes of the file; raises ValueError when a text holds a NUL, which no process may receive."""
        head = [
            str(self.time_limit),
            str(self.memory_limit),
            str(int(self.split)),
            self.cwd,
            str(len(self.argv)),
        ]
        parts = head + self.argv + [f"{name}={value}" for name, value in self.env.items()]
        if any("\0" in part for part in parts):
            raise ValueError("An argument or an environment variable holds a NUL character.")
        return "\0".join(parts).encode("utf-8", "surrogateescape")

    @classmethod
    def load(cls, data: bytes) -> Spec:
        """The inverse of `dump`."""
        parts = data.decode("utf-8", "surrogateescape").split("\0")
        count = int(parts[4])
        env = dict(pair.split("=", 1) for pair in parts[5 + count :])
        limits = float(parts[0]), int(parts[1]), parts[2] == "1"
        return cls(limits, parts[3], parts[5 : 5 + count], env)


def start_time(pid: int) -> str:
    """When a process began, as its system words it, so that a recycled pid is told apart; empty when gone."""
    if os.path.exists("/proc/self/stat"):  # noqa: PTH110
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs 10 ms
                return file.read().rpartition(b")")[2].split()[19].decode()
        except OSError:
            return ""
    import subprocess

    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, check=False)
    return answer.stdout.decode().strip()


def write_file(path: str, data: bytes) -> None:
    """Replace a file atomically and durably."""
    part = f"{path}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(part, path)  # noqa: PTH105


def signal_group(group: int, number: int) -> None:
    """Signal a process group; one that is gone already is no error."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says PermissionError of a group of zombies
        return


def run_child(spec: Spec, folder: str) -> NoReturn:
    """Become the child; never returns."""
    try:
        os.setsid()
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGCHLD, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_DFL)
        redirect(spec, folder)
        set_limits(spec.memory_limit)
        os.chdir(spec.cwd)
        os.execvpe(spec.argv[0], spec.argv, spec.env)  # noqa: S606 - an argument list, no shell
    except BaseException as error:
        os.write(2, f"Cannot start {spec.argv[0]}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(CANNOT_START)


def redirect(spec: Spec, folder: str) -> None:
    """Nothing to read; output to files in the folder, stderr apart only where that was asked for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(f"{folder}/{STDOUT}", flags, 0o600), 1)
    os.dup2(os.open(f"{folder}/{STDERR}", flags, 0o600) if spec.split else 1, 2)


def set_limits(memory: int) -> None:
    """Refuse one absurd allocation outright, which `Memory` would see too late; no core dumps."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
        resource.setrlimit(kind, (memory + RESERVE, memory + RESERVE))


def adopt_orphans() -> None:
    """Let processes that the child detached become ours, so that none of them outlives it (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def reap(child: int) -> int | None:
    """Collect every ended process; the child's wait status once it is among them."""
    status = None
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = code


def end_the_rest(child: int) -> None:
    """Kill what is left of the child's group and what it detached, and leave no zombie."""
    signal_group(child, _signal.SIGKILL)
    while True:
        reap(child)
        ours = children(os.getpid())
        if not ours:
            return
        for pid in ours:  # not reaped yet, so that no other process can have the number
            os.kill(pid, _signal.SIGKILL)
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    """A process's children, zombies included, from /proc; empty where there is none."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found += [int(child) for child in file.read().split()]
    except OSError:
        return found
    return found


class Memory:
    """Looks at what a process and its descendants hold, as AWS counts it: resident, not reserved (Linux).

    Looks four times a second while they work and every two seconds while they are idle.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        known = limit and os.path.exists("/proc/self/statm")  # noqa: PTH110
        self.due = time.monotonic() if known else float("inf")
        self._interval = 0.25
        self._worked = -1

    def exceeded(self, child: int) -> bool:
        """Whether it is time to look, and the limit is passed."""
        if time.monotonic() < self.due:
            return False
        pids = descendants(child)
        held = worked = 0
        for pid in pids:
            resident, shared, ticks = usage(pid)
            held += resident - shared
            worked += ticks
        self._interval = 0.25 if worked != self._worked else min(2.0, self._interval * 2)
        self._worked = worked
        self.due = time.monotonic() + self._interval
        # Pages that forked processes still share count once, which is dearer to ask for.
        return held > self.limit and sum(proportional(pid) for pid in pids) > self.limit


def descendants(pid: int) -> list[int]:
    """A process and all that it started, as far as they live."""
    found = [pid]
    for parent in found:
        found += children(parent)
    return found


def usage(pid: int) -> tuple[int, int, int]:
    """Bytes resident, bytes of them shared with files, clock ticks of work; zeros of one that is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            _, resident, shared = file.read().split()[:3]
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0, 0, 0
    page = os.sysconf("SC_PAGESIZE")
    return int(resident) * page, int(shared) * page, int(fields[11]) + int(fields[12])


def proportional(pid: int) -> int:
    """Private bytes resident, shared pages counted by their share; 0 of a process that is gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss_Anon:"))
    except OSError:
        return 0


class Supervision:
    """One child from its start to the record of its end."""

    def __init__(self, folder: str, lifeline: int, handles: Sequence[int]) -> None:
        self.folder = folder
        self.handles = handles
        self.lifeline = lifeline
        with open(f"{folder}/{SPEC}", "rb") as file:  # noqa: PTH123
            self.spec = Spec.load(file.read())
        self.child = 0
        self.kill_at = float("inf")
        self.timed_out = self.shutdown = self.out_of_memory = False
        self.memory = Memory(self.spec.memory_limit)
        self.wake, self._signals = os.pipe()

    def run(self) -> None:
        """Start the child, wait for it, end what it left behind, write the record."""
        os.set_blocking(self._signals, False)
        _signal.set_wakeup_fd(self._signals)
        for number in (_signal.SIGCHLD, _signal.SIGTERM):
            _signal.signal(number, lambda *_: None)
        begun = time.monotonic()
        self.child = os.fork()
        if self.child == 0:
            run_child(self.spec, self.folder)
        for handle in self.handles:  # the child's alone: its end must close them
            os.close(handle)
        fields = (os.getpid(), self.child, start_time(self.child))
        write_file(
            f"{self.folder}/{PROCESS}", b'{"pid": %d, "child": %d, "child_started": "%s"}' % _ascii(fields)
        )
        adopt_orphans()
        self.read_stop()
        status = self.wait(begun + self.spec.time_limit if self.spec.time_limit else float("inf"))
        end_the_rest(self.child)
        self.record(status, time.monotonic() - begun)

    def wait(self, limit: float) -> int:
        """The child's wait status; SIGTERM at the limit (monotonic seconds), SIGKILL after a grace."""
        while (status := reap(self.child)) is None:
            now = time.monotonic()
            if now >= self.kill_at:
                signal_group(self.child, _signal.SIGKILL)
                self.kill_at = float("inf")
            if now >= limit:
                self.timed_out, limit = True, float("inf")
                self.terminate(TIME_LIMIT_GRACE)
            if self.memory.exceeded(self.child):
                self.out_of_memory = True
                signal_group(self.child, _signal.SIGKILL)
            until = min(limit, self.kill_at, self.memory.due)
            self.sleep(None if until == float("inf") else max(0.0, until - time.monotonic()))
        return status

    def sleep(self, seconds: float | None) -> None:
        """Sleep until a signal, the server's end (where the child may not outlive it), or the time."""
        watched = [self.wake] if self.lifeline < 0 else [self.wake, self.lifeline]
        ready = select.select(watched, [], [], seconds)[0]
        if self.wake in ready and _signal.SIGTERM in os.read(self.wake, 512):
            self.read_stop()
        if self.lifeline in ready:
            self.lifeline, self.shutdown = -1, True
            self.terminate(0.0)

    def read_stop(self) -> None:
        """Obey the stop file, if there is one: grace in seconds, then a mark when the server shuts down."""
        try:
            with open(f"{self.folder}/{STOP}") as file:  # noqa: PTH123
                grace, mark = file.read().split()
        except FileNotFoundError:
            return
        self.shutdown = self.shutdown or mark == "shutdown"
        self.terminate(float(grace))

    def terminate(self, grace: float) -> None:
        """SIGTERM to the group now, SIGKILL after the grace; an earlier SIGKILL stays."""
        signal_group(self.child, _signal.SIGTERM if grace > 0 else _signal.SIGKILL)
        if grace > 0:
            self.kill_at = min(self.kill_at, time.monotonic() + grace)

    def record(self, status: int, seconds: float) -> None:
        """Write the end: exit code or signal, why, when (real epoch seconds) and after how many seconds."""
        signalled = os.WIFSIGNALED(status)
        exit_code = b"null" if signalled else b"%d" % os.WEXITSTATUS(status)
        number = b"%d" % os.WTERMSIG(status) if signalled else b"null"
        why = (
            ("timed_out", self.timed_out),
            ("shutdown", self.shutdown),
            ("out_of_memory", self.out_of_memory),
        )
        flags = "".join(f', "{name}": {str(value).lower()}' for name, value in why).encode()
        when = b', "ended": %.3f, "seconds": %.3f}' % (time.time(), seconds)
        how = b'{"exit_code": %s, "signal": %s' % (exit_code, number)
        write_file(f"{self.folder}/{END}", how + flags + when)


def _ascii(fields: tuple[int, int, str]) -> tuple[int, int, bytes]:
    return fields[0], fields[1], fields[2].encode("ascii", "replace")


def main() -> None:
    """Read the arguments: the process's folder, the lock that says we live, the lifeline, the child's."""
    folder, lock, lifeline = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for handle in (lock, lifeline):
        if handle >= 0:
            os.set_inheritable(handle, False)
    Supervision(folder, lifeline, [int(handle) for handle in sys.argv[4:]]).run()


if __name__ == "__main__":
    main()
