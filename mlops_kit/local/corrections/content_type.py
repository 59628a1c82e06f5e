"""An object that is put without a Content-Type is ``binary/octet-stream``, as on AWS; changes nothing else.

Source: S3 API Reference, "PutObject", and what AWS's answers show.
"""

from __future__ import annotations

import functools
from typing import Any

from mlops_kit.local.ministack import module

_DEFAULT = {"content-type": "binary/octet-stream"}


def install() -> None:
    """Put ours around where ministack reads the headers of an object that is written."""
    s3 = module("services.s3")
    record, upload = s3._build_object_record, s3._create_multipart_upload

    @functools.wraps(record)
    def recorded(body: bytes, headers: dict[str, str], *args: Any, **kwargs: Any) -> Any:
        return record(body, {**_DEFAULT, **headers}, *args, **kwargs)

    @functools.wraps(upload)
    def begun(bucket: str, key: str, headers: dict[str, str]) -> Any:
        return upload(bucket, key, {**_DEFAULT, **headers})

    s3._build_object_record, s3._create_multipart_upload = recorded, begun
