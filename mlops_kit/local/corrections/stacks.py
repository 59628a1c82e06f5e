"""CloudFormation's rules that ministack does not hold: capabilities, exports, properties, replacing, events.

Resources are made on worker threads, so that the port goes on answering (and shows the events) while a
stack is deployed, and so that resource types of ours may call the port.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlops_kit.local.corrections.interrupted import UNDER_WAY
from mlops_kit.local.ministack import module

Handler = dict[str, Any]

_ROOM = "services.cloudformation"
_STACK = "AWS::CloudFormation::Stack"
_CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
_TAGGED = {  # types that the tags of a stack reach as well
    "AWS::S3::Bucket": ("Tags", "list"),
    "AWS::SageMaker::Endpoint": ("Tags", "list"),
    "AWS::SageMaker::EndpointConfig": ("Tags", "list"),
    "AWS::SageMaker::Model": ("Tags", "list"),
    "AWS::SageMaker::ModelPackageGroup": ("Tags", "list"),
    "AWS::StepFunctions::Activity": ("Tags", "list"),
    "AWS::Glue::Job": ("Tags", "map"),
}
_NAMED = {  # types that a template may name: what must be replaced cannot keep its name
    "AWS::SageMaker::Endpoint": {"name": "EndpointName"},
    "AWS::SageMaker::EndpointConfig": {"name": "EndpointConfigName"},
    "AWS::SageMaker::Model": {"name": "ModelName"},
    "AWS::SageMaker::ModelPackageGroup": {"name": "ModelPackageGroupName"},
}


def install(changed: Callable[[], None]) -> None:
    """Put the corrections in.

    Parameters
    ----------
    changed : callable
        Told after each event of a stack, because provisioning goes on after the request was answered.
    """
    stacks = module(f"{_ROOM}.stacks")
    stacks._runs_on_worker_thread = lambda resource_type: True
    stacks._add_event = _telling(_of_new_resources(stacks._add_event), changed)
    stacks._resolve_stack_outputs = _cleaning_up(_refuse_taken_exports(stacks._resolve_stack_outputs))
    stacks._delete_resource = _told_in_cleanup(stacks._delete_resource)
    module(f"{_ROOM}.handlers")._capabilities_enforced = lambda: True
    _know_types()
    provisioners = module(f"{_ROOM}.provisioners")
    provisioners._STACK_TAG_PROPERTY.update(_TAGGED)
    provisioners._CUSTOM_NAME_REPLACEMENT.update(_NAMED)


def _telling(add_event: Callable[..., None], changed: Callable[[], None]) -> Callable[..., None]:
    @functools.wraps(add_event)
    def told(*args: Any, **kwargs: Any) -> None:
        add_event(*args, **kwargs)
        changed()

    return told


# CloudFormation User Guide, "View stack events" and "Update behaviors of stack resources": an update creates
# what it adds, and once all is updated it cleans up: what it leaves or replaced is deleted, with events.
def _of_new_resources(add_event: Callable[..., None]) -> Callable[..., None]:
    """ministack says UPDATE_* of all resources of an update."""

    @functools.wraps(add_event)
    def named(
        stack_id: str, stack_name: str, logical_id: str, kind: str, status: str, *rest: Any, **more: Any
    ) -> None:
        stack = module(_ROOM)._stacks.get(stack_name)
        if status.startswith("UPDATE_") and stack is not None and _is_new(stack, logical_id, kind):
            status = status.replace("UPDATE", "CREATE")
            if status == "CREATE_COMPLETE":
                stack["_resources"][logical_id]["ResourceStatus"] = status
        add_event(stack_id, stack_name, logical_id, kind, status, *rest, **more)

    return named


def _is_new(stack: Mapping[str, Any], logical_id: str, kind: str) -> bool:
    """Whether the update that is under way adds the resource."""
    given = stack.get(UNDER_WAY, {}).get("arguments", {})
    if not given.get("is_update") or (kind == _STACK and logical_id == stack["StackName"]):
        return False
    known = {**(given.get("imports") or {}), **(given.get("previous_stack") or {}).get("_resources", {})}
    return logical_id not in known


def _cleaning_up(resolve: Callable[..., Any]) -> Callable[..., Any]:
    """The outputs are the last that can fail: with them begins the cleanup of an update."""

    @functools.wraps(resolve)
    def resolved(*args: Any) -> Any:
        found = resolve(*args)
        stack_name, stack_id = args[-2:]
        stack = module(_ROOM)._stacks.get(stack_name)
        if stack is not None and stack["StackStatus"] == "UPDATE_IN_PROGRESS":
            stack["StackStatus"] = _CLEANUP
            add_event = module(f"{_ROOM}.stacks")._add_event
            add_event(stack_id, stack_name, stack_name, _STACK, _CLEANUP, physical_id=stack_id)
        return found

    return resolved


def _told_in_cleanup(delete: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(delete)
    def told(kind: str, physical_id: str, props: Any, stack_name: str, logical_id: str) -> None:
        stack = module(_ROOM)._stacks.get(stack_name)
        if stack is None or stack["StackStatus"] != _CLEANUP:
            delete(kind, physical_id, props, stack_name, logical_id)
            return
        add_event = module(f"{_ROOM}.stacks")._add_event
        event = (stack["StackId"], stack_name, logical_id, kind)
        add_event(*event, "DELETE_IN_PROGRESS", physical_id=physical_id)
        delete(kind, physical_id, props, stack_name, logical_id)
        add_event(*event, "DELETE_COMPLETE", physical_id=physical_id)

    return told


def _refuse_taken_exports(resolve: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(resolve)
    def checked(*args: Any) -> Any:
        outputs, exports = resolve(*args)
        taken = module(_ROOM)._exports
        for name, export in exports.items():
            owner = taken.get(name)
            if owner is not None and owner["StackId"] != export["StackId"]:
                stack = owner["StackId"].split("/")[1]
                raise ValueError(f"Export with name {name} is already exported by stack {stack}.")
        return outputs, exports

    return checked


def resource_types() -> Mapping[str, Mapping[str, list[str]]]:
    """Properties of the types that are checked, from AWS's resource schemas."""
    text = Path(__file__).parent.with_name("resource_types.json").read_text()
    types: Mapping[str, Mapping[str, list[str]]] = json.loads(text)
    return types


def _know_types() -> None:
    provisioners = module(f"{_ROOM}.provisioners")
    for name, known in resource_types().items():
        provisioners._REPLACING_PROPERTIES[name] = tuple(known["replacing"])
        provisioners._CONDITIONALLY_REPLACING_PROPERTIES[name] = tuple(known["conditionally_replacing"])
        handler = provisioners._RESOURCE_HANDLERS.get(name)
        if handler is not None:
            provisioners._RESOURCE_HANDLERS[name] = _checked(handler, known)


def _checked(handler: Handler, known: Mapping[str, list[str]]) -> Handler:
    create, update = handler["create"], handler.get("update")

    def checked_create(logical_id: str, props: Mapping[str, Any], stack_name: str) -> Any:
        check_properties(props, known)
        return create(logical_id, props, stack_name)

    def checked_update(physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any) -> Any:
        check_properties(new, known)
        return update(physical_id, old, new, *rest) if update else None

    checked = {**handler, "create": checked_create}
    return {**checked, "update": checked_update} if update else checked


def check_properties(props: Mapping[str, Any], known: Mapping[str, list[str]]) -> None:
    """Refuse what the type does not have, and the lack of what it must.

    Raises
    ------
    ValueError
        With CloudFormation's words.
    """
    for name in props:
        if name not in known["properties"]:
            raise ValueError(f"Encountered unsupported property {name}")
    for name in known["required"]:
        if props.get(name) in (None, "", {}, []):
            raise ValueError(f"Property {name} cannot be empty.")
