"""Versions, aliases and tags of state machines; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlops_kit.local.service import AwsError, Context, Handler, Request
from mlops_kit.local.stepfunctions import names, paging
from mlops_kit.local.stepfunctions.activities import Activities
from mlops_kit.local.stepfunctions.machine_calls import moment
from mlops_kit.local.stepfunctions.machines import Alias, Machines

_MOST_TAGS = 50


class VersionCalls:
    """The operations on versions, aliases and tags."""

    def __init__(self, context: Context, machines: Machines, activities: Activities) -> None:
        self._context = context
        self._machines = machines
        self._activities = activities
        self.operations: dict[str, Handler] = {
            "PublishStateMachineVersion": self.publish,
            "DeleteStateMachineVersion": self.delete_version,
            "ListStateMachineVersions": self.list_versions,
            "CreateStateMachineAlias": self.create_alias,
            "UpdateStateMachineAlias": self.update_alias,
            "DescribeStateMachineAlias": self.describe_alias,
            "DeleteStateMachineAlias": self.delete_alias,
            "ListStateMachineAliases": self.list_aliases,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": self.tags,
        }

    # ---------------------------------------------------------------- versions
    def publish(self, request: Request) -> dict[str, Any]:
        """PublishStateMachineVersion."""
        params = request.params
        arn = names.parse(params["stateMachineArn"], "stateMachine").text
        with self._machines.lock:
            machine = self._machines.get(arn)
            wanted = params.get("revisionId")
            if wanted is not None:
                current = self._machines.revision(machine.revision).revision_id or "INITIAL"
                if wanted != current:
                    raise AwsError(
                        "ConflictException",
                        f"Failed to publish the State Machine version for revision {wanted}. "
                        f"The current State Machine revision is {current}.",
                    )
            now = self._context.clock.now()
            version = self._machines.publish(machine, now, params.get("description"))[1]
        return {"stateMachineVersionArn": version.arn, "creationDate": moment(version.created)}

    def delete_version(self, request: Request) -> dict[str, Any]:
        """DeleteStateMachineVersion, refused while an alias uses it."""
        arn = names.parse(request.params["stateMachineVersionArn"], "stateMachine").text
        base, _, number = arn.rpartition(":")
        if not number.isdigit():
            raise AwsError("InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {arn}'")
        with self._machines.lock:
            machine = self._machines.find(base)
            if machine is None or self._machines.version(arn) is None:
                return {}
            users = [alias.name for alias in self._machines.aliases(base) if arn in dict(alias.routing)]
            if users:
                raise AwsError(
                    "ConflictException",
                    "Version to be deleted must not be referenced by an alias. Current list of aliases "
                    f"referencing this version: [{', '.join(users)}]",
                )
            kept = tuple(version for version in machine.versions if version.arn != arn)
            self._machines.put(replace(machine, versions=kept))
        return {}

    def list_versions(self, request: Request) -> dict[str, Any]:
        """ListStateMachineVersions, newest first."""
        machine = self._machines.get(names.parse(request.params["stateMachineArn"], "stateMachine").text)
        entries = [
            {"stateMachineVersionArn": version.arn, "creationDate": moment(version.created)}
            for version in reversed(machine.versions)
        ]
        shown, token = paging.page(entries, request.params)
        return {"stateMachineVersions": shown, "nextToken": token}

    # ----------------------------------------------------------------- aliases
    def create_alias(self, request: Request) -> dict[str, Any]:
        """CreateStateMachineAlias, idempotent by description and routing."""
        params = request.params
        routing = self._routing(params["routingConfiguration"])
        base = routing[0][0].rpartition(":")[0]
        arn, now = f"{base}:{params['name']}", self._context.clock.now()
        with self._machines.lock:
            known = self._machines.alias(arn)
            description = params.get("description")
            if known is None:
                known = self._machines.put_alias(
                    Alias(arn, params["name"], base, routing, now, now, description)
                )
            elif (known.routing, known.description) != (routing, description):
                raise AwsError(
                    "ConflictException",
                    "Failed to create alias because an alias with the same name and a different routing "
                    "configuration already exists.",
                )
        return {"stateMachineAliasArn": arn, "creationDate": moment(known.created)}

    def _routing(self, entries: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
        """A routing configuration, checked as AWS checks it."""
        arns = [entry["stateMachineVersionArn"] for entry in entries]
        shown = f"[{', '.join(arns)}]"
        if len(set(arns)) != len(arns):
            raise _refused(
                f"Routing configuration must contain distinct state machine version ARNs. Received: {shown}"
            )
        if not all(arn.rpartition(":")[2].isdigit() and len(arn.split(":")) == 8 for arn in arns):
            raise _refused(
                f"Routing configuration must contain state machine version ARNs. Received: {shown}"
            )
        weights = [int(entry["weight"]) for entry in entries]
        if sum(weights) != 100:
            raise _refused(f"Sum of routing configuration weights must equal 100. Received: {weights}")
        if len({arn.rpartition(":")[0] for arn in arns}) != 1:
            raise _refused("Routing configuration must contain versions of the same state machine.")
        for arn in arns:
            if self._machines.version(arn) is None:
                raise AwsError(
                    "ResourceNotFound", f"Request references a resource that does not exist: '{arn}'"
                )
        return tuple(zip(arns, weights, strict=True))

    def _alias(self, arn: str) -> Alias:
        alias = self._machines.alias(names.parse(arn, "stateMachine").text)
        if alias is None:
            raise AwsError("ResourceNotFound", "Request references a resource that does not exist.")
        return alias

    def update_alias(self, request: Request) -> dict[str, Any]:
        """UpdateStateMachineAlias."""
        params = request.params
        if "description" not in params and "routingConfiguration" not in params:
            raise AwsError(
                "ValidationException", "Either description or routingConfiguration must be provided"
            )
        with self._machines.lock:
            alias = self._alias(params["stateMachineAliasArn"])
            if "routingConfiguration" in params:
                alias = replace(alias, routing=self._routing(params["routingConfiguration"]))
            now = self._context.clock.now()
            description = params.get("description", alias.description)
            self._machines.put_alias(replace(alias, description=description, updated=now))
        return {"updateDate": moment(now)}

    def describe_alias(self, request: Request) -> dict[str, Any]:
        """DescribeStateMachineAlias."""
        alias = self._alias(request.params["stateMachineAliasArn"])
        return {
            "stateMachineAliasArn": alias.arn,
            "name": alias.name,
            "description": alias.description,
            "routingConfiguration": [
                {"stateMachineVersionArn": arn, "weight": weight} for arn, weight in alias.routing
            ],
            "creationDate": moment(alias.created),
            "updateDate": moment(alias.updated),
        }

    def delete_alias(self, request: Request) -> dict[str, Any]:
        """DeleteStateMachineAlias."""
        with self._machines.lock:
            self._machines.remove_alias(self._alias(request.params["stateMachineAliasArn"]).arn)
        return {}

    def list_aliases(self, request: Request) -> dict[str, Any]:
        """ListStateMachineAliases of a machine or of one version."""
        arn = names.parse(request.params["stateMachineArn"], "stateMachine").text
        is_version = len(arn.split(":")) == 8
        base = arn.rpartition(":")[0] if is_version else arn
        self._machines.get(base)
        entries = [
            {"stateMachineAliasArn": alias.arn, "creationDate": moment(alias.created)}
            for alias in self._machines.aliases(base)
            if not is_version or arn in dict(alias.routing)
        ]
        shown, token = paging.page(entries, request.params)
        return {"stateMachineAliases": shown, "nextToken": token}

    # -------------------------------------------------------------------- tags
    def _tags_of(self, arn: str) -> dict[str, str]:
        kind = names.parse(arn, "stateMachine", "activity").kind
        found = self._machines.find(arn) if kind == "stateMachine" else self._activities.find(arn)
        if found is None:
            raise AwsError("ResourceNotFound", f"Resource not found: '{arn}'")
        return dict(found.tags)

    def _keep_tags(self, arn: str, tags: dict[str, str]) -> None:
        if len(tags) > _MOST_TAGS:
            raise AwsError("TooManyTags", f"Too many tags: {len(tags)}", fields={"resourceName": arn})
        machine = self._machines.find(arn)
        if machine is not None:
            self._machines.put(replace(machine, tags=tags))
        else:
            self._activities.retag(arn, tags)

    def tag(self, request: Request) -> dict[str, Any]:
        """TagResource."""
        arn = request.params["resourceArn"]
        with self._machines.lock:
            added = {tag["key"]: tag.get("value", "") for tag in request.params["tags"]}
            self._keep_tags(arn, self._tags_of(arn) | added)
        return {}

    def untag(self, request: Request) -> dict[str, Any]:
        """UntagResource."""
        arn, gone = request.params["resourceArn"], set(request.params["tagKeys"])
        with self._machines.lock:
            tags = self._tags_of(arn)
            self._keep_tags(arn, {key: value for key, value in tags.items() if key not in gone})
        return {}

    def tags(self, request: Request) -> dict[str, Any]:
        """ListTagsForResource."""
        tags = self._tags_of(request.params["resourceArn"])
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _refused(words: str) -> AwsError:
    return AwsError("ValidationException", words)
