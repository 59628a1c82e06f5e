"""How an object is encrypted when a write does not say all: with S3's own key, or the account's aws/s3 key.

ministack shows no encryption where AWS shows AES256, and refuses aws:kms without a key, which the SageMaker
SDK sends for every source folder that it uploads.

Source: S3 User Guide, "Setting default server-side encryption behavior for Amazon S3 buckets".
"""

from __future__ import annotations

from typing import Any

from mlops_kit.local.ministack import module
from mlops_kit.local.service import ACCOUNT

_KIND = "x-amz-server-side-encryption"
_KEY = f"{_KIND}-aws-kms-key-id"


def install() -> None:
    """Name S3's own encryption where neither write nor bucket names one, and the account's own key."""
    loaded = module("services.s3")
    resolve = loaded._resolve_sse_write_headers
    region = module("core.responses").get_region

    def resolved(headers: dict[str, str], bucket: str) -> Any:
        if headers.get(_KIND) == "aws:kms" and not headers.get(_KEY):
            headers = {**headers, _KEY: f"arn:aws:kms:{region()}:{ACCOUNT}:alias/aws/s3"}
        found, refusal = resolve(headers, bucket)
        return (found, refusal) if found or refusal else ({_KIND: "AES256"}, None)

    loaded._resolve_sse_write_headers = resolved
