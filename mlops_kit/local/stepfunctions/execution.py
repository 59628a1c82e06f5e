"""One running execution in memory: its identity, its frames, and what it has recorded since the last commit.

It decides nothing: `flow.py` moves its frames, `engine.py` brings it to disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_kit.local.stepfunctions.docs import EMPTY, Doc
from mlops_kit.local.stepfunctions.frames import RUNNING, Frame
from mlops_kit.local.stepfunctions.history import MAX_EVENTS, Event
from mlops_kit.local.stepfunctions.ledger import drop_frames
from mlops_kit.local.stepfunctions.program import Scope

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.engine import Engine


class HistoryFull(Exception):
    """The execution has reached 25,000 events and ends."""


@dataclass(frozen=True)
class Birth:
    """What an execution is started with; never changes.

    Attributes
    ----------
    id : int
        Row number; 0 when it is not kept.
    arn, name : str
        Of the execution.
    machine_arn, machine_name : str
        As the context object shows them.
    role_arn : str
        Of the revision that it runs.
    revision : int
        Row number of the definition.
    kind : str
        STANDARD or EXPRESS.
    input : Doc
        Its input.
    started : float
        Epoch seconds.
    extra : mapping
        version, alias, trace, map_run, label, index: where they apply.
    logging : mapping
        LoggingConfiguration of the revision.
    """

    id: int
    arn: str
    name: str
    machine_arn: str
    machine_name: str
    role_arn: str
    revision: int
    kind: str = "STANDARD"
    input: Doc = EMPTY
    started: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)
    logging: Mapping[str, Any] = field(default_factory=dict)


def timestamp(epoch: float) -> str:
    """A time as the context object writes it: ISO 8601, milliseconds, UTC."""
    return (
        datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(epoch * 1000) % 1000:03d}Z"
    )


class Execution:
    """A RUNNING execution; when it ends it is forgotten here and lives in the tables only."""

    def __init__(self, engine: Engine, birth: Birth, scope: Scope) -> None:
        self.engine = engine
        self.birth = birth
        self.scope = scope
        self.status = RUNNING
        self.error: str | None = None
        self.cause: str | None = None
        self.output: Doc | None = None
        self.stopped: float | None = None
        self.redrives = 0
        self.redriven_at: float | None = None
        self.next_event = 1
        self.next_frame = 1
        self.root = Frame(self, 0, scope)
        self.root.input = birth.input
        self.events: list[Event] = []
        self.dirty: dict[int, Frame] = {}
        self.task: asyncio.Task[None] | None = None
        self.ending: tuple[str, str | None, str | None] | None = None
        self.deadline: float | None = None
        self.waiters: list[asyncio.Future[None]] = []
        self._shown: dict[str, Any] | None = None

    @property
    def durable(self) -> bool:
        """Whether its frames and events go to disk (Express ones go to the log group only)."""
        return self.birth.kind == "STANDARD"

    @property
    def kept(self) -> bool:
        """Whether it goes on after a restart: Express ones anew, and not those that are waited for."""
        return self.durable or bool(self.birth.extra.get("kept"))

    def record(
        self, frame: Frame, kind: str, details: Mapping[str, Any] | None = None, lane: bool = True
    ) -> int:
        """Add a history event that follows the frame's last one.

        Parameters
        ----------
        frame : Frame
            Whose event it is.
        kind : str
            AWS's event type.
        details : mapping, optional
            Members of the event's details.
        lane : bool
            Whether the frame's next event follows this one.

        Returns
        -------
        int
            The event's id.

        Raises
        ------
        HistoryFull
            This would be event 25,000.
        """
        number = self.next_event
        if number >= MAX_EVENTS and self.durable and self.ending is None:
            raise HistoryFull
        self.next_event = number + 1
        if not self.events and not self.dirty:
            self.engine.touch(self)
        self.events.append(Event(number, frame.previous, self.engine.now(), kind, details or {}))
        if lane:
            frame.previous = number
        return number

    def mark(self, frame: Frame) -> None:
        """Note that the frame's row must be written with the next commit."""
        if not self.events and not self.dirty:
            self.engine.touch(self)
        self.dirty[frame.id] = frame

    def new_frame(self, scope: Scope, parent: Frame, ordinal: int) -> Frame:
        """A frame below another one; its row is written with the next commit."""
        frame = Frame(self, self.next_frame, scope, parent, ordinal)
        self.next_frame += 1
        parent.children[ordinal] = frame
        return frame

    def drop_children(self, frame: Frame) -> None:
        """Forget the branches or items of a frame, on disk too."""
        for child in frame.children.values():
            self.drop_children(child)
            self.dirty.pop(child.id, None)
        if frame.children and self.durable:
            self.engine.write(*drop_frames(self.birth.id, frame.id, self.next_frame))
        frame.children = {}

    def context(self, frame: Frame) -> dict[str, Any]:
        """The context object as the frame's state sees it."""
        if self._shown is None:
            self._shown = {
                "Id": self.birth.arn,
                "Input": self.birth.input.value,
                "Name": self.birth.name,
                "RoleArn": self.birth.role_arn,
                "StartTime": timestamp(self.birth.started),
                "RedriveCount": self.redrives,
            }
            if self.redriven_at is not None:
                self._shown["RedriveTime"] = timestamp(self.redriven_at)
        state: dict[str, Any] = {"Name": frame.state, "EnteredTime": timestamp(frame.entered_at)}
        if frame.spec.counts_retries:
            state["RetryCount"] = frame.retry_count
        answer: dict[str, Any] = {
            "Execution": self._shown,
            "StateMachine": {"Id": self.birth.machine_arn, "Name": self.birth.machine_name},
            "State": state,
        }
        if frame.item is not None:
            answer["Map"] = {"Item": frame.item}
        if "token" in frame.task:
            answer["Task"] = {"Token": frame.task["token"]}
        return answer

    def redriven(self, at: float) -> None:
        """Count a redrive."""
        self.redrives += 1
        self.redriven_at = at
        self._shown = None
