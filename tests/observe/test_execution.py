"""An execution is read from its history as it happened."""

from __future__ import annotations

import json
from datetime import timedelta

from mlops_kit.observe.execution import from_answers, reason
from tests.observe.histories import START, Story, caught, retried_twice


def test_retries_are_attempts_of_one_visit_with_their_errors() -> None:
    execution = from_answers(*retried_twice())
    prepare = next(visit for visit in execution.visits if visit.state == "PrepareTrainingData")
    assert [(a.number, a.error) for a in prepare.attempts] == [
        (1, "States.TaskFailed"),
        (2, "States.TaskFailed"),
        (3, None),
    ]
    assert prepare.status == "SUCCEEDED"
    assert prepare.seconds == 15.8
    assert execution.states["PrepareTrainingData"].attempts == 3
    assert execution.failure is None


def test_a_caught_failure_is_the_failure_and_what_follows_is_not() -> None:
    execution = from_answers(*caught())
    assert [(visit.state, visit.status) for visit in execution.visits] == [
        ("PrepareTrainingData", "CAUGHT"),
        ("NotifyFailure", "SUCCEEDED"),
        ("Failed", "FAILED"),
    ]
    assert execution.failure is not None
    assert execution.failure.state == "PrepareTrainingData"
    assert execution.failure.attempts[-1].cause == "no <column> 'temp'"


def test_a_state_that_was_never_left_ended_the_execution_or_still_runs() -> None:
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    story.enter(0, "Train")
    story.add(0, "TaskScheduled", {})
    running = from_answers(story.answer("RUNNING", None), story.events)
    assert running.visits[0].status == "RUNNING" and running.visits[0].seconds is None
    timed_out = from_answers(story.answer("TIMED_OUT", 60), story.events)
    assert timed_out.visits[0].status == "FAILED" and timed_out.visits[0].seconds == 60


def test_events_of_branches_belong_to_their_own_states() -> None:
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    fork = story.enter(0, "Fork", "Parallel")
    started = story.add(0, "ParallelStateStarted", {"length": 2})
    left = story.enter(0, "Left", after=started)
    right = story.enter(0, "Right", after=started)
    story.add(1, "TaskScheduled", {}, after=left)
    story.add(1, "TaskScheduled", {}, after=right)
    failed = story.add(2, "TaskFailed", {"error": "Boom", "cause": "x"}, after=7 - 1)
    assert fork and failed
    story.add(2, "TaskSucceeded", {"output": "{}"}, after=7)
    second = story.add(3, "TaskStateExited", {"name": "Right", "output": "{}"})
    story.enter(3, "After right", "Pass", after=second)
    story.leave(3, "After right", "Pass")
    story.add(4, "ParallelStateExited", {"name": "Fork", "output": "[]"})
    execution = from_answers(story.answer("SUCCEEDED", 5), story.events)
    visits = {visit.state: visit for visit in execution.visits}
    assert visits["Left"].attempts[0].error == "Boom"
    assert visits["Right"].status == "SUCCEEDED" and not visits["Right"].attempts[0].failed
    assert visits["Fork"].status == "SUCCEEDED" and visits["Fork"].seconds == 4


def test_what_was_being_tried_when_the_execution_was_stopped_has_ended_and_a_redrive_tries_again() -> None:
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    story.enter(0, "Train")
    story.add(0, "TaskScheduled", {})
    story.add(5, "ExecutionAborted", {"error": "Stopped", "cause": "by a person"})
    story.add(60, "ExecutionRedriven", {})
    story.tried(60, 63, "States.TaskFailed", '{"FailureReason": "no licence"}')
    story.tried(64, 66)
    story.leave(66, "Train")
    [train] = from_answers(story.answer("SUCCEEDED", 66), story.events).visits
    assert [attempt.error for attempt in train.attempts] == ["Stopped", "States.TaskFailed", None]
    assert train.attempts[0].ended == START + timedelta(seconds=5) and train.status == "SUCCEEDED"


def test_an_execution_that_ran_out_of_time_ends_what_was_being_tried() -> None:
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    story.enter(0, "Train")
    story.add(0, "TaskScheduled", {})
    story.add(6, "ExecutionTimedOut")
    execution = from_answers(story.answer("TIMED_OUT", 6), story.events)
    assert execution.why == ("States.Timeout", "") and execution.visits[0].status == "FAILED"


def test_the_reason_of_a_failed_job_is_in_its_description_and_of_a_parallel_in_the_execution() -> None:
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    story.enter(0, "Train")
    story.tried(0, 3, "States.TaskFailed", '{"FailureReason": "no licence"}')
    failed = from_answers(story.answer("FAILED", 3, error="States.TaskFailed", cause="..."), story.events)
    assert failed.why == ("States.TaskFailed", "no licence")
    story = Story()
    story.add(0, "ExecutionStarted", {}, after=0)
    story.enter(0, "Deploy", "Parallel")
    started = story.add(0, "ParallelStateStarted", {"length": 1})
    story.enter(0, "NotInService", "Fail", after=started)
    story.add(1, "ParallelStateFailed", after=started)
    story.add(1, "ExecutionFailed", {"error": "EndpointNotInService", "cause": "fell back"})
    end = story.answer("FAILED", 1, error="EndpointNotInService", cause="fell back")
    failed = from_answers(end, story.events)
    assert failed.failure is not None and failed.failure.state == "Deploy"
    assert failed.why == ("EndpointNotInService", "fell back")


def test_the_reason_of_a_failed_query_is_found_within_its_description() -> None:
    status = {"State": "FAILED", "StateChangeReason": "TABLE_NOT_FOUND: rides"}
    assert (
        reason(json.dumps({"QueryExecution": {"Query": "SELECT 1", "Status": status}}))
        == "TABLE_NOT_FOUND: rides"
    )
    assert reason('{"Parameters": {"Depth": [1]}}') == '{"Parameters": {"Depth": [1]}}'
