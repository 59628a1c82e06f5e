"""The whole walk with boto3 and an endpoint URL: no word of the kit. Run as a script in a process of its own.

    python walk.py URL FOLDER INPUT

FOLDER holds ``foundation.json`` and ``pipeline.json`` (templates), ``artifacts/<key>`` and ``data/<key>``.
Prints one JSON line: what the execution came to, and what the endpoint says.
"""

import json
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

URL, FOLDER, INPUT = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
REGION = "us-east-1"


def client(service: str):
    return boto3.client(
        service,
        endpoint_url=URL,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(inject_host_prefix=False),
    )


def stack(name: str, parameters: dict[str, str], template_url: str | None = None) -> dict[str, str]:
    """Create a stack by a change set; its outputs."""
    formation = client("cloudformation")
    body = json.loads((FOLDER / f"{name}.json").read_text())
    source = {"TemplateURL": template_url} if template_url else {"TemplateBody": json.dumps(body)}
    formation.create_change_set(
        StackName=f"walk-{name}",
        ChangeSetName="first",
        ChangeSetType="CREATE",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        **source,
    )
    formation.get_waiter("change_set_create_complete").wait(
        StackName=f"walk-{name}", ChangeSetName="first", WaiterConfig={"Delay": 1}
    )
    formation.execute_change_set(StackName=f"walk-{name}", ChangeSetName="first")
    formation.get_waiter("stack_create_complete").wait(StackName=f"walk-{name}", WaiterConfig={"Delay": 1})
    made = formation.describe_stacks(StackName=f"walk-{name}")["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}


def upload(bucket: str, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client("s3").put_object(
                Bucket=bucket, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes()
            )


def run(machine: str, text: str) -> dict:
    states = client("stepfunctions")
    arn = states.start_execution(stateMachineArn=machine, input=text)["executionArn"]
    while (execution := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
        time.sleep(0.5)
    pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for page in pages
        for event in page["events"]
        if "stateEnteredEventDetails" in event
    ]
    keys = ("executionArn", "status", "output", "error", "cause")
    return {**{key: execution.get(key) for key in keys}, "entered": entered}


def main() -> None:
    shared = stack("foundation", {})
    upload(shared["ArtifactBucket"], FOLDER / "artifacts")
    upload(shared["DataBucket"], FOLDER / "data")
    template = (FOLDER / "pipeline.json").read_bytes()
    client("s3").put_object(Bucket=shared["ArtifactBucket"], Key="templates/pipeline.json", Body=template)
    wanted = json.loads(template)["Parameters"]
    made = stack(
        "pipeline",
        {name: shared[name] for name in wanted},
        f"{URL}/{shared['ArtifactBucket']}/templates/pipeline.json",
    )
    result = {"outputs": made, "shared": shared, **run(made["StateMachineArn"], INPUT)}
    if result["status"] == "SUCCEEDED":
        rows = "17,5,1,0,1,0.7,0.66,0.5,0.1,400,380,190\n4,5,1,0,1,0.6,0.6,0.7,0.1,5,6,190\n"
        answer = client("sagemaker-runtime").invoke_endpoint(
            EndpointName="walk-demand", ContentType="text/csv", Accept="application/json", Body=rows
        )
        result["predictions"] = json.loads(answer["Body"].read())["predictions"]
    result["kit"] = [name for name in sys.modules if name.partition(".")[0] in ("mlops_kit", "pipelines")]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
