from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_kit.drift.calibration import calibrate, finest
from mlops_kit.drift.check import data_drift, profile
from mlops_kit.drift.profile import Category, Profile
from mlops_kit.drift.quiet import Quiet, Spread
from mlops_kit.drift.significance import critical
from mlops_kit.drift.statistics import Measure, measure, measure_all
from mlops_kit.drift.thresholds import (
    CORRECTIONS,
    Calibrated,
    Constant,
    PValue,
    StandardDeviations,
    Threshold,
    judge,
    parse,
)
from mlops_kit.errors import UsageError

ROWS = 20_000


def draw(seed: int, rows: int = ROWS, shifted: bool = False) -> pd.DataFrame:
    """Fifteen numbers and five categories; one of each may be moved a little."""
    random = np.random.default_rng(seed)
    kinds = (random.normal, random.exponential, random.standard_t, random.random, random.lognormal)
    columns = {}
    for number in range(15):
        kind = kinds[number % 5]
        columns[f"n{number}"] = kind(5, size=rows) if kind == random.standard_t else kind(size=rows)
    columns["n0"] = columns["n0"] + 0.2 * shifted
    usual, moved = [0.4, 0.3, 0.15, 0.1, 0.05], [0.34, 0.33, 0.17, 0.11, 0.05]
    for number in range(5):
        shares = moved if shifted and number == 0 else usual
        columns[f"c{number}"] = np.array(list("abcde"))[random.choice(5, size=rows, p=shares)]
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profile(draw(1))


@pytest.mark.parametrize("statistic", ["psi", "js", "ks", "chi_square"])
def test_the_default_finds_the_two_changed_columns_and_no_other(reference: Profile, statistic: str) -> None:
    """PSI is 0.04 and 0.02 here: the usual 0.1 or 0.2 finds neither."""
    found = data_drift(reference, draw(2, shifted=True), statistic=statistic)
    assert found.drifted == ("n0", "c0")
    assert data_drift(reference, draw(2, shifted=True), threshold=0.1).drifted == ()


def test_the_default_stays_silent_over_many_like_windows_of_every_size(reference: Profile) -> None:
    alarms = [
        (rows, seed, name)
        for rows in (500, 5_000, 20_000)
        for seed in range(10, 16)
        for name in data_drift(reference, draw(seed, rows)).drifted
    ]
    assert alarms == []


def sampled(seed: int, before: list[float], rows: int, after: list[float], window: int) -> list[str]:
    """Statistics that the default finds drifted between two samples of a category, of whose reference the 256
    most frequent values are known and no quiet windows are kept."""
    random = np.random.default_rng(seed)
    old, new = random.multinomial(rows, before), random.multinomial(window, after)
    known = [int(one) for one in np.argsort(-old, kind="stable")[:256] if old[one]]
    pair = [
        Category(0, {str(one): int(counts[one]) for one in known}, int(counts.sum() - counts[known].sum()))
        for counts in (old, new)
    ]
    found = measure_all(*(Profile(each.count, {}, {"c": each}) for each in pair), ("psi", "js", "chi_square"))
    return [
        one.statistic
        for one in found
        if one.value is not None and one.value > critical(one.statistic, 0.001, one.freedom, one.rows)
    ]


@pytest.mark.parametrize(
    ("values", "rows", "window"),
    [(300, 2000, 500), (3000, 500, 5000), (100, 500, 5000), (3000, 20_000, 20_000), (1000, 200_000, 200_000)],
)
@pytest.mark.parametrize("shape", [0, 1])
def test_chance_alone_raises_no_alarm_on_a_category_of_many_values(
    values: int, rows: int, window: int, shape: int
) -> None:
    shares = 1 / np.arange(1, values + 1) ** shape
    same = list(shares / shares.sum())
    alarms = [seed for seed in range(40) if sampled(seed, same, rows, same, window)]
    assert len(alarms) <= 1  # of each statistic 0.04 are expected


def test_a_category_of_many_values_still_drifts() -> None:
    even = [1 / 300] * 300
    grown = [0.1, *[0.9 / 299] * 299]
    of_three = [0.7, 0.2999, 0.0001]
    for rows, window in ((2000, 500), (20_000, 5000)):
        assert len(sampled(1, even, rows, grown, window)) == 3
        assert len(sampled(2, [*even, 0], rows, [*(0.6 * one for one in even), 0.4], window)) == 3
        assert len(sampled(3, [*of_three, 0], rows, [*(0.95 * one for one in of_three), 0.05], window)) == 3


def test_a_season_within_the_reference_is_quiet_and_what_it_never_showed_is_not(hours: pd.DataFrame) -> None:
    """Temperature moves by PSI 1 and more every month; a quiet month of the training year does so too."""
    year = hours[hours["timestamp"].dt.year == 2011][["temp", "hum", "windspeed", "cnt"]]
    months = hours["timestamp"].dt.strftime("%Y-%m")
    reference = profile(year)
    constant = data_drift(reference, hours[months == "2012-02"][year.columns], threshold=0.2)
    calibrated = data_drift(reference, hours[months == "2012-02"][year.columns])
    assert "temp" in constant.drifted and "temp" not in calibrated.drifted
    grown = data_drift(reference, hours[months == "2012-09"].assign(hum=0.0)[year.columns])
    assert "hum" in grown.drifted, "a broken sensor"


def test_quiet_windows_are_the_references_own_in_order() -> None:
    frame = pd.DataFrame({"x": np.arange(1280.0), "t": np.arange(1280.0)[::-1]})
    shuffled = frame.sample(frac=1, random_state=0)
    cases = ((frame, None, True), (shuffled, None, False), (shuffled, "t", True))
    for rows, order, apart in cases:
        quiet = profile(rows, features=["x"], order=order).quiet
        assert quiet is not None and set(quiet.spreads) == {320, 80, 20}
        spread = quiet.spread(320, "x", "ks")
        assert spread is not None and (spread.highest > 0.99 if apart else spread.highest < 0.2)


@pytest.mark.parametrize(("rows", "parts"), [(79, 0), (80, 4), (319, 4), (320, 16), (1280, 64), (5120, 256)])
def test_a_reference_is_cut_into_windows_that_are_worth_a_statistic(rows: int, parts: int) -> None:
    assert finest(rows) == parts


def test_windows_can_be_any_that_add_up_to_the_reference() -> None:
    """So a month's profiles from Athena, day by day, calibrate without the rows."""
    whole = pd.DataFrame({"x": np.random.default_rng(0).normal(size=3000)})
    like = profile(whole)
    days = [profile(whole[start : start + 100], like) for start in range(0, 3000, 100)]
    found = calibrate(like, days).quiet
    assert found is not None and set(found.spreads) == {750, 187}
    spread = found.spread(750, "x", "psi")
    assert spread is not None and 0 < spread.mean < spread.highest < 0.1


QUIET = Quiet({100: {"x": {"psi": Spread(0.1, 0.02, 0.5), "chi_square": Spread(0.1, 0.02, 0.5)}}})


def one(
    value: float | None, rows: tuple[int, int] = (1000, 100), name: str = "x", kind: str = "psi"
) -> Measure:
    return Measure(name, kind, value, 9, rows)


def test_the_default_takes_the_highest_quiet_value_or_chance_whatever_is_more() -> None:
    limit = Calibrated().limits([one(0.1)], QUIET)[0]
    assert limit == 0.5
    chance = stats.chi2.isf(0.001, 9)
    assert Calibrated().limits([one(0.1, (1000, 10))], QUIET)[0] == pytest.approx(
        0.5 + chance * 1010 / 10_000
    ), "a window smaller than any quiet one may be further away"
    assert Calibrated().limits([one(9.0, (1000, 100), kind="chi_square")], QUIET)[0] == pytest.approx(
        0.5 * 100_000 / 1100
    ), "chi-square grows with the rows"
    assert Calibrated().limits([one(0.1, (10**6, 10**6), name="new")], QUIET)[0] == 0.2, "no quiet windows"
    assert Calibrated().limits([one(0.1, (1000, 100))] * 20, None)[0] == pytest.approx(
        stats.chi2.isf(0.001 / 20, 9) * 1100 / 100_000
    )


def test_standard_deviations_are_of_past_windows() -> None:
    assert StandardDeviations(3).limits([one(0.1)], QUIET) == [pytest.approx(0.16)]
    assert StandardDeviations(2, {"x": [1.0, 2.0, 3.0]}).limits([one(0.1)], None) == [4.0]
    for threshold, quiet in ((StandardDeviations(), None), (StandardDeviations(3, {"x": [1.0]}), QUIET)):
        with pytest.raises(UsageError, match="no past windows of 'x'"):
            threshold.limits([one(0.1)], quiet)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrections_reject_what_statsmodels_textbook_rules_reject(correction: str) -> None:
    chances = [0.0005, 0.0045, 0.009, 0.02, 0.04, 0.3, 0.9]
    alpha, many = 0.05, len(chances)
    expected = {
        "none": 5,
        "bonferroni": sum(p <= alpha / many for p in chances),
        "holm": next(rank for rank, p in enumerate(chances) if p > alpha / (many - rank)),
        "benjamini-hochberg": max(rank for rank, p in enumerate(chances, 1) if p <= alpha * rank / many),
    }[correction]
    found = [
        Measure(f"x{rank}", "chi_square", stats.chi2.isf(p, 9), 9, (100, 100))
        for rank, p in enumerate(chances)
    ]
    verdicts = judge(found, PValue(alpha, correction))
    assert [verdict.drifted for verdict in verdicts] == [rank < expected for rank in range(many)]


def test_p_values_find_the_changed_columns_and_agree_with_scipy(reference: Profile) -> None:
    first, second = draw(1), draw(2, shifted=True)
    found = {each.feature: each for each in measure("ks", reference, profile(second, reference))}
    exact = stats.ks_2samp(first["n0"], second["n0"])
    assert found["n0"].value == pytest.approx(exact.statistic, abs=2e-3)
    for correction in CORRECTIONS[:3]:
        report = data_drift(reference, second, statistic="ks", threshold=PValue(0.01, correction))
        assert report.drifted == ("n0", "c0")
        assert [each.statistic for each in report.features] == ["ks"] * 15 + ["chi_square"] * 5


def test_an_empty_window_has_no_verdict_and_every_threshold_bears_it(reference: Profile) -> None:
    for threshold in (None, Constant(0.2), PValue(), StandardDeviations()):
        found = judge(measure("psi", reference, reference.emptied()), threshold, reference.quiet)
        assert {(each.value, each.threshold, each.drifted) for each in found} == {(None, None, False)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quiet", Calibrated()),
        ("0.2", Constant(0.2)),
        ("p", PValue()),
        ("p:0.001", PValue(0.001)),
        ("sd:2.5", StandardDeviations(2.5)),
        ("sd", StandardDeviations()),
    ],
)
def test_thresholds_have_words(text: str, expected: Threshold) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-1", "nan", "inf", "quiet:3", "p:", "p:x", "p:2", "sd:-1"])
def test_other_words_are_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError, match=r"no threshold|between 0 and 1"):
        parse(text)


def test_an_unknown_correction_is_refused() -> None:
    with pytest.raises(UsageError, match="holm, bonferroni"):
        PValue(0.05, "fisher")
