"""Plan a stack and apply it: change set, progress, outputs; must not build a template.

Source of the statuses: CloudFormation User Guide, "Stack status codes".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.deploy import changeset, package
from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.changes import Row, all_added, row, settled
from mlops_kit.deploy.changeset import ChangeSet
from mlops_kit.deploy.follow import Ended, follow, pause
from mlops_kit.deploy.plan import Plan, Shown, html_table
from mlops_kit.errors import DeployError, UsageError
from mlops_kit.pipeline import Stack

Told = Callable[[str], None]
_ABSENT = ("", "REVIEW_IN_PROGRESS")
_MADE_ANEW = (
    "ROLLBACK_COMPLETE",
    "ROLLBACK_FAILED",
    "CREATE_FAILED",
)  # AWS lets such a stack only be deleted


@dataclass(frozen=True, repr=False)
class Applied(Shown):
    """What an apply left.

    Attributes
    ----------
    stack : str
        CloudFormation stack.
    outputs : mapping
        The stack's outputs by name.
    changes : int
        Number of resources that changed; 0 when everything was as described.
    """

    stack: str
    outputs: Mapping[str, str]
    changes: int

    @property
    def _title(self) -> str:
        count = f"{self.changes} resource{'' if self.changes == 1 else 's'}"
        return f"{self.stack}: {count} changed" if self.changes else f"{self.stack}: no changes"

    def __rich__(self) -> Any:
        return str(self)

    def __str__(self) -> str:
        width = max(map(len, self.outputs), default=0)
        lines = (f"  {name:{width}}  {value}" for name, value in sorted(self.outputs.items()))
        return "\n".join((self._title, *lines))  # never folded: ARNs and links are copied from it

    def _html(self) -> str:
        return f"<p><b>{self._title}</b></p>" + html_table(("output", "value"), sorted(self.outputs.items()))


def foundation_name(session: Session) -> str:
    """Name of the stack that the project's pipelines share."""
    return f"{session.settings.project}-foundation"


def describe(session: Session, name: str) -> dict[str, Any] | None:
    """A stack as DescribeStacks tells it; ``None`` where there is none of that name."""
    from botocore.exceptions import ClientError

    try:
        return dict(session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def outputs(session: Session, name: str) -> dict[str, str]:
    """A stack's outputs; empty where the stack does not stand."""
    found = describe(session, name) or {}
    return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", ())}


def references(session: Session, name: str) -> dict[str, str]:
    """What ``Ref`` gives in a stack that stands: its parameters, its resources, pseudo parameters."""
    standing = describe(session, name)
    if standing is None:
        return {}
    _, partition, _, region, account, _ = standing["StackId"].split(":", 5)
    found = {"AWS::Partition": partition, "AWS::Region": region, "AWS::AccountId": account}
    found |= {"AWS::StackName": name, "AWS::StackId": standing["StackId"]}
    found |= {one["ParameterKey"]: one["ParameterValue"] for one in standing.get("Parameters", ())}
    pages = session.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
    for one in (one for page in pages for one in page["StackResourceSummaries"]):
        if one["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in one:
            found[one["LogicalResourceId"]] = one["PhysicalResourceId"]
    return found


def template(session: Session, name: str) -> dict[str, Any]:
    """A stack's deployed template; without resources where the stack does not stand."""
    if _status(describe(session, name)) in _ABSENT:
        return {"Resources": {}}
    answer = session.client("cloudformation").get_template(StackName=name, TemplateStage="Original")
    body = answer["TemplateBody"]
    return dict(json.loads(body) if isinstance(body, str) else body)


def plan(session: Session, stack: Stack, foundation: Stack | None = None) -> Plan:
    """What an apply would change; nothing is changed, and nothing is left behind.

    Parameters
    ----------
    session : Session
        Where to.
    stack : Stack
        The built template.
    foundation : Stack, optional
        The built template of what pipelines share; its changes are shown first.

    Raises
    ------
    DeployError
        CloudFormation refuses the template, or the stack is being changed by someone else.
    """
    first = plan(session, foundation) if foundation is not None else None
    standing = describe(session, stack.name)
    status = _status(standing)
    if status in _MADE_ANEW:
        return Plan(stack.name, all_added(stack.template), first, f"{status}: it is removed and made anew.")
    _refuse_busy(stack.name, status)
    if status in _ABSENT and stack.parameters and not outputs(session, foundation_name(session)):
        return Plan(stack.name, all_added(stack.template), first)
    values = _values(session, stack)
    change_set = changeset.create(session, stack, values, new=status in _ABSENT)
    try:
        rows, note = _rows(session, stack, change_set, _changed(standing, values))
        if change_set.executable and not rows:
            note = "Outputs change, and no resource."
        return Plan(stack.name, rows, first, note)
    finally:
        changeset.discard(session, change_set, stack_too=standing is None)
        if standing is None:
            _wait_until_gone(session, change_set.stack_id)


def bootstrap(session: Session, foundation: Stack, on_progress: Told | None = None) -> Applied:
    """Make or update what the project's pipelines share.

    Raises
    ------
    DeployError
        As `apply`.
    """
    return _deploy(session, foundation, {}, on_progress or _silent)


def apply(
    session: Session, stack: Stack, foundation: Stack | None = None, on_progress: Told | None = None
) -> Applied:
    """Make the stack as described: foundation, code and data first, then one change set.

    Parameters
    ----------
    session : Session
        Where to.
    stack : Stack
        The built template and what it ships.
    foundation : Stack, optional
        The built template of what pipelines share; made or updated where it differs.
    on_progress : callable, optional
        Called with a line for each upload and each resource that is done.

    Returns
    -------
    Applied
        The stack's outputs.

    Raises
    ------
    DeployError
        A resource failed; AWS has rolled back.
    KeyboardInterrupt
        Interrupted; carries words about what CloudFormation does now.
    """
    told = on_progress or _silent
    if foundation is not None:
        bootstrap(session, foundation, told)
    shared = outputs(session, foundation_name(session))
    values = _values(session, stack)
    package.publish(session, shared.get("ArtifactBucket", ""), stack.artifacts, told)
    package.put_data(session, shared.get("DataBucket", ""), stack.data, told)
    return _deploy(session, stack, values, told)


def _deploy(session: Session, stack: Stack, values: Mapping[str, str], told: Told) -> Applied:
    new = _make_way(session, stack.name, told)
    change_set = changeset.create(session, stack, values, new=new)
    if not change_set.executable:
        changeset.discard(session, change_set)
        return Applied(stack.name, outputs(session, stack.name), 0)
    token = changeset.execute(session, change_set)
    names = {one["LogicalResourceId"] for one in settled(change_set.changes)[0]}
    try:
        ended = follow(session, change_set.stack_id, token, told, names)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_cancel(session, change_set, stack.name)) from None
    if ended.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise _failed(stack.name, ended, new=new)
    return Applied(stack.name, outputs(session, stack.name), len(names))


def _make_way(session: Session, name: str, told: Told) -> bool:
    """Remove what AWS only lets be removed; whether the stack is to be created."""
    standing = describe(session, name)
    status = _status(standing)
    if standing is not None and status in _MADE_ANEW:
        told(f"removing  {name}, which an earlier failure left in {status}")
        session.client("cloudformation").delete_stack(StackName=standing["StackId"])
        _wait_until_gone(session, standing["StackId"])
        return True
    _refuse_busy(name, status)
    return status in _ABSENT


def _refuse_busy(name: str, status: str) -> None:
    if status in _ABSENT:
        return
    if status.endswith("IN_PROGRESS"):
        raise DeployError(
            f"{name} is being changed by someone else: {status}.",
            suggestion="wait until it is done, then repeat.",
        )
    if status == "UPDATE_ROLLBACK_FAILED":
        raise DeployError(
            f"{name} could not be rolled back: {status}.",
            suggestion="mend the cause, then: aws cloudformation continue-update-rollback "
            f"--stack-name {name}",
        )
    if status == "DELETE_FAILED":
        raise DeployError(f"{name} could not be removed: {status}.", suggestion="destroy it first.")


def _cancel(session: Session, change_set: ChangeSet, name: str) -> str:
    """After Ctrl-C: take back what was begun; what happens now, in words."""
    from botocore.exceptions import ClientError

    cloudformation = session.client("cloudformation")
    try:
        if change_set.kind == "CREATE":
            cloudformation.delete_stack(StackName=change_set.stack_id)
            return f"{name} was not finished; CloudFormation removes what it had made."
        cloudformation.cancel_update_stack(StackName=change_set.stack_id)
        return f"The update of {name} is cancelled; CloudFormation rolls it back to what it was."
    except ClientError as error:
        return f"{name}: CloudFormation goes on by itself ({error.response['Error']['Message']})."


def _failed(name: str, ended: Ended, *, new: bool) -> DeployError:
    rolled_back = ended.status in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
    what = "AWS has rolled back: " + ("nothing of it stands." if new else "the stack is as it was before.")
    return DeployError(
        f"{name} could not be {'made' if new else 'changed'}. "
        + (what if rolled_back else f"The stack is in {ended.status}."),
        cause=ended.failure,
        suggestion="mend the cause and apply again.",
    )


def _values(session: Session, stack: Stack) -> dict[str, str]:
    """The template's parameters, filled from the foundation's outputs."""
    if not (stack.parameters or stack.artifacts or stack.data):
        return {}
    shared = outputs(session, foundation_name(session))
    missing = [name for name in stack.parameters if name not in shared]
    if missing or not shared:
        raise UsageError(
            f"The project {session.settings.project!r} has no foundation stack that gives "
            f"{missing[0] if missing else 'its buckets'}.",
            suggestion="make it: mlops-kit bootstrap",
        )
    return {name: shared[name] for name in stack.parameters}


def _rows(
    session: Session,
    stack: Stack,
    change_set: ChangeSet,
    parameters: Mapping[str, tuple[str | None, str | None]],
) -> tuple[tuple[Row, ...], str]:
    before = template(session, stack.name)["Resources"] if change_set.kind == "UPDATE" else {}
    after = stack.template["Resources"]
    changes, unchanged = settled(change_set.changes)
    rows = []
    for change in sorted(changes, key=lambda one: str(one["LogicalResourceId"])):
        name = change["LogicalResourceId"]
        rows.append(row(change, before.get(name, {}), after.get(name, {}), parameters))
    note = f"Looked at again, as they refer to what changes: {', '.join(unchanged)}." if unchanged else ""
    return tuple(rows), note


def _changed(
    standing: Mapping[str, Any] | None, values: Mapping[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    old = {one["ParameterKey"]: one.get("ParameterValue") for one in (standing or {}).get("Parameters", ())}
    return {name: (old.get(name), value) for name, value in values.items() if old.get(name) != value}


def _status(standing: Mapping[str, Any] | None) -> str:
    return str(standing["StackStatus"]) if standing else ""


def _wait_until_gone(session: Session, stack_id: str) -> None:
    while (found := describe(session, stack_id)) is not None and found["StackStatus"] != "DELETE_COMPLETE":
        if found["StackStatus"] == "DELETE_FAILED":
            raise DeployError(
                f"{found['StackName']} could not be removed.", cause=found.get("StackStatusReason")
            )
        pause(session)


def _silent(_: str) -> None:
    """Tell nobody."""
