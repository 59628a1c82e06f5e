"""Scheduled rules of EventBridge on the embedded clock, and rules that call an API of API Gateway.

ministack looks at its rules every 10 s and knows the first; here each fires at its time, also when the clock
is moved, and the second is called through the port. Rules and their targets are ministack's.
Sources: EventBridge User Guide, "Setting a schedule pattern for scheduled rules", "API Gateway targets".
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from mlops_kit.cron import occurrences
from mlops_kit.errors import UsageError
from mlops_kit.local.ministack import module

if TYPE_CHECKING:
    from mlops_kit.local.clock import Clock, Timer

_LOOK = 10.0  # real seconds between two looks for rules that are new
_TOLD = 1000
_MARK = "@execute-api"  # an API in the place of an API destination

Rule = dict[str, Any]
Key = tuple[str, str, str]  # account, region, and ministack's key

logger = logging.getLogger(__name__)


class Rules:
    """The scheduled rules of every account and region.

    Parameters
    ----------
    clock : Clock
        The one clock.
    url : str
        The port.
    """

    def __init__(self, clock: Clock, url: str) -> None:
        self._clock = clock
        self._url = url
        self._guard = threading.Lock()
        self._begun = clock.now()
        self._seen: dict[Key, float] = {}  # up to when the occurrences of a rule have fired
        self._timer: Timer | None = None
        self._fired: deque[dict[str, Any]] = deque(maxlen=_TOLD)

    def install(self) -> None:
        """Fire by the clock, and reach APIs."""
        self._events = module("services.eventbridge")
        self._events.start_scheduler = self._start
        invoke, dispatch = self._events._invoke_target, self._events._dispatch_to_api_destination
        self._events._invoke_target = lambda target, *rest: invoke(_as_destination(target), *rest)
        self._events._dispatch_to_api_destination = lambda spec, payload, target: (
            self._call_api(spec.resource, payload, target)
            if _MARK in spec.resource
            else dispatch(spec, payload, target)
        )

    def take_fired(self) -> list[dict[str, Any]]:
        """What has fired since this was last asked."""
        return [self._fired.popleft() for _ in range(len(self._fired))]

    def look(self) -> None:
        """Fire what is due, and wait for what comes next; from any thread."""
        with self._guard:
            now = self._clock.now()
            following = [moment for key, rule in self._scheduled() for moment in self._turn(key, rule, now)]
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._clock.call_at(min(following), self._due) if following else None

    def _start(self) -> None:
        threading.Thread(target=self._run, name="rules", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(_LOOK)

    def _due(self) -> None:
        hold = self._clock.hold()

        def looking() -> None:
            try:
                self.look()
            finally:
                hold.release()

        threading.Thread(target=looking, name="rules-due", daemon=True).start()

    def _scheduled(self) -> Iterator[tuple[Key, Rule]]:
        for key, rule in list(self._events._rules._data.items()):
            if rule.get("ScheduleExpression"):
                yield key, rule

    def _turn(self, key: Key, rule: Rule, now: float) -> list[float]:
        """Fire the occurrences of a rule up to now; its next one."""
        try:
            rule.setdefault("CreationTime", now)  # which a rule that a stack made does not have
            after = max(self._seen.get(key, self._begun), float(rule["CreationTime"]))
            self._seen[key] = now
            if rule.get("State") != "ENABLED":
                return []
            for moment in takewhile(lambda moment: moment <= now, _moments(rule, after)):
                self._fire(key, rule, moment)
            return list(islice(_moments(rule, max(now, after)), 1))
        except UsageError:
            return []  # ministack takes expressions that AWS would not
        except Exception:  # one bad rule never stops the others
            logger.exception("rule %s cannot fire", rule.get("Arn"))
            return []

    def _fire(self, key: Key, rule: Rule, moment: float) -> None:
        account, region, _ = key
        with module("core.responses").request_scope(account, region):
            event = {
                "EventId": self._events.new_uuid(),
                "Source": "aws.events",
                "DetailType": "Scheduled Event",
                "Detail": "{}",
                "EventBusName": rule.get("EventBusName", "default"),
                "Time": moment,
                "Resources": [rule["Arn"]],
                "Account": account,
                "Region": region,
            }
            for target in self._events._targets._data.get(key, []):
                self._events._invoke_target(target, event, rule)
                told = {"schedule": f"rule/{rule['Name']}", "at": moment, "target": target["Arn"]}
                self._fired.append({**told, "result": "handed over"})

    def _call_api(self, resource: str, payload: str, target: dict[str, Any]) -> None:
        _, _, api, stage, method, *path = resource.split("/")
        endpoint = f"{self._url}/restapis/{api}/{stage}/_user_request_/{'/'.join(path)}"
        wanted = {"InvocationEndpoint": endpoint, "HttpMethod": "POST" if method == "*" else method}
        request = self._events._build_api_destination_request(
            wanted, {}, target.get("HttpParameters") or {}, payload
        )
        call: Callable[..., Any] = self._events._deliver_to_api_destination
        threading.Thread(target=call, args=(endpoint, request, {}, None), daemon=True).start()


def _moments(rule: Rule, after: float) -> Iterator[float]:
    start = datetime.fromtimestamp(float(rule["CreationTime"]), UTC)
    found = occurrences(rule["ScheduleExpression"], "UTC", datetime.fromtimestamp(after, UTC), start=start)
    return (moment.timestamp() for moment in found)


def _as_destination(target: dict[str, Any]) -> dict[str, Any]:
    """A target whose API Gateway ARN stands as that of an API destination, which is called the same way."""
    parts = target.get("Arn", "").split(":")
    if len(parts) != 6 or parts[2] != "execute-api":
        return target
    return {
        **target,
        "Arn": ":".join([*parts[:2], "events", *parts[3:5], f"api-destination/{_MARK}/{parts[5]}"]),
    }
