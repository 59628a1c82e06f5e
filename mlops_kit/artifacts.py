"""Code and data that a pipeline ships, named by their content; nothing is uploaded here.

An artifact's S3 key holds the digest of what is in it, so that a template is a pure function of its
sources, a changed source is a changed template, and an unchanged one uploads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from mlops_kit.errors import UsageError

Kind = Literal["zip", "tar.gz", "wheel", "file", "site"]

_LAYOUT_VERSION = "1"  # part of every digest: raise it when the packing itself changes
_SKIPPED_FOLDERS = {"__pycache__", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Artifact:
    """Files that travel together to S3.

    Attributes
    ----------
    name : str
        Short name, ``[a-z0-9_]+``; part of the key (and the distribution's name for a wheel).
    kind : {"zip", "tar.gz", "wheel", "file", "site"}
        ``zip`` for Lambda, ``tar.gz`` for SageMaker's source folder, ``wheel`` for Glue's
        ``--extra-py-files``, ``file`` for one file as it is (a Glue script), ``site`` for a zip that a
        SageMaker job puts onto its Python path.
    files : tuple of (str, pathlib.Path)
        Name inside the archive, and the file or folder it is read from; a folder's files keep their
        relative names. Exactly one pair for ``file``.
    requirements : tuple of str
        Pinned distributions that go into the zip, for Lambda's platform; into a ``site`` for the job's, and
        on the embedded AWS not at all, whose jobs run in this environment.
    """

    name: str
    kind: Kind
    files: tuple[tuple[str, Path], ...]
    requirements: tuple[str, ...] = ()

    def members(self) -> Iterator[tuple[str, Path]]:
        """Every file as (name inside the archive, path), sorted by name.

        Raises
        ------
        UsageError
            A source file or folder does not exist.
        """
        found: dict[str, Path] = {}
        for name, path in self.files:
            if path.is_dir():
                for file in path.rglob("*"):
                    inside = file.relative_to(path)
                    if file.is_file() and not _SKIPPED_FOLDERS.intersection(inside.parts):
                        found[f"{name}/{inside.as_posix()}".lstrip("/")] = file
            elif path.is_file():
                found[name] = path
            else:
                raise UsageError(f"Artifact {self.name!r} ships {path}, which does not exist.")
        yield from sorted(found.items())

    @cached_property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 over names, contents and requirements."""
        total = hashlib.sha256(f"{_LAYOUT_VERSION} {self.kind} {' '.join(self.requirements)}\n".encode())
        for name, path in self.members():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{name} {content}\n".encode())
        return total.hexdigest()[:16]

    @property
    def key(self) -> str:
        """Key in the artifact bucket."""
        if self.kind == "wheel":  # pip and Glue read name and version from the file's name
            return f"code/{self.name}/{self.digest}/{self.name}-0.0.0-py3-none-any.whl"
        suffix = {"file": self.files[0][1].suffix.lstrip("."), "site": "zip"}.get(self.kind, self.kind)
        return f"code/{self.name}/{self.digest}.{suffix}"


@dataclass(frozen=True)
class DataFile:
    """A bundled data file that ``apply`` puts into the data bucket where it is missing.

    Attributes
    ----------
    key : str
        Key in the data bucket, such as ``raw/demand/bike_sharing_hourly.csv.gz``.
    path : pathlib.Path
        The file in this repository.
    """

    key: str
    path: Path
