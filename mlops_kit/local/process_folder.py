"""The folder of one child process: what to run, who supervises it, and how it ended.

Must not follow or signal anything but an orphan; the runner does.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.local import supervisor

_LOCK = "lock"


@dataclass(frozen=True)
class ProcessFolder:
    """One process on disk.

    Its supervisor holds a lock on the file ``lock`` for as long as it lives. The system lets go of it however
    the supervisor ends: so life is told without a pid, which may have been given to another process.
    """

    path: Path

    def make(self, spec: bytes) -> None:
        """Make the folder; raises ValueError when it exists."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError as error:
            raise ValueError(f"A process {self.path.name!r} exists already.") from error
        (self.path / supervisor.SPEC).write_bytes(spec)

    def start_supervisor(self, lifeline: int, handles: Sequence[int]) -> subprocess.Popen[bytes]:
        """Start the supervisor in a session of its own; it inherits the lock and, unless -1, the lifeline.

        `handles` are open file descriptors that the process itself inherits, under the same numbers.
        """
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        numbers = [str(number) for number in (lock, lifeline, *handles)]
        try:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(self.path), *numbers],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
                pass_fds=[number for number in (lock, lifeline, *handles) if number >= 0],
            )
        finally:
            os.close(lock)

    def alive(self) -> bool:
        """Whether the supervisor lives."""
        try:
            lock = os.open(self.path / _LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def identity(self, wait: float = 0.0) -> dict[str, Any]:
        """`pid` of the supervisor, `child` and `child_started`; empty when unwritten after `wait` seconds."""
        deadline = time.monotonic() + wait
        while not (known := self._read(supervisor.PROCESS)) and time.monotonic() < deadline and self.alive():
            time.sleep(0.01)
        return known

    def end(self) -> dict[str, Any] | None:
        """The recorded end, None when there is none."""
        return self._read(supervisor.END) or None

    def ask_to_stop(self, grace: float, mark: str) -> None:
        """Write what the supervisor reads at its next SIGTERM."""
        supervisor.write_file(str(self.path / supervisor.STOP), f"{grace} {mark}".encode())

    def kill_orphan(self) -> None:
        """Kill the child whose supervisor died, if it still is the one that was started."""
        known = self.identity()
        if (
            known
            and known["child_started"]
            and supervisor.start_time(known["child"]) == known["child_started"]
        ):
            supervisor.signal_group(known["child"], signal.SIGKILL)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / name).read_bytes()))
        except FileNotFoundError:
            return {}
