"""A full disk and a torn last record: answered with words, and nothing older is lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import EmbeddedAws
from tests.local.stepfunctions import walk

PASSES = walk.states(("A", {"Type": "Pass"}), ("B", {"Type": "Pass"}))


@contextmanager
def _full(aws: EmbeddedAws, most: int = 1) -> Iterator[None]:
    """Let no file of the server grow, its log neither: the kernel refuses as it does when a disk is full."""
    before = resource.prlimit(aws.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(aws.pid, resource.RLIMIT_FSIZE, (most, before[1]))
    yield
    resource.prlimit(aws.pid, resource.RLIMIT_FSIZE, before)


def _refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as refusal:
        call(**params)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    return str(refusal.value)


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")


def test_a_full_disk_is_answered_with_words_and_loses_nothing_older(fresh_aws: EmbeddedAws) -> None:
    machine = walk.create(fresh_aws, PASSES)
    old = walk.start(fresh_aws, machine, {"n": 1})
    history = walk.until(fresh_aws, old) and walk.events(fresh_aws, old)
    sfn = fresh_aws.client("stepfunctions")
    with _full(fresh_aws):
        words = _refused(sfn.start_execution, stateMachineArn=machine, name="waits-for-room")
        assert "Free some space" in words
        definition = json.dumps(PASSES)
        _refused(sfn.create_state_machine, name="refused", definition=definition, roleArn=walk.ROLE)
        glue = fresh_aws.client("glue")
        command = {"Name": "pythonshell", "ScriptLocation": "s3://a/b"}
        _refused(glue.create_job, Name="refused", Role=walk.ROLE, Command=command)
        assert walk.events(fresh_aws, old) == history  # it still reads
    waited = machine.replace(":stateMachine:", ":execution:") + ":waits-for-room"
    walk.holds(lambda: _known(fresh_aws, waited))
    assert walk.until(fresh_aws, waited)["status"] == "SUCCEEDED"
    fresh_aws.kill()
    fresh_aws.start()
    assert walk.events(fresh_aws, old) == history
    assert walk.until(fresh_aws, walk.start(fresh_aws, machine))["status"] == "SUCCEEDED"


def _known(aws: EmbeddedAws, execution: str) -> bool:
    try:
        aws.client("stepfunctions").describe_execution(executionArn=execution)
    except ClientError:
        return False
    return True


def test_a_task_waits_for_the_disk_and_then_goes_on(fresh_aws: EmbeddedAws) -> None:
    table = walk.table(fresh_aws)
    item = {"id": {"S.$": "$$.Execution.Name"}}
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:putItem",
        "Parameters": {"TableName": table, "Item": item},
    }
    wait = {"Type": "Wait", "Seconds": 1}
    execution = walk.start(fresh_aws, walk.create(fresh_aws, walk.states(("Wait", wait), ("Put", put))))
    with _full(fresh_aws):
        time.sleep(2.5)
        sfn = fresh_aws.client("stepfunctions")
        assert sfn.describe_execution(executionArn=execution)["status"] == "RUNNING"
    assert walk.until(fresh_aws, execution)["status"] == "SUCCEEDED"
    fresh_aws.kill()
    fresh_aws.start()
    assert fresh_aws.client("dynamodb").scan(TableName=table)["Count"] == 1


@pytest.mark.parametrize("lost", [1, 1000, 10_000])
def test_a_torn_last_record_loses_nothing_older(fresh_aws: EmbeddedAws, lost: int) -> None:
    machine = walk.create(fresh_aws, PASSES)
    started = [walk.start(fresh_aws, machine, {"n": n}) for n in range(5)]
    histories = {arn: walk.until(fresh_aws, arn) and walk.events(fresh_aws, arn) for arn in started}
    sfn = fresh_aws.client("stepfunctions")
    for _ in range(5):  # what is written last
        definition = json.dumps({"Comment": "x" * 5000, **PASSES})
        sfn.create_state_machine(name=uuid.uuid4().hex, definition=definition, roleArn=walk.ROLE)
    fresh_aws.kill()
    wal = fresh_aws.state_dir / "state.db-wal"
    os.truncate(wal, wal.stat().st_size - lost)
    fresh_aws.start()
    assert {arn: walk.events(fresh_aws, arn) for arn in started} == histories
    assert walk.until(fresh_aws, walk.start(fresh_aws, machine))["status"] == "SUCCEEDED"


def test_a_damaged_state_file_is_refused_with_words(fresh_aws: EmbeddedAws) -> None:
    walk.create(fresh_aws, PASSES)
    fresh_aws.stop()
    (fresh_aws.state_dir / "state.db").write_bytes(b"no database at all " * 1000)
    argv = [sys.executable, "-m", "mlops_kit.local.server", "--port", "0"]
    done = subprocess.run(
        [*argv, "--state-dir", str(fresh_aws.state_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be opened" in done.stderr and "To mend it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("most", [1, 100])  # bytes of a file: of 100, the body of an object, and not the rest
@pytest.mark.parametrize("versioned", [False, True])
def test_an_object_that_cannot_be_written_is_refused_and_the_old_one_stays(
    fresh_aws: EmbeddedAws, most: int, versioned: bool
) -> None:
    s3 = fresh_aws.client("s3")
    s3.create_bucket(Bucket="full")
    if versioned:
        s3.put_bucket_versioning(Bucket="full", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="full", Key="old", Body=b"as it was", Tagging="a=b")
    s3.put_object(Bucket="full", Key="other", Body=b"another", ContentType="text/x-other")
    upload = s3.create_multipart_upload(Bucket="full", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="full", Key="parts", UploadId=upload, PartNumber=1, Body=b"in parts")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    before = _objects(fresh_aws)
    with _full(fresh_aws, most):
        assert "Free some space" in _refused(s3.put_object, Bucket="full", Key="old", Body=b"written anew")
        _refused(s3.put_object, Bucket="full", Key="new", Body=b"written at all")
        _refused(s3.copy_object, Bucket="full", Key="old", CopySource="full/other")
        finish = {"Bucket": "full", "Key": "parts", "UploadId": upload, "MultipartUpload": parts}
        _refused(s3.complete_multipart_upload, **finish)
        assert _objects(fresh_aws) == before
    s3.complete_multipart_upload(**finish)  # its parts were kept
    whole = _objects(fresh_aws)
    assert whole.pop("parts")[0] == b"in parts" and whole == before
    time.sleep(1.5)
    fresh_aws.kill()
    fresh_aws.start()
    again = _objects(fresh_aws)
    assert again.pop("parts")[0] == b"in parts" and again == before


def _objects(aws: EmbeddedAws) -> dict[str, tuple[bytes, str, Any, Any]]:
    """Everything in the bucket: body, ETag, tags and version by key."""
    s3, found = aws.client("s3"), {}
    for entry in s3.list_objects_v2(Bucket="full")["Contents"]:
        answer = s3.get_object(Bucket="full", Key=entry["Key"])
        tags = s3.get_object_tagging(Bucket="full", Key=entry["Key"])["TagSet"]
        found[entry["Key"]] = answer["Body"].read(), answer["ETag"], tags, answer.get("VersionId")
    return found
