"""What a state's work hands back to `flow.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops_kit.local.stepfunctions.docs import Doc


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where to go and what with.

    Attributes
    ----------
    next : str or None
        The next state; None ends the scope.
    output : Doc
        The state's output.
    assigned : mapping
        Variables that it assigns.
    """

    next: str | None
    output: Doc
    assigned: Mapping[str, Any] = field(default_factory=dict)
