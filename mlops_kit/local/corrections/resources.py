"""Properties that ministack's resource handlers drop in silence, and bad resources that they let pass.

Each correction adds calls to the port after ministack's own handler, or checks before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlops_kit.local.cloudformation import Calls, Made, Properties, tags
from mlops_kit.local.ministack import module

Handler = dict[str, Any]
Step = Callable[[Calls, str, Properties, Properties], None]  # calls, physical id, old and new properties


def install(table: dict[str, Handler], calls: Calls) -> None:
    """Put the corrections into ministack's handler table."""
    for name, before, after in (
        ("AWS::S3::Bucket", None, _complete_bucket),
        ("AWS::DynamoDB::Table", _check_table, _complete_table),
        ("AWS::Lambda::Function", _check_function, _complete_function),
    ):
        table[name] = _corrected(table[name], calls, before, after)
    table["AWS::S3::Bucket"]["delete"] = lambda name, props: _delete_bucket(calls, name)


def _corrected(
    handler: Handler, calls: Calls, before: Callable[[Calls, Properties], None] | None, after: Step
) -> Handler:
    def create(logical_id: str, props: Properties, stack_name: str) -> Made:
        if before:
            before(calls, props)
        made: Made = handler["create"](logical_id, props, stack_name)
        try:
            after(calls, made[0], {}, props)
        except ValueError:
            handler["delete"](made[0], props)  # a resource that failed to be made leaves nothing behind
            raise
        return made

    def update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Made:
        if before:
            before(calls, new)
        made: Made = handler["update"](physical_id, old, new, *rest)
        after(calls, made[0], old, new)
        return made

    return {**handler, "create": create, "update": update}


def _complete_bucket(calls: Calls, name: str, old: Properties, new: Properties) -> None:
    if new.get("LifecycleConfiguration"):
        rules = [_lifecycle_rule(rule) for rule in new["LifecycleConfiguration"]["Rules"]]
        calls("s3", "PutBucketLifecycleConfiguration", Bucket=name, LifecycleConfiguration={"Rules": rules})
    elif old.get("LifecycleConfiguration"):
        calls("s3", "DeleteBucketLifecycle", Bucket=name)
    if tags(new):
        pairs = [{"Key": key, "Value": value} for key, value in tags(new).items()]
        calls("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": pairs})
    elif tags(old):
        calls("s3", "DeleteBucketTagging", Bucket=name)


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule of a template in the API's form."""
    made: dict[str, Any] = {"Status": rule["Status"], "Filter": _lifecycle_filter(rule)}
    if rule.get("Id"):
        made["ID"] = rule["Id"]
    expiration: dict[str, Any] = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = int(rule["ExpirationInDays"])
    if "ExpirationDate" in rule:
        expiration["Date"] = rule["ExpirationDate"]
    if "ExpiredObjectDeleteMarker" in rule:
        expiration["ExpiredObjectDeleteMarker"] = _true(rule["ExpiredObjectDeleteMarker"])
    if expiration:
        made["Expiration"] = expiration
    noncurrent = rule.get("NoncurrentVersionExpiration") or {}
    days = noncurrent.get("NoncurrentDays", rule.get("NoncurrentVersionExpirationInDays"))
    if days is not None:
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days)}
        if "NewerNoncurrentVersions" in noncurrent:
            kept = int(noncurrent["NewerNoncurrentVersions"])
            made["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] = kept
    if "AbortIncompleteMultipartUpload" in rule:
        after = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": after}
    transitions = rule.get("Transitions") or ([rule["Transition"]] if rule.get("Transition") else [])
    if transitions:
        made["Transitions"] = [_transition(item) for item in transitions]
    moved = rule.get("NoncurrentVersionTransitions") or []
    if moved:
        made["NoncurrentVersionTransitions"] = [
            {"NoncurrentDays": int(item["TransitionInDays"]), "StorageClass": item["StorageClass"]}
            for item in moved
        ]
    return made


def _lifecycle_filter(rule: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if rule.get("Prefix"):
        parts["Prefix"] = rule["Prefix"]
    for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan"):
        if name in rule:
            parts[name] = int(rule[name])
    tagged = [{"Key": tag["Key"], "Value": tag["Value"]} for tag in rule.get("TagFilters") or []]
    if len(tagged) + len(parts) > 1:
        return {"And": {**parts, **({"Tags": tagged} if tagged else {})}}
    if tagged:
        return {"Tag": tagged[0]}
    return parts or {"Prefix": ""}


def _transition(item: Mapping[str, Any]) -> dict[str, Any]:
    when = (
        {"Date": item["TransitionDate"]}
        if "TransitionDate" in item
        else {"Days": int(item["TransitionInDays"])}
    )
    return {**when, "StorageClass": item["StorageClass"]}


def _delete_bucket(calls: Calls, name: str) -> None:
    calls.forgiving("s3", "DeleteBucket", Bucket=name)


def _check_table(calls: Calls, props: Properties) -> None:
    keys = [key["AttributeName"] for key in props.get("KeySchema") or []]
    for index in [*(props.get("GlobalSecondaryIndexes") or []), *(props.get("LocalSecondaryIndexes") or [])]:
        keys += [key["AttributeName"] for key in index.get("KeySchema") or []]
    defined = [item["AttributeName"] for item in props.get("AttributeDefinitions") or []]
    if set(keys) - set(defined):
        raise ValueError(
            "One or more parameter values were invalid: Some index key attributes are not defined in "
            f"AttributeDefinitions. Keys: [{', '.join(keys)}], AttributeDefinitions: [{', '.join(defined)}]"
        )
    if set(defined) - set(keys):
        raise ValueError(
            "One or more parameter values were invalid: Number of attributes in KeySchema does not exactly "
            "match number of attributes defined in AttributeDefinitions"
        )


def _complete_table(calls: Calls, name: str, old: Properties, new: Properties) -> None:
    before, after = old.get("TimeToLiveSpecification"), new.get("TimeToLiveSpecification")
    if before != after:
        if before and _true(before.get("Enabled")):
            setting = {"AttributeName": before["AttributeName"], "Enabled": False}
            calls("dynamodb", "UpdateTimeToLive", TableName=name, TimeToLiveSpecification=setting)
        if after and _true(after.get("Enabled")):
            setting = {"AttributeName": after["AttributeName"], "Enabled": True}
            calls("dynamodb", "UpdateTimeToLive", TableName=name, TimeToLiveSpecification=setting)
    before, after = (props.get("PointInTimeRecoverySpecification") or {} for props in (old, new))
    enabled = _true(after.get("PointInTimeRecoveryEnabled"))
    if enabled != _true(before.get("PointInTimeRecoveryEnabled")):
        setting = {"PointInTimeRecoveryEnabled": enabled}
        calls("dynamodb", "UpdateContinuousBackups", TableName=name, PointInTimeRecoverySpecification=setting)


def _check_function(calls: Calls, props: Properties) -> None:
    code = props.get("Code") or {}
    if not any(code.get(name) for name in ("ZipFile", "ImageUri", "S3Key")):
        raise ValueError("Property Code cannot be empty.")


def _complete_function(calls: Calls, name: str, old: Properties, new: Properties) -> None:
    before, after = old.get("ReservedConcurrentExecutions"), new.get("ReservedConcurrentExecutions")
    if after is not None and before != after:
        reserved = int(after)
        calls("lambda", "PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=reserved)
    elif after is None and before is not None:
        calls("lambda", "DeleteFunctionConcurrency", FunctionName=name)
    if new.get("DeadLetterConfig") != old.get("DeadLetterConfig"):
        config = new.get("DeadLetterConfig") or {"TargetArn": ""}
        calls("lambda", "UpdateFunctionConfiguration", FunctionName=name, DeadLetterConfig=config)


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def table() -> dict[str, Handler]:
    """ministack's handlers by type; changing it changes what stacks do."""
    handlers: dict[str, Handler] = module("services.cloudformation.provisioners")._RESOURCE_HANDLERS
    return handlers
