"""One change set: made, read, executed or thrown away; must not draw and must not decide.

Source: CloudFormation API Reference, CreateChangeSet, DescribeChangeSet and ExecuteChangeSet.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.follow import pause
from mlops_kit.errors import DeployError
from mlops_kit.pipeline import Stack

INLINE_LIMIT = 51_200  # bytes of a template in a request: CloudFormation User Guide, "quotas"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class ChangeSet:
    """A change set that AWS has computed.

    Attributes
    ----------
    arn, stack_id : str
        AWS's names.
    kind : {"CREATE", "UPDATE"}
        Whether the stack is new.
    changes : tuple of mapping
        Each a ``ResourceChange``.
    executable : bool
        Whether there is anything to do; true without changes of resources when only outputs change.
    """

    arn: str
    stack_id: str
    kind: str
    changes: tuple[Mapping[str, Any], ...] = ()
    executable: bool = False


def create(session: Session, stack: Stack, values: Mapping[str, str], *, new: bool) -> ChangeSet:
    """Let AWS compute what the template would change.

    Parameters
    ----------
    session : Session
        Where to.
    stack : Stack
        The built template.
    values : mapping
        Values of the template's parameters.
    new : bool
        Whether the stack does not exist yet.

    Raises
    ------
    DeployError
        CloudFormation refuses the template.
    """
    from botocore.exceptions import ClientError

    kind = "CREATE" if new else "UPDATE"
    try:
        answer = session.client("cloudformation").create_change_set(
            StackName=stack.name,
            ChangeSetName=f"mlops-kit-{uuid.uuid4().hex}",
            ChangeSetType=kind,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in sorted(values.items())],
            **_template(session, stack, values),
        )
    except ClientError as error:
        raise _refused(stack, error.response["Error"]["Message"]) from None
    made = ChangeSet(answer["Id"], answer["StackId"], kind)
    try:
        changes = _changes(session, stack, made.arn)
        return replace(made, changes=changes or (), executable=changes is not None)
    except BaseException:
        discard(session, made, stack_too=new)
        raise


def discard(session: Session, change_set: ChangeSet, *, stack_too: bool = False) -> None:
    """Remove a change set, and if told so the empty stack that a CREATE change set leaves for review."""
    cloudformation = session.client("cloudformation")
    cloudformation.delete_change_set(ChangeSetName=change_set.arn, StackName=change_set.stack_id)
    if stack_too:
        cloudformation.delete_stack(StackName=change_set.stack_id)


def execute(session: Session, change_set: ChangeSet) -> str:
    """Start it.

    Returns
    -------
    str
        The client request token that its events carry.
    """
    token = uuid.uuid4().hex
    session.client("cloudformation").execute_change_set(
        ChangeSetName=change_set.arn, StackName=change_set.stack_id, ClientRequestToken=token
    )
    return token


def _template(session: Session, stack: Stack, values: Mapping[str, str]) -> dict[str, str]:
    """The template in the request, or by its address in S3 where it is too long for one."""
    body = json.dumps(stack.template, indent=1, ensure_ascii=False)
    if len(body.encode()) > INLINE_LIMIT:
        body = json.dumps(stack.template, separators=(",", ":"), ensure_ascii=False)
    if len(body.encode()) <= INLINE_LIMIT:
        return {"TemplateBody": body}
    bucket = values.get("ArtifactBucket")
    if bucket is None:
        raise _refused(stack, f"it has {len(body.encode()):,} bytes and no artifact bucket to lie in")
    s3 = session.client("s3")
    key = f"templates/{stack.name}/{hashlib.sha256(body.encode()).hexdigest()[:16]}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
    return {"TemplateURL": f"{s3.meta.endpoint_url}/{bucket}/{key}"}


def _changes(session: Session, stack: Stack, arn: str) -> tuple[Mapping[str, Any], ...] | None:
    """The changes of resources once AWS has computed them; ``None`` when nothing at all would change."""
    cloudformation = session.client("cloudformation")
    while True:
        request = {"ChangeSetName": arn, "StackName": stack.name, "IncludePropertyValues": True}
        pages = list(cloudformation.get_paginator("describe_change_set").paginate(**request))
        status, reason = pages[0]["Status"], pages[0].get("StatusReason", "")
        if status == "CREATE_COMPLETE":
            return tuple(one["ResourceChange"] for page in pages for one in page["Changes"])
        if status == "FAILED" and any(words in reason for words in _NO_CHANGES):
            return None
        if not status.endswith(("PENDING", "IN_PROGRESS")):
            raise _refused(stack, reason or status)
        pause(session)


def _refused(stack: Stack, reason: str) -> DeployError:
    return DeployError(
        f"CloudFormation refuses the template of {stack.name}; nothing was changed.", cause=reason
    )
