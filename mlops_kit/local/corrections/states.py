"""Our engine in the place of ministack's Step Functions module: a module object with the names that its
neighbours use (EventBridge, Pipes, drift detection, CloudFormation's import). No engine of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Protocol

from mlops_kit.local.service import AwsError

logger = logging.getLogger(__name__)

HttpTriple = tuple[int, dict[str, str], bytes]


class Engine(Protocol):
    """What the adapter needs of our Step Functions service; both from any thread, both quick."""

    def resolve(self, arn: str) -> bool:
        """Whether StartExecution would find it."""

    def start_from_event(self, state_machine_arn: str, input_text: str) -> str:
        """Start an execution; its ARN."""


class Adapter:
    """The stand-in for ministack's module; its engine comes when it is made.

    Attributes
    ----------
    engine : Engine or None
        Our Step Functions service.
    module : types.ModuleType
        What ministack imports.
    """

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.module = ModuleType("ministack.services.stepfunctions")
        vars(self.module).update(
            handle_request=_refuse,
            get_state=lambda: None,
            load_persisted_state=lambda data: None,
            reset=lambda: None,
            _resolve_state_machine_arn=self._resolve,
            _start_execution=self._start,
            _state_machines=_Machines(self._resolve),
            _tags={},
            _ENCRYPTION_TYPES=("AWS_OWNED_KEY", "CUSTOMER_MANAGED_KMS_KEY"),
            **dict.fromkeys(_UNREACHABLE, _unreachable),
        )

    def _resolve(self, arn: str) -> str | None:
        return arn if self.engine is not None and self.engine.resolve(arn) else None

    def _start(self, call: Mapping[str, Any]) -> HttpTriple:
        if self.engine is None:
            return _triple(503, {"__type": "ServiceUnavailable"})
        try:
            arn = self.engine.start_from_event(call["stateMachineArn"], call.get("input", "{}"))
        except AwsError as error:
            logger.warning("%s could not be started: %s", call["stateMachineArn"], error)
            return _triple(error.status, {"__type": error.code, "message": error.message})
        return _triple(200, {"executionArn": arn})


# Named by ministack's handler of AWS::StepFunctions::StateMachine, which ours replaces.
_UNREACHABLE = (
    "_encryption_configuration_error",
    "_stored_encryption",
    "_default_encryption",
    "_tag_resource",
    "_untag_resource",
    "_update_state_machine",
)


class _Machines(Mapping[str, Any]):
    """Which state machines exist, as drift detection asks."""

    def __init__(self, resolve: Any) -> None:
        self._resolve = resolve

    def __getitem__(self, arn: str) -> Any:
        if self._resolve(arn) is None:
            raise KeyError(arn)
        return {"stateMachineArn": arn}

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


async def _refuse(*_: Any) -> HttpTriple:
    return _triple(400, {"__type": "UnknownOperationException", "message": "Our port answers for this."})


def _unreachable(*_: Any) -> Any:
    raise NotImplementedError("our own resource types answer for Step Functions")


def _triple(status: int, body: Mapping[str, Any]) -> HttpTriple:
    return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(body).encode()
