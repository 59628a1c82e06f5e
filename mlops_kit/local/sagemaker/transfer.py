"""Move files between S3 and a job's folder; must not know what they are for."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

_PART = 64 << 20  # bytes of one uploaded part


class DataError(Exception):
    """Data in S3 cannot be read or written; the text is fit for a FailureReason."""


@dataclass(frozen=True)
class Location:
    """A bucket and a key or key prefix."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """The location behind ``s3://bucket/key``.

        Raises
        ------
        DataError
            It is no such URI.
        """
        parts = urlsplit(uri)
        if parts.scheme != "s3" or not parts.netloc:
            raise DataError(f"{uri!r} is no S3 URI.")
        return cls(parts.netloc, uri.split("/", 3)[3] if uri.count("/") > 2 else "")

    def under(self, name: str) -> Location:
        """A location below this one."""
        return Location(self.bucket, f"{self.key.rstrip('/')}/{name}".lstrip("/"))

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


class Transfer:
    """Downloads and uploads through one S3 client.

    Parameters
    ----------
    client : botocore client
        Of S3; used in the calling thread.
    """

    def __init__(self, client: Any) -> None:
        self._s3 = client

    def keys(self, place: Location) -> Iterator[str]:
        """Keys under a prefix, folder markers left out."""
        try:
            for answer in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=place.bucket, Prefix=place.key
            ):
                yield from (
                    item["Key"] for item in answer.get("Contents", []) if not item["Key"].endswith("/")
                )
        except (ClientError, BotoCoreError) as error:
            raise DataError(f"{place.uri}: {error}") from error

    def exists(self, uri: str) -> bool:
        """Whether anything stands under a URI."""
        try:
            return next(self.keys(Location.of(uri)), None) is not None
        except DataError:
            return False

    def get(self, place: Location, target: Path) -> None:
        """Download one object."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self._s3.get_object(Bucket=place.bucket, Key=place.key)["Body"]
            with target.open("wb") as file:
                shutil.copyfileobj(body, file, 1 << 20)
        except (ClientError, BotoCoreError) as error:
            raise DataError(f"{place.uri}: {error}") from error

    def get_prefix(self, uri: str, folder: Path) -> list[Path]:
        """Download every object of a prefix; the names below the prefix's last folder are kept.

        Raises
        ------
        DataError
            Nothing stands under the prefix, or a key would leave the folder.
        """
        place = Location.of(uri)
        found = [(key, _inside(folder, _relative(key, place.key))) for key in self.keys(place)]
        if not found:
            raise DataError(f'No S3 objects found under S3 URL "{uri}" given in input data source.')
        for key, target in found:
            self.get(Location(place.bucket, key), target)
        return [target for _, target in found]

    def get_manifest(self, uri: str, folder: Path) -> list[Path]:
        """Download what a manifest file lists: ``[{"prefix": ...}, "name", ...]``."""
        manifest = folder / Path(uri).name
        self.get(Location.of(uri), manifest)
        try:
            head, *names = json.loads(manifest.read_text())
            prefix = head["prefix"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{uri} is no manifest file.") from error
        targets = [_inside(folder, name) for name in names]
        for name, target in zip(names, targets, strict=True):
            self.get(Location.of(prefix + name), target)
        return targets

    def put(self, source: Path, place: Location) -> None:
        """Upload one file, in parts when it is big."""
        try:
            if source.stat().st_size <= _PART:
                self._s3.put_object(Bucket=place.bucket, Key=place.key, Body=source.read_bytes())
            else:
                self._put_parts(source, place)
        except (ClientError, BotoCoreError) as error:
            raise DataError(f"{place.uri}: {error}") from error

    def put_folder(self, folder: Path, place: Location) -> None:
        """Upload every file of a folder under a prefix; links that leave the folder are not followed."""
        root = folder.resolve()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.resolve().is_relative_to(root):
                self.put(path, place.under(path.relative_to(folder).as_posix()))

    def _put_parts(self, source: Path, place: Location) -> None:
        target = {"Bucket": place.bucket, "Key": place.key}
        upload = {**target, "UploadId": self._s3.create_multipart_upload(**target)["UploadId"]}
        parts: list[dict[str, Any]] = []
        with source.open("rb") as file:
            while data := file.read(_PART):
                number = len(parts) + 1
                answer = self._s3.upload_part(**upload, PartNumber=number, Body=data)
                parts.append({"ETag": answer["ETag"], "PartNumber": number})
        self._s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def expand(path: Path, compression: str) -> Path:
    """Decompress a file in place (``Gzip`` or ``Bzip2``), dropping its suffix; ``None`` leaves it.

    Raises
    ------
    DataError
        The file is not compressed so.
    """
    openers: dict[str, Callable[..., Any]] = {"Gzip": gzip.open, "Bzip2": bz2.open}
    opener = openers.get(compression)
    if opener is None:
        return path
    target = path.with_suffix("") if path.suffix in {".gz", ".bz2"} else path.with_name(f"{path.name}.plain")
    try:
        with opener(path, "rb") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (OSError, EOFError) as error:
        raise DataError(f"{path.name} is not compressed with {compression}: {error}") from error
    path.unlink()
    return target


def _relative(key: str, prefix: str) -> str:
    """A key's name in the folder: below the prefix if that is one, else below the prefix's own folder."""
    if key == prefix:
        return key.rsplit("/", 1)[-1]
    folder = prefix if prefix.endswith("/") or key.startswith(f"{prefix}/") else prefix.rpartition("/")[0]
    return key[len(folder) :].lstrip("/")


def _inside(folder: Path, name: str) -> Path:
    target = folder / name
    if ".." in Path(name).parts or not target.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"The key {name!r} would be written outside its folder.")
    return target
