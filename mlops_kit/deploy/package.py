"""Artifacts as bytes that depend on nothing but their sources, uploaded where they are missing.

Must not decide what is shipped: that stands in the stack.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mlops_kit.artifacts import Artifact, DataFile
from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.wheels import JOB, LAMBDA, unpacked
from mlops_kit.errors import UsageError

LAMBDA_LIMIT = 250 * 1024 * 1024  # bytes unpacked: Lambda Developer Guide, "Lambda quotas"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip can hold
_MODE = 0o100644 << 16

Told = Callable[[str], None]


def pack(artifact: Artifact, cache: Path, *, embedded: bool = False) -> bytes:
    """The artifact's bytes; the same sources give the same bytes.

    Parameters
    ----------
    artifact : Artifact
        What to pack.
    cache : pathlib.Path
        Folder for downloaded wheels.
    embedded : bool
        Wheels for the embedded Lambda instead of AWS's.

    Raises
    ------
    UsageError
        A source is missing, or a Lambda zip would be over 250 MB unpacked.
    DeployError
        A requirement has no wheel for Lambda's platform.
    """
    if artifact.kind == "file":
        return next(path for _, path in artifact.members()).read_bytes()
    members = list(artifact.members())
    if artifact.kind == "tar.gz":
        return _tar(members)
    if artifact.kind == "wheel":
        return _wheel(artifact.name, members)
    site = artifact.kind == "site"
    if artifact.requirements and not (site and embedded):
        own = {name for name, _ in members}
        wheels = unpacked(artifact.requirements, cache, JOB if site else LAMBDA, embedded=embedded)
        members += [member for member in wheels if member[0] not in own]
    if not site:
        _check_size(artifact, members)
    return _zip((name, path.read_bytes()) for name, path in sorted(members))


def publish(session: Session, bucket: str, artifacts: Iterable[Artifact], told: Told | None = None) -> int:
    """Upload the artifacts that the bucket does not hold yet.

    Parameters
    ----------
    session : Session
        Where to.
    bucket : str
        The artifact bucket.
    artifacts : iterable of Artifact
        Equal keys are uploaded once.
    told : callable, optional
        Called with a line about each upload.

    Returns
    -------
    int
        Number of uploads.
    """
    s3, count = session.client("s3"), 0
    for key, artifact in {artifact.key: artifact for artifact in artifacts}.items():
        if not _holds(s3, bucket, key):
            cache, embedded = session.settings.state_dir / "wheels", session.settings.target == "local"
            if told and artifact.requirements and not embedded:
                told(f"packing {artifact.name}: {len(artifact.requirements)} distributions")
            body = pack(artifact, cache, embedded=embedded)
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            count += 1
            if told:
                told(f"uploaded {artifact.name} ({_size(len(body))})")
    return count


def put_data(session: Session, bucket: str, files: Iterable[DataFile], told: Told | None = None) -> int:
    """Put bundled data into the bucket where it is missing; what is there is never overwritten.

    Raises
    ------
    UsageError
        A bundled file does not exist.
    """
    s3, count = session.client("s3"), 0
    for file in files:
        if not file.path.is_file():
            raise UsageError(f"The pipeline's data file {file.path} does not exist.")
        if not _holds(s3, bucket, file.key):
            with file.path.open("rb") as body:
                s3.put_object(Bucket=bucket, Key=file.key, Body=body)
            count += 1
            if told:
                told(f"uploaded {file.key} ({_size(file.path.stat().st_size)})")
    return count


def _holds(s3: Any, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def _zip(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.compress_type, entry.create_system = _MODE, zipfile.ZIP_DEFLATED, 3
            archive.writestr(entry, content)
    return buffer.getvalue()


def _tar(members: Iterable[tuple[str, Path]]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path in members:
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _wheel(name: str, members: Iterable[tuple[str, Path]]) -> bytes:
    """A pure wheel with no more metadata than pip asks for (PyPA: "Binary distribution format")."""
    info = f"{name}-0.0.0.dist-info"
    content = {inside: path.read_bytes() for inside, path in members}
    content[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.0\n".encode()
    content[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: mlops-kit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    lines = []
    for inside, body in sorted(content.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        lines.append(f"{inside},sha256={digest},{len(body)}")
    record = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    return _zip([*sorted(content.items()), (f"{info}/RECORD", record.encode())])


def _check_size(artifact: Artifact, members: Iterable[tuple[str, Path]]) -> None:
    sizes: dict[str, int] = {}
    for name, path in members:
        part = name.split("/")[0]
        sizes[part] = sizes.get(part, 0) + path.stat().st_size
    total = sum(sizes.values())
    if total > LAMBDA_LIMIT:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
        raise UsageError(
            f"The Lambda package {artifact.name!r} is {_size(total)} unpacked; Lambda takes 250 MB.",
            cause="largest parts: " + ", ".join(f"{name} {_size(size)}" for name, size in largest),
            suggestion="leave out what the function does not need, or do the work in a job.",
        )


def _size(count: int) -> str:
    for unit, factor in (("MB", 1024 * 1024), ("kB", 1024)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"
