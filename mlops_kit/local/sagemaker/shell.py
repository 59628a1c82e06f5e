"""Let a shell entry point of a container run here: its paths, its ``python`` and its ``pip``.

The SageMaker SDK's FrameworkProcessor ships a script that unpacks the source under ``/opt/ml``, installs its
requirements and runs ``python``. Must not run anything itself.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_kit.local.sagemaker.local_paths import localise

_SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}


def environment(argv: Sequence[str], base: Path) -> dict[str, str]:
    """Variables for a command; for a shell script its text is rewritten and ``pip`` only checks.

    Parameters
    ----------
    argv : sequence of str
        The command, already localised.
    base : pathlib.Path
        Stands for ``/opt/ml``; the script must lie under it to be rewritten.
    """
    script = next((Path(part) for part in argv[1:2] if argv[0] in _SHELLS), None) or Path(argv[0])
    if script.suffix != ".sh" or not script.is_file() or not script.resolve().is_relative_to(base.resolve()):
        return {}
    script.write_text(localise(script.read_text(), base))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    tools = base.parent / "bin"
    tools.mkdir(exist_ok=True)
    pip = f'exec "{sys.executable}" -m mlops_kit.local.sagemaker.pip "$@"'
    python = f'[ "$1 $2" = "-m pip" ] && {{ shift 2; {pip}; }}\nexec "{sys.executable}" "$@"'
    for name, text in {"pip": pip, "pip3": pip, "python": python, "python3": python}.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return {"PATH": os.pathsep.join([str(tools), "/usr/local/bin", "/usr/bin", "/bin"])}
