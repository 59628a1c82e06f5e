"""The retraining on the embedded AWS: the second month, two at once, failures, and taking up what failed."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from typing import Any

import pytest

from tests.pipelines.conftest import Walk

pytestmark = pytest.mark.slow

ALWAYS_FAILS = 'raise PermissionError("the raw data are locked")\n'
FAILS_TWICE = """
import boto3, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
s3, bucket, key = boto3.client("s3"), options["--bucket"], "retraining/tries"
tries = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount", 0)
s3.put_object(Bucket=bucket, Key=f"{key}/{tries}", Body=b"")
if tries < 2:
    raise RuntimeError(f"not yet: {tries}")
"""


def listen(walk: Walk, topic: str) -> str:
    """A queue that hears a topic."""
    sqs = walk.aws.client("sqs")
    url = str(sqs.create_queue(QueueName=f"news-{uuid.uuid4().hex[:8]}")["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    walk.aws.client("sns").subscribe(TopicArn=walk.first["shared"][topic], Protocol="sqs", Endpoint=arn)
    return url


def heard(walk: Walk, queue: str) -> list[str]:
    answer = walk.aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)
    return [json.loads(message["Body"])["Message"] for message in answer.get("Messages", [])]


def no_model(walk: Walk) -> str:
    """An archive that no endpoint can serve."""
    bucket, archive = walk.first["shared"]["DataBucket"], io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as packed:
        packed.addfile(tarfile.TarInfo("model.joblib"))  # empty
    key = "retraining/empty/model.tar.gz"
    walk.aws.client("s3").put_object(Bucket=bucket, Key=key, Body=archive.getvalue())
    return f"s3://{bucket}/{key}"


@pytest.fixture
def script(walk: Walk) -> Any:
    """Replaces the Glue job's script, and puts it back at the end."""
    s3, bucket = walk.aws.client("s3"), walk.first["shared"]["ArtifactBucket"]
    key = s3.list_objects_v2(Bucket=bucket, Prefix="code/prepare_training_data/")["Contents"][0]["Key"]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    head, future, rest = body.partition("from __future__ import annotations\n")
    assert future
    yield lambda before, whole=False: s3.put_object(
        Bucket=bucket, Key=key, Body=(before if whole else f"{head}{future}{before}{rest}").encode()
    )
    s3.put_object(Bucket=bucket, Key=key, Body=body.encode())


def test_two_at_once_are_one_retraining_which_is_judged_against_the_champion(walk: Walk) -> None:
    news = listen(walk, "RoutineTopic")
    arns = [walk.start({"as_of": moment}) for moment in ("2011-08-01", "2011-08-01T00:30:00Z")]
    ends = {arn: walk.end(arn) for arn in arns}
    assert {end["status"] for end in ends.values()} == {"SUCCEEDED"}
    idle = [arn for arn in arns if "AlreadyRetraining" in walk.entered(arn)]
    assert len(idle) == 1 and "PrepareTrainingData" not in walk.entered(idle[0])
    (worked,) = set(arns) - set(idle)
    output = json.loads(ends[worked]["output"])
    assert (output["train_start"], output["train_end"]) == ("2011-02-01", "2011-08-01")
    assert output["champion"] == json.loads(walk.first["output"])["model_package"]
    metrics = output["evaluation"]["metrics"]
    assert metrics["champion"]["wape"] > 0 and metrics["champion"] != metrics["challenger"]
    entered = walk.entered(worked)
    promoted = output["evaluation"]["verdict"] == "promote"
    assert ("UpdateEndpoint" in entered) == promoted and ("NotifyRejected" in entered) != promoted
    (message,) = heard(walk, news)
    assert "WAPE" in message and "the champion's" in message
    later = walk.start({"as_of": "2011-08-03"})  # the window is done, not forgotten
    walk.end(later)
    assert walk.entered(later)[-1] == "AlreadyRetraining"


def test_a_script_that_always_fails_is_told_with_its_cause_and_taken_up_after_the_mend(
    walk: Walk, script: Any
) -> None:
    news = listen(walk, "CriticalTopic")
    script(ALWAYS_FAILS, whole=True)
    arn = walk.start({"as_of": "2011-09-01"})
    ended = walk.end(arn)
    assert ended["status"] == "FAILED" and ended["error"] == "States.TaskFailed"
    assert ended["cause"] == "PrepareTrainingData: PermissionError: the raw data are locked"
    failed = [event for event in walk.events(arn) if event["type"] == "TaskFailed"]
    assert len(failed) == 3, "the first try and two retries"
    assert walk.entered(arn)[-3:] == ["ReleaseWindow", "NotifyFailure", "RetrainingFailed"]
    (message,) = heard(walk, news)
    assert (
        "failed in PrepareTrainingData" in message
        and "Cause: PermissionError: the raw data are locked\n" in message
    )
    assert f"mlops-kit redrive {arn}" in message
    entries = [event.get("stateEnteredEventDetails", {}) for event in walk.events(arn)]
    (data,) = [json.loads(each["input"]) for each in entries if each.get("name") == "PrepareTrainingData"]
    assert walk.claim(data["lock"]) is None, "the window is free again"

    script(FAILS_TWICE)
    resumed = walk.start({"resume": {"state": "PrepareTrainingData", "data": data, "execution": arn}})
    assert walk.end(resumed)["status"] == "SUCCEEDED"
    assert walk.entered(resumed)[:4] == ["ResumeFrom", "ReclaimWindow", "ResumeAt", "PrepareTrainingData"]
    failed = [event for event in walk.events(resumed) if event["type"] == "TaskFailed"]
    assert [json.loads(event["taskFailedEventDetails"]["cause"])["ErrorMessage"] for event in failed] == [
        "RuntimeError: not yet: 0",
        "RuntimeError: not yet: 1",
    ]
    item = walk.claim(data["lock"])
    assert item is not None and item["status"] == {"S": "done"} and item["owner"] == {"S": resumed}


def test_the_last_states_can_be_entered_again_without_the_ones_before(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    output["lock"] = "demand#1999-W01"
    resumed = walk.start({"resume": {"state": "ApproveModel", "data": output}})
    assert walk.end(resumed)["status"] == "SUCCEEDED"
    assert walk.entered(resumed)[3:] == [
        "ApproveModel",
        "MarkWindowDone",
        "Announce",
        "NotifySuccess",
        "Retrained",
    ]


def test_a_model_that_cannot_serve_is_noticed_and_the_champion_goes_on_serving(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    before = walk.aws.client("sagemaker").describe_endpoint(EndpointName="walk-demand")["EndpointConfigName"]
    data = {**output, "lock": "demand#1999-W02", "model_data": no_model(walk)}
    arn = walk.start({"resume": {"state": "DeployModel", "data": data}})
    ended = walk.end(arn)
    assert (ended["status"], ended["error"]) == ("FAILED", "EndpointNotInService")
    assert f"DeployModel: Endpoint is InService on {before}, asked for walk-demand-" in ended["cause"]
    assert "ApproveModel" not in walk.entered(arn)
    now = walk.aws.client("sagemaker").describe_endpoint(EndpointName="walk-demand")
    assert (now["EndpointStatus"], now["EndpointConfigName"]) == ("InService", before)


def test_an_endpoint_whose_creation_failed_is_replaced(walk: Walk) -> None:
    output = json.loads(walk.first["output"])
    sagemaker = walk.aws.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="walk-demand")
    broken = {**output, "lock": "demand#1999-W03", "model_data": no_model(walk)}
    failed = walk.start({"resume": {"state": "DeployModel", "data": broken}})
    assert walk.end(failed)["status"] == "FAILED"
    assert "CreateEndpoint" in walk.entered(failed)
    assert sagemaker.describe_endpoint(EndpointName="walk-demand")["EndpointStatus"] == "Failed"
    again = walk.start({"resume": {"state": "DeployModel", "data": {**output, "lock": "demand#1999-W03"}}})
    assert walk.end(again)["status"] == "SUCCEEDED"
    assert {"DeleteFailedEndpoint", "CreateEndpoint"} <= set(walk.entered(again))
    assert sagemaker.describe_endpoint(EndpointName="walk-demand")["EndpointStatus"] == "InService"


CLAIMS = {
    "another's, and alive": ({"expires_at": {"N": str(2**40)}}, False, "AlreadyRetraining"),
    "another's, and expired": ({"expires_at": {"N": "1"}}, False, "NotifySuccess"),
    "done": ({"status": {"S": "done"}}, False, "AlreadyRetraining"),
    "done, and forced": ({"status": {"S": "done"}}, True, "NotifySuccess"),
}


@pytest.mark.parametrize("kind", CLAIMS)
def test_a_claim_counts_until_it_expires_and_a_done_one_until_forced(walk: Walk, kind: str) -> None:
    item, force, reached = CLAIMS[kind]
    lock = f"demand#{uuid.uuid4().hex[:8]}"
    table = walk.first["shared"]["LockTable"]
    walk.aws.client("dynamodb").put_item(
        TableName=table, Item={"pk": {"S": lock}, "owner": {"S": "another"}, **item}
    )
    data = {**json.loads(walk.first["output"]), "lock": lock, "force": force}
    arn = walk.start({"resume": {"state": "MarkWindowDone", "data": data}})
    assert walk.end(arn)["status"] == "SUCCEEDED"
    assert reached in walk.entered(arn)
    claim = walk.claim(lock)
    assert claim is not None and (claim["owner"]["S"] == arn) == (reached == "NotifySuccess")
    assert claim.get("forced", {"BOOL": False}) == {"BOOL": force}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"as_of": "2011-02-31"}, "CheckInput: as_of is 2011-02-31: give a UTC day"),
        (
            {"as_of": "2014-01-01", "train_start": "2014-01-03"},
            "CheckInput: the window ends (2014-01-01) before it starts (2014-01-03)",
        ),
        ({"resume": {"state": "Nowhere", "data": {}}}, "No execution can begin at Nowhere; use one of"),
        (
            {"as_of": "2014-01-01"},
            "CannotPrepareError: the window 2013-07-04 to 2014-01-01 is outside the data",
        ),
    ],
)
def test_bad_input_fails_in_words_and_holds_no_window(walk: Walk, data: dict[str, Any], words: str) -> None:
    ended = walk.end(walk.start(data))
    assert ended["status"] == "FAILED" and words in ended["cause"]
    assert walk.claim("demand#2014-W01") is None
