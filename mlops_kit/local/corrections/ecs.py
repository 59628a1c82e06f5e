"""A task that no container engine can run has not run: it is recorded as stopped, in words.

ministack calls such a task RUNNING for ever, and whoever waits for its end would wait as long. Tasks of
services stay as they are: their service would start them again and again.
"""

from __future__ import annotations

import json
from typing import Any

from mlops_kit.local.ministack import module

NOT_RUN = (
    "ResourceInitializationError: the task was not run: the embedded AWS has no container engine "
    "(docs/embedded-aws.md)."
)


def install() -> None:
    """Stop each task as soon as RunTask has recorded it."""
    loaded = module("services.ecs")
    run = loaded._ACTION_MAP["RunTask"]

    def refused(data: dict[str, Any]) -> Any:
        answer = run(data)
        if answer[0] != 200:
            return answer
        body = json.loads(answer[2])
        for told in body["tasks"]:
            arn = told["taskArn"]
            loaded._mark_task_stopped(arn, loaded._tasks[arn], NOT_RUN, "TaskFailedToStart")
        body["tasks"] = [loaded._sanitize(loaded._tasks[told["taskArn"]]) for told in body["tasks"]]
        return loaded.json_response(body)

    loaded._ACTION_MAP["RunTask"] = refused
