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
    letters = base64.b32encode(hashlib.sha256(role_arn.encode()).digest()).decode()[:32]
    return context.acting(role_arn, letters)


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
        known.check(role_arn, "sts:AssumeRole", wanted)
    except AwsError:
        words = f"The role {role_arn} is not authorized to assume the task state's role, {wanted}."
        raise StateFailed("States.TaskFailed", words) from None
