"""A definition made ready to run: states, scopes, retriers and catchers; never runs or checks one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_kit.local.stepfunctions.docs import dumps

_NESTED = ("Branches", "Iterator", "ItemProcessor")
_LONGEST_DELAY = 99_999_999.0  # seconds (Amazon States Language, IntervalSeconds)
_COUNTS_RETRIES = frozenset({"Task", "Parallel", "Map"})


@dataclass(frozen=True)
class Retrier:
    """One entry of Retry with AWS's defaults filled in."""

    errors: tuple[str, ...]
    interval: float = 1.0
    attempts: int = 3
    backoff: float = 2.0
    cap: float | None = None
    jitter: bool = False

    def delay(self, attempt: int) -> float:
        """Seconds before the retry with this number (0 for the first), jitter left out."""
        try:
            seconds = self.interval * self.backoff**attempt
        except OverflowError:
            seconds = math.inf
        return min(seconds, self.cap if self.cap is not None else _LONGEST_DELAY)


@dataclass(frozen=True)
class State:
    """One state of a definition.

    Attributes
    ----------
    name, kind : str
        Its name and Type.
    spec : mapping
        The state as it stands in the definition.
    jsonata : bool
        Whether its query language is JSONata.
    next : str or None
        The next state; None at the end.
    plain : bool
        A Pass state that gives its input on unchanged.
    needs_context : bool
        Whether an expression of it may read the context object.
    """

    name: str
    kind: str
    spec: Mapping[str, Any]
    jsonata: bool
    next: str | None
    plain: bool
    needs_context: bool
    retry: tuple[Retrier, ...] = ()
    catch: tuple[Mapping[str, Any], ...] = ()
    branches: tuple[Scope, ...] = ()
    processor: Scope | None = None

    @property
    def counts_retries(self) -> bool:
        """Whether the context object shows State.RetryCount."""
        return self.kind in _COUNTS_RETRIES

    @property
    def distributed(self) -> bool:
        """Whether this is a Map state in distributed mode."""
        return self.processor is not None and self.processor.config.get("Mode") == "DISTRIBUTED"


@dataclass(frozen=True)
class Scope:
    """States that share one StartAt: a whole machine, a branch, or an item processor."""

    start: str
    states: Mapping[str, State]
    config: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None


def _retriers(spec: Mapping[str, Any]) -> tuple[Retrier, ...]:
    return tuple(
        Retrier(
            errors=tuple(entry["ErrorEquals"]),
            interval=entry.get("IntervalSeconds", 1),
            attempts=entry.get("MaxAttempts", 3),
            backoff=entry.get("BackoffRate", 2.0),
            cap=entry.get("MaxDelaySeconds"),
            jitter=entry.get("JitterStrategy") == "FULL",
        )
        for entry in spec.get("Retry", ())
    )


def _state(name: str, spec: Mapping[str, Any], language: str) -> State:
    language = spec.get("QueryLanguage", language)
    jsonata = language == "JSONata"
    own = dumps({key: value for key, value in spec.items() if key not in _NESTED})
    processor = spec.get("ItemProcessor") or spec.get("Iterator")
    changes = {"Result", "Parameters", "InputPath", "OutputPath", "ResultPath", "Output", "Assign"}
    return State(
        name=name,
        kind=spec["Type"],
        spec=spec,
        jsonata=jsonata,
        next=spec.get("Next"),
        plain=spec["Type"] == "Pass" and not changes & spec.keys(),
        needs_context=("$states" in own) if jsonata else ("$$" in own),
        retry=_retriers(spec),
        catch=tuple(spec.get("Catch", ())),
        branches=tuple(compile_scope(branch, language) for branch in spec.get("Branches", ())),
        processor=compile_scope(processor, language) if processor else None,
    )


def compile_scope(definition: Mapping[str, Any], language: str = "JSONPath") -> Scope:
    """Make a checked definition, branch or processor ready to run.

    Parameters
    ----------
    definition : mapping
        A parsed definition that `mlops_kit.asl.definition.validate` accepts.
    language : str
        Query language of what encloses it.
    """
    language = definition.get("QueryLanguage", language)
    return Scope(
        start=definition["StartAt"],
        states={name: _state(name, spec, language) for name, spec in definition["States"].items()},
        config=definition.get("ProcessorConfig") or {},
        timeout=definition.get("TimeoutSeconds"),
    )


def matches(errors: tuple[str, ...] | list[str], names: tuple[str, ...]) -> bool:
    """Whether ErrorEquals fits an error that goes by these names.

    Notes
    -----
    "Handling errors in Step Functions workflows": States.TaskFailed stands for every error but
    States.Timeout. That States.ALL catches States.DataLimitExceeded is recorded from AWS, against that
    page.
    """
    for wanted in errors:
        if wanted in names:
            return True
        if wanted == "States.ALL" or (wanted == "States.TaskFailed" and "States.Timeout" not in names):
            return True
    return False
