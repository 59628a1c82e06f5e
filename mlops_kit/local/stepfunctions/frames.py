"""Frames: where an execution stands, one for itself and one a branch or item, as rows that survive a kill.

A frame decides nothing; `flow.py` moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_kit.local.stepfunctions.docs import EMPTY, Doc, dumps

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.execution import Execution
    from mlops_kit.local.stepfunctions.program import Scope, State

# Phases of a frame in its current state.
ENTER = "enter"  # the state is next; nothing of it has happened
WORK = "work"  # entered; its work is to be done, or done again
CALLED = "called"  # a task's call is out; its answer is not known
SUBMITTED = "submitted"  # a job runs or a token is out
WAITING = "waiting"  # a Wait state, until `until`
BACKOFF = "backoff"  # a retry, at `until`
CHILDREN = "children"  # branches or items are running

RUNNING, SUCCEEDED, FAILED, ABORTED = "RUNNING", "SUCCEEDED", "FAILED", "ABORTED"


class Frame:
    """A point of control.

    Attributes
    ----------
    id : int
        Number within the execution; 0 is the execution itself.
    parent : Frame or None
        The frame whose Parallel or Map state this one belongs to.
    ordinal : int
        Number of the branch or index of the item.
    scope : Scope
        States that it walks through.
    state, phase : str
        Where it is.
    input : Doc
        Raw input of the state.
    entered_id, entered_at
        Event that entered the state, and when.
    previous : int
        Event that the next one follows.
    own, visible : dict
        Variables assigned in this scope, and all that it sees.
    retries : dict
        Uses of each retrier, by its index as text.
    task : dict
        What a Task attempt or a Map has noted: token, job, deadlines, map run.
    item : dict or None
        ``Map.Item`` of the context object.
    """

    __slots__ = (
        "cause", "children", "entered_at", "entered_id", "error", "execution", "id", "input", "item",
        "item_ref", "ordinal", "own", "parent", "phase", "previous", "result", "retries", "retry_count",
        "scope", "state", "status", "task", "until", "visible",
    )  # fmt: skip

    def __init__(
        self, execution: Execution, id: int, scope: Scope, parent: Frame | None = None, ordinal: int = 0
    ) -> None:
        self.execution = execution
        self.id = id
        self.scope = scope
        self.parent = parent
        self.ordinal = ordinal
        self.state = scope.start
        self.phase = ENTER
        self.input: Doc = EMPTY
        self.entered_id = 0
        self.entered_at = 0.0
        self.previous = 0
        self.own: dict[str, Any] = {}
        self.visible: dict[str, Any] = dict(parent.visible) if parent else {}
        self.retries: dict[str, int] = {}
        self.retry_count = 0
        self.task: dict[str, Any] = {}
        self.until: float | None = None
        self.item: dict[str, Any] | None = parent.item if parent else None
        self.item_ref = False
        self.status = RUNNING
        self.result: Doc | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.children: dict[int, Frame] = {}

    @property
    def spec(self) -> State:
        """The state that it is in."""
        return self.scope.states[self.state]

    def assign(self, values: Mapping[str, Any]) -> None:
        """Take over variables assigned in this scope."""
        self.own.update(values)
        self.visible.update(values)

    def move(self, state: str, value: Doc) -> None:
        """Go to a state of the same scope, with its input."""
        self.state = state
        self.input = value
        self.phase = ENTER
        self.retries = {}
        self.retry_count = 0
        self.task = {}
        self.until = None

    def dump(self) -> str:
        """Text of the row that brings this frame back; documents stay the text that they are."""
        row: dict[str, Any] = {
            "p": self.parent.id if self.parent else None,
            "n": self.ordinal,
            "s": self.state,
            "ph": self.phase,
            "e": self.entered_id,
            "t": self.entered_at,
            "pr": self.previous,
            "st": self.status,
        }
        if self.status in (RUNNING, FAILED, ABORTED):
            row["i"] = self.input.text
        if self.own:
            row["v"] = self.own
        if self.retry_count:
            row["r"], row["rc"] = self.retries, self.retry_count
        if self.task:
            row["k"] = self.task
        if self.until is not None:
            row["u"] = self.until
        if self.item_ref:
            row["m"] = self.item
        if self.result is not None:
            row["o"] = self.result.text
        if self.error is not None or self.cause is not None:
            row["x"] = [self.error, self.cause]
        return dumps(row)

    def restore(self, row: Mapping[str, Any]) -> None:
        """Take the place that `dump` wrote down."""
        self.ordinal = row["n"]
        self.state = row["s"]
        self.phase = row["ph"]
        self.entered_id = row["e"]
        self.entered_at = row["t"]
        self.previous = row["pr"]
        self.status = row["st"]
        self.input = Doc(text=row["i"]) if "i" in row else EMPTY
        self.assign(row.get("v", {}))
        self.retries, self.retry_count = row.get("r", {}), row.get("rc", 0)
        self.task = row.get("k", {})
        self.until = row.get("u")
        if "m" in row:
            self.item, self.item_ref = row["m"], True
        self.result = Doc(text=row["o"]) if "o" in row else None
        self.error, self.cause = row.get("x", [None, None])


def mark_aborted(frame: Frame) -> None:
    """Note in a frame and those below it that they were cut short; a redrive restarts them."""
    for child in frame.children.values():
        mark_aborted(child)
    if frame.status == RUNNING:
        frame.status = ABORTED
        frame.execution.mark(frame)
