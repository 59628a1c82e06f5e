"""As whom a state machine calls: its role, or a task's own; calls nothing itself."""

from __future__ import annotations

import base64
import hashlib

from mlops_kit.local.service import AwsError, Context
from mlops_kit.local.stepfunctions.failures import StateFailed


def acting(context: Context, role_arn: str) -> Context:
    """The context as a state machine's role; AWS names such a session by 32 letters."""
    if context.authorization is None:
        return context
    return context.acting(role_arn, _session(role_arn))


def _session(role_arn: str) -> str:
    return base64.b32encode(hashlib.sha256(role_arn.encode()).digest()).decode()[:32]


def check_start(context: Context, role_arn: str, machine: str) -> None:
    """Refuse the child executions of a distributed Map whose role may not start the state machine itself.

    Raises
    ------
    StateFailed
        As a refused states:startExecution.
    """
    if context.authorization is None:
        return
    try:
        context.authorization.check(role_arn, "states:StartExecution", machine, session=_session(role_arn))
    except AwsError as error:
        raise StateFailed("StepFunctions.AWSStepFunctionsException", error.message) from None


def check(context: Context, role_arn: str, wanted: str | None) -> None:
    """Refuse a task's own role that the state machine's may not assume.

    Raises
    ------
    StateFailed
        In AWS's words.
    """
    known = context.authorization
    if known is None or not wanted:
        return
    try:
        known.check(role_arn, "sts:AssumeRole", wanted, session=_session(role_arn))
    except AwsError:
        words = f"The role {role_arn} is not authorized to assume the task state's role, {wanted}."
        raise StateFailed("States.TaskFailed", words) from None
