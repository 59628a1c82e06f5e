"""Stack operations that a kill cut short: written down while they run, taken up again after the restart.

ministack runs them as tasks that nothing remembers: a stack would stay in progress for ever. Here the
stack's record holds what is to be done, and so does its file; an operation goes on after what it has made.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from mlops_kit.local.ministack import module

UNDER_WAY = "_under_way"

_ROOM = "services.cloudformation"
_DEPLOY, _DELETE = "_deploy_stack_async", "_delete_stack_async"
_CONTINUE, _IMPORT = "_continue_update_rollback_async", "_import_resources_async"
_resumed: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar("resumed", default=None)

logger = logging.getLogger(__name__)


def install(save: Callable[[], Awaitable[None]]) -> None:
    """Put the corrections in.

    Parameters
    ----------
    save : callable
        Brings to disk what has changed: before the first resource is made the disk knows for which stack.
    """
    stacks = module(f"{_ROOM}.stacks")
    for name in (_DEPLOY, _DELETE, _CONTINUE, _IMPORT):
        noted = _noted(name, getattr(_holder(name), name), save)
        for room in ("stacks", "handlers", "changesets"):
            if hasattr(module(f"{_ROOM}.{room}"), name):
                setattr(module(f"{_ROOM}.{room}"), name, noted)
    stacks._provision_keeping_seed = _made_once(stacks._provision_keeping_seed, logical_id=1)
    stacks._update_keeping_seed = _made_once(stacks._update_keeping_seed, logical_id=5)


def _holder(operation: str) -> Any:
    return module(f"{_ROOM}.changesets" if operation == _IMPORT else f"{_ROOM}.stacks")


def resuming() -> bool:
    """Whether what is being made may have been made already, by the operation that was cut short."""
    return _resumed.get() is not None


def _noted(
    name: str, operation: Callable[..., Coroutine[Any, Any, None]], save: Callable[[], Awaitable[None]]
) -> Callable[..., Any]:
    """The operation, written down in the stack's record from its call to its end."""
    signature = inspect.signature(operation)

    @functools.wraps(operation)
    def begun(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        given = signature.bind(*args, **kwargs).arguments
        stack = given["stack"] if name == _IMPORT else module(_ROOM)._stacks.get(given["stack_name"])
        if stack is not None:
            stack[UNDER_WAY] = {"operation": name, "arguments": _written(given)}
            if name == _DELETE:  # as AWS says it once DeleteStack has answered
                stack["StackStatus"] = "DELETE_IN_PROGRESS"
        return _until_ended(operation(*args, **kwargs), stack or {}, save)

    return begun


def _written(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they can be saved; an import's are records that are saved in their own places."""
    if "cs" in given:
        return {"change_set": given["cs"]["ChangeSetId"], "new_stack": given["new_stack"]}
    return {
        key: list(value) if isinstance(value, frozenset | tuple) else value for key, value in given.items()
    }


async def _until_ended(
    work: Coroutine[Any, Any, None], stack: dict[str, Any], save: Callable[[], Awaitable[None]]
) -> None:
    try:
        await _kept(save)
        await work
    except Exception:
        stack.pop(UNDER_WAY, None)
        raise
    stack.pop(UNDER_WAY, None)  # but not when the server stops in the middle


async def _kept(save: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            return await save()
        except OSError as error:
            logger.error("a stack waits for the disk: %s", error)
            await asyncio.sleep(1)


def _made_once(make: Callable[..., Any], logical_id: int) -> Callable[..., Any]:
    """What the operation had made before it was cut short is taken from the stack's record."""

    @functools.wraps(make)
    def once(*args: Any) -> Any:
        made = (_resumed.get() or {}).get(args[logical_id])
        if made is not None:
            return (made["PhysicalResourceId"], made["Attributes"]), made.get("_name_seed", "")
        return make(*args)

    return once


# ------------------------------------------------------------------------- restart
def take_up() -> None:
    """Go on with every operation that a former process left; call on the loop."""
    stacks = module(f"{_ROOM}.stacks")
    for (account, region, _), stack in list(module(_ROOM)._stacks._data.items()):
        if UNDER_WAY not in stack:
            continue
        logger.info("going on with stack %s, which was %s", stack["StackName"], stack["StackStatus"])
        with module("core.responses").request_scope(account, region):
            work = _go_on(stack)
            stacks._create_stack_task_in_region(work, stack, stack["StackId"])


async def _go_on(stack: dict[str, Any]) -> None:
    noted = stack[UNDER_WAY]
    arguments = noted["arguments"]
    _resumed.set(_finished(stack, (arguments.get("previous_stack") or {}).get("_resources", {})))
    if noted["operation"] == _DEPLOY:
        prefix = "UPDATE" if arguments.get("is_update") else "CREATE"
        stack["StackStatus"] = f"{prefix}_IN_PROGRESS"  # it may have been rolling back: it will again
    change_sets = module(_ROOM)._change_sets.values()
    if noted["operation"] == _IMPORT:
        wanted = arguments["change_set"]
        (imported,) = (change_set for change_set in change_sets if change_set["ChangeSetId"] == wanted)
        arguments = {"cs": imported, "stack": stack, "new_stack": arguments["new_stack"]}
    work = getattr(_holder(noted["operation"]), noted["operation"])(**arguments)
    changesets = module(f"{_ROOM}.changesets")
    for change_set in change_sets:
        known = (change_set.get("StackId"), change_set.get("ExecutionStatus"))
        if known == (stack["StackId"], "EXECUTE_IN_PROGRESS"):
            work = changesets._track_change_set_execution(change_set, stack, work)
    await work


def _finished(stack: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Resources that this operation had made, new or in the place of another; changes are made again."""
    return {
        name: made
        for name, made in stack.get("_resources", {}).items()
        if made.get("PhysicalResourceId") != before.get(name, {}).get("PhysicalResourceId")
    }
