"""The ridge regression beside RNNForecaster's net: its weights, its share, what becomes of the forecasts."""

import copy
import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

from sklearn_rnn import RNNForecaster, _forecast_base
from sklearn_rnn import _forecast_blend as blending
from sklearn_rnn._forecast_data import ForecastDataset
from sklearn_rnn.nets import ForecastNet
from sklearn_rnn.nets.forecast import LinearForecast
from sklearn_rnn.persistence import load, save
from sklearn_rnn.sequences import Sequences

N_STEPS, HORIZON, SEGMENT = 12, 5, 3
STOPPING = {"hidden_size": 4, "max_epochs": 1, "early_stopping": True, "random_state": 0, "n_threads": 1}
LEARNING = {"hidden_size": 32, "max_epochs": 100, "random_state": 0, "n_threads": 1}  # from no more than 1,000 windows


def series(n_rows=300, n_targets=2, seed=0):
    rng = np.random.default_rng(seed)
    return (np.sin(np.arange(n_rows) / 2)[:, None] + 0.5 * rng.normal(size=(n_rows, n_targets))).cumsum(0)


def make_net(n_targets=2, **options):
    torch.manual_seed(0)
    net = ForecastNet(
        n_targets,
        HORIZON,
        N_STEPS,
        mean=[1.0] * n_targets,
        scale=[2.0] * n_targets,
        hidden_size=4,
        segment_size=SEGMENT,
        **options,
    )
    return net.double().eval()


def make_data(net, values, n_steps=N_STEPS):
    starts = np.arange(len(values) - n_steps - HORIZON + 1)
    windows = Sequences(values, starts, np.full(len(starts), n_steps))
    return ForecastDataset(windows, HORIZON, net.n_targets, slice(0, 0), net.units)


def pairs(values, n_steps=N_STEPS):
    """Windows (n, n_steps) and what follows (n, HORIZON), less the last value in units of 2, target after target."""
    windows = np.lib.stride_tricks.sliding_window_view(values, n_steps + HORIZON, axis=0).reshape(-1, n_steps + HORIZON)
    windows = (windows - windows[:, n_steps - 1 : n_steps]) / 2
    return windows[:, :n_steps], windows[:, n_steps:]


def factors_of(step, n_steps=N_STEPS):
    """Of the penalty: more for older steps, a tenth of that at the forecast step's own place in its segment."""
    place = step % SEGMENT
    ages = (n_steps - np.arange(n_steps)) / SEGMENT  # in segments
    is_there = np.arange(n_steps) % SEGMENT == (n_steps + place) % SEGMENT
    return (0.5 + ages) ** 1.5 * np.where(is_there, 0.1, 1.0)


def unlike_ridge(inputs, following, alpha, factors):
    """Weights of scikit-learn's ridge regression where each input has its own part of the penalty."""
    scale = np.sqrt(factors)
    return Ridge(alpha, fit_intercept=False).fit(inputs / scale, following).coef_ / scale


def direct_ridge(windows, following, penalty):
    """Weights (n_steps, HORIZON) by scikit-learn, step by step: of the window's values and of its mean."""
    n_steps = windows.shape[1]
    with_mean = np.column_stack([windows, windows.mean(axis=1)])
    alpha = penalty * np.square(with_mean).mean() * len(windows)
    weights = np.zeros((n_steps, HORIZON))
    for step in range(HORIZON):
        given = unlike_ridge(with_mean, following[:, step], alpha, [*factors_of(step, n_steps), 1.0])
        weights[:, step] = given[:-1] + given[-1] / n_steps
    return weights


def best_weights(learned, left_out):
    """Weights of the regressions with the penalty that the windows left out ask for."""
    return blending.solve(learned, blending.best_penalty([(learned, left_out)], SEGMENT), SEGMENT)


# The regression -------------------------------------------------------------------------------------------------------


def test_its_weights_are_those_of_scikit_learns_ridge_with_the_best_penalty():
    net, early, late = make_net(), series(seed=1), series(seed=2)
    windows, following = pairs(late)
    candidates = [direct_ridge(*pairs(early), penalty) for penalty in blending.PENALTIES]
    errors = [np.square(windows @ weights - following).mean(axis=0).sum() for weights in candidates]
    assert max(errors) > min(errors) * 1.001  # there is something to choose
    moments = [blending._moments(net, make_data(net, values)) for values in (early, late)]
    weights = best_weights(*moments)
    np.testing.assert_allclose(weights.inputs, candidates[np.argmin(errors)], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(moments[1].error(weights), min(errors), rtol=1e-10)


def test_it_learns_from_the_targets_that_are_there():
    values = series(n_rows=4_000, n_targets=1)
    net = make_net(n_targets=1)
    whole = blending._moments(net, make_data(net, values))
    holes = values.copy()
    holes[np.random.default_rng(0).random(len(values)) < 0.02] = np.nan
    weights, others = (
        best_weights(moments, moments) for moments in (whole, blending._moments(net, make_data(net, holes)))
    )
    assert weights.inputs.abs().max() > 0.2
    assert whole.error(weights) < whole.error(others) < 1.005 * whole.error(weights)


def test_only_the_newest_steps_of_a_very_long_window_are_read(monkeypatch):
    net, values = make_net(), series()
    monkeypatch.setattr(blending, "LONGEST", 7)
    moments = blending._moments(net, make_data(net, values))
    assert moments.windows.shape == (7, 7)
    windows, following = pairs(values)
    np.testing.assert_allclose(moments.following, windows[:, -7:].T @ following / len(windows), atol=1e-12)
    ridge = blending.as_forecast(net, best_weights(moments, moments), 7)
    assert (ridge.windows[:, :5] == 0).all()
    assert (ridge.windows[:, 5:] != 0).any(dim=0).all()


def test_a_sample_of_many_windows_is_enough(monkeypatch):
    net, values = make_net(), series(3_000)
    monkeypatch.setattr(blending, "LARGEST", 1_000)
    moments = blending._moments(net, make_data(net, values))
    windows, following = pairs(values)
    np.testing.assert_allclose(moments.windows, windows.T @ windows / len(windows), rtol=0.2, atol=0.3)


# The mixture ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shared", "n_parts"), [(True, 1), (False, 3)])
def test_its_share_is_that_of_least_squares_by_segment(shared, n_parts):
    net, values = make_net(shared=shared), series()
    data = make_data(net, values)
    weights = np.random.default_rng(0).normal(size=(HORIZON, N_STEPS)) / 10
    inputs, (targets, _) = data.batch(slice(len(data)))
    ours = net(*inputs).detach().numpy().reshape(-1, HORIZON, 2)
    windows = np.lib.stride_tricks.sliding_window_view(values, N_STEPS, axis=0)[:-HORIZON]
    linear = np.einsum("hs,nts->nht", weights, (windows - windows[:, :, -1:]) / 2)
    ridge = LinearForecast(net.direct_weight(torch.from_numpy(weights)), net.known_weight, net.past_weight)
    np.testing.assert_allclose(net.linear_forecast(ridge, *inputs).view(linear.shape).detach(), linear, atol=1e-10)

    actual = targets.numpy().reshape(-1, HORIZON, 2)
    rivals = [blending.Rivals(net, ridge, data.take(part)) for part in torch.arange(len(data)).tensor_split(n_parts)]
    with torch.no_grad():
        share = blending.share_of_net(rivals).numpy()
    for segment in (slice(0, 3), slice(3, 5)):
        difference = (ours - linear)[:, segment].ravel()
        best = np.linalg.lstsq(difference[:, None], (actual - linear)[:, segment].ravel(), rcond=None)[0][0]
        np.testing.assert_allclose(share[segment], np.clip(best, 0, 1), atol=1e-10)

    with torch.no_grad():
        share = blending.share_of_median(rivals).numpy()
    for segment in (slice(0, 3), slice(3, 5)):
        errors = [
            np.abs((given * ours + (1 - given) * linear - actual)[:, segment]).sum() for given in np.arange(21) / 20
        ]
        np.testing.assert_allclose(share[segment], np.argmin(errors) / 20)
    below = np.mean(actual[~np.isnan(actual)] < linear[~np.isnan(actual)])
    assert blending.share_below(net, ridge, data) == pytest.approx(below)

    given = torch.tensor([0.25, 0.25, 0.25, 1.0, 1.0], dtype=torch.float64)
    with torch.no_grad():
        net.blend(ridge, given)
    mixed = given.numpy()[:, None] * ours + (1 - given.numpy()[:, None]) * linear
    np.testing.assert_allclose(net(*inputs).view(mixed.shape).detach(), mixed, atol=1e-10)
    with torch.no_grad():
        net.blend(ridge, given)  # as after a warm start
    again = given.numpy()[:, None] * mixed + (1 - given.numpy()[:, None]) * linear
    np.testing.assert_allclose(net(*inputs).view(again.shape).detach(), again, atol=1e-10)


def test_windows_and_targets_out_of_reach_take_no_part():
    net, generator = make_net(), torch.Generator().manual_seed(0)
    values = torch.randn(5, N_STEPS, 2, dtype=torch.float64, generator=generator)
    targets = torch.randn(5, HORIZON * 2, dtype=torch.float64, generator=generator)
    lengths = torch.tensor([N_STEPS, N_STEPS, N_STEPS - 2, N_STEPS, N_STEPS])
    values[2, -2:] = 1e6  # padding
    values[3, 1, 0] = 1e6  # of the first target
    targets[4, 1] = 1e6  # of the second target, one step ahead
    expected = targets.clone().unflatten(1, (HORIZON, 2))
    expected[3, :, 0] = torch.nan
    expected[4, 0, 1] = torch.nan
    torch.testing.assert_close(net.usual_targets(values, lengths, targets), expected.flatten(1), equal_nan=True)


def test_quantiles_keep_their_distance_from_the_median():
    net, values = make_net(n_quantiles=3, median=1), series()
    inputs, _ = make_data(net, values).batch(slice(20))
    ours = net.direct_weight(torch.randn(HORIZON, N_STEPS, dtype=torch.float64))
    ridge = LinearForecast(ours, net.known_weight, net.past_weight)
    with torch.no_grad():
        before, linear = net(*inputs), net.linear_forecast(ridge, *inputs)
        net.blend(ridge, torch.full((HORIZON,), 0.25))
        after = net(*inputs)
        torch.testing.assert_close(net.point_forecast(*inputs), 0.25 * before[..., 1] + 0.75 * linear)
    torch.testing.assert_close(after - after[..., 1:2], before - before[..., 1:2])


@pytest.mark.parametrize("n_rows", [600, 2_400])
def test_a_median_of_skewed_targets_is_no_mean(n_rows):
    values = np.exp(np.random.default_rng(3).normal(0, 1.2, n_rows))
    df = pd.DataFrame({"y": values}, index=pd.date_range("2020-01-01", periods=n_rows))
    model = RNNForecaster("y", 3, quantiles=(0.1, 0.9), hidden_size=16, max_epochs=20, random_state=0, device="cpu")
    backtest = model.fit(df[: 3 * n_rows // 4]).backtest(df[3 * n_rows // 4 :], n_origins=None)
    assert 0.4 < (backtest["actual"] <= backtest["forecast"]).mean() < 0.65  # 0.73 lie below the mean


# In the forecaster ----------------------------------------------------------------------------------------------------


def linear_table(n_rows=1_500):
    """An autoregression of order 2 with noise of deviation 1, which no net of one epoch knows."""
    noise = np.random.default_rng(0).normal(size=n_rows)
    values = np.zeros(n_rows)
    for i in range(2, n_rows):
        values[i] = 1.6 * values[i - 1] - 0.8 * values[i - 2] + noise[i]
    return pd.DataFrame({"y": values})


@pytest.mark.parametrize("options", [{}, {"quantiles": (0.1, 0.9)}, {"normalize": "scaled"}, {"dtype": "float64"}])
def test_an_untrained_net_leaves_the_forecast_to_the_regression(options):
    df = linear_table()
    errors = {}
    for blend in (True, False):
        model = RNNForecaster("y", 1, n_steps=16, blend=blend, **STOPPING, **options).fit(df[:1_200])
        table = model.backtest(df[1_184:], n_origins=None, stride=1)
        errors[blend] = float(np.square(table["forecast"] - table["actual"]).mean())
        assert model.net_share_.shape == (1,)
        assert (model.net_share_[0] < 0.5) == blend
    assert errors[True] < 1.25 < errors[False]  # no forecast is better than the noise, 1


def test_held_out_rows_are_forecast_no_worse_than_without():
    df = pd.DataFrame(series(1_500, 2), columns=["a", "b"])
    df.loc[1_400:1_410, "a"] = np.nan
    errors = {}
    for blend in (True, False):
        model = RNNForecaster(["a", "b"], 5, n_steps=12, segment_size=3, blend=blend, **STOPPING).fit(df)
        assert model.skill_ is not None
        table = model.backtest(df[1_350 - 12 :], n_origins=None, stride=1).dropna()
        scale = table["target"].map({"a": df["a"][:1_350].std(), "b": df["b"][:1_350].std()})
        errors[blend] = np.square((table["forecast"] - table["actual"]) / scale).groupby(table["step"] > 3).mean()
    assert (model.net_share_ == 1).all()
    assert (errors[True] <= errors[False] * (1 + 1e-6)).all()
    assert (errors[True] < errors[False] * 0.99).any()


def test_without_held_out_rows_the_net_has_a_third():
    df = linear_table(200)
    options = {**LEARNING, "dtype": "float64", "normalize": "last"}
    model = RNNForecaster("y", HORIZON, n_steps=N_STEPS, segment_size=SEGMENT, **options).fit(df)
    np.testing.assert_allclose(model.net_share_, [1 / 3] * HORIZON, rtol=1e-6)
    net = RNNForecaster("y", HORIZON, n_steps=N_STEPS, segment_size=SEGMENT, blend=False, **options).fit(df)
    assert net.net_share_.tolist() == [1.0] * HORIZON
    values = df["y"].to_numpy()
    windows = np.lib.stride_tricks.sliding_window_view(values, N_STEPS + HORIZON) / values.std()
    windows = windows - windows[:, N_STEPS - 1 : N_STEPS]
    errors = np.zeros(len(blending.PENALTIES))
    for part in np.array_split(np.arange(len(windows)), 3):
        others, part = np.delete(windows, part, axis=0), windows[part]
        for i, penalty in enumerate(blending.PENALTIES):
            weights = direct_ridge(others[:, :N_STEPS], others[:, N_STEPS:], penalty)
            errors[i] += np.square(part[:, :N_STEPS] @ weights - part[:, N_STEPS:]).sum()
    best = blending.PENALTIES[np.argmin(errors)]
    assert best not in (blending.PENALTIES[0], blending.PENALTIES[-1])
    ridge = direct_ridge(windows[:, :N_STEPS], windows[:, N_STEPS:], best)
    linear = (values[-N_STEPS:] - values[-1]) @ ridge + values[-1]
    share = model.net_share_
    np.testing.assert_allclose(model.predict()["y"], share * net.predict()["y"] + (1 - share) * linear, rtol=1e-8)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_regression_reads_what_is_known_in_advance(early_stopping):
    """Against scikit-learn's: the target's window, and known covariates of its last row and of the step ahead."""
    rng, n_all = np.random.default_rng(0), 400 if early_stopping else 250  # too few to try their parts
    known = np.column_stack([rng.normal(5, 3, n_all), rng.random(n_all) < 0.2])
    values = 2 * known[:, 0] + 10 * known[:, 1] + rng.normal(size=n_all).cumsum()
    df = pd.DataFrame({"y": values, "price": known[:, 0], "promotion": known[:, 1]})
    options = {**STOPPING, "early_stopping": early_stopping, "validation_fraction": 0.25, "dtype": "float64"}
    options |= {"n_steps": N_STEPS, "segment_size": SEGMENT, "normalize": "last", "known": ["price", "promotion"]}
    model, net = (RNNForecaster("y", HORIZON, blend=blend, **options).fit(df) for blend in (True, False))

    n_rows = 300 if early_stopping else n_all
    unit, mean, deviation = values[:n_rows].std(), known[:n_rows].mean(axis=0), known[:n_rows].std(axis=0)
    origins = np.arange(N_STEPS - 1, n_rows - HORIZON)
    windows = np.lib.stride_tricks.sliding_window_view(values, N_STEPS)[[*(origins - N_STEPS + 1), -1]] / unit
    windows = windows - windows[:, -1:]
    scaled = (known - mean) / deviation
    of_windows = np.column_stack([windows, np.ones(len(windows)), scaled[[*origins, -1]], windows.mean(axis=1)])
    index = pd.RangeIndex(n_all, n_all + HORIZON)
    future = pd.DataFrame({"price": rng.normal(5, 3, HORIZON), "promotion": 1.0}, index=index)
    linear = np.empty((HORIZON, len(blending.PENALTIES)))
    for step in range(HORIZON):
        of_step = np.vstack([scaled[origins + 1 + step], (future.to_numpy()[step] - mean) / deviation])
        inputs, following = np.hstack([of_windows, of_step]), (values[origins + 1 + step] - values[origins]) / unit
        factors = np.ones(inputs.shape[1])
        factors[:N_STEPS] = factors_of(step)
        for i, penalty in enumerate(blending.PENALTIES):
            alpha = penalty * np.square(of_windows[:-1]).mean() * len(origins)
            linear[step, i] = inputs[-1] @ unlike_ridge(inputs[:-1], following, alpha, factors) * unit + values[-1]

    of_net, mixture = (forecaster.predict(future=future)["y"].to_numpy() for forecaster in (net, model))
    share = model.net_share_[:, None]
    expected = share * of_net[:, None] + (1 - share) * linear
    assert (share < 0.5).all()  # a net of one epoch, or a third
    assert np.abs(expected - mixture[:, None]).max(axis=0).min() < 1e-8


@pytest.mark.parametrize("role", ["known", "past"])
@pytest.mark.parametrize("shared", [True, False])
def test_each_target_has_its_own_weights_of_covariates(role, shared):
    """What raises one target lowers the other: no common weight serves both."""
    rng, n_rows, lead = np.random.default_rng(0), 320, 0 if role == "known" else HORIZON
    x = rng.normal(size=n_rows + lead)
    effect = np.column_stack([5 * x[:n_rows], -7 * x[:n_rows]]) + rng.normal(size=(n_rows, 2))
    df = pd.DataFrame({"up": effect[:, 0], "down": effect[:, 1], "x": x[lead:]})
    options = {"known": "x"} if role == "known" else {"segment_size": HORIZON}  # the rows that are read
    errors = []
    for target in ("up", "down", ["up", "down"]):
        columns = ["x", target] if isinstance(target, str) else df.columns
        model = RNNForecaster(target, HORIZON, shared=shared, **options, **STOPPING).fit(df.loc[:279, columns])
        table = model.backtest(df.loc[280:, columns])
        errors.append((table["actual"] - table["forecast"]).abs().groupby(table["target"]).mean())
    alone, together = pd.concat(errors[:2]), errors[2][["up", "down"]]
    assert model.net_.module_.n_apart == 2
    assert (together < 1.15 * alone).all()
    assert together["down"] < 0.3 * df["down"].abs().mean()


def test_many_targets_share_weights_of_covariates():
    n_rows, n_targets = 200, 50
    x = np.random.default_rng(0).normal(size=n_rows)
    df = pd.DataFrame(np.outer(x, np.linspace(5, 6, n_targets)) + series(n_rows, n_targets) / 100).assign(x=x)
    model = RNNForecaster(list(range(n_targets)), HORIZON, known="x", **STOPPING).fit(df[:160])
    assert model.net_.module_.n_apart == 1
    table = model.backtest(df[160:])
    assert (table["actual"] - table["forecast"]).abs().mean() < 0.2 * df[0].abs().mean()


def leading_table(n_rows=250, lead=3):
    """A target that follows `x` some rows later, and columns that tell nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows + lead).cumsum()
    y = 2 * x[:n_rows] + 0.3 * rng.normal(size=n_rows).cumsum()
    kind = rng.choice(["a", "b"], n_rows)
    return pd.DataFrame({"y": y, "x": x[lead:], "kind": kind, "noise": rng.normal(size=n_rows)})


@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_regression_reads_changes_of_a_past_covariate_that_leads(early_stopping, tmp_path):
    """Against scikit-learn's: the target's window, and the changes of the numbers beside it in its last segment."""
    n_all = 400 if early_stopping else 250
    df = leading_table(n_all)
    options = {**STOPPING, "early_stopping": early_stopping, "validation_fraction": 0.25, "dtype": "float64"}
    options |= {"n_steps": N_STEPS, "segment_size": SEGMENT, "normalize": "last"}
    model, net = (RNNForecaster("y", HORIZON, blend=blend, **options).fit(df) for blend in (True, False))
    assert model.net_.module_.config["reads_changes"]

    n_rows = 300 if early_stopping else n_all
    values, past = df["y"].to_numpy(), df[["x", "noise"]].to_numpy()
    unit, deviation = values[:n_rows].std(), past[:n_rows].std(axis=0)
    ends = np.append(np.arange(N_STEPS, n_rows - HORIZON + 1), n_all)  # of windows, the one to forecast from at last
    windows = np.stack([values[end - N_STEPS : end] - values[end - 1] for end in ends]) / unit
    changes = np.stack([(np.diff(past[end - SEGMENT - 1 : end], axis=0) / deviation).ravel() for end in ends])
    of_target = np.column_stack([windows, windows.mean(axis=1)])
    inputs = np.hstack([of_target, changes])
    candidates = np.empty((HORIZON, len(blending.PENALTIES), len(blending.PAST_PENALTIES)))
    for step in range(HORIZON):
        following = (values[ends[:-1] + step] - values[ends[:-1] - 1]) / unit
        for i, penalty in enumerate(blending.PENALTIES):
            alpha = penalty * np.square(of_target[:-1]).mean() * len(following)
            for j, of_past in enumerate(blending.PAST_PENALTIES):
                ages = np.repeat(0.5 + np.arange(SEGMENT, 0, -1) / SEGMENT, 2)
                factors = np.concatenate([factors_of(step), [1.0], of_past * ages])
                candidates[step, i, j] = inputs[-1] @ unlike_ridge(inputs[:-1], following, alpha, factors)
    linear = candidates.reshape(HORIZON, -1) * unit + values[-1]
    of_net, mixture = (forecaster.predict()["y"].to_numpy() for forecaster in (net, model))
    share = model.net_share_[:, None]
    assert (share < 0.5).all()
    assert np.abs(share * of_net[:, None] + (1 - share) * linear - mixture[:, None]).max(axis=0).min() < 1e-8

    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict()["y"], mixture)
    save(model, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict()["y"], mixture)


def test_past_covariates_that_do_not_lead_are_left_to_the_net():
    df = leading_table().drop(columns="x")  # by chance the error on parts left out is 2 % smaller with the noise
    model = RNNForecaster("y", HORIZON, **{**STOPPING, "early_stopping": False}).fit(df)
    assert model.net_share_.max() < 1
    assert not model.net_.module_.config["reads_changes"]


def test_a_net_that_finds_nothing_has_less_than_a_third():
    """The rows that it learned from say so, where the regression knows what comes and it does not."""
    df = leading_table()
    model = RNNForecaster("y", 1, random_state=0, n_threads=1).fit(df.iloc[:200])
    assert model.net_share_ < 0.1
    table, changes = model.backtest(df, n_origins=50), df["y"].diff()[200:]
    assert np.square(table["forecast"] - table["actual"]).mean() < np.square(changes).mean() / 10


def test_changes_are_those_of_the_rows_that_are_there():
    net = ForecastNet(
        1,
        2,
        4,
        mean=[0.0] * 4,
        scale=[1.0, 2.0, 1.0, 0.5],
        n_past=3,
        categories={2: [0.0, 1.0]},
        segment_size=3,
    )
    first, second = [0.0, 2.0, torch.nan, 5.0, 9.0], [1.0, 2.0, 100.0, 2.0, 3.0]
    values = torch.zeros(2, 5, 4)
    values[:, :, 1], values[:, :, 3] = torch.tensor(first), torch.tensor(second)
    found = net.past_changes(values, torch.tensor([5, 2])).reshape(2, 3, 2)
    assert found[0].tolist() == [[0.0, 20.0], [0.0, -20.0], [2.0, 2.0]]  # to and from NaN none, out of reach cut off
    assert found[1].tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]  # a window of two rows has one change
    assert torch.equal(net.past_changes(values[:1], None), found[:1].flatten(1))


def test_parts_tell_penalty_and_share():
    """The least squares of nets and scikit-learn's ridge regressions over parts whose rows neither had as targets."""
    net, values = make_net(n_targets=1), series(400, n_targets=1)
    data = make_data(net, values)
    windows, following = pairs(values)
    errors = np.zeros(len(blending.PENALTIES))
    trials, of_nets, of_ridges = [], [], []
    folds = zip(np.array_split(np.arange(len(data)), 3), blending.folds(data, apart=HORIZON), strict=True)
    for seed, (part, (learned, left_out)) in enumerate(folds):
        others = np.r_[: max(part[0] - HORIZON + 1, 0), part[-1] + HORIZON : len(data)]
        assert left_out.starts.tolist() == data.starts[part].tolist()
        assert learned.starts.tolist() == data.starts[others].tolist()
        candidates = [direct_ridge(windows[others], following[others], penalty) for penalty in blending.PENALTIES]
        of_ridges.append([windows[part] @ weights for weights in candidates])
        errors += [np.square(linear - following[part]).mean(axis=0).sum() for linear in of_ridges[-1]]
        trial = copy.deepcopy(net)
        torch.nn.init.normal_(trial.head.weight, generator=torch.Generator().manual_seed(seed))
        trials.append(blending.Trial(trial, learned, left_out))
        of_nets.append(trial(*left_out.batch(slice(len(part)))[0]).detach().numpy())
    blending.blend(net, data, trials)
    linear = np.concatenate([candidates[errors.argmin()] for candidates in of_ridges])
    towards, wanted = np.concatenate(of_nets) - linear, following - linear
    for steps in (slice(0, 3), slice(3, 5)):
        share = (towards[:, steps] * wanted[:, steps]).sum() / np.square(towards[:, steps]).sum()
        np.testing.assert_allclose(net.share[steps], np.clip(share, 0, 1), rtol=1e-6)
    assert 0 < net.share[0] < 1


@pytest.mark.parametrize("with_times", [True, False])
def test_all_series_of_a_panel_are_cut_at_the_same_times(with_times):
    """Against the definition: no row to come of one side is at a time of the other's rows to come."""
    horizon, n_steps = 3, 4
    bounds = list(zip([0, 40, 80], [0, 10, 5], [40, 40, 30], strict=True))  # first row, first time, rows
    clock = np.concatenate([with_times * first + np.arange(n) for _, first, n in bounds])
    starts = np.concatenate([row + np.arange(n - n_steps - horizon + 1) for row, _, n in bounds])
    windows = Sequences(np.ones((len(clock), 1)), starts, np.full(len(starts), n_steps))
    data = ForecastDataset(windows, horizon, 1, slice(0, 0), None, times=clock)
    parts = blending.folds(data, apart=horizon)
    assert np.array_equal(np.sort(np.concatenate([left_out.starts for _, left_out in parts])), starts)
    for learned, left_out in parts:
        to_come = [clock[each.starts.numpy()[:, None] + n_steps + np.arange(horizon)] for each in (learned, left_out)]
        before, after = (to_come[0].max(axis=1) < to_come[1].min(), to_come[0].min(axis=1) > to_come[1].max())
        assert (before | after).all()
        rest = np.setdiff1d(starts, np.concatenate([learned.starts, left_out.starts]))
        near = clock[rest[:, None] + n_steps + np.arange(horizon)]
        assert ((near.max(axis=1) >= to_come[1].min()) & (near.min(axis=1) <= to_come[1].max())).all()


def common_shocks(seed, n_rows=160):
    """Six series that the same shocks move, beside noise that tells nothing, the same for all."""
    rng = np.random.default_rng(seed)
    shocks = lfilter([1], [1, -0.6], rng.normal(size=n_rows))
    noise = {f"noise{i}": rng.normal(size=n_rows) for i in range(3)}
    columns = {"t": pd.date_range("2025", periods=n_rows), **noise}
    own = 0.3 * rng.normal(size=(6, n_rows))
    parts = [pd.DataFrame({**columns, "g": g, "y": (20 + shocks + own[g]) * (1 + g)}) for g in range(6)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("seed", range(3))
def test_noise_that_is_the_same_for_all_series_is_not_read(seed):
    """The shocks of the times left out are not to be known from the other series."""
    options = {"time": "t", "group": "g", "n_steps": 14, "hidden_size": 4, "max_epochs": 1, "random_state": 0}
    model = RNNForecaster("y", 7, **options).fit(common_shocks(seed))
    assert not model.net_.module_.config["reads_changes"]


def test_many_series_at_few_times_are_not_parted(monkeypatch):
    rng = np.random.default_rng(0)
    rows = [pd.DataFrame({"t": np.arange(10), "g": g, "y": rng.normal(size=10), "k": 1.0}) for g in range(80)]
    options = {"segment_size": 1, "n_steps": 3, "hidden_size": 4, "max_epochs": 1, "random_state": 0}
    monkeypatch.setattr(_forecast_base, "_trials", lambda *_: pytest.fail("parts are tried"))
    model = RNNForecaster("y", 2, time="t", group="g", known="k", **options).fit(pd.concat(rows))
    assert model.net_share_.max() <= blending.USUAL_SHARE


def test_series_that_are_all_at_the_same_times_are_parted_by_rows():
    """Each is a line and a sine: the smallest penalty tells what follows."""
    rng, steps = np.random.default_rng(0), np.arange(15)
    lines = rng.normal(size=(60, 1)) * steps + 0.5 * np.sin(2.1 * steps + rng.uniform(0, 6.28, (60, 1)))
    days = pd.date_range("2024", periods=11)
    df = pd.concat([pd.DataFrame({"t": days, "g": g, "y": line[:11]}) for g, line in enumerate(lines)])
    model = RNNForecaster("y", 4, time="t", group="g", blend=True, random_state=0, n_threads=1).fit(df)
    errors = model.predict()["y"].to_numpy().reshape(60, 4) - lines[:, 11:]
    assert np.abs(errors).mean() < 0.05


def test_one_long_series_and_many_short_ones_leave_something_to_learn_from():
    rng = np.random.default_rng(0)
    days = pd.date_range("2024", periods=66)
    parts = [
        pd.DataFrame({"t": days[-n:], "g": g, "y": rng.normal(size=n), "k": 1.0})
        for g, n in enumerate([66] + [18] * 100)
    ]
    model = RNNForecaster("y", 7, time="t", group="g", known="k", hidden_size=4, max_epochs=1, random_state=0)
    assert model.fit(pd.concat(parts)).net_share_.min() >= 0


@pytest.mark.parametrize("target", ["sine", "constant"])
def test_past_covariates_may_be_copies_of_each_other(target):
    rng, hours = np.random.default_rng(0), np.arange(300)
    celsius = 15 + 8 * rng.normal(size=300)
    copies = {f"c{i}": celsius * (i + 1) + i for i in range(10)}
    y = np.sin(hours / 4) if target == "sine" else np.full(300, 5.0)
    df = pd.DataFrame({"y": y, **copies}, index=pd.date_range("2024", periods=300, freq="h"))
    model = RNNForecaster("y", 4, hidden_size=4, max_epochs=1, random_state=0).fit(df)
    assert np.isfinite(model.predict()["y"]).all()


def test_nets_that_learned_from_parts_tell_the_share_of_one_with_known_covariates(monkeypatch):
    given = []
    monkeypatch.setattr(
        _forecast_base, "blend", lambda *args, **options: given.append(args) or blending.blend(*args, **options)
    )
    df = linear_table(400).assign(known=np.arange(400) % 7)
    options = {**STOPPING, "early_stopping": "auto", "max_epochs": 3}
    model = RNNForecaster("y", 2, known="known", n_steps=8, **options).fit(df)
    ((_, data, trials),) = given
    assert sum(len(trial.left_out) for trial in trials) == len(data)
    directs = [model.net_.module_.direct.weight, *(trial.net.direct.weight for trial in trials)]
    assert len({weight.detach().sum().item() for weight in directs}) == 4
    assert not np.isclose(model.net_share_, blending.USUAL_SHARE).any()


@pytest.mark.parametrize(
    ("n_rows", "horizon", "options"),
    [
        (250, 2, {"known": "known"}),
        (400, 80, {"known": "known"}),
        (1_100, 2, {"known": "known", "early_stopping": False}),
        (400, 2, {"known": "known", "warm_start": True}),
        (400, 2, {"known": "known", "blend": False}),
        (400, 2, {"time": "t", "calendar": ["hour"]}),
    ],
    ids=["too few", "a long horizon", "many", "gone on with", "no mixture", "nothing known"],
)
def test_parts_are_not_tried_where_they_tell_little_or_cost_much(n_rows, horizon, options, monkeypatch):
    model = RNNForecaster("y", horizon, n_steps=8, **{**STOPPING, "early_stopping": "auto", **options})
    df = linear_table(n_rows + horizon).assign(known=1.0)
    df["t"] = pd.date_range("2024", periods=len(df), freq="h") if "time" in options else np.arange(len(df))
    if "warm_start" in options:
        model.fit(df)
    monkeypatch.setattr(_forecast_base, "folds", None)  # which trials need
    share = model.fit(df).net_share_
    assert share.max() <= 1 / 3 if model.blend else (share == 1).all()


@pytest.mark.parametrize("known", [[], ["tells"]])
def test_a_net_that_covariates_tell_what_comes_has_nearly_all(known):
    rng = np.random.default_rng(0)
    signal = rng.normal(size=250)
    df = pd.DataFrame({"y": np.abs(signal) if known else np.abs(np.roll(signal, 1)), "tells": signal})[1:]
    options = {
        "n_steps": 4,
        "segment_size": 1,
        "normalize": None,
        "hidden_size": 32,
        "dropout": 0.0,
        "learning_rate": 0.02,
    }
    model = RNNForecaster("y", 1, known=known, **options, max_epochs=60, random_state=0, n_threads=1).fit(df)
    assert model.net_share_ > 0.9
    df["tells"] = rng.normal(size=len(df))
    share = model.set_params(max_epochs=10).fit(df).net_share_  # before it knows the rows by heart
    assert share == pytest.approx(1 / 3)


def overfitted(**options):
    """A forecaster whose net knows 100 rows of noise by heart, and the rows."""
    df = pd.DataFrame(np.random.default_rng(0).normal(size=(150, 4)), columns=["y", "a", "b", "c"])
    options = {"n_steps": 8, "segment_size": 4, "normalize": None, "dropout": 0.0, "learning_rate": 0.02, **options}
    return RNNForecaster("y", 2, max_epochs=100, random_state=0, n_threads=1, **options), df


def test_a_net_that_knows_the_rows_by_heart_has_little():
    errors = {}
    for blend in (False, True):
        model, df = overfitted(blend=blend)
        model.fit(df[:100])
        for part, rows in (("training", df[:100]), ("later", df[90:])):
            table = model.backtest(rows, n_origins=None, stride=1)
            errors[blend, part] = np.square(table["forecast"] - table["actual"]).mean()
    assert errors[False, "training"] < 0.01
    assert errors[True, "later"] < 0.95 * errors[False, "later"]
    assert model.net_share_.max() < 0.25


class PlainDescent(torch.optim.Optimizer):
    """One of a user's, which leaves it to others whether there are gradients."""

    def __init__(self, params, lr, weight_decay):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    def step(self, closure):
        loss = closure()
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad
        return loss


def test_parts_are_tried_with_any_optimizer(monkeypatch):
    monkeypatch.setattr(blending, "knows_more", lambda *args: True)
    model, df = overfitted(optimizer=PlainDescent)
    assert (model.set_params(max_epochs=2).fit(df).net_share_ != blending.USUAL_SHARE).all()


def test_an_interrupt_in_trials_after_training_keeps_the_net(monkeypatch):
    def interrupted(*args, trial=None, **options):
        if trial:
            raise KeyboardInterrupt
        return fit_net(*args, **options)

    model, df = overfitted()
    fit_net = _forecast_base.fit_net
    monkeypatch.setattr(_forecast_base, "fit_net", interrupted)
    with pytest.warns(UserWarning, match="Interrupted in the trials after training"):
        model.fit(df[:100])
    np.testing.assert_allclose(model.net_share_, 1 / 3)


def test_a_second_mixture_leaves_the_first_its_share():
    """Also where the second regression reads no past covariates."""
    df, options = leading_table(400), {**STOPPING, "validation_fraction": 0.25, "dtype": "float64", "max_epochs": 2}
    model = RNNForecaster("y", HORIZON, n_steps=N_STEPS, segment_size=SEGMENT, warm_start=True, **options).fit(df)
    first, share = model.net_.module_.past_weight.clone(), model.net_share_
    last = slice(SEGMENT, None)  # the segment in which the net has a share
    walk = np.random.default_rng(3).normal(size=400).cumsum()
    second = model.fit(df.assign(y=walk)).net_.module_
    kept = model.net_share_[last] / share[last]
    assert 0 < kept.max() < 0.9
    np.testing.assert_allclose(second.past_weight[last], kept[:, None, None] * first[last].numpy())


def test_noise_is_not_read_where_missing_targets_make_an_error_negative(monkeypatch):
    """Means over all windows less those over the targets that are there may be."""
    given = []
    best_penalty = blending.best_penalty
    monkeypatch.setattr(blending, "best_penalty", lambda *args: given.append(args) or best_penalty(*args))
    model = RNNForecaster("y", HORIZON, **{**STOPPING, "early_stopping": False})
    model.fit(leading_table().drop(columns="x"))
    ((pairs, segment_size),) = given
    expected = best_penalty(pairs, segment_size)
    lower = [(learned, dataclasses.replace(part, squares=part.squares - 10)) for learned, part in pairs]
    assert sum(part.error(blending.solve(learned, expected, segment_size)) for learned, part in lower) < 0
    assert best_penalty(lower, segment_size) == expected == blending.Penalty(expected.own)


@pytest.mark.parametrize("shared", [True, False])
def test_the_value_before_stands_for_a_missing_one(shared):
    net, values = make_net(shared=shared, missing=[0, 1]), series(60)
    holes = np.where(np.random.default_rng(1).random(values.shape) < 0.3, np.nan, values)
    data = make_data(net, holes)
    windows = np.lib.stride_tricks.sliding_window_view(holes, N_STEPS, axis=0)[:-HORIZON]  # (n, n_targets, N_STEPS)
    whole = np.stack([pd.DataFrame(window.T).ffill().T for window in windows])
    first = np.isnan(whole)  # nothing before them
    expected = np.where(first, 0, (whole - whole[:, :, -1:]) / 2)
    weights = torch.randn(HORIZON, N_STEPS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        inputs, (targets, _) = data.batch(slice(len(data)))
        found, _ = net.train(training).normalised_pairs(inputs[0], inputs[1], targets)
        np.testing.assert_allclose(found, expected.reshape(-1, N_STEPS), atol=1e-12)
        ridge = LinearForecast(net.direct_weight(weights), net.known_weight, net.past_weight)
        linear = net.linear_forecast(ridge, *inputs)
        np.testing.assert_allclose(
            linear.detach().view(-1, HORIZON, 2), np.einsum("hs,nts->nht", weights, expected), atol=1e-10
        )


def test_a_second_fit_without_held_out_rows_trains_the_mixture():
    df = linear_table(200)
    model = RNNForecaster("y", 3, warm_start=True, **LEARNING).fit(df)
    np.testing.assert_allclose(model.fit(df).net_share_, [1 / 3] * 3, rtol=1e-6)


def test_it_is_remembered_and_trained_on():
    df = linear_table()
    model = RNNForecaster("y", 2, n_steps=16, warm_start=True, **STOPPING).fit(df[:1_200])
    first = model.net_share_
    copied = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(copied.predict(), model.predict())
    again = copied.fit(df[:1_200])
    assert (again.net_share_ <= first).all()
    table = again.backtest(df[1_184:], n_origins=None, stride=1)
    errors = np.square(table["forecast"] - table["actual"]).groupby(table["step"]).mean()
    assert errors[1] < 1.25


def test_a_constant_target_goes_on_constant():
    model = RNNForecaster("y", 2, n_steps=8, **STOPPING).fit(pd.DataFrame({"y": np.full(300, 7.0)}))
    np.testing.assert_allclose(model.predict()["y"], 7.0, atol=0.05)


def test_a_target_without_values_leaves_the_others_weights_alone():
    values = series()
    empty = values.copy()
    empty[:, 1] = np.nan
    with torch.no_grad():
        moments = blending._moments(make_net(), make_data(make_net(), empty))
        expected_windows, expected_following = (torch.from_numpy(part) for part in pairs(values[:, :1]))
    n = len(expected_windows)
    torch.testing.assert_close(moments.windows, expected_windows.T @ expected_windows / n)
    torch.testing.assert_close(moments.following, expected_windows.T @ expected_following / n)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([5.0, 4.0, 3.0], 2),
        ([1.0, 1.05, 0.5], 2),
        ([1.0, 1.2, 0.5], 0),
        ([1.0, 0.9, 0.98, 1.0, 0.1], 1),
        ([1.0, 1.0], 0),
        ([-3.0, -2.8, -4.0], 2),
        ([-3.0, -2.6, -4.0], 0),
    ],
)
def test_no_penalty_is_looked_for_behind_one_that_is_much_worse(errors, expected):
    assert blending._least_before_a_rise(errors) == expected


@pytest.mark.parametrize("seed", [1000, 1002, 1003])
def test_growth_that_ends_does_not_run_away(seed):
    rng, days = np.random.default_rng(seed), pd.date_range("2021-01-04", periods=330)
    growth = 1000 / (1 + np.exp(-(np.arange(330) - rng.uniform(200, 300)) / 30))
    week = np.array([0, -0.05, 0, 0.05, 0.2, 0.45, 0.3])[days.day_of_week]
    df = pd.DataFrame({"y": growth * np.exp(0.05 * rng.normal(size=330) + week)}, index=days)
    model = RNNForecaster("y", 14, hidden_size=16, max_epochs=5, random_state=0, n_threads=1, device="cpu")
    backtest = model.fit(df[:274]).backtest(df[274:], n_origins=4, stride=14)
    of_two_weeks_before = df["y"].shift(14)[backtest["time"]].to_numpy()
    error, naive = ((other - backtest["actual"]).abs().mean() for other in (backtest["forecast"], of_two_weeks_before))
    assert error < naive
