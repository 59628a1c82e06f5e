"""SageMaker's CloudFormation types: a stack's endpoint really serves, changes, falls back and goes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import EmbeddedAws
from tests.local.sagemaker.support import IMAGE, ROLE, Sage, archive
from tests.local.test_cloudformation import Stack

SCRIPT = """
import json, pathlib

def model_fn(model_dir):
    if pathlib.Path(model_dir, "broken").exists():
        raise RuntimeError("the model is broken")
    return json.loads(pathlib.Path(model_dir, "model.json").read_text())

def input_fn(data, content_type):
    return json.loads(data)

def predict_fn(data, model):
    return data + model

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""


def _resources(sage: Sage, add: int, **files: str) -> dict[str, Any]:
    """A stack whose endpoint adds a number; a changed model replaces model and configuration."""
    content = {"model.json": str(add), "code/inference.py": SCRIPT, **files}
    data = sage.put(f"{add}/model.tar.gz", archive(content))
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialInstanceCount": "1",
        "InstanceType": "ml.m5.large",
        "InitialVariantWeight": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 60,
    }
    name = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    return {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": data},
            },
        },
        "Config": {"Type": "AWS::SageMaker::EndpointConfig", "Properties": {"ProductionVariants": [variant]}},
        "Endpoint": {"Type": "AWS::SageMaker::Endpoint", "Properties": {"EndpointConfigName": name}},
    }


def _ask(aws: EmbeddedAws, endpoint: str, number: int) -> Any:
    body = json.dumps(number).encode()
    kind = "application/json"
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, Body=body, ContentType=kind, Accept=kind
    )
    return json.load(answer["Body"])


@pytest.mark.slow
def test_an_endpoint_of_a_stack_serves_changes_falls_back_and_goes(aws: EmbeddedAws) -> None:
    sage, stack = Sage(aws), Stack(aws)
    outputs = {"Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}}}
    assert stack.apply(_resources(sage, 1), Outputs=outputs) == "CREATE_COMPLETE"
    endpoint = stack.outputs()["Name"]
    assert _ask(aws, endpoint, 41) == 42
    tags = sage.client.list_tags(ResourceArn=stack.id_of("Endpoint"))["Tags"]
    assert {"Key": "team", "Value": "ml"} in tags

    assert stack.apply(_resources(sage, 100), Outputs=outputs) == "UPDATE_COMPLETE"
    assert stack.outputs()["Name"] == endpoint
    assert _ask(aws, endpoint, 1) == 101

    assert stack.apply(_resources(sage, 5, broken=""), Outputs=outputs) == "UPDATE_ROLLBACK_COMPLETE"
    assert "ping health check" in stack.failure("Endpoint")
    assert _ask(aws, endpoint, 1) == 101

    stack.client.delete_stack(StackName=stack.name)
    with pytest.raises(ClientError, match="does not exist"):
        stack.settled()
    with pytest.raises(ClientError, match="Could not find"):
        sage.client.describe_endpoint(EndpointName=endpoint)
