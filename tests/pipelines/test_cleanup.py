"""The cleanup on the embedded AWS: what a champion needs stays, the rest goes, and people are told."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import mlops_kit as kit
from mlops_kit.build.foundation import foundation
from mlops_kit.deploy.stack import outputs
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from pipelines import cleanup, retraining
from tests.conftest import REGION, EmbeddedAws
from tests.policies import policies

PROJECT = "tidy"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/tidy"
TAGS = [
    {"Key": "mlops-kit:project", "Value": PROJECT},
    {"Key": "mlops-kit:pipeline", "Value": "retraining-demand"},
]


@dataclass(frozen=True)
class House:
    """Where the cleanup stands."""

    session: Any
    pipeline: Pipeline
    queue: str
    bucket: str

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def run(self, **given: Any) -> kit.Run:  # type: ignore[name-defined]
        run = kit.run(self.session, self.pipeline, given, wait=False)
        until = time.monotonic() + 120
        while run.status == "RUNNING":
            assert time.monotonic() < until, run
            time.sleep(0.2)
        return run

    def cleaned(self, **given: Any) -> dict[str, Any]:
        run = self.run(**given)
        assert run.status == "SUCCEEDED", run.failure
        found: dict[str, Any] = run.output["cleanup"]
        return found

    def heard(self) -> list[dict[str, str]]:
        answer = self.client("sqs").receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=5
        )
        for one in answer["Messages"]:
            self.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=one["ReceiptHandle"])
        return [json.loads(one["Body"]) for one in answer["Messages"]]

    def model(self, name: str, data: str = "old", tags: Any = TAGS) -> None:
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{self.bucket}/{data}.tar.gz"}
        self.client("sagemaker").create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=tags
        )

    def config(self, name: str, model: str) -> None:
        variant = {
            "VariantName": "champion",
            "ModelName": model,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self.client("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=TAGS
        )

    def endpoint(self, name: str, config: str) -> None:
        sagemaker = self.client("sagemaker")
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, Tags=TAGS)
        until = time.monotonic() + 60
        while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating":
            assert time.monotonic() < until
            time.sleep(0.2)

    def approve(self, data: str, config: str) -> None:
        container = {"Image": IMAGE, "ModelDataUrl": f"s3://{self.bucket}/{data}.tar.gz"}
        sagemaker = self.client("sagemaker")
        arn = sagemaker.create_model_package(
            ModelPackageGroupName=f"{PROJECT}-demand",
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
        )["ModelPackageArn"]
        sagemaker.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription=f"in service as {config}"
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Three champions one after the other, a failed deployment, an experiment, and somebody else's model."""
    folder = tmp_path_factory.mktemp("tidy")
    aws = EmbeddedAws(folder / "state", ("--enforce-iam",))
    aws.start()
    try:
        settings = Settings(endpoint_url=aws.url, region=REGION, project=PROJECT, state_dir=folder / "kit")
        session = kit.session(settings)
        kit.bootstrap(session, ["demand"], on_progress=lambda _: None)
        pipeline = cleanup.build(settings)
        kit.apply(session, pipeline, on_progress=lambda _: None)
        sqs = session.client("sqs")
        url = sqs.create_queue(QueueName="hears")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        shared = outputs(session, f"{PROJECT}-foundation")
        for topic in ("RoutineTopic", "CriticalTopic"):
            session.client("sns").subscribe(TopicArn=shared[topic], Protocol="sqs", Endpoint=arn)
        made = House(session, pipeline, url, shared["DataBucket"])
        _furnish(made)
        yield made
    finally:
        aws.stop()


TRUST = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}
READ = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def _furnish(house: House) -> None:
    iam = house.client("iam")
    document = {"Version": "2012-10-17", "Statement": [TRUST]}
    iam.create_role(RoleName="tidy", AssumeRolePolicyDocument=json.dumps(document))
    document = {"Version": "2012-10-17", "Statement": [READ]}
    iam.put_role_policy(RoleName="tidy", PolicyName="read", PolicyDocument=json.dumps(document))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        packed.addfile(tarfile.TarInfo("model.joblib"))  # empty: its endpoints fail, and are endpoints
    for data in ("first", "second", "failed", "third", "old"):
        house.client("s3").put_object(Bucket=house.bucket, Key=f"{data}.tar.gz", Body=archive.getvalue())
    for name in ("first", "second", "failed", "third"):
        house.model(f"tidy-demand-{name}", name)
        house.config(f"tidy-demand-{name}", f"tidy-demand-{name}")
        if name != "failed":
            house.approve(name, f"tidy-demand-{name}")
    house.endpoint("tidy-demand", "tidy-demand-third")
    house.model("tidy-demand-batch", "third")  # as a transform has it: the champion without an endpoint
    for number in range(12):  # more than a page
        house.model(f"tidy-trial-{number}")
    house.config("tidy-trial", "tidy-trial-0")
    house.endpoint("tidy-trial", "tidy-trial")
    house.model("tidy-foreign", tags=[{"Key": "mlops-kit:project", "Value": "tidy-too"}])
    house.model("untidy", tags=TAGS)


def names(entries: list[dict[str, str]]) -> set[tuple[str, str]]:
    return {(one["kind"], one["name"]) for one in entries}


GONE = {
    ("Endpoint", "tidy-trial"),
    *(("EndpointConfig", f"tidy-demand-{name}") for name in ("first", "failed")),
    *(("Model", f"tidy-demand-{name}") for name in ("first", "failed")),
    *(("Model", f"tidy-trial-{number}") for number in range(1, 12)),
}


@pytest.mark.slow
def test_the_cleanup_keeps_what_a_champion_needs_and_removes_the_rest(house: House) -> None:
    listed = house.cleaned(dry_run=True, grace_days=0)
    assert names(listed["removed"]) == GONE
    kept = {(one["kind"], one["name"]): one["reason"] for one in listed["kept"]}
    assert kept == {
        ("Endpoint", "tidy-demand"): "a champion serves there",
        ("EndpointConfig", "tidy-demand-third"): "the endpoint tidy-demand names it",
        ("EndpointConfig", "tidy-demand-second"): "the endpoint tidy-demand can be rolled back to it",
        ("EndpointConfig", "tidy-trial"): "the endpoint tidy-trial names it",
        ("Model", "tidy-demand-third"): "the configuration tidy-demand-third names it",
        ("Model", "tidy-demand-second"): "the configuration tidy-demand-second names it",
        ("Model", "tidy-demand-batch"): kept[("Model", "tidy-demand-batch")],
        ("Model", "tidy-trial-0"): "the configuration tidy-trial names it",
    }
    assert "model-package/tidy-demand/3" in kept[("Model", "tidy-demand-batch")]
    young = house.cleaned()
    assert young["removed"] == [] and "it is younger than 7 days" in {one["reason"] for one in young["kept"]}

    house.heard()
    assert names(house.cleaned(grace_days=0)["removed"]) == GONE
    (told,) = house.heard()
    assert told["Subject"] == "tidy: cleanup"
    assert "Removed 16, kept 8." in told["Message"] and "- Model tidy-trial-11" in told["Message"]
    sagemaker = house.client("sagemaker")
    left = {one["ModelName"] for one in sagemaker.list_models(MaxResults=100)["Models"]}
    demand = {f"tidy-demand-{name}" for name in ("second", "third", "batch")}
    assert left == {*demand, "tidy-trial-0", "tidy-foreign", "untidy"}

    until = time.monotonic() + 60
    while len(sagemaker.list_endpoints()["Endpoints"]) > 1:
        assert time.monotonic() < until
        time.sleep(0.2)
    again = house.cleaned(grace_days=0)
    assert names(again["removed"]) == {("EndpointConfig", "tidy-trial"), ("Model", "tidy-trial-0")}, (
        "what only the forgotten endpoint named goes with the next run"
    )
    assert (
        len(sagemaker.list_model_packages(ModelPackageGroupName="tidy-demand")["ModelPackageSummaryList"])
        == 3
    )


@pytest.mark.slow
def test_a_cleanup_that_cannot_be_is_a_failed_execution_and_somebody_is_told(house: House) -> None:
    arn = outputs(house.session, f"{PROJECT}-cleanup")["StateMachineArn"]
    states = house.client("stepfunctions")
    started = states.start_execution(stateMachineArn=arn, input=json.dumps({"grace_days": "soon"}))
    until = time.monotonic() + 60
    while (ended := states.describe_execution(executionArn=started["executionArn"]))["status"] == "RUNNING":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert ended["status"] == "FAILED" and "grace_days is 'soon'" in ended["cause"]
    assert "tidy: cleanup failed" in {one["Subject"] for one in house.heard()}


PIPELINE = cleanup.build(Settings())


def test_it_may_remove_only_what_carries_the_projects_tag() -> None:
    statements = policies(PIPELINE)["RemoveUnusedFunctionPolicy"]["Statement"]
    removing = [one for one in statements if any(":Delete" in action for action in one["Action"])]
    assert len(removing) == 3
    for one in removing:
        assert one["Condition"] == {"StringEquals": {"aws:ResourceTag/mlops-kit:project": "mlops-kit"}}
    everything = json.dumps(statements)
    assert "DeleteModelPackage" not in everything


def test_what_only_grows_in_the_data_bucket_has_an_end_and_the_champions_files_have_none() -> None:
    bucket = foundation(Settings(), ["demand"]).template["Resources"]["DataBucket"]
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    ends = {one["Prefix"]: one["ExpirationInDays"] for one in rules if "ExpirationInDays" in one}
    assert ends.items() >= {"tmp/": 7, "drift/": 400, "forecast/": 400, "reports/": 400}.items()
    training = next(iter(retraining.build(Settings()).writes))
    assert training not in ends, "a champion's model and profile lie there as long as it serves"
    assert any(one.get("Prefix") == training and one["Transitions"] for one in rules)
