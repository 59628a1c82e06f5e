"""A pipeline comes to stand through a change set that one can read first."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mlops_kit.build import template
from mlops_kit.deploy import stack as deploy
from mlops_kit.deploy.aws import Session
from mlops_kit.errors import DeployError, UsageError
from mlops_kit.pipeline import Stack
from tests.deploy.small import pipeline, project


def stacks_of(where: Session) -> list[str]:
    found = where.client("cloudformation").describe_stacks()["Stacks"]
    return [one["StackName"] for one in found if one["StackName"].startswith(where.settings.project)]


def queue_stack(name: str, **queues: dict[str, Any]) -> Stack:
    resources = {
        key: {"Type": "AWS::SQS::Queue", "Properties": properties} for key, properties in queues.items()
    }
    outputs = {key: {"Value": {"Ref": key}} for key in queues}
    return Stack(name, {"Resources": resources, "Outputs": outputs})


def failing(name: str, **queues: dict[str, Any]) -> Stack:
    """A secure parameter cannot be made by CloudFormation, on AWS neither."""
    good = queue_stack(name, **queues)
    first = next(iter(queues))
    bad = {
        "Type": "AWS::SSM::Parameter",
        "DependsOn": first,
        "Properties": {"Name": f"/{name}/secret", "Type": "SecureString", "Value": "x"},
    }
    return Stack(name, {**good.template, "Resources": {**good.template["Resources"], "Secret": bad}})


def test_a_pipeline_is_planned_applied_and_then_stands_as_described(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "walk", tmp_path)
    foundation = template.foundation(where.settings, [])
    stack = template.build(where.settings, pipeline(tmp_path / "fn"))
    first = deploy.plan(where, stack, foundation)
    assert first.changes and first.first is not None and first.first.summary == "6 to add"
    assert "+ add   StateMachine" in str(first) and "<table>" in first._repr_html_()
    assert stacks_of(where) == [], "planning leaves nothing behind"
    lines: list[str] = []
    applied = deploy.apply(where, stack, foundation, lines.append)
    assert applied.outputs["StateMachineArn"].endswith(":stateMachine:walk-small")
    assert "StateMachineArn" in str(applied) and applied.changes == 8
    made = [line.split()[1] for line in lines if line.startswith("created")]
    assert made.index("JudgeFunctionRole") < made.index("JudgeFunction")
    assert any(line.startswith("uploaded judge") for line in lines)
    again = deploy.plan(where, stack, foundation)
    assert not again.changes and str(again) == "walk-small: no changes"
    assert deploy.apply(where, stack, foundation, lines.append).changes == 0


def test_a_plan_shows_old_and_new_values_and_the_definition_as_a_diff(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "values", tmp_path)
    foundation = template.foundation(where.settings, [])
    deploy.apply(where, template.build(where.settings, pipeline(tmp_path / "fn")), foundation)
    changed = template.build(where.settings, pipeline(tmp_path / "fn", timeout=60, Result={"window": 28}))
    plan = deploy.plan(where, changed, foundation)
    assert plan.summary == "2 to modify" and "StateMachinePolicy" in plan.note
    function, machine = plan.rows
    assert [(one.path, one.before, one.after) for one in function.changes] == [("Timeout", "30", "60")]
    (definition,) = machine.changes
    assert definition.diff is not None and '+        "window": 28' in definition.diff
    assert '-        "Judge"' not in definition.diff, "what stays is not shown as changed"
    assert '"window": 28' in str(plan) and "window" in plan._repr_html_()
    sets = where.client("cloudformation").list_change_sets(StackName="values-small")["Summaries"]
    assert [one for one in sets if one["ExecutionStatus"] == "AVAILABLE"] == []
    lines: list[str] = []
    deploy.apply(where, changed, foundation, lines.append)
    assert [line.split()[:2] for line in lines] == [["updated", "JudgeFunction"], ["updated", "StateMachine"]]
    assert not deploy.plan(where, changed, foundation).changes


def test_a_plan_says_what_is_replaced_and_what_is_removed(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "swap", tmp_path)
    deploy.bootstrap(where, queue_stack("swap-queues", One={"QueueName": "swap-one"}, Two={}))
    plan = deploy.plan(where, queue_stack("swap-queues", One={"QueueName": "swap-uno"}, Three={}))
    assert {row.logical_id: row.action for row in plan.rows} == {
        "One": "replace",
        "Two": "remove",
        "Three": "add",
    }
    (name,) = next(row for row in plan.rows if row.logical_id == "One").changes
    assert (name.before, name.after, name.recreation) == ("swap-one", "swap-uno", "Always")
    assert "± replace" in str(plan) and "1 to add, 1 to replace, 1 to remove" in str(plan)
    lines: list[str] = []
    applied = deploy.bootstrap(
        where, queue_stack("swap-queues", One={"QueueName": "swap-uno"}, Three={}), lines.append
    )
    assert applied.changes == 3
    queue = "AWS::SQS::Queue"
    assert {" ".join(line.split()) for line in lines} == {
        f"updated One {queue}",
        f"created Three {queue}",
        f"removed Two {queue}",
        f"removed One {queue} (the one that was replaced)",
    }


def test_a_failing_first_apply_says_why_and_the_next_one_starts_anew(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "fails", tmp_path)
    with pytest.raises(DeployError) as raised:
        deploy.bootstrap(where, failing("fails-new", One={}))
    assert "could not be made. AWS has rolled back: nothing of it stands." in str(raised.value)
    assert raised.value.cause is not None and raised.value.cause.startswith("Secret (AWS::SSM::Parameter): ")
    good = queue_stack("fails-new", One={})
    assert "made anew" in deploy.plan(where, good).note
    lines: list[str] = []
    assert deploy.bootstrap(where, good, lines.append).changes == 1
    assert lines[0].startswith("removing  fails-new, which an earlier failure left in ROLLBACK_COMPLETE")


def test_a_failing_update_leaves_the_stack_as_it_was(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "undo", tmp_path)
    deploy.bootstrap(where, queue_stack("undo-queues", One={"VisibilityTimeout": 10}))
    lines: list[str] = []
    with pytest.raises(
        DeployError, match=r"could not be changed\. AWS has rolled back: the stack is as it was"
    ) as raised:
        deploy.bootstrap(where, failing("undo-queues", One={"VisibilityTimeout": 20}), lines.append)
    assert [line for line in lines if line.startswith("FAILED to create Secret ")]
    assert raised.value.cause is not None and raised.value.cause.startswith("Secret (AWS::SSM::Parameter): ")
    url = deploy.outputs(where, "undo-queues")["One"]
    answer = where.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert answer["Attributes"]["VisibilityTimeout"] == "10"


def test_an_unknown_type_is_refused_before_anything_is_made(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "unknown", tmp_path)
    wrong = Stack("unknown-one", {"Resources": {"X": {"Type": "AWS::Nope::Thing"}}})
    for act in (deploy.plan, deploy.bootstrap):
        with pytest.raises(DeployError, match=r"nothing was changed\.\nCause: .*AWS::Nope::Thing"):
            act(where, wrong)
    assert stacks_of(where) == []


def test_a_template_too_long_for_a_request_goes_by_s3(aws: Any, tmp_path: Path) -> None:
    where = project(aws.url, "long", tmp_path)
    deploy.bootstrap(where, template.foundation(where.settings, []))
    small = queue_stack("long-one", One={})
    padding = {f"Note{number}": "x" * 900 for number in range(70)}
    stack = Stack(
        "long-one",
        {**small.template, "Metadata": padding, "Parameters": {"ArtifactBucket": {"Type": "String"}}},
        ("ArtifactBucket",),
    )
    assert deploy.plan(where, stack).summary == "1 to add"
    assert deploy.apply(where, stack).changes == 1
    assert not deploy.plan(where, stack).changes


def test_a_pipeline_without_its_foundation_is_refused_with_the_command_that_makes_it(
    aws: Any, tmp_path: Path
) -> None:
    where = project(aws.url, "bare", tmp_path)
    stack = template.build(where.settings, pipeline(tmp_path / "fn"))
    assert deploy.plan(where, stack).summary == "8 to add"
    with pytest.raises(UsageError, match="mlops-kit bootstrap"):
        deploy.apply(where, stack)
    assert stacks_of(where) == []


def test_an_interrupt_takes_back_what_was_begun(
    aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = project(aws.url, "stopped", tmp_path)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(deploy, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"stopped-one was not finished; CloudFormation removes"):
        deploy.bootstrap(where, queue_stack("stopped-one", One={}))
    for _ in range(100):
        if stacks_of(where) == []:
            break
        threading.Event().wait(0.05)
    assert stacks_of(where) == []
