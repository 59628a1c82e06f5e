"""S3 writes that the disk refuses are refused to the caller, and leave what was there; serves no other call.

ministack acknowledges such a write and keeps it in memory: the next start would have forgotten it.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlops_kit.local.ministack import module
from mlops_kit.local.service import disk_refused

_WRITES = ("_put_object", "_copy_object", "_complete_multipart_upload")
_UPLOADS = ("_multipart_uploads", "_completed_multipart_uploads")
_KEPT_BY_KEY = ("_object_tags", "_object_acl", "_object_annotations")


def install() -> None:
    """Put ours around ministack's writes of objects."""
    s3 = module("services.s3")
    refusals = _Refusals()
    s3._atomic_write = refusals.noting(s3._atomic_write)
    for name in _WRITES:
        setattr(s3, name, _undone(s3, getattr(s3, name), refusals))


class _Refusals(threading.local):
    """What the disk refused in this thread since it was asked last."""

    last: OSError | None = None

    def noting(self, write: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(write)
        def noted(*args: Any, **kwargs: Any) -> None:
            try:
                write(*args, **kwargs)
            except OSError as error:
                self.last = error
                raise

        return noted

    def take(self) -> OSError | None:
        last, self.last = self.last, None
        return last


def _undone(s3: Any, write: Callable[..., Any], refusals: _Refusals) -> Callable[..., Any]:
    """A write that is taken back when its files could not be written."""

    @functools.wraps(write)
    def whole(bucket: str, key: str, *args: Any, **kwargs: Any) -> Any:
        restore = _before(s3, bucket, key)
        refusals.take()
        with _kept(s3._object_disk_path(bucket, key)) as put_back:
            answer = write(bucket, key, *args, **kwargs)
            refusal = refusals.take()
            if refusal is None:
                return answer
            put_back()
        restore()
        error = disk_refused(refusal.strerror)
        return s3._error(error.code, error.message, error.status, f"/{bucket}/{key}")

    return whole


@contextlib.contextmanager
def _kept(path: str | None) -> Iterator[Callable[[], None]]:
    """Hold on to an object's files; gives what puts them back: the body may be written, and not the rest."""
    if path is None:
        yield lambda: None
        return
    body, rest = Path(path), Path(f"{path}.meta.json")
    had_rest = rest.is_file()
    with tempfile.TemporaryDirectory(prefix="s3-") as folder:
        held = Path(folder, "body")
        if body.is_file():
            held.hardlink_to(body)

        def put_back() -> None:
            if held.is_file():
                held.replace(body)
            else:
                body.unlink(missing_ok=True)
            if not had_rest:
                rest.unlink(missing_ok=True)

        yield put_back


def _before(s3: Any, bucket: str, key: str) -> Callable[[], None]:
    """Take down all that a write changes in memory; gives what puts it back."""
    found = s3._buckets.get(bucket)
    objects = found["objects"] if found is not None else {}
    current = objects.get(key)
    version = current.get("version_id") if current is not None else None
    places: list[tuple[Any, Any]] = [(objects, key), (s3._object_versions, (bucket, key))]
    places += [(getattr(s3, name), (bucket, key, version)) for name in _KEPT_BY_KEY]
    kept = [(store, where, _copy(store.get(where))) for store, where in places]
    uploads = [(store, dict(store.items())) for store in (getattr(s3, name) for name in _UPLOADS)]

    def restore() -> None:
        for store, where, value in kept:
            if value is None:
                store.pop(where, None)
            else:
                store[where] = value
        for store, known in uploads:
            for name in set(store.keys()) - known.keys():
                store.pop(name)
            store.update(known)

    return restore


def _copy(value: Any) -> Any:
    return [dict(entry) for entry in value] if isinstance(value, list) else value
