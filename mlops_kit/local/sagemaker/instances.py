"""What an instance type means on this machine: how much memory, how many at once; must not start anything."""

from __future__ import annotations

import re

from mlops_kit.local.service import AwsError

MOST = 20  # of one kind at once: AWS's default quotas are of this order
_GIB_PER_CPU = {"c": 2, "r": 8, "x": 16}  # other families: 4
_CPUS = {"medium": 1, "large": 2}  # and 4 for each x of xlarge
_LEAST_GIB = 4  # numerical libraries reserve address space generously


def memory(instance_type: str | None) -> int | None:
    """Bytes of memory of an instance type, at least 4 GiB; None where the name says nothing.

    Source: the regular pattern of "Amazon EC2 instance types": 2, 4 or 8 GiB a virtual CPU by family.
    """
    match = re.fullmatch(r"ml\.([a-z]+)\w*\.(medium|large|(\d*)xlarge)", instance_type or "")
    if match is None:
        return None
    cpus = _CPUS.get(match[2]) or 4 * int(match[3] or 1)
    return max(_LEAST_GIB, cpus * _GIB_PER_CPU.get(match[1][0], 4)) << 30


def check_quota(instance_type: str | None, usage: str, running: int, wanted: int, limit: int) -> None:
    """Refuse what goes over the limit, in the words of AWS's service quotas.

    Raises
    ------
    AwsError
        ``ResourceLimitExceeded``.
    """
    if running + wanted > limit:
        raise AwsError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{instance_type} for {usage} usage' is {limit} Instances, with "
            f"current utilization of {running} Instances and a request delta of {wanted} Instances. Please "
            "use AWS Service Quotas to request an increase for this quota. If AWS Service Quotas is not "
            "available, contact AWS support to request an increase for this quota.",
        )
