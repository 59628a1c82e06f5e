"""What AWS asks of a state machine's role when the machine is made or changed; nothing of an execution.

Sources: Step Functions Developer Guide, "How Step Functions generates IAM policies for integrated services"
(managed rules) and "Using CloudWatch Logs to log execution history"; the words are those of AWS's refusals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlops_kit.asl.states import walk
from mlops_kit.local.authorization import Authorization
from mlops_kit.local.service import ACCOUNT, AwsError
from mlops_kit.local.stepfunctions import integrations
from mlops_kit.local.stepfunctions.failures import StateFailed

_RULES: Mapping[tuple[str, str], str] = {
    ("sagemaker", "createTrainingJob"): "SageMakerTrainingJobs",
    ("sagemaker", "createTransformJob"): "SageMakerTransformJobs",
    ("sagemaker", "createProcessingJob"): "SageMakerProcessingJobs",
    ("sagemaker", "createHyperParameterTuningJob"): "SageMakerTuningJobs",
    ("sagemaker", "createLabelingJob"): "SageMakerLabelingJobs",
    ("states", "startExecution"): "StepFunctionsExecution",
    ("ecs", "runTask"): "ECSTask",
}
_DELIVERY = (
    *("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery"),
    *("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups"),
)


def check(
    authorization: Authorization, machine: str, role_arn: str, definition: Mapping[str, Any], logs: bool
) -> None:
    """Refuse a role that a state machine cannot work with.

    Parameters
    ----------
    machine : str
        ARN of the state machine.
    definition : mapping
        A valid definition.
    logs : bool
        Whether the machine writes to a log group.

    Raises
    ------
    AwsError
        AccessDeniedException.
    """
    if not authorization.assumable(role_arn, "states.amazonaws.com", machine):
        raise _denied(
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized "
            "to assume the provided role."
        )
    region = machine.split(":")[3]
    for rule in dict.fromkeys(_managed_rules(definition)):
        arn = f"arn:aws:events:{region}:{ACCOUNT}:rule/StepFunctionsGetEventsFor{rule}Rule"
        if not _may(authorization, role_arn, ("PutTargets", "PutRule", "DescribeRule"), "events", arn):
            raise _denied(f"'{role_arn}' is not authorized to create managed-rule.")
    if logs and not _may(authorization, role_arn, _DELIVERY, "logs", "*"):
        raise _denied("The state machine IAM Role is not authorized to access the Log Destination")


def _managed_rules(definition: Mapping[str, Any]) -> Iterator[str]:
    """Rules by which Step Functions hears of the ends of the jobs that the definition waits for."""
    for place in walk(definition):
        if place.state.get("Type") != "Task":
            continue
        try:
            target = integrations.resolve(place.state["Resource"])
        except StateFailed:  # which its execution will say
            continue
        rule = _RULES.get((target.service, target.action))
        if rule and target.pattern.startswith("sync"):
            yield rule


def _may(
    authorization: Authorization, role_arn: str, actions: tuple[str, ...], prefix: str, arn: str
) -> bool:
    try:
        for action in actions:
            authorization.check(role_arn, f"{prefix}:{action}", arn)
    except AwsError:
        return False
    return True


def _denied(words: str) -> AwsError:
    return AwsError("AccessDeniedException", words)
