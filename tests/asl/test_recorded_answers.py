"""Single states of the recordings, run through the room alone: choice rules and intrinsics."""

from __future__ import annotations

from mlops_kit.asl import choice, template
from tests.asl import recorded


def test_choice_rules_decide_as_aws_did() -> None:
    wrong, count = [], 0
    for row in recorded.rows():
        if row["category"] != "choice" or "TestResult.$" not in str(row["expect"].get("output")):
            continue
        (state,) = (s for s in row["definition"]["States"].values() if s["Type"] == "Choice")
        (rule,) = state["Choices"]
        answer = row["expect"]["output"]["TestResult.$"] == "ConditionTrue"
        count += 1
        if choice.matches(rule, row["input"]) is not answer:
            wrong.append(row["id"])
    assert not wrong
    assert count > 150


def test_intrinsics_answer_as_aws_did() -> None:
    wrong, count = [], 0
    for row in recorded.rows():
        first = next(iter((row.get("definition") or {}).get("States", {}).values()), {})
        if row["category"] != "intrinsics" or "random" in row["id"] or "$$" in str(first):
            continue
        count += 1
        if template.render(first["Parameters"], row["input"]) != row["expect"]["output"]:
            wrong.append(row["id"])
    assert not wrong
    assert count > 35
