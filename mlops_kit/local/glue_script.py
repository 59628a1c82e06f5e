"""What a Python shell job runs and how it is told: script, modules, arguments; must not start it.

Sources: AWS Glue Developer Guide, "Configuring job properties for Python shell jobs in AWS Glue", "AWS Glue
job parameters".
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from mlops_kit.local import glue_site

_CONSUMED = ("library-set", "--library-set")  # by AWS Glue itself; this environment is the library set
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception)(: .*)?")
_LONGEST_MESSAGE = 2000


class CannotRun(Exception):
    """The run fails before its script starts; the text is its ErrorMessage."""


class Script:
    """A run's folder: the script, the modules beside it, and a private working folder.

    Parameters
    ----------
    folder : pathlib.Path
        Made when missing.
    s3 : botocore client
        Where scripts and modules are.
    """

    def __init__(self, folder: Path, s3: Any) -> None:
        self._folder = folder
        self._s3 = s3
        self._paths: list[Path] = []
        self.work = folder / "work"

    def argv(self, location: str, arguments: Mapping[str, str]) -> list[str]:
        """Fetch everything; the command line.

        Raises
        ------
        CannotRun
            The script or a module is not there, or cannot be used here.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        script = self._fetch(location, self._folder, "script")
        for place in _listed(arguments.get("--extra-py-files")):
            self._add(place)
        for module in _listed(arguments.get("--additional-python-modules")):
            if module.startswith("s3://"):
                self._add(module)
            else:
                _require(module)
        given = [(name, value) for name, value in arguments.items() if name not in _CONSUMED]
        return [sys.executable, str(script), *(part for pair in given for part in pair)]

    def python_path(self) -> str:
        """``PYTHONPATH``: the modules, then what AWS's image adds."""
        site = Path(glue_site.__file__).parent
        return os.pathsep.join(str(path) for path in (*self._paths, site))

    def _add(self, place: str) -> None:
        number = len(self._paths)
        path = self._fetch(place, self._folder / f"module-{number}", "module")
        if path.suffix == ".whl":
            self._paths.append(_unpacked(path))
        elif path.suffix in (".py", ".zip"):
            self._paths.append(path.parent if path.suffix == ".py" else path)
        else:
            raise CannotRun(f"{place} cannot be used: a module is a .py, .zip or .whl file.")

    def _fetch(self, location: str, folder: Path, what: str) -> Path:
        place = urlsplit(location)
        bucket, key = place.netloc, place.path.lstrip("/")
        if place.scheme != "s3" or not bucket or not key or key.endswith("/"):
            raise CannotRun(f"{location!r} is no {what} in S3; name it as s3://bucket/key.")
        path = folder / Path(key).name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
        except ClientError as error:
            raise CannotRun(f"Failed to download the {what} {location}: {error}") from error
        with path.open("wb") as file:
            shutil.copyfileobj(body, file)
        return path


def _listed(value: str | None) -> Sequence[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _unpacked(wheel: Path) -> Path:
    folder = wheel.parent / "unpacked"
    try:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise CannotRun(f"{wheel.name} is no wheel: {error}") from error
    return folder


def _require(requirement: str) -> None:
    """Nothing is installed at run time: a module counts when this environment has it."""
    name = re.split(r"[=<>!~\[ ;]", requirement, maxsplit=1)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise CannotRun(
            f"The embedded AWS installs nothing at run time, and this environment lacks {requirement}; "
            "ship a wheel with --extra-py-files."
        ) from error


def error_message(stderr: bytes) -> str | None:
    """The exception that ended a script, as the last traceback of its error output says it."""
    _, found, after = stderr.decode("utf-8", "replace").rpartition(_TRACEBACK)
    lines = after.strip("\n").split("\n")
    if not found:  # a script that does not compile has no traceback, only the error
        return lines[-1] if _EXCEPTION.fullmatch(lines[-1]) else None
    for number, line in enumerate(lines):
        if line and not line.startswith(" "):
            return "\n".join(lines[number:]).strip()[:_LONGEST_MESSAGE]
    return None
