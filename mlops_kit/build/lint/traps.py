"""Traces that a tool left in a definition, and values that cannot be meant; must not judge style."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.definition import language_of
from mlops_kit.asl.expressions import assigned
from mlops_kit.asl.states import Place, walk
from mlops_kit.asl.variables import read
from mlops_kit.build.lint.findings import Finding

_OBJECT = re.compile(r"<[\w.]+ object at 0x[0-9a-fA-F]+>")
_S3_FIELDS = frozenset({"S3Uri", "S3OutputPath"})
_INNER = frozenset({"ItemProcessor", "Iterator", "Branches"})


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings of printed objects, local files as S3 addresses, mixed partitions, unknown variables."""
    for place in walk(definition):
        for path, key, text in _texts(place):
            if _OBJECT.search(text):
                yield Finding(
                    place.name,
                    path,
                    f"A Python object was printed into the definition: {text!r}.",
                    "give its path as 'key.$': a placeholder inside a list or a text is not replaced.",
                )
            elif key in _S3_FIELDS and not text.startswith(("s3://", "$", "{%", "https://")):
                yield Finding(place.name, path, f"{text!r} is no S3 address.", "write s3://bucket/key.")
    yield from _partitions(definition)
    yield from _variables(definition)


def _texts(place: Place) -> Iterator[tuple[str, str, str]]:
    """Every text of a state with its path and key, without those of states inside it."""
    waiting: list[tuple[str, str, Any]] = [
        (name, name, value) for name, value in place.state.items() if name not in _INNER
    ]
    while waiting:
        path, key, value = waiting.pop()
        if isinstance(value, str):
            yield path, key, value
        elif isinstance(value, Mapping):
            waiting.extend((f"{path}/{name}", name, item) for name, item in value.items())
        elif isinstance(value, list):
            waiting.extend((f"{path}[{i}]", key, item) for i, item in enumerate(value))


def _partitions(definition: Mapping[str, Any]) -> Iterator[Finding]:
    found = {
        place.name: match[1]
        for place in walk(definition)
        if (match := re.match(r"arn:(aws[\w-]*):", str(place.state.get("Resource", ""))))
    }
    if len(set(found.values())) > 1:
        usual = Counter(found.values()).most_common(1)[0][0]
        for name, partition in found.items():
            if partition != usual:
                yield Finding(
                    name,
                    "Resource",
                    f"It is in the partition {partition}, other tasks in {usual}.",
                    f"write arn:{usual}:...; the SDK takes the partition from its session's region.",
                    "warning",
                )


def _variables(definition: Mapping[str, Any]) -> Iterator[Finding]:
    known = {name for place in walk(definition) for name in assigned(place)}
    for place in walk(definition):
        for name in sorted(set(read(place, language_of(place, definition))) - known):
            yield Finding(
                place.name, "", f"It reads the variable ${name}, which no state assigns.",
                f"assign {name} in an earlier state's Assign, or mend the name.", "warning",
            )  # fmt: skip
