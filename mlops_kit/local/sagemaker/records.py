"""What SageMaker remembers of one kind of resource, by region and name; must not know what it means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import ACCOUNT, AwsError

if TYPE_CHECKING:
    from mlops_kit.local.clock import Clock
    from mlops_kit.local.service import Context
    from mlops_kit.local.store import Store

ROLE_SESSION = "SageMaker"  # as AWS names the session of a job's or model's role

Record = dict[str, Any]
"""``Region``, ``View`` (the Describe answer), ``Tags`` (AWS's list), and what its owner adds."""


def arn(region: str, path: str, name: str) -> str:
    """ARN of a resource; SageMaker writes the name in lower case."""
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{path}/{name.lower()}"


def moment(clock: Clock) -> datetime:
    """The embedded time, to the millisecond as SageMaker answers it."""
    return datetime.fromtimestamp(round(clock.now(), 3), UTC)


def refusal(message: str) -> AwsError:
    """A ValidationException, which SageMaker answers for nearly everything that it refuses."""
    return AwsError("ValidationException", message)


def check_role(context: Context, role_arn: str | None, resource: str) -> None:
    """Refuse a role that SageMaker may not assume, where policies are enforced."""
    known = context.authorization
    if known is not None and role_arn and not known.assumable(role_arn, "sagemaker.amazonaws.com", resource):
        raise refusal(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role."
        )


class Table:
    """Records of one kind, durable when a call returns.

    Parameters
    ----------
    store : Store
        The one SQLite file.
    path : str
        What stands before the name in the ARN, such as ``training-job``.
    arn_member : str
        Member of the Describe answer that holds the ARN.
    """

    def __init__(self, store: Store, path: str, arn_member: str) -> None:
        self.path = path
        self.arn_member = arn_member
        self._store = store
        self._kind = f"sagemaker/{path}"

    def get(self, region: str, name: str) -> Record | None:
        """One record, or None."""
        return self._store.get(self._kind, f"{region}/{name}")

    def put(self, name: str, record: Record) -> None:
        """Write a record."""
        self._store.put(self._kind, f"{record['Region']}/{name}", record)

    def delete(self, region: str, name: str) -> bool:
        """Remove a record; False when there was none."""
        return self._store.delete(self._kind, f"{region}/{name}")

    def all(self, region: str | None = None) -> list[Record]:
        """Records in the order of their creation, of one region or of all."""
        return [record for record in self._store.list(self._kind) if region in (None, record["Region"])]

    def by_arn(self, arn: str) -> Record | None:
        """The record whose Describe answer carries this ARN."""
        region = arn.split(":")[3]
        return next((record for record in self.all(region) if record["View"][self.arn_member] == arn), None)
