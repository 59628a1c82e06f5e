"""What AWS says of a definition; must not check anything itself."""

from __future__ import annotations

from dataclasses import dataclass


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


def schema(message: str, location: str) -> Diagnostic:
    """A refusal under ``SCHEMA_VALIDATION_FAILED``."""
    return Diagnostic("ERROR", "SCHEMA_VALIDATION_FAILED", message, location)


def error(code: str, message: str, location: str | None = None) -> Diagnostic:
    """A refusal under another code."""
    return Diagnostic("ERROR", code, message, location)


def warning(code: str, message: str, location: str) -> Diagnostic:
    """A doubt that lets the definition pass."""
    return Diagnostic("WARNING", code, message, location)
