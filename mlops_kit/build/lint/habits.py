"""What runs but should not be left so: tasks that may wait for ever, choices without a way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.resources import TOKEN
from mlops_kit.asl.states import walk
from mlops_kit.build.lint.findings import Finding
from mlops_kit.build.lint.tasks import tasks


def check(definition: Mapping[str, Any]) -> Iterator[Finding]:
    """Advice on timeouts, heartbeats and defaults; all of severity ``warning``."""
    for task in tasks(definition):
        state, name = task.place.state, task.place.name
        timed = "TimeoutSeconds" in state or "TimeoutSecondsPath" in state
        token = task.resource is not None and task.resource.pattern == TOKEN
        if not timed:
            beats = " and HeartbeatSeconds" if token else ""
            waits = "the token never comes back" if token else "the work hangs"
            yield Finding(
                name,
                "TimeoutSeconds",
                f"Without a timeout it waits for up to three years when {waits} (99,999,999 seconds).",
                f"set TimeoutSeconds{beats}.",
                "warning",
            )
        beat, limit = state.get("HeartbeatSeconds"), state.get("TimeoutSeconds")
        if isinstance(beat, int) and isinstance(limit, int) and beat >= limit:
            yield Finding(
                name,
                "HeartbeatSeconds",
                f"{beat} seconds is not less than the timeout of {limit}: a missing beat is never noticed.",
                "make HeartbeatSeconds smaller than TimeoutSeconds.",
                "warning",
            )
    for place in walk(definition):
        if place.state.get("Type") == "Choice" and "Default" not in place.state:
            yield Finding(
                place.name,
                "Default",
                "When no rule matches, the execution fails with States.NoChoiceMatched.",
                "add a Default.",
                "warning",
            )
