"""What ``${Token}`` in a definition stands for, in CloudFormation's words; must not know what states do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.errors import UsageError
from mlops_kit.pipeline import FOUNDATION_TOKENS, Pipeline

SAGEMAKER_ROLE = "SageMakerRole"
PSEUDO_PARAMETERS = (
    "AWS::AccountId",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
# `${` also begins a JSONata group such as ${"a": 1}: only what reads as a name is a token.
_TOKEN = re.compile(r"\$\{([A-Za-z][A-Za-z0-9]*(?:::[A-Za-z]+)?)\}")
_WHOLE = re.compile(r"\$\{([A-Za-z0-9:]+)(?:\.([A-Za-z]+))?\}")


def table(pipeline: Pipeline) -> dict[str, str]:
    """Every token that a definition of this pipeline may use.

    Returns
    -------
    dict
        Token -> text for ``Fn::Sub``, such as ``EvaluateFunction`` -> ``${EvaluateFunction.Arn}``.
    """
    known = {name: f"${{{name}}}" for name in (*FOUNDATION_TOKENS, *PSEUDO_PARAMETERS)}
    known |= {f"{part.name}Function": f"${{{part.name}Function.Arn}}" for part in pipeline.functions}
    known |= {f"{part.name}Job": f"${{{part.name}Job}}" for part in pipeline.jobs}
    known |= {name: f"${{{name}}}" for name in pipeline.resources}
    known[SAGEMAKER_ROLE] = f"${{{SAGEMAKER_ROLE}.Arn}}"
    return known


def strings(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a JSON value with the path that leads to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from strings(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from strings(inner, (*path, str(index)))


def used(value: Any, known: Mapping[str, str], where: str = "") -> tuple[str, ...]:
    """Tokens in a JSON value, in the order of ``known``.

    Parameters
    ----------
    value
        A definition, an environment, or any other JSON value.
    known : mapping
        As `table` gives it.
    where : str
        What holds the value, for the words of an error; a definition's states name themselves.

    Raises
    ------
    UsageError
        A token is not among ``known``.
    """
    found: set[str] = set()
    for path, text in strings(value):
        for token in _TOKEN.findall(text):
            if token not in known:
                raise UsageError(
                    f"{where}{place(path)}: ${{{token}}} stands for nothing in this pipeline.",
                    suggestion=f"use one of {', '.join(f'${{{name}}}' for name in sorted(known))}.",
                )
            found.add(token)
    return tuple(token for token in known if token in found)


def place(path: tuple[str, ...]) -> str:
    """A path in a definition as people say it: the state, then the field in it."""
    inner = [index for index, key in enumerate(path[:-1]) if key == "States"]
    if not inner:
        return ".".join(path)
    state, field = path[inner[-1] + 1], ".".join(path[inner[-1] + 2 :])
    return f"state {state!r}, field {field}" if field else f"state {state!r}"


def resolve(text: str, known: Mapping[str, str]) -> str:
    """The text with each token replaced by what `table` says, ready for `sub`."""
    return _TOKEN.sub(lambda match: known.get(match[1], match[0]), text)


def sub(text: str) -> Any:
    """The shortest intrinsic that gives this text: a literal, ``Ref``, ``Fn::GetAtt`` or ``Fn::Sub``."""
    if "${" not in text:
        return text
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        return {"Fn::Sub": text}
    name, attribute = whole.groups()
    return {"Fn::GetAtt": [name, attribute]} if attribute else {"Ref": name}


def substitution_key(token: str) -> str:
    """Key of a token in ``DefinitionSubstitutions``, where a pseudo parameter's colons are unsafe."""
    return token.replace("::", "")


def without_colons(text: str) -> str:
    """A definition's text with the keys of `substitution_key` in place of pseudo parameters."""
    return _TOKEN.sub(lambda match: f"${{{substitution_key(match[1])}}}", text)
