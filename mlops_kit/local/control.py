"""Starts, finds and stops an embedded AWS from outside; must not import what only the server needs."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.cron import LAST_YEAR
from mlops_kit.errors import KitError, UsageError
from mlops_kit.local.state_folder import StateFolder

ADVANCE = "/_mlops_kit/advance"  # the path that moves the clock, for whoever shows the folder's token
TOKEN_HEADER = "x-mlops-kit-token"  # noqa: S105

_START = 60.0  # seconds until a server must have said that it is ready
_STOP = 60.0  # and until one that was asked to stop must have let go of its folder


class PortInUse(KitError):
    """Another program listens on the port."""


@dataclass(frozen=True)
class Status:
    """What serves a state folder.

    Attributes
    ----------
    state_dir : pathlib.Path
        The folder.
    url : str or None
        Where it answers; None when nothing serves the folder.
    pid : int or None
        The server's process.
    now : str or None
        Its embedded clock, ISO 8601.
    version : str or None
        Version of the package that serves.
    log : pathlib.Path
        What a server started by `start` says.
    enforces_iam : bool
        Whether it holds roles to their policies.
    found : bool
        Whether `start` found it running.
    """

    state_dir: Path
    url: str | None
    pid: int | None
    now: str | None
    version: str | None
    log: Path
    enforces_iam: bool = False
    found: bool = False

    @property
    def running(self) -> bool:
        """Whether something serves the folder."""
        return self.url is not None


def start(
    state_dir: Path,
    port: int = 4566,
    at: str | None = None,
    region: str = "us-east-1",
    enforce_iam: bool = False,
) -> Status:
    """Start an embedded AWS in the background and wait until it is ready.

    Starts nothing when one serves the folder already, on whatever port and at whatever time.

    Parameters
    ----------
    state_dir : pathlib.Path
        Where it keeps everything; made when missing.
    port : int
        Port of 127.0.0.1; 0 takes a free one.
    at : str, optional
        Where its clock starts, ISO 8601; a clock that is later already goes on where it is.
    region : str
        Default region.
    enforce_iam : bool
        Whether roles are held to their policies, for as long as this server runs.

    Raises
    ------
    UsageError
        The port or the time cannot be; or one serves the folder already that does not hold roles to their
        policies, although it is asked to.
    PortInUse
        The port is taken; says by whom.
    KitError
        The folder cannot be used, or the server failed; says why.
    """
    folder = StateFolder(state_dir.resolve())
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is no port.", suggestion="choose one from 1 to 65535 with --port.")
    if at is not None:
        moment(at)
    if folder.owner() is not None:
        return replace(_asked_of(_wait_for_owner(folder), enforce_iam), found=True)
    _check_port(port)
    argv = [sys.executable, "-m", "mlops_kit.local.server"]
    argv += ["--port", str(port), "--state-dir", str(folder.root), "--region", region]
    if at is not None:
        argv += ["--at", at]
    if enforce_iam:
        argv.append("--enforce-iam")
    _make_root(folder)
    with folder.log.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder.root,
            start_new_session=True,
        )
    _wait_until_ready(process, folder, begin)
    return status(state_dir)


def moment(text: str) -> datetime:
    """A time that somebody typed; UTC where it names no zone.

    Raises
    ------
    UsageError
        It is no time, or one that no schedule knows.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no time.", suggestion="write it as 2011-07-01 or 2011-07-01T12:00:00Z."
        ) from None
    if found.year > LAST_YEAR:
        raise UsageError(
            f"{text!r} is too late: the clock goes no further than the year {LAST_YEAR}.",
            suggestion="choose an earlier time.",
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def status(state_dir: Path) -> Status:
    """What serves the folder, as it says itself."""
    folder = StateFolder(state_dir.resolve())
    owner = folder.owner() or {}
    url = owner.get("url")
    health = _health(url) if url else None
    said = health or {}
    now, version, enforces = said.get("now"), said.get("version"), bool(said.get("enforces_iam"))
    return Status(folder.root, url, owner.get("pid"), now, version, folder.log, enforces)


def advance(
    state_dir: Path, seconds: float | None = None, to: datetime | None = None
) -> Iterator[dict[str, Any]]:
    """Move the clock of the server of a folder on, halting at each due time so that all fires in order.

    Parameters
    ----------
    state_dir : pathlib.Path
        The folder.
    seconds : float, optional
        By how much.
    to : datetime, optional
        Aware; to when, in place of ``seconds``.

    Yields
    ------
    dict
        While it moves ``now`` (epoch seconds), ``fired`` (what has fired since the last) and ``waiting``
        (jobs that are waited for); at the end ``done`` and ``now``. Ending the iteration ends the moving.

    Raises
    ------
    UsageError
        The clock is later already, the time is after the year 2199, or somebody else moves the clock.
    KitError
        Nothing serves the folder, or it failed.
    """
    folder = StateFolder(state_dir.resolve())
    url = (folder.owner() or {}).get("url")
    if url is None:
        raise KitError(
            f"Nothing serves {folder.root}, so there is no clock to move.",
            suggestion="start it: mlops-kit local start",
        )
    asked = {"seconds": seconds} if to is None else {"to": to.timestamp()}
    headers = {TOKEN_HEADER: folder.token(), "Content-Type": "application/json"}
    request = urllib.request.Request(url + ADVANCE, json.dumps(asked).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            for line in answer:
                yield json.loads(line)
    except urllib.error.HTTPError as error:
        said = json.load(error)
        raise UsageError(
            f"The clock cannot be moved: {said.get('message', error)}",
            suggestion=said.get("suggestion", "wait until that has ended."),
        ) from error
    except OSError as error:
        raise KitError(
            "The embedded AWS stopped answering while its clock moved.",
            cause=str(error),
            suggestion=f"read {folder.log}.",
        ) from error


def stop(state_dir: Path) -> bool:
    """Stop the server of a folder with all its processes, and wait until they are gone.

    Returns
    -------
    bool
        False when nothing served the folder.

    Raises
    ------
    KitError
        It did not stop.
    """
    folder = StateFolder(state_dir.resolve())
    owner = folder.owner()
    if owner is None:
        return False
    pid = (owner or _owner_with_pid(folder)).get("pid")
    if pid is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP
    while folder.owner() is not None:
        if time.monotonic() > deadline:
            raise KitError(
                f"The embedded AWS (process {pid}) does not stop.",
                suggestion=f"read {folder.log}; `kill -9 {pid}` ends it without losing what it acknowledged.",
            )
        time.sleep(0.05)
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return True


def _alive(pid: int) -> bool:
    """Whether a process exists; one that this process started is waited for, so that it leaves no zombie."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return Path(f"/proc/{pid}").exists()


def _make_root(folder: StateFolder) -> None:
    try:
        folder.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KitError(
            f"The state folder {folder.root} cannot be made.",
            cause=error.strerror,
            suggestion="choose another with --state-dir.",
        ) from error


def _wait_for_owner(folder: StateFolder) -> Status:
    _owner_with_pid(folder)
    return status(folder.root)


def _asked_of(running: Status, enforce_iam: bool) -> Status:
    """What serves already, unless it is laxer than asked for."""
    if enforce_iam and running.now is not None and not running.enforces_iam:
        raise UsageError(
            f"The embedded AWS that serves {running.state_dir} does not hold roles to their policies.",
            suggestion="stop it first (mlops-kit local stop), then start it with --enforce-iam.",
        )
    return running


def _owner_with_pid(folder: StateFolder) -> dict[str, Any]:
    """The owner once it has said where it answers: a moment after it took the folder."""
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        owner = folder.owner()
        if owner is None:
            return {}
        if "url" in owner:
            return owner
        time.sleep(0.05)
    raise KitError(
        f"A process holds {folder.root} and does not say where it answers.", suggestion=f"read {folder.log}."
    )


def _check_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortInUse(
                f"Port {port} of 127.0.0.1 cannot be used: {_who_answers(port)}.",
                cause=error.strerror,
                suggestion="stop that program, or choose another port with --port.",
            ) from error


def _who_answers(port: int) -> str:
    url = f"http://127.0.0.1:{port}"
    health = _health(url)
    if health is not None:
        return f"the embedded AWS of {health['state_dir']} (process {health['pid']}) serves it"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            server = answer.headers.get("Server")
    except urllib.error.HTTPError as error:
        server = error.headers.get("Server")
    except OSError:
        return "another program holds it, which does not speak HTTP"
    return f"another program answers there (Server: {server or 'not said'})"


def _health(url: str) -> dict[str, Any] | None:
    """What the embedded AWS at an address says of itself; None when nothing like it answers."""
    try:
        with urllib.request.urlopen(f"{url}/_mlops_kit/health", timeout=2) as answer:  # noqa: S310
            health = json.load(answer)
    except (OSError, ValueError):
        return None
    return health if isinstance(health, dict) and "state_dir" in health else None


def _wait_until_ready(process: subprocess.Popen[bytes], folder: StateFolder, begin: int) -> None:
    if process.stdout is None:
        raise RuntimeError("the server's standard output was not asked for")
    with process.stdout as said:
        readable, _, _ = select.select([said], [], [], _START)
        line = said.readline() if readable else b""
    if line:
        return
    process.terminate()
    process.wait()
    with folder.log.open("rb") as log:
        log.seek(begin)
        words = log.read().decode(errors="replace").strip()
    cause = "\n".join(words.splitlines()[-10:]) or f"exit status {process.returncode}"
    advice = None if "To mend it:" in cause else f"read {folder.log}."
    raise KitError("The embedded AWS did not start.", cause=cause, suggestion=advice)
