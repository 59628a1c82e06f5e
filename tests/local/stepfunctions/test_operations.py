"""The operations themselves: names, idempotence, paging, versions, workers."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.stepfunctions import walk


def _code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_name_starts_one_execution_only(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    machine = walk.create(aws, walk.states(("Wait", {"Type": "Wait", "Seconds": 1})))
    first = walk.start(aws, machine, {"x": 1}, name="one")
    assert walk.start(aws, machine, {"x": 1}, name="one") == first
    with pytest.raises(ClientError) as refused:
        walk.start(aws, machine, {"x": 2}, name="one")
    assert _code(refused) == "ExecutionAlreadyExists"
    walk.until(aws, first)
    with pytest.raises(ClientError) as refused:
        walk.start(aws, machine, {"x": 1}, name="one")
    assert _code(refused) == "ExecutionAlreadyExists"
    assert len(sfn.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_a_name_that_many_start_at_once_is_one_execution(aws: Any) -> None:
    machine = walk.create(aws, walk.states(("Wait", {"Type": "Wait", "Seconds": 2})))
    with ThreadPoolExecutor(8) as pool:
        same = list(pool.map(lambda _: walk.start(aws, machine, {"x": 1}, name="same"), range(16)))
        others = list(pool.map(lambda n: walk.start(aws, machine, {"x": 1}, name=f"other-{n}"), range(16)))
    assert len(set(same)) == 1 and len(set(others)) == 16
    listed = aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert len(listed) == 17


def test_many_starts_at_once_are_many_executions_in_the_pages_of_the_list(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    machine = walk.create(aws, walk.states(("Only", {"Type": "Pass"})))
    threads = [threading.Thread(target=walk.start, args=(aws, machine, {"n": n})) for n in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pages = sfn.get_paginator("list_executions").paginate(
        stateMachineArn=machine, PaginationConfig={"PageSize": 10}
    )
    found = [execution for page in pages for execution in page["executions"]]
    assert len({execution["executionArn"] for execution in found}) == 25
    starts = [execution["startDate"] for execution in found]
    assert starts == sorted(starts, reverse=True)
    for execution in found:
        walk.until(aws, execution["executionArn"])
    running = sfn.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
    assert running["executions"] == []


def test_history_pages_forwards_and_backwards_say_the_same(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    chain = [(f"S{n}", {"Type": "Pass"}) for n in range(30)]
    shown = walk.run(aws, walk.states(*chain))
    forwards, backwards = [], []
    for order, events in ((False, forwards), (True, backwards)):
        pages = sfn.get_paginator("get_execution_history").paginate(
            executionArn=shown["executionArn"], reverseOrder=order, PaginationConfig={"PageSize": 7}
        )
        events += [event["id"] for page in pages for event in page["events"]]
    assert forwards == list(range(1, 63))
    assert backwards == forwards[::-1]


def test_history_without_data_has_none(aws: Any) -> None:
    shown = walk.run(aws, walk.states(("Only", {"Type": "Pass"})), {"secret": 1})
    history = aws.client("stepfunctions").get_execution_history(
        executionArn=shown["executionArn"], includeExecutionData=False
    )
    assert "secret" not in json.dumps(history["events"], default=str)


def test_an_execution_runs_the_definition_that_it_was_started_with(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    old = walk.states(("Wait", {"Type": "Wait", "Seconds": 1}), ("Say", {"Type": "Pass", "Result": "old"}))
    machine = walk.create(aws, old)
    execution = walk.start(aws, machine)
    new = walk.states(("Say", {"Type": "Pass", "Result": "new"}))
    sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(new))
    assert json.loads(walk.until(aws, execution)["output"]) == "old"
    described = sfn.describe_state_machine_for_execution(executionArn=execution)
    assert json.loads(described["definition"]) == old
    assert json.loads(walk.until(aws, walk.start(aws, machine))["output"]) == "new"


def test_versions_and_aliases_outlive_a_restart_and_route(fresh_aws: Any) -> None:
    sfn = fresh_aws.client("stepfunctions")
    machine = walk.create(fresh_aws, walk.states(("Say", {"Type": "Pass", "Result": 1})), publish=True)
    sfn.update_state_machine(
        stateMachineArn=machine,
        definition=json.dumps(walk.states(("Say", {"Type": "Pass", "Result": 2}))),
        publish=True,
    )
    alias = sfn.create_state_machine_alias(
        name="live", routingConfiguration=[{"stateMachineVersionArn": f"{machine}:1", "weight": 100}]
    )["stateMachineAliasArn"]
    fresh_aws.kill()
    fresh_aws.start()
    sfn = fresh_aws.client("stepfunctions")
    shown = walk.until(fresh_aws, walk.start(fresh_aws, alias))
    assert shown["output"] == "1"
    assert shown["stateMachineVersionArn"] == f"{machine}:1"
    assert shown["stateMachineAliasArn"] == alias
    assert walk.until(fresh_aws, walk.start(fresh_aws, machine))["output"] == "2"
    listed = sfn.list_executions(stateMachineArn=alias)["executions"]
    assert [execution["executionArn"] for execution in listed] == [shown["executionArn"]]


def test_deleting_a_machine_ends_what_runs_and_keeps_what_ran(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    machine = walk.create(aws, walk.states(("Wait", {"Type": "Wait", "Seconds": 300})))
    execution = walk.start(aws, machine)
    sfn.delete_state_machine(stateMachineArn=machine)
    assert walk.until(aws, execution)["status"] == "ABORTED"
    with pytest.raises(ClientError) as refused:
        walk.start(aws, machine)
    assert _code(refused) == "StateMachineDoesNotExist"


def test_a_worker_gets_each_task_once_and_only_its_token_answers(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    activity = sfn.create_activity(name="operations-work")["activityArn"]
    machine = walk.create(aws, walk.states(("Work", {"Type": "Task", "Resource": activity})))
    executions = [walk.start(aws, machine, {"n": n}) for n in range(3)]
    tasks = [sfn.get_activity_task(activityArn=activity, workerName="w") for _ in range(3)]
    for task in tasks:
        sfn.send_task_success(taskToken=task["taskToken"], output=task["input"])
    outputs = [json.loads(walk.until(aws, execution)["output"])["n"] for execution in executions]
    assert outputs == [0, 1, 2]
    with pytest.raises(ClientError) as refused:
        sfn.send_task_success(taskToken=tasks[0]["taskToken"], output="{}")
    assert _code(refused) == "TaskTimedOut"
    with pytest.raises(ClientError) as refused:
        sfn.send_task_success(taskToken="made up", output="{}")
    assert _code(refused) == "InvalidToken"


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("start_execution", {"stateMachineArn": "x"}, "InvalidArn"),
        ("describe_execution", {"executionArn": "arn:aws:states:us-east-1:000000000000:execution:a:b"},
         "ExecutionDoesNotExist"),
        ("list_executions", {"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:no"},
         "StateMachineDoesNotExist"),
        ("create_state_machine", {"name": "a b", "definition": "{}", "roleArn": walk.ROLE}, "InvalidName"),
        ("create_state_machine", {"name": "ab", "definition": "{}", "roleArn": "role"}, "InvalidArn"),
        ("list_state_machines", {"nextToken": "nonsense"}, "InvalidToken"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_by_awss_names(
    aws: Any, operation: str, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(aws.client("stepfunctions"), operation)(**arguments)
    assert _code(refused) == code


def test_an_express_workflow_answers_at_once_and_has_no_history(aws: Any) -> None:
    sfn = aws.client("stepfunctions")
    machine = walk.create(aws, walk.states(("Say", {"Type": "Pass", "Result": 5})), type="EXPRESS")
    answer = sfn.start_sync_execution(stateMachineArn=machine, input="{}")
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", "5")
    with pytest.raises(ClientError) as refused:
        sfn.list_executions(stateMachineArn=machine)
    assert _code(refused) == "StateMachineTypeNotSupported"
