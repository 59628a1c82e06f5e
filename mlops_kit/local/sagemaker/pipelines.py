"""SageMaker pipelines: kept, and their executions recorded as requested and not run; runs none.

An execution ends at once as Failed, with words: whoever started it must not take it for done.
Source: SageMaker API Reference, "StartPipelineExecution"; "Amazon SageMaker AI events".
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any

from mlops_kit.local.sagemaker import listing
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.records import Record, Table, arn, check_role, moment, refusal
from mlops_kit.local.sagemaker.tags import checked
from mlops_kit.local.service import AwsError, Context, Handler, Request

NOT_RUN = "not run: the embedded AWS runs no SageMaker pipelines"

_PIPELINES = Listing(
    "PipelineSummaries",
    (
        "PipelineArn",
        "PipelineName",
        "PipelineDisplayName",
        "PipelineDescription",
        "RoleArn",
        "CreationTime",
        "LastModifiedTime",
        "LastExecutionTime",
    ),
    name="PipelineName",
    order="Descending",
)
_EXECUTIONS = Listing(
    "PipelineExecutionSummaries",
    (
        "PipelineExecutionArn",
        "StartTime",
        "PipelineExecutionStatus",
        "PipelineExecutionDescription",
        "PipelineExecutionDisplayName",
        "PipelineExecutionFailureReason",
    ),
    name="PipelineExecutionArn",
    order="Descending",
)


class Pipelines:
    """Pipelines and their executions.

    Parameters
    ----------
    context : Context
        What the server hands out.
    lock : threading.RLock
        Held while a record changes.
    """

    def __init__(self, context: Context, lock: threading.RLock) -> None:
        self.table = Table(context.store, "pipeline", "PipelineArn")
        self._executions = Table(context.store, "pipeline-execution", "PipelineExecutionArn")
        self._context = context
        self._lock = lock

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        return {
            "CreatePipeline": self.create,
            "DescribePipeline": lambda request: self._find(request)["View"],
            "UpdatePipeline": self.update,
            "DeletePipeline": self.delete,
            "ListPipelines": self.pipelines,
            "StartPipelineExecution": self.start,
            "DescribePipelineExecution": lambda request: self._execution(request)["View"],
            "ListPipelineExecutions": self.executions,
            "ListPipelineExecutionSteps": self.steps,
            "ListPipelineParametersForExecution": self.parameters,
        }

    def create(self, request: Request) -> dict[str, Any]:
        """CreatePipeline: its definition is kept, and only known to be JSON."""
        params, region = request.params, request.region
        name, now = params["PipelineName"], moment(self._context.clock)
        its_arn = arn(region, self.table.path, name)
        check_role(self._context, params["RoleArn"], its_arn)
        view = {
            "PipelineArn": its_arn,
            "PipelineName": name,
            "PipelineDisplayName": params.get("PipelineDisplayName", name),
            "PipelineDefinition": _definition(params) or "{}",
            "PipelineDescription": params.get("PipelineDescription"),
            "RoleArn": params["RoleArn"],
            "PipelineStatus": "Active",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        record = {"Region": region, "Name": name, "View": view, "Tags": checked(params.get("Tags", []))}
        with self._lock:
            if self.table.get(region, name) is not None:
                raise refusal(
                    f"Pipeline names must be unique within an AWS account and region. Pipeline with "
                    f"name ({name}) already exists."
                )
            self.table.put(name, record)
        return {"PipelineArn": its_arn}

    def update(self, request: Request) -> dict[str, Any]:
        """UpdatePipeline: what is given replaces what was."""
        with self._lock:
            record = self._find(request)
            view = record["View"]
            for member in ("PipelineDisplayName", "PipelineDescription", "RoleArn"):
                view[member] = request.params.get(member, view[member])
            view["PipelineDefinition"] = _definition(request.params) or view["PipelineDefinition"]
            view["LastModifiedTime"] = moment(self._context.clock)
            self.table.put(record["Name"], record)
        return {"PipelineArn": view["PipelineArn"]}

    def delete(self, request: Request) -> dict[str, Any]:
        """DeletePipeline, with the record of its executions."""
        with self._lock:
            record = self._find(request)
            for execution in self._of(record):
                self._executions.delete(request.region, execution["Name"])
            self.table.delete(request.region, record["Name"])
        return {"PipelineArn": record["View"]["PipelineArn"]}

    def pipelines(self, request: Request) -> dict[str, Any]:
        """ListPipelines."""
        prefix = request.params.get("PipelineNamePrefix", "")
        views = [one["View"] for one in self.table.all(request.region) if one["Name"].startswith(prefix)]
        return listing.page(_PIPELINES, views, request.params)

    def start(self, request: Request) -> dict[str, Any]:
        """StartPipelineExecution: recorded, and not run; a repeated request is the same execution."""
        params = request.params
        with self._lock:
            record = self._find(request)
            token = params.get("ClientRequestToken", "")
            known = [one for one in self._of(record) if token and one["Token"] == token]
            if known:
                return {"PipelineExecutionArn": known[0]["View"]["PipelineExecutionArn"]}
            execution = self._record(record, params)
            self._executions.put(execution["Name"], execution)
            when = execution["View"]["CreationTime"]
            record["View"] |= {"LastRunTime": when, "LastExecutionTime": when}  # Describe's name and List's
            self.table.put(record["Name"], record)
        self._emit(execution["View"])
        return {"PipelineExecutionArn": execution["View"]["PipelineExecutionArn"]}

    def executions(self, request: Request) -> dict[str, Any]:
        """ListPipelineExecutions."""
        views = [
            {**one["View"], "StartTime": one["View"]["CreationTime"]} for one in self._of(self._find(request))
        ]
        return listing.page(_EXECUTIONS, views, request.params)

    def steps(self, request: Request) -> dict[str, Any]:
        """ListPipelineExecutionSteps: none was run."""
        self._execution(request)
        return {"PipelineExecutionSteps": []}

    def parameters(self, request: Request) -> dict[str, Any]:
        """ListPipelineParametersForExecution."""
        return {"PipelineParameters": self._execution(request)["Parameters"]}

    def _record(self, pipeline: Record, params: dict[str, Any]) -> Record:
        name, now = secrets.token_hex(6), moment(self._context.clock)
        its_arn = pipeline["View"]["PipelineArn"]
        view = {
            "PipelineArn": its_arn,
            "PipelineExecutionArn": f"{its_arn}/execution/{name}",
            "PipelineExecutionDisplayName": params.get("PipelineExecutionDisplayName", f"execution-{name}"),
            "PipelineExecutionDescription": params.get("PipelineExecutionDescription"),
            "PipelineExecutionStatus": "Failed",
            "FailureReason": NOT_RUN,
            "PipelineExecutionFailureReason": NOT_RUN,
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        asked = {
            "Parameters": params.get("PipelineParameters", []),
            "Token": params.get("ClientRequestToken", ""),
        }
        return {"Region": pipeline["Region"], "Name": f"{pipeline['Name']}/{name}", "View": view, **asked}

    def _emit(self, view: dict[str, Any]) -> None:
        when = view["CreationTime"].strftime("%Y-%m-%dT%H:%M:%SZ")
        detail = {
            "pipelineArn": view["PipelineArn"],
            "pipelineExecutionArn": view["PipelineExecutionArn"],
            "pipelineExecutionDisplayName": view["PipelineExecutionDisplayName"],
            "currentPipelineExecutionStatus": "Failed",
            "previousPipelineExecutionStatus": "Executing",
            "executionStartTime": when,
            "executionEndTime": when,
        }
        kind = "SageMaker Model Building Pipeline Execution Status Change"
        resources = [view["PipelineArn"], view["PipelineExecutionArn"]]
        self._context.within(view["PipelineArn"].split(":")[3]).emit("aws.sagemaker", kind, detail, resources)

    def _of(self, pipeline: Record) -> list[Record]:
        its_arn = pipeline["View"]["PipelineArn"]
        found = self._executions.all(pipeline["Region"])
        return [one for one in found if one["View"]["PipelineArn"] == its_arn]

    def _find(self, request: Request) -> Record:
        given = str(request.params["PipelineName"])
        name = given.rpartition("/")[2]
        record = self.table.get(request.region, name) or self.table.by_arn(
            arn(request.region, "pipeline", name)
        )
        if record is None:
            raise AwsError("ResourceNotFound", f"Pipeline '{given}' does not exist.")
        return record

    def _execution(self, request: Request) -> Record:
        given = request.params["PipelineExecutionArn"]
        record = self._executions.by_arn(given) if given.count(":") >= 5 else None
        if record is None:
            raise AwsError("ResourceNotFound", f"PipelineExecution '{given}' does not exist.")
        return record


def _definition(params: dict[str, Any]) -> str:
    if "PipelineDefinitionS3Location" in params:
        raise refusal("The embedded AWS reads a pipeline's definition from PipelineDefinition only.")
    text = str(params.get("PipelineDefinition", ""))
    try:
        json.loads(text or "{}")
    except ValueError as error:
        raise refusal(f"Unable to parse pipeline definition. Invalid JSON: {error}.") from error
    return text
