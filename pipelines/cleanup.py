"""The cleanup of a project: endpoints, configurations and models that no champion needs go; people are told.

What only grows in S3 and DynamoDB goes by itself: the foundation's lifecycle rules and the tables' TTL.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Permission, Schedule
from pipelines import daily, retraining
from pipelines import expressions as x
from pipelines.models.spec import ROOT

TIMEOUT = 3600  # seconds of an execution
_KINDS = {"Endpoint": "endpoint", "EndpointConfig": "endpoint-config", "Model": "model"}


def build(settings: Settings) -> Pipeline:
    """The cleanup of the settings' project.

    Parameters
    ----------
    settings : Settings
        Region and project.

    Returns
    -------
    Pipeline
        Named ``cleanup``; every Sunday morning. Its input may ask to list only, and for another grace period.
    """
    return Pipeline(
        name="cleanup",
        description="Removes endpoints, endpoint configurations and models that no champion needs",
        definition=_definition(settings),
        input_schema=_input_schema(),
        functions=(_remove_unused(settings),),
        schedules=(Schedule("cron(0 5 ? * SUN *)", name="cleanup"),),
    )


def _input_schema() -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "dry_run": {"type": "boolean", "description": "Only list what would be removed."},
            "grace_days": {
                "type": "integer",
                "minimum": 0,
                "maximum": 3650,
                "description": "Keep what is younger, so that no deployment is hit; default 7.",
            },
            "trigger": retraining.TRIGGER,
        },
    }


def _definition(settings: Settings) -> dict[str, Any]:
    region, project = settings.region, settings.project
    remove = steps.task(
        "RemoveUnused",
        region,
        "lambda:invoke",
        {"FunctionName": "${RemoveUnusedFunction}", "Payload": x.KEEP},
        Call(900, (steps.LAMBDA,)),
        x.adding(cleanup="$states.result.Payload"),
    )
    words = x.message(f"'Cleanup of {project}: ' & $states.input.cleanup.text")
    tell = daily.notify(region, "NotifyResult", daily.ROUTINE, f"{project}: cleanup", words)
    steps.chain([remove, tell, steps.succeed("CleanedUp")])
    failed = daily.failure_path(region, project, "cleanup", "CleanupFailed")
    daily.lead_failures([remove, tell], failed)
    return steps.definition(remove, f"Removes what no champion of {project} needs", TIMEOUT)


def _remove_unused(settings: Settings) -> Function:
    source = ROOT / "functions" / "remove_unused.py"
    return Function(
        "RemoveUnused",
        "remove_unused.handler",
        Artifact("remove_unused", "zip", ((source.name, source),)),
        timeout=900,
        environment={"PROJECT": settings.project},
        permissions=tuple(_permissions(settings.project)),
    )


def _permissions(project: str) -> Iterator[Permission]:
    """Listing is the account's; the rest ends at the project's names, and removing at its tag."""
    lists = ("ListEndpoints", "ListEndpointConfigs", "ListModels", "ListModelPackageGroups")
    yield Permission("List", tuple(f"sagemaker:{one}" for one in lists), ("*",))
    arns = {kind: _arn(f"{path}/{project}-*") for kind, path in _KINDS.items()}
    yield Permission("ReadTags", ("sagemaker:ListTags",), tuple(arns.values()))
    own = (("StringEquals", "aws:ResourceTag/mlops-kit:project", (project,)),)
    for kind, arn in arns.items():
        yield Permission(f"Describe{kind}", (f"sagemaker:Describe{kind}",), (arn,))
        yield Permission(f"Remove{kind}", (f"sagemaker:Delete{kind}",), (arn,), own)
    groups = (_arn(f"model-package-group/{project}-*"), _arn(f"model-package/{project}-*/*"))
    yield Permission("ListVersions", ("sagemaker:ListModelPackages",), groups)
    yield Permission("DescribeVersions", ("sagemaker:DescribeModelPackage",), groups[1:])


def _arn(path: str) -> str:
    return f"arn:${{AWS::Partition}}:sagemaker:${{AWS::Region}}:${{AWS::AccountId}}:{path}"
