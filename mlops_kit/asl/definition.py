"""Checks of a definition as CreateStateMachine and ValidateStateMachineDefinition make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Diagnostic:
    """One finding of the service.

    Attributes
    ----------
    severity : {"ERROR", "WARNING"}
        A definition with an ERROR is refused.
    code : str
        Such as ``SCHEMA_VALIDATION_FAILED``.
    message : str
        AWS's words.
    location : str or None
        JSON pointer, such as ``/States/X/Resource``.
    """

    severity: str
    code: str
    message: str
    location: str | None = None


def validate(definition: str | Mapping[str, Any], type: str = "STANDARD") -> list[Diagnostic]:
    """What AWS would say of a definition, errors first; empty when it takes it.

    Parameters
    ----------
    definition : str or mapping
        The JSON text that a caller sent, or the parsed definition.
    type : {"STANDARD", "EXPRESS"}
        Of the state machine.
    """
    raise NotImplementedError


def refusal(diagnostics: Sequence[Diagnostic]) -> str | None:
    """The message of ``InvalidDefinition`` ("Invalid State Machine Definition: '...'"), or ``None``."""
    raise NotImplementedError
