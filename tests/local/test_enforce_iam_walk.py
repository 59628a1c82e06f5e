"""The generated policies suffice for whole pipelines, and without one statement of them a run fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

import mlops_kit as kit
from pipelines import drift_monitor
from tests.acceptance import town as room
from tests.acceptance.town import Town
from tests.conftest import _running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("enforced")
    for aws in _running(folder, "--enforce-iam", "--at", "2011-07-01"):
        yield room.build(aws, folder / "kit")


@pytest.fixture(scope="module")
def first(town: Town) -> kit.Run:
    return town.run("first", as_of="2011-07-01")


@contextmanager
def without(town: Town, role: str, sid: str) -> Iterator[None]:
    """Take one statement away from a role, named by what CloudFormation calls it."""
    iam = town.session.client("iam")
    names = [one["RoleName"] for one in iam.list_roles()["Roles"]]
    name = next(one for one in names if one.startswith(f"town-retraining-demand-{role}"))
    policy = iam.list_role_policies(RoleName=name)["PolicyNames"][0]
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    kept = [one for one in document["Statement"] if one["Sid"] != sid]
    assert len(kept) == len(document["Statement"]) - 1
    where = {"RoleName": name, "PolicyName": policy}
    try:
        iam.put_role_policy(**where, PolicyDocument=json.dumps({**document, "Statement": kept}))
        yield
    finally:
        iam.put_role_policy(**where, PolicyDocument=json.dumps(document))


def test_the_generated_policies_suffice_for_a_first_and_a_second_champion(town: Town, first: kit.Run) -> None:
    assert (first.status, room.states(first.execution)[-1]) == ("SUCCEEDED", "Retrained"), first.failure
    second = town.run("second", as_of="2011-08-01")
    assert "UpdateEndpoint" in room.states(second.execution), second.failure
    assert room.states(second.execution)[-1] == "Retrained"


def test_the_generated_policies_suffice_for_the_drift_monitor(town: Town, first: kit.Run) -> None:
    monitor = drift_monitor.build(town.session.settings)
    kit.apply(town.session, monitor, on_progress=lambda _: None)
    run = town.ended(kit.run(town.session, monitor, as_of="2012-02-10", wait=False))
    assert run.status == "SUCCEEDED", run.failure


def test_a_stopped_execution_is_told_and_its_claim_freed_by_a_function_of_its_own_role(
    town: Town, first: kit.Run
) -> None:
    run = town.start("stopped", as_of="2011-09-05")
    town.until(lambda: town.lock("2011-W36") is not None)
    kit.stop(town.session, run)
    assert town.ended(run).status == "ABORTED"
    town.until(lambda: town.lock("2011-W36") is None)
    assert town.messages("CriticalTopic", run.name)


@dataclass(frozen=True)
class Taken:
    """A statement taken from a role; the state that then fails in a window, and what AWS says of it."""

    role: str
    sid: str
    as_of: str
    state: str
    action: str
    resource: str


TAKEN = [
    Taken("StateMachineRole", "Items", "2011-10-03", "ClaimWindow", "dynamodb:PutItem",
          ":table/town-foundation-LockTable"),
    Taken("StateMachineRole", "GlueJobs", "2011-10-10", "PrepareTrainingData", "glue:StartJobRun",
          ":job/town-retraining-demand-PrepareTrainingData"),
    Taken("StateMachineRole", "PassRoles", "2011-11-07", "TrainModel", "iam:PassRole",
          ":role/town-retraining-demand-SageMakerRole"),
    Taken("PrepareTrainingDataJobRole", "ReadObjects", "2011-10-17", "PrepareTrainingData", "s3:GetObject",
          '"arn:aws:s3:::town-foundation-artifactbucket'),
    Taken("SageMakerRole", "ReadObjects", "2011-11-21", "TrainModel", "s3:GetObject",
          '"arn:aws:s3:::town-foundation-databucket'),
    Taken("EvaluateModelFunctionRole", "ReadObjects", "2011-12-12", "EvaluateModel", "s3:GetObject",
          '"arn:aws:s3:::town-foundation-databucket'),
]  # fmt: skip


@pytest.mark.parametrize("taken", TAKEN, ids=lambda taken: f"{taken.role} {taken.sid}")
def test_without_a_statement_the_run_fails_with_the_refusal_that_names_it(
    town: Town, first: kit.Run, taken: Taken
) -> None:
    with without(town, taken.role, taken.sid):
        run = town.run(f"{taken.role}-{taken.sid}", as_of=taken.as_of)
    said = "".join(str(run.failure).split())  # it is wrapped for a terminal
    assert run.status == "FAILED" and said.startswith(taken.state), run.failure
    assert f":assumed-role/town-retraining-demand-{taken.role}" in said
    assert f"isnotauthorizedtoperform:{taken.action}onresource:" in said
    assert taken.resource in said


def test_a_machine_whose_role_lost_a_managed_rule_cannot_be_changed(town: Town, first: kit.Run) -> None:
    states = town.aws.client("stepfunctions")
    listed = states.list_state_machines()["stateMachines"]
    machine = next(one["stateMachineArn"] for one in listed if one["name"] == "town-retraining-demand")
    shown = states.describe_state_machine(stateMachineArn=machine)
    definition = {**json.loads(shown["definition"]), "Comment": "changed"}
    with (
        without(town, "StateMachineRole", "ManagedRules"),
        pytest.raises(ClientError) as refused,
    ):
        states.update_state_machine(stateMachineArn=machine, definition=json.dumps(definition))
    words = f"'{shown['roleArn']}' is not authorized to create managed-rule."
    assert refused.value.response["Error"]["Message"] == words
