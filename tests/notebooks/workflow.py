"""A small workflow with a bit of everything that a picture shows."""

from __future__ import annotations

from typing import Any

from mlops_kit.pipeline import Pipeline

RETRY = [{"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 2.0}]
CATCH = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Tell"}]
WORKFLOW: dict[str, Any] = {
    "Comment": "A small retraining",
    "StartAt": "Prepare",
    "States": {
        "Prepare": {
            "Type": "Task",
            "Resource": "arn:aws:states:::glue:startJobRun.sync",
            "Parameters": {"JobName": "prepare"},
            "ResultPath": "$.prepared",
            "TimeoutSeconds": 600,
            "Retry": RETRY,
            "Catch": CATCH,
            "Next": "GoodEnough",
        },
        "GoodEnough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.wape", "NumericLessThanEquals": 0.25, "Next": "Deploy"}],
            "Default": "Rejected",
        },
        "Deploy": {
            "Type": "Parallel",
            "Branches": [{"StartAt": "Model", "States": {"Model": {"Type": "Pass", "End": True}}}],
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
        "Rejected": {"Type": "Succeed"},
        "Tell": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": {"TopicArn": "${CriticalTopic}", "Message.$": "$.failure.Cause"},
            "TimeoutSeconds": 30,
            "Next": "Failed",
        },
        "Failed": {"Type": "Fail", "Error": "RetrainingFailed"},
    },
}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "as_of": {
            "type": "string",
            "format": "date",
            "description": "The day it stands for, such as 2011-07-01.",
        },
        "force": {"type": "boolean", "description": "Run although it was done."},
    },
}
SMALL = Pipeline("small", "A small retraining", WORKFLOW, SCHEMA)
