"""The first run makes a champion, the second is judged against it and takes its place, a bad one does not."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

import mlops_kit as kit
from tests.acceptance import town as room
from tests.acceptance.town import Town

pytestmark = pytest.mark.slow


def package(town: Town, run: kit.Run) -> dict[str, Any]:
    """The version that a run registered."""
    arn = room.given(run.execution, "DeployModel")["model_package"]
    return dict(town.session.client("sagemaker").describe_model_package(ModelPackageName=arn))


def test_the_first_run_makes_a_champion_that_is_approved_only_when_it_serves(
    town: Town, first: kit.Run
) -> None:
    assert first.status == "SUCCEEDED"
    verdict = first.verdict()
    assert verdict is not None and verdict.verdict == "promote" and verdict.metrics["champion"] is None
    execution = first.execution
    order = [visit.state for visit in execution.visits]
    assert order.index("RegisterModel") < order.index("EndpointServes") < order.index("ApproveModel")
    served = room.given(execution, "EndpointServes")["endpoint"]
    assert (
        served["status"] == "InService"
        and served["config"] == room.given(execution, "ApproveModel")["endpoint_config"]
    )
    found = package(town, first)
    assert found["ModelPackageVersion"] == 1 and found["ModelApprovalStatus"] == "Approved"
    assert served["config"] in found["ApprovalDescription"]
    events = town.session.client("stepfunctions").get_execution_history(
        executionArn=first.arn, maxResults=1000
    )["events"]
    registered = [
        event["taskScheduledEventDetails"]["parameters"]
        for event in events
        if event["type"] == "TaskScheduled" and "createModelPackage" in str(event)
    ]
    assert json.loads(registered[0])["ModelApprovalStatus"] == "PendingManualApproval"


def test_the_second_run_is_judged_against_the_first_ones_champion(town: Town, second: kit.Run) -> None:
    assert second.status == "SUCCEEDED"
    verdict = second.verdict()
    assert verdict is not None and verdict.verdict == "promote"
    champion, challenger = verdict.metrics["champion"], verdict.metrics["challenger"]
    assert champion and challenger and set(champion) == set(challenger) == {"wape", "mae", "rmse", "bias"}
    assert champion != challenger
    assert any("than the champion's" in reason for reason in verdict.reasons)
    [message] = town.messages("RoutineTopic", "second")
    assert message["Subject"] == "demand: retrained" and verdict.reasons[0] in message["Message"]


def test_the_endpoint_serves_the_new_configuration_and_the_old_one_is_kept(
    town: Town, first: kit.Run, second: kit.Run
) -> None:
    client = town.session.client("sagemaker")
    old, new = (room.given(run.execution, "ApproveModel")["endpoint_config"] for run in (first, second))
    kept = [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]]
    assert old != new and {old, new} <= set(kept)
    assert client.describe_endpoint_config(EndpointConfigName=old)["ProductionVariants"]
    assert "UpdateEndpoint" in room.states(second.execution)
    assert room.given(second.execution, "EndpointServes")["endpoint"] == {
        "status": "InService",
        "config": new,
    }


def test_the_champion_loaded_and_the_endpoint_predict_the_same(town: Town, second: kit.Run) -> None:
    champion = kit.champion(town.session, town.pipeline)
    rows = champion.sample(48)
    own, served = champion.predict(rows), champion.invoke(rows)
    assert own.shape == served.shape == (48,) and np.allclose(own, served)
    assert own.std() > 1, "a model that learnt nothing predicts the same for every hour"


def test_the_registry_tells_where_a_champion_comes_from(town: Town, second: kit.Run) -> None:
    metadata, execution = package(town, second)["CustomerMetadataProperties"], second.execution
    assert metadata["execution"] == second.arn and metadata["as_of"] == "2011-08-01"
    assert (metadata["train_start"], metadata["train_end"]) == ("2011-02-01", "2011-08-01")
    commit = metadata["git_commit"].removesuffix("-dirty")
    known = ["git", "merge-base", "--is-ancestor", commit, "HEAD"]
    assert subprocess.run(known, cwd=room.ROOT, check=False).returncode == 0, commit
    packages = dict(one.split("=") for one in metadata["packages"].split())
    assert packages["scikit-learn"] == version("scikit-learn") and packages["pandas"] == version("pandas")
    verdict = second.verdict()
    assert verdict is not None
    assert {name: float(metadata[name]) for name in ("wape", "mae", "rmse", "bias")} == pytest.approx(
        verdict.metrics["challenger"]
    )
    data, profile = (stored(town, execution, name) for name in ("data.json", "profile.json"))
    assert metadata["data_hash"] == data["data_hash"] and len(metadata["data_hash"]) == 64
    assert metadata["profile"].endswith("/profile.json") and profile["numeric"]["temp"]["count"] == int(
        metadata["rows"]
    )
    statistics = package(town, second)["ModelMetrics"]
    assert statistics["ModelDataQuality"]["Statistics"]["S3Uri"] == metadata["profile"]
    assert statistics["ModelQuality"]["Statistics"]["S3Uri"].endswith("/metrics/metrics.json")


def stored(town: Town, execution: Any, name: str) -> Any:
    key = f"{room.given(execution, 'ApproveModel')['prefix']}/{name}"
    body = town.session.client("s3").get_object(Bucket=town.shared["DataBucket"], Key=key)["Body"]
    return json.loads(body.read())


def test_a_challenger_that_is_not_good_enough_is_rejected_without_a_failure(
    town: Town, second: kit.Run
) -> None:
    before = kit.champion(town.session, town.pipeline).arn
    served = town.session.client("sagemaker").describe_endpoint(EndpointName="town-demand")
    quiet = {"on_progress": lambda _: None}
    kit.apply(town.session, room.cheap(town.session.settings, wape=0.01), **quiet)
    try:
        run = town.run("too-bad", as_of="2011-08-15")
    finally:
        kit.apply(town.session, town.pipeline, **quiet)
    assert run.status == "SUCCEEDED" and run.failure is None
    verdict = run.verdict()
    assert verdict is not None and verdict.verdict == "reject"
    assert "above the limit of 0.01" in verdict.reasons[0]
    assert room.states(run.execution)[-2:] == ["NotifyRejected", "Rejected"]
    assert "RegisterModel" not in room.states(run.execution)
    [message] = town.messages("RoutineTopic", "too-bad")
    assert "was rejected, the champion stays" in message["Message"]
    assert kit.champion(town.session, town.pipeline).arn == before
    now = town.session.client("sagemaker").describe_endpoint(EndpointName="town-demand")
    assert now["EndpointConfigName"] == served["EndpointConfigName"]
    done = town.lock("2011-W33")
    assert done is not None and done["status"] == "done"
    again = town.run("too-bad-again", as_of="2011-08-16")
    assert room.states(again.execution) == ["ClaimWindow", "AlreadyRetraining"]
