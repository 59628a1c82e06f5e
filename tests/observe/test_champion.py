"""The champion is the newest approved version; it predicts what its endpoint predicts, or is not opened."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlops_kit.errors import KitError
from mlops_kit.observe import champion
from tests.conftest import EmbeddedAws

IMAGE = "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/service"
SERVE = """
import io, json, os
import joblib, pandas as pd

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def input_fn(data, content_type):
    assert content_type == "text/csv"
    return pd.read_csv(io.StringIO(data if isinstance(data, str) else data.decode()))

def predict_fn(data, model):
    return model.predict(data)

def output_fn(prediction, accept):
    return json.dumps({"predictions": prediction.tolist()}), accept
"""


@dataclass
class Registry:
    """A bucket and a model package group of one test."""

    aws: EmbeddedAws
    name: str

    def put(self, key: str, body: bytes) -> str:
        self.aws.client("s3").put_object(Bucket=self.name, Key=key, Body=body)
        return f"s3://{self.name}/{key}"

    def register(self, key: str, slope: float, status: str = "Approved") -> str:
        frame = pd.DataFrame(
            {"b": [0.0, 1.0, 2.0], "a": [1.0, 0.0, 5.0], "extra": 7.0, "cnt": [1.0, 2.0, 3.0]}
        )
        model = LinearRegression().fit(frame[["a", "b"]], slope * frame["a"])
        body = packed(model, {"features": ["a", "b"]})
        test = io.BytesIO()
        frame.to_parquet(test)
        facts = {"model_sha256": hashlib.sha256(body).hexdigest(), "wape": "0.123456", "rows": "3"}
        facts["test_data"] = self.put(f"{key}/test.parquet", test.getvalue())
        uri = self.put(f"{key}/model.tar.gz", body)
        container = {"Image": IMAGE, "ModelDataUrl": uri}
        kinds = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["application/json"]}
        self.aws.client("sagemaker").create_model_package(
            ModelPackageGroupName=self.name,
            InferenceSpecification={"Containers": [container], **kinds},
            ModelApprovalStatus=status,
            CustomerMetadataProperties=facts,
        )
        return uri

    def find(self) -> champion.Champion:
        clients = [self.aws.client(service) for service in ("sagemaker", "s3", "sagemaker-runtime")]
        return champion.find(*clients, self.name, self.name)


def packed(model: Any, facts: dict[str, Any]) -> bytes:
    buffer, dumped = io.BytesIO(), io.BytesIO()
    joblib.dump(model, dumped)
    files = {"model.joblib": dumped.getvalue(), "facts.json": json.dumps(facts).encode()}
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, body in {**files, "code/inference.py": SERVE.encode()}.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


@pytest.fixture
def registry(aws: EmbeddedAws) -> Iterator[Registry]:
    name = f"champion-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    aws.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    yield Registry(aws, name)


def test_without_an_approved_version_there_is_none(registry: Registry) -> None:
    registry.register("waiting", 1.0, "PendingManualApproval")
    with pytest.raises(KitError, match=r"there is no champion yet(.|\n)*run the retraining"):
        registry.find()
    with pytest.raises(KitError, match="there is no champion yet"):
        Registry(registry.aws, "no-such-group").find()


def test_the_newest_approved_version_is_opened_and_predicts(registry: Registry) -> None:
    registry.register("old", 1.0)
    registry.register("new", 2.0)
    registry.register("waiting", 3.0, "PendingManualApproval")
    found = registry.find()
    assert (found.version, found.features()) == (2, ["a", "b"])
    hours = found.sample(rows=2)
    assert hours["cnt"].tolist() == [2.0, 3.0]
    np.testing.assert_allclose(found.predict(hours), [0.0, 10.0], atol=1e-9)
    shown = found._repr_html_()
    assert "0.1235" in shown and "<details>" in shown and found.metadata["model_sha256"] in shown
    assert str(found).startswith(f"{registry.name} version 2, registered ") and repr(found) == str(found)


def test_an_archive_that_was_put_in_its_place_is_not_opened(registry: Registry) -> None:
    uri = registry.register("swapped", 1.0)
    key = uri.removeprefix(f"s3://{registry.name}/")
    registry.put(key, packed(LinearRegression(), {"features": ["a"]}))
    with pytest.raises(KitError, match=r"is not the archive(.|\n)*SHA-256(.|\n)*do not load it"):
        registry.find().load()


def test_the_endpoint_predicts_the_same_and_a_missing_one_is_told(registry: Registry) -> None:
    uri = registry.register("served", 2.0)
    found = registry.find()
    hours = found.sample()
    with pytest.raises(KitError, match="gives no predictions"):
        found.invoke(hours)
    serve(registry, uri)
    np.testing.assert_allclose(found.invoke(hours), found.predict(hours))


def serve(registry: Registry, uri: str) -> None:
    """An endpoint of the registry's name, in service."""
    sagemaker, name = registry.aws.client("sagemaker"), registry.name
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "one",
        "ModelName": name,
        "InstanceType": "ml.t2.medium",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    while (status := sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]) == "Creating":
        time.sleep(0.1)
    assert status == "InService"
