"""What an HTTP request to the port must be allowed to do, and how its refusal is written; decides nothing.

The action is ministack's reading of the request, the resource is ours (`authorization_resources`) or
ministack's. What neither knows is asked on ``*``, so that only a policy for ``*`` allows it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

from mlops_kit.local import authorization_resources as known
from mlops_kit.local import wire
from mlops_kit.local.authorization_policies import Decision
from mlops_kit.local.ministack import module
from mlops_kit.local.service import ACCOUNT
from mlops_kit.local.stepfunctions.tokens import machine_of

FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})  # AWS refuses these to nobody
_RENAMED = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "lambda:InvokeAsync": "lambda:InvokeFunction",
    "lambda:InvokeWithResponseStream": "lambda:InvokeFunction",
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}


@dataclass(frozen=True)
class Need:
    """One permission: IAM's action, the ARN that it is asked for, and the condition keys."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refusal:
    """A refusal as HTTP: status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Asked:
    """One request of somebody with policies.

    Parameters
    ----------
    request : wire.HttpRequest
        As it came.
    """

    def __init__(self, request: wire.HttpRequest) -> None:
        self._headers = dict(request.headers)
        if "/s3/aws4_request" not in request.headers.get("authorization", ""):  # there it is the object's own
            body = module("app")._decompress_request_body(request.body, self._headers)
            request = replace(request, body=body)
        self._request = request
        bucket = module("app")._extract_s3_vhost_bucket(request.headers.get("host", ""))
        self._path = (f"/{bucket}" if bucket else "") + unquote(request.path)

    @cached_property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(self._request.query, keep_blank_values=True)

    @cached_property
    def _form(self) -> dict[str, Any]:
        """Query string and form together, as ministack routes by them."""
        sent = self._request
        form: dict[str, Any] = module("app")._routing_params(
            sent.method, self._path, self._headers, sent.body, self._query
        )
        return form

    @cached_property
    def service(self) -> str:
        """ministack's name of the service."""
        return str(module("app").detect_service(self._request.method, self._path, self._headers, self._form))

    @cached_property
    def region(self) -> str:
        """Region that the request is signed for."""
        return str(module("core.router").extract_region(self._headers, self._query))

    @cached_property
    def action(self) -> str:
        """IAM's action; what nobody knows is named by the service that the request is signed for."""
        actions, sent = module("core.iam_actions"), self._request
        found: str | None = actions.extract_iam_action(
            self.service, sent.method, self._path, self._headers, sent.body, self._form
        )
        if not found:
            prefix = wire.caller(self._headers, "")[2] or self.service
            found = f"{prefix}:{self._operation()}"
        return _RENAMED.get(found, found)

    def _operation(self) -> str:
        """The operation where ministack does not say: by botocore's model of the service."""
        from botocore.exceptions import UnknownServiceError

        name = wire.caller(self._headers, "")[2]
        if self._path.startswith("/endpoints/"):
            name = "sagemaker-runtime"  # which signs as sagemaker
        try:
            return wire.operation_name(name, self._request) or "Unknown"
        except UnknownServiceError:
            return "Unknown"

    def needs(self) -> Iterator[Need]:
        """Every permission that AWS asks for this request."""
        if self.service == "s3":
            yield from self._objects()
        elif self.service == "dynamodb":
            yield from self._items()
        else:
            yield from self._others()

    def _objects(self) -> Iterator[Need]:
        actions, sent = module("core.iam_actions"), self._request
        headers = module("services.s3")._merge_hoisted_amz_headers(self._headers, self._query)
        context = actions.s3_service_context(self.action, self._query, self._path, headers)
        yield Need(self.action, self._resource(), {**self._tags(), **context})
        for action, resource in actions.s3_additional_checks(
            sent.method, self._path, headers, sent.body, self._form
        ):
            yield Need(action, resource)

    def _items(self) -> Iterator[Need]:
        actions, body = module("core.iam_actions"), self._request.body
        context = {**self._tags(), **actions.dynamodb_service_context(body)}
        checks = actions.dynamodb_transaction_checks(self.action, body, self.region, ACCOUNT)
        enclosing = {"dynamodb:EnclosingOperation": [self.action.partition(":")[2]]}
        for action, resource in checks:
            yield Need(action, resource, {**context, **enclosing})
        if not checks:
            for resource in actions.dynamodb_resource_arns(body, self.region, ACCOUNT) or [known.ANY]:
                yield Need(self.action, resource, context)

    def _others(self) -> Iterator[Need]:
        call = self._call()
        context = {**self._tags(), **known.conditions(call)}
        resources = known.resources(call) or [self._resource()]
        for resource in resources:
            yield Need(self.action, resource, context)
        if known.tags_on_creation(call):
            yield Need("sagemaker:AddTags", resources[0], context)
        for role, service in known.passed_roles(call):
            passed = {"iam:PassedToService": service, "iam:AssociatedResourceArn": resources[0]}
            yield Need("iam:PassRole", role, passed)

    def _call(self) -> known.Call:
        prefix, _, operation = self.action.partition(":")
        params = self._params()
        if prefix == "athena" and "QueryExecutionId" in params:
            params = {**params, "WorkGroup": _workgroup(params["QueryExecutionId"])}
        if prefix == "states" and isinstance(token := params.get("taskToken"), str):
            params = {**params, "stateMachineArn": machine_of(token)}  # on which AWS's refusals put it
        path = tuple(unquote(part) for part in self._request.path.split("/") if part)
        query = {name: values[0] for name, values in self._query.items()}
        return known.Call(prefix, operation, self.region, params, path, query)

    def _params(self) -> dict[str, Any]:
        try:
            body = json.loads(self._request.body or b"{}")
        except ValueError:
            return {
                name: value[0] if isinstance(value, list) else value for name, value in self._form.items()
            }
        return body if isinstance(body, dict) else {}

    def _resource(self) -> str:
        """As ministack names it."""
        sent = self._request
        return str(
            module("core.iam_actions").extract_resource_arn(
                self.service,
                sent.method,
                self._path,
                self._headers,
                sent.body,
                self._form,
                self.region,
                ACCOUNT,
            )
        )

    def _tags(self) -> dict[str, Any]:
        tags: dict[str, Any] = module("core.iam_actions").request_tag_context(
            self.service, self.action, self._request.body, self._form
        )
        return dict(tags)

    def refused(self, caller: str, need: Need, decision: Decision) -> Refusal:
        """The refusal of a need, in the words and the form of the service."""
        from mlops_kit.local.authorization import denial

        action, resource = _spelled(need.action, need.resource)
        words = denial(caller, action, resource, decision)
        return self._written(need.action, caller, message=words)

    def unknown(self, code: str, message: str) -> Refusal:
        """The refusal of a key that nobody has."""
        return self._written(self.action, "", message=message, error_code=code)

    def _written(self, action: str, caller: str, **said: str) -> Refusal:
        status, headers, body = module("core.iam_actions").access_denied_response(
            self.service, action, caller, str(uuid.uuid4()), headers=self._headers, **said
        )
        if self.service in ("logs", "ssm") and "error_code" not in said:
            body = json.dumps({"__type": "AccessDeniedException", "Message": said["message"]}).encode()
        if "x-amz-target" in self._headers and self.service not in ("sqs", "monitoring"):
            status = 400  # as AWS's JSON services answer
        return Refusal(status, headers, b"" if self._request.method == "HEAD" else body)


def _spelled(action: str, resource: str) -> tuple[str, str]:
    """Action and resource as the service's refusals write them."""
    prefix, _, name = action.partition(":")
    if prefix == "sns":
        return f"SNS:{name}", resource
    if prefix == "sqs":
        return action.lower(), resource
    return action, f'"{resource}"' if prefix == "s3" else resource


def _workgroup(query: Any) -> str:
    """Workgroup of a query, on which everything that is done to the query is authorised."""
    found = module("services.athena")._executions.get(str(query)) or {}
    return str(found.get("WorkGroup") or "primary")
