"""Derives `mlops_kit/local/resource_types.json` from AWS's resource schemas, which cfn-lint ships.

Run ``python -m tests.local.resource_types`` after an update of cfn-lint to write it anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "mlops_kit" / "local" / "resource_types.json"

SERVICES = {
    "Athena": "WorkGroup",
    "CloudWatch": "Alarm Dashboard",
    "DynamoDB": "Table",
    "Events": "EventBus Rule",
    "Glue": "Crawler Database Job Table",
    "IAM": "ManagedPolicy Policy Role",
    "KMS": "Alias Key",
    "Lambda": "Alias EventInvokeConfig EventSourceMapping Function LayerVersion Permission Version",
    "Logs": "LogGroup LogStream MetricFilter SubscriptionFilter",
    "S3": "Bucket BucketPolicy",
    "SNS": "Subscription Topic TopicPolicy",
    "SQS": "Queue QueuePolicy",
    "SSM": "Parameter",
    "SageMaker": "Endpoint EndpointConfig Model ModelPackageGroup",
    "Scheduler": "Schedule ScheduleGroup",
    "SecretsManager": "Secret",
    "StepFunctions": "Activity StateMachine StateMachineAlias StateMachineVersion",
}
TYPES = [f"AWS::{service}::{name}" for service, names in SERVICES.items() for name in names.split()]


def table() -> dict[str, dict[str, list[str]]]:
    """By type: properties that a template may set, those it must, those whose change replaces (or may)."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return {
        name: _entry(PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema) for name in TYPES
    }


def _entry(schema: dict[str, Any]) -> dict[str, list[str]]:
    read_only = set(_top_level(schema, "readOnlyProperties"))
    replacing = set(_top_level(schema, "createOnlyProperties"))
    nested = {path.split("/")[2] for path in schema.get("createOnlyProperties", []) if path.count("/") > 2}
    conditional = set(_top_level(schema, "conditionalCreateOnlyProperties")) | (nested - replacing)
    return {
        "properties": sorted(set(schema["properties"]) - read_only),
        "required": sorted(schema.get("required", [])),
        "replacing": sorted(replacing),
        "conditionally_replacing": sorted(conditional),
    }


def _top_level(schema: dict[str, Any], key: str) -> list[str]:
    paths = (path.split("/") for path in schema.get(key) or [])
    return [parts[2] for parts in paths if len(parts) == 3]


def text() -> str:
    """The file's content: one line a type."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in table().items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text())
