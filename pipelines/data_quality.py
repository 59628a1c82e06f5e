"""The data of the day that ended: one Athena query, judged; a breach is told and stops the day's forecast.

Data flow: every state's output is its input and what it added, as in ``retraining``.
"""

from __future__ import annotations

import json
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call, State
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Function, Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines import daily
from pipelines import expressions as x
from pipelines.features import demand
from pipelines.models import expectations, find
from pipelines.models.expectations import RawTable
from pipelines.models.spec import ROOT, ModelSpec

TIMEOUT = 3600  # seconds of an execution
TABLE = "hours"
RESULTS = "tmp/data-quality/"  # the foundation's bucket forgets what is there after a week
LARGEST_SCAN = 10 * 2**30  # bytes; a day's check costs cents or fails
_BREACH = "{% $states.input.quality.verdict = 'breach' %}"


def build(settings: Settings, model: str = "demand") -> Pipeline:
    """The daily check of a model's raw data.

    Parameters
    ----------
    settings : Settings
        Region and project.
    model : str
        Name of a spec in ``pipelines.models``.

    Returns
    -------
    Pipeline
        Named ``data-quality-<model>``; just after local midnight it checks the day that ended.

    Raises
    ------
    UsageError
        There is no such model, or nothing is expected of its data.
    """
    spec = find(model)
    if spec.raw is None:
        raise UsageError(
            f"Nothing is expected of the raw data of {model!r}.", suggestion="give its spec a RawTable."
        )
    definition = _definition(settings, spec, spec.raw)
    return Pipeline(
        name=f"data-quality-{spec.name}",
        description=f"{spec.description}: check the raw data of the day that ended",
        definition=definition,
        input_schema=daily.input_schema(
            "Day after the one to check, whose forecast needs it", resume=daily.resume_schema(definition)
        ),
        model=spec.name,
        functions=(_judge_day(),),
        schedules=(Schedule("cron(5 0 * * ? *)", demand.ZONE, name=f"data-quality-{spec.name}"),),
        data=(spec.data,),
        reads=("raw/", RESULTS),
        writes=(RESULTS,),
        resources=_resources(settings, spec, spec.raw),
    )


def database(settings: Settings, spec: ModelSpec) -> str:
    """Name of the Glue database: Athena takes no ``-``."""
    return f"{settings.project}_raw_{spec.name}".replace("-", "_")


def _definition(settings: Settings, spec: ModelSpec, raw: RawTable) -> dict[str, Any]:
    region, table = settings.region, f"{database(settings, spec)}.{TABLE}"
    tell = daily.failure_path(region, spec.name, "data quality check", "CheckFailed")
    query = _query(region, settings, spec, raw)
    judge = _judge(region, raw, table)
    put = _put_verdict(region, spec)
    breach = daily.notify(region, "NotifyBreach", daily.CRITICAL, f"{spec.name}: raw data not fit", _breach())
    breach.next(steps.succeed("DataNotFit"))
    steps.chain([query, judge, put, steps.choice("Verdict", [(_BREACH, breach)], steps.succeed("DataFit"))])
    daily.lead_failures([query, judge, put, breach], tell)
    before = f"$fromMillis($toMillis($day) - {x.DAY}, '[Y0001]-[M01]-[D01]')"
    first = daily.entrance(query, tell, {"checked": before})
    first = daily.resumable(first, [query, judge, put, breach])
    return steps.definition(first, f"Checks the raw data of the {spec.name} model", TIMEOUT)


def _query(region: str, settings: Settings, spec: ModelSpec, raw: RawTable) -> State:
    """The statement is fixed but for the day, which ComputeDay has written as one."""
    table = f"{database(settings, spec)}.{TABLE}"
    text = expectations.statement(raw.expectations, table, f"{raw.day} = '")
    arguments = {
        "QueryString": f'{{% {json.dumps(text)} & $states.input.checked & "\'" %}}',
        "QueryExecutionContext": {"Database": database(settings, spec)},
        "WorkGroup": "${RawWorkGroup}",
    }
    output = x.adding(rows="$states.result.QueryExecution.ResultConfiguration.OutputLocation")
    call = Call(900, (steps.ATHENA, steps.JOB_FAILED))
    return steps.task("MeasureDay", region, "athena:startQueryExecution.sync", arguments, call, output)


def _judge(region: str, raw: RawTable, table: str) -> State:
    told = [
        {"name": one.name, "expected": one.expected, "found": one.found, "least": one.least, "most": one.most}
        for one in raw.expectations
    ]
    payload = {"rows": x.of("rows"), "table": table, "expectations": told}
    arguments = {"FunctionName": "${JudgeDayFunction}", "Payload": payload}
    output = x.adding(quality="$states.result.Payload")
    return steps.task("JudgeDay", region, "lambda:invoke", arguments, Call(120, (steps.LAMBDA,)), output)


def _put_verdict(region: str, spec: ModelSpec) -> State:
    arguments = {
        "TableName": "${LockTable}",
        "Item": {
            **daily.verdict_key(spec.name),
            "verdict": {"S": x.of("quality.verdict")},
            "checked": {"S": x.of("checked")},
            "breaches": {"S": "{% $string($states.input.quality.breaches) %}"},
            "execution": {"S": x.EXECUTION},
            "ttl": {"N": f"{{% $string($floor($millis() / 1000) + {x.TTL}) %}}"},
        },
    }
    call = Call(30, (steps.DYNAMODB,))
    return steps.task("PutVerdict", region, "dynamodb:putItem", arguments, call, x.KEEP)


def _breach() -> str:
    each = "'\\n- ' & what & ' in ' & where & ': expected ' & expected & ', found ' & found"
    return x.message(
        "'The raw data of ' & $states.input.checked & ' are not fit; the forecast of ' & $states.input.as_of"
        f" & ' is stopped until a check finds them fit, or is forced.'"
        f" & $join($states.input.quality.breaches.({each}))"
    )


def _judge_day() -> Function:
    source = ROOT / "functions" / "judge_day.py"
    code = Artifact("judge_day", "zip", ((source.name, source),))
    return Function("JudgeDay", "judge_day.handler", code, reads=(RESULTS,))


def _resources(settings: Settings, spec: ModelSpec, raw: RawTable) -> dict[str, Any]:
    """Database and table over the raw files, and a workgroup that says where results go."""
    catalog = {"Ref": "AWS::AccountId"}
    folder = spec.data.key.rpartition("/")[0]
    return {
        "RawDatabase": {
            "Type": "AWS::Glue::Database",
            "Properties": {
                "CatalogId": catalog,
                "DatabaseInput": {
                    "Name": database(settings, spec),
                    "Description": f"Raw data of the model {spec.name}",
                },
            },
        },
        "RawTable": {
            "Type": "AWS::Glue::Table",
            "Properties": {
                "CatalogId": catalog,
                "DatabaseName": {"Ref": "RawDatabase"},
                "TableInput": {
                    "Name": TABLE,
                    "TableType": "EXTERNAL_TABLE",
                    "Parameters": {"classification": "csv", "skip.header.line.count": "1"},
                    "StorageDescriptor": {
                        "Columns": [{"Name": name, "Type": kind} for name, kind in raw.columns.items()],
                        "Location": {"Fn::Sub": f"s3://${{DataBucket}}/{folder}/"},
                        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
                        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                        "SerdeInfo": {
                            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
                            "Parameters": {"field.delim": ","},
                        },
                    },
                },
            },
        },
        "RawWorkGroup": {
            "Type": "AWS::Athena::WorkGroup",
            "Properties": {
                "Name": f"{settings.project}-data-quality-{spec.name}",
                "RecursiveDeleteOption": True,
                "Tags": daily.tags(settings, f"data-quality-{spec.name}"),
                "WorkGroupConfiguration": {
                    "EnforceWorkGroupConfiguration": True,
                    "PublishCloudWatchMetricsEnabled": True,
                    "BytesScannedCutoffPerQuery": LARGEST_SCAN,
                    "ResultConfiguration": {"OutputLocation": {"Fn::Sub": f"s3://${{DataBucket}}/{RESULTS}"}},
                },
            },
        },
    }
