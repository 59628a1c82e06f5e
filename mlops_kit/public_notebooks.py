"""What ``import mlops_kit as kit`` shows of notebooks that run by themselves; no work of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline
from mlops_kit.trigger import Schedule

if TYPE_CHECKING:
    from mlops_kit.deploy.aws import Session
    from mlops_kit.deploy.stack import Applied

_MODULE, _PREFIX = "notebook_job", "notebook-"


def scheduled_notebook(
    session: Session,
    path: str | Path,
    cron: str,
    parameters: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
    name: str | None = None,
) -> Pipeline:
    """A notebook as a pipeline that runs by itself, to be planned and applied; nothing is changed yet.

    Parameters
    ----------
    session : Session
        Where.
    path : str or Path
        The notebook; it is shipped with the kit and the package ``pipelines``, files beside it are not.
    cron : str
        ``cron(...)``, ``rate(...)`` or ``at(...)`` in AWS's syntax.
    parameters : mapping, optional
        By name, as for `notebooks.run`; the others keep their defaults.
    timezone : str
        IANA name.
    name : str, optional
        Default from the file's. The pipeline is ``notebook-<name>``, its results lie in the data bucket under
        ``reports/<name>/<date>/``.

    Raises
    ------
    UsageError
        There is no such notebook, it takes no such parameter, or the expression, zone or name cannot be.
    """
    from mlops_kit import catalog, notebooks
    from mlops_kit.build.template import build

    module, path = catalog.module(_MODULE), Path(path)
    given = notebooks.typed(path, parameters or {})
    job = module.named(path, name, Schedule(cron, timezone), given, _PREFIX)
    pipeline: Pipeline = module.build_job(session.settings, job)
    build(session.settings, pipeline)  # refuses what AWS would refuse
    return pipeline


def schedule_notebook(
    session: Session,
    path: str | Path,
    cron: str,
    parameters: Mapping[str, Any] | None = None,
    timezone: str = "UTC",
    name: str | None = None,
) -> Applied:
    """Let a notebook run by itself: inside a SageMaker processing job, by papermill; again is an update.

    Parameters
    ----------
    session, path, cron, parameters, timezone, name
        As for `scheduled_notebook`.

    Raises
    ------
    UsageError
        As for `scheduled_notebook`; nothing was changed.
    DeployError
        As for `apply`.
    """
    from mlops_kit.public import apply

    return apply(session, scheduled_notebook(session, path, cron, parameters, timezone, name))


def standing(name: str) -> Pipeline | None:
    """What is known of a scheduled notebook by its pipeline's name alone, enough to remove it.

    Returns
    -------
    Pipeline or None
        None when it is no scheduled notebook's name.
    """
    if not name.startswith(_PREFIX):
        return None
    from mlops_kit import catalog

    label = name.removeprefix(_PREFIX)
    try:
        reports = catalog.module(_MODULE).REPORTS
    except UsageError:  # this project schedules no notebooks
        return None
    return Pipeline(name, "A scheduled notebook", {}, writes=(f"{reports}{label}/",)) if label else None
