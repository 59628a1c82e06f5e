"""Task tokens that are out, and activities' queues of tasks; stores nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import AwsError

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.frames import Frame


def new_token(execution: str, frame: int) -> str:
    """A token that nobody can guess and that we can tell from any other text."""
    body = json.dumps({"e": execution, "f": frame, "n": str(uuid.uuid4())}, separators=(",", ":"))
    return base64.b64encode(body.encode()).decode()


def machine_of(token: str) -> str:
    """ARN of the state machine whose task a token belongs to; empty for a text that is no token of ours."""
    try:
        execution = str(json.loads(base64.b64decode(token, validate=True))["e"])
    except (ValueError, KeyError, TypeError):
        return ""
    kind, _, name = execution.rpartition(":")[0].rpartition(":")
    return f"{kind.rpartition(':')[0]}:stateMachine:{name.partition('/')[0]}"


def _is_ours(token: str) -> bool:
    try:
        return isinstance(json.loads(base64.b64decode(token, validate=True)), dict)
    except ValueError:
        return False


@dataclass
class Pending:
    """A task that waits for SendTaskSuccess or SendTaskFailure.

    Attributes
    ----------
    frame : Frame
        Whose task it is.
    answered : asyncio.Event
        Set when ``frame.task["outcome"]`` has the answer.
    beat : asyncio.Event
        Set when a heartbeat has moved ``frame.task["heartbeat_by"]``.
    """

    frame: Frame
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    beat: asyncio.Event = field(default_factory=asyncio.Event)


class Tokens:
    """Which token belongs to which task; for the engine's loop only."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._queues: dict[str, deque[Pending]] = {}
        self._arrived: dict[str, asyncio.Event] = {}

    def open(self, token: str, frame: Frame) -> Pending:
        """Let a token be answered from now on."""
        pending = self._pending[token] = Pending(frame)
        return pending

    def close(self, token: str) -> None:
        """The task has ended."""
        self._pending.pop(token, None)

    def find(self, token: str) -> Pending:
        """The task of a token.

        Raises
        ------
        AwsError
            InvalidToken, or TaskTimedOut for one that has ended.
        """
        pending = self._pending.get(token)
        if pending is None or pending.answered.is_set():
            if _is_ours(token):
                raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'")
        return pending

    # -------------------------------------------------------------- activities
    def offer(self, activity: str, pending: Pending) -> None:
        """Queue a task for an activity's workers."""
        self._queues.setdefault(activity, deque()).append(pending)
        self._arrived.setdefault(activity, asyncio.Event()).set()

    async def take(self, activity: str, seconds: float) -> Pending | None:
        """The next task of an activity, waited for; None when none came."""
        arrived = self._arrived.setdefault(activity, asyncio.Event())
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            queue = self._queues.get(activity) or deque()
            while queue:
                pending = queue.popleft()
                if self._pending.get(pending.frame.task.get("token", "")) is pending:
                    return pending
            arrived.clear()
            left = deadline - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(arrived.wait(), max(left, 0))
            except TimeoutError:
                return None


def outcome(output: str | None = None, error: str | None = None, cause: str | None = None) -> dict[str, Any]:
    """What a token was answered with, as it stands in the frame's row."""
    return {"output": output} if output is not None else {"error": error, "cause": cause}
