"""Pack and unpack the archives of jobs and models; must not trust what it unpacks."""

from __future__ import annotations

import tarfile
from pathlib import Path

MOST_BYTES = 20 << 30  # unpacked; SageMaker's own bound on model data for a CPU endpoint is of this order
_MOST_MEMBERS = 200_000


class ArchiveError(Exception):
    """An archive that is damaged, too big, or reaches outside its folder."""


def pack(folder: Path, archive: Path) -> Path:
    """Write a folder's content as a gzipped tar, members named relative to the folder.

    Compression is fast rather than small: the archive never leaves this machine.
    """
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, arcname=path.name)
    return archive


def unpack(archive: Path, folder: Path) -> None:
    """Extract a gzipped tar below a folder.

    Raises
    ------
    ArchiveError
        It is no gzipped tar, unpacks to more than `MOST_BYTES`, or has a member (path, link, device) that
        would reach outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:*") as tar:
            tar.extractall(folder, members=_bounded(tar, archive.name), filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}") from error


def _bounded(tar: tarfile.TarFile, archive: str) -> list[tarfile.TarInfo]:
    members = []
    total = 0
    for member in tar:
        members.append(member)
        total += member.size
        if total > MOST_BYTES or len(members) > _MOST_MEMBERS:
            raise ArchiveError(f"{archive} unpacks to more than {MOST_BYTES} bytes or {_MOST_MEMBERS} files")
    return members
