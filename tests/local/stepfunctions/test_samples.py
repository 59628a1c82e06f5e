"""AWS's public samples do on the embedded AWS what their documentation says (samples/README.md)."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.local.stepfunctions import walk

SAMPLES = Path(__file__).parent / "samples"


def _sample(name: str, **named: str) -> dict[str, Any]:
    """A sample's definition, with names of resources put in."""
    text = (SAMPLES / f"{name}.asl.json").read_text()
    for key, value in named.items():
        text = text.replace(f"${{{key}}}", value)
    definition: dict[str, Any] = json.loads(text)
    return definition


def _topic(aws: Any) -> tuple[str, str]:
    """A topic and a queue that gets its messages as they are."""
    sqs, sns, url = aws.client("sqs"), aws.client("sns"), walk.queue(aws)
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=f"topic-{uuid.uuid4().hex[:8]}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    return str(topic), url


def _body(aws: Any, url: str) -> str:
    """The next message of a queue, as it is."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = aws.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages", [])
        if found:
            return str(found[0]["Body"])
    raise AssertionError("no message")


def _bucket(aws: Any, **objects: str) -> str:
    name = f"samples-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    for key, body in objects.items():
        aws.client("s3").put_object(Bucket=name, Key=key.replace("__", "."), Body=body.encode())
    return name


def _handler(body: str) -> str:
    return f"def handler(event, context):\n    {body}\n"


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_the_job_poller_looks_again_until_the_job_has_ended(aws: Any, end: str) -> None:
    submit = walk.function(aws, _handler("return event['jobName']"))
    code = f"{_handler('seen.append(event)')}    return 'RUNNING' if len(seen) == 1 else '{end}'\n"
    check = walk.function(aws, f"seen = []\n{code}")
    definition = _sample("job_poller", SubmitJob=submit, CheckJob=check)
    shown = walk.run(aws, definition, {"jobName": "my-job", "wait_time": 1})
    names = walk.entered(aws, shown["executionArn"])
    loop = ["Wait X Seconds", "Get Job Status", "Job Complete?"]
    assert names[:-1] == ["Submit Job", *loop, *loop]
    if end == "SUCCEEDED":
        assert shown["output"] == "SUCCEEDED"
    else:
        assert (shown["error"], shown["cause"]) == ("DescribeJob returned FAILED", "AWS Batch Job Failed")


@pytest.mark.parametrize("well", [True, False])
def test_the_callback_sample_waits_for_its_token_and_notifies(aws: Any, well: bool) -> None:
    queue, (topic, told) = walk.queue(aws), _topic(aws)
    execution = walk.start(aws, walk.create(aws, _sample("callback", Queue=queue, Topic=topic)))
    message = walk.receive(aws, queue)
    sfn = aws.client("stepfunctions")
    assert sfn.describe_execution(executionArn=execution)["status"] == "RUNNING"
    if well:
        sfn.send_task_success(
            taskToken=message["TaskToken"], output='"Callback task completed successfully."'
        )
    else:
        sfn.send_task_failure(taskToken=message["TaskToken"], error="No", cause="not today")
    assert walk.until(aws, execution)["status"] == "SUCCEEDED"
    assert _body(aws, told) == ("Callback received. Task succeeded." if well else "Task failed.")


def test_the_transfer_sample_sends_each_record_in_turn(aws: Any) -> None:
    table, queue = walk.table(aws), walk.queue(aws)
    for name in ("MessageA", "MessageB"):
        item = {"id": {"S": name}, "Message": {"S": json.dumps(f"body of {name}")}}
        aws.client("dynamodb").put_item(TableName=table, Item=item)
    seed = walk.function(aws, _handler("return ['MessageA', 'MessageB', 'DONE']"))
    definition = _sample("transfer_records", Seed=seed, Table=table, Queue=queue)
    assert walk.run(aws, definition)["output"] == {"List": ["DONE"]}
    messages = aws.client("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert messages["Attributes"]["ApproximateNumberOfMessages"] == "2"


def test_the_nested_sample_starts_waits_and_is_called_back(aws: Any) -> None:
    another = walk.create(aws, _sample("nested_another"))
    shown = walk.run(aws, _sample("nested", Another=another))
    assert shown["output"] == [{"Status": "Complete"}, "Callback Successful"]
    started = aws.client("stepfunctions").list_executions(stateMachineArn=another)["executions"]
    assert len(started) == 3


def test_the_csv_sample_runs_a_child_for_each_row_and_writes_the_results(aws: Any) -> None:
    rows = "rating,userId,movieId\n4.0,1,307\n3.5,1,481\n4.5,2,1258\n"
    source, target = _bucket(aws, ratings__csv=rows), _bucket(aws)
    function = walk.function(aws, _handler("return event"))
    definition = _sample("distributed_csv", Source=source, Target=target, Function=function)
    where = walk.run(aws, definition)["output"]["ResultWriterDetails"]
    assert where["Bucket"] == target
    s3 = aws.client("s3")
    manifest = json.loads(s3.get_object(Bucket=target, Key=where["Key"])["Body"].read())
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    assert file["Key"].startswith("csvProcessJobs/")
    results = json.loads(s3.get_object(Bucket=target, Key=file["Key"])["Body"].read())
    outputs = [json.loads(result["Output"]) for result in results]
    assert {output["row"]["movieId"] for output in outputs} == {"307", "481", "1258"}
    assert all(
        output["execution"] == one["ExecutionArn"] for output, one in zip(outputs, results, strict=True)
    )


def test_the_batch_sample_multiplies_ten_numbers_in_four_children(aws: Any) -> None:
    source = _bucket(aws, numbers__json=json.dumps(list(range(1, 11))))
    code = (
        "return {'multiplied': [n * event['BatchInput']['MyMultiplicationFactor'] for n in event['Items']]}"
    )
    definition = _sample("distributed_json", Source=source, Function=walk.function(aws, _handler(code)))
    output = walk.run(aws, definition)["output"]
    assert len(output) == 4
    assert [n for one in output for n in one["multiplied"]] == [7 * n for n in range(1, 11)]


def test_the_athena_sample_queries_and_sends_the_rows(aws: Any) -> None:
    bucket, (topic, told) = _bucket(aws), _topic(aws)
    glue, name = aws.client("glue"), f"sample-{uuid.uuid4().hex[:8]}"
    glue.create_database(DatabaseInput={"Name": name})
    storage = {
        "Columns": [{"Name": "sensor", "Type": "string"}, {"Name": "value", "Type": "int"}],
        "Location": f"s3://{bucket}/log/",
        "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
    }
    glue.create_table(DatabaseName=name, TableInput={"Name": "log", "StorageDescriptor": storage})
    place = {"OutputLocation": f"s3://{bucket}/results/"}
    aws.client("athena").create_work_group(Name=name, Configuration={"ResultConfiguration": place})
    code = (
        "import boto3\n"
        + _handler("boto3.client('s3').put_object(")
        + f"        Bucket='{bucket}', Key='log/1', Body=b'{{\"sensor\": \"a\", \"value\": 1}}')\n"
    )
    generate = walk.function(aws, code)
    definition = _sample("athena_query", Generate=generate, Database=name, WorkGroup=name, Topic=topic)
    assert walk.run(aws, definition)["status"] == "SUCCEEDED"
    rows = [[cell["VarCharValue"] for cell in row["Data"]] for row in json.loads(_body(aws, told))["Input"]]
    assert rows == [["sensor", "value"], ["a", "1"]]


def test_variables_are_kept_swapped_and_seen_in_inner_scopes(aws: Any) -> None:
    shown = walk.run(aws, _sample("variables"), {"fetched": {"price": 5, "quantities": [1, 2, 3]}})
    assert shown["output"] == {
        "price": 5,
        "swapped": [2, 1],
        "doubled": 10,
        "total": 60,
        "localOutside": False,
    }


def test_a_caught_error_of_a_branch_still_fails_the_execution_after_all_branches(aws: Any) -> None:
    success = walk.function(aws, _handler("return {'statusCode': 200}"))
    failing = walk.function(aws, _handler("raise Exception('Throwing explicit error')"))
    shown = walk.run(aws, _sample("parallel_failure", Success=success, QuickFail=failing))
    assert (shown["status"], shown["error"]) == ("FAILED", "Exception")
    assert json.loads(shown["cause"])["errorMessage"] == "Throwing explicit error"
    names = walk.entered(aws, shown["executionArn"])
    assert names[-3:] == ["Aggregate Results", "Evaluate Results", "Fail"]
    shown = walk.run(aws, _sample("parallel_failure", Success=success, QuickFail=success))
    assert shown["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("answer", "result"), [({"result": True}, "approved"), ({"result": False}, "rejected"), ({}, "failure")]
)
def test_a_person_decides_where_the_approval_goes_on(aws: Any, answer: Any, result: str) -> None:
    topic, told = _topic(aws)
    function = walk.function(aws, _handler("return event"))
    machine = walk.create(aws, _sample("human_approval", Topic=topic, Function=function))
    execution = walk.start(aws, machine, {"order": 7})
    asked = walk.receive(aws, told)
    assert asked["message"] == {"order": 7}
    aws.client("stepfunctions").send_task_success(taskToken=asked["token"], output=json.dumps(answer))
    output = json.loads(walk.until(aws, execution)["output"])
    assert output == {"input": {"order": 7, "approvalStatus": answer}, "result": result}


_SAGA = """
import boto3
STEP, TABLE = {step!r}, {table!r}
FAILS = {{"ReserveFlight": "failFlightsReservation", "ReserveCarRental": "failCarRentalReservation",
         "ProcessPayment": "failPayment", "ConfirmFlight": "failFlightsConfirmation",
         "ConfirmCarRental": "failCarRentalConfirmation"}}
def handler(event, context):
    if event["run_type"] == FAILS.get(STEP, ""):
        raise Exception(STEP + " failed")
    table = boto3.resource("dynamodb").Table(TABLE)
    table.put_item(Item={{"id": event["trip_id"] + "/" + STEP}})
    return {{"status": "ok"}}
"""
_STEPS = (
    "ReserveFlight", "ReserveCarRental", "ProcessPayment", "ConfirmFlight", "ConfirmCarRental",
    "RefundPayment", "CancelRentalReservation", "CancelFlightReservation",
)  # fmt: skip


def test_the_saga_undoes_in_reverse_what_was_done(aws: Any) -> None:
    table, (topic, told) = walk.table(aws), _topic(aws)
    named = {step: walk.function(aws, _SAGA.format(step=step, table=table)) for step in _STEPS}
    machine = walk.create(aws, _sample("saga", Topic=topic, **named))
    undo = ["RefundPayment", "CancelRentalReservation", "CancelFlightReservation", "SendingSMSFailure"]
    told_well = ["SendingSMSSuccess", "Reservation Successful!"]
    expected = {
        "success": [*_STEPS[:5], *told_well],
        "failFlightsReservation": [*_STEPS[:1], *undo[2:], "Reservation Failed"],
        "failCarRentalReservation": [*_STEPS[:2], *undo[1:], "Reservation Failed"],
        "failPayment": [*_STEPS[:3], *undo, "Reservation Failed"],
        "failCarRentalConfirmation": [*_STEPS[:5], *undo, "Reservation Failed"],
    }
    for kind, names in expected.items():
        execution = walk.start(aws, machine, {"trip_id": kind, "run_type": kind})
        shown = walk.until(aws, execution)
        assert walk.entered(aws, execution) == names
        assert shown["status"] == ("SUCCEEDED" if kind == "success" else "FAILED")
        assert (
            _body(aws, told)
            == f"Your Travel Reservation {'is Successful' if kind == 'success' else 'Failed'}"
        )
    items = {item["id"]["S"] for item in aws.client("dynamodb").scan(TableName=table)["Items"]}
    done = {item.partition("/")[2] for item in items if item.startswith("failPayment/")}
    assert done == {"ReserveFlight", "ReserveCarRental", *undo[:3]}


def test_the_common_fallback_hears_which_state_failed(aws: Any) -> None:
    works = walk.function(aws, _handler("return event"))
    fails = walk.function(aws, _handler("raise ValueError('simulated')"))
    shown = walk.run(aws, _sample("fallback_jsonata", First=works, Second=works, Third=fails))
    assert (shown["status"], shown["output"]) == ("SUCCEEDED", {"FailedStateName": "ThirdLambdaState"})
