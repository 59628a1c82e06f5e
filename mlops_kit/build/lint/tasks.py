"""The Tasks of a definition with their resources and parameters taken apart; must not judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl import resources
from mlops_kit.asl.definition import language_of
from mlops_kit.asl.states import JSONATA, Place, walk

_PARTITION = "${AWS::Partition}"


@dataclass(frozen=True)
class Task:
    """A Task.

    Attributes
    ----------
    place : Place
    resource : Resource or None
        ``None`` when the Resource is unreadable or a token.
    field : str
        ``Parameters`` or ``Arguments``.
    parameters : Any
        Its value; ``None`` when the state has none.
    jsonata : bool
    """

    place: Place
    resource: resources.Resource | None
    field: str
    parameters: Any
    jsonata: bool


def tasks(definition: Mapping[str, Any]) -> Iterator[Task]:
    """Every Task, those inside Map and Parallel too."""
    for place in walk(definition):
        if place.state.get("Type") == "Task":
            jsonata = language_of(place, definition) == JSONATA
            field = "Arguments" if jsonata else "Parameters"
            yield Task(place, resource_of(place.state), field, place.state.get(field), jsonata)


def resource_of(state: Mapping[str, Any]) -> resources.Resource | None:
    """A state's resource; a token for the partition counts as ``aws``, other tokens as unreadable."""
    text = state.get("Resource")
    if not isinstance(text, str):
        return None
    text = text.replace(_PARTITION, "aws")
    return None if "${" in text else resources.parse(text)


def is_open(value: Any, jsonata: bool) -> bool:
    """Whether a value is known only when the task runs: a token or a JSONata text."""
    return isinstance(value, str) and ("${" in value or (jsonata and value.startswith("{%")))


def in_map(place: Place) -> bool:
    """Whether a state stands inside a Map."""
    return "/ItemProcessor/" in place.path or "/Iterator/" in place.path
