"""Wheels for Lambda's platform, unpacked once into a cache.

The embedded Lambda runs on this machine's Python, so its distributions are this environment's where they
have the pinned version, which needs no network, else this machine's wheels. AWS's never come from here.

Limits: AWS Lambda Developer Guide, "Lambda quotas" (deployment package, 250 MB unzipped).
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from mlops_kit.errors import DeployError

PYTHON = "3.13"  # the template's Runtime
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")  # Amazon Linux 2023 has glibc 2.34
_SKIPPED = {"__pycache__", "bin"}


def unpacked(
    requirements: Sequence[str], cache: Path, *, embedded: bool = False
) -> Iterator[tuple[str, Path]]:
    """Files of the distributions as (name inside the zip, path), sorted by name.

    Parameters
    ----------
    requirements : sequence of str
        Pinned, such as ``aws-lambda-powertools==3.37.0``.
    cache : pathlib.Path
        Folder for what was downloaded before.
    embedded : bool
        For the embedded Lambda instead of AWS's.

    Raises
    ------
    DeployError
        A requirement has no wheel for Lambda's platform, or nothing can install it.
    """
    platform = "embedded" if embedded else f"{PYTHON} {_PLATFORMS}"
    digest = hashlib.sha256(f"{platform} {sorted(requirements)}".encode()).hexdigest()[:16]
    folder = cache / digest
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache, prefix="draft-"))
        try:
            if not (embedded and _copied(requirements, draft)):
                _install(requirements, draft, embedded)
            draft.replace(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not _SKIPPED.intersection(inside.parts) and inside.name != "RECORD":
            yield inside.as_posix(), path


def _copied(requirements: Sequence[str], folder: Path) -> bool:
    """Copy installed distributions with what they need; whether all were there in the asked versions."""
    from packaging.requirements import Requirement

    wanted, found = [Requirement(one) for one in requirements], dict[str, Distribution]()
    while wanted:
        one = wanted.pop()
        try:
            installed = distribution(one.name)
        except PackageNotFoundError:
            return False
        if not one.specifier.contains(installed.version, prereleases=True) or installed.files is None:
            return False
        if one.name not in found:
            found[one.name] = installed
            needs = map(Requirement, installed.requires or ())
            wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    for installed in found.values():
        for file in installed.files or ():
            if ".." not in file.parts and not _SKIPPED.intersection(file.parts):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    return True


def _install(requirements: Sequence[str], folder: Path, embedded: bool) -> None:
    command = _installer(folder, embedded)
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DeployError(
            f"No wheels for Lambda (Python {PYTHON}, x86_64 Linux) were found for {', '.join(requirements)}.",
            cause="\n".join(lines[-3:]),
            suggestion="pin versions that ship a wheel for manylinux2014_x86_64 or are pure Python.",
        )


def _installer(folder: Path, embedded: bool) -> list[str]:
    """pip where this environment has it, else uv; both unpack into a folder, wheels only."""
    if importlib.util.find_spec("pip"):
        platforms = [word for name in _PLATFORMS for word in ("--platform", name)]
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        ]
        foreign = [] if embedded else [*platforms, "--python-version", PYTHON]
        return [*pip, "--only-binary=:all:", *foreign, "--target", str(folder)]
    if uv := shutil.which("uv"):
        platform = ["--python-platform", "x86_64-manylinux_2_28", "--python-version", PYTHON]
        install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", sys.executable]
        return [*install, *([] if embedded else platform), "--target", str(folder)]
    raise DeployError(
        "Neither pip nor uv is there to fetch wheels for a Lambda function.",
        suggestion="install one of them: python -m ensurepip",
    )
