"""From the template to the clock: what the commands announce is what fires, no more and no less."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mlops_kit as kit
from tests.conftest import EmbeddedAws
from tests.deploy.small import pipeline

pytestmark = pytest.mark.slow

COMMAND = Path(sys.executable).with_name("mlops-kit")
WEEK = (
    kit.Schedule("cron(30 2 * * ? *)", "Europe/Berlin", name="skipped-once"),
    kit.Schedule("cron(0 9 ? * 2#5 *)", "America/New_York", name="fifth-monday", flexible_window=30),
    kit.Schedule("rate(6 hours)", name="often", target=kit.Target("${RoutineTopic}")),
    kit.Schedule("rate(1 day)", name="soon-over", end="2026-03-29T12:00:00Z"),
    kit.Schedule("cron(0 0 * * ? *)", name="later", start="2026-04-02T00:00:00Z"),
    kit.Schedule("rate(2 days)", name="in-step", start="2026-03-28T06:00:00Z"),
    kit.Schedule("at(2026-04-01T09:00:00)", "Asia/Tokyo", name="once"),
    kit.Schedule("at(2027-04-01T09:00:00)", name="next-year"),
    kit.Schedule("rate(1 hour)", name="paused"),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedAws]:
    """An embedded AWS on the Friday before the clocks of Europe change."""
    made = EmbeddedAws(tmp_path / "state", ("--at", "2026-03-27T00:00:00Z"))
    made.start()
    yield made
    made.stop()


def test_eight_days_fire_exactly_what_was_announced(server: EmbeddedAws, tmp_path: Path) -> None:
    session = kit.session(
        endpoint_url=server.url, region="us-east-1", project="week", state_dir=server.state_dir
    )
    small = replace(pipeline(tmp_path / "fn"), input_schema={"type": "object"}).adding(*WEEK)
    kit.apply(session, small, on_progress=lambda _: None)
    kit.pause(session, "paused")

    announced = json.loads(command(server, "schedules", "--next", "60", "--json"))
    said = command(server, "local", "advance", "8d").splitlines()
    (clock,) = re.findall(r"Its clock says (\S+?Z)", said[-1])
    fires = re.findall(r"^(\S+Z)  week-small/(\S+)  ", "\n".join(said), re.MULTILINE)
    due = [(moment, one["name"]) for one in announced for moment in one["next"] if moment <= clock]
    assert sorted(fires) == sorted(due)
    assert Counter(name for _, name in due) == {
        "skipped-once": 7,  # the 29th has no 02:30 in Berlin
        "fifth-monday": 1,
        "often": 32,
        "soon-over": 2,
        "later": 3,
        "in-step": 4,
        "once": 1,
    }
    started = Counter(name.removeprefix("schedule ") for name in kit.history(session)["trigger"])
    started.subtract({"soon-over": 1, "paused": 1})  # rates that fired when they were made
    assert started - Counter({"often": 99}) == Counter(name for _, name in due if name != "often")
    results = {one["name"]: one["result"] for one in json.loads(command(server, "schedules", "--json"))}
    assert results["skipped-once"] == "succeeded" and results["often"] == "delivered"
    for name in ("in-step", "later"):  # a start in the past is no reason to refuse, nor to lose step
        kit.pause(session, name)
        kit.resume(session, name)
    after = {one.name: one.next[0].isoformat() for one in kit.schedules(session).schedules if one.next}
    assert after["in-step"] == "2026-04-05T06:00:00+00:00" and after["later"].startswith("2026-04-05T00:00")
    with pytest.raises(kit.UsageError, match="ended at 2026-03-29T12:00:00Z: it fires no more"):
        kit.pause(session, "soon-over")


def command(server: EmbeddedAws, *arguments: str) -> str:
    told = {
        "MLOPS_KIT_ENDPOINT_URL": server.url,
        "MLOPS_KIT_STATE_DIR": str(server.state_dir),
        "MLOPS_KIT_REGION": "us-east-1",
        "MLOPS_KIT_PROJECT": "week",
    }
    done = subprocess.run(
        [str(COMMAND), *arguments], capture_output=True, text=True, check=False, env={**os.environ, **told}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
