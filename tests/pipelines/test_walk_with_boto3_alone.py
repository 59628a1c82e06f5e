from __future__ import annotations

import io
import json
import tarfile

import joblib
import pandas as pd
import pytest

from tests.pipelines.conftest import Walk

pytestmark = pytest.mark.slow


def test_boto3_and_an_endpoint_url_do_the_whole_walk(walk: Walk) -> None:
    first = walk.first
    assert first["status"] == "SUCCEEDED", first["cause"]
    assert first["kit"] == [], "the process knew the kit"
    order = "ClaimWindow PrepareTrainingData TrainModel ScoreModels EvaluateModel CheckMetrics RegisterModel"
    order += " DeployModel CreateModel CreateEndpointConfig CreateEndpoint ApproveModel MarkWindowDone"
    order += " NotifySuccess"
    entered = first["entered"]
    assert [name for name in entered if name in order.split()] == order.split()
    output = json.loads(first["output"])
    assert 0.1 < output["evaluation"]["metrics"]["challenger"]["wape"] < 0.2
    assert output["evaluation"]["metrics"]["champion"] is None


def test_the_champion_is_approved_and_carries_its_lineage(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    package = walk.aws.client("sagemaker").describe_model_package(ModelPackageName=output["model_package"])
    assert package["ModelApprovalStatus"] == "Approved"
    facts = package["CustomerMetadataProperties"]
    wanted = (
        "data_hash model_sha256 packages rows train_start train_end git_commit source profile wape mae bias"
    )
    assert set(wanted.split()) <= set(facts)
    assert float(facts["wape"]) == pytest.approx(output["evaluation"]["metrics"]["challenger"]["wape"])
    bucket, _, key = facts["profile"].removeprefix("s3://").partition("/")
    profile = walk.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert json.loads(profile)["rows"] == int(facts["rows"])


def test_the_model_of_the_registry_predicts_what_the_endpoint_says(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    package = walk.aws.client("sagemaker").describe_model_package(ModelPackageName=output["model_package"])
    uri = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = walk.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        names = {name.removeprefix("./"): name for name in archive.getnames()}
        model_file = archive.extractfile(names["model.joblib"])
        facts_file = archive.extractfile(names["facts.json"])
        assert model_file and facts_file
        model, facts = joblib.load(model_file), json.load(facts_file)
    rows = [
        [17, 5, 1, 0, 1, 0.7, 0.66, 0.5, 0.1, 400, 380, 190],
        [4, 5, 1, 0, 1, 0.6, 0.6, 0.7, 0.1, 5, 6, 190],
    ]
    predicted = model.predict(pd.DataFrame(rows, columns=facts["features"], dtype=float))
    assert walk.first["predictions"] == pytest.approx(predicted.tolist())


def test_the_window_is_done_and_what_was_made_is_tagged(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    item = walk.claim(output["lock"])
    assert item is not None and item["status"] == {"S": "done"} and "expires_at" not in item
    sagemaker = walk.aws.client("sagemaker")
    trained = output["model_data"].split("/")[-3]  # the job's name
    for arn in (
        sagemaker.describe_training_job(TrainingJobName=trained)["TrainingJobArn"],
        sagemaker.describe_model(ModelName=output["model_name"])["ModelArn"],
        sagemaker.describe_endpoint_config(EndpointConfigName=output["endpoint_config"])["EndpointConfigArn"],
        sagemaker.describe_endpoint(EndpointName="walk-demand")["EndpointArn"],
    ):
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags["mlops-kit:project"] == "walk" and tags["mlops-kit:pipeline"] == "retraining-demand"
        assert tags["mlops-kit:execution"]
