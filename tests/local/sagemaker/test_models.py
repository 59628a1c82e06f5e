"""Models, endpoint configurations and tags: kept, listed, refused in AWS's words."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.local.sagemaker.support import IMAGE, ROLE, Sage, archive, unique


@pytest.fixture
def model(sage: Sage) -> str:
    name = unique("model")
    data = sage.put(f"{name}/model.tar.gz", archive({"m": ""}))
    container = {"Image": IMAGE, "ModelDataUrl": data, "Environment": {"SAGEMAKER_PROGRAM": "inference.py"}}
    tags = [{"Key": "mlops-kit:project", "Value": "p"}]
    sage.client.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE, Tags=tags)
    return name


def variant(model: str, **more: object) -> dict[str, object]:
    own = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    return {**own, **more}


def test_a_model_is_described_listed_and_deleted(sage: Sage, model: str) -> None:
    described = sage.client.describe_model(ModelName=model)
    assert described["PrimaryContainer"]["Image"] == IMAGE
    assert described["PrimaryContainer"]["Mode"] == "SingleModel"
    arn = described["ModelArn"]
    assert arn == f"arn:aws:sagemaker:us-east-1:000000000000:model/{model}"
    assert [m["ModelName"] for m in sage.client.list_models(NameContains=model)["Models"]] == [model]
    container = described["PrimaryContainer"]
    with pytest.raises(ClientError, match=f'Cannot create already existing model "{arn}"'):
        sage.client.create_model(ModelName=model, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    sage.client.delete_model(ModelName=model)
    with pytest.raises(ClientError, match=f'Could not find model "{arn}"') as caught:
        sage.client.describe_model(ModelName=model)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_model_data_and_image_must_be_there(sage: Sage) -> None:
    uri = f"s3://{sage.bucket}/gone/model.tar.gz"
    with pytest.raises(ClientError, match=f"Could not find model data at {uri}"):
        sage.client.create_model(
            ModelName=unique("m"),
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri},
            ExecutionRoleArn=ROLE,
        )
    with pytest.raises(ClientError, match="does not know the image"):
        sage.client.create_model(
            ModelName=unique("m"), PrimaryContainer={"Image": "mine:1"}, ExecutionRoleArn=ROLE
        )


def test_a_configuration_names_models_that_exist(sage: Sage, model: str) -> None:
    name = unique("config")
    with pytest.raises(ClientError, match="Could not find model"):
        sage.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("not-there")])
    arn = sage.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant(model)])[
        "EndpointConfigArn"
    ]
    described = sage.client.describe_endpoint_config(EndpointConfigName=name)
    assert described["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    listed = sage.client.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert [item["EndpointConfigArn"] for item in listed] == [arn]
    sage.client.delete_endpoint_config(EndpointConfigName=name)
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        sage.client.describe_endpoint_config(EndpointConfigName=name)


def test_what_is_not_served_is_refused(sage: Sage, model: str) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{sage.bucket}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    with pytest.raises(ClientError, match="does not capture data"):
        sage.client.create_endpoint_config(
            EndpointConfigName=unique("c"), ProductionVariants=[variant(model)], DataCaptureConfig=capture
        )


def test_tags_are_added_replaced_and_removed(sage: Sage, model: str) -> None:
    arn = sage.client.describe_model(ModelName=model)["ModelArn"]
    added = [{"Key": "stage", "Value": "a"}, {"Key": "mlops-kit:project", "Value": "q"}]
    sage.client.add_tags(ResourceArn=arn, Tags=added)
    tags = {tag["Key"]: tag["Value"] for tag in sage.client.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"mlops-kit:project": "q", "stage": "a"}
    sage.client.delete_tags(ResourceArn=arn, TagKeys=["stage", "never"])
    assert sage.client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "mlops-kit:project", "Value": "q"}]
    with pytest.raises(ClientError, match="Could not find"):
        sage.client.list_tags(ResourceArn=arn + "-not")


def test_everything_survives_a_kill(fresh_sage: Sage) -> None:
    sage = fresh_sage
    group, name = unique("group"), unique("model")
    sage.client.create_model_package_group(ModelPackageGroupName=group)
    sage.client.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    sage.aws.kill()
    sage.aws.start()
    client = sage.aws.client("sagemaker")
    assert client.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupStatus"]
    assert client.describe_model(ModelName=name)["ModelName"] == name
