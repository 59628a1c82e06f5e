"""CloudFormation's rules that ministack does not hold: capabilities, exports, properties, replacement.

Resources are made on worker threads, so that the port goes on answering (and shows the events) while a
stack is deployed, and so that resource types of ours may call the port.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlops_kit.local.ministack import module

Handler = dict[str, Any]

_ROOM = "services.cloudformation"
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
    stacks._resolve_stack_outputs = _refuse_taken_exports(stacks._resolve_stack_outputs)
    stacks._add_event = _telling(stacks._add_event, changed)
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
