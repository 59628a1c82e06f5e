"""Drift of a model: profile the last window, score the champion on it, compare, tell the bus.

Data flow: every state's output is its input and what it added, as in ``retraining``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_kit import errors
from mlops_kit.artifacts import Artifact
from mlops_kit.build import drift_rules, steps
from mlops_kit.build.steps import Call, ScriptJob, State
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import daily, retraining
from pipelines import expressions as x
from pipelines.features import demand
from pipelines.models import find
from pipelines.models.spec import ROOT, ModelSpec

TIMEOUT = 2 * 3600  # seconds of an execution
TABLE = "features"
_KIT = Path(errors.__file__).parent
_DRIFT = ("profile", "quiet", "sql", "statistics", "windows")
_CODE = (
    ("mlops_kit/__init__.py", _KIT / "__init__.py"),
    ("mlops_kit/errors.py", _KIT / "errors.py"),
    ("mlops_kit/drift/__init__.py", _KIT / "drift" / "__init__.py"),
    *((f"mlops_kit/drift/{name}.py", _KIT / "drift" / f"{name}.py") for name in _DRIFT),
)


def build(settings: Settings, model: str = "demand") -> Pipeline:
    """The drift monitor of a model.

    Parameters
    ----------
    settings : Settings
        Region and project.
    model : str
        Name of a spec in ``pipelines.models``.

    Returns
    -------
    Pipeline
        Named ``drift-monitor-<model>``; every Monday it looks at the last 28 days.

    Raises
    ------
    UsageError
        There is no such model.
    """
    spec = find(model)
    scoring = Artifact(
        "score_window",
        "zip",
        (
            ("__main__.py", ROOT / "jobs" / "score_window.py"),
            *(
                (f"pipelines/jobs/{name}", ROOT / "jobs" / name)
                for name in ("__init__.py", "score_models.py")
            ),
            *retraining.FEATURES,
        ),
    )
    definition = _definition(settings, spec, scoring)
    return Pipeline(
        name=f"drift-monitor-{spec.name}",
        description=f"{spec.description}: its last {spec.drift.days} days against the champion's training",
        definition=definition,
        input_schema=daily.input_schema(
            f"UTC day after the last of the {spec.drift.days} days", resume=daily.resume_schema(definition)
        ),
        model=spec.name,
        functions=(_profile_statement(), _compare_windows()),
        jobs=(retraining.preparation("PrepareWindow", "drift/"),),
        schedules=(Schedule("cron(0 6 ? * MON *)", demand.ZONE, name=f"drift-{spec.name}"),),
        artifacts=(scoring,),
        data=(spec.data,),
        reads=("drift/", "retraining/"),
        writes=("drift/",),
        resources=_table(settings, spec),
    )


def database(settings: Settings, spec: ModelSpec) -> str:
    """Name of the Glue database: Athena takes no ``-``."""
    return f"{settings.project}_drift_{spec.name}".replace("-", "_")


def _definition(settings: Settings, spec: ModelSpec, scoring: Artifact) -> dict[str, Any]:
    region, project = settings.region, settings.project
    tell = daily.failure_path(region, spec.name, "drift monitor", "MonitoringFailed")
    champion = retraining.find_champion(region, project, spec)
    describe = _describe_champion(region)
    prepare = _prepare(region, spec)
    partition = _add_partition(region, settings, spec)
    statement = _state_profile(region, settings, spec)
    profile = _profile(region, settings, spec)
    score = _score(region, project, spec, scoring)
    compare = _compare(region, spec)
    measure = _publish_metrics(region)
    event = _put_event(region)

    work = [describe, prepare, partition, statement, profile, score, compare, measure, event]
    steps.chain([*work, steps.succeed("Measured")])
    no_champion = steps.succeed("NoChampion")
    champion.next(steps.choice("HasChampion", [(x.HAS_CHAMPION, describe)], no_champion))
    steps.catch([partition], statement, x.KEEP, ("Glue.AlreadyExistsException",))  # an earlier try added it
    daily.lead_failures([champion, *work], tell)
    days = spec.drift.days
    members = {
        "start": _back(days),
        "end": "$day",
        # the job wants a train and a validation part too, of a day each
        "prepared_from": _back(days + 2),
        "prefix": f"'drift/{spec.name}/' & $day & '/' & $run",
    }
    first = daily.resumable(daily.entrance(champion, tell, members), [champion, *work])
    return steps.definition(first, f"Measures the drift of the {spec.name} model", TIMEOUT)


def _back(days: int) -> str:
    """A day so many days before ``$day``."""
    return f"$fromMillis($toMillis($day) - {days * x.DAY}, '[Y0001]-[M01]-[D01]')"


def _describe_champion(region: str) -> State:
    answer = "$states.result"
    output = x.adding(
        champion_data=f"{answer}.InferenceSpecification.Containers[0].ModelDataUrl",
        champion_profile=f"{answer}.CustomerMetadataProperties.profile",
        trained_until=f"{answer}.CustomerMetadataProperties.train_end",
    )
    integration = "aws-sdk:sagemaker:describeModelPackage"
    arguments = {"ModelPackageName": x.of("champion")}
    return steps.task(
        "DescribeChampion", region, integration, arguments, Call(60, (steps.SAGEMAKER,)), output
    )


def _prepare(region: str, spec: ModelSpec) -> State:
    arguments = {
        "JobName": "${PrepareWindowJob}",
        "Arguments": {
            "--bucket": "${DataBucket}",
            "--raw_key": spec.data.key,
            "--output_prefix": x.of("prefix"),
            "--train_start": x.of("prepared_from"),
            "--train_end": x.of("end"),
            "--validation_days": "1",
            "--test_days": str(spec.drift.days),
        },
    }
    call = Call(3600, (steps.GLUE, steps.JOB_FAILED))
    return steps.task("PrepareWindow", region, "glue:startJobRun.sync", arguments, call, x.KEEP)


def _add_partition(region: str, settings: Settings, spec: ModelSpec) -> State:
    arguments = {
        "DatabaseName": database(settings, spec),
        "TableName": TABLE,
        "PartitionInput": {
            "Values": [x.of("run")],
            "StorageDescriptor": _storage(x.data_uri("/test/")),
        },
    }
    return steps.task(
        "AddPartition",
        region,
        "aws-sdk:glue:createPartition",
        arguments,
        Call(60, (steps.GLUE,)),
        x.KEEP,
    )


def _state_profile(region: str, settings: Settings, spec: ModelSpec) -> State:
    payload = {
        "profile": x.of("champion_profile"),
        "table": f'"{database(settings, spec)}"."{TABLE}"',
        "run": x.of("run"),
    }
    arguments = {"FunctionName": "${ProfileStatementFunction}", "Payload": payload}
    output = x.adding(statement="$states.result.Payload")
    return steps.task("StateProfile", region, "lambda:invoke", arguments, Call(120, (steps.LAMBDA,)), output)


def _profile(region: str, settings: Settings, spec: ModelSpec) -> State:
    arguments = {
        "QueryString": x.of("statement"),
        "QueryExecutionContext": {"Database": database(settings, spec)},
        "ResultConfiguration": {"OutputLocation": x.data_uri("/profile/")},
        "WorkGroup": "primary",
    }
    output = x.adding(profile_rows="$states.result.QueryExecution.ResultConfiguration.OutputLocation")
    call = Call(900, (steps.ATHENA, steps.JOB_FAILED))
    return steps.task("ProfileWindow", region, "athena:startQueryExecution.sync", arguments, call, output)


def _score(region: str, project: str, spec: ModelSpec, code: Artifact) -> State:
    base = "/opt/ml/processing"
    job = ScriptJob(
        image=steps.image_uri(retraining.FRAMEWORK, retraining.VERSION, region, spec.processing_instance),
        instance=spec.processing_instance,
        name=x.job_name(project, spec.name),
        inputs={
            "code": f"s3://${{ArtifactBucket}}/{code.key}",
            "champion": x.of("champion_data"),
            "window": x.data_uri("/test/"),
        },
        output=x.data_uri("/metrics/"),
        arguments=(
            "python3",
            f"{base}/input/code/{code.key.rpartition('/')[2]}",
            *("--champion", f"{base}/input/champion", "--window", f"{base}/input/window"),
            *("--output", f"{base}/output"),
        ),
        tags=x.tags(project, spec.name, "drift-monitor"),
    )
    call = Call(3600, (steps.SAGEMAKER, steps.JOB_FAILED))
    return steps.processing("ScoreChampion", region, job, call, x.KEEP)


def _compare(region: str, spec: ModelSpec) -> State:
    payload = {
        "model": spec.name,
        "champion": x.of("champion"),
        "trained_until": x.of("trained_until"),
        "window": {"start": x.of("start"), "end": x.of("end")},
        "profile": x.of("champion_profile"),
        "rows": x.of("profile_rows"),
        "metrics": x.data_uri("/metrics/metrics.json"),
        "results": f"s3://${{DataBucket}}/drift/{spec.name}/results/",
        "limits": dict(spec.drift.limits),
    }
    arguments = {"FunctionName": "${CompareWindowsFunction}", "Payload": payload}
    output = x.adding(drift="$states.result.Payload.detail", metrics="$states.result.Payload.metrics")
    return steps.task(
        "CompareWindows", region, "lambda:invoke", arguments, Call(120, (steps.LAMBDA,)), output
    )


def _publish_metrics(region: str) -> State:
    arguments = {"Namespace": "mlops-kit/drift", "MetricData": x.of("metrics")}
    return steps.task(
        "PublishMetrics",
        region,
        "aws-sdk:cloudwatch:putMetricData",
        arguments,
        Call(60, (steps.CLOUDWATCH,)),
        "{% $sift($states.input, function($v, $k) {$k != 'metrics'}) %}",
    )


def _put_event(region: str) -> State:
    kinds = f"'{drift_rules.DETECTED}' : '{drift_rules.MEASURED}'"
    detected = f"$count($states.input.drift.drifted) > 0 ? {kinds}"
    entry = {
        "EventBusName": "${EventBus}",
        "Source": drift_rules.SOURCE,
        "DetailType": f"{{% {detected} %}}",
        "Detail": x.of("drift"),
    }
    call = Call(60, (steps.EVENTS,))
    return steps.task("PutDriftEvent", region, "events:putEvents", {"Entries": [entry]}, call, x.KEEP)


def _profile_statement() -> Function:
    source = ROOT / "functions" / "profile_statement.py"
    return Function(
        "ProfileStatement",
        "profile_statement.handler",
        Artifact("profile_statement", "zip", ((source.name, source), *_CODE), ("sqlglot==30.30.0",)),
        reads=("retraining/",),
        memory=512,
    )


def _compare_windows() -> Function:
    source = ROOT / "functions" / "compare_windows.py"
    return Function(
        "CompareWindows",
        "compare_windows.handler",
        Artifact("compare_windows", "zip", ((source.name, source), *_CODE)),
        reads=("retraining/", "drift/"),
        writes=("drift/",),
        memory=512,
    )


def _table(settings: Settings, spec: ModelSpec) -> dict[str, Any]:
    """The windows' features as a table, a partition a run."""
    catalog = {"Ref": "AWS::AccountId"}
    place = {"Fn::Sub": f"s3://${{DataBucket}}/drift/{spec.name}/features/"}
    return {
        "DriftDatabase": {
            "Type": "AWS::Glue::Database",
            "Properties": {
                "CatalogId": catalog,
                "DatabaseInput": {
                    "Name": database(settings, spec),
                    "Description": f"Windows of {spec.name} that the drift monitor looked at",
                },
            },
        },
        "FeatureTable": {
            "Type": "AWS::Glue::Table",
            "Properties": {
                "CatalogId": catalog,
                "DatabaseName": {"Ref": "DriftDatabase"},
                "TableInput": {
                    "Name": TABLE,
                    "TableType": "EXTERNAL_TABLE",
                    "Parameters": {"classification": "parquet"},
                    "PartitionKeys": [{"Name": "run", "Type": "string"}],
                    "StorageDescriptor": _storage(place),
                },
            },
        },
    }


def _storage(location: Any) -> dict[str, Any]:
    columns = [{"Name": name, "Type": "double"} for name in demand.FEATURES]
    hive = "org.apache.hadoop.hive.ql.io.parquet"
    return {
        "Columns": [*columns, {"Name": demand.TARGET, "Type": "bigint"}],
        "Location": location,
        "InputFormat": f"{hive}.MapredParquetInputFormat",
        "OutputFormat": f"{hive}.MapredParquetOutputFormat",
        "SerdeInfo": {"SerializationLibrary": f"{hive}.serde.ParquetHiveSerDe"},
    }
