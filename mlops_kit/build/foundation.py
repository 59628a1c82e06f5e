"""The stack that all pipelines of a project share: buckets, lock table, bus, topics, model package groups.

Must not know a pipeline; the names of its outputs are the tokens that pipelines use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mlops_kit.build.policy import Tags, names
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import FOUNDATION_TOKENS, Stack
from mlops_kit.settings import Settings

# S3 User Guide, "General purpose bucket naming rules"; a generated name begins with the stack's.
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-", "aws-")
_KEPT = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
_GONE = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
TAG_PROJECT, TAG_PIPELINE = "mlops-kit:project", "mlops-kit:pipeline"
LOCK_KEY, LOCK_EXPIRY = "pk", "ttl"
TMP_DAYS = 7  # what one execution leaves for its next state; a redrive comes within days
KEPT_DAYS = 400  # a year to compare with, and a month to look at it
# What only grows under these prefixes of the data bucket is history. Under retraining/ the champions' models
# and profiles lie between old windows, and a champion serves as long as no challenger is better: so nothing
# ends there; S3 itself moves what is not read to cheaper tiers.
_HISTORY = ("drift/", "forecast/", "reports/")
_TRAINING, _TIERED_DAYS = "retraining/", 30


def foundation(settings: Settings, models: Sequence[str]) -> Stack:
    """The foundation stack of a project.

    Parameters
    ----------
    settings : Settings
        Gives the project.
    models : sequence of str
        Names of the models that pipelines train; each gets a model package group ``<project>-<model>``.

    Returns
    -------
    Stack
        Named ``<project>-foundation``; its outputs are `FOUNDATION_TOKENS`.

    Raises
    ------
    UsageError
        AWS would refuse a name that follows from the project or from a model.
    """
    check_project(settings.project)
    tags = names({TAG_PROJECT: settings.project})
    resources: dict[str, Any] = {
        "ArtifactBucket": _bucket(tags, (), versioned=True),
        "DataBucket": _bucket(tags, _data_rules(), versioned=False),
        "LockTable": _lock_table(tags),
        "EventBus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": settings.project, "Tags": tags}},
        "RoutineTopic": _topic(f"{settings.project}-routine", tags),
        "CriticalTopic": _topic(f"{settings.project}-critical", tags),
    }
    for model in sorted(set(models)):
        resources[f"{_logical(model)}ModelPackageGroup"] = _group(settings.project, model, tags)
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What the pipelines of {settings.project} share: buckets, lock, bus, topics.",
        "Resources": resources,
        "Outputs": {name: {"Value": {"Ref": name}} for name in FOUNDATION_TOKENS},
    }
    return Stack(f"{settings.project}-foundation", template)


def check_project(project: str) -> None:
    """Refuse a project whose name AWS would refuse in a bucket or an event bus.

    Raises
    ------
    UsageError
        Says which rule it breaks.
    """
    if project == "default" or project.startswith(_RESERVED_PREFIXES):
        raise UsageError(
            f"{project!r} cannot be a project's name.",
            cause="'default' is AWS's own event bus, and AWS keeps bucket names with the prefixes "
            f"{', '.join(_RESERVED_PREFIXES)} for itself",
            suggestion="choose another with --project, MLOPS_KIT_PROJECT or in mlops-kit.toml.",
        )


def _data_rules() -> Sequence[dict[str, Any]]:
    """How long data are kept (S3 User Guide, "Managing the lifecycle of objects")."""
    tiered = {"StorageClass": "INTELLIGENT_TIERING", "TransitionInDays": _TIERED_DAYS}
    return (
        *(_expiring(prefix, KEPT_DAYS) for prefix in _HISTORY),
        {"Id": "retraining", "Status": "Enabled", "Prefix": _TRAINING, "Transitions": [tiered]},
    )


def _expiring(prefix: str, days: int) -> dict[str, Any]:
    return {"Id": prefix.rstrip("/"), "Status": "Enabled", "Prefix": prefix, "ExpirationInDays": days}


def _bucket(tags: Tags, further: Sequence[dict[str, Any]], *, versioned: bool) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        _expiring("tmp/", TMP_DAYS),
        *further,
        {
            "Id": "unfinished-uploads",
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
    properties: dict[str, Any] = {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    }
    if versioned:
        properties["VersioningConfiguration"] = {"Status": "Enabled"}
        old = {
            "Id": "old-versions",
            "Status": "Enabled",
            "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
        }
        rules.append(old)
    properties["LifecycleConfiguration"] = {"Rules": rules}
    return {"Type": "AWS::S3::Bucket", **_KEPT, "Properties": {**properties, "Tags": tags}}


def _lock_table(tags: Tags) -> dict[str, Any]:
    """One item per model and window; DynamoDB itself removes those whose window has ended."""
    return {
        "Type": "AWS::DynamoDB::Table",
        **_GONE,
        "Properties": {
            "AttributeDefinitions": [{"AttributeName": LOCK_KEY, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": LOCK_KEY, "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
            "TimeToLiveSpecification": {"AttributeName": LOCK_EXPIRY, "Enabled": True},
            "Tags": tags,
        },
    }


def _topic(name: str, tags: Tags) -> dict[str, Any]:
    return {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name, "Tags": tags}}


def _group(project: str, model: str, tags: Tags) -> dict[str, Any]:
    name = f"{project}-{model}"
    if not re.fullmatch(r"[a-z0-9](-*[a-z0-9]){0,62}", name):
        raise UsageError(
            f"{model!r} cannot be a model's name.",
            cause=f"SageMaker would refuse {name!r} for the model package group and the endpoint",
            suggestion="use a-z, 0-9 and '-'; with the project at most 63 characters.",
        )
    return {
        "Type": "AWS::SageMaker::ModelPackageGroup",
        "Properties": {
            "ModelPackageGroupName": name,
            "ModelPackageGroupDescription": f"Champions of the model {model}, the approved one in service.",
            "Tags": tags,
        },
    }


def _logical(model: str) -> str:
    """A model's name as part of a logical id, which takes letters and digits only."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", model))
