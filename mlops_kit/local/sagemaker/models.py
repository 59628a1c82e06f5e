"""Models and endpoint configurations: what is to be served; must not serve it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from mlops_kit.local.sagemaker import listing
from mlops_kit.local.sagemaker.events import emit
from mlops_kit.local.sagemaker.images import known_image
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.records import Record, Table, arn, check_role, moment, refusal
from mlops_kit.local.sagemaker.tags import checked
from mlops_kit.local.sagemaker.transfer import Transfer
from mlops_kit.local.service import AwsError, Context, Handler, Request

_MODELS = Listing("Models", ("ModelName", "ModelArn", "CreationTime"), name="ModelName", order="Descending")
_CONFIGS = Listing(
    "EndpointConfigs",
    ("EndpointConfigName", "EndpointConfigArn", "CreationTime"),
    name="EndpointConfigName",
    order="Descending",
)
_NOT_SERVED = ("AsyncInferenceConfig", "ShadowProductionVariants", "ExplainerConfig")


class Models:
    """CreateModel and CreateEndpointConfig with what belongs to them.

    Parameters
    ----------
    context : Context
        What the server hands out.
    lock : threading.RLock
        Held while a record changes.
    package : callable
        ``package(region, arn)`` gives the Describe answer of a model package, or raises `AwsError`.
    """

    def __init__(
        self, context: Context, lock: threading.RLock, package: Callable[[str, str], dict[str, Any]]
    ) -> None:
        self.models = Table(context.store, "model", "ModelArn")
        self.configs = Table(context.store, "endpoint-config", "EndpointConfigArn")
        self._context = context
        self._lock = lock
        self._package = package

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        return {
            "CreateModel": self.create_model,
            "DescribeModel": lambda request: self.model(request.region, request.params["ModelName"])["View"],
            "ListModels": lambda request: listing.page(_MODELS, _views(self.models, request), request.params),
            "DeleteModel": self.delete_model,
            "CreateEndpointConfig": self.create_config,
            "DescribeEndpointConfig": self.describe_config,
            "ListEndpointConfigs": lambda r: listing.page(_CONFIGS, _views(self.configs, r), r.params),
            "DeleteEndpointConfig": self.delete_config,
        }

    def create_model(self, request: Request) -> dict[str, Any]:
        """CreateModel: one container of a known image, whose model data is there."""
        params, region = request.params, request.region
        container = self._container(params, region)
        role = params.get("ExecutionRoleArn", "")
        check_role(self._context, role, arn(region, "model", params["ModelName"]))
        if data := _data_url(container):
            self._require_data(data)
            self._require_access(data, role, region)
        view: dict[str, Any] = {
            "ModelName": params["ModelName"],
            "PrimaryContainer": {**container, "Mode": container.get("Mode", "SingleModel")},
            **{name: params[name] for name in ("ExecutionRoleArn", "VpcConfig") if name in params},
            "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
        }
        record = self._create(self.models, request, view, "model", params["ModelName"])
        emit(self._context, "SageMaker Model State Change", record, record["View"]["ModelArn"])
        return {"ModelArn": record["View"]["ModelArn"]}

    def delete_model(self, request: Request) -> dict[str, Any]:
        """DeleteModel: endpoints that serve it go on."""
        record = self.model(request.region, request.params["ModelName"])
        self.models.delete(request.region, request.params["ModelName"])
        emit(self._context, "SageMaker Model State Change", record, record["View"]["ModelArn"])
        return {}

    def create_config(self, request: Request) -> dict[str, Any]:
        """CreateEndpointConfig: variants of models that exist."""
        params, region = request.params, request.region
        for member in _NOT_SERVED:
            if params.get(member):
                raise refusal(f"The embedded AWS does not serve {member} yet; leave it out, or use AWS.")
        if params.get("DataCaptureConfig", {}).get("EnableCapture"):
            raise refusal("The embedded AWS does not capture data yet; set EnableCapture to false.")
        names = [variant["VariantName"] for variant in params["ProductionVariants"]]
        if len(set(names)) < len(names):
            raise refusal("Duplicate variant names are not allowed in one endpoint configuration.")
        for variant in params["ProductionVariants"]:
            if "ModelName" not in variant:
                raise refusal("The embedded AWS serves variants of a model: each variant needs a ModelName.")
            self.model(region, variant["ModelName"])
        kept = ("ProductionVariants", "DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn", "VpcConfig")
        view = {
            "EndpointConfigName": params["EndpointConfigName"],
            **{name: params[name] for name in kept if name in params},
            "EnableNetworkIsolation": params.get("EnableNetworkIsolation", False),
        }
        view["ProductionVariants"] = [
            {"InitialVariantWeight": 1.0, **item} for item in view["ProductionVariants"]
        ]
        record = self._create(
            self.configs, request, view, "endpoint configuration", params["EndpointConfigName"]
        )
        return {"EndpointConfigArn": record["View"]["EndpointConfigArn"]}

    def describe_config(self, request: Request) -> dict[str, Any]:
        """DescribeEndpointConfig."""
        return dict(self.config(request.region, request.params["EndpointConfigName"])["View"])

    def delete_config(self, request: Request) -> dict[str, Any]:
        """DeleteEndpointConfig: an endpoint that serves it goes on."""
        self.config(request.region, request.params["EndpointConfigName"])
        self.configs.delete(request.region, request.params["EndpointConfigName"])
        return {}

    def model(self, region: str, name: str) -> Record:
        """A model's record, or AWS's words that there is none."""
        return _found(self.models, region, name, "model")

    def config(self, region: str, name: str) -> Record:
        """An endpoint configuration's record, or AWS's words that there is none."""
        return _found(self.configs, region, name, "endpoint configuration")

    def _container(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        containers = (
            [params["PrimaryContainer"]] if "PrimaryContainer" in params else params.get("Containers", [])
        )
        if len(containers) != 1:
            raise refusal(f"The embedded AWS serves models of one container; {len(containers)} were given.")
        container: dict[str, Any] = containers[0]
        if container.get("Mode", "SingleModel") != "SingleModel":
            raise refusal("The embedded AWS serves the mode SingleModel, no MultiModel.")
        if name := container.get("ModelPackageName"):
            packaged = self._package(region, name)["InferenceSpecification"]["Containers"][0]
            kept = {member: packaged[member] for member in ("Image", "ModelDataUrl") if member in packaged}
            environment = {**packaged.get("Environment", {}), **container.get("Environment", {})}
            container = {**container, **kept, "Environment": environment}
        if "Image" not in container:
            raise refusal("You must specify the container's Image or a ModelPackageName.")
        known_image(container["Image"])
        return {"Environment": {}, **container}

    def _require_data(self, uri: str) -> None:
        """Refuse a model without data, except on the server's loop, where asking S3 would wait for itself."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            if not Transfer(self._context.client("s3")).exists(uri):
                raise refusal(f"Could not find model data at {uri}.") from None

    def _require_access(self, uri: str, role_arn: str, region: str) -> None:
        """Refuse a model whose role may not read its data, where policies are enforced."""
        known = self._context.authorization
        if known is None or not role_arn:
            return
        try:
            known.check(role_arn, "s3:GetObject", uri.replace("s3://", "arn:aws:s3:::", 1))
        except AwsError as error:
            raise refusal(
                f'Could not access model data at {uri}. Please ensure that the role "{role_arn}" exists and '
                'that its trust relationship policy allows the action "sts:AssumeRole" for the service '
                'principal "sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" '
                f"permissions and that the object is located in {region}."
            ) from error

    def _create(self, table: Table, request: Request, view: dict[str, Any], noun: str, name: str) -> Record:
        own = arn(request.region, table.path, name)
        view |= {table.arn_member: own, "CreationTime": moment(self._context.clock)}
        tags = checked(request.params.get("Tags", []))
        record: Record = {"Region": request.region, "Name": name, "View": view, "Tags": tags}
        with self._lock:
            if table.get(request.region, name) is not None:
                raise refusal(f'Cannot create already existing {noun} "{own}".')
            table.put(name, record)
        return record


def _found(table: Table, region: str, name: str, noun: str) -> Record:
    record = table.get(region, name)
    if record is None:
        raise refusal(f'Could not find {noun} "{arn(region, table.path, name)}".')
    return record


def _views(table: Table, request: Request) -> list[dict[str, Any]]:
    return [record["View"] for record in table.all(request.region)]


def _data_url(container: dict[str, Any]) -> str | None:
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source is None:
        return container.get("ModelDataUrl")
    if source.get("CompressionType") != "Gzip":
        raise refusal(
            "The embedded AWS serves model data that is a model.tar.gz: set CompressionType to Gzip."
        )
    container["ModelDataUrl"] = source["S3Uri"]
    return str(source["S3Uri"])
