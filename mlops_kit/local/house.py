"""The parts of the embedded AWS, made and joined: clock, store, runner, our services, ministack.

Must not know HTTP beyond routing, nor what a service does.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, cast

from mlops_kit.local import clients, corrections, lambda_seam
from mlops_kit.local.activity import Activity
from mlops_kit.local.advancing import Advancing
from mlops_kit.local.authorization import Authorization
from mlops_kit.local.authorization_gate import Gate
from mlops_kit.local.clock import Clock
from mlops_kit.local.corrections.alarms import Alarms
from mlops_kit.local.corrections.rules import Rules
from mlops_kit.local.corrections.states import Engine
from mlops_kit.local.durability import Saver
from mlops_kit.local.guard import App
from mlops_kit.local.lambda_runtime import LambdaRuntime
from mlops_kit.local.ministack import Ministack, after_import
from mlops_kit.local.plumbing import Plumbing
from mlops_kit.local.processes import Runner
from mlops_kit.local.routes import Router
from mlops_kit.local.scheduler.api import Scheduler
from mlops_kit.local.service import Context, Service
from mlops_kit.local.state_folder import StateFolder
from mlops_kit.local.stepfunctions.api import StepFunctions
from mlops_kit.local.store import Store

logger = logging.getLogger(__name__)

# In the order in which they take up again what a former process left: the engine waits for the others' jobs.
SERVICES: Mapping[str, str] = {
    "sagemaker": "mlops_kit.local.sagemaker.api:SageMaker",
    "sagemaker-runtime": "mlops_kit.local.sagemaker.runtime:SageMakerRuntime",
    "glue": "mlops_kit.local.glue:Glue",
    "stepfunctions": "mlops_kit.local.stepfunctions.api:StepFunctions",
    "lambda": "mlops_kit.local.kafka:EventSourceMappings",  # those for Kafka
    "scheduler": "mlops_kit.local.scheduler.api:Scheduler",
}


class House:
    """One embedded AWS.

    Parameters
    ----------
    folder : StateFolder
        Its state, which this process owns.
    url : str
        The port's endpoint.
    region : str
        Default region.
    offset : float
        Seconds by which its clock is ahead of the real one.
    enforcing : bool
        Whether roles are held to their policies.
    """

    def __init__(
        self, folder: StateFolder, url: str, region: str, offset: float, enforcing: bool = False
    ) -> None:
        self._folder = folder
        self._url = url
        self.clock = Clock(offset)
        folder.keep_clock_offset(offset)
        self.advancing: Advancing
        self.store = Store(folder.database)
        self.runner = Runner(folder.processes)
        self.ministack = Ministack(folder)
        self.saver = Saver(folder.ministack, self.ministack.snapshot)
        self.plumbing = Plumbing(self.ministack, self.saver, self.clock, region)
        self.authorization = Authorization(region) if enforcing else None
        self.context = Context(
            store=self.store,
            clock=self.clock,
            runner=self.runner,
            state_dir=folder.root,
            url=url,
            region=region,
            emit=self.plumbing.emit,
            log=self.plumbing.log,
            metric=self.plumbing.metric,
            settle=self.saver.settle,
            authorization=self.authorization,
        )
        self.services = _services(self.context)
        if (
            "sagemaker" in self.services
        ):  # InvokeEndpoint goes where its endpoints are, without asking the store
            self.services["sagemaker-runtime"].routes = self.services["sagemaker"].routes  # type: ignore[attr-defined]
        self.services["lambda"].others = self.ministack.mappings  # type: ignore[attr-defined]
        self.ministack.states.engine = cast(Engine, self.services["stepfunctions"])
        self.rules = Rules(self.clock, url)
        after_import("services.eventbridge", self.rules.install)
        after_import("services.cloudwatch", Alarms(self.clock, self._changed, self.plumbing.emit).install)
        corrections.install(self._client, self._changed, self.saver.save)
        if self.authorization is not None:
            corrections.enforce(self.authorization, self.plumbing.metric)
        self.functions = LambdaRuntime(
            self.runner, folder.root / "lambda", url, self.plumbing.log, self.authorization
        )
        self._threads: ThreadPoolExecutor | None = None
        self.app: App

    def attach(self, loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
        """Name the loop that serves, and the threads for handlers that are plain functions."""
        self._threads = threads
        self.saver.attach(loop)
        self.plumbing.attach(loop)
        self.functions.start()
        after_import("services.lambda_svc", lambda: lambda_seam.install(self.functions))
        self.app = Router(self.services, self.ministack, self.saver, threads)
        if self.authorization is not None:
            self.app = Gate(self.app)
        engine = cast(StepFunctions, self.services["stepfunctions"]).engine
        activity = Activity(self.app, self._jobs, self._calls, lambda: len(engine.executions))
        self.app = activity
        self.advancing = Advancing(
            self.clock,
            activity,
            self._folder.new_token(),
            self._folder.keep_clock_offset,
            self.rules.look,
            self._fired,
        )

    async def start(self) -> None:
        """Take up what a former process left; the port answers already."""
        for service in self.services.values():
            await asyncio.to_thread(service.start)
        await asyncio.to_thread(self.runner.end_unclaimed)
        self.ministack.take_up()

    async def rest(self) -> None:
        """Bring our services and their processes to rest while the port still answers."""
        for service in reversed(self.services.values()):
            await asyncio.to_thread(service.stop)
        await asyncio.to_thread(self.functions.stop)
        await asyncio.to_thread(self.runner.shutdown)
        await self.plumbing.drain()

    async def close(self) -> None:
        """Save everything and let go; the port answers no more."""
        self._changed("cloudformation")  # which is to say, every service
        await self.saver.save()
        self._folder.keep_clock_offset(self.clock.offset)
        clients.forget(self._url)
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self.store.close()
        self.clock.close()

    def _jobs(self) -> list[str]:
        return [name for service in self.services.values() for name in service.under_way()]

    def _calls(self) -> int:
        return self.functions.under_way + self.saver.settling + clients.being_made()

    def _fired(self) -> list[dict[str, Any]]:
        return cast(Scheduler, self.services["scheduler"]).take_fired() + self.rules.take_fired()

    def _client(self, service: str, region: str) -> Any:
        return clients.client(self._url, region, service)

    def _changed(self, service: str) -> None:
        self.saver.touch(self.ministack.affected(service))

    def health(self) -> dict[str, Any]:
        """Who answers here."""
        return {
            "pid": os.getpid(),
            "state_dir": str(self._folder.root),
            "version": version("mlops-kit"),
            "now": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
            "enforces_iam": self.authorization is not None,
        }


def _services(context: Context) -> dict[str, Service]:
    services = {}
    for name, place in SERVICES.items():
        module, _, attribute = place.partition(":")
        services[name] = getattr(importlib.import_module(module), attribute)(context)
    return services
