"""The handlers from inside the server: on its loop, where waiting for the port would wait for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.local.clock import Clock
from mlops_kit.local.processes import Runner
from mlops_kit.local.sagemaker.api import SageMaker
from mlops_kit.local.service import AwsError, Context, Request
from mlops_kit.local.store import Store
from tests.local.sagemaker.support import IMAGE, ROLE


@pytest.fixture
def sagemaker(tmp_path: Path) -> Any:
    def nothing(*_: Any) -> None:
        pass

    store, clock = Store(tmp_path / "state.db"), Clock()
    parts = {"emit": nothing, "log": nothing, "metric": nothing, "settle": nothing}
    nowhere = "http://127.0.0.1:9"
    context = Context(store, clock, Runner(tmp_path / "processes"), tmp_path, nowhere, "us-east-1", **parts)
    service = SageMaker(context)
    yield service
    service.stop()
    clock.close()
    store.close()


def test_handlers_may_be_called_on_the_loop(sagemaker: SageMaker) -> None:
    def call(operation: str, **params: Any) -> dict[str, Any]:
        return sagemaker.operations[operation](Request(operation, params, "us-east-1"))  # type: ignore[return-value]

    async def on_the_loop() -> None:
        container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"}
        call("CreateModel", ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {
            "VariantName": "v",
            "ModelName": "m",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        call("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant])
        call("CreateModelPackageGroup", ModelPackageGroupName="g")
        call("DeleteEndpointConfig", EndpointConfigName="c")
        call("DeleteModel", ModelName="m")
        with pytest.raises(AwsError, match="Could not find model"):
            call("DescribeModel", ModelName="m")
        assert (
            call("ListModelPackageGroups")["ModelPackageGroupSummaryList"][0]["ModelPackageGroupName"] == "g"
        )

    asyncio.run(asyncio.wait_for(on_the_loop(), 30))
