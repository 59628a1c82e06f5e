"""RemoveUnused: endpoints, configurations and models that no champion needs; must not touch a model package.

Only what carries the project's tag and is older than the grace period goes. What an endpoint still names
stays until the endpoint is gone: so a forgotten endpoint's configuration and model go in the run after.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

TAG_PROJECT, TAG_PIPELINE = "mlops-kit:project", "mlops-kit:pipeline"
GRACE_DAYS = 7
LISTED = 200  # names an answer lists of a kind: a state's output takes 256 KB
ROLLBACKS = 10  # approved versions among which the one before is looked for
IN_SERVICE_AS = "in service as "  # how ApproveModel says which configuration a champion serves by


class BadInput(Exception):
    """The input asks for what cannot be."""


class NotRemoved(Exception):
    """SageMaker refused to remove something."""


@dataclass(frozen=True)
class Item:
    """An endpoint, a configuration or a model of the project.

    Attributes
    ----------
    kind : str
        ``Endpoint``, ``EndpointConfig`` or ``Model``.
    name, pipeline : str
        Its name, and the pipeline that made it.
    changed : datetime.datetime
        When it was made or, an endpoint, last changed.
    status : str
        Of an endpoint.
    """

    kind: str
    name: str
    pipeline: str
    changed: datetime
    status: str = ""


@dataclass
class Needed:
    """Names that stay, each with its reason, by kind."""

    endpoints: dict[str, str] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Remove what is not needed, or list it.

    Parameters
    ----------
    event : dict
        ``dry_run``: only list; ``grace_days``: keep what is younger, default 7.
    context : object
        Not used.

    Returns
    -------
    dict
        ``dry_run``, ``grace_days``, ``removed`` and ``kept`` (lists of ``kind``, ``name``, ``reason``),
        ``counts``, and ``text`` for people.

    Raises
    ------
    BadInput
        A member has another type.
    NotRemoved
        SageMaker refused something; everything else was done.
    """
    dry_run, days = _options(event)
    project = os.environ["PROJECT"]
    client = boto3.client("sagemaker", config=Config(retries={"mode": "adaptive", "max_attempts": 10}))
    items = list(_items(client, project))
    needed = _needed(client, items, project)
    oldest = datetime.now(UTC) - timedelta(days=days)
    removed, kept, refused = [], [], []
    for item in items:
        if reason := _reason_to_keep(item, needed, oldest, days):
            kept.append(_entry(item, reason))
        elif dry_run or not (error := _remove(client, item)):
            removed.append(_entry(item, "no champion needs it"))
        else:
            refused.append(f"{item.kind} {item.name}: {error}")
    if refused:
        raise NotRemoved(f"removed {len(removed)}, not: " + "; ".join(refused[:10]))
    return {
        "dry_run": dry_run,
        "grace_days": days,
        "removed": removed[:LISTED],
        "kept": kept[:LISTED],
        "counts": {"removed": len(removed), "kept": len(kept)},
        "text": _text(dry_run, removed, kept),
    }


def _options(event: Mapping[str, Any]) -> tuple[bool, int]:
    dry_run, days = event.get("dry_run", False), event.get("grace_days", GRACE_DAYS)
    if not isinstance(dry_run, bool):
        raise BadInput(f"dry_run is {dry_run!r}: give true or false")
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= 3650:
        raise BadInput(f"grace_days is {days!r}: give whole days, 0 to 3650")
    return dry_run, days


def _items(client: Any, project: str) -> Iterator[Item]:
    """The project's endpoints, then configurations, then models: the order in which they can be removed."""
    kinds = (
        ("Endpoint", "list_endpoints", "LastModifiedTime"),
        ("EndpointConfig", "list_endpoint_configs", "CreationTime"),
        ("Model", "list_models", "CreationTime"),
    )
    for kind, operation, time in kinds:
        pages = client.get_paginator(operation).paginate(NameContains=project)
        for one in (one for page in pages for one in page[f"{kind}s"]):
            name = one[f"{kind}Name"]
            if not name.startswith(f"{project}-"):
                continue
            tags = _tags(client, one[f"{kind}Arn"])
            if tags.get(TAG_PROJECT) == project:
                yield Item(kind, name, tags.get(TAG_PIPELINE, ""), one[time], one.get("EndpointStatus", ""))


def _tags(client: Any, arn: str) -> dict[str, str]:
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    try:
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    except ClientError as error:
        if _gone(error):
            return {}
        raise


def _needed(client: Any, items: Sequence[Item], project: str) -> Needed:
    """Follow what serves: a champion's endpoint, its configuration and the one before, and their models."""
    needed = Needed()
    champions = dict(_champions(client, project))
    configs = [item for item in items if item.kind == "EndpointConfig"]
    for endpoint in (item for item in items if item.kind == "Endpoint"):
        serving = client.describe_endpoint(EndpointName=endpoint.name)["EndpointConfigName"]
        needed.configs[serving] = f"the endpoint {endpoint.name} names it"
        if packages := champions.get(endpoint.name):
            needed.endpoints[endpoint.name] = "a champion serves there"
            if before := _before(serving, packages, configs):
                needed.configs.setdefault(before, f"the endpoint {endpoint.name} can be rolled back to it")
    for config in configs:
        if config.name in needed.configs:
            needed.models |= dict.fromkeys(
                _models(client, config), f"the configuration {config.name} names it"
            )
    by_data = {uri: packages[0] for packages in champions.values() for uri in _data(packages[0])}
    for model in (item for item in items if item.kind == "Model" and item.name not in needed.models):
        found = client.describe_model(ModelName=model.name)
        for uri in _data({"Containers": found.get("Containers") or [found.get("PrimaryContainer", {})]}):
            if uri in by_data:
                needed.models[model.name] = f"it is the champion {by_data[uri]['ModelPackageArn']}"
    return needed


def _champions(client: Any, project: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each group's approved versions that a rollback could name, newest first; the first is the champion."""
    pages = client.get_paginator("list_model_package_groups").paginate(NameContains=project)
    for group in (
        one["ModelPackageGroupName"] for page in pages for one in page["ModelPackageGroupSummaryList"]
    ):
        found = client.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=ROLLBACKS,
        )["ModelPackageSummaryList"]
        if found and group.startswith(f"{project}-"):
            yield (
                group,
                [client.describe_model_package(ModelPackageName=one["ModelPackageArn"]) for one in found],
            )


def _before(serving: str, packages: Sequence[Mapping[str, Any]], configs: Sequence[Item]) -> str | None:
    """The configuration by which a champion served before; where no approval says, the next older one."""
    there = {config.name: config for config in configs}
    for package in packages:
        name = str(package.get("ApprovalDescription", "")).removeprefix(IN_SERVICE_AS)
        if name in there and name != serving:
            return name
    if serving not in there:
        return None
    now = there[serving]
    older = [one for one in configs if one.pipeline == now.pipeline and one.changed < now.changed]
    newest = max(older, key=lambda one: one.changed, default=None)
    return newest.name if newest else None


def _models(client: Any, config: Item) -> Iterator[str]:
    found = client.describe_endpoint_config(EndpointConfigName=config.name)
    for variant in (*found["ProductionVariants"], *found.get("ShadowProductionVariants", ())):
        if "ModelName" in variant:
            yield variant["ModelName"]


def _data(package: Mapping[str, Any]) -> Iterator[str]:
    """Where the trained models of a package's or a model's containers lie."""
    containers = package.get("InferenceSpecification", package).get("Containers", ())
    return (one["ModelDataUrl"] for one in containers if one.get("ModelDataUrl"))


def _reason_to_keep(item: Item, needed: Needed, oldest: datetime, days: int) -> str | None:
    names = {"Endpoint": needed.endpoints, "EndpointConfig": needed.configs, "Model": needed.models}
    if reason := names[item.kind].get(item.name):
        return reason
    if item.status and item.status not in ("InService", "Failed", "OutOfService"):
        return f"it is {item.status}"
    return f"it is younger than {days} days" if item.changed > oldest else None


def _remove(client: Any, item: Item) -> str:
    """Remove it; SageMaker's words where it refuses."""
    removals: dict[str, Callable[..., Any]] = {
        "Endpoint": client.delete_endpoint,
        "EndpointConfig": client.delete_endpoint_config,
        "Model": client.delete_model,
    }
    try:
        removals[item.kind](**{f"{item.kind}Name": item.name})
    except ClientError as error:
        return "" if _gone(error) else str(error)
    return ""


def _gone(error: ClientError) -> bool:
    """Whether somebody else has removed it meanwhile."""
    return "Could not find" in str(error)


def _entry(item: Item, reason: str) -> dict[str, str]:
    return {"kind": item.kind, "name": item.name, "reason": reason}


def _text(dry_run: bool, removed: Sequence[Mapping[str, str]], kept: Sequence[Mapping[str, str]]) -> str:
    lines = [f"{'Would remove' if dry_run else 'Removed'} {len(removed)}, kept {len(kept)}."]
    lines += [f"- {one['kind']} {one['name']}" for one in removed[:LISTED]]
    return "\n".join(lines)
