"""Lambda's event source mappings for Kafka: requests and their checks; must not read a topic.

All other event sources are ministack's, which has none for Kafka. Sources: AWS Lambda API Reference,
"CreateEventSourceMapping" and its neighbours.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Any

from mlops_kit.local import kafka_calls, shapes, wire
from mlops_kit.local.kafka_mappings import Mappings, Record
from mlops_kit.local.kafka_plan import check_options, check_source, config_name, invalid
from mlops_kit.local.kafka_reader import MISSING
from mlops_kit.local.service import ACCOUNT, AwsError, Context, Request, Service

PATH = "/2015-03-31/event-source-mappings"
_PAGE = 100
_SETTLED = ("Enabled", "Disabled")
_OWN = ("Region", "KnownPartitions", "Tags")  # members of a record that are not of the answer
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

Others = Callable[[str, Mapping[str, str]], Awaitable[list[Record]]]


class EventSourceMappings(Service):
    """The event source mappings for Kafka, which really read a broker of this machine.

    Parameters
    ----------
    context : Context
        What a service may use.

    Attributes
    ----------
    others : callable
        ``await others(region, query)``: ministack's mappings, as JSON.
    """

    name = "lambda"
    others: Others

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._mappings = Mappings(context)
        self.operations = {
            "CreateEventSourceMapping": self._create,
            "GetEventSourceMapping": self._get,
            "UpdateEventSourceMapping": self._update,
            "DeleteEventSourceMapping": self._delete,
            "ListEventSourceMappings": self._list,
        }

    def takes(self, method: str, path: str, body: bytes) -> bool:
        """Whether a request for event source mappings is about Kafka, or about all of them."""
        id = path.removeprefix(PATH).strip("/")
        if id:
            return id in self._mappings.records
        if method != "POST":
            return True
        try:
            asked = json.loads(body)
        except ValueError:
            return False
        return isinstance(asked, dict) and (
            bool(asked.get("SelfManagedEventSource")) or _is_msk(asked.get("EventSourceArn"))
        )

    def start(self) -> None:
        """Read on for every mapping."""
        self._mappings.start()

    def stop(self) -> None:
        """Read no more."""
        self._mappings.stop()

    def _create(self, request: Request) -> Record:
        params = dict(request.params)
        check_source(params, self._mappings.real_time())
        if find_spec("confluent_kafka") is None:
            raise invalid(f"{MISSING}.")
        id, enabled = str(uuid.uuid4()), params.pop("Enabled", True)
        record = {
            "BatchSize": 100,
            "FunctionArn": self._function(request.region, params.pop("FunctionName")),
            **params,
            "UUID": id,
            "Region": request.region,
            "EventSourceMappingArn": f"arn:aws:lambda:{request.region}:{ACCOUNT}:event-source-mapping:{id}",
            "LastProcessingResult": "No records processed",
            "State": "Creating" if enabled else "Disabled",
        }
        config = config_name(record)
        record[config] = {"ConsumerGroupId": id, **record.get(config, {})}
        record = self._checked(record)
        with self._mappings.lock:
            self._refuse_double(record)
            self._mappings.keep(record)
        return self._applied(id)

    def _get(self, request: Request) -> Record:
        return _shown(self._known(request))

    def _update(self, request: Request) -> Record:
        params, record = request.params, self._settled(request)
        group = record[config_name(record)]["ConsumerGroupId"]
        if params.get(config_name(record), {}).get("ConsumerGroupId", group) != group:
            raise invalid("The consumer group ID of an event source mapping cannot be changed.")
        changed = {**record, **{name: params[name] for name in _CHANGEABLE if name in params}}
        if "FunctionName" in params:
            changed["FunctionArn"] = self._function(request.region, params["FunctionName"])
        was = record["State"] == "Enabled"
        wanted = params.get("Enabled", was)
        if was or wanted:
            changed["State"] = "Updating" if was and wanted else "Enabling" if wanted else "Disabling"
        changed = self._checked(changed)
        with self._mappings.lock:
            self._settled(request)
            self._mappings.keep(changed)
        return self._applied(record["UUID"])

    def _delete(self, request: Request) -> Record:
        with self._mappings.lock:
            self._mappings.keep({**self._settled(request), "State": "Deleting"})
        return self._applied(request.params["UUID"])

    async def _list(self, request: Request) -> Record:
        """Ours and ministack's, in one order."""
        params = request.params
        query = {name: str(params[name]) for name in params if name in ("FunctionName", "EventSourceArn")}
        found = [_shown(one) for one in list(self._mappings.records.values()) if _asked(one, request)]
        shape = wire.model("lambda").operation_model("ListEventSourceMappings").output_shape
        others = await self.others(request.region, query)
        found += shapes.parse(shape.members["EventSourceMappings"], others)
        start = next((n + 1 for n, one in enumerate(found) if one["UUID"] == params.get("Marker")), 0)
        end = start + params.get("MaxItems", _PAGE)
        more = {"NextMarker": found[end - 1]["UUID"]} if end < len(found) else {}
        return {"EventSourceMappings": found[start:end], **more}

    def _applied(self, id: str) -> Record:
        """What is answered before the poller has followed."""
        record = self._mappings.records[id]
        self._mappings.apply(id)
        return _shown(record)

    def _checked(self, record: Record) -> Record:
        """The record with the pollers that AWS would give it."""
        record = dict(record)
        if pollers := record.get("ProvisionedPollerConfig"):
            low = pollers.get("MinimumPollers", 1)
            both = {"MinimumPollers": low, "MaximumPollers": max(low, 200), **pollers}
            record["ProvisionedPollerConfig"] = both
        else:  # an empty one ends provisioned mode
            record.pop("ProvisionedPollerConfig", None)
        check_options(record)
        kafka_calls.check_filters(self._mappings.client(record["Region"]), record.get("FilterCriteria", {}))
        self._mappings.servers(record)
        return record

    def _function(self, region: str, name: str) -> str:
        """ARN of a function, with the qualifier that was asked for."""
        from botocore.exceptions import ClientError

        try:
            found = self._mappings.client(region)("lambda").get_function_configuration(FunctionName=name)
        except ClientError as error:
            answer = error.response["Error"]
            raise AwsError(answer["Code"], answer["Message"], 404) from error
        arn = ":".join(found["FunctionArn"].split(":")[:7])
        qualifier = name.rpartition("function:")[2].partition(":")[2]
        return f"{arn}:{qualifier}" if qualifier else arn

    def _refuse_double(self, record: Record) -> None:
        group = record[config_name(record)]["ConsumerGroupId"]
        for other in self._mappings.records.values():
            if other["Region"] != record["Region"] or other["State"] == "Deleting":
                continue
            same = ("FunctionArn", "EventSourceArn", "SelfManagedEventSource", "Topics")
            if all(other.get(name) == record.get(name) for name in same):
                words = (
                    f"already exists. Please update or delete the existing mapping with UUID {other['UUID']}"
                )
                raise _conflict(f"An event source mapping with this function, event source and topic {words}")
            if group == other[config_name(other)]["ConsumerGroupId"]:
                raise _conflict(f"The consumer group {group} is that of the mapping {other['UUID']}.")

    def _known(self, request: Request) -> Record:
        record = self._mappings.records.get(request.params["UUID"])
        if record is None or record["Region"] != request.region:
            raise AwsError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return record

    def _settled(self, request: Request) -> Record:
        record = self._known(request)
        if record["State"] not in _SETTLED:
            words = f"Cannot update the event source mapping {record['UUID']} because it is in use."
            raise AwsError("ResourceInUseException", f"{words} Its state is {record['State']}.")
        return record


def _shown(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in _OWN}


def _is_msk(arn: Any) -> bool:
    return isinstance(arn, str) and arn.split(":")[2:3] == ["kafka"]


def _asked(record: Record, request: Request) -> bool:
    params = request.params
    name = params.get("FunctionName", "").rpartition("function:")[2].partition(":")[0]
    source = params.get("EventSourceArn")
    return (
        record["Region"] == request.region
        and name in ("", record["FunctionArn"].split(":")[6])
        and source in (None, record.get("EventSourceArn"))
    )


def _conflict(words: str) -> AwsError:
    return AwsError("ResourceConflictException", words, 409)
