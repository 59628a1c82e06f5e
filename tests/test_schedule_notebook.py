"""``mlops-kit schedule-notebook`` and ``kit.schedule_notebook``: any notebook, by itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

import mlops_kit as kit
from mlops_kit.deploy.stack import outputs
from mlops_kit.errors import UsageError
from mlops_kit.settings import Settings
from tests.acceptance.town import cli
from tests.conftest import REGION, EmbeddedAws
from tests.pipelines.test_report import notebook

EVERY_MONDAY = "cron(0 7 ? * MON *)"


@pytest.fixture
def session(aws: EmbeddedAws, tmp_path: Path) -> Any:
    settings = Settings(endpoint_url=aws.url, region=REGION, project="desk", state_dir=tmp_path)
    return kit.session(settings)


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    source = "import mlops_kit as kit\nfrom pipelines.features import demand\n"
    source += "print(city, days, kit.session(), demand.ZONE)"
    return notebook(tmp_path / "Sales 2026.ipynb", "city = 'Bonn'\ndays = 7", source)


@pytest.mark.slow
def test_a_notebook_is_scheduled_changed_fired_and_removed_by_command(
    session: Any, sales: Path, tmp_path: Path
) -> None:
    def command(*arguments: str) -> str:
        done = cli(session.settings, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = command("schedule-notebook", str(sales), "--cron", EVERY_MONDAY, "-p", "city", "Köln", "--yes")
    assert "RunNotebook" in said or "AWS::StepFunctions::StateMachine" in said
    assert "mlops-kit destroy notebook-sales-2026" in said
    again = ("schedule-notebook", str(sales), "--cron", EVERY_MONDAY, "--timezone", "Europe/Berlin", "--yes")
    command(*again, "-p", "city", "Köln", "-p", "days", "30")
    (standing,) = kit.schedules(session, "notebook-sales-2026", next=1).schedules
    assert standing.timezone == "Europe/Berlin"

    kit.fire(session, standing.name)
    until = time.monotonic() + 120
    while not (run := kit.latest(session, "notebook-sales-2026")) or run.status == "RUNNING":
        assert time.monotonic() < until
        time.sleep(0.3)
    assert run.status == "SUCCEEDED", run.failure
    bucket = outputs(session, "desk-foundation")["DataBucket"]
    s3 = session.client("s3")
    found = s3.list_objects_v2(Bucket=bucket, Prefix="reports/sales-2026/")["Contents"]
    assert [one["Key"].rpartition("/")[2] for one in found] == ["Sales 2026.html", "Sales 2026.ipynb"]
    body = s3.get_object(Bucket=bucket, Key=found[1]["Key"])["Body"].read().decode()
    (printed,) = [out.text for cell in nbformat.reads(body, 4).cells for out in cell.get("outputs", [])]
    assert printed.startswith("Köln 30 Session on embedded AWS") and "America/New_York" in printed

    assert "notebook-sales-2026" in command("history", "notebook-sales-2026") and run.name in command(
        "history"
    )
    page = tmp_path / "sales.html"
    assert f"Written {page}" in command("report", "notebook-sales-2026", "-o", str(page))

    command("destroy", "notebook-sales-2026", "--yes")
    assert not kit.schedules(session, "notebook-sales-2026").schedules
    assert s3.list_objects_v2(Bucket=bucket, Prefix="reports/sales-2026/")["KeyCount"] == 2, "data stay"
    command("destroy", "notebook-sales-2026", "--with-data", "--yes")
    assert s3.list_objects_v2(Bucket=bucket, Prefix="reports/sales-2026/")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"parameters": {"town": "Bonn"}}, "has no parameter 'town'"),
        ({"parameters": {"days": "many"}}, "days takes a whole number"),
        ({"cron": "0 7 * * *"}, "0 7"),
        ({"timezone": "Europe/Bonn"}, "Europe/Bonn"),
        ({"name": "Sales!"}, "cannot be a scheduled notebook's name"),
        ({"path": "nowhere.ipynb"}, "no notebook nowhere.ipynb"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, sales: Path, given: dict[str, Any], words: str
) -> None:
    nobody = kit.session(Settings(endpoint_url="http://127.0.0.1:9", state_dir=tmp_path))
    with pytest.raises(UsageError, match=words):
        kit.schedule_notebook(nobody, **{"path": sales, "cron": EVERY_MONDAY, **given})
