"""A replay decides as the rules would: windows in a row, the week's lock, cooldowns, a new champion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

import pytest

import mlops_kit as kit
from mlops_kit.drift.simulate import COOLING, HELD, RETRAINED, Plan, parse, simulate
from mlops_kit.drift.windows import Window
from mlops_kit.errors import UsageError
from mlops_kit.trigger import DriftRule, Schedule
from pipelines import replay, retraining

SETTINGS = kit.Settings()


@dataclass
class Growing:
    """A model that is one percent of bias worse for each day since its training."""

    days: int = 7
    limits: Mapping[str, float] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)

    def train(self, until: str) -> str:
        self.trained.append(until)
        return until

    def measure(self, champion: str, start: str, end: str) -> Window:
        age = (date.fromisoformat(end) - date.fromisoformat(champion)).days
        return Window(start, end, {}, {"wape": 0.1 + age / 100, "bias": -age / 100})


def plan(*rules: DriftRule, weeks: int = 10, schedules: tuple[Schedule, ...] = (), days: int = 7) -> Plan:
    end = date(2011, 7, 4) + timedelta(weeks=weeks)
    return Plan("demand", "2011-07-04", end.isoformat(), rules, schedules, days)


def test_a_rule_fires_after_so_many_windows_in_a_row_and_a_new_champion_begins_anew() -> None:
    found = simulate(Growing(), plan(DriftRule("bias", 0.1, windows=2)))
    # 7, 14 and 21 percent: the third window is the second one above the limit
    assert found.retrainings == ("2011-07-25", "2011-08-15", "2011-09-05")
    assert [until for until, _ in found.windows][:5] == ["2011-07-04"] * 3 + ["2011-07-25"] * 2


def test_a_cooldown_swallows_and_says_so() -> None:
    quiet = simulate(Growing(), plan(DriftRule("bias", 0.05, windows=1, cooldown=21)))
    assert quiet.retrainings == ("2011-07-25", "2011-08-15", "2011-09-05")
    assert [one.outcome for one in quiet.happenings][:3] == [COOLING, COOLING, RETRAINED]


def test_two_triggers_in_a_week_are_one_retraining() -> None:
    weekly = Schedule("cron(0 6 ? * MON *)", name="weekly")
    found = simulate(Growing(), plan(DriftRule("bias", 0.05, windows=1), schedules=(weekly,), weeks=2))
    assert [(one.day, one.trigger, one.outcome) for one in found.happenings] == [
        ("2011-07-04", "schedule weekly", HELD),
        ("2011-07-11", "drift-rule drift-bias", RETRAINED),
        ("2011-07-11", "schedule weekly", HELD),
        ("2011-07-18", "drift-rule drift-bias", RETRAINED),
        ("2011-07-18", "schedule weekly", HELD),
    ]
    assert [row["fired"] for row in found.rows()] == [
        "schedule weekly: already retrained this week 2 times, drift-rule drift-bias: retrained",
        "drift-rule drift-bias: retrained, schedule weekly: already retrained this week",
    ]
    assert "2 retrainings, 3 held" in found.summary() and json.loads(found.to_json())["retrainings"]


def test_a_schedule_retrains_without_any_rule() -> None:
    monthly = Schedule("cron(0 6 1 * ? *)", name="monthly")
    model = Growing()
    assert simulate(model, plan(schedules=(monthly,))).retrainings == ("2011-08-01", "2011-09-01")
    assert model.trained == ["2011-07-04", "2011-08-01", "2011-09-01"]


def test_what_schedules_fire_between_two_windows_and_after_the_last_is_told() -> None:
    weekly = Schedule("cron(0 6 ? * WED *)", name="weekly")
    found = simulate(Growing(days=28), plan(schedules=(weekly,), days=28))
    assert [row["fired"] for row in found.rows()] == [
        "schedule weekly: already retrained this week, schedule weekly: retrained 3 times",
        "schedule weekly: retrained 4 times",
    ]
    after = "after 2011-08-29: schedule weekly: retrained 2 times"
    assert str(found).splitlines()[-1] == after and after in found._repr_html_()


def test_a_time_without_a_window_is_refused() -> None:
    with pytest.raises(UsageError, match="no window of 28 days"):
        simulate(Growing(), plan(weeks=3, days=28))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("bias>0.15", DriftRule("bias", 0.15)),
        ("bias > 0.15 windows=3 cooldown=14", DriftRule("bias", 0.15, windows=3, cooldown=14)),
        ("psi>0.2 features=temp,hum", DriftRule("psi", 0.2, ("temp", "hum"))),
    ],
)
def test_a_rule_reads_as_text(text: str, rule: DriftRule) -> None:
    assert parse(text) == rule


@pytest.mark.parametrize(
    "text", ["", "bias", "bias>", "bias>x", "bias<0.1", "bias>0.1 w=2", "bias>0.1 windows=two"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no drift rule"):
        parse(text)


@pytest.mark.slow
def test_growth_fires_the_bias_rule_once_the_year_has_turned_and_the_next_champion_is_better() -> None:
    rules = [DriftRule("bias", 0.15, windows=2)]
    pipeline = retraining.build(SETTINGS)
    found = kit.simulate(pipeline, "2011-07-01", "2012-06-01", rules, schedules=False)
    assert found.retrainings == ("2012-03-09", "2012-05-04")
    frozen = kit.simulate(pipeline, "2011-07-01", "2012-06-01", [DriftRule("bias", 99)], schedules=False)
    assert found.wape is not None and frozen.wape is not None and found.wape < frozen.wape
    # the temperature's PSI is above 0.2 in every window and says nothing: it retrains as often as it may
    always = kit.simulate(
        pipeline, "2011-07-01", "2011-12-16", ["psi>0.2 features=temp windows=1"], schedules=False
    )
    assert len(always.retrainings) == len(always.windows) == 6


@pytest.mark.slow
def test_the_windows_adjoin_and_hold_every_statistic() -> None:
    model = replay.demand()
    champion = model.train("2011-07-01")
    days = ["2011-07-01", "2011-07-29", "2011-08-26"]
    for start, end in pairwise(days):
        window = model.measure(champion, start, end)
        assert set(window.error) == {"wape", "bias", "error_vs_naive"}
        assert set(window.features["temp"]) == {"psi", "js", "ks", "chi_square"}
        assert "ks" not in window.features["weekday"]
    with pytest.raises(UsageError, match="outside the data"):
        model.measure(champion, "2012-12-20", "2013-01-17")


def test_the_features_that_rules_may_name_are_those_of_the_training() -> None:
    model = retraining.build(SETTINGS)
    seen = replay.demand().train("2011-07-01").profile.features
    assert sorted(model.features) == sorted(seen)


def test_without_any_rule_the_first_champion_stays_and_its_windows_are_drawn() -> None:
    frozen = kit.simulate(retraining.build(SETTINGS), "2011-07-01", "2011-08-26", (), schedules=False)
    assert frozen.retrainings == () and [until for until, _ in frozen.windows] == ["2011-07-01"] * 2
    assert str(kit.drift_chart(frozen)).startswith("psi of 13 features in 2 windows: ")
    assert str(kit.error_chart(frozen)) == "WAPE 0.176 to 0.148, bias -0.033 to +0.029"


def test_the_training_is_drawn_beside_a_window_and_an_unknown_feature_is_named() -> None:
    described = retraining.build(SETTINGS)
    drawn = kit.then_and_now(described, "2011-07-01", "2011-08-26", ["temp", "weathersit"])
    assert str(drawn) == "temp, weathersit: training beside 2011-07-29 to 2011-08-26"
    with pytest.raises(UsageError, match=r"no feature 'rain'(.|\n)*it has .*temp"):
        kit.then_and_now(described, "2011-07-01", "2011-08-26", ["rain"])


def test_a_pipeline_that_nothing_would_start_or_that_has_no_replay_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a drift rule nor a schedule"):
        kit.simulate(retraining.build(SETTINGS), "2011-07-01", "2012-06-01", schedules=False)
    from pipelines import drift_monitor

    with pytest.raises(UsageError, match="cannot be replayed"):
        kit.simulate(drift_monitor.build(SETTINGS), "2011-07-01", "2012-06-01")
    with pytest.raises(UsageError, match=r"'nope', which demand does not have(.|\n)*it has hr, "):
        kit.simulate(retraining.build(SETTINGS), "2011-07-01", "2011-08-26", ["psi>0.2 features=nope"])
    with pytest.raises(UsageError, match=r"no ks of 'weekday'(.|\n)*of hr, temp"):
        kit.simulate(retraining.build(SETTINGS), "2011-07-01", "2011-08-26", ["ks>0.2 features=weekday"])
    with pytest.raises(UsageError, match="no day"):
        kit.simulate(retraining.build(SETTINGS), "July", "2012-06-01", ["bias>0.1"])
