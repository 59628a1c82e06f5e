"""What a run costs on AWS, from its history and a dated price table; an estimate, never a bill.

Prices: ``prices.json`` beside this file, on-demand, us-east-1; replace it by ``prices=``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mlops_kit.observe.execution import Execution, Visit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CostLine:
    """One part of a cost.

    Attributes
    ----------
    service, what : str
        AWS's service, and the state or thing that is paid for.
    quantity : float
        In ``unit``.
    unit : str
        Such as ``instance-hours``.
    price : float
        US dollars a unit.
    """

    service: str
    what: str
    quantity: float
    unit: str
    price: float

    @property
    def dollars(self) -> float:
        """Quantity times price."""
        return self.quantity * self.price


@dataclass(frozen=True)
class Cost:
    """Cost of one run, line by line.

    Attributes
    ----------
    lines : tuple of CostLine
        What was used while it ran.
    hosting_per_day : float
        US dollars a day for the endpoint that it leaves serving; 0 when it leaves none.
    prices_of : str
        Region and day of the price table.
    """

    lines: tuple[CostLine, ...]
    hosting_per_day: float
    prices_of: str

    @property
    def dollars(self) -> float:
        """Sum of the lines."""
        return sum(line.dollars for line in self.lines)

    def frame(self) -> pd.DataFrame:
        """The lines as a table, dearest first."""
        import pandas as pd

        rows = [vars(line) | {"dollars": line.dollars} for line in self.lines]
        columns = ["service", "what", "quantity", "unit", "price", "dollars"]
        return pd.DataFrame(rows, columns=columns).sort_values("dollars", ascending=False, ignore_index=True)

    def __str__(self) -> str:
        hosting = f", then ${self.hosting_per_day:.2f} a day for the endpoint" if self.hosting_per_day else ""
        return f"${self.dollars:.4f} for the run{hosting} (estimate, {self.prices_of})"


def estimate(execution: Execution, prices: Mapping[str, Any] | None = None) -> Cost:
    """What an execution would have cost on AWS, had each job taken as long there.

    Parameters
    ----------
    execution : Execution
        With inputs and outputs in its history.
    prices : mapping, optional
        A price table in the form of ``prices.json``.

    Notes
    -----
    Standard workflows: each state entered and each retry is a transition (AWS Step Functions Pricing).
    Glue Python shell: per second, one minute at least. SageMaker jobs: instance time, in seconds.
    """
    table = prices or json.loads(files("mlops_kit.observe").joinpath("prices.json").read_text())
    transitions = len(execution.visits) + sum(max(len(visit.attempts) - 1, 0) for visit in execution.visits)
    lines = [
        CostLine("Step Functions", "state transitions", transitions, "transitions", table["transition"]),
    ]
    for visit in execution.visits:
        lines += _lines(visit, table)
    hosting = sum(_hosting(visit, table) for visit in execution.visits if visit.status == "SUCCEEDED")
    return Cost(tuple(lines), hosting, f"{table['region']} prices of {table['date']}")


def _lines(visit: Visit, table: Mapping[str, Any]) -> Iterator[CostLine]:
    """What one visit paid for, told by the shape of the service's answer in its output."""
    for answer in _answers(visit):
        if "JobRunState" in answer:
            seconds = max(sum((a.ended - a.started).total_seconds() for a in visit.attempts if a.ended), 60.0)
            hours = answer.get("MaxCapacity", 0.0625) * seconds / 3600
            yield CostLine("Glue", visit.state, hours, "DPU-hours", table["glue_dpu_hour"])
        elif "TrainingJobStatus" in answer:
            yield _instances(visit, answer["ResourceConfig"], table, answer.get("BillableTimeInSeconds"))
        elif "ProcessingJobStatus" in answer:
            yield _instances(visit, answer["ProcessingResources"]["ClusterConfig"], table, None)
        elif "ExecutedVersion" in answer:
            seconds = visit.seconds or 0.0
            yield CostLine("Lambda", visit.state, len(visit.attempts), "requests", table["lambda_request"])
            yield CostLine("Lambda", visit.state, seconds * 0.25, "GB-seconds", table["lambda_gb_second"])


def _answers(visit: Visit) -> Iterator[dict[str, Any]]:
    """Objects of the visit's output that were not in its input: what this state added."""
    if not visit.output or not visit.attempts:
        return
    before, after = json.loads(visit.input or "null"), json.loads(visit.output)
    if not isinstance(after, dict):
        return
    yield after
    known = before if isinstance(before, dict) else {}
    for key, value in after.items():
        if isinstance(value, dict) and known.get(key) != value:
            yield value


def _instances(
    visit: Visit, resources: Mapping[str, Any], table: Mapping[str, Any], billed: float | None
) -> CostLine:
    kind = resources["InstanceType"]
    seconds = billed if billed is not None else sum(
        (attempt.ended - attempt.started).total_seconds() for attempt in visit.attempts if attempt.ended
    )  # fmt: skip
    hours = seconds * resources.get("InstanceCount", 1) / 3600
    price = table["instance_hour"].get(kind, table["instance_hour"]["ml.m5.large"])
    return CostLine("SageMaker", f"{visit.state} ({kind})", hours, "instance-hours", price)


def _hosting(visit: Visit, table: Mapping[str, Any]) -> float:
    """Dollars a day for the endpoint configuration that a visit created."""
    if "EndpointConfig" not in (visit.output or "") or not visit.state.startswith("CreateEndpointConfig"):
        return 0.0
    return float(24 * table["instance_hour"]["ml.t2.medium"])
