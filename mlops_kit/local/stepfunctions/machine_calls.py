"""CreateStateMachine, UpdateStateMachine, Describe, List, Delete, validation and tags; runs nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mlops_kit.asl import definition as checks
from mlops_kit.local.service import AwsError, Context, Handler, Request
from mlops_kit.local.stepfunctions import names, paging, role_checks
from mlops_kit.local.stepfunctions.docs import loads
from mlops_kit.local.stepfunctions.integrations.names import is_call
from mlops_kit.local.stepfunctions.machines import Machine, Machines, Revision, new_revision_id

_LARGEST = 1_048_576  # bytes of a definition (Step Functions service quotas)
_OWNED_KEY = {"type": "AWS_OWNED_KEY"}


def moment(epoch: float) -> datetime:
    """A time as an answer carries it."""
    return datetime.fromtimestamp(epoch, UTC)


class MachineCalls:
    """The operations on state machines themselves.

    Parameters
    ----------
    context : Context
        The server's.
    machines : Machines
        Where they are kept.
    deleted : callable
        Called with the ARN of a machine that was deleted, to end its executions.
    """

    def __init__(self, context: Context, machines: Machines, deleted: Callable[[str], None]) -> None:
        self._context = context
        self._machines = machines
        self._deleted = deleted
        self.operations: dict[str, Handler] = {
            "CreateStateMachine": self.create,
            "UpdateStateMachine": self.update,
            "DescribeStateMachine": self.describe,
            "DeleteStateMachine": self.delete,
            "ListStateMachines": self.list,
            "ValidateStateMachineDefinition": self.validate,
        }

    # ------------------------------------------------------------------ create
    def create(self, request: Request) -> dict[str, Any]:
        """CreateStateMachine, idempotent by name, definition, type and settings."""
        params = request.params
        name = names.check_name(params["name"])
        if params.get("versionDescription") and not params.get("publish"):
            raise AwsError("ValidationException", "Version description can only be set when publish is true")
        kind = params.get("type", "STANDARD")
        _check_role(params["roleArn"])
        logging = self._logging(params.get("loggingConfiguration"))
        _check_definition(params["definition"], kind)
        arn = names.arn(request.region, "stateMachine", name)
        draft = Revision(
            number=0,
            machine=arn,
            revision_id=None,
            definition=params["definition"],
            role=params["roleArn"],
            created=self._context.clock.now(),
            logging=logging,
            tracing=bool(params.get("tracingConfiguration", {}).get("enabled")),
            encryption=params.get("encryptionConfiguration"),
        )
        self._check_permissions(draft)
        with self._machines.lock:
            machine = self._machines.find(arn)
            if machine is None:
                revision = self._machines.add_revision(draft)
                tags = {tag["key"]: tag.get("value", "") for tag in params.get("tags", ())}
                machine = self._machines.put(
                    Machine(arn, name, kind, draft.created, revision.number, tags=tags)
                )
            elif not self._same(machine, draft, kind):
                raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
            return self._created(machine, params)

    def _created(self, machine: Machine, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = {"stateMachineArn": machine.arn, "creationDate": moment(machine.created)}
        if params.get("publish"):
            now, words = self._context.clock.now(), params.get("versionDescription")
            answer["stateMachineVersionArn"] = self._machines.publish(machine, now, words)[1].arn
        return answer

    def _same(self, machine: Machine, draft: Revision, kind: str) -> bool:
        """Whether a second CreateStateMachine says the same (roles and tags are not looked at)."""
        known = self._machines.revision(machine.revision)
        pairs: tuple[tuple[Any, Any], ...] = (
            (loads(known.definition), loads(draft.definition)),
            (machine.type, kind),
            (known.logging, draft.logging),
            (known.tracing, draft.tracing),
        )
        return all(first == second for first, second in pairs)

    def _check_permissions(self, draft: Revision) -> None:
        if (known := self._context.authorization) is not None:
            definition, logs = loads(draft.definition), draft.logging["level"] != "OFF"
            role_checks.check(known, draft.machine, draft.role, definition, logs)

    def _logging(self, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
        """A LoggingConfiguration with its defaults.

        Raises
        ------
        AwsError
            InvalidLoggingConfiguration.
        """
        if wanted is None:
            return {"level": "OFF", "includeExecutionData": False}
        level = wanted.get("level", "OFF")
        answer: dict[str, Any] = {
            "level": level,
            "includeExecutionData": wanted.get("includeExecutionData", False),
        }
        destinations = wanted.get("destinations")
        if destinations is not None:
            answer["destinations"] = destinations
        if level != "OFF" and len(destinations or ()) != 1:
            raise _bad_logging("Must specify exactly one Log Destination.")
        for destination in destinations or ():
            arn = destination.get("cloudWatchLogsLogGroup", {}).get("logGroupArn", "")
            answer["group"] = self._log_group(arn)
        return answer

    def _log_group(self, arn: str) -> str:
        parts = arn.split(":")
        if len(parts) < 8 or parts[2] != "logs" or not arn.endswith(":*"):
            raise _bad_logging("Log Destination not found.")
        name = ":".join(parts[6:-1])
        logs = self._context.within(parts[3]).client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if not any(group["logGroupName"] == name for group in groups):
            raise _bad_logging("Log Destination not found.")
        return name

    # ------------------------------------------------------------------ update
    def update(self, request: Request) -> dict[str, Any]:
        """UpdateStateMachine: a new revision when something changed."""
        params = request.params
        arn = names.parse(params["stateMachineArn"], "stateMachine").text
        changes = ("definition", "roleArn", "loggingConfiguration", "tracingConfiguration",
                   "encryptionConfiguration")  # fmt: skip
        if not any(key in params for key in changes):
            words = (
                "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration "
            )
            raise AwsError("MissingRequiredParameter", words + "must be specified")
        if params.get("versionDescription") and not params.get("publish"):
            raise AwsError("ValidationException", "Version description can only be set when publish is true")
        with self._machines.lock:
            machine = self._machines.get(arn)
            now = self._context.clock.now()
            draft = self._changed(machine, params, now)
            known = self._machines.revision(machine.revision)
            self._check_permissions(draft)
            if replace(draft, created=known.created) != known:
                draft = replace(draft, revision_id=new_revision_id())
                revision = self._machines.add_revision(draft)
                machine = self._machines.put(replace(machine, revision=revision.number, updated=now))
            answer: dict[str, Any] = {"updateDate": moment(now)}
            current = self._machines.revision(machine.revision)
            if current.revision_id:
                answer["revisionId"] = current.revision_id
            if params.get("publish"):
                about = params.get("versionDescription")
                answer["stateMachineVersionArn"] = self._machines.publish(machine, now, about)[1].arn
            return answer

    def _changed(self, machine: Machine, params: Mapping[str, Any], now: float) -> Revision:
        known = self._machines.revision(machine.revision)
        if "definition" in params:
            _check_definition(params["definition"], machine.type)
        if "roleArn" in params:
            _check_role(params["roleArn"])
        logging, tracing = known.logging, known.tracing
        if "loggingConfiguration" in params:
            logging = self._logging(params["loggingConfiguration"])
        if "tracingConfiguration" in params:
            tracing = bool(params["tracingConfiguration"].get("enabled"))
        return replace(
            known,
            definition=params.get("definition", known.definition),
            role=params.get("roleArn", known.role),
            logging=logging,
            tracing=tracing,
            encryption=params.get("encryptionConfiguration", known.encryption),
            created=now,
        )

    # ---------------------------------------------------------------- the rest
    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeStateMachine, by machine, version or alias."""
        arn = names.parse(request.params["stateMachineArn"], "stateMachine").text
        choice = self._machines.choose(arn)
        machine, version = choice.machine, self._machines.version(choice.version or "")
        answer = {
            "stateMachineArn": arn,
            "name": machine.name,
            "status": "ACTIVE",
            "type": machine.type,
            "creationDate": moment(version.created if version else machine.created),
            **described(choice.revision),
        }
        if "/" in machine.arn:
            answer["label"] = machine.name.rpartition("/")[2]
        if version and version.description:
            answer["description"] = version.description
        return answer

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteStateMachine; its running executions end."""
        arn = names.parse(request.params["stateMachineArn"], "stateMachine").text
        with self._machines.lock:
            if self._machines.find(arn) is not None:
                self._machines.remove(arn)
                self._deleted(arn)
        return {}

    def list(self, request: Request) -> dict[str, Any]:
        """ListStateMachines of the caller's region."""
        region = f":{request.region}:"
        entries = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.type,
                "creationDate": moment(machine.created),
            }
            for machine in self._machines.all()
            if region in machine.arn
        ]
        shown, token = paging.page(entries, request.params)
        return {"stateMachines": shown, "nextToken": token}

    def validate(self, request: Request) -> dict[str, Any]:
        """ValidateStateMachineDefinition."""
        params = request.params
        found = checks.validate(params["definition"], params.get("type", "STANDARD"), knows=is_call)
        if params.get("severity", "ERROR") == "ERROR":
            found = [finding for finding in found if finding.severity == "ERROR"]
        most = params.get("maxResults") or 100
        diagnostics = [
            {
                "severity": finding.severity,
                "code": finding.code,
                "message": finding.message,
                "location": finding.location,
            }
            for finding in found[:most]
        ]
        failed = any(finding.severity == "ERROR" for finding in found)
        return {
            "result": "FAIL" if failed else "OK",
            "diagnostics": diagnostics,
            "truncated": len(found) > most,
        }


def described(revision: Revision) -> dict[str, Any]:
    """The members that describe a revision, as DescribeStateMachine and its like show them."""
    logging = {key: value for key, value in revision.logging.items() if key != "group"}
    answer: dict[str, Any] = {
        "definition": revision.definition,
        "roleArn": revision.role,
        "loggingConfiguration": logging,
        "tracingConfiguration": {"enabled": revision.tracing},
        "encryptionConfiguration": revision.encryption or _OWNED_KEY,
    }
    references = _references(revision.definition)
    if references:
        answer["variableReferences"] = references
    if revision.revision_id:
        answer["revisionId"] = revision.revision_id
    return answer


@functools.lru_cache(maxsize=256)
def _references(definition: str) -> dict[str, list[str]]:
    return checks.variable_references(loads(definition))


def _bad_logging(words: str) -> AwsError:
    return AwsError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {words}")


def _check_role(arn: str) -> None:
    if not arn.startswith("arn:") or ":iam::" not in arn or ":role/" not in arn:
        prefix = "" if arn.startswith("arn:") else "Invalid ARN prefix: "
        raise AwsError("InvalidArn", f"Invalid Arn: '{prefix}{arn}'")


def _check_definition(text: str, kind: str) -> None:
    if len(text.encode()) > _LARGEST:
        raise AwsError(
            "InvalidDefinition", "Invalid State Machine Definition: 'The definition is too large.'"
        )
    refusal = checks.refusal(checks.validate(text, kind, knows=is_call))
    if refusal is not None:
        raise AwsError("InvalidDefinition", refusal)
