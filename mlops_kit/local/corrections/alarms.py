"""Looks at CloudWatch's alarms each minute of the embedded clock, where ministack looks when a metric comes.

Dimensions count, only whole periods do, and what is missing is treated as the alarm says. It also samples the
depth of the queues that alarms look at. Keeps no alarm: they, their history and actions are ministack's.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops_kit.local.corrections.alarm_state import EXTRA, Verdict, judge, knows, periods
from mlops_kit.local.ministack import module

if TYPE_CHECKING:
    from mlops_kit.local.clock import Clock, Timer
    from mlops_kit.local.service import Emit

_MINUTE = 60.0
_ACTIVE = 6 * 3600.0  # seconds after its last message in which a queue still reports
_DEPTHS: Mapping[str, Callable[[Mapping[str, Any], float], bool]] = {
    "ApproximateNumberOfMessagesVisible": lambda m, now: m["visible_at"] <= now,
    "ApproximateNumberOfMessagesNotVisible": lambda m, now: m["visible_at"] > now and m["receive_count"] > 0,
    "ApproximateNumberOfMessagesDelayed": lambda m, now: m["visible_at"] > now and m["receive_count"] == 0,
}

Alarm = dict[str, Any]

logger = logging.getLogger(__name__)


class Alarms:
    """The alarms of every account and region.

    Parameters
    ----------
    clock : Clock
        The one clock.
    changed : callable
        ``changed(service)``, when an alarm's state has.
    emit : callable
        Puts AWS's event of a change on the default bus.
    """

    def __init__(self, clock: Clock, changed: Callable[[str], None], emit: Emit) -> None:
        self._clock = clock
        self._changed = changed
        self._emit = emit
        self._guard = threading.Lock()
        self._timer: Timer | None = None
        self._active: dict[str, float] = {}  # queue -> when it was last seen with a message

    def install(self) -> None:
        """Look by time, in the place of ministack's looks."""
        self._cloudwatch = module("services.cloudwatch")
        self._cloudwatch._evaluate_alarm = lambda alarm: self._wake()
        self._cloudwatch._evaluate_all_alarms = self._wake
        record = self._cloudwatch.record_metric

        def recorded(*args: Any, **kwargs: Any) -> None:
            record(*args, **kwargs)
            if self._cloudwatch._alarms._data:
                self._wake()

        self._cloudwatch.record_metric = recorded
        self._wake()

    def _wake(self) -> None:
        """Look at the next full minute."""
        with self._guard:
            if self._timer is None:
                when = (math.floor(self._clock.now() / _MINUTE) + 1) * _MINUTE
                self._timer = self._clock.call_at(when, lambda: self._look(when), quiet=True)

    def _look(self, now: float) -> None:
        with self._guard:
            self._timer = None
        changes, alive = [], False
        for scope, alarm in self._all():
            try:
                with module("core.responses").request_scope(*scope):
                    points, fresh = self._points(alarm, now)
                verdict = judge(alarm, points)
            except Exception:  # one bad alarm never stops the others
                logger.exception("alarm %s cannot be looked at", alarm.get("AlarmName"))
                continue
            alive = alive or fresh or alarm["Namespace"] == "AWS/SQS"
            if verdict is not None and verdict.state != alarm["StateValue"]:
                changes.append((scope, alarm, verdict))
        if alive:
            self._wake()
        if changes:
            hold = self._clock.hold()
            threading.Thread(target=self._change, args=(changes, hold.release), daemon=True).start()

    def _all(self) -> Iterator[tuple[tuple[str, str], Alarm]]:
        for (account, region, _), alarm in list(self._cloudwatch._alarms._data.items()):
            if knows(alarm):
                yield (account, region), alarm

    def _points(self, alarm: Alarm, now: float) -> tuple[list[tuple[float, float | None]], bool]:
        """Begin and value of each period, oldest first; whether there is data that will still count."""
        period = float(alarm.get("Period") or _MINUTE)
        key = (alarm["Namespace"], alarm["MetricName"], self._key(alarm))
        if key[0] == "AWS/SQS" and key[1] in _DEPTHS:
            self._sample(key, alarm, now)
        end = math.floor(now / period) * period
        begin = end - period * (periods(alarm) + EXTRA)
        unit = alarm.get("Unit")
        inside: dict[float, list[Any]] = {}
        for point in list(self._cloudwatch._metrics.get(key) or ()):
            if begin <= point["Timestamp"] and unit in (None, "", point.get("Unit")):
                inside.setdefault(math.floor(point["Timestamp"] / period) * period, []).append(point)
        whens = (begin + period * number for number in range(periods(alarm) + EXTRA))
        return [(when, self._value(alarm, inside.get(when, []))) for when in whens], bool(inside)

    def _value(self, alarm: Alarm, points: list[Any]) -> float | None:
        stats = self._cloudwatch._calc_stats(points)
        if not stats:
            return None
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        value = self._cloudwatch._stat_value(stats, statistic, points)
        return None if value is None else float(value)

    def _key(self, alarm: Alarm) -> str:
        return str(
            self._cloudwatch._dims_key(self._cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
        )

    def _sample(self, key: tuple[str, str, str], alarm: Alarm, now: float) -> None:
        """Report the depth of a queue, as SQS does each minute while a queue is active."""
        dimensions = self._cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
        name = dimensions.get("QueueName", "")
        queues = module("services.sqs")._queues
        queue = next((one for url, one in queues.items() if url.endswith(f"/{name}")), None)
        if queue is None:
            return
        messages = list(queue["messages"])
        active = f"{module('core.responses').get_region()}/{name}"
        if messages or active not in self._active:
            self._active[active] = now
        if now - self._active[active] <= _ACTIVE:
            depth = sum(_DEPTHS[key[1]](message, now) for message in messages)
            bucket = self._cloudwatch._metric_bucket(key)
            when = now - _MINUTE
            if not bucket or bucket[-1]["Timestamp"] < when:
                bucket.append(
                    {"Timestamp": when, "Value": float(depth), "Unit": "Count", "Dimensions": dimensions}
                )

    def _change(
        self, changes: list[tuple[tuple[str, str], Alarm, Verdict]], done: Callable[[], None]
    ) -> None:
        try:
            for scope, alarm, verdict in changes:
                former = {"value": alarm["StateValue"], "reason": alarm["StateReason"]}
                with module("core.responses").request_scope(*scope):
                    self._put(alarm, verdict)
                arn, detail = alarm["AlarmArn"], _event(alarm, former)
                self._emit("aws.cloudwatch", "CloudWatch Alarm State Change", detail, [arn], scope[1])
            self._changed("monitoring")
        except Exception:
            logger.exception("an alarm's actions failed")
        finally:
            done()

    def _put(self, alarm: Alarm, verdict: Verdict) -> None:
        former = alarm["StateValue"]
        alarm |= {"StateValue": verdict.state, "StateReason": verdict.reason}
        alarm["StateUpdatedTimestamp"] = int(self._clock.now())
        self._cloudwatch._record_history(alarm["AlarmName"], former, verdict.state, verdict.reason)
        self._cloudwatch._dispatch_alarm_actions(alarm, former, verdict.state, verdict.reason)
        self._cloudwatch._evaluate_parent_alarms(alarm)


def _event(alarm: Alarm, former: Mapping[str, str]) -> dict[str, Any]:
    """Detail of the event ("Alarm events and EventBridge", CloudWatch User Guide)."""
    when = datetime.fromtimestamp(alarm["StateUpdatedTimestamp"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    dimensions = {pair["Name"]: pair["Value"] for pair in alarm.get("Dimensions") or []}
    metric = {"namespace": alarm["Namespace"], "name": alarm["MetricName"], "dimensions": dimensions}
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    looked_at = {"metric": metric, "period": alarm.get("Period"), "stat": stat}
    return {
        "alarmName": alarm["AlarmName"],
        "state": {"value": alarm["StateValue"], "reason": alarm["StateReason"], "timestamp": when},
        "previousState": former,
        "configuration": {"metrics": [{"id": "m1", "metricStat": looked_at, "returnData": True}]},
    }
