"""botocore's models are read once, and hold all but their prose."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.loaders import Loader

from mlops_kit.local import clients, models, wire


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        prose = {"documentation": ""} if isinstance(value.get("documentation"), str) else {}
        return {key: _bare(entry) for key, entry in value.items()} | prose
    return [_bare(entry) for entry in value] if isinstance(value, list) else value


@pytest.mark.parametrize("service", ["stepfunctions", "sagemaker", "glue", "s3"])
def test_a_model_is_botocores_without_the_prose(service: str) -> None:
    fresh = models.loader.__wrapped__()  # botocore mends S3's addresses in a model that a client has used
    ours = fresh.load_service_model(service, "service-2")
    assert ours == _bare(Loader().load_service_model(service, "service-2"))


def test_clients_and_our_services_share_one_model() -> None:
    url = "http://127.0.0.1:1"
    shown = clients.client(url, "us-east-1", "stepfunctions").meta.service_model
    again = clients.client(url, "eu-central-1", "stepfunctions").meta.service_model
    clients.forget(url)
    told = wire.model("stepfunctions").metadata
    assert shown.metadata == told

    assert shown.shape_for("Arn")._shape_model is again.shape_for("Arn")._shape_model
