"""Which resources an action of AWS is authorised on, from its parameters, and which roles it passes; pure.

Source: Service Authorization Reference, the page of each service; where a page says less than AWS's own
refusals do, the refusal is named. Services that are not here are ministack's (`authorization_requests`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mlops_kit.local.service import ACCOUNT

ANY = "*"


@dataclass(frozen=True)
class Call:
    """One call of AWS.

    Attributes
    ----------
    prefix : str
        Of the service's IAM actions, such as ``states``.
    operation : str
        AWS's operation, such as ``StartExecution``.
    region : str
        Region that it is signed for.
    params : mapping
        Members of the request's body or form.
    path : tuple of str
        Parts of the request's path, decoded.
    query : mapping
        Members of the query string.
    """

    prefix: str
    operation: str
    region: str
    params: Mapping[str, Any]
    path: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)

    def text(self, member: str) -> str:
        """A member's text; empty without it."""
        value = self.params.get(member)
        return value if isinstance(value, str) else ""

    def items(self, member: str) -> list[Any]:
        """A member's list; empty without it."""
        value = self.params.get(member)
        return value if isinstance(value, list) else []

    def texts(self, member: str) -> list[str]:
        """The texts of a member's list."""
        return [item for item in self.items(member) if isinstance(item, str)]

    def arn(self, kind: str, name: str) -> str:
        """ARN of a resource of the service: ``kind`` ends with what stands before the name."""
        return (
            name if name.startswith("arn:") else f"arn:aws:{self.prefix}:{self.region}:{ACCOUNT}:{kind}{name}"
        )


def resources(call: Call) -> list[str] | None:
    """ARNs that the call's action is authorised on, all of which must be allowed; None for others."""
    find = _SERVICES.get(call.prefix)
    return None if find is None else list(dict.fromkeys(filter(None, find(call)))) or [ANY]


def conditions(call: Call) -> dict[str, Any]:
    """Condition keys of the service that the call gives a value."""
    if call.prefix == "states" and (match := _MACHINES.fullmatch(call.text("stateMachineArn"))):
        return {"states:StateMachineQualifier": match["qualifier"]}  # a version or alias
    if call.prefix == "cloudwatch" and call.operation == "PutMetricData":
        return {"cloudwatch:namespace": call.text("Namespace")}
    if call.prefix == "ecs" and call.operation in ("RunTask", "StartTask"):
        return {"ecs:cluster": call.arn("cluster/", call.text("cluster") or "default")}
    return {}


def passed_roles(call: Call) -> Iterator[tuple[str, str]]:
    """Roles that the call hands to a service (``iam:PassRole``), and to which one."""
    for operation, path, service in _PASSED.get(call.prefix, ()):
        if re.fullmatch(operation, call.operation):
            yield from ((role, f"{service}.amazonaws.com") for role in _values(call.params, path.split(".")))


def tags_on_creation(call: Call) -> bool:
    """Whether SageMaker asks for ``sagemaker:AddTags`` too, as it does for whatever is created with tags."""
    return (
        call.prefix == "sagemaker" and call.operation.startswith("Create") and bool(call.params.get("Tags"))
    )


_PASSED: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "sagemaker": (
        ("(Create|Update).*", "RoleArn", "sagemaker"),
        ("(Create|Update).*", "ExecutionRoleArn", "sagemaker"),
    ),
    "states": (("(Create|Update)StateMachine", "roleArn", "states"),),
    "glue": (("CreateJob", "Role", "glue"), ("UpdateJob", "JobUpdate.Role", "glue")),
    "lambda": (("CreateFunction|UpdateFunctionConfiguration", "Role", "lambda"),),
    "events": (("PutTargets", "Targets.RoleArn", "events"), ("PutRule", "RoleArn", "events")),
    "scheduler": (("(Create|Update)Schedule", "Target.RoleArn", "scheduler"),),
    "ecs": (
        ("RegisterTaskDefinition", "taskRoleArn", "ecs-tasks"),
        ("RegisterTaskDefinition", "executionRoleArn", "ecs-tasks"),
    ),
}


def _values(value: Any, path: list[str]) -> Iterator[str]:
    """Texts at a path of members, through lists."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif isinstance(value, Mapping) and path:
        yield from _values(value.get(path[0]), path[1:])
    elif isinstance(value, str) and value and not path:
        yield value


# ------------------------------------------------------------------------------------------------ SageMaker
_VERBS = r"^(Create|Describe|Stop|Update|Delete|Start|Retry|Get|Put)|WeightsAndCapacities$|Policy$"


def _sagemaker(call: Call) -> Iterator[str]:
    if call.path[:1] == ("endpoints",):
        yield call.arn("endpoint/", call.path[1].lower() if len(call.path) > 1 else ANY)
        return
    if call.text("ResourceArn"):
        yield call.text("ResourceArn")
        return
    if call.operation in ("CreateModelPackage", "ListModelPackages"):
        # Versions of a group ("Cross-account model registry": both actions on model-package/<group>/*).
        group = call.text("ModelPackageGroupName").rpartition("/")[2]
        name = call.text("ModelPackageName") or (f"{group}/*" if group else ANY)
        yield call.arn("model-package/", name.lower())
        return
    if "Pipeline" in call.operation and call.text(
        "PipelineName"
    ):  # its executions are started and listed on it
        yield call.arn("pipeline/", call.text("PipelineName").lower())
        return
    noun = re.sub(_VERBS, "", call.operation)
    name = call.text(f"{noun}Name") or call.text(f"{noun}Arn")
    if name and not call.operation.startswith("List"):
        kind = re.sub("(?<=[a-z])(?=[A-Z])", "-", noun).lower()  # TrainingJob is training-job
        yield call.arn(f"{kind}/", name if name.startswith("arn:") else name.lower())
    if call.operation in ("CreateEndpoint", "UpdateEndpoint"):
        yield call.arn("endpoint-config/", call.text("EndpointConfigName").lower())


# ------------------------------------------------------------------------------------------- Step Functions
_MACHINES = re.compile(r"(arn:[^:]+:states:[^:]*:[^:]*:stateMachine:[^:]+):(?P<qualifier>.+)")
_STATES_MEMBERS = (
    *("stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn"),
    *("executionArn", "mapRunArn", "activityArn", "resourceArn"),
)


def _states(call: Call) -> Iterator[str]:
    if call.operation in ("CreateStateMachine", "CreateActivity"):
        kind = "stateMachine:" if call.operation == "CreateStateMachine" else "activity:"
        yield call.arn(kind, call.text("name"))
        return
    if call.operation == "ValidateStateMachineDefinition":
        yield call.arn("stateMachine:", ANY)
        return
    if call.operation in ("ListStateMachines", "ListActivities"):  # as AWS's refusals write it
        yield call.arn("stateMachine:" if call.operation == "ListStateMachines" else "activity:", ANY)
        return
    for member in _STATES_MEMBERS:
        if arn := call.text(member):
            match = _MACHINES.fullmatch(arn)
            yield match[1] if match else arn
            return


# ---------------------------------------------------------------------------------------- Glue and Athena
_JOB = r"(Start|Get|Update|Delete|Create|BatchStop|Batch?Get|Reset)Job.*"


def _glue(call: Call) -> Iterator[str]:
    database = call.text("DatabaseName") or call.text("Name") * call.operation.endswith("Database")
    database = database or _first(call, ("DatabaseInput", "Name"))
    if re.fullmatch(_JOB, call.operation) and not call.operation.startswith("GetJobs"):
        name = call.text("JobName") or call.text("Name")
        yield call.arn("job/", name or ANY)
    elif re.search(r"Database|Table|Partition|UserDefinedFunction", call.operation):
        yield call.arn("", "catalog")
        yield call.arn("database/", database or ANY)
        table = call.text("TableName") or _first(call, ("TableInput", "Name"))
        table = table or (call.text("Name") if call.operation.endswith(("Table", "TableVersions")) else "")
        if re.search("Table|Partition", call.operation):
            yield call.arn("table/", f"{database or ANY}/{table or ANY}")
    elif name := call.text("CrawlerName") or (call.text("Name") if "Crawler" in call.operation else ""):
        yield call.arn("crawler/", name)


def _first(call: Call, path: tuple[str, ...]) -> str:
    return next(_values(call.params, list(path)), "")


def _athena(call: Call) -> Iterator[str]:
    if re.search("DataCatalog|Database|TableMetadata", call.operation) and "List" not in call.operation[:4]:
        yield call.arn("datacatalog/", call.text("CatalogName") or call.text("Name"))
    elif call.operation not in ("ListDataCatalogs", "ListWorkGroups", "ListEngineVersions"):
        # A query is authorised on its workgroup, which `authorization_requests` puts in where it is absent.
        name = call.text("WorkGroup") or call.text("WorkGroupName")
        yield call.arn(
            "workgroup/", name or (call.text("Name") * call.operation.endswith("WorkGroup")) or "primary"
        )


# --------------------------------------------------------------------------- events, Lambda, logs and others
def _events(call: Call) -> Iterator[str]:
    if call.operation == "PutEvents":
        for entry in call.items("Entries"):
            bus = entry.get("EventBusName") if isinstance(entry, Mapping) else None
            yield call.arn("event-bus/", bus if bus and isinstance(bus, str) else "default")
    elif call.text("ResourceARN"):
        yield call.text("ResourceARN")
    elif name := call.text("Rule") or (call.text("Name") if "Rule" in call.operation else ""):
        bus = call.text("EventBusName").rpartition("/")[2] or "default"
        yield call.arn("rule/", name if bus == "default" else f"{bus}/{name}")
    elif "EventBus" in call.operation and not call.operation.startswith("List"):
        yield call.arn("event-bus/", call.text("Name") or "default")


def _lambda(call: Call) -> Iterator[str]:
    kind = next(
        (part for part in ("functions", "layers", "event-source-mappings", "tags") if part in call.path), ""
    )
    named = call.path[call.path.index(kind) + 1 :] if kind else ()
    if kind == "tags":
        yield unquote("/".join(named))
    elif kind == "functions" and (name := named[0] if named else call.text("FunctionName")):
        partial = re.fullmatch(r"\d{12}:function:(.+)|function:(.+)", name)
        arn = call.arn("function:", next(filter(None, partial.groups())) if partial else name)
        version = call.query.get("Qualifier", "")
        yield f"{arn}:{version}" if version and arn.count(":") == 6 else arn
    elif kind == "layers" and named:
        yield call.arn("layer:", ":".join((named[0], *named[2:3])))
    elif kind == "event-source-mappings" and named:
        yield call.arn("event-source-mapping:", named[0])


def _logs(call: Call) -> Iterator[str]:
    """A group's actions are on ``log-group:NAME:log-stream:``, as AWS's refusals write it."""
    if call.text("resourceArn"):
        yield call.text("resourceArn").removesuffix(":*")
    elif re.fullmatch(r".*(LogDeliver|ResourcePolic|QueryDefinition|DescribeQueries|DescribeDestinations).*",
                      call.operation):  # fmt: skip
        return
    else:
        named = call.text("logGroupName") or call.text("logGroupIdentifier").partition(":log-group:")[2]
        for group in [named] if named else call.texts("logGroupNames") or [""]:
            yield call.arn(
                "log-group:", f"{group.removesuffix(':*')}:log-stream:{call.text('logStreamName')}"
            )


def _cloudwatch(call: Call) -> Iterator[str]:
    if "Alarm" in call.operation and (name := call.text("AlarmName")):
        yield call.arn("alarm:", name)
    elif "Dashboard" in call.operation and (name := call.text("DashboardName")):
        yield f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}"


def _scheduler(call: Call) -> Iterator[str]:
    name = call.path[1] if len(call.path) > 1 else ""
    if call.path[:1] == ("schedules",) and name:
        group = call.text("GroupName") or call.query.get("groupName", "") or "default"
        yield call.arn("schedule/", f"{group}/{name}")
    elif call.path[:1] == ("schedule-groups",) and name:
        yield call.arn("schedule-group/", name)
    elif call.path[:1] == ("tags",):
        yield "/".join(call.path[1:])


def _ecs(call: Call) -> Iterator[str]:
    if call.operation in ("RunTask", "StartTask"):
        yield call.arn("task-definition/", call.text("taskDefinition"))
        return
    cluster = call.text("cluster").rpartition("/")[2] or "default"
    tasks = [call.text("task")] if call.text("task") else call.texts("tasks")
    yield from (call.arn("task/", task if task.startswith("arn:") else f"{cluster}/{task}") for task in tasks)
    if not tasks and call.text("cluster"):
        yield call.arn("cluster/", call.text("cluster"))


_SERVICES: Mapping[str, Callable[[Call], Iterator[str]]] = {
    "athena": _athena,
    "cloudwatch": _cloudwatch,
    "ecs": _ecs,
    "events": _events,
    "glue": _glue,
    "lambda": _lambda,
    "logs": _logs,
    "sagemaker": _sagemaker,
    "scheduler": _scheduler,
    "states": _states,
}
