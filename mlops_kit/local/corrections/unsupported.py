"""Words for a service that nobody here serves, in the protocol that its caller reads; serves nothing."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

Handler = Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]]


class Handlers(dict[str, Handler]):
    """ministack's handlers by service, which has a refusal for every other name."""

    def get(self, service: str, default: Any = None) -> Any:
        """The handler of a service, or one that refuses in words."""
        return self[service] if service in self else _refusing(service)


def _refusing(service: str) -> Handler:
    words = f"The embedded AWS does not have the service {service}; docs/embedded-aws.md lists what it has."

    async def refuse(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Any
    ) -> tuple[int, dict[str, str], bytes]:
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            error = f"<Type>Sender</Type><Code>NotImplemented</Code><Message>{escape(words)}</Message>"
            xml = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
            return 400, {"content-type": "text/xml"}, xml.encode()
        told = json.dumps({"__type": "NotImplemented", "message": words}).encode()
        return 400, {"content-type": "application/json", "x-amzn-errortype": "NotImplemented"}, told

    return refuse
