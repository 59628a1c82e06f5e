"""Runs every check over a subject: a pipeline, a definition or its JSON text; knows no single rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.jsonparse import Unreadable, parse
from mlops_kit.build.lint import context, dataflow, errornames, habits, jobnames, language, services, traps
from mlops_kit.build.lint.findings import Finding, Findings
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline


def lint(subject: Pipeline | Mapping[str, Any] | str) -> Findings:
    """What is wrong or doubtful in a definition, with the fix for each; empty when all is well.

    Texts that hold CloudFormation's ``${Token}`` count as right.

    Parameters
    ----------
    subject : Pipeline, mapping or str
        A pipeline, a definition in Amazon States Language, or its JSON text (as Workflow Studio exports it).

    Returns
    -------
    Findings
        A sequence of `Finding`, errors first; reads well in a terminal and in a notebook.

    Raises
    ------
    UsageError
        The text is no JSON, or no definition of a state machine.
    """
    definition = definition_of(subject)
    return Findings(_all(definition))


def definition_of(subject: Pipeline | Mapping[str, Any] | str) -> Mapping[str, Any]:
    """The definition that a subject holds.

    Raises
    ------
    UsageError
        The text is no JSON, or no definition of a state machine.
    """
    value: Any = subject.definition if isinstance(subject, Pipeline) else subject
    if isinstance(value, str):
        try:
            value, _ = parse(value)
        except Unreadable as problem:
            raise UsageError(
                "The definition is no JSON.",
                cause=problem.diagnostic.message,
                suggestion="export it again from Workflow Studio, or mend it at that line and column.",
            ) from problem
    if not isinstance(value, Mapping) or not isinstance(value.get("States"), Mapping):
        raise UsageError(
            "This is no definition of a state machine: it has no object 'States'.",
            suggestion='give it the form {"StartAt": "First", "States": {"First": {...}}}.',
        )
    return value


def _all(definition: Mapping[str, Any]) -> Iterator[Finding]:
    yield from language.check(definition)
    yield from services.check(definition)
    yield from jobnames.check(definition)
    yield from context.check(definition)
    yield from errornames.check(definition)
    yield from dataflow.check(definition)
    yield from traps.check(definition)
    yield from habits.check(definition)
