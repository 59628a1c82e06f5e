"""Events, log lines and metrics of our services, put into ministack in order; must not decide what to say.

Callers are worker threads that must not wait: each call appends to a queue that a task on the server's
loop empties.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_kit.local.service import ACCOUNT

if TYPE_CHECKING:
    from mlops_kit.local.clock import Clock
    from mlops_kit.local.durability import Saver
    from mlops_kit.local.ministack import Ministack

logger = logging.getLogger(__name__)

_DATA = 1000  # metric values in one call, as AWS takes them
_LINES = 1000  # of log in one call: AWS takes at most 10,000, and the loop must breathe


class Plumbing:
    """What `Context.emit`, `Context.log` and `Context.metric` are.

    Parameters
    ----------
    ministack : Ministack
        Where everything goes.
    saver : Saver
        Hears what has changed.
    clock : Clock
        Stamps lines.
    region : str
        Where what names no region belongs.
    """

    def __init__(self, ministack: Ministack, saver: Saver, clock: Clock, region: str) -> None:
        self._ministack = ministack
        self._saver = saver
        self._clock = clock
        self._region = region
        self._waiting: deque[tuple[str, str, Any]] = deque()
        self._metrics: deque[tuple[tuple[str, str], dict[str, Any]]] = deque()  # by region and namespace
        self._woken = False
        self._streams: set[tuple[str, str, str]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that everything runs on."""
        self._loop = loop

    def emit(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str],
        region: str = "",
    ) -> None:
        """Put an AWS service event on the default bus."""
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail, default=str),
            "Resources": list(resources),
        }
        self._put("event", region, entry)

    def log(
        self, group: str, stream: str, lines: Sequence[str | tuple[float, str]], region: str = ""
    ) -> None:
        """Append lines to CloudWatch Logs."""
        now = self._clock.now()
        stamped = [(now, line) if isinstance(line, str) else line for line in lines]
        self._put("log", region, (group, stream, stamped))

    def metric(
        self,
        namespace: str,
        name: str,
        value: float,
        unit: str,
        dimensions: Mapping[str, str],
        region: str = "",
    ) -> None:
        """Put a CloudWatch metric."""
        pairs = [{"Name": key, "Value": text} for key, text in dimensions.items()]
        datum = {"MetricName": name, "Value": value, "Unit": unit, "Dimensions": pairs}
        datum["Timestamp"] = self._clock.now()
        self._metrics.append(((region or self._region, namespace), datum))
        self._rouse()

    async def drain(self) -> None:
        """Wait until everything said so far has arrived."""
        while self._task is not None or self._waiting or self._metrics:
            if self._task is None:
                self._wake()
            else:
                await self._task

    def _put(self, kind: str, region: str, item: Any) -> None:
        self._waiting.append((kind, region or self._region, item))
        self._rouse()

    def _rouse(self) -> None:
        """Wake the loop once for all that comes until it looks: each waking is a call to the system."""
        if not self._woken and self._loop is not None and not self._loop.is_closed():
            self._woken = True
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._woken = False
        if self._task is None:
            self._task = asyncio.ensure_future(self._empty())

    async def _empty(self) -> None:
        try:
            while self._waiting or self._metrics:
                for kind, region, item in self._next():
                    try:
                        await self._deliver(kind, region, item)
                    except Exception:
                        logger.exception("an internal %s was lost", kind)
                    await asyncio.sleep(0)
        finally:
            self._task = None

    def _next(self) -> Iterator[tuple[str, str, Any]]:
        """The oldest event or lines, and all metrics that wait, in as few calls as can be."""
        if self._waiting:
            yield self._waiting.popleft()
        data: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for _ in range(min(len(self._metrics), _DATA)):
            place, datum = self._metrics.popleft()
            data.setdefault(place, []).append(datum)
        for (region, namespace), found in data.items():
            yield "metric", region, {"Namespace": namespace, "MetricData": found}

    async def _deliver(self, kind: str, region: str, item: Any) -> None:
        with self._ministack.scope(ACCOUNT, region):
            if kind == "event":
                self._ministack.put_service_event(item)
                self._saver.touch(self._ministack.affected("events"), awaited=False)
            elif kind == "metric":
                await self._ministack.call("monitoring", "GraniteServiceVersion20100801.PutMetricData", item)
                self._saver.touch(self._ministack.affected("monitoring"), awaited=False)
            else:
                await self._write_lines(region, *item)
                self._saver.touch(self._ministack.affected("logs"), awaited=False)

    async def _write_lines(
        self, region: str, group: str, stream: str, lines: list[tuple[float, str]]
    ) -> None:
        names = {"logGroupName": group, "logStreamName": stream}
        if (region, group, stream) not in self._streams:
            await self._make("CreateLogGroup", {"logGroupName": group})
            await self._make("CreateLogStream", names)
            self._streams.add((region, group, stream))
        for start in range(0, len(lines), _LINES):
            events = [
                {"timestamp": int(when * 1000), "message": text}
                for when, text in lines[start : start + _LINES]
            ]
            await self._put_lines({**names, "logEvents": events})

    async def _put_lines(self, payload: Mapping[str, Any]) -> None:
        target = "Logs_20140328.PutLogEvents"
        try:
            await self._ministack.call("logs", target, payload)
        except RuntimeError:  # someone removed the group meanwhile
            await self._make("CreateLogGroup", {"logGroupName": payload["logGroupName"]})
            await self._make("CreateLogStream", {k: payload[k] for k in ("logGroupName", "logStreamName")})
            await self._ministack.call("logs", target, payload)

    async def _make(self, operation: str, payload: Mapping[str, Any]) -> None:
        try:
            await self._ministack.call("logs", f"Logs_20140328.{operation}", payload)
        except RuntimeError as error:
            if "ResourceAlreadyExists" not in str(error):
                raise
