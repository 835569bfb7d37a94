"""RNNForecaster on one series: what it learns, what it gives back, what it refuses."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_rnn import RNNForecaster, Sequences, load, save, to_onnx
from sklearn_rnn._losses import Criterion
from sklearn_rnn._statistics import not_above_stretches
from sklearn_rnn.nets import ForecastNet

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}


def waves(n_rows=400, seed=0, noise=0.1):
    """Two hourly series with a daily season, the second at a hundred times the scale."""
    rng = np.random.default_rng(seed)
    hours = np.arange(n_rows)
    load = np.sin(hours * np.pi / 12) + noise * rng.normal(size=n_rows)
    heat = 500 + 100 * np.cos(hours * np.pi / 12) + 100 * noise * rng.normal(size=n_rows)
    times = pd.date_range("2024-01-01", periods=n_rows, freq="h", name="time")
    return pd.DataFrame({"load": load, "heat": heat}, index=times)


# What it learns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", [slice(100, 101), slice(0, 120)], ids=["an outlier", "a level that was left"])
def test_large_values_of_the_past_do_not_make_the_rest_look_like_nothing(spoil):
    df = waves(600)[["load"]]
    spoilt = df.copy()
    spoilt.iloc[spoil] += 1e5
    options = {"hidden_size": 32, "max_epochs": 15, "dropout": 0.0, "learning_rate": 0.005, "random_state": 0}
    clean, model = (RNNForecaster("load", 12, **options).fit(data[:500]) for data in (df, spoilt))
    assert model.score(df[500:]) > clean.score(df[500:]) - 0.15


def test_rows_of_the_future_in_the_table_are_not_those_that_are_held_out():
    df = waves(400)[["load"]]
    longer = df.reindex(pd.date_range(df.index[0], periods=440, freq="h"))  # the last 40 without a target
    options = {"early_stopping": True, "validation_fraction": 0.1, **TINY}
    expected, model = (RNNForecaster("load", 12, **options).fit(data) for data in (df, longer))
    assert model.history_["train_loss"].tolist() == expected.history_["train_loss"].tolist()


def test_an_outlier_in_the_held_out_rows_does_not_decide_the_share_of_the_net():
    df = waves(1_600)[["load"]].abs() ** 1.5
    spoilt = df.copy()
    spoilt.iloc[1_590] += 1e5
    options = {"hidden_size": 32, "max_epochs": 12, "dropout": 0.0, "learning_rate": 0.01, "random_state": 0}
    clean, model = (RNNForecaster("load", 12, **options).fit(data) for data in (df, spoilt))
    assert 0.2 < clean.net_share_[0] < 0.8
    np.testing.assert_allclose(model.net_share_, clean.net_share_, atol=0.2)


@pytest.mark.parametrize("value", [1e6, -9_999.0])
def test_an_outlier_among_recent_rows_does_not_decide_the_forecast(value):
    df = waves(1_500)[["load"]]
    model = RNNForecaster("load", 12, hidden_size=16, max_epochs=5, random_state=0).fit(df[:1_400])
    recent = df[1_400:].copy()
    expected = model.predict(recent)["load"]
    recent.iloc[-30] = value
    np.testing.assert_allclose(model.predict(recent)["load"], expected, atol=3)


def test_a_window_that_is_larger_than_those_of_training_keeps_its_shape():
    df = waves(1_500, noise=0.0)[["load"]]
    model = RNNForecaster("load", 12, hidden_size=16, max_epochs=2, random_state=0).fit(df[:1_400])
    net, windows = model.net_.module_, torch.from_numpy(df["load"].to_numpy(np.float32))[-100:].view(1, 100, 1)
    small, large = (net._normalise(scale * windows, None) for scale in (1, 1_000))
    torch.testing.assert_close(large, 1_000 * small)


def test_the_unit_of_an_ordinary_series_is_its_deviation():
    df = waves(400)
    model = RNNForecaster("load", 3, early_stopping=False, **TINY).fit(df)
    assert float(model.net_.module_.output_scale) == pytest.approx(df["load"].std(ddof=0), rel=1e-6)


def test_a_unit_is_at_most_three_times_that_of_most_stretches():
    rng = np.random.default_rng(0)
    values = np.repeat([0.0, 1e6], [120, 60])[:, None] + rng.normal(size=(180, 1))
    values[20] = 1e9
    deviations = sorted(values[start : start + 10].std() for start in range(0, 180, 10))
    rows = Sequences(values, np.array([0, 120]), np.array([120, 60]))
    expected = 3 * deviations[int(0.9 * (len(deviations) - 1))]
    np.testing.assert_allclose(not_above_stretches(values.std(axis=0), rows, 10), [expected])
    np.testing.assert_array_equal(not_above_stretches(np.ones(1), rows, 10), [1.0])
    np.testing.assert_array_equal(
        not_above_stretches(np.ones(1), Sequences(np.zeros((9, 1)), np.array([0]), np.array([9])), 3), [1.0]
    )


@pytest.mark.parametrize("options", [{}, {"normalize": "standard"}, {"normalize": None}, {"shared": False}])
def test_it_beats_the_seasonal_naive_forecast_on_a_noisy_season(options):
    df = waves(500)
    model = RNNForecaster(["load", "heat"], 24, hidden_size=32, max_epochs=30, dropout=0.1, random_state=0)
    model.set_params(learning_rate=0.005, **options).fit(df[:400])
    # Two independent noises against one: at best 1 - 1 / sqrt(2). Read together, two targets teach half as much.
    assert model.score(df[400:]) > (0.15 if model.shared else 0.0)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_every_cell_and_more_layers_forecast(cell):
    df = waves(noise=0.0)
    model = RNNForecaster("load", 6, cell=cell, n_layers=2, hidden_size=16, max_epochs=12, dropout=0.0, random_state=0)
    model.set_params(learning_rate=0.01).fit(df[:380])
    assert np.abs(model.predict()["load"] - df["load"][380:386]).max() < 0.3


def test_known_covariates_of_the_coming_rows_are_used():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"promotion": rng.integers(0, 2, size=500).astype(float)})
    df["sales"] = 10 + 5 * df["promotion"] + 0.1 * rng.normal(size=500)
    model = RNNForecaster("sales", 4, known="promotion", normalize=None, hidden_size=16, max_epochs=20, random_state=0)
    model.set_params(learning_rate=0.01).fit(df[:480])
    forecast = model.predict(future=df[["promotion"]][480:484])["sales"]
    assert np.abs(forecast - df["sales"][480:484]).max() < 1.5
    opposite = model.predict(future=1 - df[["promotion"]][480:484])["sales"]
    assert (np.sign(forecast - opposite) == np.where(df["promotion"][480:484] == 1, 1, -1)).all()


def test_past_covariates_tell_what_comes():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=800)
    df = pd.DataFrame({"y": np.roll(signal, 1), "signal": signal})[1:]  # y is the signal one row later
    model = RNNForecaster("y", 1, segment_size=1, n_steps=4, normalize=None, dropout=0.0, hidden_size=16)
    model.set_params(random_state=0, max_epochs=20, learning_rate=0.01).fit(df[:700])
    assert model.score(df[700:]) > 0.8
    assert clone(model).fit(df[["y"]][:700]).score(df[700:]) < 0.5


def test_the_newest_row_moves_the_first_step():
    df = waves()
    model = RNNForecaster("load", 3, blend=False, **TINY).fit(df)  # a regression knows waves by older rows as well
    changed = df.copy()
    changed.iloc[-1, 0] += 1
    assert abs(model.predict(changed)["load"].iloc[0] - model.predict(df)["load"].iloc[0]) > 0.1


def test_units_do_not_matter():
    df = waves()
    plain = RNNForecaster("load", 5, dtype="float64", **TINY).fit(df).predict()["load"]
    large = RNNForecaster("load", 5, dtype="float64", **TINY).fit(df * 1e6 + 1e9).predict()["load"]
    np.testing.assert_allclose((large - 1e9) / 1e6, plain, atol=1e-6)


# The net --------------------------------------------------------------------------------------------------------------


def forecasts_of(net, values, lengths=None):
    """In the units of the targets."""
    nothing = torch.zeros(len(values), net.horizon, 0, dtype=values.dtype)
    return net.unscale(net(values, lengths, nothing), *net.units(values, lengths))


def test_the_net_is_segments_a_gru_and_one_step_for_each_future_segment():
    """One window by hand: fold, map, run GRU cells, decode, add the last value."""
    torch.manual_seed(0)
    net = ForecastNet(1, 5, 7, mean=[2.0], scale=[4.0], hidden_size=6, segment_size=3).double().eval()
    window = torch.randn(1, 7, 1, dtype=torch.float64)
    last = window[0, -1, 0]
    padded = torch.cat([torch.zeros(2, dtype=torch.float64), (window[0, :, 0] - last) / 4])
    layer = net.recurrent.forward_layers[0]
    cell = torch.nn.GRUCell(6, 6, dtype=torch.float64)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(cell, name, getattr(layer, f"{name}_l0"))
    state = torch.zeros(1, 6, dtype=torch.float64)
    for segment in padded.view(3, 3):
        state = cell(net.read_targets(segment[None]).relu(), state)
    steps = [net.head(cell(net.channel + net.position[k], state))[0] for k in range(2)]
    expected = torch.cat(steps)[:5]
    torch.testing.assert_close(net(window, None, torch.zeros(1, 5, 0))[0], expected)
    torch.testing.assert_close(forecasts_of(net, window)[0, :, 0], expected * 4 + last)


@pytest.mark.parametrize(("n_quantiles", "normalize"), [(0, "last"), (3, "standard"), (0, "scaled")])
def test_the_linear_map_adds_the_window_less_its_level_times_its_scaled_weights(n_quantiles, normalize):
    sizes = {"mean": [0.0] * 2, "scale": [1.0] * 2, "hidden_size": 6, "segment_size": 3, "n_quantiles": n_quantiles}
    net = ForecastNet(2, 4, 5, normalize=normalize, **sizes).double().eval()
    lengths, values = [5, 3], torch.randn(2, 5, 2, dtype=torch.float64)
    call = (values, torch.tensor(lengths), torch.empty(2, 4, 0, dtype=torch.float64))
    without = net(*call)  # the map begins at zero
    weights = torch.randn(4, 5, dtype=torch.float64)
    net.direct.weight.data = weights * 5**0.5
    added = (net(*call) - without).detach().view(2, 4, 2, -1)
    for i, length in enumerate(lengths):
        window = values[i, :length]
        level = window.mean(0) if normalize == "standard" else window[-1]
        unit = 1 if normalize == "last" else window.std(0, correction=0)
        expected = weights[:, 5 - length :] @ ((window - level) / unit)
        torch.testing.assert_close(added[i], expected[:, :, None].expand(-1, -1, added.shape[3]))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_short_window_is_forecast_alone_as_in_company(cell):
    torch.manual_seed(0)
    net = ForecastNet(2, 4, 10, mean=[0.0] * 3, scale=[1.0] * 3, n_past=1, cell=cell, hidden_size=6, segment_size=3)
    net = net.double().eval()
    values = torch.randn(2, 10, 3, dtype=torch.float64)
    nothing = torch.zeros(2, 4, 0, dtype=torch.float64)
    together = net(values, torch.tensor([10, 4]), nothing)
    torch.testing.assert_close(together[:1], net(values[:1], None, nothing[:1]))
    torch.testing.assert_close(together[1:], net(values[1:, :4], None, nothing[:1]))


def test_normalising_by_the_last_value_moves_forecasts_along():
    torch.manual_seed(0)
    values = torch.randn(3, 9, 1)
    for normalize in ("scaled", "last", "standard"):
        net = ForecastNet(1, 4, 9, mean=[0.0], scale=[1.0], hidden_size=6, segment_size=3, normalize=normalize).eval()
        torch.testing.assert_close(forecasts_of(net, values + 50), forecasts_of(net, values) + 50, atol=1e-3, rtol=0)


@pytest.mark.parametrize("normalize", ["scaled", "standard"])
def test_normalising_by_the_deviation_stretches_forecasts_along(normalize):
    torch.manual_seed(0)
    values = torch.randn(3, 9, 1, dtype=torch.float64)
    net = ForecastNet(1, 4, 9, mean=[0.0], scale=[1.0], hidden_size=6, segment_size=3, normalize=normalize)
    net = net.double().eval()
    for size, level in ((1e-9, 0), (1e9, 0), (1e-3, 5), (1e3, 5)):
        expected = forecasts_of(net, values) * size + level
        torch.testing.assert_close(forecasts_of(net, values * size + level), expected, atol=0, rtol=1e-9)


def test_a_window_without_deviation_is_counted_in_units_of_the_training_rows():
    nets = []
    for normalize in ("scaled", "last"):
        torch.manual_seed(0)
        nets.append(ForecastNet(1, 4, 9, mean=[0.0], scale=[3.0], hidden_size=6, segment_size=3, normalize=normalize))
    constant = torch.full((3, 6, 1), 7.0)
    constant[2] += torch.tensor([[0.0], [1.0], [-1.0], [0.0], [1.0], [0.0]]) * 5e-7  # as much as float32 rounds
    call = (constant, torch.tensor([6, 1, 6]))
    torch.testing.assert_close(forecasts_of(nets[0].eval(), *call), forecasts_of(nets[1].eval(), *call))


def test_missing_targets_have_no_loss_and_no_gradient():
    raw = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    target = torch.tensor([[0.0, torch.nan, 5.0]])
    losses = Criterion("squared_error", skip_missing=True)(raw, target)
    losses.nanmean().backward()
    assert losses.nanmean().item() == pytest.approx((1 + 4) / 2)
    torch.testing.assert_close(raw.grad, torch.tensor([[1.0, 0.0, -2.0]]))


# Results --------------------------------------------------------------------------------------------------------------


def test_the_forecast_is_a_table_of_the_next_times():
    df = waves()
    forecast = RNNForecaster(["heat", "load"], 5, **TINY).fit(df).predict()
    assert forecast.columns.tolist() == ["heat", "load"]
    assert forecast.index.tolist() == pd.date_range(df.index[-1], periods=6, freq="h")[1:].tolist()
    assert (forecast.index.name, forecast.index.dtype) == ("time", df.index.dtype)
    named = RNNForecaster("load", 5, time="time", **TINY).fit(df.reset_index()).predict()
    assert named.columns.tolist() == ["time", "load"]
    assert named["time"].tolist() == forecast.index.tolist()


def test_a_range_index_and_an_array_work_as_well():
    df = waves().reset_index(drop=True)
    forecast = RNNForecaster("load", 3, **TINY).fit(df).predict()
    assert forecast.index.tolist() == [400, 401, 402]
    array = RNNForecaster(0, 3, **TINY).fit(df.to_numpy()).predict()
    np.testing.assert_array_equal(array, forecast["load"])
    assert RNNForecaster([0, 1], 3, **TINY).fit(df.to_numpy()).predict().shape == (3, 2)
    assert RNNForecaster(0, 3, **TINY).fit(df["load"].to_numpy()).predict().shape == (3,)


def test_rows_may_come_in_any_order():
    df = waves()
    shuffled = df.sample(frac=1, random_state=0)
    expected = RNNForecaster("load", 3, **TINY).fit(df)
    model = RNNForecaster("load", 3, **TINY).fit(shuffled)
    pd.testing.assert_frame_equal(model.predict(), expected.predict())
    pd.testing.assert_frame_equal(model.predict(shuffled), expected.predict(df))


def test_recent_rows_continue_those_of_fit():
    df = waves()
    model = RNNForecaster("load", 3, **TINY).fit(df[:300])
    pd.testing.assert_frame_equal(model.predict(df[300:310]), model.predict(df[:310]))
    updated = copy.deepcopy(model).update(df[300:310])
    pd.testing.assert_frame_equal(updated.predict(), model.predict(df[:310]))
    assert updated.history_.equals(model.history_)


def test_the_same_seed_gives_the_same_bits_and_leaves_global_generators_alone():
    df = waves()
    before = torch.random.get_rng_state()
    first, second = (RNNForecaster("load", 3, **TINY).fit(df).predict() for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_pickle_forecasts_the_same_and_holds_no_torch():
    df = waves()
    model = RNNForecaster("load", 3, quantiles=(0.1, 0.9), **TINY).fit(df)
    data = pickle.dumps(model)
    assert b"torch" not in data
    pd.testing.assert_frame_equal(pickle.loads(data).predict(), model.predict())


def test_clones_and_parameters_round_trip():
    model = RNNForecaster("load", 3, known=["a"], calendar=["hour"], quantiles=(0.1,))
    assert clone(model).get_params() == model.get_params()
    assert clone(model).set_params(horizon=5).horizon == 5
    with pytest.raises(NotFittedError):
        model.predict()


def test_warm_start_goes_on_training():
    df = waves()
    model = RNNForecaster("load", 3, warm_start=True, **TINY).fit(df)
    before = model.predict()
    model.fit(df)
    assert model.n_iter_ == len(model.history_) == 4
    assert not model.predict().equals(before)


def test_a_failing_fit_leaves_the_earlier_one():
    df = waves()
    model = RNNForecaster("load", 3, **TINY).fit(df)
    expected = model.predict()
    with pytest.raises(ValueError, match="no column"):
        model.fit(df.rename(columns={"load": "other"}))
    pd.testing.assert_frame_equal(model.predict(), expected)


def test_skill_is_the_error_on_held_out_rows_beside_naive_forecasts(capsys):
    df = waves(noise=0.0)
    noise = df.assign(load=np.random.default_rng(0).normal(size=len(df)).cumsum())
    model = RNNForecaster("load", 2, early_stopping=True, verbose=1, **TINY).fit(noise)
    held_out = noise["load"].to_numpy()[-40:] / noise["load"].to_numpy()[:-40].std()
    previous = noise["load"].to_numpy()[-41:-1] / noise["load"].to_numpy()[:-40].std()
    one_step, two_steps = np.abs(held_out - previous)[:-1], np.abs(held_out[1:] - previous[:-1])
    assert model.skill_["persistence"] == pytest.approx(np.mean([one_step, two_steps]), rel=1e-5)
    assert model.skill_["skill"] < 0.1
    assert "persistence" in capsys.readouterr().out
    assert RNNForecaster("load", 2, **TINY).fit(df).skill_ is None


def test_a_constant_series_goes_on_constant():
    df = waves().assign(load=7.0)[["load"]]
    model = RNNForecaster("load", 2, early_stopping=True, **TINY).set_params(max_epochs=30, dropout=0.0).fit(df)
    assert np.abs(model.predict()["load"] - 7).max() < 0.5
    assert model.skill_["skill"] == 0


# Missing values and gaps ----------------------------------------------------------------------------------------------


def test_missing_values_are_learned_from_and_forecast_from():
    df = waves(500)
    df.iloc[np.random.default_rng(1).random(500) < 0.2, 0] = np.nan
    model = RNNForecaster("load", 6, hidden_size=32, max_epochs=30, learning_rate=0.005, random_state=0).fit(df[:400])
    assert model.score(df[400:]) > 0
    df.iloc[-1, 0] = np.nan
    assert np.isfinite(model.predict(df)["load"]).all()


@pytest.mark.parametrize("batch_size", ["auto", 1])
def test_targets_that_are_never_there_together_are_learned(batch_size):
    """A window may hold one target and be followed by the other alone: there is nothing to learn from it."""
    x = np.random.default_rng(0).normal(size=426)
    first = np.arange(426) // 12 % 2 == 0
    for n_rows in range(401, 426):
        df = pd.DataFrame({"a": np.where(first, x, np.nan), "b": np.where(first, np.nan, x)})[:n_rows]
        options = {**TINY, "hidden_size": 2, "max_epochs": 10 if batch_size == "auto" else 1, "batch_size": batch_size}
        RNNForecaster(["a", "b"], 3, n_steps=4, segment_size=1, early_stopping=False, **options).fit(df)
        if batch_size == 1:
            break


@pytest.mark.parametrize(
    "options", [{"target": ["load", "load_q0.9"]}, {"group": "load_q0.9"}], ids=["target", "group"]
)
def test_two_columns_of_forecasts_with_one_name_are_refused(options):
    df = waves().assign(**{"load_q0.9": 1.0})
    with pytest.raises(ValueError, match="two columns with the name 'load_q0.9'"):
        RNNForecaster(**{"target": "load", **options}, horizon=3, quantiles=(0.1, 0.9), **TINY).fit(df)


def test_a_series_that_is_missing_everywhere_is_an_error():
    df = waves().assign(load=np.nan)
    with pytest.raises(ValueError, match="target has no value in any row"):
        RNNForecaster("load", 6, **TINY).fit(df)


def test_no_window_crosses_a_gap():
    df = waves()
    model = RNNForecaster("load", 3, n_steps=48, **TINY).fit(df)
    gap = df.drop(df.index[370])
    origins = model.backtest(gap[300:], n_origins=None, stride=1)["origin"].unique()
    assert not {df.index[i] for i in (367, 368, 369)} & set(origins)  # their targets lie across the gap


@pytest.mark.parametrize("gone", [slice(370, 371), slice(360, 395), slice(390, 399)], ids=str)
def test_a_forecast_behind_a_gap_is_that_behind_rows_without_values(gone):
    df = waves().assign(kind=np.where(np.arange(400) % 24 < 8, "night", "day"))
    options = {"n_steps": 48, "known": "kind", "calendar": ["hour"], **TINY}
    model = RNNForecaster("load", 3, **options).fit(df)
    gap = df.drop(df.index[gone])
    future = pd.DataFrame({"kind": "day"}, index=pd.date_range(df.index[-1], periods=4, freq="h")[1:])
    forecast = model.predict(gap, future)
    pd.testing.assert_frame_equal(forecast, model.predict(gap.asfreq("h"), future), rtol=1e-4)
    other = gap.copy()
    other.iloc[: gone.start - 60, :2] += 100  # out of the window
    pd.testing.assert_frame_equal(forecast, model.predict(other, future))


def test_a_forecast_from_fewer_rows_than_were_learned_from_is_pointed_out():
    model = RNNForecaster("load", 3, n_steps=48, **TINY).fit(waves())
    with pytest.warns(
        UserWarning, match="1 of 1 series have fewer rows .* had: 20 instead of 48. The net has not lear"
    ):
        model.predict(waves().shift(freq="400D")[:20])


# What it refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"target": "absent"}, None, "no column 'absent'"),
        ({"target": "text"}, lambda df: df.assign(text="a"), "must be numbers"),
        ({"horizon": 400}, None, "at least 401"),
        ({}, lambda df: pd.concat([df, df[:1]]), "2024-01-01 00:00:00 occurs more than once"),
        ({"known": "load"}, None, "two roles"),
        ({"calendar": ["fortnight"]}, None, "fortnight"),
        ({"calendar": ["hour"]}, lambda df: df.reset_index(drop=True), "no timestamps"),
        ({"quantiles": (0.5, 1.5)}, None, "between 0 and 1"),
        ({"conformal": True}, None, "quantiles is None"),
        ({}, lambda df: df.replace(df.iloc[3, 0], np.inf), "infinity"),
        ({}, lambda df: df.assign(when=df.index), "neither numbers nor categories"),
        ({}, lambda df: df.assign(date=df.index.astype(str)), "400 different values.*name it with time="),
        ({"early_stopping": True, "horizon": 250}, None, "holds out rows"),
        ({"time": "absent"}, None, "no column 'absent'"),
    ],
)
def test_unfit_data_are_refused_by_name(options, change, message):
    df = waves()
    model = RNNForecaster("load", 3, **TINY).set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(df if change is None else change(df))


def test_irregular_times_are_refused():
    df = waves()
    df.index = df.index[0] + pd.to_timedelta(np.random.default_rng(0).integers(1, 10**6, size=400).cumsum(), unit="s")
    with pytest.raises(ValueError, match="irregular"):
        RNNForecaster("load", 3, **TINY).fit(df)


def test_time_zones_must_be_one_and_there():
    df = waves()
    zoned = df.tz_localize("UTC")
    mixed = zoned.set_axis([t.tz_convert("UTC" if i % 2 else "Asia/Tokyo") for i, t in enumerate(zoned.index)])
    with pytest.raises(ValueError, match="several time zones"):
        RNNForecaster("load", 3, **TINY).fit(mixed)
    model = RNNForecaster("load", 3, **TINY).fit(zoned)
    of_objects = RNNForecaster("load", 3, **TINY).fit(zoned.set_axis(zoned.index.astype(object)))
    pd.testing.assert_frame_equal(of_objects.predict(), model.predict(), check_index_type=False)
    with pytest.raises(ValueError, match="with a time zone"):
        model.predict(df)


def test_parameters_are_checked_by_name():
    with pytest.raises(InvalidParameterError, match="horizon"):
        RNNForecaster("load", 0).fit(waves())
    with pytest.raises(InvalidParameterError, match="normalize"):
        RNNForecaster("load", 1, normalize="first").fit(waves())


def test_new_data_must_have_the_columns_and_the_form_of_fit():
    df = waves()
    model = RNNForecaster("load", 3, **TINY).fit(df)
    with pytest.raises(ValueError, match="no column 'heat'"):
        model.predict(df[["load"]])
    with pytest.raises(ValueError, match="fitted with a DataFrame"):
        model.predict(df.to_numpy())
    with pytest.raises(ValueError, match="no rows"):
        model.predict(df[:0])
    with pytest.raises(ValueError, match="integers"):
        model.predict(df.reset_index(drop=True))


# What changes after fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 6}, "horizon is 6, but the model was fitted with 3"),
        ({"quantiles": (0.05, 0.95)}, r"quantiles is \(0.05, 0.95\), but the model was fitted with \[0.1, 0.5, 0.9\]"),
        ({"quantiles": None}, "quantiles is None"),
    ],
    ids=str,
)
def test_the_form_of_forecasts_is_that_of_fit(change, message):
    df = waves()
    model = RNNForecaster("load", 3, quantiles=(0.1, 0.9), warm_start=True, **TINY).fit(df)
    model.set_params(**change)
    for call in (model.predict, lambda: model.score(df), lambda: model.backtest(df), lambda: model.fit(df)):
        with pytest.raises(ValueError, match=message):
            call()
    pytest.importorskip("onnx", reason='the extra "onnx" is not installed')
    with pytest.raises(ValueError, match=message):
        to_onnx(model)
    model.set_params(warm_start=False).fit(df).predict()


@pytest.mark.parametrize(("name", "value"), [("target", "heat"), ("known", ["heat"]), ("calendar", ["hour"])])
def test_a_warm_start_goes_on_with_the_same_columns(name, value):
    model = RNNForecaster("load", 3, warm_start=True, **TINY).fit(waves())
    with pytest.raises(ValueError, match=f"warm_start=True goes on .* {name} is"):
        model.set_params(**{name: value}).fit(waves())


@pytest.mark.parametrize(
    "change",
    [{"loss": "squared_error"}, {"normalize": "standard"}, {"segment_size": 2}, {"n_steps": 7}, {"shared": False}],
    ids=str,
)
def test_a_warm_start_goes_on_with_the_same_net(change):
    model = RNNForecaster("load", 3, warm_start=True, **TINY).fit(waves())
    with pytest.raises(ValueError, match=f"goes on with the net of the last fit, but {next(iter(change))} is"):
        model.set_params(**change).fit(waves())


def test_rows_older_than_what_is_remembered_are_told_of():
    sales = pd.DataFrame({"y": np.tile(np.arange(7.0), 60)})
    model = RNNForecaster("y", 7, n_steps=14, **TINY).fit(sales[:400])
    before = model.predict()
    with pytest.warns(UserWarning, match="None of the rows is kept: the newest is of 6, the oldest .* of 386"):
        model.update(sales[400:407].reset_index(drop=True))  # numbered from 0 anew
    pd.testing.assert_frame_equal(model.predict(), before)
    assert model.update(sales[400:407]).predict().index[0] == 407


def test_an_update_that_ends_in_a_warning_made_an_error_changes_nothing():
    sales = pd.DataFrame({"t": np.tile(np.arange(400), 2), "shop": np.repeat([0, 1], 400), "y": np.arange(800.0)})
    model = RNNForecaster("y", 7, n_steps=14, time="t", group="shop", **TINY).fit(sales)
    before = model.predict()
    new = pd.DataFrame({"t": [0, 400], "shop": [0, 1], "y": 1.0})  # the first is older than what is remembered
    with pytest.raises(UserWarning, match="None of the rows of group 0 is kept"):
        model.update(new)
    pd.testing.assert_frame_equal(model.predict(), before)


def test_a_device_that_is_not_there_is_told_of_before_the_table_is_read():
    with pytest.raises(ValueError, match="device"):
        RNNForecaster("no column", 3, **{**TINY, "device": "cuda:77"}).fit("no table")


def test_a_warm_start_goes_on_with_targets_that_lack():
    df = waves()
    model = RNNForecaster("load", 3, warm_start=True, **TINY).fit(df)
    lacking = df.assign(load=df["load"].where(np.arange(len(df)) % 10 > 0))
    assert np.isfinite(model.fit(lacking).predict().to_numpy()).all()


def test_a_warm_start_on_new_rows_remembers_those_before_them():
    df = waves()
    model = RNNForecaster("load", 3, n_steps=48, warm_start=True, **TINY).fit(df[:380]).fit(df[380:])
    pd.testing.assert_frame_equal(model.predict(), model.predict(df))


def test_a_warm_start_on_older_rows_forgets_no_newer_ones():
    df = waves()
    model = RNNForecaster("load", 3, n_steps=48, warm_start=True, **TINY).fit(df[200:]).fit(df[:250])
    pd.testing.assert_frame_equal(model.predict(), model.predict(df))


def test_a_late_row_finds_its_place_in_the_history():
    df = waves()
    model = RNNForecaster("load", 3, **TINY).fit(df.drop(index=df.index[390]))
    whole = model.predict(df)
    model.update(df.iloc[[390]])
    pd.testing.assert_frame_equal(model.predict(), whole)
    corrected = df.copy()
    corrected.loc[df.index[395], "load"] = 9.0
    model.update(corrected.iloc[[395]])
    pd.testing.assert_frame_equal(model.predict(), model.predict(corrected))


def test_a_deviation_that_the_type_cannot_hold_is_pointed_out():
    df = pd.DataFrame({"meter": 2e8 + waves()["load"] * 50})
    with pytest.warns(UserWarning, match="Column 'meter' varies by .* around 2e.08, of which float32 loses up to 8"):
        RNNForecaster("meter", 3, **TINY).fit(df)
    RNNForecaster("meter", 3, dtype="float64", **TINY).fit(df)  # no warning


def test_a_loaded_model_knows_the_scale_of_errors(tmp_path):
    pytest.importorskip("skops", reason='the extra "safe" is not installed')
    model = RNNForecaster("load", 3, **TINY).fit(waves()[:300])
    save(model, tmp_path / "model.skops")
    pd.testing.assert_frame_equal(load(tmp_path / "model.skops").backtest(waves()[300:]), model.backtest(waves()[300:]))


@pytest.mark.parametrize("options", [{}, {"shared": False, "n_steps": 1}, {"quantiles": np.array([0.1, 0.9])}], ids=str)
def test_rows_without_targets_before_the_last_one_hold_nothing_out(options):
    values = np.random.default_rng(0).normal(size=(1500, 2))
    values[1100:1499] = np.nan  # longer than a window
    table = pd.DataFrame(values, columns=["a", "b"], index=pd.date_range("2026-01-01", periods=1500, freq="h"))
    model = RNNForecaster(["a", "b"], 3, hidden_size=4, max_epochs=1, random_state=0, **options).fit(table)
    assert model.skill_ is None
    coming = model.predict(table[:1100])
    assert len(coming) == 3
    assert coming.notna().all(axis=None)
    for name in ("early_stopping", "conformal"):
        asked = clone(model).set_params(quantiles=(0.1, 0.9), **{name: True})
        with pytest.raises(ValueError, match=rf"{name}=True holds out the last rows .* followed by a target. Drop"):
            asked.fit(table)


@pytest.mark.parametrize(
    ("fitted", "given"),
    [
        (pd.date_range("2024-01-01", periods=60, freq="h"), pd.date_range("2025-01-01", periods=9, freq="30min")),
        (pd.bdate_range("2024-01-01", periods=60), pd.date_range("2025-01-01", periods=9, freq="12h")),
        (pd.date_range("2020-01-01", periods=60, freq="MS"), pd.date_range("2025-01-01", periods=9, freq="W")),
        (pd.timedelta_range("0s", periods=60, freq="10s"), pd.timedelta_range("1h", periods=9, freq="1s")),
        (pd.Index(np.arange(60) * 0.1), pd.Index(100 + np.arange(9) * 0.05)),
    ],
    ids=["hours", "business days", "months", "seconds", "numbers"],
)
def test_rows_closer_than_those_of_fit_are_refused(fitted, given):
    model = RNNForecaster("y", 3, hidden_size=4, max_epochs=1, random_state=0)
    model.fit(pd.DataFrame({"y": np.sin(np.arange(60.0))}, index=fitted))
    expected, new = model.predict(), pd.DataFrame({"y": np.cos(np.arange(9.0))}, index=given)
    for method in (
        model.predict,
        model.backtest,
        model.score,
        model.update,
        copy.deepcopy(model).set_params(warm_start=True).fit,
    ):
        with pytest.raises(ValueError, match="closer to each other than those of fit. Resample them to a spacing of"):
            method(new)
    pd.testing.assert_frame_equal(model.predict(), expected)
    behind = new[:1].set_axis(fitted[-1:] + (given[1] - given[0]))  # closer to what is remembered
    with pytest.raises(ValueError, match="closer to each other"):
        model.update(behind)


def test_rows_farther_than_those_of_fit_are_told_of():
    times = {"a": pd.date_range("2024-01-01", periods=60, freq="h"), "b": pd.date_range("2024-01-01", periods=60)}
    both = pd.concat([pd.DataFrame({"time": t, "y": np.arange(60.0), "name": name}) for name, t in times.items()])
    with pytest.warns(UserWarning, match="No two rows of group 'b' are 0 days 01:00:00 apart, the spacing of fit"):
        RNNForecaster("y", 3, time="time", group="name", **TINY).fit(both)
    model = RNNForecaster("y", 3, **TINY).fit(both[:60].set_index("time")[["y"]])
    with pytest.warns(UserWarning, match="No two rows are 0 days 01:00:00 apart"):
        model.predict(both[60:].set_index("time")[["y"]])


@pytest.mark.parametrize("normalize", ["last", "scaled", "standard"])
def test_a_series_without_a_value_to_begin_from_is_not_forecast(normalize):
    df = waves()
    model = RNNForecaster(["load", "heat"], 3, normalize=normalize, quantiles=(0.1, 0.9), **TINY)
    model.set_params(n_steps=12, segment_size=4).fit(df.assign(heat=df["heat"].where(np.arange(len(df)) % 40 < 20)))
    recent = df[-12:].assign(heat=np.nan)
    with pytest.warns(UserWarning, match="1 of 1 series have no value of heat in their last 12 rows"):
        forecast = model.predict(recent)
    unknown = forecast.columns.str.startswith("heat")
    assert forecast.loc[:, unknown].isna().all(axis=None)
    assert forecast.loc[:, ~unknown].notna().all(axis=None)
    table = df.assign(heat=df["heat"].where(np.arange(len(df)) >= len(df) - 3))  # to come, not to begin from
    backtest = model.backtest(table, n_origins=1)
    assert backtest.set_index("target")["forecast"].isna().groupby("target").all().to_dict() == {"load": 0, "heat": 1}
    assert model.backtest_summary(backtest, "target").isna().all(axis=1).to_dict() == {"load": 0, "heat": 1}
    assert np.isfinite(model.score(table[-15:]))


def test_the_business_day_after_a_saturday_is_a_monday():
    days = pd.bdate_range("2024-01-01", periods=60)
    model = RNNForecaster("y", 2, hidden_size=4, max_epochs=1).fit(pd.DataFrame({"y": np.arange(60.0)}, index=days))
    with pytest.warns(UserWarning, match="fewer rows to forecast from"):
        coming = model.predict(pd.DataFrame({"y": [1.0]}, index=[pd.Timestamp("2024-11-09")]))
    assert coming.index.tolist() == [pd.Timestamp("2024-11-11"), pd.Timestamp("2024-11-12")]
