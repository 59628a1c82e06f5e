"""Service integrations of Task states: the door through which `tasks.py` calls; knows no frame."""

from __future__ import annotations

import functools
import logging
import re

from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import http, jobs, lambdas, requests
from mlops_kit.local.stepfunctions.integrations.calls import Call, reads
from mlops_kit.local.stepfunctions.integrations.target import Reply, Target

__all__ = ["Call", "Reply", "Target", "look", "perform", "resolve", "stop"]

logger = logging.getLogger(__name__)

_FUNCTION = re.compile(r"arn:aws[a-z-]*:lambda:[^:]*:[^:]*:function:.+")
_ACTIVITY = re.compile(r"arn:aws[a-z-]*:states:[^:]+:\d{12}:activity:.+")
_SERVICE = re.compile(
    r"arn:aws[a-z-]*:states:[^:]*:[^:]*:(?P<sdk>aws-sdk:)?(?P<service>[\w-]+):(?P<action>\w+)"
    r"(\.(?P<pattern>sync:2|sync|waitForTaskToken))?"
)


@functools.cache
def resolve(resource: str) -> Target:
    """Take a Task's Resource apart.

    Raises
    ------
    StateFailed
        States.Runtime: nothing is there that a task could call.
    """
    if _FUNCTION.fullmatch(resource):
        return Target("lambda", resource)
    if _ACTIVITY.fullmatch(resource):
        return Target("activity", resource)
    match = _SERVICE.fullmatch(resource)
    if match is None:
        raise StateFailed(
            "States.Runtime", f"The resource provided {resource} is not recognized.", runtime=True
        )
    return Target(
        "service", resource, match["service"], match["action"], bool(match["sdk"]), match["pattern"] or ""
    )


def perform(call: Call) -> Reply:
    """Make a call, in a worker thread; what it changed elsewhere is on disk when this returns.

    Raises
    ------
    StateFailed
        The call was refused or failed, under AWS's error name.
    """
    target = call.target
    try:
        if target.kind == "lambda":
            reply = lambdas.invoke_function(call)
        elif target.service == "lambda" and target.action == "invoke" and not target.sdk:
            reply = lambdas.invoke(call)
        elif target.service in ("apigateway", "http") and target.action in ("invoke",) and not target.sdk:
            reply = http.invoke(call)
        else:
            reply = jobs.submit(call) if target.pattern.startswith("sync") else requests.send(call)
    finally:
        if not reads(target.action):
            call.context.settle()
    return reply


def look(context: Context, target: Target, job: dict[str, str]) -> Reply | None:
    """The end of a submitted job, or None while it runs.

    Raises
    ------
    StateFailed
        The job failed (States.TaskFailed), or the service did not say.
    """
    reply = jobs.look(context, target, job)
    if reply is not None:
        context.settle()
    return reply


def stop(context: Context, target: Target, job: dict[str, str]) -> None:
    """Ask the service to stop a job; a refusal is logged only, as AWS gives no more than its best."""
    try:
        jobs.stop(context, target, job)
    except StateFailed as failure:
        logger.warning("%s could not be stopped: %s", job, failure.cause)
