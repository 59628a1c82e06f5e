"""Measuring whole processes: wall time and peak memory; the median of several runs."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(".venv-bench/bin")  # made by `make bench`: peers have an environment of their own
HERE = Path(sys.executable).parent


@dataclass(frozen=True)
class Sample:
    """Medians over runs: seconds of wall time, peak MB resident and CPU seconds of the process itself."""

    seconds: float
    megabytes: float
    cpu: float


def run(argv: Sequence[str], times: int = 5, status: int = 0) -> Sample:
    """Time a command that ends by itself, with this exit status; one warm-up is not counted."""
    samples = [_once(argv, status) for _ in range(times + 1)][1:]
    return Sample(
        statistics.median(s.seconds for s in samples),
        statistics.median(s.megabytes for s in samples),
        statistics.median(s.cpu for s in samples),
    )


def _once(argv: Sequence[str], status: int) -> Sample:
    begin = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read() if process.stderr else b""
    _, ended, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise RuntimeError(f"{' '.join(argv)} exited {process.returncode}: {errors.decode()[-500:]}")
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return Sample(time.perf_counter() - begin, usage.ru_maxrss / unit, usage.ru_utime + usage.ru_stime)


@dataclass(frozen=True)
class Served:
    """A server: seconds until it answered, MB resident when idle, CPU seconds used in ``idle`` seconds."""

    seconds: float
    megabytes: float
    cpu: float


def serve(argv: Sequence[str], url: str, environment: Mapping[str, str], idle: float = 5.0) -> Served:
    """Start a server, wait until it answers over HTTP, look at it while it idles, and end it (Linux only)."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(url):
            if process.poll() is not None or time.perf_counter() - begin > 60:
                raise RuntimeError(f"{argv[0]} does not answer at {url}")
            time.sleep(0.01)
        ready = time.perf_counter() - begin
        time.sleep(1)
        before = _cpu(process.pid)
        time.sleep(idle)
        return Served(ready, resident(process.pid), _cpu(process.pid) - before)
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(url: str) -> bool:
    """Whether somebody answers over HTTP there."""
    try:
        urllib.request.urlopen(url, timeout=1)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def resident(pid: int) -> float:
    """MB resident of a process (Linux only)."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> float:
    """MB that were resident of a process at most (Linux only)."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first row is what the others' ratios are to, if they have any."""
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += [
        "| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) + " |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"
