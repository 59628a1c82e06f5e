"""docs/retraining.md shows the workflow that is built."""

from __future__ import annotations

import pytest

import mlops_kit as kit
from mlops_kit.settings import Settings
from pipelines import retraining
from tests.acceptance.town import ROOT

pytestmark = pytest.mark.slow


def test_the_page_shows_the_workflow_that_is_built() -> None:
    page = (ROOT / "docs" / "retraining.md").read_text()
    pipeline = retraining.build(Settings())
    drawn = page.split("```mermaid\n")[1].split("\n```")[0]
    assert drawn == kit.graph(pipeline).mermaid().strip(), (
        "put the output of `mlops-kit graph retraining --format mermaid` into docs/retraining.md"
    )
    table = page.split("## States")[1].split("\n\n")[1]
    choices = {"HasChampion", "Announce", "Retrained", "Rejected", "UnknownState", "AlreadyRetraining"}
    assert [name for name in set(pipeline.definition["States"]) - choices if name not in table] == []
