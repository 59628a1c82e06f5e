"""Small corrections in front of ministack, one module a subject; none of its files is edited or copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def install(client: Callable[[str, str], Any], changed: Callable[[], None]) -> None:
    """Put all corrections in; ministack is imported, and no request has been served.

    Parameters
    ----------
    client : callable
        ``client(service, region)``: a botocore client of our port.
    changed : callable
        To be told when a stack has changed resources after its request was answered.
    """
    from mlops_kit.local import cloudformation
    from mlops_kit.local.corrections import changesets, resources, stacks
    from mlops_kit.local.ministack import module, physical_name

    responses = module("core.responses")
    calls = cloudformation.Calls(lambda service: client(service, responses.get_region()), physical_name)
    table = resources.table()
    table.update(cloudformation.handlers(calls))
    resources.install(table, calls)
    stacks.install(changed)
    changesets.install()
