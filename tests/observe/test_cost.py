"""The cost of a run comes from what the services answered: what ran, on what, for how long."""

from __future__ import annotations

import json

import pytest

from mlops_kit.observe import cost
from mlops_kit.observe.execution import from_answers
from tests.observe.histories import Story

TRAINED = {
    "TrainingJobStatus": "Completed",
    "BillableTimeInSeconds": 90,
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2},
}
FAILED = {**TRAINED, "TrainingJobStatus": "Failed", "BillableTimeInSeconds": 30}
SCORED = {
    "ProcessingJobStatus": "Completed",
    "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1}},
}
PREPARED = {"JobRunState": "SUCCEEDED", "ExecutionTime": 5, "MaxCapacity": 1.0}
CONFIG = {"ProductionVariants": [{"InstanceType": "ml.t2.medium", "InitialInstanceCount": 2}]}


def told(*states: tuple[str, list[tuple[float, str | None, str | None]], dict]) -> cost.Cost:
    """The estimate of a run: states with their tries (seconds, answer, cause of a failure)."""
    story, now = Story(), 0.0
    story.add(0, "ExecutionStarted", {"input": "{}"}, after=0)
    for name, tries, asked in states:
        story.enter(now, name)
        for seconds, output, cause in tries:
            story.add(now, "TaskScheduled", {"resource": "x", "parameters": json.dumps(asked)})
            now += seconds
            details = {"output": output} if output else {"error": "States.TaskFailed", "cause": cause}
            story.add(now, "TaskSucceeded" if output else "TaskFailed", details)
        story.leave(now, name)
    return cost.estimate(from_answers(story.answer("SUCCEEDED", now), story.events))


def lines(found: cost.Cost) -> dict[str, tuple[float, str]]:
    return {line.what: (line.quantity, line.unit) for line in found.lines[1:]}


def test_each_try_of_a_training_is_paid_for_failed_ones_too() -> None:
    found = told(("Train", [(40, None, json.dumps(FAILED)), (100, json.dumps(TRAINED), None)], {}))
    assert [line.quantity for line in found.lines[1:]] == [30 * 2 / 3600, 90 * 2 / 3600]
    assert found.lines[1].dollars == pytest.approx(30 * 2 / 3600 * 0.23)


def test_a_processing_job_is_paid_by_its_time_and_a_glue_job_for_a_minute_at_least() -> None:
    found = told(
        ("Score", [(36, json.dumps(SCORED), None)], {}), ("Prepare", [(9, json.dumps(PREPARED), None)], {})
    )
    assert lines(found) == {
        "Score (ml.c5.xlarge)": (0.01, "instance-hours"),
        "Prepare": (1 / 60, "DPU-hours"),
    }


def test_what_a_state_is_called_does_not_matter_and_words_as_a_cause_cost_nothing() -> None:
    assert lines(told(("Any", [(5, None, "it {broke")], {}))) == {}


def test_the_endpoint_that_is_left_costs_by_its_instances() -> None:
    answer = json.dumps({"EndpointConfigArn": "arn:x"})
    found = told(("Configure", [(1, answer, None)], CONFIG))
    assert found.hosting_per_day == pytest.approx(2 * 24 * 0.056)
    assert "then $2.69 a day for the endpoint" in str(found)
    assert "endpoint" not in str(told(("Other", [(1, "{}", None)], CONFIG)))
