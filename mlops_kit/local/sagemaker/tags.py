"""Tags of every SageMaker resource; must not know what a resource is beyond its ARN."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mlops_kit.local.sagemaker.records import Record, Table, refusal
from mlops_kit.local.service import Handler, Request

_MOST = 50  # Quotas and naming limits: 50 tags a resource


class Tags:
    """AddTags, ListTags and DeleteTags.

    Parameters
    ----------
    tables : iterable of Table
        Every kind of resource that can carry tags.
    lock : threading.RLock
        Held by whoever changes a record.
    """

    def __init__(self, tables: Iterable[Table], lock: threading.RLock) -> None:
        self._tables = {table.path: table for table in tables}
        self._lock = lock

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        return {"AddTags": self.add, "ListTags": self.tags_of, "DeleteTags": self.delete}

    def collected(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Every resource's ARN and tags, for conditions on ``aws:ResourceTag``."""
        for table in self._tables.values():
            for record in table.all():
                yield record["View"][table.arn_member], record["Tags"]

    def add(self, request: Request) -> dict[str, Any]:
        """AddTags: a key that is there gets the new value."""
        with self._lock:
            table, name, record = self._find(request.params["ResourceArn"])
            record["Tags"] = checked([*record["Tags"], *request.params["Tags"]])
            table.put(name, record)
        return {"Tags": record["Tags"]}

    def tags_of(self, request: Request) -> dict[str, Any]:
        """ListTags, in one page."""
        _, _, record = self._find(request.params["ResourceArn"])
        return {"Tags": record["Tags"]}

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteTags: unknown keys are ignored."""
        gone = set(request.params["TagKeys"])
        with self._lock:
            table, name, record = self._find(request.params["ResourceArn"])
            record["Tags"] = [tag for tag in record["Tags"] if tag["Key"] not in gone]
            table.put(name, record)
        return {}

    def _find(self, arn: str) -> tuple[Table, str, Record]:
        path = arn.split(":", 5)[-1].split("/", 1)[0]
        table = self._tables.get(path)
        record = table.by_arn(arn) if table else None
        if table is None or record is None:
            raise refusal(f'Could not find resource "{arn}".')
        return table, record["Name"], record


def checked(tags: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Tags with one value a key, the last one given.

    Raises
    ------
    AwsError
        There are more than 50.
    """
    merged = {tag["Key"]: tag["Value"] for tag in tags}
    if len(merged) > _MOST:
        raise refusal(f"A resource can have at most {_MOST} tags; {len(merged)} were given.")
    return [{"Key": key, "Value": value} for key, value in merged.items()]


def as_mapping(record: Record) -> dict[str, str]:
    """Tags of a record as an event carries them."""
    return {tag["Key"]: tag["Value"] for tag in record["Tags"]}
