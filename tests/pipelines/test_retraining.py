from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.asl import jsonata
from mlops_kit.asl.states import walk
from mlops_kit.build.template import build
from mlops_kit.errors import UsageError
from mlops_kit.execute import check_input
from mlops_kit.settings import Settings
from pipelines import release, retraining

PIPELINE = retraining.build(Settings())
STATES: Mapping[str, Any] = PIPELINE.definition["States"]
ARN = "arn:aws:states:eu-central-1:000000000000:execution:mlops-kit-retraining-demand:{}"
RESUMED = {
    "as_of": "2011-07-01",
    "window": "2011-W26",
    "lock": "demand#2011-W26",
    "train_start": "2011-01-01",
    "train_end": "2011-07-01",
    "prefix": "retraining/demand/2011-07-01/0123456789abcdef",
}
DAYS = st.dates(datetime.date(2009, 1, 1), datetime.date(2035, 12, 31))


def evaluate(value: Any, data: Mapping[str, Any], name: str = "e1", retry: int = 0, redrive: int = 0) -> Any:
    context = {
        "Execution": {
            "Id": ARN.format(name),
            "StartTime": "2011-08-01T04:00:00.000Z",
            "RedriveCount": redrive,
        },
        "State": {"Name": "S", "RetryCount": retry},
    }
    return jsonata.evaluate(value, {"input": data, "context": context}, {}, "Output")


def tasks() -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for place in walk(PIPELINE.definition):
        if place.state["Type"] == "Task":
            yield place.name, place.state, "DeployModel" in place.path


def test_the_states_bear_the_names_of_the_decision_record() -> None:
    names = (
        "PrepareTrainingData TrainModel EvaluateModel CheckMetrics DeployModel NotifySuccess NotifyFailure"
    )
    assert {*names.split(), "ClaimWindow", "ScoreModels", "AlreadyRetraining"} <= set(STATES)
    assert PIPELINE.definition["StartAt"] == "ResumeFrom" and STATES["ResumeFrom"]["Type"] == "Choice"


def test_every_task_has_a_limit_and_leads_its_errors_to_the_failure_path() -> None:
    for name, state, inner in tasks():
        assert state["TimeoutSeconds"] <= 7200, name
        assert state["Retry"], name
        catches = STATES["DeployModel"]["Catch"] if inner else state["Catch"]
        assert catches[-1]["ErrorEquals"] == ["States.ALL"], name
        assert catches[-1]["Next"] in ("ReleaseWindow", "NotifyFailure", "RetrainingFailed"), name


def test_nothing_names_an_account_but_the_images_registry() -> None:
    text = re.sub(r"\d{12}\.dkr\.ecr\.[a-z0-9.-]+", "", json.dumps(dict(PIPELINE.definition)))
    assert not re.search(r"(?<![0-9a-f])\d{12}(?![0-9a-f])", text)


def test_a_name_is_new_at_each_retry_redrive_and_execution() -> None:
    longest = retraining.build(Settings(project="p" * 20)).definition["States"]
    name = longest["TrainModel"]["Arguments"]["TrainingJobName"]
    made = [
        evaluate(name, {}, execution, retry, redrive)
        for execution in ("a", "b", f"{'0' * 36}_{'1' * 36}")  # as EventBridge names them
        for retry in (0, 1)
        for redrive in (0, 1)
    ]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", each) for each in made)


@given(day=DAYS)
def test_the_window_is_the_iso_week_and_the_data_end_with_the_day(day: datetime.date) -> None:
    found = evaluate(STATES["ComputeWindow"]["Output"], {"as_of": day.isoformat()})
    year, week, _ = day.isocalendar()
    assert found["window"] == f"{year}-W{week:02d}" and found["lock"] == f"demand#{found['window']}"
    assert found["train_end"] == day.isoformat()
    assert found["train_start"] == (day - datetime.timedelta(days=181)).isoformat()


def test_a_moment_stands_for_its_day_and_the_start_is_the_default() -> None:
    window = STATES["ComputeWindow"]["Output"]
    at_night = evaluate(window, {"as_of": "2011-07-01T23:59:59Z"})
    assert at_night == evaluate(window, {"as_of": "2011-07-01"}) | {"as_of": at_night["as_of"]}
    assert (at_night["train_start"], at_night["train_end"]) == ("2011-01-01", "2011-07-01")
    scheduled = evaluate(window, {})
    assert (scheduled["as_of"], scheduled["train_start"]) == ("2011-08-01", "2011-02-01")
    assert scheduled["force"] is False
    assert (
        evaluate(window, {"train_start": "2011-03-01", "train_end": "2011-06-01"})["train_end"]
        == "2011-06-01"
    )


def refused(data: Mapping[str, Any]) -> str | None:
    for rule in STATES["CheckInput"]["Choices"]:
        if evaluate(rule["Condition"], data):
            assert rule["Next"] == "NotifyFailure"
            return str(evaluate(rule["Output"], data)["failure"]["cause"])
    return None


@given(day=DAYS)
def test_every_real_day_is_accepted(day: datetime.date) -> None:
    assert refused({"as_of": day.isoformat()}) is None
    assert refused({"as_of": f"{day}T03:00:00Z", "train_end": day.isoformat()}) is None
    check_input({"as_of": day}, PIPELINE.input_schema)


@pytest.mark.parametrize(
    "value",
    [
        "2011-02-29",
        "1900-02-29",
        "2011-06-31",
        "2011-13-01",
        "2011-07-01T25:61Z",
        "tomorrow",
        "2011-07-01T00:00:00+02:00",
        20110701,
        ["x"],
        True,
    ],
)
def test_what_is_no_day_is_refused_in_words_before_anything_starts(value: Any) -> None:
    words = refused({"as_of": value})
    assert words is not None and words.startswith("as_of is ") and "such as 2011-07-01" in words
    assert refused({"train_start": value}) is not None
    with pytest.raises(UsageError, match="as_of"):
        check_input({"as_of": value}, PIPELINE.input_schema)


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"train_end": "2011-01-01"}, "2011-01-01"),
        ({"train_end": "2011-07-10", "as_of": "2011-08-01"}, "2011-07-10"),
        ({"as_of": "2011-07-08T03:00:00Z"}, "2011-07-08"),
        ({}, "2011-08-01"),  # the day of its start
    ],
)
def test_a_window_that_ends_before_it_starts_is_refused_before_it_is_claimed(
    given: dict[str, Any], end: str
) -> None:
    start = "2011-07-10" if given else "2011-08-02"
    words = refused({"train_start": start, **given})
    assert words == f"the window ends ({end}) before it starts ({start})"
    assert refused({"train_start": "2010-12-01", **given}) is None
    if given:
        with pytest.raises(UsageError, match=f"train_start is {start}, which is not before its"):
            check_input({"train_start": start, **given}, PIPELINE.input_schema)


@pytest.mark.parametrize(
    "value",
    [
        {"as_of": "July"},
        {"as_of": 5},
        {"force": "yes"},
        {"train_start": "2011-01-01T00:00:00Z"},
        {"unknown": 1},
        {"resume": {"state": "TrainModel"}},
        {"resume": {"state": "CheckMetrics", "data": RESUMED}},
        {"resume": {"state": "TrainModel", "data": {}}},
        {"resume": {"state": "TrainModel", "data": {**RESUMED, "lock": ""}}},
    ],
)
def test_the_schema_refuses(value: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        check_input(value, PIPELINE.input_schema)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"as_of": "2011-07-01"},
        {"as_of": "2011-07-01T03:00:00Z", "force": True, "git_commit": "0" * 40},
        {"resume": {"state": "TrainModel", "data": RESUMED, "execution": "arn:x"}},
    ],
)
def test_the_schema_accepts(value: dict[str, Any]) -> None:
    check_input(value, PIPELINE.input_schema)


def test_an_execution_can_begin_at_every_state_that_works() -> None:
    targets = [rule["Next"] for rule in STATES["ResumeAt"]["Choices"]]
    working = [name for name, _, inner in tasks() if not inner]
    apart = {"ReclaimWindow", "ReleaseWindow", "NotifyFailure"}
    assert set(targets) == {*working, "DeployModel"} - apart
    for state in targets:
        data = {"resume": {"state": state, "data": {"lock": "demand#2011-W26"}}}
        ways = [rule["Next"] for rule in STATES["ResumeFrom"]["Choices"] if evaluate(rule["Condition"], data)]
        assert ways == ["ReclaimWindow"]


def test_an_unknown_state_is_refused_before_the_window_is_claimed() -> None:
    data = {"resume": {"state": "Train", "data": {}}}
    rule = STATES["ResumeFrom"]["Choices"][0]
    assert evaluate(rule["Condition"], data) and rule["Next"] == "UnknownState"
    assert "use one of ClaimWindow, " in evaluate(STATES["UnknownState"]["Cause"], data)


def test_a_resumed_state_gets_the_data_that_the_failed_one_had() -> None:
    data = {"lock": "demand#2011-W26", "prefix": "p", "force": False}
    resume = {"state": "TrainModel", "data": data, "execution": "arn:old"}
    got = evaluate(STATES["ReclaimWindow"]["Output"], {"resume": resume})
    assert got == data | {"resume": {"state": "TrainModel", "execution": "arn:old"}}
    item = evaluate(STATES["ReclaimWindow"]["Arguments"]["Item"], {"resume": resume})
    assert item["pk"] == {"S": "demand#2011-W26"} and item["forced"] == {"BOOL": False}


def test_what_takes_up_another_execution_takes_over_its_claim_but_nothing_that_is_done() -> None:
    arguments = STATES["ReclaimWindow"]["Arguments"]
    resume = {
        "state": "TrainModel",
        "data": {"lock": "demand#2011-W26", "force": False},
        "execution": "arn:old",
    }
    condition = evaluate(arguments["ConditionExpression"], {"resume": resume})
    assert condition.endswith(" OR #owner = :me OR (#owner = :before AND #status = :claimed)")
    before = arguments["ExpressionAttributeValues"][":before"]
    assert evaluate(before, {"resume": resume}) == {"S": "arn:old"}
    del resume["execution"]
    assert evaluate(before, {"resume": resume})["S"] != "arn:old"


def test_notebook_01_advises_a_schedule_that_the_retraining_does_not_have_yet() -> None:
    text = (Path(__file__).parents[2] / "notebooks" / "01_build_retraining.ipynb").read_text()
    advised = re.findall(r"cron\([^)]*\)", text)
    assert advised and not {one.expression for one in PIPELINE.schedules} & set(advised)


def test_the_retraining_hears_of_executions_that_could_not_free_their_window() -> None:
    assert [(one.name, one.function) for one in PIPELINE.rules] == [("ExecutionEnded", "ReleaseClaim")]
    rule = build(Settings(), PIPELINE).template["Resources"]["ExecutionEndedRule"]["Properties"]
    assert rule["EventPattern"]["detail"]["stateMachineArn"] == [{"Ref": "StateMachine"}]
    assert rule["EventPattern"]["detail"]["$or"][0] == {"status": ["ABORTED", "TIMED_OUT", "FAILED"]}


def test_force_takes_the_window_from_any_owner() -> None:
    condition = STATES["ClaimWindow"]["Arguments"]["ConditionExpression"]
    assert evaluate(condition, {"force": False}) == (
        "attribute_not_exists(pk) OR expires_at < :now OR #owner = :me"
    )
    assert evaluate(condition, {"force": True}).endswith(" OR attribute_exists(pk)")


CAUSES = {
    '{"JobName":"p","ErrorMessage":"the raw data have no column temp","JobRunState":"FAILED"}': (
        "the raw data have no column temp"
    ),
    '{"TrainingJobName":"t","FailureReason":"AlgorithmError: a \\"b\\"\\nc"}': 'AlgorithmError: a "b"\nc',
    "Timed out {": "Timed out {",
    None: "none given",
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_failure_tells_state_error_cause_console_and_the_command(cause: str | None) -> None:
    failure = {"state": "TrainModel", "error": "States.TaskFailed", **({"cause": cause} if cause else {})}
    words = evaluate(STATES["NotifyFailure"]["Arguments"]["Message"], {"failure": failure})
    assert "failed in TrainModel with States.TaskFailed" in words and f"Cause: {CAUSES[cause]}\n" in words
    assert f"mlops-kit redrive {ARN.format('e1')}" in words
    assert f"eu-central-1#/v2/executions/details/{ARN.format('e1')}" in words
    assert STATES["NotifyFailure"]["Arguments"]["TopicArn"] == "${CriticalTopic}"
    assert (
        evaluate(STATES["RetrainingFailed"]["Cause"], {"failure": failure}) == f"TrainModel: {CAUSES[cause]}"
    )


@pytest.mark.parametrize(
    ("status", "config", "polls", "way"),
    [
        ("InService", "new", 1, "EndpointServes"),
        ("InService", "old", 1, "EndpointNotInService"),  # a failed update falls back
        ("Updating", "old", 1, "WaitForEndpoint"),
        ("Updating", "old", release.POLLS, "EndpointNotInService"),
        ("Failed", "new", 1, "EndpointNotInService"),
    ],
)
def test_only_the_new_config_in_service_counts(status: str, config: str, polls: int, way: str) -> None:
    check = STATES["DeployModel"]["Branches"][0]["States"]["CheckEndpoint"]
    data = {"endpoint": {"status": status, "config": config}, "endpoint_config": "new", "polls": polls}
    ways = [rule["Next"] for rule in check["Choices"] if evaluate(rule["Condition"], data)]
    assert (ways or [check["Default"]])[0] == way


def test_an_unknown_model_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no model 'nope'(.|\n)*use one of: demand"):
        retraining.build(Settings(), model="nope")


@pytest.mark.parametrize("value", ["0.3", True, None, -0.1, float("nan"), float("inf")])
def test_a_threshold_of_the_wrong_type_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="'wape'"):
        retraining.build(Settings(), thresholds={"wape": value})


def test_an_unknown_threshold_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no threshold 'rmse'(.|\n)*wape, worse_by"):
        retraining.build(Settings(), thresholds={"rmse": 1.0})


@given(
    wape=st.floats(0, 1),
    worse=st.floats(-1, 1),
    limit=st.floats(0, 1),
    allowed=st.floats(0, 0.5),
)
def test_check_metrics_and_the_judge_never_differ(
    wape: float, worse: float, limit: float, allowed: float
) -> None:
    from pipelines.expressions import passed
    from pipelines.functions.evaluate_model import judge

    thresholds = {"wape": limit, "worse_by": allowed}
    champion = {"wape": wape - worse}
    verdict = judge({"challenger": {"wape": wape}, "champion": champion, "naive": None}, thresholds)
    assert evaluate(passed(thresholds), {"evaluation": verdict}) == (verdict["verdict"] == "promote")
