"""What was changed in AWS behind a stack's back, by CloudFormation's drift detection; mends nothing.

Source: CloudFormation User Guide, "Detect unmanaged configuration changes to stacks and resources with drift
detection".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_kit.deploy.aws import Session
from mlops_kit.deploy.follow import pause
from mlops_kit.deploy.plan import Shown, html_table, text_table
from mlops_kit.deploy.stack import describe
from mlops_kit.errors import DeployError, UsageError

_HEAD = ("resource", "type", "property", "as described", "as it is")


@dataclass(frozen=True)
class Drifted:
    """One property, or one resource, that is not as described.

    Attributes
    ----------
    logical_id, type : str
        As in the template.
    property : str
        Path of the property; empty when the whole resource is gone.
    expected, actual : str
        Values as text.
    """

    logical_id: str
    type: str
    property: str
    expected: str
    actual: str


@dataclass(frozen=True, repr=False)
class StackDrift(Shown):
    """What differs between a stack and what stands in AWS.

    Attributes
    ----------
    stack : str
        CloudFormation stack.
    rows : tuple of Drifted
        Empty when everything is as described.
    """

    stack: str
    rows: tuple[Drifted, ...]

    @property
    def _title(self) -> str:
        return f"{self.stack}: {len(self.rows) or 'no'} difference{'' if len(self.rows) == 1 else 's'}"

    def _cells(self) -> list[tuple[str, ...]]:
        return [(one.logical_id, one.type, one.property, one.expected, one.actual) for one in self.rows]

    def __rich__(self) -> Any:
        return text_table(_HEAD, self._cells(), self._title) if self.rows else self._title

    def _html(self) -> str:
        from html import escape

        cells = [tuple(map(escape, row)) for row in self._cells()]
        return f"<p><b>{self._title}</b></p>" + (html_table(_HEAD, cells) if cells else "")


def detect(session: Session, stack_name: str) -> StackDrift:
    """Ask CloudFormation to compare the stack with what stands.

    Raises
    ------
    UsageError
        There is no such stack.
    DeployError
        CloudFormation could not compare.
    """
    if describe(session, stack_name) is None:
        raise UsageError(f"There is no stack {stack_name}.", suggestion="apply the pipeline first.")
    cloudformation = session.client("cloudformation")
    detection = cloudformation.detect_stack_drift(StackName=stack_name)["StackDriftDetectionId"]
    while True:
        answer = cloudformation.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if answer["DetectionStatus"] == "DETECTION_FAILED":
            raise DeployError(
                f"The drift of {stack_name} was not found out.", cause=answer.get("DetectionStatusReason")
            )
        if answer["DetectionStatus"] == "DETECTION_COMPLETE":
            break
        pause(session)
    return StackDrift(stack_name, tuple(_rows(cloudformation, stack_name)))


def _rows(cloudformation: Any, stack_name: str) -> list[Drifted]:
    rows: list[Drifted] = []
    request: dict[str, Any] = {
        "StackName": stack_name,
        "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"],
    }
    while True:
        answer = cloudformation.describe_stack_resource_drifts(**request)
        for one in answer["StackResourceDrifts"]:
            rows += _of_resource(one)
        if not answer.get("NextToken"):
            return sorted(rows, key=lambda row: (row.logical_id, row.property))
        request["NextToken"] = answer["NextToken"]


def _of_resource(found: Mapping[str, Any]) -> list[Drifted]:
    name, kind = found["LogicalResourceId"], found["ResourceType"]
    if found["StackResourceDriftStatus"] == "DELETED":
        return [Drifted(name, kind, "", "exists", "gone")]
    return [
        Drifted(
            name,
            kind,
            one["PropertyPath"].strip("/").replace("/", "."),
            one.get("ExpectedValue", ""),
            one.get("ActualValue", ""),
        )
        for one in found.get("PropertyDifferences", ())
    ]
