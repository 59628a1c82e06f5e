"""Why a job's process failed, as AWS words it; must not change anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mlops_kit.local.processes import Ended

_TAIL = 64 << 10  # bytes of output that are searched for the last error
_LONGEST = 1024  # DescribeTrainingJob: the first 1,024 characters of a failure file
_ERROR = re.compile(r"(?:[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*|\S+: error: .*)")
_SHELL_SIGNAL = 128  # a process ended by signal n has the exit code 128 + n in a container


def exit_code(ended: Ended) -> int:
    """Exit code as a container reports it."""
    return _SHELL_SIGNAL + ended.signal if ended.signal else ended.exit_code or 0


def last_error(output: Path) -> str:
    """The last line of output that names an error, else the last line at all."""
    try:
        with output.open("rb") as file:
            file.seek(max(0, output.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        if _ERROR.fullmatch(line):
            return line
    return next((line for line in reversed(lines) if line.strip()), "")


def script_failure(ended: Ended, output: Path, command: Sequence[str]) -> str:
    """What the training toolkit writes about a script that failed, with the error that it printed last.

    The scikit-learn image leaves ``ErrorMessage`` empty; here it names the cause.
    """
    code = -ended.signal if ended.signal else ended.exit_code
    return (
        f"ExecuteUserScriptError:\nExitCode {code}\n"
        f'ErrorMessage "{last_error(output)}"\nCommand "{" ".join(command)}"'
    )


def reason(text: str, code: int) -> str:
    """FailureReason of a container that ended with an exit code."""
    return f"AlgorithmError: {text[:_LONGEST]}, exit code: {code}"


def written(file: Path) -> str | None:
    """What the job itself wrote about its failure or its end; None when it wrote nothing."""
    return file.read_bytes().decode("utf-8", "replace")[:_LONGEST] if file.is_file() else None
