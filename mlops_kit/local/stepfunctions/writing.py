"""ResultWriter of distributed Map: what became of each item, and results to S3; starts nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions.dataflow import Reader
from mlops_kit.local.stepfunctions.docs import dumps, loads
from mlops_kit.local.stepfunctions.execution import timestamp
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations.calls import send
from mlops_kit.local.stepfunctions.integrations.target import Target


@dataclass
class Child:
    """One item's execution, running or ended."""

    index: int
    arn: str
    name: str
    status: str
    input: str
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    started: float = 0.0
    stopped: float | None = None
    redrives: int = 0


@dataclass(frozen=True)
class Writing:
    """What a ResultWriter asks for; ``bucket`` is None when results only change their form."""

    run: str
    bucket: str | None
    prefix: str
    transformation: str
    lines: bool


def writing(reader: Reader, run: str) -> Writing:
    """Evaluate a state's ResultWriter."""
    spec = reader.state.spec["ResultWriter"]
    if reader.state.jsonata:
        where = reader.jsonata(spec.get("Arguments", {}), "ResultWriter/Arguments", expect="object")
    else:
        where = reader.template(spec.get("Parameters", {}), reader.narrowed())
    config = spec.get("WriterConfig", {})
    return Writing(
        run,
        where.get("Bucket"),
        str(where.get("Prefix", "")).strip("/"),
        config.get("Transformation", "NONE"),
        config.get("OutputType") == "JSONL",
    )


def transformed(plan: Writing, children: Iterable[Child]) -> list[Any]:
    """The results in the form that WriterConfig asks for."""
    if plan.transformation == "NONE":
        return [_described(child) for child in children]
    outputs = [loads(child.output) for child in children if child.output is not None]
    if plan.transformation == "FLATTEN":
        return [item for value in outputs for item in (value if isinstance(value, list) else [value])]
    return outputs


def _described(child: Child) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "ExecutionArn": child.arn,
        "Input": child.input,
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": timestamp(child.started),
        "StateMachineArn": child.arn.replace(":execution:", ":stateMachine:").rpartition(":")[0],
        "Status": child.status,
        "StopDate": timestamp(child.stopped or child.started),
        "RedriveCount": child.redrives,
    }
    if child.output is not None:
        answer |= {"Output": child.output, "OutputDetails": {"Included": True}}
    answer |= {
        key: value for key, value in (("Error", child.error), ("Cause", child.cause)) if value is not None
    }
    return answer


def write(context: Context, plan: Writing, children: list[Child]) -> dict[str, Any]:
    """Write results and manifest to S3; for a worker thread.

    Raises
    ------
    StateFailed
        States.ResultWriterFailed.
    """
    target = Target("service", "arn:aws:states:::aws-sdk:s3:putObject", "s3", "putObject", sdk=True)
    folder = "/".join(part for part in (plan.prefix, plan.run.rpartition(":")[2]) if part)
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    try:
        for status in ("SUCCEEDED", "FAILED"):
            group = [child for child in children if (child.status == "SUCCEEDED") == (status == "SUCCEEDED")]
            if not group:
                continue
            values = (
                transformed(plan, group) if status == "SUCCEEDED" else [_described(child) for child in group]
            )
            text = "\n".join(dumps(value) for value in values) if plan.lines else dumps(values)
            key = f"{folder}/{status}_0.{'jsonl' if plan.lines else 'json'}"
            send(context, target, {"Bucket": plan.bucket, "Key": key, "Body": text})
            files[status].append({"Key": key, "Size": len(text.encode())})
        manifest = {"DestinationBucket": plan.bucket, "MapRunArn": plan.run, "ResultFiles": files}
        key = f"{folder}/manifest.json"
        send(context, target, {"Bucket": plan.bucket, "Key": key, "Body": dumps(manifest)})
    except StateFailed as failure:
        raise StateFailed("States.ResultWriterFailed", failure.cause) from None
    context.settle()
    return {"MapRunArn": plan.run, "ResultWriterDetails": {"Bucket": plan.bucket, "Key": key}}
