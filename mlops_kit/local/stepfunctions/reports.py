"""What the outside hears of an execution: EventBridge events and CloudWatch metrics; never fails one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import ACCOUNT
from mlops_kit.local.stepfunctions.metrics import Key, put_time
from mlops_kit.local.stepfunctions.names import base_machine

if TYPE_CHECKING:
    from mlops_kit.local.stepfunctions.execution import Execution
    from mlops_kit.local.stepfunctions.integrations.target import Target

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
    execution.engine.count(_key(execution, "ExecutionsRedriven" if redriven else "ExecutionsStarted"))
    _event(execution)


def ended(execution: Execution) -> None:
    """Tell how an execution ended and how long it took; of a Map Run's children nothing."""
    if execution.birth.extra.get("map_run"):
        return
    execution.engine.count(_key(execution, _METRICS[execution.status]))
    since = execution.redriven_at or execution.birth.started
    put_time(execution.engine.context, _key(execution, "ExecutionTime"), (execution.stopped or since) - since)
    _event(execution)


def _key(execution: Execution, name: str) -> Key:
    machine = base_machine(execution.birth.machine_arn)
    return Key(machine.split(":")[3], name, "StateMachineArn", machine)


_FAMILIES = {
    "lambda": ("LambdaFunction", "LambdaFunctionArn"),
    "activity": ("Activity", "ActivityArn"),
    "service": ("ServiceIntegration", "ServiceIntegrationResourceArn"),
}


def task(execution: Execution, target: Target, what: str, since: float | None = None) -> None:
    """Count a step of a task (Scheduled, Succeeded, Failed, TimedOut) and, at its end, its time.

    Notes
    -----
    Names and dimensions: "Monitoring Step Functions metrics using Amazon CloudWatch".
    """
    engine, region = execution.engine, execution.birth.machine_arn.split(":")[3]
    family, dimension = _FAMILIES[target.kind]
    arn = target.full_resource.replace(":states:::", f":states:{region}:{ACCOUNT}:", 1)
    plural = "Activities" if target.kind == "activity" else f"{family}s"
    engine.count(Key(region, f"{plural}{what}", dimension, arn))
    if since is not None:
        put_time(engine.context, Key(region, f"{family}Time", dimension, arn), engine.now() - since)


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
