"""Endpoints: created, updated with a way back, weighted, deleted, taken up again; must not run a process."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Closed
from mlops_kit.local.sagemaker import listing
from mlops_kit.local.sagemaker.events import emit, shouted
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.models import Models
from mlops_kit.local.sagemaker.records import Record, Table, arn, moment, refusal
from mlops_kit.local.sagemaker.routes import Route, Routes
from mlops_kit.local.sagemaker.tags import checked
from mlops_kit.local.sagemaker.variants import NotServing, Variant, VariantSpec
from mlops_kit.local.service import AwsError, Context, Handler, Request

_EVENT = "SageMaker Endpoint State Change"
_IN_PROGRESS = ("Creating", "Updating", "Deleting")
_LISTING = Listing(
    "Endpoints",
    ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus"),
    name="EndpointName",
    status="EndpointStatus",
    order="Descending",
)
_BROKEN = (
    "InternalServerError: The deployment failed for a reason that is not the model's; see the server's log."
)

Deployment = dict[str, Any]
"""``Id``, ``Config`` (its name), ``Variants``: each with its model's ``Container`` and ``RoleArn``."""


class Endpoints:
    """All endpoints.

    Parameters
    ----------
    context : Context
        What the server hands out.
    models : Models
        Models and configurations.
    lock : threading.RLock
        Held while a record changes.
    routes : Routes
        Told where requests go.
    """

    def __init__(self, context: Context, models: Models, lock: threading.RLock, routes: Routes) -> None:
        self.table = Table(context.store, "endpoint", "EndpointArn")
        self._context = context
        self._models = models
        self._lock = lock
        self._routes = routes
        self._variants: dict[str, list[Variant]] = {}  # by deployment
        self._leaving = False

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": self.describe,
            "ListEndpoints": self.summaries,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.weigh,
            "DeleteEndpoint": self.delete,
        }

    def create(self, request: Request) -> dict[str, Any]:
        """CreateEndpoint: Creating, then InService or Failed."""
        params, region, name = request.params, request.region, request.params["EndpointName"]
        own, now = arn(region, self.table.path, name), moment(self._context.clock)
        _check_deployment(params.get("DeploymentConfig", {}))
        with self._lock:
            if self.table.get(region, name) is not None:
                raise refusal(f'Cannot create already existing endpoint "{own}".')
            pending = self._deployment(region, params["EndpointConfigName"])
            view = {
                "EndpointName": name,
                "EndpointArn": own,
                "EndpointConfigName": pending["Config"],
                "EndpointStatus": "Creating",
                "CreationTime": now,
                "LastModifiedTime": now,
            }
            tags = checked(params.get("Tags", []))
            record: Record = {"Region": region, "Name": name, "View": view, "Tags": tags, "Pending": pending}
            self._put(record)
        self._in_background(self._deploy, region, name)
        return {"EndpointArn": own}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeEndpoint."""
        return dict(self._find(request)["View"])

    def summaries(self, request: Request) -> dict[str, Any]:
        """ListEndpoints."""
        views = [record["View"] for record in self.table.all(request.region)]
        return listing.page(_LISTING, views, request.params)

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateEndpoint: the old configuration serves until the new one does, and on when that fails."""
        params = request.params
        _check_deployment(params.get("DeploymentConfig", {}))
        if params.get("RetainAllVariantProperties"):
            raise refusal(
                "The embedded AWS takes weights and counts from the new configuration: retain nothing."
            )
        with self._lock:
            record = self._serving(request)
            pending = self._deployment(request.region, params["EndpointConfigName"])
            record["Pending"] = pending
            record["View"].pop("FailureReason", None)
            record["View"]["PendingDeploymentSummary"] = {
                "EndpointConfigName": pending["Config"],
                "StartTime": moment(self._context.clock),
            }
            self._put(record, "Updating")
        self._in_background(self._deploy, request.region, record["Name"])
        return {"EndpointArn": record["View"]["EndpointArn"]}

    def weigh(self, request: Request) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities: at once, by way of Updating."""
        with self._lock:
            record = self._serving(request)
            variants = {variant["VariantName"]: variant for variant in record["Current"]["Variants"]}
            for wanted in request.params["DesiredWeightsAndCapacities"]:
                variant = variants.get(wanted["VariantName"])
                if variant is None:
                    raise refusal(f'Could not find variant "{wanted["VariantName"]}".')
                variant["InitialVariantWeight"] = wanted.get("DesiredWeight", variant["InitialVariantWeight"])
                count = wanted.get("DesiredInstanceCount", variant.get("InitialInstanceCount", 1))
                variant["InitialInstanceCount"] = count
            self._put(record, "Updating")
            self._serve(record)
            self._put(record, "InService")
        return {"EndpointArn": record["View"]["EndpointArn"]}

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteEndpoint: its processes end, then it is gone."""
        with self._lock:
            record = self._settled(request)
            self._put(record, "Deleting")
            self._routes.remove(request.region, record["Name"])
            if not record.get("Current"):
                self.table.delete(request.region, record["Name"])
                return {}
        self._in_background(self._remove, request.region, record["Name"])
        return {}

    def under_way(self) -> list[str]:
        """Endpoints that are being made, changed or removed."""
        records = self.table.all()
        return [f"endpoint {r['Name']}" for r in records if r["View"]["EndpointStatus"] in _IN_PROGRESS]

    def recover(self) -> None:
        """Take up the endpoints of a former server: found again, started again, or gone on with."""
        records = self.table.all()
        for record in records:
            if record.get("Pending"):  # what it had started is not known to work: begin anew
                record["Pending"]["Id"] = _new_id()
                self.table.put(record["Name"], record)
        self._sweep(records)
        for record in records:
            status = record["View"]["EndpointStatus"]
            if current := record.get("Current"):
                for variant in self._made(record, current):
                    variant.recover()
                if status != "Deleting":
                    self._serve(record)
            if status in ("Creating", "Updating"):
                self._in_background(self._deploy, record["Region"], record["Name"])
            elif status == "Deleting":
                self._in_background(self._remove, record["Region"], record["Name"])

    def leave(self) -> None:
        """Restart and fail nothing any more, because the server stops; the next one goes on."""
        self._leaving = True
        for variants in list(self._variants.values()):
            for variant in variants:
                variant.leave()

    def _deployment(self, region: str, config: str) -> Deployment:
        """What a configuration deploys, complete, so that models may be deleted while it serves."""
        variants = self._models.config(region, config)["View"]["ProductionVariants"]
        models = [self._models.model(region, variant["ModelName"])["View"] for variant in variants]
        complete = [
            {**variant, "Container": model["PrimaryContainer"], "RoleArn": model.get("ExecutionRoleArn", "")}
            for variant, model in zip(variants, models, strict=True)
        ]
        return {"Id": _new_id(), "Config": config, "Variants": complete}

    def _deploy(self, region: str, name: str) -> None:
        """Bring the pending deployment into service, or say why not; runs in a thread of its own."""
        record = self._get(region, name)
        pending = record["Pending"]
        variants = self._made(record, pending)
        try:
            for variant in variants:
                variant.start()
        except NotServing as error:
            if not self._leaving:
                self._fall_back(region, name, variants, str(error))
            return
        except Closed:  # the server stops: the next one takes it up
            return
        except Exception:
            self._fall_back(region, name, variants, _BROKEN)
            raise
        with self._lock:
            record = self._get(region, name)
            former = record.get("Current")
            record |= {"Current": pending, "Pending": None}
            record["View"] |= {"EndpointConfigName": pending["Config"]}
            record["View"].pop("PendingDeploymentSummary", None)
            self._serve(record)
            self._put(record, "InService")
        if former:
            self._stop(former)

    def _fall_back(self, region: str, name: str, variants: list[Variant], reason: str) -> None:
        for variant in variants:
            variant.stop()
        with self._lock:
            record = self._get(region, name)
            self._variants.pop(record["Pending"]["Id"], None)
            record["Pending"] = None
            record["View"]["FailureReason"] = reason
            record["View"].pop("PendingDeploymentSummary", None)
            self._put(record, "InService" if record.get("Current") else "Failed")

    def _remove(self, region: str, name: str) -> None:
        record = self._get(region, name)
        if current := record.get("Current"):
            self._stop(current)
        self.table.delete(region, name)

    def _stop(self, deployment: Deployment) -> None:
        for variant in self._variants.pop(deployment["Id"], []):
            variant.stop()

    def _made(self, record: Record, deployment: Deployment) -> list[Variant]:
        specs = [
            VariantSpec.of(record["Name"], record["Region"], deployment["Id"], variant)
            for variant in deployment["Variants"]
        ]
        made = self._variants[deployment["Id"]] = [Variant(self._context, spec) for spec in specs]
        return made

    def _serve(self, record: Record) -> None:
        """Send the traffic to the current deployment and show it in the Describe answer."""
        current = record["Current"]
        weights = [float(variant["InitialVariantWeight"]) for variant in current["Variants"]]
        targets = self._variants[current["Id"]]
        routes = [Route(target, weight) for target, weight in zip(targets, weights, strict=True)]
        self._routes.set(record["Region"], record["Name"], routes)
        now = moment(self._context.clock)
        record["View"]["ProductionVariants"] = [_summary(variant, now) for variant in current["Variants"]]

    def _put(self, record: Record, status: str | None = None) -> None:
        if status:
            record["View"] |= {"EndpointStatus": status, "LastModifiedTime": moment(self._context.clock)}
        self.table.put(record["Name"], record)
        changed = {"EndpointStatus": shouted(record["View"]["EndpointStatus"])}
        emit(self._context, _EVENT, record, record["View"]["EndpointArn"], changed)

    def _find(self, request: Request) -> Record:
        name = request.params["EndpointName"]
        record = self.table.get(request.region, name)
        if record is None:
            raise refusal(f'Could not find endpoint "{arn(request.region, self.table.path, name)}".')
        return record

    def _settled(self, request: Request) -> Record:
        record = self._find(request)
        if record["View"]["EndpointStatus"] in _IN_PROGRESS:
            raise refusal(f'Cannot update in-progress endpoint "{record["View"]["EndpointArn"]}".')
        return record

    def _serving(self, request: Request) -> Record:
        record = self._settled(request)
        if not record.get("Current"):
            raise refusal(
                f'Cannot update endpoint "{record["View"]["EndpointArn"]}" in status Failed: DeleteEndpoint '
                "is the only operation that can be performed on a failed endpoint."
            )
        return record

    def _get(self, region: str, name: str) -> Record:
        record = self.table.get(region, name)
        if record is None:
            raise AwsError("InternalFailure", f"The endpoint {name} is gone.", 500)
        return record

    def _sweep(self, records: list[Record]) -> None:
        """Remove the files of deployments that no endpoint has any more."""
        kept = {record["Current"]["Id"] for record in records if record.get("Current")}
        for folder in Path(self._context.state_dir, "sagemaker", "endpoint").glob("*/*/*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _in_background(self, work: Callable[[str, str], None], region: str, name: str) -> None:
        thread = threading.Thread(target=work, args=(region, name), name=f"endpoint {name}", daemon=True)
        thread.start()


def _new_id() -> str:
    return secrets.token_hex(8)


def _check_deployment(config: dict[str, Any]) -> None:
    """Refuse what the embedded AWS does not do: anything but all traffic at once."""
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    shifted = routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE"
    if (
        shifted
        or "RollingUpdatePolicy" in config
        or config.get("AutoRollbackConfiguration", {}).get("Alarms")
    ):
        raise refusal(
            "The embedded AWS moves all traffic at once and knows no alarms to roll back on yet: use the "
            "traffic routing type ALL_AT_ONCE without AutoRollbackConfiguration."
        )


def _summary(variant: dict[str, Any], now: Any) -> dict[str, Any]:
    image = variant["Container"]["Image"]
    weight, count = float(variant["InitialVariantWeight"]), variant.get("InitialInstanceCount", 1)
    return {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": now}],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }
