"""A workflow as a picture: SVG, Mermaid and an outline in words; needs no network and no other program.

Must not read an execution: what happened is handed in, state by state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mlops_kit.build.diagram.flow import Flow, flow
from mlops_kit.build.diagram.overview import overview
from mlops_kit.build.diagram.svg import drawn
from mlops_kit.build.diagram.words import mermaid, outline
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline


@dataclass(frozen=True)
class StateRun:
    """What happened to a state in one execution.

    Attributes
    ----------
    status : str
        ``SUCCEEDED``, ``FAILED``, ``CAUGHT`` (it failed, and a Catch took over), ``RUNNING``, ``TIMED_OUT``
        or ``ABORTED``.
    seconds : float or None
        From its first start to its last end.
    attempts : int
        How often it was tried.
    """

    status: str
    seconds: float | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Graph:
    """A drawn workflow; JupyterLab shows the SVG, a terminal the outline."""

    name: str
    definition: Mapping[str, Any] = field(repr=False)
    run: Mapping[str, StateRun] | None = field(default=None, repr=False)
    whole: bool = field(default=True, repr=False)

    @cached_property
    def _flow(self) -> Flow:
        found = flow(self.definition)
        return found if self.whole else overview(found, self.run)

    def overview(self) -> Graph:
        """Only what tells the story: the way to success, or in an execution the way that it went.

        Map and Parallel are one state each; failure paths and the ways to take a run up are left out.
        """
        return replace(self, whole=False)

    def svg(self) -> str:
        """The picture as one self-contained SVG document."""
        return drawn(self._flow, self.run, self.name)

    def mermaid(self) -> str:
        """The same for Markdown, as GitHub and JupyterLab draw it."""
        return mermaid(self._flow, self.run)

    def __str__(self) -> str:
        return outline(self._flow, self.run, self.name)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": str(self)}


def graph(of: Pipeline | Mapping[str, Any], run: Mapping[str, StateRun] | None = None) -> Graph:
    """Draw a pipeline's workflow, or a definition.

    Parameters
    ----------
    of : Pipeline or mapping
        A pipeline, or a definition in the Amazon States Language.
    run : mapping of str to StateRun, optional
        What happened in an execution; states that are not in it were not reached.

    Returns
    -------
    Graph

    Raises
    ------
    UsageError
        It is neither.
    """
    if isinstance(of, Pipeline):
        name, definition = of.name, of.definition
    elif isinstance(of, Mapping):
        name, definition = str(of.get("Comment") or "workflow"), of
    else:
        raise UsageError(
            f"A {type(of).__name__} has no graph.", suggestion="hand in a pipeline or a definition."
        )
    flow(definition)  # a mistake is told here, not when the picture is shown
    return Graph(name, definition, run)
