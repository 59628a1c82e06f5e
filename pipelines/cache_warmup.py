"""The prediction cache, filled every day from the newest forecast: a table that forgets, and who fills it.

Data flow: every state's output is its input and what it added, as in ``retraining``.
"""

from __future__ import annotations

from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Permission, Schedule
from pipelines import daily
from pipelines import expressions as x
from pipelines.features import demand
from pipelines.models import find
from pipelines.models.spec import ROOT, ModelSpec

TIMEOUT = 900  # seconds of an execution


def build(settings: Settings, model: str = "demand") -> Pipeline:
    """The daily warm-up of a model's prediction cache.

    Parameters
    ----------
    settings : Settings
        Region and project.
    model : str
        Name of a spec in ``pipelines.models``.

    Returns
    -------
    Pipeline
        Named ``cache-warmup-<model>``; a quarter of an hour after the forecast.

    Raises
    ------
    UsageError
        There is no such model.
    """
    spec = find(model)
    name = f"cache-warmup-{spec.name}"
    definition = _definition(settings, spec)
    return Pipeline(
        name=name,
        description=f"{spec.description}: fill the prediction cache from the newest forecast",
        definition=definition,
        input_schema=daily.input_schema(
            "No forecast of a later day is taken", resume=daily.resume_schema(definition)
        ),
        functions=(_warm_cache(),),
        schedules=(Schedule("cron(45 0 * * ? *)", demand.ZONE, name=f"cache-warmup-{spec.name}"),),
        resources={"PredictionCache": _table(settings, name)},
    )


def _definition(settings: Settings, spec: ModelSpec) -> dict[str, Any]:
    region = settings.region
    tell = daily.failure_path(region, spec.name, "cache warm-up", "WarmupFailed")
    payload = {
        "bucket": "${DataBucket}",
        "prefix": f"forecast/{spec.name}/",
        "model": spec.name,
        "table": "${PredictionCache}",
        "as_of": x.of("as_of"),
    }
    warm = steps.task(
        "WarmCache",
        region,
        "lambda:invoke",
        {"FunctionName": "${WarmCacheFunction}", "Payload": payload},
        Call(120, (steps.LAMBDA,)),
        x.adding(cache="$states.result.Payload"),
    )
    warm.next(steps.succeed("Warmed"))
    daily.lead_failures([warm], tell)
    first = daily.resumable(daily.entrance(warm, tell, {}), [warm])
    return steps.definition(first, f"Fills the prediction cache of the {spec.name} model", TIMEOUT)


def _warm_cache() -> Function:
    source = ROOT / "functions" / "warm_cache.py"
    return Function(
        "WarmCache",
        "warm_cache.handler",
        Artifact("warm_cache", "zip", ((source.name, source),)),
        reads=("forecast/",),
        permissions=(Permission("FillCache", ("dynamodb:BatchWriteItem",), ("${PredictionCache.Arn}",)),),
    )


def _table(settings: Settings, name: str) -> dict[str, Any]:
    """An item a model and hour, found by both; DynamoDB removes it when its time is over."""
    keys = {"model": "HASH", "hour": "RANGE"}
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in keys],
            "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            "BillingMode": "PAY_PER_REQUEST",
            "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
            "Tags": daily.tags(settings, name),
        },
    }
