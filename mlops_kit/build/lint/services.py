"""Service integrations against the services' models: names of services, actions and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl import resources
from mlops_kit.build.lint import models
from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.names import near, nearest
from mlops_kit.build.lint.tasks import Task, is_open, tasks

# bedrock takes the body from S3 instead; its API's own list of required members does not hold then
_OWN_MEMBERS = {"bedrock:invokeModel": frozenset({"Input", "Output"})}


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of Tasks whose integration AWS does not have, or whose parameters it does not take."""
    for task in tasks(definition):
        resource = task.resource
        if resource is None or resource.kind not in ("sdk", "optimized"):
            continue
        wrong = _sdk(resource) if resource.kind == "sdk" else _optimized(resource)
        if wrong:
            yield Finding(task.place.name, "Resource", *wrong)
        elif (model := models.operation(resource)) is not None and model.input_shape is not None:
            yield from _parameters(task, model.input_shape)


def _sdk(resource: resources.Resource) -> tuple[str, str] | None:
    if resource.pattern in (resources.SYNC, resources.SYNC_2):
        return (
            f"SDK integrations have no {resource.pattern}: the service answers at once.",
            "poll with a describe call, a Choice and a Wait, or use the optimized integration.",
        )
    known = models.sdk_services()
    if resource.service not in known:
        by_folder = {name.replace("-", ""): sdk for sdk, name in known.items()}
        meant = by_folder.get(resource.service) or near(resource.service, known)
        return f"There is no service {resource.service!r} in the AWS SDK.", _meant(
            meant and f"aws-sdk:{meant}", "use the SDK's name of the service in lower case."
        )
    actions = models.actions(known[resource.service])
    if resource.action not in actions:
        return f"{resource.service} has no action {resource.action!r}.", _meant(
            near(resource.action, actions), "use the API's action with a small first letter."
        )
    return None


def _optimized(resource: resources.Resource) -> tuple[str, str] | None:
    if resources.recognized(resource):
        return None
    known = resources.OPTIMIZED.get(resource.service)
    if known is None:
        if resource.service in resources.UNLISTED:
            return f"{resource.service} has no {resource.pattern}.", "leave the suffix out."
        sdk = near(resource.service, models.sdk_services(), 0.9)
        other = (
            f"call it as aws-sdk:{sdk}:{resource.action}."
            if sdk
            else f"use one of: {', '.join(sorted(resources.OPTIMIZED))}; or aws-sdk:SERVICE:ACTION."
        )
        return f"Step Functions has no optimized integration {resource.service!r}.", _meant(
            near(resource.service, resources.OPTIMIZED), other
        )
    if resource.action not in known:
        meant = near(resource.action, known)
        return f"The optimized integration of {resource.service} has no action {resource.action!r}.", _meant(
            meant and f"{resource.service}:{meant}", f"use aws-sdk:{resource.service}:{resource.action}."
        )
    patterns = ", ".join(pattern or "no suffix" for pattern in known[resource.action])
    return (
        f"{resource.service}:{resource.action} has no {resource.pattern or 'request-response form'}.",
        f"use one of: {patterns}.",
    )


def _meant(name: str | None, otherwise: str) -> str:
    return f"did you mean {name}? Otherwise {otherwise}" if name else otherwise


def _parameters(task: Task, shape: Any) -> Iterator[Finding]:
    given, resource = task.parameters, task.resource
    if not isinstance(given, Mapping) or resource is None:
        return
    own = _OWN_MEMBERS.get(f"{resource.service}:{resource.action}", frozenset())
    known = {name: value for name, value in given.items() if name not in own}
    yield from _structure(task, known, shape, task.field)
    if own:
        return
    have = {name.removesuffix(".$").lower() for name in given}
    for name in shape.required_members:
        if name.lower() not in have and not shape.members[name].metadata.get("idempotencyToken"):
            title = name[0].upper() + name[1:]
            yield Finding(
                task.place.name,
                task.field,
                f"{resource.service}:{resource.action} needs {title}, which is missing.",
                f"add {title}.",
            )


def _value(task: Task, value: Any, shape: Any, path: str) -> Iterator[Finding]:
    kind = shape.type_name
    if is_open(value, task.jsonata):
        return
    if value is None:
        words = {"list": "a list", "structure": "an object", "map": "an object", "string": "a text"}.get(kind)
        if words:
            yield _finding(
                task, path, f"It is null where the API takes {words}.", "leave the member out.", "warning"
            )
    elif kind == "structure" and shape.members:
        if isinstance(value, Mapping):
            yield from _structure(task, value, shape, path)
        else:
            yield _finding(task, path, "The API takes an object here.", "give an object.")
    elif kind == "list":
        if not isinstance(value, list):
            yield _finding(task, path, "The API takes a list here.", "put it into a list.")
            return
        for i, item in enumerate(value):
            yield from _value(task, item, shape.member, f"{path}[{i}]")
    elif kind == "map" and isinstance(value, Mapping):
        for key, item in value.items():
            if not key.endswith(".$"):
                yield from _value(task, item, shape.value, f"{path}/{key}")
    elif kind == "string" and isinstance(value, (bool, int, float)):
        yield _finding(
            task, path, f"The API takes a text here, not {value!r}.", "put it into quotes.", "warning"
        )


def _structure(task: Task, value: Mapping[str, Any], shape: Any, path: str) -> Iterator[Finding]:
    known = models.members(shape)
    folded = {name.lower(): name for name in known}
    for key, item in value.items():
        name = key.removesuffix(".$")
        exact = folded.get(name.lower())
        if exact is None:
            fix = nearest(name, sorted(known), "use one of: ")
            yield _finding(task, f"{path}/{key}", f"The API has no member {name!r} here.", fix)
        elif name[:1].islower():
            yield _finding(
                task,
                f"{path}/{key}",
                "Step Functions takes members with a capital first letter.",
                f"write {exact}.",
            )
        elif not key.endswith(".$"):
            yield from _value(task, item, known[exact], f"{path}/{key}")


def _finding(task: Task, path: str, problem: str, fix: str, severity: Any = "error") -> Finding:
    return Finding(task.place.name, path, problem, fix, severity)
