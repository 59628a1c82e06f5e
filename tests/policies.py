"""A pipeline's policies, and what a policy linter and a reader of stars say of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
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


def resolved(value: Any) -> Any:
    """A template's part with something plausible for each reference."""
    if isinstance(value, list):
        return [resolved(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) == {"Ref"}:
        name = value["Ref"]
        kind = {"StateMachine": "states", "RoutineTopic": "sns", "CriticalTopic": "sns"}.get(name)
        infix = "stateMachine:" if kind == "states" else ""
        return f"arn:aws:{kind}:eu-central-1:111122223333:{infix}{name}" if kind else name.lower()
    if set(value) == {"Fn::GetAtt"}:
        logical = value["Fn::GetAtt"][0]
        kinds = {
            "Role": "iam::111122223333:role/",
            "Function": "lambda:eu-central-1:111122223333:function:",
            "Letters": "sqs:eu-central-1:111122223333:",
            "Cache": "dynamodb:eu-central-1:111122223333:table/",
        }
        return next(f"arn:aws:{kind}{logical}" for end, kind in kinds.items() if logical.endswith(end))
    if set(value) == {"Fn::Sub"}:
        known = {"AWS::Partition": "aws", "AWS::Region": "eu-central-1", "AWS::AccountId": "111122223333"}
        text = re.sub(
            r"\$\{(\w+)\.Arn\}", lambda m: resolved({"Fn::GetAtt": [m[1], "Arn"]}), value["Fn::Sub"]
        )
        return re.sub(r"\$\{([^}]+)\}", lambda m: known.get(m[1], m[1].lower()), text)
    return {key: resolved(one) for key, one in value.items()}


def policies(pipeline: Pipeline) -> dict[str, Any]:
    """Every policy of a pipeline's template by its logical id."""
    resources = build(Settings(), pipeline).template["Resources"]
    found = {name: one for name, one in resources.items() if one["Type"] == "AWS::IAM::Policy"}
    return {name: resolved(one["Properties"]["PolicyDocument"]) for name, one in found.items()}
