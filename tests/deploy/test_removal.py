"""A destroy lists what it removes, removes just that, and leaves data unless told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlops_kit.build import template
from mlops_kit.deploy import drift, removal
from mlops_kit.deploy import stack as deploy
from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Stack
from tests.deploy.small import pipeline, project
from tests.deploy.test_stack import queue_stack, stacks_of

IMAGE = "492215442770.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def names(found: removal.Removal, fate: str) -> list[str]:
    return [item.name for item in found.items if item.fate == fate]


def model(where: Any, name: str, owner: str, bucket: str) -> None:
    where.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::000000000000:role/any",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/raw/model.tar.gz"},
        Tags=[{"Key": "mlops-kit:pipeline", "Value": owner}],
    )


def version(where: Any, uri: str) -> str:
    """Register a version of the model; its short name."""
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    given = {
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
        "ModelApprovalStatus": "Approved",
    }
    made = where.client("sagemaker").create_model_package(ModelPackageGroupName="goes-demand", **given)
    return str(made["ModelPackageArn"].partition("model-package/")[2])


def claim(where: Any, table: str, key: str, execution: str) -> None:
    owner = f"arn:aws:states:us-east-1:000000000000:execution:{execution}"
    item = {"pk": {"S": key}, "owner": {"S": owner}, "status": {"S": "done"}}
    where.client("dynamodb").put_item(TableName=table, Item=item)


def test_a_pipeline_goes_with_what_its_executions_made_and_data_stays(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "goes", tmp_path)
    foundation = template.foundation(where.settings, ["demand"])
    applied = deploy.apply(where, template.build(where.settings, pipeline(tmp_path / "fn")), foundation)
    shared = deploy.outputs(where, "goes-foundation")
    bucket, table = shared["DataBucket"], shared["LockTable"]
    for key in ("metrics/a.json", "metrics/b.json", "raw/model.tar.gz"):
        where.client("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
    model(where, "goes-demand-1", "small", bucket)
    model(where, "goes-other-1", "other", bucket)
    kept_version, own_version = (
        version(where, f"s3://{bucket}/{key}") for key in ("raw/model", "metrics/model")
    )
    claim(where, table, "demand#2011-W26", "goes-small:first")
    claim(where, table, "demand#2011-W27", "goes-small-2:first")
    machine = applied.outputs["StateMachineArn"]
    client = where.client("stepfunctions")
    client.update_state_machine(
        stateMachineArn=machine,
        definition='{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 900, "End": true}}}',
    )
    client.start_execution(stateMachineArn=machine, name="still-going")
    listed = removal.removal(where, "goes-small")
    assert names(listed, "stopped") == ["still-going"] and "goes-demand-1" in names(listed, "removed")
    assert "demand#2011-W26 (free to be retrained again)" in names(listed, "removed")
    data = ("other", "s3://", "goes-demand/")
    assert not [name for name in names(listed, "removed") if any(part in name for part in data)]
    assert "goes-small-Judge" in str(listed) and "<table>" in listed._repr_html_()
    assert "goes-small" in stacks_of(where), "listing removes nothing"
    lines: list[str] = []
    removal.destroy(where, "goes-small", on_progress=lines.append)
    assert any(line.startswith("stopped  still-going") for line in lines)
    assert stacks_of(where) == ["goes-foundation"]
    left = [one["ModelName"] for one in where.client("sagemaker").list_models(NameContains="goes-")["Models"]]
    assert left == ["goes-other-1"]
    kept = [one["Key"] for one in where.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert kept == ["metrics/a.json", "metrics/b.json", "raw/model.tar.gz"]
    claimed = where.client("dynamodb").scan(TableName=table)["Items"]
    assert [item["pk"]["S"] for item in claimed] == ["demand#2011-W27"], "another pipeline's stays"
    with_data = removal.destroy(where, "goes-small", ("metrics/",))
    assert names(with_data, "removed") == [own_version, f"s3://{bucket}/metrics/ (2 objects)"]
    left = where.client("sagemaker").list_model_packages(ModelPackageGroupName="goes-demand")
    assert [
        one["ModelPackageArn"].partition("model-package/")[2] for one in left["ModelPackageSummaryList"]
    ] == [kept_version]
    kept = [one["Key"] for one in where.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert kept == ["raw/model.tar.gz"]
    assert not removal.removal(where, "goes-small")


def test_the_foundation_goes_last_and_its_buckets_only_when_told(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "base", tmp_path)
    foundation = template.foundation(where.settings, ["demand"])
    deploy.apply(where, template.build(where.settings, pipeline(tmp_path / "fn")), foundation)
    with pytest.raises(UsageError, match=r"still used by base-small\.\n.*destroy these pipelines first"):
        removal.removal(where, "base-foundation")
    removal.destroy(where, "base-small")
    buckets = {deploy.outputs(where, "base-foundation")[name] for name in ("ArtifactBucket", "DataBucket")}
    assert set(names(removal.removal(where, "base-foundation"), "stays")) == buckets
    removal.destroy(where, "base-foundation", ("",))
    assert stacks_of(where) == []
    standing = {one["Name"] for one in where.client("s3").list_buckets()["Buckets"]}
    assert not buckets & standing


def test_what_was_changed_behind_the_stacks_back_is_found(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "behind", tmp_path)
    deploy.bootstrap(where, queue_stack("behind-queues", One={"VisibilityTimeout": 10}, Two={}))
    assert str(drift.detect(where, "behind-queues")) == "behind-queues: no differences"
    urls = deploy.outputs(where, "behind-queues")
    where.client("sqs").set_queue_attributes(QueueUrl=urls["One"], Attributes={"VisibilityTimeout": "99"})
    where.client("sqs").delete_queue(QueueUrl=urls["Two"])
    found = drift.detect(where, "behind-queues")
    assert [(one.logical_id, one.property, one.expected, one.actual) for one in found.rows] == [
        ("One", "VisibilityTimeout", "10", "99"),
        ("Two", "", "exists", "gone"),
    ]
    assert "VisibilityTimeout" in str(found) and "<table>" in found._repr_html_()
    with pytest.raises(UsageError, match="no stack behind-nothing"):
        drift.detect(where, "behind-nothing")


def test_a_stack_that_is_not_there_has_nothing_to_remove(aws: Any, tmp_path: Path) -> None:
    found = removal.destroy(project(aws.url, "void", tmp_path), "void-nothing")
    assert str(found) == "void-nothing: nothing to remove" and not found


def test_a_retained_resource_is_listed_as_staying(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "retain", tmp_path)
    made = queue_stack("retain-one", One={}, Two={})
    made.template["Resources"]["One"]["DeletionPolicy"] = "Retain"
    deploy.bootstrap(where, Stack("retain-one", made.template))
    url = deploy.outputs(where, "retain-one")["One"]
    found = removal.destroy(where, "retain-one")
    assert [name.rpartition("/")[2] for name in names(found, "stays")] == [url.rpartition("/")[2]]
    where.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
