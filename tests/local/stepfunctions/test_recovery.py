"""After kill -9 every execution goes on from what the disk knows, and repeats nothing that was recorded."""

from __future__ import annotations

import json
from typing import Any

from tests.local.stepfunctions import walk


def test_a_wait_goes_on_to_its_deadline_after_a_kill(fresh_aws: Any) -> None:
    definition = walk.states(
        ("Before", {"Type": "Pass", "Result": {"kept": 1}, "ResultPath": "$.before"}),
        ("Wait", {"Type": "Wait", "Seconds": 3}),
        ("After", {"Type": "Pass"}),
    )
    execution = walk.start(fresh_aws, walk.create(fresh_aws, definition), {"x": 1})
    walk.when(fresh_aws, execution, "WaitStateEntered")
    fresh_aws.kill()
    fresh_aws.start()
    shown = walk.until(fresh_aws, execution)
    assert shown["status"] == "SUCCEEDED"
    assert json.loads(shown["output"]) == {"x": 1, "before": {"kept": 1}}
    assert walk.entered(fresh_aws, execution) == ["Before", "Wait", "After"]
    events = walk.events(fresh_aws, execution)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    waited = {event["type"]: event["timestamp"] for event in events}
    assert (waited["WaitStateExited"] - waited["WaitStateEntered"]).total_seconds() >= 3


def test_variables_survive_a_kill(fresh_aws: Any) -> None:
    definition = walk.states(
        ("Assign", {"Type": "Pass", "Assign": {"answer": 42}}),
        ("Wait", {"Type": "Wait", "Seconds": 1}),
        ("Read", {"Type": "Pass", "Parameters": {"answer.$": "$answer"}}),
    )
    execution = walk.start(fresh_aws, walk.create(fresh_aws, definition))
    walk.when(fresh_aws, execution, "WaitStateEntered")
    fresh_aws.kill()
    fresh_aws.start()
    assert json.loads(walk.until(fresh_aws, execution)["output"]) == {"answer": 42}


def test_a_task_token_is_still_good_after_a_kill(fresh_aws: Any) -> None:
    url = walk.queue(fresh_aws)
    parameters = {"QueueUrl": url, "MessageBody": {"token.$": "$$.Task.Token"}}
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": parameters,
    }
    execution = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Ask", task))))
    token = walk.receive(fresh_aws, url)["token"]
    walk.when(fresh_aws, execution, "TaskSubmitted")
    fresh_aws.kill()
    fresh_aws.start()
    fresh_aws.client("stepfunctions").send_task_success(taskToken=token, output='{"answer": 42}')
    shown = walk.until(fresh_aws, execution)
    assert json.loads(shown["output"]) == {"answer": 42}
    assert walk.types(fresh_aws, execution).count("TaskScheduled") == 1


def test_an_answered_token_is_not_forgotten_by_a_kill(fresh_aws: Any) -> None:
    sfn = fresh_aws.client("stepfunctions")
    activity = sfn.create_activity(name="work")["activityArn"]
    task = {"Type": "Task", "Resource": activity}
    execution = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Work", task))), {"x": 1})
    token = sfn.get_activity_task(activityArn=activity)["taskToken"]
    sfn.send_task_success(taskToken=token, output='"done"')
    fresh_aws.kill()
    fresh_aws.start()
    assert json.loads(walk.until(fresh_aws, execution)["output"]) == "done"


def test_a_map_keeps_finished_items_over_a_kill(fresh_aws: Any) -> None:
    item = walk.states(
        ("Mark", {"Type": "Pass"}),
        ("Wait", {"Type": "Wait", "SecondsPath": "$.seconds"}),
        ("Done", {"Type": "Pass"}),
    )
    definition = walk.states(
        ("Each", {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": item, "MaxConcurrency": 2}),
    )
    items = [{"n": n, "seconds": seconds} for n, seconds in enumerate([0, 0, 3, 3, 0])]
    execution = walk.start(fresh_aws, walk.create(fresh_aws, definition), {"items": items})
    walk.when(fresh_aws, execution, "MapIterationSucceeded")
    fresh_aws.kill()
    fresh_aws.start()
    shown = walk.until(fresh_aws, execution)
    assert json.loads(shown["output"]) == items
    names = walk.entered(fresh_aws, execution)
    assert {name: names.count(name) for name in names} == {"Each": 1, "Mark": 5, "Wait": 5, "Done": 5}


def test_a_distributed_map_goes_on_with_its_children_after_a_kill(fresh_aws: Any) -> None:
    item = walk.states(("Wait", {"Type": "Wait", "SecondsPath": "$.seconds"}), ("Done", {"Type": "Pass"}))
    for kind in ("STANDARD", "EXPRESS"):
        processor = {**item, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}}
        each = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor}
        definition = walk.states(("Each", each))
        items = [{"n": n, "seconds": seconds} for n, seconds in enumerate([0, 0, 2, 2])]
        execution = walk.start(fresh_aws, walk.create(fresh_aws, definition), {"items": items})
        walk.when(fresh_aws, execution, "MapRunStarted")
        fresh_aws.kill()
        fresh_aws.start()
        assert json.loads(walk.until(fresh_aws, execution)["output"]) == items
        assert walk.types(fresh_aws, execution).count("MapRunStarted") == 1


def test_a_nested_execution_is_found_again_after_a_kill(fresh_aws: Any) -> None:
    inner = walk.create(fresh_aws, walk.states(("Wait", {"Type": "Wait", "Seconds": 2})))
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": inner, "Input": {"x": 1}},
    }
    outer = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Nested", task))))
    walk.when(fresh_aws, outer, "TaskScheduled")
    fresh_aws.kill()
    fresh_aws.start()
    assert json.loads(walk.until(fresh_aws, outer)["output"])["Output"] == {"x": 1}
    listed = fresh_aws.client("stepfunctions").list_executions(stateMachineArn=inner)["executions"]
    assert len(listed) == 1


def test_a_call_that_was_out_is_made_again_after_a_kill(fresh_aws: Any) -> None:
    slow = walk.function(
        fresh_aws, "import time\ndef handler(event, context):\n    time.sleep(2)\n    return event\n"
    )
    walk.settle(fresh_aws)
    task = {"Type": "Task", "Resource": slow}
    execution = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Call", task))), {"x": 1})
    walk.when(fresh_aws, execution, "LambdaFunctionStarted")
    fresh_aws.kill()
    fresh_aws.start()
    assert json.loads(walk.until(fresh_aws, execution)["output"]) == {"x": 1}
    assert walk.types(fresh_aws, execution).count("LambdaFunctionScheduled") == 1


def test_a_clean_restart_neither_aborts_nor_repeats(fresh_aws: Any) -> None:
    definition = walk.states(("Wait", {"Type": "Wait", "Seconds": 2}), ("After", {"Type": "Pass"}))
    execution = walk.start(fresh_aws, walk.create(fresh_aws, definition), {"x": 1})
    walk.when(fresh_aws, execution, "WaitStateEntered")
    fresh_aws.restart()
    assert walk.until(fresh_aws, execution)["status"] == "SUCCEEDED"
    assert walk.entered(fresh_aws, execution) == ["Wait", "After"]


def test_an_express_execution_that_was_acknowledged_runs_again_after_a_kill(fresh_aws: Any) -> None:
    url = walk.queue(fresh_aws)
    walk.settle(fresh_aws)
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": url, "MessageBody": {"x.$": "$.x"}},
    }
    definition = walk.states(("Wait", {"Type": "Wait", "Seconds": 2}), ("Send", send))
    walk.start(fresh_aws, walk.create(fresh_aws, definition, type="EXPRESS"), {"x": 7})
    fresh_aws.kill()
    fresh_aws.start()
    assert walk.receive(fresh_aws, url) == {"x": 7}
