"""What a destroy removes, listed before it is done, and the doing; asks nobody.

Removed: the stack, what its executions made (endpoints, their configurations, models, found by tag), and the
windows that they claimed. Data in S3 stays unless named; the versions in the registry whose models lie there
go with it. The foundation goes only when no pipeline stands on it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mlops_kit.deploy import leftovers
from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.follow import Told, follow
from mlops_kit.deploy.leftovers import Item
from mlops_kit.deploy.plan import Shown, html_table, text_table
from mlops_kit.deploy.stack import describe, foundation_name, outputs, template
from mlops_kit.errors import DeployError, UsageError

_HEAD = ("", "type", "name")


@dataclass(frozen=True, repr=False)
class Removal(Shown):
    """What a destroy does.

    Attributes
    ----------
    stack : str
        CloudFormation stack.
    items : tuple of Item
        In the order in which they go; those that stay come last.
    """

    stack: str
    items: tuple[Item, ...]

    def __bool__(self) -> bool:
        return any(item.fate != "stays" for item in self.items)

    @property
    def _title(self) -> str:
        count = sum(item.fate != "stays" for item in self.items)
        return f"{self.stack}: {count} to remove" if count else f"{self.stack}: nothing to remove"

    def __rich__(self) -> Any:
        rows = [(item.fate, item.type, item.name) for item in self.items]
        return text_table(_HEAD, rows, self._title) if rows else self._title

    def _html(self) -> str:
        rows = [(item.fate, escape(item.type), escape(item.name)) for item in self.items]
        return f"<p><b>{self._title}</b></p>" + (html_table(_HEAD, rows) if rows else "")


def removal(session: Session, stack_name: str, data: Sequence[str] = ()) -> Removal:
    """What `destroy` with the same arguments would remove.

    Parameters
    ----------
    session : Session
        Where to.
    stack_name : str
        ``<project>-<pipeline>``, or the foundation's name.
    data : sequence of str
        Prefixes in the data bucket that go too; for the foundation any prefix means both buckets as a whole.

    Raises
    ------
    UsageError
        It is the foundation, and pipelines still stand on it.
    """
    shared = stack_name == foundation_name(session)
    if shared:
        _refuse_while_used(session, stack_name)
    pipeline = stack_name.removeprefix(f"{session.settings.project}-")
    items = [*_resources(session, stack_name)]
    kept = [item for item in items if item.fate == "stays"]
    gone = [item for item in items if item.fate != "stays"]
    if shared:
        before = list(leftovers.model_packages(session, gone))
        kept, emptied = ([], [Item(one.type, one.name, "emptied") for one in kept]) if data else (kept, [])
        return Removal(stack_name, (*before, *gone, *emptied, *kept))
    running = leftovers.running(session, stack_name)
    made = leftovers.made_by_executions(session, pipeline)
    base = outputs(session, foundation_name(session))
    claims = leftovers.claims(session, base.get("LockTable"), stack_name)
    uris = [f"s3://{base.get('DataBucket')}/{prefix}" for prefix in data]
    groups = _resources(session, foundation_name(session)) if data else ()
    registered = leftovers.model_packages(session, groups, uris)
    stored = leftovers.stored(session, base.get("DataBucket"), data)
    return Removal(stack_name, (*running, *made, *claims, *gone, *registered, *stored, *kept))


def destroy(
    session: Session,
    stack_name: str,
    data: Sequence[str] = (),
    on_progress: Told | None = None,
    last_look: Callable[[], object] | None = None,
) -> Removal:
    """Remove it.

    Parameters
    ----------
    session, stack_name, data
        As for `removal`.
    on_progress : callable, optional
        Called with a line for each thing that is gone.
    last_look : callable, optional
        Called when every execution has been stopped and the state machine, which knows them, still stands.

    Returns
    -------
    Removal
        What was removed and what stays.

    Raises
    ------
    DeployError
        A resource could not be removed; says which and why.
    UsageError
        As for `removal`.
    """
    told = on_progress or (lambda _: None)
    found = removal(session, stack_name, data)
    for item in found.items:
        if item.fate == "stays":
            continue
        if item.remove(session) and item.fate != "emptied":
            told(f"{item.fate:8} {item.name:32} {item.type}")
    if last_look is not None:
        last_look()
    _delete_stack(session, stack_name, told)
    for item in found.items:
        if item.fate == "emptied":
            leftovers.empty(session, item.name)
            told(f"{'removed':8} {item.name:32} {item.type}")
    return found


def _resources(session: Session, stack_name: str) -> Iterator[Item]:
    """The stack's resources, those that CloudFormation keeps marked."""
    if describe(session, stack_name) is None:
        return
    declared = template(session, stack_name)["Resources"]
    pages = (
        session.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_name)
    )
    for page in pages:
        for one in page["StackResourceSummaries"]:
            kept = declared.get(one["LogicalResourceId"], {}).get("DeletionPolicy") == "Retain"
            name = one.get("PhysicalResourceId") or one["LogicalResourceId"]
            if one["ResourceStatus"] != "DELETE_COMPLETE":
                yield Item(one["ResourceType"], name, "stays" if kept else "removed")


def _refuse_while_used(session: Session, name: str) -> None:
    prefix = f"{session.settings.project}-"
    standing = [
        one["StackName"]
        for page in session.client("cloudformation").get_paginator("describe_stacks").paginate()
        for one in page["Stacks"]
        if one["StackName"].startswith(prefix)
        and one["StackName"] != name
        and any(p["ParameterKey"] in ("DataBucket", "ArtifactBucket") for p in one.get("Parameters", ()))
    ]
    if standing:
        raise UsageError(
            f"{name} is still used by {', '.join(sorted(standing))}.",
            suggestion="destroy these pipelines first.",
        )


def _delete_stack(session: Session, name: str, told: Told) -> None:
    standing = describe(session, name)
    if standing is None:
        return
    token = uuid.uuid4().hex
    session.client("cloudformation").delete_stack(StackName=standing["StackId"], ClientRequestToken=token)
    try:
        ended = follow(session, standing["StackId"], token, told)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"CloudFormation goes on removing {name}.") from None
    if ended.status != "DELETE_COMPLETE":
        raise DeployError(
            f"{name} could not be removed.",
            cause=ended.failure,
            suggestion="mend the cause and destroy again; what is gone stays gone.",
        )
