"""Puts the tokens back into a definition that was exported from AWS, which holds what they stood for there.

Without its tokens a definition would lose what the template makes for them, first of all the SageMaker role.
Calls nothing: what stands is handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mlops_kit.build.tokens import SAGEMAKER_ROLE, resolve, strings, substitution_key, table
from mlops_kit.pipeline import Pipeline


def restored(pipeline: Pipeline, project: str, deployed: str, known: Mapping[str, str]) -> dict[str, Any]:
    """The pipeline's definition with ``${Token}`` wherever it names what stands for one.

    A text that is the deployed one becomes what the template says at the same place, so that an export that
    nobody edited changes nothing. Elsewhere a name or an ARN that is the project's own becomes its token.

    Parameters
    ----------
    pipeline : Pipeline
        Its definition may have tokens or not.
    project : str
        Names that CloudFormation and the kit give begin with it.
    deployed : str
        ``DefinitionString`` of the stack that stands.
    known : mapping
        What ``Ref`` gives in that stack: its resources, its parameters, pseudo parameters.
    """
    values = _values(pipeline, known)
    resolved = {substitution_key(token): value for token, value in values.items()}
    names = {f"${{{substitution_key(token)}}}": f"${{{token}}}" for token in values}
    before = dict(strings(json.loads(deployed)))
    own = {value: token for token, value in values.items() if f"{project}-" in value}
    longest = "|".join(re.escape(value) for value in sorted(own, key=len, reverse=True))
    whole = re.compile(rf"(?<![\w-])(?:{longest})(?![\w-])")

    def back(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            return {key: back(inner, (*path, str(key))) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [back(inner, (*path, str(index))) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        if path in before and resolve(before[path], resolved) == value:
            return re.sub(r"\$\{\w+\}", lambda found: names.get(found[0], found[0]), before[path])
        return whole.sub(lambda found: f"${{{own[found[0]]}}}", value) if own else value

    definition: dict[str, Any] = back(pipeline.definition, ())
    return definition


def _values(pipeline: Pipeline, known: Mapping[str, str]) -> dict[str, str]:
    """Each token's value, as far as it is known; of what `table` names by its ARN, the ARN."""
    region, account, partition = (known[f"AWS::{name}"] for name in ("Region", "AccountId", "Partition"))
    found = {}
    for token, text in table(pipeline).items():
        name, _, attribute = text[2:-1].partition(".")
        if name in known:
            of = (
                f"iam::{account}:role/" if token == SAGEMAKER_ROLE else f"lambda:{region}:{account}:function:"
            )
            found[token] = f"arn:{partition}:{of}{known[name]}" if attribute else known[name]
    return found
