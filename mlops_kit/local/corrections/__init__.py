"""Small corrections in front of ministack, one module a subject; none of its files is edited or copied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_kit.local.authorization import Authorization
    from mlops_kit.local.service import Metric


def install(
    client: Callable[[str, str], Any], changed: Callable[[str], None], save: Callable[[], Awaitable[None]]
) -> None:
    """Put all corrections in, each as soon as ministack loads the module that it is about.

    Parameters
    ----------
    client : callable
        ``client(service, region)``: a botocore client of our port.
    changed : callable
        ``changed(service)``, to be called when a service has changed outside of any request.
    save : callable
        Brings what has changed to disk; awaited on the loop.
    """
    from mlops_kit.local.corrections import (
        athena,
        background,
        bounds,
        content_type,
        ecs,
        encryption,
        entries,
        objects,
    )
    from mlops_kit.local.ministack import after_import

    for name in background.PLACES:
        after_import(name, lambda name=name: background.install(name, changed))  # type: ignore[misc]
    after_import("services.cloudwatch_logs", bounds.install_logs)
    after_import("services.cloudwatch", bounds.install_metrics)
    after_import("services.eventbridge", bounds.install_events)
    after_import("services.eventbridge", entries.install)
    after_import("services.s3", encryption.install)
    after_import("services.s3", objects.install)
    after_import("services.s3", content_type.install)
    after_import("services.athena", lambda: athena.install(changed))
    after_import("services.ecs", ecs.install)
    after_import("services.cloudformation", lambda: _correct_stacks(client, changed, save))


def enforce(authorization: Authorization, metric: Metric) -> None:
    """Hold to their policies the roles that ministack itself acts as; after `install`."""
    from mlops_kit.local.corrections import rule_roles
    from mlops_kit.local.ministack import after_import

    after_import("services.eventbridge", lambda: rule_roles.install(authorization, metric))


def _correct_stacks(
    client: Callable[[str, str], Any], changed: Callable[[str], None], save: Callable[[], Awaitable[None]]
) -> None:
    from mlops_kit.local import cloudformation
    from mlops_kit.local.corrections import changesets, interrupted, resources, stacks
    from mlops_kit.local.ministack import module, physical_name

    responses = module("core.responses")
    calls = cloudformation.Calls(lambda service: client(service, responses.get_region()), physical_name)
    table = resources.table()
    table.update(cloudformation.handlers(calls))
    resources.install(table, calls)
    stacks.install(lambda: changed("cloudformation"))
    changesets.install()
    interrupted.install(save)
