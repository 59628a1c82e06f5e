"""What the outside hears of an execution: EventBridge events and CloudWatch metrics; never fails one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_kit.local.stepfunctions.names import base_machine

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.execution import Execution

_LONGEST_DATA = 248 * 1024  # bytes of input or output in an event (Step Functions Execution Status Change)
_METRICS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "ABORTED": "ExecutionsAborted",
    "TIMED_OUT": "ExecutionsTimedOut",
}


def started(execution: Execution, redriven: bool = False) -> None:
    """Tell that an execution runs. A Map Run's children are too many to tell of one by one."""
    if execution.birth.extra.get("map_run"):
        return
    _metric(execution, "ExecutionsRedriven" if redriven else "ExecutionsStarted", 1, "Count")
    _event(execution)


def ended(execution: Execution) -> None:
    """Tell how an execution ended and how long it took; of a Map Run's children nothing."""
    if execution.birth.extra.get("map_run"):
        return
    _metric(execution, _METRICS[execution.status], 1, "Count")
    since = execution.redriven_at or execution.birth.started
    seconds = (execution.stopped or since) - since
    _metric(execution, "ExecutionTime", seconds * 1000, "Milliseconds")
    _event(execution)


def _metric(execution: Execution, name: str, value: float, unit: str) -> None:
    machine = base_machine(execution.birth.machine_arn)
    context = execution.engine.context.within(machine.split(":")[3])
    context.metric("AWS/States", name, value, unit, {"StateMachineArn": machine})


def _event(execution: Execution) -> None:
    """Only Standard executions have status events (Step Functions user guide)."""
    if not execution.durable:
        return
    birth = execution.birth
    output = execution.output.text if execution.output else None
    detail: dict[str, Any] = {
        "executionArn": birth.arn,
        "stateMachineArn": birth.machine_arn,
        "name": birth.name,
        "status": execution.status,
        "startDate": int(birth.started * 1000),
        "stopDate": int(execution.stopped * 1000) if execution.stopped else None,
        **_data("input", birth.input.text),
        **_data("output", output),
        "stateMachineVersionArn": birth.extra.get("stateMachineVersionArn"),
        "stateMachineAliasArn": birth.extra.get("stateMachineAliasArn"),
        "redriveCount": execution.redrives,
        "redriveDate": int(execution.redriven_at * 1000) if execution.redriven_at else None,
        "redriveStatus": "NOT_REDRIVABLE" if execution.status in ("RUNNING", "SUCCEEDED") else "REDRIVABLE",
        "error": execution.error,
        "cause": execution.cause,
    }
    context = execution.engine.context.within(birth.arn.split(":")[3])
    context.emit("aws.states", "Step Functions Execution Status Change", detail, [birth.arn])


def _data(member: str, text: str | None) -> dict[str, Any]:
    if text is None:
        return {member: None, f"{member}Details": None}
    included = len(text.encode("utf-8", "surrogatepass")) <= _LONGEST_DATA
    return {member: text if included else None, f"{member}Details": {"included": included}}
