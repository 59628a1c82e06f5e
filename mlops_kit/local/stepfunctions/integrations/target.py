"""What a Task's Resource names, and the events that tell of it; calls nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.asl.errors import StatesError
from mlops_kit.local.stepfunctions.docs import Doc

EventOf = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Reply:
    """What a call or a job gave.

    Attributes
    ----------
    output : Doc
        The answer as the state machine sees it.
    job : mapping or None
        How to find a submitted job again.
    """

    output: Doc
    job: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Target:
    """A Resource, taken apart.

    Attributes
    ----------
    kind : str
        ``lambda`` (a function's ARN), ``activity`` or ``service``.
    full_resource : str
        The Resource as written.
    service, action : str
        Such as ``sagemaker`` and ``createTrainingJob``; botocore's words are found elsewhere.
    sdk : bool
        Whether it is an ``aws-sdk`` integration.
    pattern : str
        ``""``, ``sync``, ``sync:2`` or ``waitForTaskToken``.
    """

    kind: str
    full_resource: str
    service: str = ""
    action: str = ""
    sdk: bool = False
    pattern: str = ""

    @property
    def resource(self) -> str:
        """As events name it: the action with its pattern, or the ARN."""
        if self.kind != "service":
            return self.full_resource
        return f"{self.action}.{self.pattern}" if self.pattern else self.action

    @property
    def resource_type(self) -> str:
        """As events name it: the service."""
        return f"aws-sdk:{self.service}" if self.sdk else self.service

    @property
    def lasting(self) -> bool:
        """Whether the answer to the call is only the beginning."""
        return bool(self.pattern)

    @property
    def may_call_back(self) -> bool:
        """Whether the context object has a task token (AWS gives one to `.sync` tasks too, recorded)."""
        return self.lasting or self.kind == "activity"

    def check(self, arguments: Any) -> None:
        """Refuse arguments that cannot be a call's."""
        if self.kind == "service" and not isinstance(arguments, dict):
            raise StatesError(
                "States.Runtime", "The Parameters of a service integration must be a JSON object."
            )

    # ------------------------------------------------------------------ events
    def _about(self, details: Mapping[str, Any]) -> dict[str, Any]:
        return {"resourceType": self.resource_type, "resource": self.resource, **details}

    def _event(self, what: str, details: Mapping[str, Any]) -> EventOf:
        if self.kind == "lambda":
            return f"LambdaFunction{what}", details
        if self.kind == "activity":
            return f"Activity{what}", details
        return f"Task{what}", self._about(details)

    def scheduled(self, arguments: str, region: str, limits: Mapping[str, int]) -> EventOf:
        """The event of a scheduled attempt."""
        if self.kind == "service":
            return self._event("Scheduled", {"region": region, "parameters": arguments, **limits})
        return self._event("Scheduled", {"resource": self.full_resource, "input": arguments, **limits})

    def started(self) -> EventOf | None:
        """The event of a started attempt; an activity starts when a worker takes it."""
        return None if self.kind == "activity" else self._event("Started", {})

    def submitted(self, output: str) -> EventOf:
        """The event of a submitted job or a token that is out."""
        return self._event("Submitted", {"output": output})

    def succeeded(self, output: str) -> EventOf:
        """The event of success."""
        return self._event("Succeeded", {"output": output})

    def failed(self, error: Mapping[str, str], submitting: bool) -> EventOf:
        """The event of failure; a refused submission has its own."""
        return self._event("SubmitFailed" if submitting else "Failed", error)

    def timed_out(self, error: Mapping[str, str]) -> EventOf:
        """The event of a limit that passed."""
        return self._event("TimedOut", error)
