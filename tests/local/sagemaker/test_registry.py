"""The model registry: versions, approval, metadata, and deploying from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, ROLE, Sage, archive, unique, until


@pytest.fixture
def group(sage: Sage) -> str:
    name = unique("group")
    sage.client.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="demand")
    return name


def package(sage: Sage, group: str, **more: Any) -> str:
    data = sage.put(f"{unique('m')}/model.tar.gz", archive({"m": ""}))
    inference = {
        "Containers": [
            {"Image": IMAGE, "ModelDataUrl": data, "Environment": {"SAGEMAKER_PROGRAM": "inference.py"}}
        ],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    request = {"ModelPackageGroupName": group, "InferenceSpecification": inference, **more}
    return sage.client.create_model_package(**request)["ModelPackageArn"]  # type: ignore[no-any-return]


def test_versions_count_up_and_are_not_given_twice(sage: Sage, group: str) -> None:
    first, second = package(sage, group), package(sage, group)
    base = f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{group}"
    assert (first, second) == (f"{base}/1", f"{base}/2")
    sage.client.delete_model_package(ModelPackageName=second)
    assert package(sage, group) == f"{base}/3"
    described = sage.client.describe_model_package(ModelPackageName=first)
    assert described["ModelPackageVersion"] == 1
    assert described["ModelPackageStatus"] == "Completed"
    assert described["ModelApprovalStatus"] == "PendingManualApproval"


def test_approval_and_metadata_are_updated_and_told(sage: Sage, group: str) -> None:
    metrics = {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/metrics.json"}}
    }
    baselines = {
        "ModelDataQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/p.json"}}
    }
    arn = package(
        sage,
        group,
        ModelMetrics=metrics,
        DriftCheckBaselines=baselines,
        CustomerMetadataProperties={"git_commit": "abc", "data_hash": "1"},
        MetadataProperties={"CommitId": "abc"},
    )
    queue = sage.aws.client("sqs").create_queue(QueueName=unique("approvals"))["QueueUrl"]
    events, rule = sage.aws.client("events"), unique("rule")
    detail = {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]}
    pattern = {"detail-type": ["SageMaker Model Package State Change"], "detail": detail}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    target = f"arn:aws:sqs:us-east-1:000000000000:{queue.rsplit('/', 1)[-1]}"
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": target}])
    sage.client.update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="in service",
        CustomerMetadataProperties={"data_hash": "2"},
        CustomerMetadataPropertiesToRemove=["git_commit"],
    )
    described = sage.client.describe_model_package(ModelPackageName=arn)
    assert described["ModelApprovalStatus"] == "Approved"
    assert described["CustomerMetadataProperties"] == {"data_hash": "2"}
    assert (described["ModelMetrics"], described["DriftCheckBaselines"]) == (metrics, baselines)
    assert described["MetadataProperties"] == {"CommitId": "abc"}
    sqs = sage.aws.client("sqs")
    message = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))[0]
    assert json.loads(message["Body"])["resources"] == [arn]


def test_packages_are_listed_by_group_status_and_time(sage: Sage, group: str) -> None:
    arns = [package(sage, group) for _ in range(3)]
    sage.client.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")
    newest = sage.client.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=2
    )
    assert [p["ModelPackageArn"] for p in newest["ModelPackageSummaryList"]] == [arns[2], arns[1]]
    assert newest["NextToken"]
    approved = sage.client.list_model_packages(ModelPackageGroupName=group, ModelApprovalStatus="Approved")
    assert [p["ModelPackageVersion"] for p in approved["ModelPackageSummaryList"]] == [2]
    many = sage.client.batch_describe_model_package(ModelPackageArnList=[arns[0], arns[0][:-1] + "9"])
    assert list(many["ModelPackageSummaries"]) == [arns[0]]
    assert list(many["BatchDescribeModelPackageErrorMap"]) == [arns[0][:-1] + "9"]


def test_a_group_goes_only_when_it_is_empty(sage: Sage, group: str) -> None:
    arn = package(sage, group)
    with pytest.raises(ClientError) as caught:
        sage.client.delete_model_package_group(ModelPackageGroupName=group)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    sage.client.delete_model_package(ModelPackageName=arn)
    sage.client.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=f"Model Package Group .*{group} does not exist"):
        package(sage, group)


def test_a_model_is_made_from_a_package(sage: Sage, group: str) -> None:
    arn, name = package(sage, group), unique("model")
    sage.client.create_model(
        ModelName=name, PrimaryContainer={"ModelPackageName": arn}, ExecutionRoleArn=ROLE
    )
    container = sage.client.describe_model(ModelName=name)["PrimaryContainer"]
    assert container["Image"] == IMAGE and container["ModelPackageName"] == arn
    assert container["Environment"] == {"SAGEMAKER_PROGRAM": "inference.py"}


def test_bad_requests_are_refused(sage: Sage, group: str) -> None:
    with pytest.raises(ClientError, match="Exactly one of ModelPackageName and ModelPackageGroupName"):
        sage.client.create_model_package(ModelPackageName="x", ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="less than or equal to 50"):
        package(sage, group, CustomerMetadataProperties={f"k{i}": "v" for i in range(51)})
    with pytest.raises(ClientError, match="already exists"):
        sage.client.create_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match="failed to satisfy constraint"):
        sage.client.create_model_package_group(ModelPackageGroupName="-bad")
