"""Release of a judged model: register, deploy, approve; must not judge."""

from __future__ import annotations

from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import steps
from mlops_kit.build.steps import Call, State
from pipelines import expressions as x
from pipelines.models.spec import ModelSpec

POLLS = 70  # every second at first, every half minute later: half an hour

_API = Call(60, (steps.SAGEMAKER,))


def register(region: str, project: str, spec: ModelSpec, image: str, source: Artifact) -> State:
    """RegisterModel: a version in the model registry, not approved before its endpoint serves."""
    metadata = (
        "$merge([$states.input.evaluation.facts, {"
        "'git_commit': $exists($states.input.git_commit) ? $states.input.git_commit : 'unknown',"
        f" 'source': '{source.digest}',"
        " 'profile': 's3://${DataBucket}/' & $states.input.prefix & '/profile.json',"
        " 'test_data': 's3://${DataBucket}/' & $states.input.prefix & '/test/test.parquet',"
        " 'as_of': $states.input.as_of, 'execution': $states.context.Execution.Id},"
        " $each($states.input.evaluation.metrics.challenger, function($v, $k) {{$k: $string($v)}})])"
    )
    report = {"ContentType": "application/json", "S3Uri": x.data_uri("/metrics/metrics.json")}
    profile = {"ContentType": "application/json", "S3Uri": x.data_uri("/profile.json")}
    arguments = {
        "ModelPackageGroupName": f"{project}-{spec.name}",
        "ModelPackageDescription": f"{{% '{spec.description}, as of ' & $states.input.as_of %}}",
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [_container(region, image, source)],
            "SupportedContentTypes": ["text/csv", "application/json"],
            "SupportedResponseMIMETypes": ["text/csv", "application/json"],
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": report},
            "ModelDataQuality": {"Statistics": profile},
        },
        "CustomerMetadataProperties": f"{{% {metadata} %}}",
    }
    output = x.adding(model_package="$states.result.ModelPackageArn")
    return steps.task(
        "RegisterModel", region, "aws-sdk:sagemaker:createModelPackage", arguments, _API, output
    )


def approve(region: str) -> State:
    """ApproveModel: the version whose endpoint serves is the champion."""
    arguments = {
        "ModelPackageArn": x.of("model_package"),
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "{% 'in service as ' & $states.input.endpoint_config %}",
    }
    return steps.task("ApproveModel", region, "aws-sdk:sagemaker:updateModelPackage", arguments, _API, x.KEEP)


def deploy(region: str, project: str, spec: ModelSpec, image: str, source: Artifact) -> State:
    """DeployModel: model, endpoint configuration, endpoint created or updated, and a wait until it serves.

    The former configuration stays for a rollback. An update that fails falls back to it and leaves the
    endpoint InService: so the configuration that serves is compared with the one that was asked for.
    """
    tags = [{"Key": key, "Value": value} for key, value in x.tags(project, spec.name).items()]
    model = steps.task(
        "CreateModel",
        region,
        "sagemaker:createModel",
        {
            "ModelName": x.job_name(project, spec.name),
            "ExecutionRoleArn": "${SageMakerRole}",
            "PrimaryContainer": _container(region, image, source),
            "Tags": tags,
        },
        _API,
        x.adding(model_name="$split($states.result.ModelArn, '/')[-1]", polls="0"),
    )
    config = _create_config(region, project, spec, tags)
    put = _put_endpoint(region, f"{project}-{spec.name}", tags)
    return steps.group("DeployModel", steps.chain([model, config, put]), "{% $states.result[0] %}")


def _create_config(region: str, project: str, spec: ModelSpec, tags: list[dict[str, str]]) -> State:
    return steps.task(
        "CreateEndpointConfig",
        region,
        "sagemaker:createEndpointConfig",
        {
            "EndpointConfigName": x.job_name(project, spec.name),
            "ProductionVariants": [
                {
                    "VariantName": "champion",
                    "ModelName": x.of("model_name"),
                    "InitialInstanceCount": 1,
                    "InitialVariantWeight": 1,
                    "InstanceType": spec.serving_instance,
                }
            ],
            "Tags": tags,
        },
        _API,
        x.adding(endpoint_config="$split($states.result.EndpointConfigArn, '/')[-1]"),
    )


def _put_endpoint(region: str, endpoint: str, tags: list[dict[str, str]]) -> State:
    """Create or update the endpoint and wait until it serves; delete one whose creation failed before."""
    listed = f"$states.result.Endpoints[EndpointName = '{endpoint}']"
    find = steps.task(
        "FindEndpoint",
        region,
        "aws-sdk:sagemaker:listEndpoints",
        {"NameContains": endpoint, "MaxResults": 100},
        _API,
        x.adding(
            endpoint_was=f"$exists({listed}) ? {listed}.EndpointStatus : 'None'",
            polls="$states.input.polls + 1",
        ),
    )
    target = {"EndpointName": endpoint, "EndpointConfigName": x.of("endpoint_config")}
    create = steps.task(
        "CreateEndpoint", region, "sagemaker:createEndpoint", {**target, "Tags": tags}, _API, x.KEEP
    )
    update = steps.task("UpdateEndpoint", region, "sagemaker:updateEndpoint", target, _API, x.KEEP)
    delete = steps.task(
        "DeleteFailedEndpoint",
        region,
        "aws-sdk:sagemaker:deleteEndpoint",
        {"EndpointName": endpoint},
        _API,
        x.KEEP,
    )
    going = steps.chain([steps.wait("WaitForDeletion", 3), find])
    delete.next(going)
    was = "$states.input.endpoint_was"
    exists = steps.choice(
        "EndpointExists",
        [
            (f"{{% {was} = 'None' %}}", create),
            (f"{{% {was} = 'Failed' %}}", delete),
            (f"{{% {was} = 'Deleting' and $states.input.polls < {POLLS} %}}", going),
        ],
        update,
    )
    wait = _wait_until_in_service(region, endpoint)
    create.next(wait)
    update.next(wait)
    return steps.chain([find, exists])


def _container(region: str, image: str, source: Artifact) -> dict[str, Any]:
    return {
        "Image": image,
        "ModelDataUrl": x.of("model_data"),
        "Environment": {
            "SAGEMAKER_PROGRAM": "inference.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://${{ArtifactBucket}}/{source.key}",
            "SAGEMAKER_REGION": region,
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
        },
    }


def _wait_until_in_service(region: str, endpoint: str) -> State:
    wait = steps.wait("WaitForEndpoint", "{% $min([30, 1 + $floor($power($states.input.polls, 2) / 8)]) %}")
    answer = "$states.result"
    describe = steps.task(
        "DescribeEndpoint",
        region,
        "aws-sdk:sagemaker:describeEndpoint",
        {"EndpointName": endpoint},
        _API,
        x.adding(
            endpoint=(
                f"{{'status': {answer}.EndpointStatus, 'config': {answer}.EndpointConfigName,"
                f" 'reason': {answer}.FailureReason}}"
            ),
            polls="$states.input.polls + 1",
        ),
    )
    serves = "$states.input.endpoint.status = 'InService'"
    ours = "$states.input.endpoint.config = $states.input.endpoint_config"
    moving = "$states.input.endpoint.status in ['Creating', 'Updating', 'RollingBack', 'SystemUpdating']"
    failed = steps.fail(
        "EndpointNotInService",
        "EndpointNotInService",
        "{% 'Endpoint is ' & $states.input.endpoint.status & ' on ' & $states.input.endpoint.config"
        " & ', asked for ' & $states.input.endpoint_config & ($exists($states.input.endpoint.reason)"
        " ? ': ' & $states.input.endpoint.reason : '') %}",
    )
    done = steps.pass_("EndpointServes", x.KEEP)
    check = steps.choice(
        "CheckEndpoint",
        [
            (f"{{% {serves} and {ours} %}}", done),
            (f"{{% {moving} and $states.input.polls < {POLLS} %}}", wait),
        ],
        failed,
    )
    steps.chain([wait, describe, check])
    return wait
