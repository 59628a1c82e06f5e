from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from mlops_kit.drift import significance
from mlops_kit.drift.check import profile
from mlops_kit.drift.profile import BUCKETS, Category, Numeric, Profile
from mlops_kit.drift.statistics import FUNCTIONS, bins, chi_square, js, ks, measure, psi
from mlops_kit.errors import UsageError

SIZE = BUCKETS + 2
COUNTS = st.lists(st.integers(0, 50), min_size=SIZE, max_size=SIZE)


def numeric(buckets: list[int], nulls: int = 0) -> Numeric:
    return Numeric(sum(buckets), nulls, None, None, None, None, 0.0, 1.0, tuple(buckets))


NUMERICS = st.builds(numeric, COUNTS, st.integers(0, 9)).filter(lambda one: one.count > 0)
CATEGORIES = st.builds(
    Category,
    st.integers(0, 9),
    st.lists(st.integers(0, 50), min_size=4, max_size=4).map(lambda n: dict(zip("abcd", n, strict=True))),
    st.integers(0, 9),
).filter(lambda one: one.count > 0)
PAIRS = st.tuples(NUMERICS, NUMERICS) | st.tuples(CATEGORIES, CATEGORIES)


@given(NUMERICS | CATEGORIES)
@hypothesis_settings(deadline=None)
def test_equal_windows_are_at_zero(one: Numeric | Category) -> None:
    for statistic in (psi, js, chi_square):
        assert statistic(one, one) == 0
    assert isinstance(one, Category) or ks(one, one) == 0


@given(PAIRS)
@hypothesis_settings(deadline=None)
def test_every_statistic_stays_in_its_range(pair: tuple[Numeric, Numeric]) -> None:
    one, other = pair
    assert 0 <= psi(one, other) < 18.5
    assert 0 <= js(one, other) <= 1
    assert chi_square(one, other) >= 0
    assert isinstance(one, Category) or 0 <= ks(one, other) <= 1


@given(st.tuples(CATEGORIES, CATEGORIES), st.tuples(NUMERICS, NUMERICS))
@hypothesis_settings(deadline=None)
def test_what_has_no_bins_of_the_references_is_symmetric(
    categories: tuple[Category, Category], numbers: tuple[Numeric, Numeric]
) -> None:
    one, other = (replace(each, other=0) for each in categories)  # what is not known is the reference's
    for statistic in (psi, js, chi_square):
        there, back = statistic(one, other), statistic(other, one)
        assert there == pytest.approx(back, rel=1e-9, abs=1e-12)
    assert ks(*numbers) == ks(*reversed(numbers))


@given(PAIRS)
@hypothesis_settings(deadline=None)
def test_statistics_of_bins_are_those_of_scipy(pair: tuple[Numeric, Numeric]) -> None:
    one, other = (np.array(counts) for counts in bins(*pair))
    filled = (one + other) > 0
    if filled.sum() > 1:
        expected = stats.chi2_contingency(np.stack([one[filled], other[filled]]), correction=False)
        assert chi_square(*pair) == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
        found = measure("chi_square", *(Profile(1, {}, {"x": each}) for each in pair))  # type: ignore[dict-item]
        if isinstance(pair[0], Category):
            assert found[0].freedom == expected.dof
    from scipy.spatial.distance import jensenshannon

    assert js(*pair) == pytest.approx(jensenshannon(one, other, base=2), abs=1e-7)


def test_psi_is_the_sum_that_its_description_gives() -> None:
    one, other = Category(0, {"a": 50, "b": 50, "c": 0}), Category(0, {"a": 20, "b": 70, "c": 10})
    expected = 0.3 * np.log(0.5 / 0.2) + 0.2 * np.log(0.7 / 0.5) + (0.1 - 1e-4) * np.log(0.1 / 1e-4)
    assert psi(one, other) == pytest.approx(expected)


def test_ks_of_buckets_is_the_exact_one_within_two_in_ten_thousand() -> None:
    draw = np.random.default_rng(3)
    for shift in (0.0, 0.02, 0.2):
        one, other = draw.normal(size=1_000_000), draw.normal(shift, size=1_000_000)
        reference = profile(pd.DataFrame({"x": one}))
        window = profile(pd.DataFrame({"x": other}), reference)
        both = np.sort(np.concatenate([one, other]))
        shares = [np.searchsorted(np.sort(each), both, side="right") / 1e6 for each in (one, other)]
        exact = np.abs(shares[0] - shares[1]).max()
        found = ks(reference.numeric["x"], window.numeric["x"])
        assert exact - 2e-4 <= found <= exact + 1e-12


def test_psi_of_the_bike_data_is_what_was_measured_from_all_values(hours: pd.DataFrame) -> None:
    """Against deciles of every value."""
    columns = ["temp", "hum", "windspeed", "hr"]
    hours = hours.fillna({"hum": 0.0})  # as the sensor that had failed reported it
    reference = profile(hours[hours["timestamp"] < "2011-07-01"][columns])
    months = hours["timestamp"].dt.strftime("%Y-%m")
    measured = {"2011-07": (6.11, 0.16, 0.18, 0.0), "2012-04": (2.01, 0.45, 0.03, 0.0)}
    for month, expected in measured.items():
        found = measure("psi", reference, profile(hours[months == month][columns], reference))
        values = [one.value for one in found]
        assert values == pytest.approx(expected, rel=0.02, abs=0.01), month


def test_bins_are_about_tenths_and_a_heavy_value_has_one_of_its_own() -> None:
    even, _ = bins(numeric([0, *[4] * BUCKETS, 0]), numeric([0, *[4] * BUCKETS, 0]))
    assert len(even) == 11 and even[-1] == 0 and all(90 <= count <= 116 for count in even[:-1])
    heavy = numeric([0, 900, *[0] * 99, 50, *[0] * 99, 50, *[0] * 56])
    assert bins(heavy, heavy)[0] == [0, 900, 100, 0]


def test_a_constant_column_drifts_to_either_side() -> None:
    reference = profile(pd.DataFrame({"x": [3.0] * 1000}))
    for value in (2.0, 4.0):
        window = profile(pd.DataFrame({"x": [value] * 100}), reference)
        assert [psi(reference.numeric["x"], window.numeric["x"]) > 9, js_of(reference, window)] == [True, 1.0]
    assert psi(reference.numeric["x"], reference.numeric["x"]) == 0


def js_of(reference: Profile, window: Profile) -> float:
    return js(reference.numeric["x"], window.numeric["x"])


def test_what_goes_missing_all_of_a_sudden_is_seen_by_every_statistic() -> None:
    draw = np.random.default_rng(1).normal(size=1000)
    reference = profile(pd.DataFrame({"x": draw, "c": ["a", "b"] * 500}))
    gone = pd.DataFrame(
        {"x": pd.Series([None] * 100, dtype=float), "c": pd.Series([None] * 100, dtype="string")}
    )
    window = profile(gone, reference)
    for statistic in FUNCTIONS:
        for one in measure(statistic, reference, window):
            assert (
                one.value is not None
                and one.value >= {"psi": 9, "js": 0.99, "ks": 1, "chi_square": 1000}[one.statistic]
            )


def test_an_empty_window_has_no_value() -> None:
    reference = profile(pd.DataFrame({"x": [1.0, 2.0], "c": ["a", "b"]}))
    for statistic in FUNCTIONS:
        assert [one.value for one in measure(statistic, reference, reference.emptied())] == [None, None]


def test_profiles_of_different_references_are_not_compared() -> None:
    one, other = (profile(pd.DataFrame({"x": [0.0, top]})) for top in (1.0, 2.0))
    with pytest.raises(UsageError, match="reference's ranges"):
        measure("psi", one, other)
    with pytest.raises(UsageError, match="psi, js, ks, chi_square"):
        measure("wasserstein", one, one)


@given(st.floats(0.001, 2000), st.integers(1, 300))
@hypothesis_settings(deadline=None)
def test_chi_squares_survival_is_scipys(value: float, freedom: int) -> None:
    expected = stats.chi2.sf(value, freedom)
    assert significance.chi_square_survival(value, freedom) == pytest.approx(expected, rel=1e-8, abs=1e-300)


@given(st.floats(0.02, 12))
@hypothesis_settings(deadline=None)
def test_kolmogorovs_survival_is_scipys(value: float) -> None:
    expected = stats.kstwobign.sf(value)
    assert significance.kolmogorov_survival(value) == pytest.approx(expected, rel=1e-7, abs=1e-12)


@given(
    st.sampled_from(["psi", "js", "ks", "chi_square"]),
    st.floats(1e-12, 0.5),
    st.integers(1, 60),
    st.integers(50, 10**7),
)
@hypothesis_settings(deadline=None)
def test_a_critical_value_has_the_p_value_that_it_was_asked_for(
    statistic: str, alpha: float, freedom: int, rows: int
) -> None:
    limit = significance.critical(statistic, alpha, freedom, (2 * rows, rows))
    found = significance.p_value(statistic, limit, freedom, (2 * rows, rows))
    assert found == pytest.approx(alpha, rel=1e-6) or (statistic == "ks" and limit == 1)


@pytest.mark.parametrize("statistic", ["psi", "js", "ks", "chi_square"])
def test_p_values_of_like_windows_are_spread_evenly(statistic: str) -> None:
    """So a test at 10 % alarms in about 10 % of windows that are like the reference."""
    draw = np.random.default_rng(5)
    shares = np.array([1e-3, *[0.998 / BUCKETS] * BUCKETS, 1e-3])
    chances = []
    for _ in range(400):
        one, other = (numeric(draw.multinomial(rows, shares).tolist()) for rows in (20_000, 5_000))
        (found,) = measure(statistic, Profile(20_000, {"x": one}), Profile(5_000, {"x": other}))
        assert found.value is not None
        chances.append(significance.p_value(statistic, found.value, found.freedom, found.rows))
    assert 0.06 < np.mean(np.array(chances) < 0.1) < 0.14
