"""Let an object be encrypted with aws:kms without naming a key, as AWS does with the account's aws/s3 key.

ministack refuses such a write, and the SageMaker SDK makes one for every source folder that it uploads.
"""

from __future__ import annotations

from typing import Any

from mlops_kit.local.ministack import module
from mlops_kit.local.service import ACCOUNT

_KIND = "x-amz-server-side-encryption"
_KEY = f"{_KIND}-aws-kms-key-id"


def install() -> None:
    """Name the account's own key where a write names none."""
    loaded = module("services.s3")
    resolve = loaded._resolve_sse_write_headers
    region = module("core.responses").get_region

    def resolved(headers: dict[str, str], bucket: str) -> Any:
        if headers.get(_KIND) == "aws:kms" and not headers.get(_KEY):
            headers = {**headers, _KEY: f"arn:aws:kms:{region()}:{ACCOUNT}:alias/aws/s3"}
        return resolve(headers, bucket)

    loaded._resolve_sse_write_headers = resolved
