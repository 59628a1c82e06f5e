"""What a run costs on AWS, from its history and a dated price table; an estimate, never a bill.

Prices: ``prices.json`` beside this file, on-demand, us-east-1; replace it by ``prices=``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mlops_kit.observe.execution import Attempt, Execution

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
    Glue Python shell: per second, one minute at least. SageMaker jobs: instance time, in seconds. Lambda: at
    256 MB. A try that was stopped before it answered is not counted.
    """
    table = prices or json.loads(files("mlops_kit.observe").joinpath("prices.json").read_text())
    transitions = len(execution.visits) + sum(max(len(visit.attempts) - 1, 0) for visit in execution.visits)
    lines = [
        CostLine("Step Functions", "state transitions", transitions, "transitions", table["transition"]),
    ]
    tries = [(visit.state, attempt) for visit in execution.visits for attempt in visit.attempts]
    for state, attempt in tries:
        lines += _lines(state, attempt, table)
    hosting = sum(_hosting(attempt, table) for _, attempt in tries)
    return Cost(tuple(lines), hosting, f"{table['region']} prices of {table['date']}")


def _lines(state: str, attempt: Attempt, table: Mapping[str, Any]) -> Iterator[CostLine]:
    """What one try paid for, told by the shape of the service's answer; a failed job's is in its cause."""
    answer = _object(attempt.output or attempt.cause)
    if "JobRunState" in answer:
        seconds = max(answer.get("ExecutionTime") or 0, 60)
        hours = answer.get("MaxCapacity", 0.0625) * seconds / 3600
        yield CostLine("Glue", state, hours, "DPU-hours", table["glue_dpu_hour"])
    elif "TrainingJobStatus" in answer:
        billed = answer.get("BillableTimeInSeconds") or _seconds(attempt)
        yield _instances(state, answer["ResourceConfig"], billed, table)
    elif "ProcessingJobStatus" in answer:
        yield _instances(state, answer["ProcessingResources"]["ClusterConfig"], _seconds(attempt), table)
    elif "ExecutedVersion" in answer:
        yield CostLine("Lambda", state, 1, "requests", table["lambda_request"])
        yield CostLine("Lambda", state, _seconds(attempt) * 0.25, "GB-seconds", table["lambda_gb_second"])


def _instances(
    state: str, resources: Mapping[str, Any], seconds: float, table: Mapping[str, Any]
) -> CostLine:
    kind = resources["InstanceType"]
    hours = seconds * resources.get("InstanceCount", 1) / 3600
    return CostLine("SageMaker", f"{state} ({kind})", hours, "instance-hours", _hourly(kind, table))


def _hosting(attempt: Attempt, table: Mapping[str, Any]) -> float:
    """Dollars a day for the endpoint configuration that a try created."""
    if "EndpointConfigArn" not in _object(attempt.output):
        return 0.0
    variants = [
        one for one in _object(attempt.parameters).get("ProductionVariants", ()) if "InstanceType" in one
    ]
    hourly = sum(one.get("InitialInstanceCount", 1) * _hourly(one["InstanceType"], table) for one in variants)
    return 24.0 * float(hourly)


def _hourly(instance: str, table: Mapping[str, Any]) -> float:
    """Dollars an hour; of a type that the table lacks, ml.m5.large's."""
    prices: Mapping[str, float] = table["instance_hour"]
    return prices.get(instance, prices["ml.m5.large"])


def _seconds(attempt: Attempt) -> float:
    return (attempt.ended - attempt.started).total_seconds() if attempt.ended else 0.0


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object; empty where a text is none, such as a cause in words."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
