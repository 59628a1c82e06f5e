"""ML workflows on AWS Step Functions, from a notebook. Names are lazy: importing this loads nothing heavy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_kit.artifacts import Artifact, DataFile
    from mlops_kit.drift.check import data_drift, profile
    from mlops_kit.errors import DeployError, KitError, NotReachable, UsageError
    from mlops_kit.pipeline import Function, GlueJob, Pipeline
    from mlops_kit.public import (
        apply,
        bootstrap,
        configuration_drift,
        definition,
        destroy,
        graph,
        lint,
        permissions,
        plan,
        removal,
        session,
        template,
    )
    from mlops_kit.public_drift import drift_chart, error_chart, follow, simulate, then_and_now, watched
    from mlops_kit.public_notebooks import schedule_notebook, scheduled_notebook
    from mlops_kit.public_runs import (
        champion,
        find,
        history,
        latest,
        redrive,
        redrives,
        report,
        run,
        runs_chart,
        stop,
    )
    from mlops_kit.public_schedules import calendar, fire, jobs, occurrences, pause, resume, schedules
    from mlops_kit.settings import Settings
    from mlops_kit.trigger import DriftRule, EventRule, KafkaTrigger, Permission, Retry, Schedule, Target

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "DataFile",
    "DeployError",
    "DriftRule",
    "EventRule",
    "Function",
    "GlueJob",
    "KafkaTrigger",
    "KitError",
    "NotReachable",
    "Permission",
    "Pipeline",
    "Retry",
    "Schedule",
    "Settings",
    "Target",
    "UsageError",
    "__version__",
    "apply",
    "bootstrap",
    "calendar",
    "champion",
    "configuration_drift",
    "data_drift",
    "definition",
    "destroy",
    "drift_chart",
    "error_chart",
    "find",
    "fire",
    "follow",
    "graph",
    "history",
    "jobs",
    "latest",
    "lint",
    "occurrences",
    "pause",
    "permissions",
    "plan",
    "profile",
    "redrive",
    "redrives",
    "removal",
    "report",
    "resume",
    "run",
    "runs_chart",
    "schedule_notebook",
    "scheduled_notebook",
    "schedules",
    "session",
    "simulate",
    "stop",
    "template",
    "then_and_now",
    "watched",
]

# A public name must not be a module's name too: importing the module would put it over the name.
_MODULES = {
    "mlops_kit.artifacts": "Artifact DataFile",
    "mlops_kit.drift.check": "data_drift profile",
    "mlops_kit.errors": "DeployError KitError NotReachable UsageError",
    "mlops_kit.pipeline": "Function GlueJob Pipeline",
    "mlops_kit.public": "apply bootstrap configuration_drift definition destroy graph lint permissions plan "
    "removal session template",
    "mlops_kit.public_drift": "drift_chart error_chart follow simulate then_and_now watched",
    "mlops_kit.public_notebooks": "schedule_notebook scheduled_notebook",
    "mlops_kit.public_runs": "champion find history latest redrive redrives report run runs_chart stop",
    "mlops_kit.public_schedules": "calendar fire jobs occurrences pause resume schedules",
    "mlops_kit.settings": "Settings",
    "mlops_kit.trigger": "DriftRule EventRule KafkaTrigger Permission Retry Schedule Target",
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'mlops_kit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
