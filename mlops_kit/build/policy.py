"""IAM statements as values, and the documents made of them; must not know which integration needs what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.build.tokens import sub

Tags = list[dict[str, str]]
Condition = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Statement:
    """Actions that a policy allows on resources.

    Attributes
    ----------
    sid : str
        What it is for, letters and digits; statements of one purpose are merged.
    actions : tuple of str
        Such as ``sagemaker:CreateTrainingJob``.
    resources : tuple of str
        ARNs as text for ``Fn::Sub``, or ``*``.
    condition : tuple of (operator, key, values)
        All must hold.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Condition = ()


def merged(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """The same permissions in as few statements as keep each action on its own resources.

    Statements of one purpose are joined where they differ in actions only, then where they differ in
    resources only; both joins allow nothing that was not allowed before.
    """
    by_resources: dict[tuple[str, frozenset[str], Condition], list[Statement]] = {}
    for one in statements:
        by_resources.setdefault((one.sid, frozenset(one.resources), one.condition), []).append(one)
    by_actions: dict[tuple[str, frozenset[str], Condition], set[str]] = {}
    for (sid, resources, condition), group in by_resources.items():
        actions = frozenset(action for one in group for action in one.actions)
        by_actions.setdefault((sid, actions, condition), set()).update(resources)
    joined = [
        Statement(sid, tuple(sorted(actions)), tuple(sorted(resources)), condition)
        for (sid, actions, condition), resources in by_actions.items()
    ]
    return tuple(sorted(joined, key=lambda one: (one.sid, one.resources, one.actions)))


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    """A policy document, merged, its Sids made unique."""
    seen: dict[str, int] = {}
    rendered = []
    for one in merged(statements):
        seen[one.sid] = seen.get(one.sid, 0) + 1
        body: dict[str, Any] = {
            "Sid": one.sid if seen[one.sid] == 1 else f"{one.sid}{seen[one.sid]}",
            "Effect": "Allow",
            "Action": list(one.actions),
            "Resource": [sub(resource) for resource in one.resources],
        }
        if one.condition:
            body["Condition"] = _condition(one.condition)
        rendered.append(body)
    return {"Version": "2012-10-17", "Statement": rendered}


def _condition(condition: Condition) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    for operator, key, values in condition:
        texts = [sub(value) for value in values]
        rendered.setdefault(operator, {})[key] = texts[0] if len(texts) == 1 else texts
    return rendered


def role(service: str, tags: Tags, condition: Condition = ()) -> dict[str, Any]:
    """A role with a generated name that one service may assume."""
    trust: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    if condition:
        trust["Condition"] = _condition(condition)
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Tags": tags,
        },
    }


def attached(role_id: str, name: str, statements: Iterable[Statement]) -> dict[str, Any]:
    """The policy resource of a role of the same template."""
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": name,
            "PolicyDocument": document(statements),
            "Roles": [{"Ref": role_id}],
        },
    }


def arn(service: str, resource: str) -> str:
    """An ARN in the stack's own partition, region and account."""
    return f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"


def same_account() -> Condition:
    """Only on behalf of the stack's own account: the confused deputy stays outside."""
    return (("StringEquals", "aws:SourceAccount", ("${AWS::AccountId}",)),)


def prefixes(bucket: str, reads: Iterable[str], writes: Iterable[str]) -> list[Statement]:
    """Reading and writing under prefixes of a bucket, and listing what is read.

    Parameters
    ----------
    bucket : str
        Text for ``Fn::Sub``, such as ``${DataBucket}``.
    reads, writes : iterable of str
        Prefixes such as ``features/``; a write may be a multipart upload.
    """
    root = f"arn:${{AWS::Partition}}:s3:::{bucket}"
    reads, writes = tuple(sorted(set(reads))), tuple(sorted(set(writes)))
    found = []
    if reads:
        found.append(Statement("ReadObjects", ("s3:GetObject",), tuple(f"{root}/{one}*" for one in reads)))
        listed = (("StringLike", "s3:prefix", tuple(f"{one}*" for one in reads)),)
        found.append(Statement("ListObjects", ("s3:ListBucket",), (root,), listed))
    if writes:
        actions = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
        found.append(Statement("WriteObjects", actions, tuple(f"{root}/{one}*" for one in writes)))
    return found


def names(mapping: Mapping[str, str]) -> Tags:
    """A mapping as the list of tags that most resources take."""
    return [{"Key": key, "Value": value} for key, value in mapping.items()]
