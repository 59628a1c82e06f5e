"""An execution is read from its history as it happened."""

from __future__ import annotations

from mlops_kit.observe.execution import from_answers
from tests.observe.histories import Story, caught, retried_twice


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
