"""The event source mappings for Kafka, their records on disk and their pollers; must not know requests.

A mapping's state says what is wanted of its poller, so that a server that comes after a kill goes on with it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from mlops_kit.local import kafka_calls
from mlops_kit.local.kafka_plan import SERVERS, Plan, check_servers
from mlops_kit.local.kafka_poller import Poller, Reports
from mlops_kit.local.service import AwsError, Context

_KIND = "kafka-mapping"  # of documents in the store
_PATIENCE = 3.0  # seconds in which pollers come to rest at a stop
_READING = ("Creating", "Enabling", "Updating", "Enabled")

Record = dict[str, Any]  # a mapping in AWS's words, with its Region and its KnownPartitions


class Mappings:
    """All mappings of a server.

    Parameters
    ----------
    context : Context
        What a service may use.

    Attributes
    ----------
    records : dict
        By UUID; a record is replaced, never changed.
    lock : threading.RLock
        Hold it from looking at a record to `keep`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.lock = threading.RLock()
        self.records: dict[str, Record] = {one["UUID"]: one for one in context.store.list(_KIND)}
        self._pollers: dict[str, Poller] = {}

    def start(self) -> None:
        """Go on with every mapping; end the deletions that a former server had begun."""
        for id in list(self.records):
            self.apply(id)

    def stop(self) -> None:
        """Let no poller begin another batch; what a function has not answered is read again."""
        pollers = list(self._pollers.values())
        for poller in pollers:
            poller.stop()
        for poller in pollers:
            poller.join(_PATIENCE / len(pollers))

    def client(self, region: str) -> kafka_calls.Client:
        """``client(service)`` of a region."""
        return self._context.within(region).client

    def real_time(self) -> float:
        """Epoch seconds in which brokers and producers live, whatever the embedded clock says."""
        return self._context.clock.now() - self._context.clock.offset

    def keep(self, record: Record) -> None:
        """Write what a user has made or changed."""
        now = datetime.fromtimestamp(self._context.clock.now(), UTC)
        self._write({**record, "LastModified": now, "StateTransitionReason": "USER_INITIATED"})

    def apply(self, id: str) -> None:
        """Bring a mapping's poller to what its state asks for, once the one before has ended."""
        before = self._pollers.get(id)
        if before is None:
            self._go_on(id)
            return
        before.stop()

        def then() -> None:
            before.join()
            self._go_on(id)

        threading.Thread(target=then, name=f"kafka-{id[:8]}-change", daemon=True).start()

    def servers(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        """The brokers of a mapping.

        Raises
        ------
        AwsError
            Nothing says where its MSK cluster is, or they are not on this machine.
        """
        if arn := record.get("EventSourceArn"):
            servers = kafka_calls.brokers(self.client(record["Region"]), arn)
            check_servers(servers)
            return servers
        return tuple(record["SelfManagedEventSource"]["Endpoints"][SERVERS])

    def _go_on(self, id: str) -> None:
        with self.lock:
            self._pollers.pop(id, None)
            state = self.records[id]["State"]
            if state == "Deleting":
                self._context.store.delete(_KIND, id)
                del self.records[id]
            elif state in _READING:
                self._read(self.records[id])
            else:
                self._change(id, State="Disabled")

    def _read(self, record: Record) -> None:
        """Start the poller of a mapping."""
        id = record["UUID"]
        try:
            plan = Plan.of(record, self.servers(record))
        except AwsError as error:  # what says where the cluster is has gone
            self._change(id, State="Enabled", LastProcessingResult=f"PROBLEM: {error.message}")
            return
        reports = Reports(
            result=lambda text: self._change(id, LastProcessingResult=text),
            begun=partial(self._begun, id),
            now=self._context.clock.now,
            real=self.real_time,
        )
        client, as_role = self.client(record["Region"]), partial(self._client_of_role, record)
        self._pollers[id] = Poller(plan, client, as_role, reports)
        self._pollers[id].start()

    def _client_of_role(self, record: Record, service: str) -> Any:
        """A client of the function's role, asked for anew as the role may change."""
        context = self._context.within(record["Region"])
        found = context.client("lambda").get_function_configuration(FunctionName=record["FunctionArn"])
        return context.acting(found["Role"], found["FunctionName"]).client(service)

    def _begun(self, id: str, partitions: Sequence[int] | None) -> None:
        known = {} if partitions is None else {"KnownPartitions": list(partitions)}
        with self.lock:
            if id in self.records and self.records[id]["State"] in _READING:
                self._change(id, State="Enabled", **known)

    def _change(self, id: str, **members: Any) -> None:
        """Change what a mapping's record says, if that is news."""
        with self.lock:
            record = self.records.get(id)
            if record is not None and any(record.get(name) != value for name, value in members.items()):
                self._write({**record, **members})

    def _write(self, record: Record) -> None:
        self._context.store.put(_KIND, record["UUID"], record)
        self.records[record["UUID"]] = record
