"""Lambda's event source mappings for Kafka: requests, their checks, and which poller works for which mapping.

All other event sources are ministack's, which has none for Kafka. Must not read a topic itself. Sources: AWS
Lambda API Reference, "CreateEventSourceMapping" and its neighbours.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import Any

from mlops_kit.local import kafka_calls, shapes, wire
from mlops_kit.local.kafka_plan import (
    SERVERS,
    Plan,
    check_options,
    check_servers,
    check_source,
    config_name,
    invalid,
)
from mlops_kit.local.kafka_poller import Poller, Reports
from mlops_kit.local.kafka_reader import MISSING
from mlops_kit.local.service import ACCOUNT, AwsError, Context, Request, Service

PATH = "/2015-03-31/event-source-mappings"
_KIND = "kafka-mapping"
_PATIENCE = 3.0  # seconds in which pollers come to rest at a stop
_SETTLED = ("Enabled", "Disabled")
_OWN = ("Region", "KnownPartitions", "Tags")  # members of the record that are not of the answer
_CHANGEABLE = (
    "BatchSize",
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "FilterCriteria",
    "FunctionResponseTypes",
    "KMSKeyArn",
    "LoggingConfig",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "MetricsConfig",
    "ProvisionedPollerConfig",
    "SourceAccessConfigurations",
)

Record = dict[str, Any]
Others = Callable[[str, Mapping[str, str]], Awaitable[list[Record]]]  # region, query: ministack's mappings


class EventSourceMappings(Service):
    """The event source mappings for Kafka, which really read a broker of this machine.

    Parameters
    ----------
    context : Context
        What a service may use.

    Attributes
    ----------
    others : callable
        ``await others(region, query)``: the mappings that are not for Kafka, as JSON.
    """

    name = "lambda"
    others: Others

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.operations = {
            "CreateEventSourceMapping": self._create,
            "GetEventSourceMapping": self._get,
            "UpdateEventSourceMapping": self._update,
            "DeleteEventSourceMapping": self._delete,
            "ListEventSourceMappings": self._list,
        }
        self._lock = threading.RLock()
        self._pollers: dict[str, Poller] = {}
        self._records: dict[str, Record] = {one["UUID"]: one for one in context.store.list(_KIND)}

    def takes(self, method: str, path: str, body: bytes) -> bool:
        """Whether a request for event source mappings is about Kafka, or about all of them."""
        id = path.removeprefix(PATH).strip("/")
        if id:
            return id in self._records
        if method != "POST":
            return True
        try:
            asked = json.loads(body)
        except ValueError:
            return False
        arn = asked.get("EventSourceArn") if isinstance(asked, dict) else None
        return isinstance(asked, dict) and (bool(asked.get("SelfManagedEventSource")) or _is_msk(arn))

    def start(self) -> None:
        """Go on with every mapping; end the deletions that a former server had begun."""
        for record in list(self._records.values()):
            self._apply(record["UUID"])

    def stop(self) -> None:
        """Let no poller begin another batch; what a function has not answered is read again."""
        pollers = list(self._pollers.values())
        for poller in pollers:
            poller.stop()
        for poller in pollers:
            poller.join(_PATIENCE / len(pollers))

    def _create(self, request: Request) -> Record:
        params = dict(request.params)
        check_source(params)
        if find_spec("confluent_kafka") is None:
            raise invalid(f"{MISSING}.")
        client = self._client(request.region)
        id = str(uuid.uuid4())
        enabled = params.pop("Enabled", True)
        record = {
            "BatchSize": 100,
            **params,
            "UUID": id,
            "Region": request.region,
            "FunctionArn": self._function(client, params.pop("FunctionName")),
            "EventSourceMappingArn": f"arn:aws:lambda:{request.region}:{ACCOUNT}:event-source-mapping:{id}",
            "LastProcessingResult": "No records processed",
            "State": "Creating" if enabled else "Disabled",
        }
        record.pop("FunctionName", None)
        config = config_name(record)
        record[config] = {"ConsumerGroupId": id, **record.get(config, {})}
        self._check(client, record)
        with self._lock:
            self._refuse_double(record)
            self._keep(record)
        self._apply(id)
        return self._shown(record)

    def _get(self, request: Request) -> Record:
        return self._shown(self._known(request))

    def _update(self, request: Request) -> Record:
        params, client = request.params, self._client(request.region)
        record = self._settled(request)
        changed = {**record, **{name: params[name] for name in _CHANGEABLE if name in params}}
        asked = params.get(config_name(record), {}).get("ConsumerGroupId")
        if asked not in (None, record[config_name(record)]["ConsumerGroupId"]):
            raise invalid("The consumer group ID of an event source mapping cannot be changed.")
        if "FunctionName" in params:
            changed["FunctionArn"] = self._function(client, params["FunctionName"])
        self._check(client, changed)
        enabled = params.get("Enabled", record["State"] == "Enabled")
        before = record["State"] == "Enabled"
        changed["State"] = "Updating" if before == enabled else ("Enabling" if enabled else "Disabling")
        if not (before or enabled):
            changed["State"] = "Disabled"
        with self._lock:
            self._settled(request)
            self._keep(changed)
        self._apply(changed["UUID"])
        return self._shown(changed)

    def _delete(self, request: Request) -> Record:
        with self._lock:
            record = {**self._settled(request), "State": "Deleting"}
            self._keep(record)
        self._apply(record["UUID"])
        return self._shown(record)

    async def _list(self, request: Request) -> Record:
        """Ours and ministack's, in one order."""
        params = request.params
        query = {name: str(params[name]) for name in params if name in ("FunctionName", "EventSourceArn")}
        found = [self._shown(one) for one in list(self._records.values()) if _asked(one, request)]
        shape = wire.model("lambda").operation_model("ListEventSourceMappings").output_shape
        found += shapes.parse(shape.members["EventSourceMappings"], await self.others(request.region, query))
        start = next((n + 1 for n, one in enumerate(found) if one["UUID"] == params.get("Marker")), 0)
        page: Record = {"EventSourceMappings": found[start : start + params.get("MaxItems", 100)]}
        if len(found) > start + params.get("MaxItems", 100):
            page["NextMarker"] = page["EventSourceMappings"][-1]["UUID"]
        return page

    def _apply(self, id: str) -> None:
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

    def _go_on(self, id: str) -> None:
        with self._lock:
            self._pollers.pop(id, None)
            record = self._records[id]
            state = record["State"]
            if state == "Deleting":
                self.context.store.delete(_KIND, id)
                del self._records[id]
            elif state in ("Disabling", "Disabled"):
                self._change(id, State="Disabled")
            else:
                self._read(record)

    def _read(self, record: Record) -> None:
        """Start the poller of a mapping."""
        id, client = record["UUID"], self._client(record["Region"])
        try:
            plan = Plan.of(record, self._servers(client, record))
        except AwsError as error:  # what says where the cluster is has gone
            self._change(id, State="Enabled", LastProcessingResult=f"PROBLEM: {error.message}")
            return
        clock = self.context.clock
        reports = Reports(
            result=lambda text: self._change(id, LastProcessingResult=text),
            begun=partial(self._begun, id),
            now=clock.now,
            real=lambda: clock.now() - clock.offset,
        )
        self._pollers[id] = Poller(plan, client, self._as_role(record), reports)
        self._pollers[id].start()

    def _begun(self, id: str, partitions: Sequence[int] | None) -> None:
        known = {} if partitions is None else {"KnownPartitions": list(partitions)}
        self._change(id, of=("Creating", "Enabling", "Updating", "Enabled"), State="Enabled", **known)

    def _change(self, id: str, of: Sequence[str] = (), **members: Any) -> None:
        """Change what a mapping's record says, if that is news."""
        with self._lock:
            record = self._records.get(id)
            if record is None or (of and record["State"] not in of):
                return
            if any(record.get(name) != value for name, value in members.items()):
                self._write({**record, **members})

    def _keep(self, record: Record) -> None:
        """Write what a user has changed."""
        record["LastModified"] = datetime.fromtimestamp(self.context.clock.now(), UTC)
        record["StateTransitionReason"] = "USER_INITIATED"
        self._write(record)

    def _write(self, record: Record) -> None:
        self.context.store.put(_KIND, record["UUID"], record)
        self._records[record["UUID"]] = record

    def _check(self, client: kafka_calls.Client, record: Record) -> None:
        if pollers := record.get("ProvisionedPollerConfig"):
            low = pollers.get("MinimumPollers", 1)
            record["ProvisionedPollerConfig"] = {
                "MinimumPollers": low,
                "MaximumPollers": max(low, 200),
                **pollers,
            }
        elif pollers is not None:  # an empty one ends provisioned mode
            del record["ProvisionedPollerConfig"]
        check_options(record)
        kafka_calls.check_filters(client, record.get("FilterCriteria", {}))
        self._servers(client, record)

    def _servers(self, client: kafka_calls.Client, record: Mapping[str, Any]) -> tuple[str, ...]:
        if arn := record.get("EventSourceArn"):
            servers = kafka_calls.brokers(client, arn)
            check_servers(servers)
            return servers
        return tuple(record["SelfManagedEventSource"]["Endpoints"][SERVERS])

    def _function(self, client: kafka_calls.Client, name: str) -> str:
        """ARN of a function, with the qualifier that was asked for."""
        from botocore.exceptions import ClientError

        try:
            found = client("lambda").get_function_configuration(FunctionName=name)
        except ClientError as error:
            answer = error.response["Error"]
            raise AwsError(answer["Code"], answer["Message"], 404) from error
        arn = ":".join(found["FunctionArn"].split(":")[:7])
        qualifier = name.rpartition("function:")[2].partition(":")[2]
        return f"{arn}:{qualifier}" if qualifier else arn

    def _as_role(self, record: Record) -> kafka_calls.Client:
        """Clients of the function's role, as long as there is the function."""
        from botocore.exceptions import ClientError

        context = self.context.within(record["Region"])
        try:
            found = context.client("lambda").get_function_configuration(FunctionName=record["FunctionArn"])
        except ClientError:
            return context.client
        return context.acting(found["Role"], found["FunctionName"]).client

    def _refuse_double(self, record: Record) -> None:
        for other in self._records.values():
            if other["Region"] != record["Region"] or other["State"] == "Deleting":
                continue
            same = ("FunctionArn", "EventSourceArn", "SelfManagedEventSource", "Topics")
            if all(other.get(name) == record.get(name) for name in same):
                words = (
                    f"already exists. Please update or delete the existing mapping with UUID {other['UUID']}"
                )
                raise _conflict(f"An event source mapping with this function, event source and topic {words}")
            group = record[config_name(record)]["ConsumerGroupId"]
            if group == other[config_name(other)]["ConsumerGroupId"]:
                raise _conflict(f"The consumer group {group} is that of the mapping {other['UUID']}.")

    def _known(self, request: Request) -> Record:
        record = self._records.get(request.params["UUID"])
        if record is None or record["Region"] != request.region:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return record

    def _settled(self, request: Request) -> Record:
        record = self._known(request)
        if record["State"] not in _SETTLED:
            words = f"Cannot update the event source mapping {record['UUID']} because it is in use."
            raise AwsError("ResourceInUseException", f"{words} Its state is {record['State']}.")
        return record

    def _client(self, region: str) -> kafka_calls.Client:
        return self.context.within(region).client

    def _shown(self, record: Record) -> Record:
        return {name: value for name, value in record.items() if name not in _OWN}


def _is_msk(arn: Any) -> bool:
    return isinstance(arn, str) and arn.split(":")[2:3] == ["kafka"]


def _asked(record: Record, request: Request) -> bool:
    params = request.params
    name = params.get("FunctionName", "").rpartition("function:")[2]
    same = record["FunctionArn"].split(":")[6] == name.partition(":")[0]
    source = params.get("EventSourceArn")
    return (
        record["Region"] == request.region
        and (not name or same)
        and (not source or source == record.get("EventSourceArn"))
    )


def _conflict(words: str) -> AwsError:
    return AwsError("ResourceConflictException", words, 409)
