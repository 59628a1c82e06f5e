"""The state folder: one owner, one layout, one version; must not know what the services keep in it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.errors import KitError

VERSION = 1  # of the layout; a change that an older package cannot read raises it


@dataclass(frozen=True)
class StateFolder:
    """Where one embedded AWS keeps everything.

    Attributes
    ----------
    root : pathlib.Path
        The folder.
    """

    root: Path

    @property
    def database(self) -> Path:
        """What our services acknowledge."""
        return self.root / "state.db"

    @property
    def ministack(self) -> Path:
        """One JSON file a service of ministack."""
        return self.root / "ministack"

    @property
    def objects(self) -> Path:
        """Bodies of S3 objects."""
        return self.root / "s3"

    @property
    def processes(self) -> Path:
        """One folder a child process."""
        return self.root / "processes"

    @property
    def home(self) -> Path:
        """HOME and TMPDIR of the server, so that nothing of the user's is read or littered."""
        return self.root / "home"

    @property
    def log(self) -> Path:
        """What a server started in the background says."""
        return self.root / "server.log"

    def owner(self) -> dict[str, Any] | None:
        """Who serves this folder now: ``{"pid", "url", "version"}``; None when nobody does."""
        absent = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with absent, (self.root / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._read("owner.json") or {}
        return None

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Hold the folder until the block ends or the process dies.

        Raises
        ------
        KitError
            Another process holds it, or a newer version of the package wrote it.
        """
        self._make()
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._held() from None
            (self.root / "owner.json").unlink(missing_ok=True)  # of one that was killed
            self._check_version()
            yield
            (self.root / "owner.json").unlink(missing_ok=True)

    def announce(self, url: str) -> None:
        """Write down who holds the folder and where it answers."""
        self.write("owner.json", {"pid": os.getpid(), "url": url})

    def clock_offset(self) -> float | None:
        """Seconds by which the embedded clock was ahead of the real one; None when it never ran."""
        saved = self._read("clock.json")
        return float(saved["offset"]) if saved else None

    def keep_clock_offset(self, offset: float) -> None:
        """Remember where the embedded clock is."""
        self.write("clock.json", {"offset": offset})

    def new_token(self) -> str:
        """What whoever may read this folder must show to move the clock; another one at each start."""
        token = secrets.token_hex(16)
        path = self.root / "token"
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(token)
        return token

    def token(self) -> str:
        """The token of the server that serves the folder."""
        return (self.root / "token").read_text()

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a small JSON file atomically."""
        write_atomically(self.root / name, json.dumps(value).encode())

    def _make(self) -> None:
        try:
            for folder in (self.root, self.ministack, self.objects, self.processes, self.home):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KitError(
                f"The state folder {self.root} cannot be made.",
                cause=error.strerror,
                suggestion="choose another with --state-dir.",
            ) from error

    def _held(self) -> KitError:
        owner = self._read("owner.json") or {}
        pid, url = owner.get("pid", "unknown"), owner.get("url", "unknown, it is starting")
        return KitError(
            f"The state folder {self.root} is in use by process {pid}, which serves {url}.",
            suggestion=f"use that server, stop it with `mlops-kit local stop --state-dir {self.root}`, "
            "or start with another --state-dir.",
        )

    def _check_version(self) -> None:
        saved = self._read("version.json")
        if saved is None:
            self.write("version.json", {"layout": VERSION})
        elif saved["layout"] > VERSION:
            raise KitError(
                f"The state folder {self.root} was written by a newer mlops_kit "
                f"(layout {saved['layout']}; this one knows {VERSION}).",
                suggestion="upgrade mlops_kit, or start with another --state-dir.",
            )

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads((self.root / name).read_bytes())
        except FileNotFoundError:
            return None
        return value


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves the old one or the new one, on disk when this returns."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
