"""Triggers that overlap: one window is retrained once, unless it failed or is forced."""

from __future__ import annotations

import time

import pytest

import mlops_kit as kit
from tests.acceptance import town as room
from tests.acceptance.town import Town

pytestmark = pytest.mark.slow


def test_two_started_at_once_are_one_retraining_and_one_already_retraining(
    town: Town, pair: dict[str, kit.Run]
) -> None:
    assert set(pair) == {"Retrained", "AlreadyRetraining"}
    loser = pair["AlreadyRetraining"]
    assert loser.status == "SUCCEEDED" and loser.failure is None
    assert room.states(loser.execution) == ["ClaimWindow", "AlreadyRetraining"]


def test_a_window_that_is_done_stays_done_and_says_by_whom(town: Town, first: kit.Run) -> None:
    item = town.lock("2011-W26")
    assert item is not None
    assert (item["owner"], item["status"], item["forced"]) == (first.arn, "done", False)
    assert "expires_at" not in item and float(item["ttl"]) > time.time() - 20 * 365 * 86_400
    later = town.run("later-in-the-week", as_of="2011-07-03T12:00:00Z")
    assert room.states(later.execution) == ["ClaimWindow", "AlreadyRetraining"]


def test_force_bypasses_the_lock_and_says_so(town: Town, first: kit.Run) -> None:
    run = town.start("forced", as_of="2011-07-01", force=True)
    town.until(lambda: "PrepareTrainingData" in room.states(run.execution), lambda: str(run))
    item = town.lock("2011-W26")
    kit.stop(town.session, run)
    assert item is not None
    assert (item["owner"], item["status"], item["forced"]) == (run.arn, "claimed", True)
    assert room.given(run.execution, "PrepareTrainingData")["force"] is True
    assert run.input["force"] is True and run.status == "ABORTED"
