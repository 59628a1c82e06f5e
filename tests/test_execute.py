"""An execution is started with a checked input, watched, stopped, and taken up where it failed."""

from __future__ import annotations

import json
import secrets
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit import execute, recovery
from mlops_kit.deploy.aws import Session
from mlops_kit.errors import KitError, UsageError
from mlops_kit.observe.execution import Execution, Visit, read
from mlops_kit.settings import Settings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "as_of": {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2}$",
            "description": "a day such as 2011-07-01",
        },
        "since": {"type": "string"},
        "until": {"type": "string"},
        "limit": {"type": "number"},
        "mode": {"enum": ["fast", "slow"]},
        "resume": {"type": "object"},
    },
    "additionalProperties": False,
    "before": {"since": ["until", "as_of"]},
}
ROLE = "arn:aws:iam::000000000000:role/any"


@pytest.fixture
def where(aws: Any, tmp_path: Path) -> Session:
    return Session(Settings(endpoint_url=aws.url, region="us-east-1", project="exe", state_dir=tmp_path))


def machine(where: Session, definition: dict[str, Any], name: str = "") -> str:
    client = where.client("stepfunctions")
    name = f"exe-{name or secrets.token_hex(4)}"
    answer = client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
    return str(answer["stateMachineArn"])


def passing(**fields: Any) -> dict[str, Any]:
    return {"StartAt": "First", "States": {"First": {"Type": "Pass", **fields, "End": True}}}


def waiting() -> dict[str, Any]:
    return {"StartAt": "Hold", "States": {"Hold": {"Type": "Wait", "Seconds": 3600, "End": True}}}


# The workflow's shape that recovery is about: everything is caught, and the way in is ResumeFrom. The two
# tasks read a message from a queue, so that a test decides from outside which of them fails.
def catching(queue: str, *, entry: bool = True, comment: str = "") -> dict[str, Any]:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Tell"}]

    def task(name: str, after: str) -> dict[str, Any]:
        parameters = {"QueueUrl": f"{queue}-{name.lower()}", "MessageBody.$": "$.as_of"}
        return {
            "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": parameters,
            "TimeoutSeconds": 30, "ResultPath": None, "Catch": catch, "Next": after,
        }  # fmt: skip

    rules = [
        {
            "And": [
                {"Variable": "$.resume", "IsPresent": True},
                {"Variable": "$.resume.state", "StringEquals": name},
            ],
            "Next": f"Take{name}",
        }
        for name in ("Prepare", "Train")
    ]
    states = {
        "Prepare": task("Prepare", "Train"),
        "Train": task("Train", "Done"),
        "Done": {"Type": "Succeed"},
        "Tell": {"Type": "Pass", "Next": "Failed"},
        "Failed": {"Type": "Fail", "Error": "Caught"},
    }
    if not entry:
        return {"StartAt": "Prepare", "States": states}
    for name in ("Prepare", "Train"):
        states[f"Take{name}"] = {"Type": "Pass", "InputPath": "$.resume.data", "Next": name}
    states["ResumeFrom"] = {"Type": "Choice", "Choices": rules, "Default": "Prepare"}
    return {"StartAt": "ResumeFrom", "Comment": comment, "States": states}


def queues(where: Session, *names: str) -> str:
    """Makes the queues that the named tasks need; the others fail."""
    prefix = f"http://127.0.0.1:{where.settings.url.rpartition(':')[2]}/000000000000/"  # type: ignore[union-attr]
    base = f"exe-{secrets.token_hex(4)}"
    for name in names:
        where.client("sqs").create_queue(QueueName=f"{base}-{name}")
    return prefix + base


def redrive(where: Session, arn: str) -> tuple[recovery.Decision, str]:
    execution = read(where.client("stepfunctions"), arn)
    decision = recovery.prepare(where, execution)
    return decision, recovery.carry_out(where, execution, decision)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            {"as_of": "July"},
            r'The input\'s as_of cannot be "July"\.(.|\n)*a day such as 2011-07-01',
        ),
        (
            {"as_of": "2011-07-08", "since": "2011-07-08"},
            r"since is 2011-07-08, which is not before its as_of, 2011-07-08\.(.|\n)*another until or as_of",
        ),
        (
            {"as_of": "2011-07-08", "since": "2011-07-02", "until": "2011-07-01"},
            "since is 2011-07-02, which is not before its until, 2011-07-01",
        ),
        ({"limit": "much"}, r"The input's limit is \"much\": it must be number"),
        ({"mode": "medium"}, r"The input's mode is \"medium\": it must be one of \['fast', 'slow'\]"),
        (
            {"asof": "2011-07-01"},
            r"unknown field asof\.(.|\n)*fields are: as_of, since, until, limit, mode, resume",
        ),
        ({"limit": float("nan")}, "cannot be written as JSON"),
        ({"as_of": object()}, "cannot be written as JSON"),
        ({"as_of": "x" * 300_000}, r"300,0\d\d bytes; Step Functions takes 262,144"),
    ],
)
def test_a_wrong_input_is_refused_by_field_before_anything_starts(
    where: Session, value: dict[str, Any], words: str
) -> None:
    arn = machine(where, passing())
    with pytest.raises(UsageError, match=words):
        execute.start(where, arn, value, SCHEMA)
    assert where.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"] == []


def test_a_required_field_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="lacks the field as_of"):
        execute.check_input({}, {**SCHEMA, "required": ["as_of"]})


@given(st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=5)))
def test_an_input_that_is_taken_is_given_on_unchanged(value: dict[str, Any]) -> None:
    assert json.loads(execute.check_input(value, {"type": "object"})) == value


def test_an_execution_is_started_and_waited_for_state_by_state(where: Session) -> None:
    arn = execute.start(
        where, machine(where, passing(Result={"ok": True})), {"as_of": date(2011, 7, 1)}, SCHEMA, "one"
    )
    changes: list[execute.Change] = []
    answer = execute.wait(where, arn, changes.append)
    assert answer["status"] == "SUCCEEDED" and json.loads(answer["output"]) == {"ok": True}
    assert json.loads(answer["input"]) == {"as_of": "2011-07-01"}
    assert [(one.what, one.state, one.kind) for one in changes] == [
        ("entered", "First", "Pass"),
        ("left", "First", "Pass"),
    ]
    assert execute.find(where, "one") == arn == execute.find(where, arn)


def test_a_retry_is_told_as_a_failure_with_its_error(where: Session) -> None:
    queue = queues(where)
    definition = catching(queue, entry=False)
    definition["States"]["Prepare"]["Retry"] = [
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1, "IntervalSeconds": 1}
    ]
    arn = execute.start(where, machine(where, definition), {"as_of": "2011-07-01"}, SCHEMA)
    changes: list[execute.Change] = []
    assert execute.wait(where, arn, changes.append)["status"] == "FAILED"
    failed = [one for one in changes if one.what == "failed"]
    assert [one.state for one in failed] == ["Prepare", "Prepare"] and failed[0].error
    assert [one.state for one in changes if one.what == "entered"] == ["Prepare", "Tell", "Failed"]


def test_what_cannot_be_started_is_said_so(where: Session) -> None:
    with pytest.raises(KitError, match=r"no state machine exe-none(.|\n)*mlops-kit apply"):
        execute.start(where, machine(where, passing()).rpartition(":")[0] + ":exe-none", {}, {})
    with pytest.raises(UsageError, match="cannot be an execution's name"):
        execute.start(where, machine(where, passing()), {}, {}, "two words")
    arn = machine(where, passing())
    with pytest.raises(UsageError, match="'' cannot be an execution's name"):
        execute.start(where, arn, {}, {}, "")
    execute.wait(where, execute.start(where, arn, {}, {}, "taken"))
    for value in ({"x": 1}, {}):
        with pytest.raises(UsageError, match=r"'taken' exists already: .* it has ended(.|\n)*another --name"):
            execute.start(where, arn, value, {}, "taken")
    with pytest.raises(UsageError, match=r"no execution never-was(.|\n)*mlops-kit history"):
        execute.find(where, "never-was")


def test_a_running_execution_is_stopped_and_an_ended_one_keeps_its_status(where: Session) -> None:
    held = machine(where, waiting())
    arn = execute.start(where, held, {}, {}, "held")
    assert execute.start(where, held, {}, {}, "held") == arn, "AWS gives back the one that runs"
    assert execute.stop(where, arn) == "ABORTED"
    ended = execute.start(where, machine(where, passing()), {}, {})
    execute.wait(where, ended)
    assert execute.stop(where, ended) == "SUCCEEDED"


def test_an_interrupt_while_waiting_names_the_command_that_stops(
    where: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = execute.start(where, machine(where, waiting()), {}, {})

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt, match=f"mlops-kit stop {arn}"):
        execute.wait(where, arn)
    assert execute.stop(where, arn) == "ABORTED"


def test_a_caught_failure_is_taken_up_at_the_failed_state_by_a_new_execution(where: Session) -> None:
    queue = queues(where, "prepare")
    arn = execute.start(where, machine(where, catching(queue)), {"as_of": "2011-07-01"}, SCHEMA, "caught")
    assert execute.wait(where, arn)["status"] == "FAILED"
    where.client("sqs").create_queue(QueueName=f"{queue.rpartition('/')[2]}-train")
    decision, again = redrive(where, arn)
    assert (decision.way, decision.state, decision.keeps) == ("resume", "Train", ("Prepare",))
    assert "Repeated: Train and what follows. Kept: Prepare." in str(decision)
    assert again.endswith(":caught-again") and execute.wait(where, again)["status"] == "SUCCEEDED"
    states = [visit.state for visit in read(where.client("stepfunctions"), again).visits]
    assert states == ["ResumeFrom", "TakeTrain", "Train", "Done"], "what had succeeded is not repeated"
    answer = where.client("stepfunctions").describe_execution(executionArn=again)
    assert json.loads(answer["input"])["resume"] == {
        "state": "Train", "data": {"as_of": "2011-07-01"}, "execution": arn,
    }  # fmt: skip


def test_a_second_resume_gets_another_name(where: Session) -> None:
    arn = execute.start(where, machine(where, catching(queues(where))), {"as_of": "x"}, {}, "often")
    for name in ("often-again", "often-again-2", "often-again-3"):
        execute.wait(where, arn)
        _, arn = redrive(where, arn)
        assert arn.rpartition(":")[2] == name
    execute.wait(where, arn)


def test_an_uncaught_failure_is_redriven_in_place(where: Session) -> None:
    queue = queues(where, "prepare")
    definition = catching(queue, entry=False)
    del definition["States"]["Train"]["Catch"]
    arn = execute.start(where, machine(where, definition), {"as_of": "2011-07-01"}, {})
    assert execute.wait(where, arn)["status"] == "FAILED"
    where.client("sqs").create_queue(QueueName=f"{queue.rpartition('/')[2]}-train")
    decision, again = redrive(where, arn)
    assert (decision.way, decision.state, decision.keeps, again) == ("redrive", "Train", ("Prepare",), arn)
    assert execute.wait(where, again)["status"] == "SUCCEEDED"


def test_an_abort_is_redriven(where: Session) -> None:
    arn = execute.start(where, machine(where, waiting()), {}, {})
    execute.stop(where, arn)
    decision, again = redrive(where, arn)
    assert (decision.way, decision.state, again) == ("redrive", "Hold", arn)
    assert execute.stop(where, arn) == "ABORTED"


def test_what_may_have_lost_its_claim_begins_again_where_it_is_claimed(where: Session) -> None:
    definition = catching(queues(where, "prepare"))
    definition["States"]["Train"] = {"Type": "Wait", "Seconds": 3600, "Next": "Done"}
    arn = execute.start(where, machine(where, definition), {"as_of": "2011-07-01"}, SCHEMA)
    while [visit.state for visit in read(where.client("stepfunctions"), arn).visits][-1:] != ["Train"]:
        time.sleep(0.05)
    execute.stop(where, arn)
    decision, again = redrive(where, arn)
    assert (decision.way, decision.state, decision.keeps) == ("resume", "Train", ("Prepare",))
    assert again != arn and execute.stop(where, again) == "ABORTED"


def test_an_end_between_two_works_begins_again_at_the_work_before() -> None:
    definition = catching("q")
    del definition["States"]["Train"]["Catch"]
    definition["States"]["Between"] = {"Type": "Choice", "Choices": [], "Default": "Train"}
    happened = visits(("Prepare", "Task", "SUCCEEDED"), ("Between", "Choice", "FAILED"))
    found = recovery.decide(happened, definition, definition, "")
    assert (found.way, found.state, found.keeps) == ("resume", "Prepare", ())


def test_what_cannot_be_redriven_is_refused_with_what_to_do_instead() -> None:
    then = catching("q")
    del then["States"]["Train"]["Catch"]
    now = json.loads(json.dumps(then).replace("Train", "Fit"))
    happened = visits(("Prepare", "Task", "SUCCEEDED"), ("Train", "Task", "FAILED"))
    with pytest.raises(
        UsageError, match=r"cannot begin at Train(.|\n)*begin at Fit, Prepare(.|\n)*mlops-kit run"
    ):
        recovery.decide(happened, then, now, "")
    closed = catching("q", entry=False)
    del closed["States"]["Train"]["Catch"]
    old = "Execution is NOT_REDRIVABLE because it exceeds the 14 day limit"
    with pytest.raises(UsageError, match=r"AWS cannot redrive it: .* 14 day(.|\n)*mlops-kit run"):
        recovery.decide(happened, closed, closed, old)
    assert "The old one goes on." in str(recovery.decide(happened, closed, {**closed, "Comment": "new"}, ""))


def test_a_mended_definition_is_used_instead_of_the_old_one(where: Session) -> None:
    broken = catching(queues(where, "prepare"))
    del broken["States"]["Train"]["Catch"]
    arn = machine(where, broken)
    run = execute.start(where, arn, {"as_of": "2011-07-01"}, {})
    assert execute.wait(where, run)["status"] == "FAILED"
    mended = {**broken, "Comment": "mended"}
    mended["States"] = {**broken["States"], "Train": {"Type": "Pass", "Next": "Done"}}
    where.client("stepfunctions").update_state_machine(stateMachineArn=arn, definition=json.dumps(mended))
    decision, again = redrive(where, run)
    assert decision.way == "resume" and "changed meanwhile" in decision.why
    assert execute.wait(where, again)["status"] == "SUCCEEDED"


def visits(*pairs: tuple[str, str, str]) -> Execution:
    now = date(2026, 1, 1)
    found = tuple(Visit(state, kind, now, status=status, input="{}") for state, kind, status in pairs)  # type: ignore[arg-type]
    return Execution("arn:x", "x", "arn:m", "FAILED", now, visits=found, input={})  # type: ignore[arg-type]


def test_a_failure_that_was_caught_and_survived_is_not_what_is_repeated() -> None:
    definition = catching("q")
    definition["States"]["Prepare"]["Catch"][0]["Next"] = "Train"
    happened = visits(
        ("Prepare", "Task", "CAUGHT"), ("Train", "Task", "CAUGHT"), ("Tell", "Pass", "SUCCEEDED")
    )
    found = recovery.decide(happened, definition, definition, "")
    assert (found.way, found.state) == ("resume", "Train")


def test_a_failure_within_the_failure_path_does_not_hide_the_first_one() -> None:
    definition = catching("q")
    definition["States"]["Tell"] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Next": "Failed",
    }
    happened = visits(("Train", "Task", "CAUGHT"), ("Tell", "Task", "FAILED"))
    assert recovery.decide(happened, definition, definition, "").state == "Train"


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_what_did_not_fail_is_not_repeated(status: str) -> None:
    happened = Execution("arn:x", "x", "arn:m", status, date(2026, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"is {status}; there is nothing to repeat"):
        recovery.decide(happened, catching("q"), catching("q"), "")


def test_a_workflow_that_decided_to_fail_or_has_no_way_in_is_not_taken_up() -> None:
    definition = catching("q")
    with pytest.raises(UsageError, match="the workflow itself decided to end in Failed"):
        recovery.decide(visits(("Failed", "Fail", "FAILED")), definition, definition, "")
    closed = catching("q", entry=False)
    happened = visits(
        ("Train", "Task", "CAUGHT"), ("Tell", "Pass", "SUCCEEDED"), ("Failed", "Fail", "FAILED")
    )
    with pytest.raises(UsageError, match=r"cannot begin at Train(.|\n)*no state ResumeFrom"):
        recovery.decide(happened, closed, closed, "")
