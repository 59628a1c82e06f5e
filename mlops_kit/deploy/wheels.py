"""Wheels for another platform, Lambda's or a job's, unpacked once into a cache.

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
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from mlops_kit.errors import DeployError

_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
_SKIPPED = {"__pycache__", "bin"}
_SOURCE_ONLY = ("stepfunctions",)  # pure Python without a wheel: the copy installed here is as good anywhere


@dataclass(frozen=True)
class Platform:
    """Where distributions run: x86_64 Linux with glibc 2.28 or newer, and a version of Python."""

    name: str
    python: str


LAMBDA = Platform("Lambda", "3.13")  # the template's Runtime; Amazon Linux 2023 has glibc 2.34
JOB = Platform(
    "a SageMaker job", "3.12"
)  # the image of pipelines/notebook_job.py; Ubuntu 22.04 has glibc 2.35


def unpacked(
    requirements: Sequence[str], cache: Path, platform: Platform = LAMBDA, *, embedded: bool = False
) -> Iterator[tuple[str, Path]]:
    """Files of the distributions as (name inside the zip, path), sorted by name.

    Parameters
    ----------
    requirements : sequence of str
        Pinned, such as ``aws-lambda-powertools==3.37.0``.
    cache : pathlib.Path
        Folder for what was downloaded before.
    platform : Platform
        Where they run.
    embedded : bool
        For the embedded Lambda instead of AWS's.

    Raises
    ------
    DeployError
        A requirement has no wheel for the platform, or nothing can install it.
    """
    where = "embedded" if embedded else f"{platform.python} {_PLATFORMS}"
    digest = hashlib.sha256(f"{where} {sorted(requirements)}".encode()).hexdigest()[:16]
    folder = cache / digest
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache, prefix="draft-"))
        try:
            if not (embedded and _copied(requirements, draft)):
                _install(requirements, draft, None if embedded else platform)
            draft.replace(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not _SKIPPED.intersection(inside.parts) and inside.name != "RECORD":
            yield inside.as_posix(), path


def _copied(requirements: Sequence[str], folder: Path, *, alone: bool = False) -> bool:
    """Copy installed distributions with what they need, or alone; whether all were there as asked."""
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
            needs = map(Requirement, () if alone else installed.requires or ())
            wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    for installed in found.values():
        for file in installed.files or ():
            if ".." not in file.parts and not _SKIPPED.intersection(file.parts):
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    return True


def _install(requirements: Sequence[str], folder: Path, platform: Platform | None) -> None:
    if platform == JOB:
        own = [one for one in requirements if one.partition("==")[0] in _SOURCE_ONLY]
        if own and not _copied(own, folder, alone=True):
            raise DeployError(
                f"{', '.join(own)} is published without a wheel, and this environment has it not.",
                suggestion=f"install it here: pip install {' '.join(own)}",
            )
        requirements = [one for one in requirements if one not in own]
    if not requirements:
        return
    command = _installer(folder, platform)
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DeployError(
            f"No wheels for {_words(platform)} were found for {', '.join(requirements)}.",
            cause="\n".join(lines[-3:]),
            suggestion="pin versions that ship a wheel for manylinux2014_x86_64 or are pure Python.",
        )


def _words(platform: Platform | None) -> str:
    return f"{platform.name} (Python {platform.python}, x86_64 Linux)" if platform else "this machine"


def _installer(folder: Path, platform: Platform | None) -> list[str]:
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
        foreign = [*platforms, "--python-version", platform.python] if platform else []
        return [*pip, "--only-binary=:all:", *foreign, "--target", str(folder)]
    if uv := shutil.which("uv"):
        foreign = ["--python-platform", "x86_64-manylinux_2_28"]
        foreign = [*foreign, "--python-version", platform.python] if platform else []
        install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", sys.executable]
        return [*install, *foreign, "--target", str(folder)]
    raise DeployError(
        "Neither pip nor uv is there to fetch wheels.",
        suggestion="install one of them: python -m ensurepip",
    )
