"""The CloudFormation types of our services, one by one; how they are called is `cloudformation`'s.

Source of identifiers and attributes: "Return values" of each type in the CloudFormation User Guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mlops_kit.local.cloudformation import (
    Calls,
    Made,
    Properties,
    ResourceType,
    substituted,
    tag_changes,
    tags,
    wait_until,
)
from mlops_kit.local.corrections.interrupted import resuming

_SFN, _SAGEMAKER = "stepfunctions", "sagemaker"


# Step Functions


def _definition(calls: Calls, props: Properties) -> str:
    if props.get("DefinitionS3Location"):
        location = props["DefinitionS3Location"]
        where = {"Bucket": location["Bucket"], "Key": location["Key"], "VersionId": location.get("Version")}
        text = calls("s3", "GetObject", **where)["Body"].read().decode()
    elif props.get("Definition") is not None:
        text = json.dumps(props["Definition"])
    else:
        text = props.get("DefinitionString") or ""
    return substituted(text, props.get("DefinitionSubstitutions") or {})


def _machine_settings(calls: Calls, operation: str, props: Properties) -> dict[str, Any]:
    names = ("RoleArn", "LoggingConfiguration", "TracingConfiguration", "EncryptionConfiguration")
    settings = {"LoggingConfiguration": {"Level": "OFF"}, "TracingConfiguration": {"Enabled": False}}
    settings |= {name: props[name] for name in names if name in props}
    return calls.fit(_SFN, operation, settings)


def _machine_made(calls: Calls, arn: str) -> Made:
    machine = calls(_SFN, "DescribeStateMachine", stateMachineArn=arn)
    revision = machine.get("revisionId") or "INITIAL"  # a machine that was never updated has none
    return arn, {"Arn": arn, "Name": machine["name"], "StateMachineRevisionId": revision}


def _create_machine(calls: Calls, name: str, props: Properties) -> Made:
    params = _machine_settings(calls, "CreateStateMachine", props)
    params |= {"name": name, "definition": _definition(calls, props)}
    params["type"] = props.get("StateMachineType")
    params["tags"] = _lower_tags(tags(props)) or None
    return _machine_made(calls, calls(_SFN, "CreateStateMachine", **params)["stateMachineArn"])


def _update_machine(calls: Calls, arn: str, old: Properties, new: Properties) -> Made:
    params = _machine_settings(calls, "UpdateStateMachine", new)
    definition = _definition(calls, new)
    calls(_SFN, "UpdateStateMachine", **params, stateMachineArn=arn, definition=definition)
    _retag_states(calls, arn, old, new)
    return _machine_made(calls, arn)


def _delete_machine(calls: Calls, arn: str, props: Properties) -> None:
    calls.forgiving(_SFN, "DeleteStateMachine", stateMachineArn=arn)

    def gone() -> bool:
        try:
            calls(_SFN, "DescribeStateMachine", stateMachineArn=arn)
        except ValueError:
            return True
        return False

    wait_until(gone)


def _create_version(calls: Calls, name: str, props: Properties) -> Made:
    params = calls.fit(_SFN, "PublishStateMachineVersion", props)
    params["revisionId"] = props.get("StateMachineRevisionId")
    arn = calls(_SFN, "PublishStateMachineVersion", **params)["stateMachineVersionArn"]
    return arn, {"Arn": arn}


def _delete_version(calls: Calls, arn: str, props: Properties) -> None:
    calls.forgiving(_SFN, "DeleteStateMachineVersion", stateMachineVersionArn=arn)


def _routing(props: Properties) -> list[dict[str, Any]]:
    """Where an alias points; a gradual DeploymentPreference is taken as all at once."""
    preference = props.get("DeploymentPreference")
    if preference:
        return [{"stateMachineVersionArn": preference["StateMachineVersionArn"], "weight": 100}]
    return [
        {"stateMachineVersionArn": route["StateMachineVersionArn"], "weight": int(route["Weight"])}
        for route in props.get("RoutingConfiguration") or []
    ]


def _create_alias(calls: Calls, name: str, props: Properties) -> Made:
    params = {"name": name, "description": props.get("Description"), "routingConfiguration": _routing(props)}
    arn = calls(_SFN, "CreateStateMachineAlias", **params)["stateMachineAliasArn"]
    return arn, {"Arn": arn}


def _update_alias(calls: Calls, arn: str, old: Properties, new: Properties) -> Made:
    params = {"description": new.get("Description"), "routingConfiguration": _routing(new)}
    calls(_SFN, "UpdateStateMachineAlias", stateMachineAliasArn=arn, **params)
    return arn, {"Arn": arn}


def _delete_alias(calls: Calls, arn: str, props: Properties) -> None:
    calls.forgiving(_SFN, "DeleteStateMachineAlias", stateMachineAliasArn=arn)


def _create_activity(calls: Calls, name: str, props: Properties) -> Made:
    arn = calls(_SFN, "CreateActivity", name=name, tags=_lower_tags(tags(props)) or None)["activityArn"]
    return arn, {"Arn": arn, "Name": name}


def _update_activity(calls: Calls, arn: str, old: Properties, new: Properties) -> Made:
    _retag_states(calls, arn, old, new)
    return arn, {"Arn": arn, "Name": arn.rpartition(":")[2]}


def _delete_activity(calls: Calls, arn: str, props: Properties) -> None:
    calls.forgiving(_SFN, "DeleteActivity", activityArn=arn)


def _retag_states(calls: Calls, arn: str, old: Properties, new: Properties) -> None:
    put, remove = tag_changes(old, new)
    if remove:
        calls(_SFN, "UntagResource", resourceArn=arn, tagKeys=remove)
    if put:
        calls(_SFN, "TagResource", resourceArn=arn, tags=_lower_tags(put))


def _lower_tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


# SageMaker


def _sagemaker(kind: str, update: bool = False) -> ResourceType:
    """A type whose operations are Create<kind> and Delete<kind> and whose id is its ARN."""
    name_member, arn_member = f"{kind}Name", f"{kind}Arn"

    def name_of(arn: str, props: Properties) -> str:
        """A generated name is in lower case, as every ARN of SageMaker is."""
        return str(props.get(name_member) or arn.rpartition("/")[2])

    def create(calls: Calls, name: str, props: Properties) -> Made:
        name = props.get(name_member) or name.lower()
        params = calls.fit(_SAGEMAKER, f"Create{kind}", {k: v for k, v in props.items() if k != "Tags"})
        params |= {name_member: name, "Tags": _upper_tags(tags(props)) or None}
        arn = calls(_SAGEMAKER, f"Create{kind}", **params)[arn_member]
        if kind == "Endpoint":
            _wait_for_endpoint(calls, name)
        return arn, {name_member: name, arn_member: arn}

    def change(calls: Calls, arn: str, old: Properties, new: Properties) -> Made:
        name = name_of(arn, new)
        put, remove = tag_changes(old, new)
        if remove:
            calls(_SAGEMAKER, "DeleteTags", ResourceArn=arn, TagKeys=remove)
        if put:
            calls(_SAGEMAKER, "AddTags", ResourceArn=arn, Tags=_upper_tags(put))
        if update and _untagged(old) != _untagged(new):
            params = calls.fit(_SAGEMAKER, f"Update{kind}", _untagged(new)) | {name_member: name}
            calls(_SAGEMAKER, f"Update{kind}", **params)
            _wait_for_endpoint(calls, name)
        return arn, {name_member: name, arn_member: arn}

    def delete(calls: Calls, arn: str, props: Properties) -> None:
        calls.forgiving(_SAGEMAKER, f"Delete{kind}", **{name_member: name_of(arn, props)})

    def find(calls: Calls, name: str) -> str:
        given = {name_member: name}
        try:
            return str(calls(_SAGEMAKER, f"Describe{kind}", **given)[arn_member])
        except ValueError:  # a generated name is in lower case
            return str(calls(_SAGEMAKER, f"Describe{kind}", **{name_member: name.lower()})[arn_member])

    return ResourceType(create, delete, change, name_member, find=find)


def _wait_for_endpoint(calls: Calls, name: str) -> None:
    def settled() -> bool:
        endpoint = calls(_SAGEMAKER, "DescribeEndpoint", EndpointName=name)
        if endpoint["EndpointStatus"] in ("Failed", "UpdateRollbackFailed", "RollingBack"):
            raise ValueError(f"Endpoint {name} failed: {endpoint.get('FailureReason', 'see its log group')}")
        if endpoint["EndpointStatus"] == "InService" and endpoint.get("FailureReason"):
            raise ValueError(f"Endpoint {name} was rolled back: {endpoint['FailureReason']}")
        return str(endpoint["EndpointStatus"]) == "InService"

    wait_until(settled)


def _upper_tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _untagged(props: Properties) -> dict[str, Any]:
    return {key: value for key, value in props.items() if key != "Tags"}


# Glue


def _job_settings(calls: Calls, props: Properties) -> dict[str, Any]:
    settings = {key: value for key, value in props.items() if key not in ("Tags", "Name")}
    return calls.fit("glue", "CreateJob", settings)


def _create_job(calls: Calls, name: str, props: Properties) -> Made:
    calls("glue", "CreateJob", **_job_settings(calls, props), Name=name, Tags=tags(props) or None)
    return name, {}


def _update_job(calls: Calls, name: str, old: Properties, new: Properties) -> Made:
    if _untagged(old) != _untagged(new):
        calls("glue", "UpdateJob", JobName=name, JobUpdate=_job_settings(calls, new))
    put, remove = tag_changes(old, new)
    region = calls.client("glue").meta.region_name
    arn = f"arn:aws:glue:{region}:000000000000:job/{name}"
    if remove:
        calls("glue", "UntagResource", ResourceArn=arn, TagsToRemove=remove)
    if put:
        calls("glue", "TagResource", ResourceArn=arn, TagsToAdd=put)
    return name, {}


def _delete_job(calls: Calls, name: str, props: Properties) -> None:
    calls.forgiving("glue", "DeleteJob", JobName=name)


# Lambda's event source mappings: ours for Kafka, ministack's for the rest


_MAPPING_DEFAULTS: Properties = {
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {},
    "FilterCriteria": {},
    "FunctionResponseTypes": [],
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ProvisionedPollerConfig": {},
}


def _mapping_settings(calls: Calls, operation: str, props: Properties) -> dict[str, Any]:
    settings = dict(props)
    if managed := settings.get("SelfManagedEventSource"):
        servers = managed["Endpoints"]["KafkaBootstrapServers"]
        settings["SelfManagedEventSource"] = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}}
    given = {"Tags": tags(props)} if tags(props) else {}
    return calls.fit("lambda", operation, {**_untagged(settings), **given})


def _mapping_made(calls: Calls, id: str) -> Made:
    """What it gives once it reads, or has stopped to."""
    states = ("Enabled", "Disabled")
    wait_until(lambda: calls("lambda", "GetEventSourceMapping", UUID=id)["State"] in states)
    arn = calls("lambda", "GetEventSourceMapping", UUID=id)["EventSourceMappingArn"]
    return id, {"Id": id, "EventSourceMappingArn": arn}


def _create_mapping(calls: Calls, name: str, props: Properties) -> Made:
    params = _mapping_settings(calls, "CreateEventSourceMapping", props)
    try:
        id = calls("lambda", "CreateEventSourceMapping", **params)["UUID"]
    except ValueError as error:
        found = re.search(r"existing mapping with UUID ([0-9a-f-]{36})", str(error))
        if not (found and resuming()):
            raise
        return _update_mapping(calls, found[1], {}, props)  # made just before the kill
    return _mapping_made(calls, id)


def _update_mapping(calls: Calls, id: str, old: Properties, new: Properties) -> Made:
    left_out = {option: value for option, value in _MAPPING_DEFAULTS.items() if option in old}
    params = _mapping_settings(calls, "UpdateEventSourceMapping", {**left_out, **new})
    calls("lambda", "UpdateEventSourceMapping", **params, UUID=id)
    return _mapping_made(calls, id)


def _delete_mapping(calls: Calls, id: str, props: Properties) -> None:
    calls.forgiving("lambda", "DeleteEventSourceMapping", UUID=id)

    def gone() -> bool:
        try:
            calls("lambda", "GetEventSourceMapping", UUID=id)
        except ValueError:
            return True
        return False

    wait_until(gone)


# Scheduler


def _create_schedule(calls: Calls, name: str, props: Properties) -> Made:
    params = calls.fit("scheduler", "CreateSchedule", props) | {"Name": name}
    return name, {"Arn": calls("scheduler", "CreateSchedule", **params)["ScheduleArn"]}


def _update_schedule(calls: Calls, name: str, old: Properties, new: Properties) -> Made:
    if old.get("GroupName", "default") != new.get("GroupName", "default"):
        _delete_schedule(calls, name, old)
        return _create_schedule(calls, name, new)
    params = calls.fit("scheduler", "UpdateSchedule", new) | {"Name": name}
    return name, {"Arn": calls("scheduler", "UpdateSchedule", **params)["ScheduleArn"]}


def _delete_schedule(calls: Calls, name: str, props: Properties) -> None:
    calls.forgiving("scheduler", "DeleteSchedule", Name=name, GroupName=props.get("GroupName"))


def _group_made(calls: Calls, name: str) -> Made:
    group = calls("scheduler", "GetScheduleGroup", Name=name)
    times = {member: group[member].isoformat() for member in ("CreationDate", "LastModificationDate")}
    return name, {"Arn": group["Arn"], "State": group["State"], **times}


def _create_group(calls: Calls, name: str, props: Properties) -> Made:
    calls("scheduler", "CreateScheduleGroup", Name=name, Tags=_upper_tags(tags(props)) or None)
    return _group_made(calls, name)


def _update_group(calls: Calls, name: str, old: Properties, new: Properties) -> Made:
    made = _group_made(calls, name)
    put, remove = tag_changes(old, new)
    if remove:
        calls("scheduler", "UntagResource", ResourceArn=made[1]["Arn"], TagKeys=remove)
    if put:
        calls("scheduler", "TagResource", ResourceArn=made[1]["Arn"], Tags=_upper_tags(put))
    return made


def _delete_group(calls: Calls, name: str, props: Properties) -> None:
    calls.forgiving("scheduler", "DeleteScheduleGroup", Name=name)


def _same(calls: Calls, name: str) -> str:
    """The physical id of what is known by its name."""
    return name


TYPES: Mapping[str, ResourceType] = {
    "AWS::StepFunctions::StateMachine": ResourceType(
        _create_machine, _delete_machine, _update_machine, "StateMachineName", 80
    ),
    "AWS::StepFunctions::StateMachineVersion": ResourceType(_create_version, _delete_version),
    "AWS::StepFunctions::StateMachineAlias": ResourceType(
        _create_alias, _delete_alias, _update_alias, "Name", 80
    ),
    "AWS::StepFunctions::Activity": ResourceType(
        _create_activity, _delete_activity, _update_activity, "Name", 80
    ),
    "AWS::SageMaker::Model": _sagemaker("Model"),
    "AWS::SageMaker::EndpointConfig": _sagemaker("EndpointConfig"),
    "AWS::SageMaker::Endpoint": _sagemaker("Endpoint", update=True),
    "AWS::SageMaker::ModelPackageGroup": _sagemaker("ModelPackageGroup"),
    "AWS::Glue::Job": ResourceType(_create_job, _delete_job, _update_job, "Name", 255, _same),
    "AWS::Lambda::EventSourceMapping": ResourceType(_create_mapping, _delete_mapping, _update_mapping),
    "AWS::Scheduler::Schedule": ResourceType(
        _create_schedule, _delete_schedule, _update_schedule, "Name", 64, _same
    ),
    "AWS::Scheduler::ScheduleGroup": ResourceType(
        _create_group, _delete_group, _update_group, "Name", 64, _same
    ),
}
