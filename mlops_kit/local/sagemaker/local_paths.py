"""/opt/ml of a container, laid into a job's own folder; must not touch the file system.

A container sees ``/opt/ml``; a process of this machine cannot have that path for itself without being root.
So every text that reaches a process (entry point, arguments, environment, hyperparameters) has the paths
under ``/opt/ml`` rewritten to the job's folder, which ``SAGEMAKER_BASE_DIR`` names too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlops_kit.local.sagemaker.records import refusal

CONTAINER_BASE = "/opt/ml"
BASE_VARIABLE = "SAGEMAKER_BASE_DIR"

# A path begins where no path character stands before it, and ends at a slash or where the name ends.
_BASE_PATH = re.compile(r"(?<![\w./-])(?:file://)?/opt/ml(?![\w.-])")
_PYTHON = re.compile(r"(?:/[\w./-]+/)?python(?:3(?:\.\d+)?)?")


def localise(text: str, base: Path) -> str:
    """A text with every path under ``/opt/ml`` pointing into ``base``."""
    return _BASE_PATH.sub(lambda _: str(base), text)


def localise_all(texts: Mapping[str, str], base: Path) -> dict[str, str]:
    """Values of a mapping, localised."""
    return {name: localise(value, base) for name, value in texts.items()}


def local_path(path: str, base: Path) -> Path:
    """Where a container's path lies on this machine.

    Raises
    ------
    AwsError
        The path is not under ``/opt/ml``, or climbs out of it.
    """
    parts = Path(path).parts
    if parts[:3] != ("/", "opt", "ml") or ".." in parts:
        raise refusal(
            f"The embedded AWS maps only local paths under /opt/ml into a job's folder; {path!r} is not."
        )
    return base.joinpath(*parts[3:])


def command(entrypoint: Sequence[str], arguments: Sequence[str], base: Path) -> list[str]:
    """A container's command line for this machine; any ``python`` is this environment's interpreter."""
    program, *rest = [localise(part, base) for part in [*entrypoint, *arguments]]
    return [sys.executable if _PYTHON.fullmatch(program) else program, *rest]
