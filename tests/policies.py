"""A pipeline's policies, and what a policy linter and a reader of stars say of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mlops_kit.build.iam import LINTER_EXCEPTIONS, STARRED
from mlops_kit.build.template import build
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import parliament


def findings(policy: str) -> list[str]:
    """What a policy linter says of a policy's JSON, but for what has a written reason."""
    found = parliament.analyze_policy_string(policy).findings
    return [
        f"{one.issue}: {one.detail} {one.location}"
        for one in found
        if not any(f"'{action}'" in str(one.detail) for action in LINTER_EXCEPTIONS)
    ]


def stars(policy: Mapping[str, Any]) -> list[str]:
    """Actions that are allowed on everything without a written reason, and stars among actions."""
    statements = policy["Statement"]
    wide = [action for one in statements if "*" in one["Resource"] for action in one["Action"]]
    unexplained = [action for action in wide if not any(fnmatchcase(action, one) for one in STARRED)]
    return unexplained + ["*" for one in statements if "*" in one["Action"]]


def plausible(name: str) -> str:
    """Something that a reference of a template might come to: a name, ``X.Arn`` or ``AWS::Region``."""
    known = {"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "111122223333"}
    arns = {
        "Role.Arn": "iam::111122223333:role/",
        "Function.Arn": "lambda:eu-central-1:111122223333:function:",
        "Letters.Arn": "sqs:eu-central-1:111122223333:",
        "Cache.Arn": "dynamodb:eu-central-1:111122223333:table/",
        "StateMachine": "states:eu-central-1:111122223333:stateMachine:",
        "Topic": "sns:eu-central-1:111122223333:",
    }
    logical = name.removesuffix(".Arn")
    found = (f"arn:aws:{kind}{logical}" for end, kind in arns.items() if name.endswith(end))
    return known.get(name) or next(found, name.lower())


def resolved(value: Any, value_of: Callable[[str], str] = plausible) -> Any:
    """A template's part with a value in place of each reference, as CloudFormation would hand it on."""
    if isinstance(value, list):
        return [resolved(one, value_of) for one in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"Ref"}:
        return value_of(value["Ref"])
    if set(value) == {"Fn::GetAtt"}:
        return value_of(".".join(value["Fn::GetAtt"]))
    if set(value) == {"Fn::Sub"}:
        return re.sub(r"\$\{([^}]+)\}", lambda match: value_of(match[1]), value["Fn::Sub"])
    return {key: resolved(one, value_of) for key, one in value.items()}


def policies(pipeline: Pipeline) -> dict[str, Any]:
    """Every policy of a pipeline's template by its logical id."""
    resources = build(Settings(), pipeline).template["Resources"]
    found = {name: one for name, one in resources.items() if one["Type"] == "AWS::IAM::Policy"}
    return {name: resolved(one["Properties"]["PolicyDocument"]) for name, one in found.items()}
