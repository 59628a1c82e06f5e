"""The only module that knows ministack: how it is configured, reached, saved and given our parts.

ministack has no plugin contract. Every inner name of it that we use is listed in `ministack_names`, and a
contract test looks each of them up, so that a new release breaks one test and not the house.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from mlops_kit.errors import KitError
from mlops_kit.local import imports
from mlops_kit.local.corrections import schedules
from mlops_kit.local.corrections.log_state import LogState
from mlops_kit.local.corrections.states import Adapter
from mlops_kit.local.corrections.unsupported import Handlers
from mlops_kit.local.service import ACCOUNT
from mlops_kit.local.sharing import sharing
from mlops_kit.local.state_folder import StateFolder

_ATTEMPTS = 5
_READS = re.compile(r"(Get|List|Describe|Head|BatchGet|Query|Scan|Filter|Select|Lookup|Preview|Validate)")
_INVOKE = re.compile(r"/2015-03-31/functions/[^/]+/invocations")
# What a call to one service may change in others, because it delivers to them or runs code.
_EFFECTS: Mapping[str, tuple[str, ...]] = {
    "events": ("sqs", "sns", "lambda", "logs", "monitoring"),
    "sns": ("sqs", "lambda", "logs", "monitoring"),
    "s3": ("sqs", "sns", "lambda", "logs", "events"),
    "sqs": ("lambda", "logs", "monitoring"),
    "lambda": ("logs", "monitoring", "sqs", "sns", "events"),
    "monitoring": ("sns", "sqs", "lambda", "logs"),
    "logs": ("lambda", "monitoring"),
    "dynamodb": ("lambda", "logs"),
}


def environment(folder: StateFolder, port: int, region: str) -> dict[str, str]:
    """The variables that ministack reads when it is imported."""
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "EDGE_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",  # so that queue URLs and the like name the port that serves them
        "MINISTACK_REGION": region,
        "IOT_MTLS_ENABLED": "0",  # its listeners bind every interface
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder.ministack),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder.objects),
        "LAMBDA_EXECUTOR": "local",
        "DOCKER_HOST": f"unix://{folder.home}/no-docker.sock",  # nothing here may start a container
        "LOG_LEVEL": "WARNING",
    }


class Ministack:
    """ministack in this process; made once, after `environment` is in ``os.environ``.

    Parameters
    ----------
    folder : StateFolder
        Where its state is.

    Attributes
    ----------
    states : Adapter
        Stands where ministack's Step Functions stood; wants our engine.
    """

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self.states = Adapter()
        replace_module("stepfunctions", self.states.module)
        replace_module("scheduler", schedules.stand_in())
        self._app = module("app")
        self._logs = LogState(module)
        self._saved = self._read_saved()
        self._interrupted = _interrupted(self._saved.get("cloudformation"))
        self._app._load_persisted_state = self._load
        self._app.save_all = lambda _: None  # we save, atomically and on disk
        # It would read every model of botocore to know whether a service is AWS's: seconds, and memory.
        module("core.router")._is_aws_service_name = lambda name: True
        self._app.SERVICE_HANDLERS = Handlers(self._app.SERVICE_HANDLERS)
        self._app._collect_scripts = lambda *_: []  # nothing that lies in a system folder is run

    @property
    def app(self) -> Callable[..., Any]:
        """The ASGI application."""
        asgi: Callable[..., Any] = self._app.app
        return asgi

    def changes(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> set[str]:
        """Names of the services that a request may change; empty for a read."""
        service = self._app.detect_service(method, path, headers, {})
        if self.runs(path, headers):
            return {"logs", "monitoring"}
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if not action and body.startswith(b"Action="):
            action = body[7:80].partition(b"&")[0].decode("latin-1")
        reads = _READS.match(action) is not None if action else method in ("GET", "HEAD")
        if reads and action not in ("ReceiveMessage", "GetQueueUrl"):
            return set()
        return self.affected(service)

    def runs(self, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a request only runs a function and waits: what that changes comes through the port too."""
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        return _INVOKE.fullmatch(path) is not None and kind == "RequestResponse"

    def affected(self, service: str) -> set[str]:
        """A service and those that a change of it reaches."""
        if service in ("cloudformation", "tagging", "cloudcontrol"):
            return set(self._states())
        return {service, *_EFFECTS.get(service, ())}

    def snapshot(self, names: Iterable[str]) -> dict[str, bytes]:
        """The state of services as the bytes of their files, in the order of writing; call on the loop.

        A stack comes after what it is made of, so that no file names a resource that the disk does not have.
        """
        wanted = {self._module_name(name) for name in names}
        files = {}
        with sharing(f"ministack.services.{name}" for name in SHARING):
            for key, get_state in self._states().items():
                if self._app._state_map[key] in wanted or key in wanted:
                    files[key] = self._logs.encode() if key == "cloudwatch_logs" else _encode(key, get_state)
        last = sorted(files, key="cloudformation".__eq__)
        return {key: files[key] for key in last if files[key]}

    async def call(self, service: str, target: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a JSON service in process, on the loop.

        Raises
        ------
        RuntimeError
            The service refused.
        """
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1", "host": "127.0.0.1"}
        handler = self._app.SERVICE_HANDLERS[service]
        status, _, body = await handler("POST", "/", headers, json.dumps(payload).encode(), {})
        answer: dict[str, Any] = json.loads(body or b"{}")
        if status >= 300:
            raise RuntimeError(f"{service} refused {target}: {answer}")
        return answer

    async def mappings(self, region: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Lambda's event source mappings, which are not for Kafka, as JSON; call on the loop."""
        handler, path = self._app.SERVICE_HANDLERS["lambda"], "/2015-03-31/event-source-mappings"
        asked = {**query, "MaxItems": "10000"}
        with self.scope(ACCOUNT, region):
            _, _, body = await handler("GET", path, {"host": "127.0.0.1"}, b"", asked)
        found: list[dict[str, Any]] = json.loads(body)["EventSourceMappings"]
        return found

    def take_up(self) -> None:
        """Go on with the stack operations that a former process left; call on the loop."""
        if self._interrupted:
            module("services.cloudformation")  # which restores the stacks
            from mlops_kit.local.corrections import interrupted

            interrupted.take_up()

    def put_service_event(self, entry: Mapping[str, Any]) -> None:
        """Put an event of AWS's own (source ``aws.*``) on the default bus; call on the loop."""
        module("services.eventbridge")._put_events({"Entries": [entry]}, allow_aws_source=True)

    def scope(self, account: str, region: str) -> Any:
        """A context manager: whose resources the calls inside it see."""
        return module("core.responses").request_scope(account, region)

    def _states(self) -> dict[str, Callable[[], Any]]:
        states: dict[str, Callable[[], Any]] = self._app._build_persistence_save_dict()
        return states

    def _module_name(self, service: str) -> str:
        registry = self._app.SERVICE_REGISTRY
        return str(registry[service]["module"]) if service in registry else service

    def _read_saved(self) -> dict[str, Any]:
        """What every service had saved; what is unreadable is refused, as the next save would lose it."""
        saved = {}
        for key in self._app._state_map:
            if (self._folder.ministack / f"{key}.json").exists():
                saved[key] = module("core.persistence").load_state(key)
                if saved[key] is None:
                    raise KitError(
                        f"The saved state {self._folder.ministack / key}.json cannot be read.",
                        suggestion="upgrade mlops_kit, or move the file away (what it holds is then gone).",
                    )
        return saved

    def _load(self) -> None:
        for key, state in self._saved.items():
            restore = functools.partial(self._restore, key, state)
            if key == "cloudformation":  # loads every other service: a second that a start can do without
                after_import("services.cloudformation", restore)
            else:
                restore()
        self._saved.clear()

    def _restore(self, key: str, state: Any) -> None:
        if key == "cloudwatch_logs":
            self._logs.restore(state)
        else:
            module(f"services.{self._app._state_map[key]}").load_persisted_state(state)


def _interrupted(stacks: Mapping[str, Any] | None) -> bool:
    """Whether a saved stack was being made, changed or removed."""
    from mlops_kit.local.corrections.interrupted import UNDER_WAY

    return stacks is not None and any(UNDER_WAY in stack for stack in stacks["stacks"]._data.values())


def _encode(key: str, get_state: Callable[[], Any]) -> bytes:
    """A service's file; empty for one that has nothing to save."""
    persistence = module("core.persistence")
    for attempt in range(_ATTEMPTS):
        try:
            state = get_state()
            wrapped = {"__ministack_format__": persistence._state_format_version(key), "payload": state}
            return b"" if state is None else json.dumps(wrapped, default=persistence._json_default).encode()
        except RuntimeError:  # a thread of the service put something in while we looked
            if attempt == _ATTEMPTS - 1:
                raise
    return b""


# Those that may hold much, and whose get_state changes nothing in what it copies (a contract test looks).
SHARING = ("dynamodb", "cloudwatch", "sqs", "sns", "eventbridge", "iam", "cloudformation")


def module(name: str) -> Any:
    """A module of ministack, such as ``services.sqs``."""
    return importlib.import_module(f"ministack.{name}")


def after_import(name: str, hook: Callable[[], None]) -> None:
    """Call ``hook`` as soon as ministack has loaded its module ``name``, which it does at first use."""
    imports.after_import(f"ministack.{name}", hook)


def collect_tags(service: str, collect: Callable[[], Iterable[tuple[str, Any]]]) -> None:
    """Let ministack's tagging and IAM know the tags of one of our services' resources, by ARN."""
    name = "services.tagging"
    after_import(name, lambda: module(name)._RESOURCE_TAG_COLLECTORS.update({service: collect}))


def physical_name(stack: str, logical_id: str, longest: int) -> str:
    """The generated name of a resource: the same on every update until the resource is replaced."""
    provisioners = module("services.cloudformation.provisioners")
    return str(provisioners._physical_name(stack, logical_id, max_len=longest))


def replace_module(name: str, replacement: ModuleType) -> None:
    """Put ours in the place of one of ministack's service modules; call before anything imports it."""
    full = f"ministack.services.{name}"
    sys.modules[full] = replacement
    setattr(importlib.import_module("ministack.services"), name, replacement)
