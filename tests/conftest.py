"""Shared by all tests: the embedded AWS in its own process, on a free port, with its own state folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mlops_kit.local import clients

# How long an example takes says something of the machine only. CI tries the same examples each time: one that
# fails for the first time is better found where somebody can look at it.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("house", **_PATIENT)
settings.register_profile("ci", **_PATIENT, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

REGION = "us-east-1"
ROOT = Path(__file__).parent.parent


@dataclass
class EmbeddedAws:
    """A running embedded AWS."""

    state_dir: Path
    arguments: tuple[str, ...] = ()
    url: str = ""
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self.state_dir.parent / "server.log").read_text()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self, service: str, region: str = REGION) -> Any:
        """A botocore client of this server."""
        return clients.client(self.url, region, service)

    def start(self) -> None:
        """Start it, on the same port as before."""
        argv = [sys.executable, "-m", "mlops_kit.local.server", "--port", str(self.port)]
        argv += ["--state-dir", str(self.state_dir), *self.arguments]
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server did not start:\n{self.log}"
        self.url = json.loads(line)["url"]
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """SIGKILL: nothing is saved on the way out."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM: a clean stop; the exit status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Start again on the same state and port, after a clean stop if it still runs."""
        if self._process is not None:
            self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(timeout=30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        clients.forget(self.url)
        return status


def _running(root: Path, *arguments: str) -> Iterator[EmbeddedAws]:
    server = EmbeddedAws(root / "state", arguments)
    server.start()
    yield server
    if server._process is not None:
        server.stop()


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """One embedded AWS for all tests; name what you make uniquely."""
    yield from _running(tmp_path_factory.mktemp("aws"))


@pytest.fixture
def fresh_aws(tmp_path: Path) -> Iterator[EmbeddedAws]:
    """An embedded AWS of the test's own, to kill and restart."""
    yield from _running(tmp_path)


@dataclass(frozen=True)
class Walked:
    """The source notebooks after nbval ran them all, twice, against an embedded AWS of their own."""

    aws: EmbeddedAws
    environment: dict[str, str]
    passes: tuple[subprocess.CompletedProcess[str], ...]


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """One walk for the tests of the notebooks and for those that look at them in a browser."""
    root = tmp_path_factory.mktemp("walked")
    server = EmbeddedAws(root / "state", ("--at", "2011-07-01", "--region", "eu-central-1"))
    server.start()
    told = {"MLOPS_KIT_ENDPOINT_URL": server.url, "MLOPS_KIT_STATE_DIR": str(server.state_dir)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--nbval-lax", "notebooks"]
    passes = tuple(
        subprocess.run(
            command, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, check=False
        )
        for _ in range(2)
    )
    yield Walked(server, told, passes)
    server.stop()
