"""Raw rows from S3 as a table; must not judge or change them."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pandas as pd


def read(s3: Any, bucket: str, key: str) -> pd.DataFrame:
    """A CSV object, packed by gzip if its key ends so.

    Parameters
    ----------
    s3 : botocore client
        Of the service ``s3``.
    bucket, key : str
        Where it is.
    """
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return pd.read_csv(io.BytesIO(gzip.decompress(body) if key.endswith(".gz") else body))
