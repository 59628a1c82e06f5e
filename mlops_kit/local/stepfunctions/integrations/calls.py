"""One call to a service through the port, with AWS's words for every way in which it can fail."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from mlops_kit.local.service import Context
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations import convert, names
from mlops_kit.local.stepfunctions.integrations.target import Target

_READS = re.compile(r"(get|list|describe|head|query|scan|search|lookup|select)([A-Z]|$)|batchGet")


def reads(action: str) -> bool:
    """Whether an action changes nothing, so that nothing has to settle after it."""
    return _READS.match(action) is not None


@dataclass(frozen=True)
class Call:
    """One call of a Task attempt.

    Attributes
    ----------
    context : Context
        The server's.
    target : Target
        What to call.
    arguments : Any
        Evaluated Parameters or Arguments.
    execution : str
        ARN of the execution.
    attempt : str
        Text that names this attempt and survives a restart.
    since : float
        When the attempt was scheduled, epoch seconds.
    repeated : bool
        Whether a former process may have made this call already.
    """

    context: Context
    target: Target
    arguments: Any
    execution: str = ""
    attempt: str = ""
    since: float = 0.0
    repeated: bool = False


@dataclass(frozen=True)
class Answer:
    """What a service answered: its members in Step Functions' spelling, and the HTTP metadata."""

    body: dict[str, Any]
    raw: Mapping[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)


def failure(target: Target, error: dict[str, Any]) -> StateFailed:
    """A service's error (code, message, status, request) as the state machine sees it."""
    name = names.error_name(target.service, target.sdk, error["code"])
    return StateFailed(name, names.cause(target.service, target.sdk, error))


def _client_failure(target: Target, words: str) -> StateFailed:
    prefix = (
        names.java_service(names.botocore_service(target.service, True) or "")
        if target.sdk
        else names.OPTIMISED[target.service].errors
    )
    return StateFailed(f"{prefix}.SdkClientException", words)


def send(context: Context, target: Target, arguments: Mapping[str, Any], action: str = "") -> Answer:
    """Call an action of the target's service.

    Parameters
    ----------
    action : str, optional
        Another action than the target's own.

    Raises
    ------
    StateFailed
        Under AWS's error name.
    """
    operation, raw = request(context, target, arguments, action)
    body = convert.answer(operation.output_shape, raw, target.sdk)
    return Answer(body, raw, _metadata(raw))


def request(
    context: Context, target: Target, arguments: Mapping[str, Any], action: str = ""
) -> tuple[Any, Mapping[str, Any]]:
    """As `send`, but gives botocore's operation and answer, with bodies still to be read."""
    service = names.botocore_service(target.service, target.sdk)
    operation = names.operation(service, action or target.action) if service else None
    if service is None or operation is None:
        words = f"The resource provided {target.full_resource} is not recognized."
        raise StateFailed("States.Runtime", words, runtime=True)
    shape = operation.input_shape
    params = convert.arguments(shape, arguments) if shape is not None else {}
    absent = convert.missing(shape, params) if shape is not None else []
    if absent:
        error = {"code": "ValidationException", "message": convert.validation_words(absent), "status": 400}
        raise failure(target, {**error, "request": str(uuid.uuid4())})
    _check_host(target, params)
    return operation, _request(context, target, service, operation.name, params)


def _check_host(target: Target, params: Mapping[str, Any]) -> None:
    """A queue URL that names another host than the port's is called there by AWS, and is not found."""
    host = urlparse(str(params.get("QueueUrl", ""))).hostname
    if host and not re.fullmatch(r"(localhost|127\.0\.0\.1|.*amazonaws\.com.*|.*\.localhost.*)", host):
        raise _client_failure(target, f"Unable to execute HTTP request: {host}: Name or service not known")


def _request(context: Context, target: Target, service: str, operation: str, params: dict[str, Any]) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return context.client(service)._make_api_call(operation, params)
    except ClientError as error:
        about = error.response.get("ResponseMetadata", {})
        told = error.response.get("Error", {})
        known = {
            "code": str(told.get("Code", "")),
            "message": told.get("Message") or error.response.get("message") or "",
            "status": about.get("HTTPStatusCode", 400),
            "request": about.get("RequestId") or str(uuid.uuid4()),
            "extended": (about.get("HostId") or uuid.uuid4().hex) if service == "s3" else None,
        }
        raise failure(target, known) from None
    except BotoCoreError as error:
        raise _client_failure(target, str(error)) from None


def _metadata(raw: Mapping[str, Any]) -> dict[str, Any]:
    """SdkHttpMetadata and SdkResponseMetadata of an answer."""
    about = raw.get("ResponseMetadata", {})
    headers = dict(about.get("HTTPHeaders", {}))
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": about.get("HTTPStatusCode", 200),
        },
        "SdkResponseMetadata": {"RequestId": about.get("RequestId") or str(uuid.uuid4())},
    }
