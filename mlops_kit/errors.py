"""Errors that people read: what was wrong, where, and what to do; nothing else lives here."""

from __future__ import annotations


class KitError(Exception):
    """A failure with words for the person who has to mend it.

    Parameters
    ----------
    message : str
        What was wrong and where, in one sentence.
    cause : str, optional
        The underlying reason, such as the error text of a service.
    suggestion : str, optional
        What to do next, as an imperative or a command.
    """

    exit_status = 1

    def __init__(self, message: str, *, cause: str | None = None, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.suggestion = suggestion

    def __str__(self) -> str:
        parts = [self.message]
        if self.cause:
            parts.append(f"Cause: {self.cause}")
        if self.suggestion:
            parts.append(f"To mend it: {self.suggestion}")
        return "\n".join(parts)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in a notebook: the words, without the kit's own lines."""
        return [f"{type(self).__name__}: {self}"]


class UsageError(KitError):
    """What a person or an event handed in cannot be used; nothing was started. Exit status 2."""

    exit_status = 2


class NotReachable(KitError):
    """No service answers at the endpoint, or the credentials do not open it."""


class DeployError(KitError):
    """A stack could not be created, changed or removed; CloudFormation has rolled back."""
