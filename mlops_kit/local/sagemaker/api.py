"""SageMaker as a service: puts its parts together; must not do what a part does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from mlops_kit.local.ministack import collect_tags
from mlops_kit.local.sagemaker.endpoints import Endpoints
from mlops_kit.local.sagemaker.jobs import Jobs
from mlops_kit.local.sagemaker.models import Models
from mlops_kit.local.sagemaker.pipelines import Pipelines
from mlops_kit.local.sagemaker.processing import Processing
from mlops_kit.local.sagemaker.registry import Registry
from mlops_kit.local.sagemaker.routes import Routes
from mlops_kit.local.sagemaker.tags import Tags
from mlops_kit.local.sagemaker.training import Training
from mlops_kit.local.sagemaker.transform import Transform
from mlops_kit.local.service import Context, Service

_DOWNLOADS = 4  # jobs that are prepared at once


class SageMaker(Service):
    """Jobs, models, endpoints and the registry.

    Every handler may be called from any thread, the server's loop included.

    Parameters
    ----------
    context : Context
        What the server hands out.

    Attributes
    ----------
    routes : Routes
        Where endpoints are served; for `SageMakerRuntime`.
    """

    name = "sagemaker"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        lock = threading.RLock()
        self.routes = Routes()
        self._workers = ThreadPoolExecutor(_DOWNLOADS, "sagemaker")
        registry = Registry(context, lock)
        models = Models(context, lock, registry.package)
        self._endpoints = Endpoints(context, models, lock, self.routes)
        kinds = (Training(), Processing(), Transform(models.model))
        pipelines = Pipelines(context, lock)
        self._jobs = [Jobs(context, kind, lock, self._workers) for kind in kinds]
        tables = [models.models, models.configs, registry.groups, registry.packages, pipelines.table]
        tables.append(self._endpoints.table)
        tags = Tags([*tables, *(jobs.table for jobs in self._jobs)], lock)
        collect_tags(self.name, tags.collected)
        parts = [part.operations() for part in (registry, models, pipelines, self._endpoints, tags)]
        for operations in [*parts, *(jobs.operations() for jobs in self._jobs)]:
            self.operations |= operations

    def start(self) -> None:
        """Take up jobs and endpoints of a former server."""
        for jobs in self._jobs:
            jobs.recover()
        self._endpoints.recover()

    def under_way(self) -> list[str]:
        """Jobs that have not ended, endpoints that are being made or changed."""
        return [name for jobs in self._jobs for name in jobs.under_way()] + self._endpoints.under_way()

    def stop(self) -> None:
        """Start nothing more; what runs ends with the server and is taken up by the next."""
        self._endpoints.leave()
        for jobs in self._jobs:
            jobs.leave()
        self._workers.shutdown(wait=False, cancel_futures=True)
