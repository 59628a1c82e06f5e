"""The one runner of child processes: started, followed, stopped, and found again after a restart.

Must not know what a process is for, and must not hold what its supervisor's folder does not also hold.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_kit.local import supervisor
from mlops_kit.local.process_folder import ProcessFolder
from mlops_kit.local.tails import Tail
from mlops_kit.local.wake import Wake, pidfd_of

LineSink = Callable[[list[str]], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessSpec:
    """What to run.

    Attributes
    ----------
    id : str
        Name of the process, unique in the runner: letters, digits, ``.``, ``_``, ``-``; at most 200.
    argv : sequence of str
        Program and arguments; no shell.
    cwd : pathlib.Path
        Working folder; made when missing, as is the environment's ``TMPDIR``.
    env : mapping
        The whole environment; nothing is inherited.
    time_limit : float, optional
        Real seconds until SIGTERM, and SIGKILL 5 s later.
    memory_limit : int, optional
        Bytes that it and its descendants may hold; SIGKILL to all when they hold more (Linux).
    on_output : callable, optional
        Takes new lines of standard output, and of standard error unless `on_error` is given. Must be quick.
    on_error : callable, optional
        Takes new lines of standard error.
    outlives_server : bool
        False: the process is killed when the server ends, however it ends.
    handles : sequence of int
        Open file descriptors that the process inherits under the same numbers.
    """

    id: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    time_limit: float | None = None
    memory_limit: int | None = None
    on_output: LineSink | None = None
    on_error: LineSink | None = None
    outlives_server: bool = True
    handles: Sequence[int] = ()


@dataclass(frozen=True)
class Ended:
    """How a process ended: by `exit_code` or by `signal`, and whether a limit was the cause.

    `lost`: the server's own stop ended it, or nobody knows how it ended. `seconds`: real time that it ran.
    """

    id: str
    exit_code: int | None
    signal: int | None
    timed_out: bool
    lost: bool
    seconds: float = 0.0
    out_of_memory: bool = False


@dataclass
class _Watched:
    id: str
    folder: ProcessFolder
    on_end: Callable[[Ended], None]
    tails: list[Tail]
    popen: subprocess.Popen[bytes] | None = None
    pidfd: int | None = None
    lifeline: int | None = None

    def alive(self) -> bool:
        return self.popen.poll() is None if self.popen else self.folder.alive()

    def stop(self, grace: float, mark: str) -> None:
        self.folder.ask_to_stop(grace, mark)
        if self.popen:
            self.popen.terminate()
        elif self.pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        elif self.alive() and (pid := self.folder.identity().get("pid")):
            with contextlib.suppress(ProcessLookupError):  # it ended while we looked
                os.kill(pid, signal.SIGTERM)

    def close(self) -> None:
        for handle in (self.pidfd, self.lifeline):
            if handle is not None:
                os.close(handle)
        self.pidfd = self.lifeline = None

    def deliver(self) -> None:
        """Tell the end, then remove the folder; when telling failed, the folder stays for `recover`."""
        end = self.folder.end()
        if end is None:
            self.folder.kill_orphan()
            ended = Ended(self.id, None, None, timed_out=False, lost=True)
        else:
            names = ("exit_code", "signal", "timed_out", "seconds", "out_of_memory")
            ended = Ended(self.id, lost=end["shutdown"], **{name: end[name] for name in names})
        try:
            self.on_end(ended)
        except Exception:
            _log.exception("The end of %s could not be told", self.id)
        else:
            self.folder.remove()


class Closed(RuntimeError):
    """The runner has been shut down and starts nothing any more."""


class Runner:
    """Starts and follows processes, each under a small supervisor that outlives the server.

    Parameters
    ----------
    root : pathlib.Path
        One folder a process; made when missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._thread: threading.Thread | None = None
        self._wake = Wake()
        self._closed = False
        self._claimed: set[str] | None = set()  # ids that were started or recovered, until `end_unclaimed`

    @staticmethod
    def job_environment(cwd: Path, url: str, region: str) -> dict[str, str]:
        """The environment of a job, which here shares one machine with others.

        OpenMP's threads spin while they wait, unless told otherwise: two jobs would starve each other.
        """
        return {**Runner.base_environment(cwd, url, region), "OMP_WAIT_POLICY": "PASSIVE"}

    @staticmethod
    def base_environment(cwd: Path, url: str, region: str) -> dict[str, str]:
        """The environment of every process: the port as AWS, dummy credentials, nothing of ours."""
        programs = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        return {
            "PATH": os.pathsep.join(programs),
            "LANG": "C.UTF-8",
            "HOME": str(cwd),
            "TMPDIR": str(cwd / "tmp"),
            "PYTHONUNBUFFERED": "1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def start(self, spec: ProcessSpec, on_end: Callable[[Ended], None]) -> str:
        """Start a process and follow it.

        Parameters
        ----------
        spec : ProcessSpec
            What to run.
        on_end : callable
            Called once in a thread of its own after the last line was delivered. The process's folder goes
            when it returns, so it must have made the end durable by then.

        Returns
        -------
        str
            The id.

        Raises
        ------
        ValueError
            The id is malformed or taken, or a text cannot be handed to a process.
        Closed
            After `shutdown`.
        """
        if self._closed:
            raise Closed("The embedded AWS is stopping.")
        self._claim(spec.id)
        folder = self._make_folder(spec)
        watched = _Watched(spec.id, folder, on_end, _tails(folder, spec.on_output, spec.on_error))
        lifeline = (-1, -1) if spec.outlives_server else os.pipe()
        try:
            watched.popen = folder.start_supervisor(lifeline[0], spec.handles)
            watched.pidfd = pidfd_of(watched.popen.pid)
        finally:
            if not spec.outlives_server:
                os.close(lifeline[0])
                watched.lifeline = lifeline[1]
        self._watch(watched)
        return spec.id

    def recover(
        self,
        id: str,
        on_end: Callable[[Ended], None],
        on_output: LineSink | None = None,
        on_error: LineSink | None = None,
    ) -> bool:
        """Take up a process of a former server: follow it if it lives, else deliver its recorded end.

        Returns
        -------
        bool
            False when nothing is known of it, or it died without a record; what is left of it is killed.
        """
        self._claim(id)
        folder = ProcessFolder(self._root / id)
        alive = folder.alive()
        if not alive and folder.end() is None:
            folder.kill_orphan()
            folder.remove()
            return False
        pid = folder.identity(wait=5.0).get("pid") if alive else None
        pidfd = pidfd_of(pid) if pid else None
        self._watch(_Watched(id, folder, on_end, _tails(folder, on_output, on_error), pidfd=pidfd))
        return True

    def stop(self, id: str, grace: float) -> None:
        """Ask for the end: SIGTERM to the whole group now, SIGKILL after `grace` seconds; returns at once."""
        with self._guard:  # so that it does not end, and its folder and handles do not go, under our hands
            watched = self._watched.get(id)
            if watched:
                watched.stop(grace, "stop")

    def running(self) -> list[str]:
        """Ids of the processes that are followed."""
        with self._guard:
            return list(self._watched)

    def output(self, id: str, *, error: bool = False) -> Path:
        """The file that holds a process's output (or error output) until its `on_end` returned."""
        return self._root / id / (supervisor.STDERR if error else supervisor.STDOUT)

    def end_unclaimed(self) -> None:
        """Kill what a former server started and nobody recovered; call after every service has started."""
        for folder in self._root.glob("*"):
            if folder.name not in (self._claimed or ()) and self.recover(folder.name, lambda _: None):
                self.stop(folder.name, 0.0)
        self._claimed = None

    def shutdown(self, grace: float = 2.0) -> None:
        """Stop every process and wait for its end; `on_end` is told after the next start, by `recover`."""
        with self._guard:
            self._closed = True
            thread, self._thread = self._thread, None
        self._wake.set()
        if thread:
            thread.join()
        with self._guard:
            remaining = list(self._watched.values())
        for watched in remaining:
            watched.stop(grace, "shutdown")
        deadline = time.monotonic() + grace + 5.0
        for watched in remaining:
            while watched.alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            watched.close()
        with self._guard:
            self._watched.clear()

    def _claim(self, id: str) -> None:
        if self._claimed is not None:
            self._claimed.add(id)

    def _make_folder(self, spec: ProcessSpec) -> ProcessFolder:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", spec.id):
            raise ValueError(f"{spec.id!r} cannot name a process.")
        limits = (spec.time_limit or 0.0, spec.memory_limit or 0, spec.on_error is not None)
        data = supervisor.Spec(limits, str(spec.cwd), spec.argv, spec.env).dump()
        folder = ProcessFolder(self._root / spec.id)
        folder.make(data)
        spec.cwd.mkdir(parents=True, exist_ok=True)
        if temporary := spec.env.get("TMPDIR"):
            Path(temporary).mkdir(parents=True, exist_ok=True)
        return folder

    def _watch(self, watched: _Watched) -> None:
        with self._guard:
            self._watched[watched.id] = watched
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._follow, name="processes", daemon=True)
                self._thread.start()
        self._wake.set()

    def _follow(self) -> None:
        while True:
            with self._guard:
                if self._thread is not threading.current_thread():
                    return
                everyone = list(self._watched.values())
            self._wake.wait([watched.pidfd for watched in everyone], followed=any(w.tails for w in everyone))
            for watched in everyone:
                self._look(watched)

    def _look(self, watched: _Watched) -> None:
        alive = watched.alive()
        for tail in watched.tails:
            tail.pump(final=not alive)
        if alive:
            return
        with self._guard:
            self._watched.pop(watched.id, None)
            watched.close()
        threading.Thread(target=watched.deliver, name=f"end of {watched.id}", daemon=True).start()


def _tails(folder: ProcessFolder, on_output: LineSink | None, on_error: LineSink | None) -> list[Tail]:
    sinks = ((supervisor.STDOUT, on_output), (supervisor.STDERR, on_error))
    return [Tail(folder.path / name, sink) for name, sink in sinks if sink]
