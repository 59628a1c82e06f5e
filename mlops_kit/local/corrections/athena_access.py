"""Whether whoever started a query may read and write what it touches: Athena has no rights of its own.

Does nothing for the administrator. Source: Athena User Guide, "Access from Athena to Amazon S3", "Access to
databases and tables in AWS Glue"; the words are Athena's.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlparse

from mlops_kit.local.authorization import denial
from mlops_kit.local.authorization_policies import CALLING, Caller, decide
from mlops_kit.local.corrections.athena_values import QueryFailed
from mlops_kit.local.ministack import module
from mlops_kit.local.service import ACCOUNT


def catalogue(action: str, database: str, table: str) -> None:
    """Refuse an action of the Glue catalogue on a table, its database and the catalogue.

    Raises
    ------
    QueryFailed
        With the refusal.
    """
    caller, region = CALLING.get(), str(module("core.responses").get_region())
    if caller is None:
        return
    base = f"arn:aws:glue:{region}:{ACCOUNT}:"
    for resource in ("catalog", f"database/{database}", f"table/{database}/{table}"):
        decision = decide(caller, f"glue:{action}", base + resource, {}, region)
        if not decision.allowed:
            words = denial(caller.arn, f"glue:{action}", base + resource, decision)
            raise QueryFailed(f"Insufficient permissions to execute the query. {words}")


def read(location: str, keys: Iterable[str]) -> None:
    """Refuse a location that may not be listed, or an object under it that may not be read.

    Raises
    ------
    QueryFailed
        With the path.
    """
    caller = CALLING.get()
    if caller is None:
        return
    place = urlparse(location)
    bucket, prefix = f"arn:aws:s3:::{place.netloc}", place.path.lstrip("/")
    if not _may(caller, "s3:ListBucket", bucket, {"s3:prefix": prefix}):
        raise QueryFailed(f"Permission denied on S3 path: {location}")
    for key in keys:
        if not _may(caller, "s3:GetObject", f"{bucket}/{key}"):
            raise QueryFailed(f"Permission denied on S3 path: s3://{place.netloc}/{key}")


def write(uri: str) -> None:
    """Refuse an object that may not be written.

    Raises
    ------
    QueryFailed
        With its URI.
    """
    caller, place = CALLING.get(), urlparse(uri)
    if caller is not None and not _may(caller, "s3:PutObject", f"arn:aws:s3:::{place.netloc}{place.path}"):
        raise QueryFailed(
            f"Access denied when writing output to url: {uri} . Please ensure you are allowed to access the "
            "S3 bucket. If you are encrypting query results with KMS key, please ensure you are allowed to "
            "access your KMS key"
        )


def _may(caller: Caller, action: str, resource: str, context: dict[str, str] | None = None) -> bool:
    region = str(module("core.responses").get_region())
    return decide(caller, action, resource, context or {}, region).allowed
