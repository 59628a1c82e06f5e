"""Tasks that call an API of API Gateway, and tasks that would need a container engine."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.local.stepfunctions import walk

_ECHO = """
import json
def handler(event, context):
    if event["httpMethod"] == "DELETE":
        return {"statusCode": 403, "body": json.dumps({"message": "Missing Authentication Token"})}
    told = {"path": event["path"], "query": event["queryStringParameters"], "body": event["body"]}
    return {"statusCode": 200, "headers": {"x-told": "yes"}, "body": json.dumps(told)}
"""


@pytest.fixture(scope="module")
def api(aws: Any) -> str:
    """Id of a REST API with /bills and the stage prod, answered by a function."""
    gateway, function = aws.client("apigateway"), walk.function(aws, _ECHO)
    made = gateway.create_rest_api(name=f"api-{uuid.uuid4().hex[:8]}")
    root = gateway.get_resources(restApiId=made["id"])["items"][0]["id"]
    place = {
        "restApiId": made["id"],
        "resourceId": gateway.create_resource(restApiId=made["id"], parentId=root, pathPart="bills")["id"],
        "httpMethod": "ANY",
    }
    gateway.put_method(**place, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations"
    gateway.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=made["id"], stageName="prod")
    return str(made["id"])


def _invoke(api: str, method: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::apigateway:invoke",
        "Parameters": {
            "ApiEndpoint": f"{api}.execute-api.us-east-1.amazonaws.com",
            "Method": method,
            "Stage": "prod",
            "Path": "bills",
            **more,
        },
    }


def test_an_api_is_called_with_query_and_body_and_answers_with_status_and_headers(aws: Any, api: str) -> None:
    call = _invoke(api, "POST", QueryParameters={"billId": ["123456"]}, RequestBody={"a": 1})
    shown = walk.run(aws, walk.states(("Call", call)))
    output = shown["output"]
    assert (output["StatusCode"], output["StatusText"]) == (200, "OK")
    assert output["Headers"]["x-told"] == ["yes"]
    body = output["ResponseBody"]
    assert (body["path"], body["query"]) == ("/bills", {"billId": "123456"})
    assert json.loads(body["body"]) == {"a": 1}


def test_a_status_that_is_no_success_is_an_error_with_the_body_as_its_cause(aws: Any, api: str) -> None:
    shown = walk.run(aws, walk.states(("Call", _invoke(api, "DELETE"))))
    assert shown["error"] == "ApiGateway.403"
    assert json.loads(shown["cause"]) == {"message": "Missing Authentication Token"}


def test_an_endpoint_that_is_no_api_is_refused_with_words(aws: Any) -> None:
    call = _invoke("x", "GET", ApiEndpoint="127.0.0.1:1")
    shown = walk.run(aws, walk.states(("Call", call)))
    assert shown["error"] == "ApiGateway.SdkClientException"
    assert "<API ID>.execute-api" in shown["cause"]


@pytest.mark.parametrize("pattern", ["", ".sync"])
def test_a_container_task_is_recorded_as_not_run_and_says_so(aws: Any, pattern: str) -> None:
    ecs, family = aws.client("ecs"), f"family-{uuid.uuid4().hex[:8]}"
    ecs.register_task_definition(family=family, containerDefinitions=[{"name": "c", "image": "busybox"}])
    ecs.create_cluster(clusterName=family)
    task = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::ecs:runTask{pattern}",
        "Parameters": {"Cluster": family, "TaskDefinition": family, "LaunchType": "FARGATE"},
    }
    shown = walk.run(aws, walk.states(("Run", task)))
    if pattern:
        assert shown["error"] == "States.TaskFailed"
        told = json.loads(shown["cause"])
    else:
        told = shown["output"]["Tasks"][0]
    assert told["LastStatus"] == "STOPPED"
    assert "was not run: the embedded AWS has no container engine" in told["StoppedReason"]
    (arn,) = ecs.list_tasks(cluster=family, desiredStatus="STOPPED")["taskArns"]
    (recorded,) = ecs.describe_tasks(cluster=family, tasks=[arn])["tasks"]
    assert recorded["stopCode"] == "TaskFailedToStart"
