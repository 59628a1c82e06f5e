"""A small pipeline of Pass and Lambda states, and a project of its own for each test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.deploy.aws import Session, session
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings

SCHEMA = {
    "type": "object",
    "properties": {
        "as_of": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        "limit": {"type": "number"},
    },
    "additionalProperties": False,
}
HANDLER = "def main(event, context):\n    return {'verdict': 'promote'}\n"


def project(url: str, name: str, state_dir: Path) -> Session:
    return session(Settings(endpoint_url=url, region="us-east-1", project=name, state_dir=state_dir))


def definition(**first: Any) -> dict[str, Any]:
    return {
        "StartAt": "Prepare",
        "States": {
            "Prepare": {"Type": "Pass", "Next": "Judge", **first},
            "Judge": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "TimeoutSeconds": 30,
                "Parameters": {"FunctionName": "${JudgeFunction}", "Payload.$": "$"},
                "OutputPath": "$.Payload",
                "End": True,
            },
        },
    }


def pipeline(folder: Path, *, timeout: int = 30, code: str = HANDLER, **first: Any) -> Pipeline:
    folder.mkdir(exist_ok=True)
    (folder / "handler.py").write_text(code)
    judge = Artifact("judge", "zip", (("handler.py", folder / "handler.py"),))
    function = Function("Judge", "handler.main", judge, timeout=timeout)
    return Pipeline("small", "Judges nothing much.", definition(**first), SCHEMA, functions=(function,))
