"""Conformal quantiles: order statistics, what residuals are counted in, coverage, what becomes of the forecasts."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_rnn import RNNForecaster
from sklearn_rnn._conformal import conformal_factors, recency
from sklearn_rnn.nets import ForecastNet

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}
INTERVALS = {"quantiles": (0.1, 0.9), "conformal": True}
HORIZON = 4


def series(n_rows, noise=0.2, seed=3):
    """A week's pattern and noise."""
    rng = np.random.default_rng(seed)
    days = np.arange(n_rows)
    y = np.sin(days * 2 * np.pi / 7) + noise * rng.normal(size=n_rows)
    return pd.DataFrame({"day": pd.date_range("2015-01-01", periods=n_rows), "y": y})


def model_of_days(**options):
    return RNNForecaster("y", HORIZON, time="day", n_steps=21, **{**TINY, **INTERVALS, **options})


def coverage(model, rows):
    backtest = model.backtest(rows, n_origins=None, stride=1)
    return model.backtest_summary(backtest, "target")["coverage"].item()


# Factors --------------------------------------------------------------------------------------------------------------


def test_factors_are_order_statistics_where_all_windows_weigh_the_same():
    ratios = np.random.default_rng(0).normal(size=(99, 2, 1, 3))
    ratios[5, 1] = np.nan
    factors = conformal_factors(ratios, (0.1, 0.5, 0.9), np.ones(99))
    low, high = np.sort(ratios[:, 0, 0, 0]), np.sort(ratios[:, 0, 0, 2])
    np.testing.assert_array_equal(factors[0, 0], [low[9], np.nan, high[89]])  # the 10th and the 90th of 99
    low, high = np.sort(ratios[:, 1, 0, 0]), np.sort(ratios[:, 1, 0, 2])
    np.testing.assert_array_equal(factors[1, 0], [low[8], np.nan, high[89]])  # of 98: 0.9 * 99 = 89.1 are covered


def test_weighted_factors_cover_their_share_of_the_weight():
    rng = np.random.default_rng(1)
    ratios, weights = rng.normal(size=(60, 1, 1, 2)), rng.uniform(0.3, 1, size=60)
    low, high = conformal_factors(ratios, (0.2, 0.7), weights)[0, 0]
    total = weights.sum() + 1
    for sign, factor, column, share in [(-1, low, 0, 0.8), (1, high, 1, 0.7)]:
        residuals = sign * ratios[:, 0, 0, column]
        covered = [weights[residuals <= candidate].sum() >= share * total for candidate in np.sort(residuals)]
        assert sign * factor == np.sort(residuals)[covered.index(True)]


@pytest.mark.parametrize("n_windows", [1, 3])
def test_few_residuals_give_the_widest_interval_that_they_know(n_windows):
    ratios = np.linspace(-1, 2, n_windows)[:, None, None, None] * np.ones((1, 1, 2))
    factors = conformal_factors(ratios, (0.01, 0.99), np.ones(n_windows))[0, 0]
    np.testing.assert_array_equal(factors, [-1, max(ratios.max(), 0)])


def test_a_step_with_too_few_residuals_takes_those_of_all_steps():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(3, 40, 1, 1)) * np.ones((1, 1, 1, 2))
    factors = conformal_factors(few, (0.1, 0.9), np.ones(3))
    together = np.sort(few[..., 0].ravel())
    rank = int(np.ceil(0.9 * 121)) - 1
    np.testing.assert_allclose(factors[:, 0, 1], together[rank])
    np.testing.assert_allclose(factors[:, 0, 0], -np.sort(-few[..., 0].ravel())[rank])


def test_no_factor_turns_a_quantile_to_the_other_side_of_the_median():
    factors = conformal_factors(np.full((20, 1, 1, 2), 3.0), (0.1, 0.9), np.ones(20))
    np.testing.assert_array_equal(factors, [[[0, 3]]])


def test_nothing_known_leaves_the_quantiles_of_the_net():
    factors = conformal_factors(np.full((5, 2, 1, 2), np.nan), (0.1, 0.9), np.ones(5))
    assert np.isnan(factors).sum() == 4


def test_older_windows_weigh_less():
    np.testing.assert_allclose(recency(np.array([0, 5, 10])), [1, np.exp(-1), np.exp(-2)])
    np.testing.assert_array_equal(recency(np.array([0])), [1])


# The net --------------------------------------------------------------------------------------------------------------


def make_net(**options):
    torch.manual_seed(0)
    sizes = {"hidden_size": 4, "n_quantiles": 3, "median": 1}
    return ForecastNet(2, 3, 10, mean=[1.0, 2.0], scale=[2.0, 3.0], **sizes, **options).double().eval()


@pytest.mark.parametrize("normalize", ["scaled", "last", "standard", None])
def test_factors_count_in_the_distance_of_the_net_and_the_deviation_of_the_newer_half(normalize):
    net, rng = make_net(normalize=normalize), np.random.default_rng(0)
    values, lengths = rng.normal(size=(5, 10, 2)) * 4, np.array([10, 10, 3, 7, 10])
    values[0, :6, 1] = np.nan
    values[1, :, 0] = 7.0  # tells no deviation
    inputs = torch.from_numpy(values), torch.from_numpy(lengths), torch.empty(5, 3, 0, dtype=torch.float64)
    plain = net(*inputs).detach().numpy().reshape(5, 3, 2, 3)
    factors = np.array([-0.8, np.nan, 1.7]) * np.ones((3, 2, 1))
    factors[2, 1, 0] = np.nan
    net.factors.copy_(torch.from_numpy(factors))
    given = net(*inputs).detach().numpy().reshape(5, 3, 2, 3)
    for i, length in enumerate(lengths):
        for target, scale in enumerate((2.0, 3.0)):
            window, constant = values[i, :length, target], (i, target) == (1, 0)
            unit = scale if normalize in ("last", None) or constant else np.nanstd(window)
            deviation = 1.0 if constant else np.nanstd(window[length // 2 :]) / unit
            low, median, high = plain[i, :, target].T
            expected_low = median - 0.8 * ((median - low) * deviation) ** (2 / 3)
            if target == 1:
                expected_low[2] = low[2]
            np.testing.assert_allclose(given[i, :, target, 0], expected_low, rtol=1e-9)
            np.testing.assert_array_equal(given[i, :, target, 1], median)
            expected_high = median + 1.7 * ((high - median) * deviation) ** (2 / 3)
            np.testing.assert_allclose(given[i, :, target, 2], expected_high, rtol=1e-9)


def test_training_goes_without_the_factors():
    net = make_net()
    inputs = torch.randn(4, 10, 2, dtype=torch.float64), None, torch.empty(4, 3, 0, dtype=torch.float64)
    plain = net(*inputs)
    net.factors.fill_(5.0)
    assert not torch.equal(net(*inputs), plain)
    assert torch.equal(net.train()(*inputs), plain)


def test_moved_quantiles_do_not_cross():
    net = make_net()
    net.factors.copy_(torch.tensor([0.0, torch.nan, -3.0]))  # the highest one far below the others
    inputs = torch.randn(4, 10, 2, dtype=torch.float64), None, torch.empty(4, 3, 0, dtype=torch.float64)
    assert (net(*inputs).diff(dim=-1) >= 0).all()


# The forecaster -------------------------------------------------------------------------------------------------------


def test_conformal_intervals_cover_their_share_of_new_rows():
    df = series(3000)
    model = model_of_days(validation_fraction=0.3, max_epochs=1, early_stopping=False).fit(df[:2000])
    assert coverage(model, df[2000:]) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("change", [0.5, 2.0])
def test_intervals_follow_a_series_that_becomes_calmer_or_wilder(change):
    """The whole series swings less or more from some day on; the net counts in its last value, and cannot know."""
    df = series(3000, noise=0.3)
    df.loc[2000:, "y"] *= change
    model = model_of_days(validation_fraction=0.3, max_epochs=30, early_stopping=False, normalize="last", blend=False)
    conformal = coverage(model.fit(df[:2000]), df[2030:])
    # The same with shifts in the unit of the target, as conformalised quantile regression has them.
    plain = copy.deepcopy(model).set_params(conformal=False)
    plain.net_.module_.factors.fill_(torch.nan)
    errors = []
    for rows in (df[1400:2000], df[2030:]):
        backtest = plain.backtest(rows, n_origins=None, stride=1)
        errors.append(backtest[["actual", "q0.1", "q0.9"]].to_numpy().T)
    (seen, low, high), (actual, later_low, later_high) = errors
    low, high = later_low + np.quantile(seen - low, 0.1), later_high + np.quantile(seen - high, 0.9)
    shifted = ((low <= actual) & (actual <= high)).mean()
    assert abs(conformal - 0.8) < 0.85 * abs(shifted - 0.8)


def test_intervals_of_a_panel_are_in_the_unit_of_each_group():
    small = series(200)
    table = pd.concat([small.assign(site="small"), small.assign(site="large", y=1000 * small["y"])])
    forecast = model_of_days(group="site").fit(table).predict().set_index("site")
    for name in ("y", "y_q0.1", "y_q0.9"):
        np.testing.assert_allclose(forecast.loc["large", name], 1000 * forecast.loc["small", name], rtol=1e-3)


def test_a_fit_that_goes_on_is_calibrated_anew():
    df = series(300)
    model = model_of_days(warm_start=True).fit(df)
    first = model.net_.module_.factors.clone()
    second = model.fit(df).net_.module_.factors
    assert second.isfinite().any()
    assert not torch.equal(second, first)
    plain = model.set_params(conformal=False).fit(df)
    assert plain.net_.module_.factors.isnan().all()


def test_missing_targets_among_the_held_out_rows_are_left_out():
    df = series(400)
    df.loc[np.random.default_rng(0).random(400) < 0.3, "y"] = np.nan
    forecast = model_of_days().fit(df).predict()
    assert forecast.notna().all(axis=None)
    assert (forecast["y_q0.1"] < forecast["y_q0.9"]).all()
