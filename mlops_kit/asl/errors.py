"""Run-time errors of a state machine under AWS's names; must not decide who catches them."""

from __future__ import annotations


class StatesError(Exception):
    """An error that a state meets while it runs, and that Retry and Catch may match.

    Parameters
    ----------
    error : str
        AWS's name, such as ``States.Runtime``.
    cause : str, optional
        AWS's words, without the engine's "An error occurred while executing the state ..." before them.
    location : str, optional
        The field that failed, as ``EvaluationFailed`` events name it (``Assign/x``).
    """

    def __init__(self, error: str, cause: str | None = None, location: str | None = None) -> None:
        super().__init__(f"{error}: {cause}" if cause else error)
        self.error = error
        self.cause = cause
        self.location = location


class PathError(StatesError):
    """A JSONPath finds nothing in the data (``States.Runtime`` unless a field has its own name for it)."""

    def __init__(self, cause: str, *, path: str) -> None:
        super().__init__("States.Runtime", cause)
        self.path = path


RUNTIME = "States.Runtime"
PARAMETER_PATH_FAILURE = "States.ParameterPathFailure"
RESULT_PATH_MATCH_FAILURE = "States.ResultPathMatchFailure"
INTRINSIC_FAILURE = "States.IntrinsicFailure"
QUERY_EVALUATION_ERROR = "States.QueryEvaluationError"
