"""apigateway:invoke and http:invoke: HTTP requests as tasks; knows no AWS service."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

from mlops_kit.local.stepfunctions.docs import Doc, dumps
from mlops_kit.local.stepfunctions.failures import StateFailed
from mlops_kit.local.stepfunctions.integrations.calls import Call
from mlops_kit.local.stepfunctions.integrations.target import Reply

_API = re.compile(r"[0-9a-z]+\.execute-api\.[0-9a-z.-]+")
_SECONDS = 60  # http:invoke gives up after that ("Call HTTPS APIs in Step Functions workflows")


def invoke(call: Call) -> Reply:
    """Make the request and give headers, body and status on."""
    import urllib3

    arguments = call.arguments
    url = _url(call, arguments)
    headers = {key: ",".join(value) if isinstance(value, list) else str(value)
               for key, value in (arguments.get("Headers") or {}).items()}  # fmt: skip
    body = arguments.get("RequestBody")
    data = None if body is None else (body if isinstance(body, str) else dumps(body)).encode()
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    try:
        answer = urllib3.request(
            arguments.get("Method", "GET"), url, body=data, headers=headers, timeout=_SECONDS, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        name = (
            "ApiGateway.SdkClientException" if call.target.service == "apigateway" else "States.Http.Socket"
        )
        raise StateFailed(name, str(error)) from None
    output = _output(answer)
    if not 200 <= answer.status < 300:
        raise _refused(call, answer)
    return Reply(Doc(output))


def _refused(call: Call, answer: Any) -> StateFailed:
    """Any other status than 2XX: API Gateway's cause is the body ("Error handling")."""
    if call.target.service == "apigateway":
        return StateFailed(f"ApiGateway.{answer.status}", answer.data.decode("utf-8", "replace"))
    return StateFailed(f"States.Http.StatusCode.{answer.status}", dumps(_output(answer)))


def _url(call: Call, arguments: dict[str, Any]) -> str:
    endpoint = str(arguments.get("ApiEndpoint", ""))
    query = arguments.get("QueryParameters") or {}
    suffix = f"?{urlencode(query, doseq=True)}" if query else ""
    if call.target.service == "http":
        return endpoint + suffix
    host = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or ""
    if not _API.fullmatch(host):
        words = (
            f"ApiEndpoint must have the form <API ID>.execute-api.<region>.amazonaws.com, not {endpoint!r}"
        )
        raise StateFailed("ApiGateway.SdkClientException", words)
    api, stage, path = host.split(".")[0], arguments.get("Stage"), str(arguments.get("Path", "")).lstrip("/")
    base = f"{call.context.url}/restapis/{api}/{stage or '$default'}/_user_request_"
    return f"{base}/{path}{suffix}"


def _output(answer: Any) -> dict[str, Any]:
    text = answer.data.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    headers: dict[str, list[str]] = {}
    for key, value in answer.headers.items():
        headers.setdefault(key, []).append(value)
    return {
        "Headers": headers,
        "ResponseBody": body,
        "StatusCode": answer.status,
        "StatusText": answer.reason or "",
    }
