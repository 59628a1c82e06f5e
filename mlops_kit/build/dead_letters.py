"""The queue of what a trigger could not deliver, with an alarm on its depth; must not know the triggers.

Sources: EventBridge User Guide, "Using dead-letter queues to process undelivered events"; SQS Developer
Guide, "Available CloudWatch metrics for Amazon SQS".
"""

from __future__ import annotations

from typing import Any

from mlops_kit.build.policy import Tags

KEPT = 14 * 86_400  # seconds; the most that SQS keeps a message


def resources(logical: str, name: str, tags: Tags, sent_by: str | None = None) -> dict[str, Any]:
    """A standard queue, encrypted, and an alarm that tells the critical topic of the first message in it.

    Parameters
    ----------
    logical : str
        Logical id of the queue; the others begin with it.
    name : str
        Of the queue.
    tags : list of dict
        Of the queue.
    sent_by : str, optional
        Service principal that sends without a role, such as ``events.amazonaws.com``; only for this account.
    """
    queue = {"Fn::GetAtt": [logical, "Arn"]}
    found: dict[str, Any] = {
        logical: {
            "Type": "AWS::SQS::Queue",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {
                "QueueName": name,
                "MessageRetentionPeriod": KEPT,
                "SqsManagedSseEnabled": True,
                "Tags": tags,
            },
        },
        f"{logical}Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmDescription": f"A trigger could not deliver: look into the queue {name}.",
                "Namespace": "AWS/SQS",
                "MetricName": "ApproximateNumberOfMessagesVisible",
                "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": [logical, "QueueName"]}}],
                "Statistic": "Maximum",
                "Period": 300,
                "EvaluationPeriods": 1,
                "Threshold": 0,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": [{"Ref": "CriticalTopic"}],
            },
        },
    }
    if sent_by:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": sent_by},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        }
        found[f"{logical}Policy"] = {
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{"Ref": logical}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            },
        }
    return found
