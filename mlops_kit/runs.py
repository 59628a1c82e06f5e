"""One execution as people look at it: status, states, graph, Gantt, verdict, failure; starts nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.plan import Shown, html_table, text_table

if TYPE_CHECKING:
    import pandas as pd

    from mlops_kit.build.graph import Graph
    from mlops_kit.observe.charts import Chart
    from mlops_kit.observe.execution import Execution

_FINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_ENDS = ("Succeed", "Fail")
_MOMENT = 0.1  # seconds below which a state that did nothing remarkable is only counted


@dataclass(frozen=True, repr=False)
class Failure(Shown):
    """Why an execution failed, and what to do.

    Attributes
    ----------
    state : str
        The state that failed first.
    error : str
        Error name, such as ``States.TaskFailed``.
    cause : str
        AWS's cause; the reason within it where it is a job's description.
    attempts : int
        How often it was tried.
    suggestion : str
        What to do: the command that takes the execution up again, where one can.
    """

    state: str
    error: str
    cause: str
    attempts: int
    suggestion: str

    def __rich__(self) -> Any:
        from rich.text import Text

        tries = f" after {self.attempts} tries" if self.attempts > 1 else ""
        return Text(f"{self.state} failed{tries}: {self.error}\n{self.cause}\n{self.suggestion}")

    def _html(self) -> str:
        tries = f" after {self.attempts} tries" if self.attempts > 1 else ""
        return (
            f"<p><b>{escape(self.state)}</b> failed{tries}: {escape(self.error)}</p>"
            f"<pre>{escape(self.cause)}</pre>"
            f"<p>{escape(self.suggestion)}</p>"
        )


@dataclass(frozen=True, repr=False)
class Verdict(Shown):
    """What the evaluation decided, and on which figures.

    Attributes
    ----------
    verdict : str
        In the pipeline's words.
    reasons : tuple of str
        One sentence each.
    metrics : mapping
        Role (``challenger``, ``champion``) to metrics by name; ``None`` where there is none.
    """

    verdict: str
    reasons: tuple[str, ...]
    metrics: Mapping[str, Mapping[str, float] | None]

    def chart(self) -> Chart:
        """Champion and challenger side by side."""
        from mlops_kit.observe.charts import comparison

        return comparison(self.metrics)

    def rows(self) -> list[tuple[str, ...]]:
        """Metric, and its value for each role, as texts."""
        names = dict.fromkeys(name for values in self.metrics.values() for name in values or ())
        roles = [values or {} for values in self.metrics.values()]
        return [(name, *(_figure(role.get(name)) for role in roles)) for name in names]

    def __rich__(self) -> Any:
        from rich.console import Group

        head = ("metric", *self.metrics)
        return Group(
            text_table(head, self.rows(), f"Verdict: {self.verdict}"), *(f"- {r}" for r in self.reasons)
        )

    def _html(self) -> str:
        reasons = "".join(f"<li>{escape(reason)}</li>" for reason in self.reasons)
        table = html_table(("metric", *self.metrics), self.rows())
        svg = self.chart().svg()
        picture = svg[svg.index("<svg") :]
        return f"<p><b>Verdict: {escape(self.verdict)}</b></p><ul>{reasons}</ul>{table}{picture}"


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """An execution, read from Step Functions when it is looked at.

    Attributes
    ----------
    session : Session
        Where it ran.
    arn : str
        Its ARN.
    """

    session: Session
    arn: str
    _cache: dict[str, Execution] = field(default_factory=dict, compare=False)

    @property
    def execution(self) -> Execution:
        """Everything that its history tells; read anew as long as it runs."""
        from mlops_kit.observe.execution import read

        found = self._cache.get("final") or read(self.session.client("stepfunctions"), self.arn)
        if found.status in _FINAL:
            self._cache["final"] = found
        return found

    def forget(self) -> None:
        """Read it anew when it is next looked at: a redrive makes an ended execution run again."""
        self._cache.clear()

    @property
    def name(self) -> str:
        """The execution's name."""
        return self.arn.rpartition(":")[2]

    @property
    def status(self) -> str:
        """``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT`` or ``ABORTED``."""
        return self.execution.status

    @property
    def input(self) -> Any:
        """What it was given."""
        return self.execution.input

    @property
    def output(self) -> Any:
        """What it gave back; ``None`` unless it succeeded."""
        return self.execution.output

    @property
    def states(self) -> pd.DataFrame:
        """One row a state, in the order of entering: status, seconds, tries."""
        import pandas as pd

        rows = [(name, s.status, s.seconds, s.attempts) for name, s in self.execution.states.items()]
        return pd.DataFrame(rows, columns=["state", "status", "seconds", "tries"]).set_index("state")

    @property
    def failure(self) -> Failure | None:
        """Where and why it failed first; ``None`` when nothing did."""
        execution = self.execution
        visit = execution.failure
        if execution.status in ("SUCCEEDED", "RUNNING") or (visit is None and not execution.error):
            return None
        error, cause = execution.why
        tries = len(visit.attempts) if visit is not None else 1
        state = visit.state if visit is not None else self.name
        suggestion = f"To take it up again: mlops-kit redrive {self.name}"
        if visit is not None and visit.kind == "Fail":  # no state failed: the workflow decided
            suggestion = "Mend what led there, and start another run."
        return Failure(state, error, cause, tries, suggestion)

    def graph(self) -> Graph:
        """The workflow, each state with its status and time."""
        from mlops_kit.build.graph import StateRun, graph

        client = self.session.client("stepfunctions")
        definition = client.describe_state_machine_for_execution(executionArn=self.arn)["definition"]
        states = {
            name: StateRun(state.status, state.seconds, max(state.attempts, 1))
            for name, state in self.execution.states.items()
        }
        return graph(json.loads(definition), states)

    def gantt(self) -> Chart:
        """One bar a state, its retries apart."""
        from mlops_kit.observe.charts import gantt

        return gantt(self.execution)

    def verdict(self) -> Verdict | None:
        """What the evaluation decided; ``None`` where none took place."""
        from mlops_kit.observe.history import find_judgement

        found = find_judgement(self.execution)
        if found is None:
            return None
        reasons = tuple(str(one) for one in found.get("reasons", ()))
        return Verdict(str(found.get("verdict")), reasons, found["metrics"])

    def _title(self, execution: Execution) -> str:
        from mlops_kit.observe.charts import duration

        took = f" in {duration(execution.seconds)}" if execution.stopped else ""
        end = next((f", at {v.state}" for v in reversed(execution.visits) if v.kind in _ENDS), "")
        return f"{self.arn.split(':')[-2]}, {self.name}: {execution.status}{took}{end}"

    def rows(self) -> list[tuple[str, str, str, str]]:
        """State, status, tries and time, as texts: of the states that took time, were repeated or failed."""
        from mlops_kit.observe.charts import duration

        execution, found = self.execution, []
        repeated = {visit.state for visit in execution.visits if len(visit.attempts) > 1}
        for name, state in execution.states.items():
            if state.status != "SUCCEEDED" or (state.seconds or 0.0) >= _MOMENT or name in repeated:
                found.append((name, state.status, str(state.attempts or ""), duration(state.seconds)))
        rest = len(execution.states) - len(found)
        return [*found, (f"{rest} more", "SUCCEEDED", "", f"< {_MOMENT:g} s each")] if rest else found

    def __rich__(self) -> Any:
        from rich.console import Group

        execution, head = self.execution, ("state", "status", "tries", "time")
        table = text_table(head, self.rows(), self._title(execution))
        return Group(table, *([self.failure] if self.failure else []))

    def _html(self) -> str:
        execution, head = self.execution, ("state", "status", "tries", "time")
        rows = [tuple(map(escape, row)) for row in self.rows()]
        failure = self.failure._html() if self.failure else ""
        return f"<p><b>{escape(self._title(execution))}</b></p>{html_table(head, rows)}{failure}"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
