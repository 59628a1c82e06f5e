"""What stands beside a stack: executions, what they made, claimed, registered and stored; decides nothing.

Endpoints, endpoint configurations and models are a pipeline's when they carry its tag ``mlops-kit:pipeline``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlops_kit.deploy.aws import Session

TAG_PIPELINE = "mlops-kit:pipeline"
Fate = Literal["removed", "stopped", "emptied", "stays"]
Remove = Callable[[Session], None]


@dataclass(frozen=True)
class Item:
    """One thing that a destroy removes or leaves.

    Attributes
    ----------
    type : str
        CloudFormation's type, or words.
    name : str
        Physical name.
    fate : {"removed", "stopped", "emptied", "stays"}
        What becomes of it.
    """

    type: str
    name: str
    fate: Fate
    _remove: Remove | None = field(default=None, repr=False, compare=False)

    def remove(self, session: Session) -> bool:
        """Remove it, unless CloudFormation does; whether it was removed here."""
        if self._remove is not None:
            self._remove(session)
        return self._remove is not None


def running(session: Session, state_machine: str) -> Iterator[Item]:
    """Executions that still run."""
    client = session.client("stepfunctions")
    for page in client.get_paginator("list_state_machines").paginate():
        for machine in page["stateMachines"]:
            if machine["name"] == state_machine:
                arn = machine["stateMachineArn"]
                pages = client.get_paginator("list_executions").paginate(
                    stateMachineArn=arn, statusFilter="RUNNING"
                )
                for one in (one for found in pages for one in found["executions"]):
                    yield Item("execution", one["name"], "stopped", _stop(one["executionArn"]))


def made_by_executions(session: Session, pipeline: str) -> Iterator[Item]:
    """SageMaker endpoints, then their configurations, then models that carry the pipeline's tag."""
    kinds = (
        ("AWS::SageMaker::Endpoint", "Endpoint", _remove_endpoint),
        ("AWS::SageMaker::EndpointConfig", "EndpointConfig", _remove_endpoint_config),
        ("AWS::SageMaker::Model", "Model", _remove_model),
    )
    client = session.client("sagemaker")
    for kind, word, remove in kinds:
        operation = {
            "Endpoint": "list_endpoints",
            "EndpointConfig": "list_endpoint_configs",
            "Model": "list_models",
        }
        pages = client.get_paginator(operation[word]).paginate(NameContains=session.settings.project)
        for one in (one for page in pages for one in page[f"{word}s"]):
            if _tag(client, one[f"{word}Arn"]) == pipeline:
                yield Item(kind, one[f"{word}Name"], "removed", remove(one[f"{word}Name"]))


def claims(session: Session, table: str | None, state_machine: str) -> Iterator[Item]:
    """The windows that executions of the state machine claimed or have done, one item for all.

    Were they left, the same window would not be retrained once the pipeline stands again.
    """
    if table is None:
        return
    found = list(_claimed(session, table, state_machine))
    if found:
        name = f"{', '.join(found)} (free to be retrained again)"
        yield Item("claims", name, "removed", _remove_claims(table, state_machine))


def model_packages(
    session: Session, resources: Iterable[Item], within: Sequence[str] | None = None
) -> Iterator[Item]:
    """Versions in the model package groups among the resources.

    Parameters
    ----------
    session : Session
        Where to look.
    resources : iterable of Item
        Of a stack; what is no group is passed over.
    within : sequence of str, optional
        Only those whose model lies under one of these URIs, since a version without its model is of no use;
        default all, since a group that holds some cannot be removed.
    """
    client = session.client("sagemaker")
    for group in resources:
        if group.type == "AWS::SageMaker::ModelPackageGroup":
            name = group.name.rpartition("/")[2]
            pages = client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=name)
            for one in (one for page in pages for one in page["ModelPackageSummaryList"]):
                arn = one["ModelPackageArn"]
                short = arn.partition("model-package/")[2]
                if within is not None and not _model_data(client, arn).startswith(tuple(within)):
                    continue
                yield Item("AWS::SageMaker::ModelPackage", short, "removed", _remove_package(arn))


def stored(session: Session, bucket: str | None, prefixes: Sequence[str]) -> Iterator[Item]:
    """Objects under prefixes of the data bucket, one item a prefix."""
    if bucket is None:
        return
    for prefix in prefixes:
        pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        count = sum(len(page.get("Contents", ())) for page in pages)
        if count:
            name = f"s3://{bucket}/{prefix} ({count} object{'' if count == 1 else 's'})"
            yield Item("data", name, "removed", _remove_objects(bucket, prefix))


def empty(session: Session, bucket: str) -> None:
    """Remove a bucket with every version of every object."""
    _delete_versions(session, bucket, "")
    session.client("s3").delete_bucket(Bucket=bucket)


def _delete_versions(session: Session, bucket: str, prefix: str) -> None:
    s3 = session.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = [
            {"Key": one["Key"], "VersionId": one["VersionId"]}
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
        ]
        if found:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})


def _claimed(session: Session, table: str, state_machine: str) -> Iterator[str]:
    """Keys of the items that executions of the state machine own. The table is small: a scan is cheap."""
    pages = session.client("dynamodb").get_paginator("scan")
    for page in pages.paginate(
        TableName=table,
        ConsistentRead=True,
        FilterExpression="contains(#owner, :of)",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":of": {"S": f":execution:{state_machine}:"}},
    ):
        yield from (item["pk"]["S"] for item in page["Items"])


def _model_data(client: Any, arn: str) -> str:
    """URI of a version's model; empty where it names none."""
    package = client.describe_model_package(ModelPackageName=arn)
    containers = package.get("InferenceSpecification", {}).get("Containers", ())
    return next((one["ModelDataUrl"] for one in containers if "ModelDataUrl" in one), "")


def _tag(client: Any, arn: str) -> str | None:
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return next((tag["Value"] for page in pages for tag in page["Tags"] if tag["Key"] == TAG_PIPELINE), None)


def _stop(arn: str) -> Remove:
    return lambda session: session.client("stepfunctions").stop_execution(
        executionArn=arn, error="MlopsKit.Destroyed", cause="The pipeline was destroyed."
    )


def _remove_endpoint(name: str) -> Remove:
    def remove(session: Session) -> None:
        client = session.client("sagemaker")
        client.delete_endpoint(EndpointName=name)
        delay = 1 if session.settings.target == "local" else 15
        client.get_waiter("endpoint_deleted").wait(
            EndpointName=name, WaiterConfig={"Delay": delay, "MaxAttempts": 120}
        )

    return remove


def _remove_endpoint_config(name: str) -> Remove:
    return lambda session: session.client("sagemaker").delete_endpoint_config(EndpointConfigName=name)


def _remove_model(name: str) -> Remove:
    return lambda session: session.client("sagemaker").delete_model(ModelName=name)


def _remove_package(arn: str) -> Remove:
    return lambda session: session.client("sagemaker").delete_model_package(ModelPackageName=arn)


def _remove_claims(table: str, state_machine: str) -> Remove:
    def remove(session: Session) -> None:
        # Read anew: an execution that was stopped may have claimed since.
        for key in list(_claimed(session, table, state_machine)):
            session.client("dynamodb").delete_item(TableName=table, Key={"pk": {"S": key}})

    return remove


def _remove_objects(bucket: str, prefix: str) -> Remove:
    return lambda session: _delete_versions(session, bucket, prefix)
