"""sagemaker-runtime: InvokeEndpoint, sent to a variant's process; must not know how that is kept alive."""

from __future__ import annotations

import asyncio
from typing import Any

from mlops_kit.local.sagemaker.loopback import Loopback, Reply
from mlops_kit.local.sagemaker.routes import Address, Routes, Target, choose
from mlops_kit.local.sagemaker.serve import SECRET
from mlops_kit.local.service import ACCOUNT, AwsError, Context, Request, Service

_TIMEOUT = 60.0  # seconds: "Custom Inference Code with Hosting Services"
_STARTING = 30.0  # seconds that a request waits for a process that is being started again
_LOOK = 0.05
_UNSERVED = ("TargetModel", "TargetContainerHostname", "InferenceComponentName", "EnableExplanations")


class SageMakerRuntime(Service):
    """InvokeEndpoint.

    Parameters
    ----------
    context : Context
        What the server hands out.
    routes : Routes, optional
        Where endpoints are served: those of the `SageMaker` beside it.
    """

    name = "sagemaker-runtime"

    def __init__(self, context: Context, routes: Routes | None = None) -> None:
        super().__init__(context)
        self.routes = routes or Routes()
        self.operations = {"InvokeEndpoint": self.invoke}
        self._loopback = Loopback()

    async def invoke(self, request: Request) -> dict[str, Any]:
        """Answer of the model; what the model refuses is a ModelError."""
        params = request.params
        body = params.get("Body", b"")
        _check(params)
        try:
            async with asyncio.timeout(_TIMEOUT):
                target, reply = await self._ask(request, body)
        except TimeoutError:
            words = "Your invocation timed out while waiting for a response from container primary."
            raise _model_error(request, 0, words) from None
        except ConnectionError as error:
            raise _model_error(request, 0, f"The container primary did not answer: {error}.") from error
        if reply.status >= 400:
            raise _model_error(request, reply.status, reply.body.decode("utf-8", "replace"))
        return {
            "Body": reply.body,
            "ContentType": reply.content_type,
            "InvokedProductionVariant": target.name,
        }

    async def _ask(self, request: Request, body: bytes) -> tuple[Target, Reply]:
        """Send to a variant, and wait while its process is being replaced or started again.

        Nothing is sent twice: only a refused connection is tried again.
        """
        deadline = asyncio.get_running_loop().time() + _STARTING
        while True:
            target = self._choose(request)
            if address := target.address:
                try:
                    return target, await self._post(address, request, body)
                except ConnectionRefusedError:
                    pass
            if asyncio.get_running_loop().time() > deadline:
                raise AwsError("ServiceUnavailable", f"The variant {target.name} is starting again.", 503)
            await asyncio.sleep(_LOOK)

    def _choose(self, request: Request) -> Target:
        endpoint, variant = request.params["EndpointName"], request.params.get("TargetVariant")
        routes = self.routes.of(request.region, endpoint)
        if not routes:
            raise AwsError("ValidationError", f"Endpoint {endpoint} of account {ACCOUNT} not found.")
        target = choose(routes, variant)
        if target is None:
            raise AwsError("ValidationError", f"Variant {variant} not found for Endpoint {endpoint}.")
        return target

    async def _post(self, address: Address, request: Request, body: bytes) -> Reply:
        headers = {SECRET: address.secret}
        for member, header in (("ContentType", "Content-Type"), ("Accept", "Accept")):
            if member in request.params:
                headers[header] = request.params[member]
        return await self._loopback.post(address.port, "/invocations", headers, body)


def _check(params: dict[str, Any]) -> None:
    for member in _UNSERVED:
        if member in params:
            raise AwsError(
                "ValidationError", f"The embedded AWS serves models of one container: no {member}."
            )
    if any(
        "\r" in params.get(member, "") or "\n" in params.get(member, "")
        for member in ("ContentType", "Accept")
    ):
        raise AwsError("ValidationError", "ContentType and Accept must be one line each.")


def _model_error(request: Request, status: int, words: str) -> AwsError:
    region, endpoint = request.region, request.params["EndpointName"]
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    blame = "client" if 400 <= status < 500 else "server"
    console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    message = (
        f'Received {blame} error ({status}) from primary with message "{words}". '
        f"See {console}#logEventViewer:group={group} in account {ACCOUNT} for more information."
    )
    fields = {
        "OriginalStatusCode": status,
        "OriginalMessage": words,
        "LogStreamArn": f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{group}",
    }
    return AwsError("ModelError", message, 424, {**fields, "Message": message})
