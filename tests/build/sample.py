"""A pipeline as large as the real retraining, for tests of the build room that need one of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.pipeline import Function, GlueJob, Pipeline
from mlops_kit.trigger import Schedule

HERE = Path(__file__)
IMAGE = "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
RETRY = [
    {"ErrorEquals": ["SageMaker.AmazonSageMakerException"], "MaxAttempts": 5, "BackoffRate": 2.0},
    {"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 2},
]
JOB_NAME = "States.Format('demand-{}', States.Hash($$.Execution.Id, 'SHA-1'))"
RESUMABLE = (
    *("PrepareTrainingData", "TrainModel", "ScoreModels", "EvaluateModel", "RegisterModel", "CreateModel"),
    *("CreateEndpointConfig", "FindEndpoint", "CreateEndpoint", "UpdateEndpoint", "DescribeEndpoint"),
    *("ApproveModel", "MarkDone", "NotifySuccess"),
)


def task(resource: str, parameters: dict[str, Any], next_state: str | None, **further: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::{resource}",
        "Parameters": parameters,
        "Retry": RETRY,
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "NotifyFailure"}],
        "TimeoutSeconds": 3600,
        **({"Next": next_state} if next_state else {"End": True}),
        **further,
    }


def definition() -> dict[str, Any]:
    """The retraining workflow's states, with the names of the decision record."""
    key = {"pk": {"S": "demand#2011-W26"}}
    endpoint = {"EndpointName": "mlops-kit-demand", "EndpointConfigName.$": JOB_NAME}
    tags = [{"Key": "mlops-kit:project", "Value": "mlops-kit"}]
    image = {"ImageUri": IMAGE}
    cluster = {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}}
    states: dict[str, Any] = {
        "ResumeFrom": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.resume.from", "StringEquals": name, "Next": name} for name in RESUMABLE
            ],
            "Default": "ClaimWindow",
        },
        "ClaimWindow": {
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": "arn:aws:states:::dynamodb:putItem",
            "Arguments": {"TableName": "${LockTable}", "Item": key},
            "Output": "{% $states.input %}",
            "TimeoutSeconds": 60,
            "Retry": RETRY,
            "Catch": [
                {"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "AlreadyRetraining"},
                {"ErrorEquals": ["States.ALL"], "Next": "NotifyFailure"},
            ],
            "Next": "PrepareTrainingData",
        },
        "AlreadyRetraining": {"Type": "Succeed"},
        "PrepareTrainingData": task(
            "glue:startJobRun.sync",
            {"JobName": "${PrepareTrainingDataJob}", "Arguments": {"--bucket": "${DataBucket}"}},
            "TrainModel",
        ),
        "TrainModel": task(
            "sagemaker:createTrainingJob.sync",
            {"TrainingJobName.$": JOB_NAME, "RoleArn": "${SageMakerRole}", "Tags": tags}
            | {"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"}}
            | {"OutputDataConfig": {"S3OutputPath": "s3://${DataBucket}/models/"}},
            "ScoreModels",
        ),
        "ScoreModels": task(
            "sagemaker:createProcessingJob.sync",
            {"ProcessingJobName.$": JOB_NAME, "RoleArn": "${SageMakerRole}", "ProcessingResources": cluster}
            | {"AppSpecification": image},
            "EvaluateModel",
        ),
        "EvaluateModel": task("lambda:invoke", {"FunctionName": "${EvaluateFunction}"}, "CheckMetrics"),
        "CheckMetrics": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": "$.metrics.wape", "NumericLessThanEquals": 0.25},
                        {"Variable": "$.verdict", "StringEquals": "better"},
                    ],
                    "Next": "RegisterModel",
                }
            ],
            "Default": "NotifyRejected",
        },
        "RegisterModel": task(
            "aws-sdk:sagemaker:createModelPackage",
            {"ModelPackageGroupName": "mlops-kit-demand", "ModelApprovalStatus": "PendingManualApproval"},
            "CreateModel",
        ),
        "CreateModel": task(
            "sagemaker:createModel",
            {"ModelName.$": JOB_NAME, "ExecutionRoleArn": "${SageMakerRole}", "Tags": tags},
            "CreateEndpointConfig",
        ),
        "CreateEndpointConfig": task(
            "sagemaker:createEndpointConfig", {"EndpointConfigName.$": JOB_NAME, "Tags": tags}, "FindEndpoint"
        ),
        "FindEndpoint": task(
            "aws-sdk:sagemaker:listEndpoints", {"NameContains": "mlops-kit-demand"}, "EndpointExists"
        ),
        "EndpointExists": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.found.Endpoints[0]", "IsPresent": True, "Next": "UpdateEndpoint"}],
            "Default": "CreateEndpoint",
        },
        "CreateEndpoint": task("sagemaker:createEndpoint", endpoint | {"Tags": tags}, "WaitForEndpoint"),
        "UpdateEndpoint": task("sagemaker:updateEndpoint", endpoint, "WaitForEndpoint"),
        "WaitForEndpoint": {"Type": "Wait", "Seconds": 30, "Next": "DescribeEndpoint"},
        "DescribeEndpoint": task(
            "aws-sdk:sagemaker:describeEndpoint", {"EndpointName": "mlops-kit-demand"}, "CheckEndpoint"
        ),
        "CheckEndpoint": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.EndpointStatus", "StringEquals": "InService", "Next": "ApproveModel"},
                {"Variable": "$.EndpointStatus", "StringEquals": "Failed", "Next": "NotifyFailure"},
            ],
            "Default": "WaitForEndpoint",
        },
        "ApproveModel": task(
            "aws-sdk:sagemaker:updateModelPackage",
            {"ModelPackageArn.$": "$.package.ModelPackageArn", "ModelApprovalStatus": "Approved"},
            "MarkDone",
        ),
        "MarkDone": task("dynamodb:updateItem", {"TableName": "${LockTable}", "Key": key}, "NotifySuccess"),
        "NotifySuccess": task("sns:publish", {"TopicArn": "${RoutineTopic}", "Message": "new"}, None),
        "NotifyRejected": task(
            "sns:publish", {"TopicArn": "${RoutineTopic}", "Message": "no"}, "KeepChampion"
        ),
        "KeepChampion": {"Type": "Succeed"},
        "NotifyFailure": {
            **task("sns:publish", {"TopicArn": "${CriticalTopic}", "Message.$": "$.error"}, "ReleaseWindow"),
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "ReleaseWindow"}],
        },
        "ReleaseWindow": {
            **task("dynamodb:deleteItem", {"TableName": "${LockTable}", "Key": key}, "RetrainingFailed"),
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "RetrainingFailed"}],
        },
        "RetrainingFailed": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
    }
    return {"Comment": "Retrain demand", "StartAt": "ResumeFrom", "States": states, "TimeoutSeconds": 14400}


def pipeline(**changes: Any) -> Pipeline:
    """The sample as a pipeline; keyword arguments replace its fields."""
    fields: dict[str, Any] = {
        "name": "retraining-demand",
        "description": "Retrains the demand model and puts the better one into service.",
        "definition": definition(),
        "model": "demand",
        "functions": (
            Function(
                "Evaluate",
                "evaluate.handler",
                Artifact("evaluate", "zip", (("evaluate.py", HERE),)),
                reads=("metrics/",),
                environment={"BUCKET": "${DataBucket}", "LEVEL": "INFO"},
            ),
        ),
        "jobs": (
            GlueJob(
                "PrepareTrainingData",
                Artifact("prepare", "file", (("prepare.py", HERE),)),
                modules=(Artifact("features", "wheel", (("features/__init__.py", HERE),)),),
                reads=("raw/demand/",),
                writes=("features/demand/",),
                arguments={"--data-bucket": "${DataBucket}"},
            ),
        ),
        "schedules": (Schedule("cron(0 3 ? * MON *)", "Europe/Berlin"),),
        "artifacts": (Artifact("training", "tar.gz", (("train.py", HERE),)),),
        "reads": ("features/demand/", "models/"),
        "writes": ("models/", "metrics/"),
    }
    return Pipeline(**(fields | changes))
