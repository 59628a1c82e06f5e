"""State machines for the kill test: chains, waits, counted side effects, fans, callbacks and jobs."""

from __future__ import annotations

from typing import Any

from tests.local.stepfunctions import walk

# Each call leaves an item of its own: which state's entry it was for, and when.
COUNTING = """
import json, os, time, urllib.request, uuid
SCOPE = "test/20200101/us-east-1/dynamodb/aws4_request"
AUTH = f"AWS4-HMAC-SHA256 Credential={{SCOPE}}, SignedHeaders=host, Signature=0"
def handler(event, context):
    item = {{"id": {{"S": event["key"] + "#" + uuid.uuid4().hex}}, "at": {{"N": repr(time.time())}}}}
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL"], json.dumps({{"TableName": "{table}", "Item": item}}).encode(),
        {{"X-Amz-Target": "DynamoDB_20120810.PutItem", "Content-Type": "application/x-amz-json-1.0",
          "Authorization": AUTH}})
    urllib.request.urlopen(request, timeout=20).read()
    return {{"n": event["n"]}}
"""
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 20, "BackoffRate": 1}]


def create(aws: Any, effects: str, callbacks: str) -> dict[str, str]:
    """The machines' ARNs by kind."""
    function = walk.function(aws, COUNTING.format(table=effects))
    item = walk.states(("Item", _counted(function)), ("Pass", {"Type": "Pass"}))
    spread = {**item, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    each = {"Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.done"}
    wait = {"Type": "Wait", "SecondsPath": "$.seconds"}
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": callbacks, "MessageBody": {"token.$": "$$.Task.Token"}},
        "Retry": RETRY,
    }
    chain = [(f"S{n}", {"Type": "Pass"}) for n in range(80)]
    branches = [walk.states(("Left", wait)), walk.states(("Right", _counted(function)))]
    definitions = {
        "chain": walk.states(*chain),
        "wait": walk.states(("Before", _counted(function)), ("Wait", wait), ("After", _counted(function))),
        "map": walk.states(("Each", {**each, "ItemProcessor": item}), ("After", _counted(function))),
        "spread": walk.states(("Each", {**each, "ItemProcessor": spread})),
        "both": walk.states(("Both", {"Type": "Parallel", "Branches": branches})),
        "ask": walk.states(("Ask", ask), ("After", _counted(function))),
    }
    return {kind: walk.create(aws, definition, name=kind) for kind, definition in definitions.items()}


def _counted(function: str) -> dict[str, Any]:
    key = "States.Format('{}/{}/{}', $$.Execution.Name, $$.State.Name, $.n)"
    return {
        "Type": "Task",
        "Resource": function,
        "Parameters": {"key.$": key, "n.$": "$.n"},
        "ResultPath": "$.counted",
        "Retry": RETRY,
    }


def jobs(aws: Any, bucket: str, diary: str) -> dict[str, str]:
    """By kind, a machine that runs a Glue job or a processing job, which notes in `diary` that it began."""
    script = (
        "import os, sys, time\n"
        "name = sys.argv[sys.argv.index('--execution') + 1]\n"
        f"with open({diary!r}, 'a') as file:\n"
        "    print(name, os.getpid(), file=file)\n"
        "time.sleep(3)\n"
    )
    aws.client("s3").put_object(Bucket=bucket, Key="code/job.py", Body=script.encode())
    states = {"glue": _glue(aws, bucket), "process": _process(bucket)}
    return {
        kind: walk.create(aws, walk.states(("Job", {**state, "Retry": RETRY})), name=f"{kind}-job")
        for kind, state in states.items()
    }


def _glue(aws: Any, bucket: str) -> dict[str, Any]:
    command = {"Name": "pythonshell", "ScriptLocation": f"s3://{bucket}/code/job.py", "PythonVersion": "3.9"}
    aws.client("glue").create_job(
        Name="job", Role=walk.ROLE, Command=command, ExecutionProperty={"MaxConcurrentRuns": 50}
    )
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::glue:startJobRun.sync",
        "Parameters": {"JobName": "job", "Arguments": {"--execution.$": "$$.Execution.Name"}},
    }


def _process(bucket: str) -> dict[str, Any]:
    code = "/opt/ml/processing/code"
    place = {"S3Uri": f"s3://{bucket}/code/", "LocalPath": code, "S3DataType": "S3Prefix"}
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::sagemaker:createProcessingJob.sync",
        "Parameters": {
            "ProcessingJobName.$": "States.Format('p-{}', States.UUID())",  # each try is a job of its own
            "RoleArn": walk.ROLE,
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": ["python3", f"{code}/job.py"],
                "ContainerArguments.$": "States.Array('--execution', $$.Execution.Name)",
            },
            "ProcessingResources": {"ClusterConfig": cluster},
            "ProcessingInputs": [{"InputName": "code", "S3Input": {**place, "S3InputMode": "File"}}],
        },
    }
