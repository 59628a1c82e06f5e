"""The weekly report of a project: its notebook, run on Monday mornings; what it shows stays in S3."""

from __future__ import annotations

from mlops_kit.pipeline import Pipeline
from mlops_kit.settings import Settings
from mlops_kit.trigger import Schedule
from pipelines.features import demand
from pipelines.models.spec import ROOT
from pipelines.notebook_job import NotebookJob, build_job

NOTEBOOK = ROOT.parent / "notebooks" / "10_report_week.ipynb"


def build(settings: Settings) -> Pipeline:
    """The report of the settings' project.

    Parameters
    ----------
    settings : Settings
        Region and project.

    Returns
    -------
    Pipeline
        Named ``report``; its results lie under ``reports/week/<date>/`` in the data bucket.

    Raises
    ------
    UsageError
        The notebook is not beside the pipelines.
    """
    when = Schedule("cron(0 7 ? * MON *)", demand.ZONE, name="report")
    return build_job(settings, NotebookJob(NOTEBOOK, "report", "week", when))
