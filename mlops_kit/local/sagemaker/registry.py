"""The model registry: package groups, versions and their approval; must not deploy anything."""

from __future__ import annotations

import threading
from typing import Any

from mlops_kit.local.sagemaker import listing
from mlops_kit.local.sagemaker.events import emit
from mlops_kit.local.sagemaker.listing import Listing
from mlops_kit.local.sagemaker.records import Record, Table, arn, moment, refusal
from mlops_kit.local.sagemaker.tags import checked
from mlops_kit.local.service import ACCOUNT, AwsError, Context, Handler, Request

_GROUPS = Listing(
    "ModelPackageGroupSummaryList",
    (
        "ModelPackageGroupName",
        "ModelPackageGroupArn",
        "ModelPackageGroupDescription",
        "CreationTime",
        "ModelPackageGroupStatus",
    ),
    name="ModelPackageGroupName",
)
_PACKAGES = Listing(
    "ModelPackageSummaryList",
    (
        "ModelPackageName",
        "ModelPackageGroupName",
        "ModelPackageVersion",
        "ModelPackageArn",
        "CreationTime",
        "ModelPackageDescription",
        "ModelPackageStatus",
        "ModelApprovalStatus",
    ),
    name="ModelPackageGroupName",
)
_BATCH = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
)
_UPDATED = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_EVENT = "SageMaker Model Package State Change"
_MOST_PROPERTIES = 50  # CreateModelPackage: customer metadata properties


class Registry:
    """Model package groups and model packages.

    Parameters
    ----------
    context : Context
        What the server hands out.
    lock : threading.RLock
        Held while a record changes.
    """

    def __init__(self, context: Context, lock: threading.RLock) -> None:
        self.groups = Table(context.store, "model-package-group", "ModelPackageGroupArn")
        self.packages = Table(context.store, "model-package", "ModelPackageArn")
        self._context = context
        self._lock = lock

    def operations(self) -> dict[str, Handler]:
        """Handlers by AWS's operation name."""
        return {
            "CreateModelPackageGroup": self.create_group,
            "DescribeModelPackageGroup": self.describe_group,
            "ListModelPackageGroups": self.list_groups,
            "DeleteModelPackageGroup": self.delete_group,
            "CreateModelPackage": self.create,
            "DescribeModelPackage": lambda r: self.package(r.region, r.params["ModelPackageName"]),
            "BatchDescribeModelPackage": self.batch,
            "UpdateModelPackage": self.update,
            "ListModelPackages": self.packages_of,
            "DeleteModelPackage": self.delete,
        }

    def create_group(self, request: Request) -> dict[str, Any]:
        """CreateModelPackageGroup."""
        params, name = request.params, request.params["ModelPackageGroupName"]
        own = arn(request.region, self.groups.path, name)
        description = {m: params[m] for m in ("ModelPackageGroupDescription",) if m in params}
        view = {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": own,
            **description,
            "CreationTime": moment(self._context.clock),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }
        tags = checked(params.get("Tags", []))
        record: Record = {"Region": request.region, "Name": name, "View": view, "Tags": tags, "Versions": 0}
        with self._lock:
            if self.groups.get(request.region, name) is not None:
                raise refusal(f"Model Package Group already exists: {own}")
            self.groups.put(name, record)
        return {"ModelPackageGroupArn": own}

    def describe_group(self, request: Request) -> dict[str, Any]:
        """DescribeModelPackageGroup, by name or ARN."""
        return dict(self._group(request.region, request.params["ModelPackageGroupName"])["View"])

    def list_groups(self, request: Request) -> dict[str, Any]:
        """ListModelPackageGroups."""
        views = [record["View"] for record in self.groups.all(request.region)]
        return listing.page(_GROUPS, views, request.params)

    def delete_group(self, request: Request) -> dict[str, Any]:
        """DeleteModelPackageGroup: only when it is empty."""
        with self._lock:
            record = self._group(request.region, request.params["ModelPackageGroupName"])
            if self._of_group(request.region, record["Name"]):
                raise AwsError(
                    "ConflictException",
                    f"Model Package Group {record['View']['ModelPackageGroupArn']} cannot be deleted because "
                    "it still contains Model Packages.",
                )
            self.groups.delete(request.region, record["Name"])
        return {}

    def create(self, request: Request) -> dict[str, Any]:
        """CreateModelPackage: the next version of a group, or a package with a name of its own."""
        params, region = request.params, request.region
        _check_properties(params.get("CustomerMetadataProperties", {}))
        if ("ModelPackageGroupName" in params) == ("ModelPackageName" in params):
            raise refusal("Exactly one of ModelPackageName and ModelPackageGroupName must be specified.")
        with self._lock:
            view = self._named(params, region)
            skipped = ("Tags", "ClientToken", "ModelPackageName", "ModelPackageGroupName")
            view |= {name: value for name, value in params.items() if name not in skipped}
            view |= {
                "CreationTime": moment(self._context.clock),
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreatedBy": {},
                "CertifyForMarketplace": params.get("CertifyForMarketplace", False),
            }
            key = view["ModelPackageArn"].split("/", 1)[1]
            tags = checked(params.get("Tags", []))
            record: Record = {"Region": region, "Name": key, "View": view, "Tags": tags}
            self.packages.put(key, record)
        emit(self._context, _EVENT, record, view["ModelPackageArn"])
        return {"ModelPackageArn": view["ModelPackageArn"]}

    def package(self, region: str, name: str) -> dict[str, Any]:
        """The Describe answer of a package, by its name or ARN."""
        return dict(self._package(region, name)["View"])

    def batch(self, request: Request) -> dict[str, Any]:
        """BatchDescribeModelPackage: what is there, and an error for each that is not."""
        summaries, errors = {}, {}
        for name in request.params["ModelPackageArnList"]:
            try:
                view = self.package(request.region, name)
            except AwsError as error:
                errors[name] = {"ErrorCode": error.code, "ErrorResponse": error.message}
            else:
                summaries[name] = {member: view[member] for member in _BATCH if member in view}
        return {"ModelPackageSummaries": summaries, "BatchDescribeModelPackageErrorMap": errors}

    def update(self, request: Request) -> dict[str, Any]:
        """UpdateModelPackage: approval, metadata, further inference specifications."""
        params = request.params
        with self._lock:
            record = self._package(request.region, params["ModelPackageArn"])
            view = record["View"]
            view |= {name: params[name] for name in _UPDATED if name in params}
            properties = view.get("CustomerMetadataProperties", {}) | params.get(
                "CustomerMetadataProperties", {}
            )
            for name in params.get("CustomerMetadataPropertiesToRemove", []):
                properties.pop(name, None)
            _check_properties(properties)
            view["CustomerMetadataProperties"] = properties
            more = params.get("AdditionalInferenceSpecificationsToAdd", [])
            view["AdditionalInferenceSpecifications"] = (
                view.get("AdditionalInferenceSpecifications", []) + more
            )
            view["LastModifiedTime"] = moment(self._context.clock)
            view["LastModifiedBy"] = {}
            self.packages.put(record["Name"], record)
        emit(self._context, _EVENT, record, view["ModelPackageArn"])
        return {"ModelPackageArn": view["ModelPackageArn"]}

    def packages_of(self, request: Request) -> dict[str, Any]:
        """ListModelPackages: versions of a group, or packages by type."""
        params = request.params
        if group := params.get("ModelPackageGroupName"):
            views = self._of_group(request.region, self._group(request.region, group)["Name"])
        else:
            wanted = params.get("ModelPackageType", "Unversioned")
            views = [record["View"] for record in self.packages.all(request.region)]
            views = [
                v
                for v in views
                if wanted in ("Both", "Versioned" if "ModelPackageVersion" in v else "Unversioned")
            ]
        if status := params.get("ModelApprovalStatus"):
            views = [view for view in views if view.get("ModelApprovalStatus") == status]
        return listing.page(_PACKAGES, views, params)

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteModelPackage; its version number is not given again."""
        with self._lock:
            record = self._package(request.region, request.params["ModelPackageName"])
            self.packages.delete(request.region, record["Name"])
        return {}

    def _named(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        if name := params.get("ModelPackageName"):
            own = arn(region, self.packages.path, name)
            if self.packages.get(region, own.split("/", 1)[1]) is not None:
                raise AwsError("ConflictException", f"Model Package already exists: {own}")
            return {"ModelPackageName": name, "ModelPackageArn": own}
        group = self._group(region, params["ModelPackageGroupName"])
        group["Versions"] += 1
        self.groups.put(group["Name"], group)
        version = f"{group['Name']}/{group['Versions']}"
        return {
            "ModelPackageGroupName": group["Name"],
            "ModelPackageVersion": group["Versions"],
            "ModelPackageArn": arn(region, self.packages.path, version),
            "ModelApprovalStatus": "PendingManualApproval",
        }

    def _group(self, region: str, name: str) -> Record:
        own = name if name.startswith("arn:") else arn(region, self.groups.path, name)
        record = self.groups.by_arn(own) if name.startswith("arn:") else self.groups.get(region, name)
        if record is None:
            raise refusal(f"Model Package Group {own} does not exist.")
        return record

    def _package(self, region: str, name: str) -> Record:
        own = name if name.startswith("arn:") else arn(region, self.packages.path, name)
        parts = own.split(":")
        record = self.packages.get(parts[3], own.split("/", 1)[-1]) if parts[4:5] == [ACCOUNT] else None
        if record is None:
            raise refusal(f"ModelPackage {own} does not exist.")
        return record

    def _of_group(self, region: str, name: str) -> list[dict[str, Any]]:
        views = [record["View"] for record in self.packages.all(region)]
        return [view for view in views if view.get("ModelPackageGroupName") == name]


def _check_properties(properties: dict[str, str]) -> None:
    if len(properties) > _MOST_PROPERTIES:
        raise refusal(
            f"A model package has at most {_MOST_PROPERTIES} customer metadata properties; "
            f"{len(properties)} are given."
        )
