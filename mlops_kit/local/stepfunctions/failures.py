"""The one exception that a state's work ends with, and how AWS words it; it catches nothing."""

from __future__ import annotations


class StateFailed(Exception):
    """A state did not do its work; Retry and Catch see it.

    Parameters
    ----------
    error, cause : str or None
        AWS's error name and text; a Fail state may give neither.
    names : tuple of str, optional
        Names that ErrorEquals may use for it, when there are more than ``error``.
    location : str, optional
        The JSONata field that could not be evaluated; makes an EvaluationFailed event.
    runtime : bool
        The state's own fields and its data do not go together: a Map or Parallel state then has no
        MapStateFailed or ParallelStateFailed event.
    """

    def __init__(
        self,
        error: str | None,
        cause: str | None,
        names: tuple[str, ...] = (),
        location: str | None = None,
        runtime: bool = False,
    ) -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause
        self.names = names or ((error,) if error else ())
        self.location = location
        self.runtime = runtime

    @property
    def fatal(self) -> bool:
        """Whether no Retry and no Catch may have it: States.Runtime always fails the execution."""
        return self.error == "States.Runtime"

    @property
    def details(self) -> dict[str, str]:
        """Error and cause as members of an event's details; what is absent stays absent."""
        pairs = {"error": self.error, "cause": self.cause}
        return {key: value for key, value in pairs.items() if value is not None}

    @property
    def output(self) -> dict[str, str]:
        """The error output that a Catch hands on."""
        pairs = {"Error": self.error, "Cause": self.cause if self.cause is not None or not self.error else ""}
        return {key: value for key, value in pairs.items() if value is not None}


def data_limit(name: str) -> StateFailed:
    """The failure of a state or task whose result is larger than 262,144 bytes."""
    return StateFailed(
        "States.DataLimitExceeded",
        f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes "
        "service limit.",
    )


def variables_limit(name: str) -> StateFailed:
    """The failure of a state that assigns more than 262,144 bytes at once ("Limits for variables")."""
    words = "assigned variables with a size exceeding the maximum number of bytes service limit."
    return StateFailed("States.DataLimitExceeded", f"The state/task '{name}' {words}")


def timed_out(heartbeat: bool = False) -> StateFailed:
    """The failure of a task past its TimeoutSeconds or HeartbeatSeconds.

    Notes
    -----
    AWS names both States.Timeout in the history (recorded); ErrorEquals may also say
    States.HeartbeatTimeout for the second ("Handling errors in Step Functions workflows").
    """
    names = ("States.Timeout", "States.HeartbeatTimeout") if heartbeat else ("States.Timeout",)
    return StateFailed("States.Timeout", None, names)
