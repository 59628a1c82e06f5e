"""Change sets with the values that AWS shows: before and after, property by property.

ministack compares templates only; here references are resolved against what the stack has deployed.
Source: "DescribeChangeSet", IncludePropertyValues; ResourceTargetDefinition and ResourceChange.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from mlops_kit.local.ministack import module

UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"

_ROOM = "services.cloudformation"


def install() -> None:
    """Put the corrections in."""
    changesets = module(f"{_ROOM}.changesets")
    changesets._resolve_props_for_diff = _resolved_properties
    changesets._diff_resources = _with_values(changesets._diff_resources)
    actions = module(f"{_ROOM}.handlers")._ACTION_HANDLERS
    actions["DescribeChangeSet"] = _describing_values(actions["DescribeChangeSet"])


def _resolved_properties(
    template: Mapping[str, Any], params: Mapping[str, Any], stack_name: str, stack_id: str
) -> dict[str, Any]:
    """The template with each property resolved as far as it is known before anything is applied."""
    if not template:
        return {}
    engine = module(f"{_ROOM}.engine")
    stack = module(_ROOM)._stacks.get(stack_name) or {}
    known = stack.get("_resources", {})
    conditions = engine._evaluate_conditions(template, params)
    arguments = (known, params, conditions, template.get("Mappings", {}), stack_name, stack_id)
    missing = set(template.get("Resources", {})) - set(known)
    resources = {}
    for logical_id, resource in template.get("Resources", {}).items():
        if not conditions.get(resource.get("Condition"), True):
            continue
        raw = copy.deepcopy(resource.get("Properties") or {})
        values = {name: _resolve(engine, value, missing, arguments) for name, value in raw.items()}
        values = {name: value for name, value in values.items() if value is not engine._NO_VALUE}
        resources[logical_id] = {**resource, "Properties": values}
    return {"Resources": resources}


def _resolve(engine: Any, value: Any, missing: set[str], arguments: tuple[Any, ...]) -> Any:
    value = _mark_unknown(engine, value, missing)
    try:
        return engine._resolve_refs(value, *arguments)
    except (ValueError, KeyError, IndexError, TypeError):  # such as an attribute that is not there yet
        return UNKNOWN


def _mark_unknown(engine: Any, value: Any, missing: set[str]) -> Any:
    """Put `UNKNOWN` where a value refers to a resource that does not exist yet."""
    if isinstance(value, list):
        return [_mark_unknown(engine, item, missing) for item in value]
    if not isinstance(value, dict):
        return value
    function = len(value) == 1 and re.fullmatch(r"Ref|Fn::\w+", next(iter(value)))
    if function and "Fn::If" not in value:
        referred = {name for name, _ in engine._intrinsic_references(value)}
        return UNKNOWN if referred & missing else value
    return {key: _mark_unknown(engine, item, missing) for key, item in value.items()}


def _with_values(diff: Callable[..., list[dict[str, Any]]]) -> Callable[..., list[dict[str, Any]]]:
    @functools.wraps(diff)
    def diffed(old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any) -> list[dict[str, Any]]:
        changes = diff(old, new, *rest)
        for change in changes:
            resource = change["ResourceChange"]
            name = resource["LogicalResourceId"]
            before = old.get("Resources", {}).get(name, {})
            after = new.get("Resources", {}).get(name, {})
            if before:
                resource["BeforeContext"] = _context(before)
            if after:
                resource["AfterContext"] = _context(after)
            for detail in resource.get("Details", []):
                _add_values(detail["Target"], before, after)
        return changes

    return diffed


def _context(resource: Mapping[str, Any]) -> str:
    shown = {key: value for key, value in resource.items() if key not in ("Type", "DependsOn", "Condition")}
    return json.dumps(shown, default=str)


def _add_values(target: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Add Path, AttributeChangeType and both values to what a detail is about."""
    attribute = target["Attribute"]
    if attribute == "Properties":
        name = target["Name"]
        old, new = before.get("Properties", {}).get(name), after.get("Properties", {}).get(name)
        target["Path"] = f"/Properties/{name}"
    else:
        old, new = before.get(attribute), after.get(attribute)
        target["Path"] = f"/{attribute}"
    target["AttributeChangeType"] = "Add" if old is None else "Remove" if new is None else "Modify"
    for key, value in (("BeforeValue", old), ("AfterValue", new)):
        if value is not None:
            target[key] = value if isinstance(value, str) else json.dumps(value, default=str)


def _describing_values(describe: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(describe)
    def described(params: Mapping[str, Any]) -> Any:
        status, headers, body = describe(params)
        wanted = params.get("IncludePropertyValues", ["false"])[0]
        if status != 200 or wanted.lower() != "true":
            return status, headers, body
        changesets = module(f"{_ROOM}.changesets")
        name = (params.get("ChangeSetName") or [""])[0]
        _, change_set = changesets._find_change_set(name, (params.get("StackName") or [""])[0])
        return status, headers, _insert_values(body, change_set["Changes"])

    return described


def _insert_values(body: bytes, changes: list[dict[str, Any]]) -> bytes:
    root = ElementTree.fromstring(body)  # noqa: S314  (ministack made it a moment ago)
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    if space:
        ElementTree.register_namespace("", space[1:-1])
    for element, change in zip(root.iter(f"{space}ResourceChange"), changes, strict=True):
        resource = change["ResourceChange"]
        _append(element, space, resource, ("BeforeContext", "AfterContext"))
        targets = element.iter(f"{space}Target")
        for target, detail in zip(targets, resource.get("Details", []), strict=True):
            keys = ("Path", "BeforeValue", "AfterValue", "AttributeChangeType")
            _append(target, space, detail["Target"], keys)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _append(element: Any, space: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in values:
            ElementTree.SubElement(element, f"{space}{key}").text = values[key]
