"""A server that is killed while a model is trained loses nothing; what is destroyed leaves only its data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import mlops_kit as kit
from tests.acceptance import town as room
from tests.acceptance.town import Town
from tests.conftest import EmbeddedAws

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Survived:
    """A town whose server was killed during TrainModel, and the run of then, which has ended."""

    town: Town
    run: kit.Run
    before: list[dict[str, object]]  # history events acknowledged before the kill


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survived]:
    folder = tmp_path_factory.mktemp("killed")
    aws = EmbeddedAws(folder / "state", ("--at", "2011-07-01"))
    aws.start()
    try:
        town = room.build(aws, folder / "kit")
        run = town.start("killed", as_of="2011-07-01")
        town.until(lambda: submitted(town, run) == 2, lambda: str(run))
        before = events(town, run)
        aws.kill()
        aws.start()
        yield Survived(town, town.ended(run), before)
    finally:
        aws.stop()


def events(town: Town, run: kit.Run) -> list[dict[str, object]]:
    client = town.session.client("stepfunctions")
    return list(client.get_execution_history(executionArn=run.arn, maxResults=1000)["events"])


def submitted(town: Town, run: kit.Run) -> int:
    return sum(event["type"] == "TaskSubmitted" for event in events(town, run))


def test_a_server_killed_during_the_training_finishes_the_run(survived: Survived) -> None:
    assert survived.run.status == "SUCCEEDED", str(survived.run)
    assert survived.before[-1]["type"] == "TaskSubmitted"


def test_nothing_that_was_recorded_is_lost_or_repeated(survived: Survived) -> None:
    town, run = survived.town, survived.run
    assert events(town, run)[: len(survived.before)] == survived.before
    names = room.states(run.execution)
    assert [names.count(name) for name in ("ClaimWindow", "PrepareTrainingData", "TrainModel")] == [1, 1, 1]
    glue = town.session.client("glue")
    runs = glue.get_job_runs(JobName=f"{room.PROJECT}-{town.pipeline.name}-PrepareTrainingData")["JobRuns"]
    assert [one["JobRunState"] for one in runs] == ["SUCCEEDED"]
    jobs = town.session.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert len(jobs) == len(room.visit(run.execution, "TrainModel").attempts)
    assert (
        len(
            kit.champion(town.session, town.pipeline).invoke(
                kit.champion(town.session, town.pipeline).sample(2)
            )
        )
        == 2
    )


def test_destroy_lists_and_asks_and_leaves_the_data_and_what_others_share(survived: Survived) -> None:
    town = survived.town
    sagemaker, s3 = town.session.client("sagemaker"), town.session.client("s3")
    made = room.given(survived.run.execution, "ApproveModel")
    asked = town.cli("destroy", "retraining")
    assert asked.returncode == 2 and "nothing was changed" in asked.stderr and "--yes" in asked.stderr
    for name in ("town-demand", made["endpoint_config"], made["model_name"]):
        assert name in asked.stdout, "what executions made is listed"
    assert sagemaker.describe_endpoint(EndpointName="town-demand")["EndpointStatus"] == "InService"

    stored = {one["Key"] for one in s3.list_objects_v2(Bucket=town.shared["DataBucket"])["Contents"]}
    done = town.cli("destroy", "retraining", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    left = [
        one["StackName"]
        for one in town.session.client("cloudformation").describe_stacks()["Stacks"]
        if not one["StackStatus"].startswith("DELETE")
    ]
    assert left == [f"{room.PROJECT}-foundation"]
    assert town.session.client("stepfunctions").list_state_machines()["stateMachines"] == []
    assert town.session.client("lambda").list_functions()["Functions"] == []
    assert town.session.client("glue").get_jobs()["Jobs"] == []
    assert town.session.client("iam").list_roles()["Roles"] == []
    after = {one["Key"] for one in s3.list_objects_v2(Bucket=town.shared["DataBucket"])["Contents"]}
    assert after == stored and any(key.endswith("model.tar.gz") for key in after)
    groups = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [one["ModelPackageGroupName"] for one in groups] == ["town-demand"]
    again = town.cli("destroy", "retraining", "--yes")
    assert again.returncode == 0 and "nothing to remove" in again.stdout
