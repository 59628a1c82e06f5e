"""The forecast of the day that begins: a batch transform by the champion, or the week before, marked as such.

Data flow: every state's output is its input and what it added, as in ``retraining``.
"""

from __future__ import annotations

from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call, State
from mlops_kit.pipeline import GlueJob, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import daily, retraining
from pipelines import expressions as x
from pipelines.features import demand
from pipelines.models import find
from pipelines.models.spec import ROOT, ModelSpec

TIMEOUT = 3 * 3600  # seconds of an execution
WORK = "tmp/forecast/"  # the foundation's bucket forgets what is there after a week
_NOT_FIT = "{% $states.input.data_quality = 'breach' and $not($states.input.force = true) %}"
_NO_CHAMPION = (
    "{'state': 'FindChampion', 'error': 'NoChampion',"
    " 'cause': 'no version of the model is approved; a retraining makes one'}"
)
_API = Call(60, (steps.SAGEMAKER,))


def build(settings: Settings, model: str = "demand") -> Pipeline:
    """The daily forecast of a model.

    Parameters
    ----------
    settings : Settings
        Region and project.
    model : str
        Name of a spec in ``pipelines.models``.

    Returns
    -------
    Pipeline
        Named ``forecast-<model>``; half an hour after local midnight it forecasts the day.

    Raises
    ------
    UsageError
        There is no such model.
    """
    spec = find(model)
    definition = _definition(settings, spec)
    return Pipeline(
        name=f"forecast-{spec.name}",
        description=f"{spec.description}: forecast every hour of the day that begins",
        definition=definition,
        input_schema=daily.input_schema(
            "Day to forecast, when it begins", force=daily.FORCE, resume=daily.resume_schema(definition)
        ),
        model=spec.name,
        jobs=(
            _job("PrepareForecast", "prepare_forecast.py", ("raw/",), (WORK,)),
            _job("PublishForecast", "publish_forecast.py", ("raw/", WORK), ("forecast/",)),
        ),
        schedules=(Schedule("cron(30 0 * * ? *)", demand.ZONE, name=f"forecast-{spec.name}"),),
        artifacts=(retraining.model_code(),),
        data=(spec.data,),
        reads=("retraining/", WORK),
        writes=(WORK,),
    )


def _job(name: str, script: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> GlueJob:
    path = ROOT / "jobs" / script
    return GlueJob(
        name,
        Artifact(path.stem, "file", ((script, path),)),
        modules=(Artifact("pipeline_features", "wheel", retraining.FEATURES),),
        reads=reads,
        writes=writes,
    )


def _definition(settings: Settings, spec: ModelSpec) -> dict[str, Any]:
    region, project = settings.region, settings.project
    tell = daily.failure_path(region, spec.name, "forecast", "ForecastFailed")
    naive = _publish(region, spec, "PublishNaive", "seasonal-naive")
    told = daily.notify(
        region, "NotifyFallback", daily.ROUTINE, f"{spec.name}: seasonal-naive forecast", _fallback(spec)
    )
    steps.chain([naive, told, steps.succeed("PublishedNaive")])

    champion = retraining.find_champion(region, project, spec)
    with_model = [
        _describe_champion(region),
        _prepare(region, spec),
        _find_model(region, project, spec),
        _create_model(region, project, spec),
        _transform(region, project, spec),
        _publish(region, spec, "PublishForecast", "model"),
    ]
    describe, prepare, find_model, create, transform, publish = with_model
    steps.chain([describe, prepare, find_model])
    steps.chain([create, transform, publish, steps.succeed("Published")])
    find_model.next(steps.choice("HasModel", [("{% $states.input.has_model %}", transform)], create))
    no_champion = ("{% $not($exists($states.input.champion)) %}", naive, x.adding(failure=_NO_CHAMPION))
    champion.next(steps.choice("HasChampion", [no_champion], describe))

    read = _read_verdict(region, spec)
    read.next(steps.choice("DataFit", [(_NOT_FIT, steps.succeed("DataNotFit"))], champion))
    daily.lead_failures([champion, *with_model], naive)
    daily.lead_failures([read, naive, told], tell)
    members = {
        "force": "$states.input.force = true",
        "prefix": f"'{WORK}{spec.name}/' & $day & '/' & $run",
        "output": f"'forecast/{spec.name}/date=' & $day",
    }
    first = daily.entrance(read, tell, members)
    first = daily.resumable(first, [read, champion, *with_model, naive, told])
    return steps.definition(first, f"Forecasts a day of the {spec.name} model", TIMEOUT)


def _read_verdict(region: str, spec: ModelSpec) -> State:
    arguments = {"TableName": "${LockTable}", "Key": daily.verdict_key(spec.name), "ConsistentRead": True}
    output = x.adding(
        data_quality="$exists($states.result.Item) ? $states.result.Item.verdict.S : 'not checked'"
    )
    return steps.task(
        "ReadVerdict", region, "dynamodb:getItem", arguments, Call(30, (steps.DYNAMODB,)), output
    )


def _describe_champion(region: str) -> State:
    container = "$states.result.InferenceSpecification.Containers[0]"
    members = ", ".join(f"'{name}': {container}.{name}" for name in ("Image", "ModelDataUrl", "Environment"))
    output = x.adding(
        container=f"{{{members}}}",
        model_version="$substringAfter($states.input.champion, 'model-package/')",
    )
    integration = "aws-sdk:sagemaker:describeModelPackage"
    return steps.task(
        "DescribeChampion", region, integration, {"ModelPackageName": x.of("champion")}, _API, output
    )


def _prepare(region: str, spec: ModelSpec) -> State:
    arguments = {
        "JobName": "${PrepareForecastJob}",
        "Arguments": {
            "--bucket": "${DataBucket}",
            "--raw_key": spec.data.key,
            "--output_key": "{% $states.input.prefix & '/features/features.csv' %}",
            "--day": x.of("as_of"),
        },
    }
    call = Call(3600, (steps.GLUE, steps.JOB_FAILED))
    return steps.task("PrepareFeatures", region, "glue:startJobRun.sync", arguments, call, x.KEEP)


def _model_name(project: str, spec: ModelSpec) -> str:
    """One model a champion, made when it first forecasts; another when the stack's role is another."""
    unique = "$string($states.input.container) & '${SageMakerRole}'"
    return f"{{% '{project}-{spec.name}-forecast-' & $substring($hash({unique}, 'SHA-256'), 0, 20) %}}"


def _find_model(region: str, project: str, spec: ModelSpec) -> State:
    arguments = {"NameContains": _model_name(project, spec), "MaxResults": 1}
    output = x.adding(has_model="$count($states.result.Models) > 0")
    return steps.task("FindModel", region, "aws-sdk:sagemaker:listModels", arguments, _API, output)


def _create_model(region: str, project: str, spec: ModelSpec) -> State:
    image = steps.image_uri(retraining.FRAMEWORK, retraining.VERSION, region, spec.processing_instance)
    tags = x.tags(project, spec.name, "forecast")
    arguments = {
        "ModelName": _model_name(project, spec),
        "ExecutionRoleArn": "${SageMakerRole}",
        # the registry's image wins: a model is served by what it was trained with
        "PrimaryContainer": f"{{% $merge([{{'Image': '{image}'}}, $states.input.container]) %}}",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    return steps.task("CreateModel", region, "sagemaker:createModel", arguments, _API, x.KEEP)


def _transform(region: str, project: str, spec: ModelSpec) -> State:
    """Records are a time and features; the model gets the features, the output the time and its answer."""
    tags = x.tags(project, spec.name, "forecast")
    features = {"S3DataType": "S3Prefix", "S3Uri": x.data_uri("/features/")}
    arguments = {
        "TransformJobName": x.job_name(project, spec.name),
        "ModelName": _model_name(project, spec),
        "BatchStrategy": "MultiRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": features},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "DataProcessing": {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"},
        "TransformOutput": {
            "S3OutputPath": x.data_uri("/predictions"),
            "Accept": "text/csv",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": spec.processing_instance, "InstanceCount": 1},
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    call = Call(3600, (steps.SAGEMAKER, steps.JOB_FAILED))
    return steps.task("ForecastDay", region, "sagemaker:createTransformJob.sync", arguments, call, x.KEEP)


def _publish(region: str, spec: ModelSpec, name: str, kind: str) -> State:
    arguments = {
        "JobName": "${PublishForecastJob}",
        "Arguments": {
            "--bucket": "${DataBucket}",
            "--raw_key": spec.data.key,
            "--predictions": "{% $states.input.prefix & '/predictions/' %}",
            "--output_prefix": x.of("output"),
            "--day": x.of("as_of"),
            "--kind": kind,
            "--model_version": x.of("model_version") if kind == "model" else "none",
            "--made_at": "{% $states.context.Execution.StartTime %}",
        },
    }
    call = Call(3600, (steps.GLUE, steps.JOB_FAILED))
    output = x.adding(kind=f"'{kind}'")
    return steps.task(name, region, "glue:startJobRun.sync", arguments, call, output)


def _fallback(spec: ModelSpec) -> str:
    return x.message(
        f"'The {spec.name} forecast of ' & $states.input.as_of & ' repeats the week before: '"
        " & $states.input.failure.state & ' failed with ' & $states.input.failure.error"
        f" & '\\nCause: ' & {x.CAUSE}"
    )
