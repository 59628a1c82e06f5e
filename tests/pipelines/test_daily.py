"""What holds for every daily pipeline: limits, failure path, input, schedule, catalog."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import pytest

from mlops_kit import catalog
from mlops_kit.asl import jsonata
from mlops_kit.asl.states import walk
from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.execute import check_input
from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")

SETTINGS = Settings()
NAMES = ("cache-warmup", "data-quality", "drift-monitor", "forecast")


@pytest.fixture(params=NAMES)
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    return catalog.build(SETTINGS, request.param)


def evaluate(value: Any, data: Mapping[str, Any], start: str = "2011-08-01T04:30:00.000Z") -> Any:
    name = "arn:aws:states:eu-central-1:000000000000:execution:machine:e1"
    context = {"Execution": {"Id": name, "StartTime": start}, "State": {"Name": "S", "RetryCount": 0}}
    return jsonata.evaluate(value, {"input": data, "context": context}, {}, "Output")


def test_every_task_has_a_limit_and_retries_and_no_error_goes_unheard(pipeline: Pipeline) -> None:
    for place in walk(pipeline.definition):
        if place.state["Type"] == "Task":
            assert place.state["TimeoutSeconds"] <= 3600 and place.state["Retry"], place.name
            assert place.state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], place.name


def test_what_failed_can_be_taken_up_where_it_failed_with_the_data_it_had(pipeline: Pipeline) -> None:
    states = pipeline.definition["States"]
    if "ResumeFrom" not in states:
        pytest.skip("it begins anew")
    known = pipeline.input_schema["properties"]["resume"]["properties"]["state"]["enum"]
    working = [name for name, state in states.items() if state["Type"] == "Task"]
    assert set(known) == {*working} - {"NotifyFailure"}
    unknown, resumes = states["ResumeFrom"]["Choices"]
    for name in known:
        given = {"as_of": "2011-07-01", "resume": {"state": name, "data": {"run": "r"}, "execution": "e"}}
        assert not evaluate(unknown["Condition"], given) and evaluate(resumes["Condition"], given)
        data = evaluate(resumes["Output"], given)
        assert data == {"run": "r", "resume": {"state": name, "execution": "e"}}
        ways = [one["Next"] for one in states["ResumeAt"]["Choices"] if evaluate(one["Condition"], data)]
        assert ways == [name]
    assert evaluate(unknown["Condition"], {"resume": {"state": "Nowhere", "data": {}}})


def test_the_default_day_is_that_of_the_start_and_a_moment_stands_for_its_day(pipeline: Pipeline) -> None:
    compute = pipeline.definition["States"]["ComputeDay"]["Output"]
    assert evaluate(compute, {})["as_of"] == "2011-08-01"
    assert evaluate(compute, {"as_of": "2011-07-01T23:59:59Z"})["as_of"] == "2011-07-01"


@pytest.mark.parametrize("value", ["2011-02-29", "tomorrow", "2011-07-01T00:00:00+02:00", 20110701, ["x"]])
def test_what_is_no_day_is_refused_before_anything_starts(pipeline: Pipeline, value: Any) -> None:
    check = pipeline.definition["States"]["CheckInput"]
    start = pipeline.definition["StartAt"]
    assert pipeline.definition["States"][start].get("Default") == "CheckInput" or start == "CheckInput"
    ways = [rule for rule in check["Choices"] if evaluate(rule["Condition"], {"as_of": value})]
    assert [way["Next"] for way in ways] == ["NotifyFailure"]
    assert "such as 2011-07-01" in evaluate(ways[0]["Output"], {"as_of": value})["failure"]["cause"]
    with pytest.raises(UsageError):
        check_input({"as_of": value}, pipeline.input_schema)


def test_a_schedule_starts_it_once_a_day_or_week_with_the_day_of_its_zone(pipeline: Pipeline) -> None:
    (schedule,) = pipeline.schedules
    ending = "? * MON *)" if pipeline.name.startswith("drift-monitor") else "0 * * ? *)"
    assert schedule.timezone == "America/New_York" and schedule.expression.endswith(ending)
    resources = build(SETTINGS, pipeline).template["Resources"].values()
    (made,) = [one["Properties"] for one in resources if one["Type"] == "AWS::Scheduler::Schedule"]
    given = json.loads(made["Target"]["Input"])
    assert given["as_of"] == "<aws.scheduler.scheduled-time>"
    assert given["trigger"]["name"] == schedule.name == made["Name"]
    # an hour after local midnight at most, so the UTC day of the scheduled time is the local day


def test_the_catalog_lists_it_by_name_and_by_model(pipeline: Pipeline) -> None:
    known = {entry.name for entry in catalog.entries()}
    name = pipeline.name.removesuffix("-demand")
    assert name in known
    assert catalog.build(SETTINGS, f"{name}:demand").name == pipeline.name
    with pytest.raises(UsageError, match="There is no model 'weather'"):
        catalog.build(SETTINGS, f"{name}:weather")
