"""Numbers at the edge: extreme units, narrow types, what does not vary, the shortest and the longest input."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Sequences
from sklearn_rnn._gradients import clip_gradient
from sklearn_rnn._statistics import _weighted_deciles, robust_statistics

TINY = {"hidden_size": 4, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
X = np.random.default_rng(0).normal(size=(40, 6))
Y = X[:, -1] - X[:, 2]
TIMES = pd.date_range("2024", periods=60, freq="h")
LEARNING = {**TINY, "hidden_size": 8, "max_epochs": 80, "learning_rate": 0.03}
LARGE, SMALL = 2.0**100, 2.0**-100  # 1.3e30 and 8e-31, without a rounding error of their own


def series(values):
    return pd.DataFrame({"load": values}, index=TIMES)


# Training that fails --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"optimizer": "sgd"}, {"weight_decay": 1e300}])
def test_weights_that_overflow_in_the_last_update_stop_with_what_to_change(options):
    options = {**TINY, "max_epochs": 1, "batch_size": 40, "gradient_clip": None, "schedule": "constant", **options}
    options["learning_rate"] = 1e39
    with pytest.raises(
        ValueError, match=r"infinite in epoch 1, the last\. Lower learning_rate, set or lower gradient_cl"
    ):
        RNNRegressor(**options).fit(X, Y * 100)


def test_a_loss_that_is_not_finite_stops_with_what_to_change():
    options = {**TINY, "optimizer": "sgd", "gradient_clip": None, "schedule": "constant", "learning_rate": 1e30}
    with pytest.raises(
        ValueError, match=r"training loss became (inf|nan) in epoch [12]\. Lower learning_rate, set or low"
    ):
        RNNRegressor(**options).fit(X, Y)


# Units ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [LARGE, SMALL])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_of_1e30_and_1e_minus_30_change_no_prediction(unit, dtype):
    plain = RNNRegressor(**TINY, dtype=dtype).fit(X, Y)
    scaled = RNNRegressor(**TINY, dtype=dtype).fit(X * unit, Y * unit)
    np.testing.assert_allclose(scaled.predict(X * unit) / unit, plain.predict(X), rtol=1e-5)
    classes = RNNClassifier(**TINY, dtype=dtype)
    expected = classes.fit(X, Y > 0).predict_proba(X)
    np.testing.assert_allclose(classes.fit(X * unit, Y > 0).predict_proba(X * unit), expected, rtol=1e-5)


@pytest.mark.parametrize("unit", [LARGE, SMALL])
def test_units_of_1e30_and_1e_minus_30_change_no_forecast(unit):
    wave = np.sin(np.arange(60) / 3)
    plain = RNNForecaster("load", 3, **TINY).fit(series(wave)).predict()
    scaled = RNNForecaster("load", 3, **TINY).fit(series(wave * unit)).predict()
    np.testing.assert_allclose(scaled / unit, plain, rtol=1e-5)


@pytest.mark.parametrize("unit", [1e300, 1e37, 1e-40, 1e-300])
def test_units_beyond_float32_are_refused_with_the_reason(unit):
    with pytest.raises(ValueError, match=r"^y has values too large or too small: .* Change the unit of y\."):
        RNNRegressor(**TINY).fit(X, Y * unit)
    if unit > 1:
        with pytest.raises(ValueError, match=r"^X has values too large or too small: .* Change the unit of X\."):
            RNNRegressor(**TINY, dtype="float64").fit(X * unit, Y)


def test_a_shift_that_leaves_few_digits_is_no_obstacle():
    predicted = RNNRegressor(**TINY).fit(X, Y + 1e9).predict(X)
    np.testing.assert_allclose(predicted - 1e9, RNNRegressor(**TINY).fit(X, Y).predict(X), atol=100)
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "int64", "bool", ">f8", "longdouble"])
def test_narrow_and_integer_types_are_read_as_their_numbers(dtype):
    rounded = (np.abs(X) * 3).round().astype(dtype)
    numbers = rounded.astype(np.float64)
    expected = RNNRegressor(**TINY).fit(numbers, numbers[:, 0]).predict(numbers)
    np.testing.assert_array_equal(RNNRegressor(**TINY).fit(rounded, rounded[:, 0]).predict(rounded), expected)
    in_list = RNNRegressor(**TINY).fit(list(rounded), rounded[:, 0])
    np.testing.assert_array_equal(in_list.predict(list(rounded)), expected)


@pytest.mark.parametrize("missing", [pd.NA, None, np.nan])
def test_missing_values_among_objects_are_missing(missing):
    floats = np.where(X > 1, np.nan, X)
    expected = RNNRegressor(**TINY).fit(floats, Y).predict(floats)
    table = pd.DataFrame(np.where(X > 1, missing, X.astype(object)))
    for given in (table, table.to_numpy()):
        np.testing.assert_array_equal(RNNRegressor(**TINY).fit(given, Y).predict(given), expected)


def test_float16_targets_do_not_overflow_in_their_mean():
    targets = np.full(40, 60_000, dtype=np.float16)
    targets[:20] = 50_000
    assert RNNRegressor(**TINY).fit(X, targets).predict(X).mean() == pytest.approx(55_000, rel=0.05)


def test_masked_cells_are_missing_values():
    hidden = np.random.default_rng(1).uniform(size=X.shape) < 0.2
    masked = np.ma.masked_array(X, hidden)
    expected = RNNRegressor(**TINY).fit(np.where(hidden, np.nan, X), Y)
    model = RNNRegressor(**TINY).fit(masked, Y)
    np.testing.assert_array_equal(model.predict(masked), expected.predict(np.where(hidden, np.nan, X)))
    with pytest.raises(ValueError, match="Input y contains NaN"):
        RNNRegressor(**TINY).fit(X, np.ma.masked_array(Y, hidden[:, 0]))


def test_a_masked_label_is_a_missing_one():
    labels = np.ma.masked_array([0, 1] * 19 + [7, 7], np.arange(40) > 37)
    model = RNNClassifier(**TINY).fit(X[:38], labels[:38])
    assert model.classes_.tolist() == [0, 1]
    for learn_or_score in (RNNClassifier(**TINY).fit, model.score):
        with pytest.raises(ValueError, match="missing label, first in row 38"):
            learn_or_score(X, labels)
    with pytest.raises(ValueError, match="contains NaN"):
        RNNRegressor(**TINY).fit(X, Y).score(X, np.ma.masked_array(Y, np.arange(40) > 37))


@pytest.mark.parametrize("type_", [">f8", "<f8"])
def test_float64_is_kept_in_either_order_of_bytes(type_):
    rows = np.array([[16777217.0], [1.0]], dtype=type_)
    assert Sequences(rows, [0], [2])[0].tolist() == rows.tolist()


def test_what_torch_takes_by_default_does_not_matter():
    torch.set_default_dtype(torch.float64)
    try:
        model = RNNRegressor(early_stopping=True, **TINY).fit(X, Y)
    finally:
        torch.set_default_dtype(torch.float32)
    assert model.net_share_ < 1
    assert {each.dtype for each in model.net_.module_.parameters()} == {torch.float32}


def test_a_forecaster_goes_on_in_another_type():
    df = series(np.sin(np.arange(60) / 3))
    model = RNNForecaster("load", 2, dtype="float64", warm_start=True, **TINY).fit(df[:40])
    model.set_params(dtype="float32").fit(df[40:50])
    forecast = model.predict()
    assert forecast.index[0] == TIMES[50]
    np.testing.assert_array_equal(model.predict(df[:50]), forecast)
    assert model.update(df[50:55]).predict().index[0] == TIMES[55]


def test_sizes_of_numpy_are_sizes():
    sizes = {"hidden_size": np.int64(4), "n_layers": np.int32(2), "segment_size": np.int64(2), "dropout": np.float32(0)}
    plain = {name: value.item() for name, value in sizes.items()}
    model = RNNRegressor(**{**TINY, **sizes}).fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), RNNRegressor(**{**TINY, **plain}).fit(X, Y).predict(X))
    assert {type(model.net_.module_.config[name]) for name in sizes} == {int, float}


def test_weights_of_any_size_count_by_their_share():
    weights = np.random.default_rng(2).uniform(size=40)
    expected = RNNRegressor(**TINY).fit(X, Y, weights).predict(X)
    for unit in (2.0**1000, 2.0**-1000):
        np.testing.assert_array_equal(RNNRegressor(**TINY).fit(X, Y, weights * unit).predict(X), expected)


# What does not vary ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 7.0, -1e30, 1e-30])
def test_a_constant_channel_says_nothing(constant):
    both = np.stack([X, np.full_like(X, constant)], axis=2)
    model = RNNRegressor(**LEARNING).fit(both, Y)
    assert model.score(both, Y) > 0.8


@pytest.mark.parametrize("constant", [0.0, -3.5, 1e30, 1e-30])
def test_a_constant_series_is_forecast_to_rounding(constant):
    forecast = RNNForecaster("load", 3, **TINY).fit(series(np.full(60, constant))).predict()["load"]
    np.testing.assert_allclose(forecast, constant, rtol=1e-5, atol=0 if constant else 1e-3)


def test_a_channel_of_nothing_but_nan_says_nothing():
    both = np.stack([X, np.full_like(X, np.nan)], axis=2)
    model = RNNRegressor(**LEARNING).fit(both, Y)
    assert model.score(both, Y) > 0.8


def test_a_category_that_was_never_there_counts_as_none():
    table = series(np.sin(np.arange(60.0))).assign(kind=pd.Categorical([None] * 60, categories=["a"]))
    model = RNNForecaster("load", 2, **TINY).fit(table)
    expected = model.predict()
    table["kind"] = "a"
    np.testing.assert_array_equal(model.predict(table), expected)


# The least and the most -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 6, 2), (1, 1, 1), (5, 1, 1)])
def test_one_sample_and_one_step_are_enough(shape):
    few = np.random.default_rng(0).normal(size=shape)
    targets = np.arange(float(len(few)))
    assert RNNRegressor(**TINY).fit(few, targets).predict(few).shape == (len(few),)
    assert RNNClassifier(**TINY).fit(few, targets.astype(str)).predict(few).shape == (len(few),)
    steps = RNNRegressor(**TINY, per_step=True).fit(few, few[:, :, 0])
    assert steps.predict(few).shape == shape[:2]
    constant = RNNRegressor(**TINY, per_step=True).fit(few, np.full(shape[:2], 1e-9))
    np.testing.assert_allclose(constant.predict(few), 1e-9, rtol=1e-5)
    np.testing.assert_allclose(RNNRegressor(**TINY).fit(few[:1], [3.0]).predict(few[:1]), 3.0, rtol=1e-5)


def test_a_forecaster_needs_one_row_more_than_its_horizon():
    table = series(np.arange(60.0))
    assert RNNForecaster("load", 3, **TINY).fit(table[:4]).predict().shape == (3, 1)
    with pytest.raises(ValueError, match="The data have 3 rows, but a horizon of 3 needs at least 4"):
        RNNForecaster("load", 3, **TINY).fit(table[:3])


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="torch's own cells take a minute")
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_sequence_of_a_million_steps_is_trained_on(cell):
    values = np.random.default_rng(0).normal(size=10**6).astype(np.float32)
    X = Sequences(values, [0], [len(values)])
    options = {**TINY, "hidden_size": 2, "max_epochs": 1, "fused": True, "cell": cell}
    model = RNNRegressor(**options).fit(X, [1.0])
    assert np.isfinite(model.predict(X)).all()
    by_step = RNNRegressor(**options, per_step=True).fit(X, [values])
    assert np.isfinite(by_step.predict(X)[0]).all()


def test_a_window_of_a_million_steps_is_cut_to_the_rows_there_are():
    model = RNNForecaster("load", 3, **TINY, n_steps=10**6, segment_size=2).fit(series(np.sin(np.arange(60))))
    assert np.isfinite(model.predict()["load"]).all()


@pytest.mark.parametrize("largest_norm", [0.1, 1e6])
def test_gradients_are_clipped_as_torch_clips_them(largest_norm):
    ours, torchs = (torch.nn.GRU(3, 5).double() for _ in range(2))
    for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
        a.grad = torch.randn_like(a)
        b.grad = a.grad.clone()
    clip_gradient(list(ours.parameters()), largest_norm)
    torch.nn.utils.clip_grad_norm_(torchs.parameters(), largest_norm)
    for a, b in zip(ours.parameters(), torchs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=0)


def test_a_dtype_set_after_fit_counts_from_the_next_fit_on():
    model = RNNRegressor(**TINY, warm_start=True).fit(X, Y)
    before = model.predict(X)
    np.testing.assert_array_equal(model.set_params(dtype="float64").predict(X), before)
    assert model.fit(X, Y).net_.module_.head.weight.dtype == torch.float64
    np.testing.assert_allclose(model.set_params(dtype="float32").partial_fit(X, Y).predict(X), before, atol=0.5)
    forecaster = RNNForecaster("load", 2, **TINY, warm_start=True).fit(series(np.arange(60.0)))
    before = forecaster.predict()
    pd.testing.assert_frame_equal(forecaster.set_params(dtype="float64").predict(), before)
    assert forecaster.fit(series(np.arange(60.0))).net_.module_.head.weight.dtype == torch.float64


def test_a_window_longer_than_the_series_costs_nothing():
    model = RNNForecaster("load", 2, n_steps=10**9, **TINY).fit(series(np.arange(60.0)))
    assert model.n_steps_ == 10**9
    assert sum(weight.numel() for weight in model.net_.module_.parameters()) < 2_000


# What rounding and outliers take away ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "dense", "list", "Sequences"])
def test_channels_of_which_rounding_leaves_little_are_told_of_and_kept_in_float64(form):
    rng = np.random.default_rng(0)
    X = 1e9 + rng.normal(size=(300, 6))
    y = X[:, -1] - 1e9
    forms = {"table": X, "dense": X[:, :, None], "list": list(X[:, :, None])}
    given = forms.get(form, Sequences(X.reshape(-1, 1), np.arange(300) * 6, np.full(300, 6)))
    model = RNNRegressor(hidden_size=8, max_epochs=30, random_state=0)
    with pytest.warns(UserWarning, match="Column 'channel 0' varies by 0.99.* set dtype='float64'"):
        model.fit(given, y)
    model.set_params(dtype="float64").fit(given, y)  # no warning
    assert model.score(given, y) > 0.9


def test_rows_of_no_sequence_hide_no_rounding():
    rng = np.random.default_rng(0)
    values = np.r_[1e9 + rng.normal(size=(100, 1)), np.zeros((100, 1))]
    used = Sequences(values, np.arange(90), np.full(90, 4))
    with pytest.warns(UserWarning, match="Column 'channel 0' varies by"):
        RNNRegressor(**TINY).fit(used, rng.normal(size=90))


def test_looking_for_rounding_reads_what_fit_reads():
    with_na = [[1.0, pd.NA, 2.0], [3.0, 4.0, 5.0]] * 10
    model = RNNRegressor(**TINY).fit(with_na, np.arange(20.0))
    expected = RNNRegressor(**TINY).fit(np.array([[1.0, np.nan, 2.0], [3.0, 4.0, 5.0]] * 10), np.arange(20.0))
    np.testing.assert_array_equal(model.predict(with_na), expected.predict(with_na))


def nullable(values):
    table = pd.DataFrame(values).astype("Float64")
    table.iloc[3, 2] = pd.NA
    return table


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        *((make, (40, 6)) for make in (np.ndarray.tolist, np.ma.masked_array, torch.tensor, pd.DataFrame, nullable)),
        *((make, (40, 6, 1)) for make in (np.ndarray.tolist, np.ma.masked_array, torch.tensor)),
    ],
)
def test_every_container_of_float64_is_looked_at_for_rounding(make, shape):
    given = make(1e9 + X.reshape(shape))
    with pytest.warns(UserWarning, match="Column 'channel 0' varies by"):
        RNNRegressor(**TINY).fit(given, Y)


@pytest.mark.parametrize("loss", ["huber", "absolute_error", "quantile"])
def test_one_target_in_fifty_that_is_far_off_moves_no_robust_loss(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 6))
    truth = X[:, -1] + X[:, -2]
    y = np.where(rng.random(1500) < 0.02, 1000.0, truth)
    model = RNNRegressor(loss=loss, hidden_size=16, max_epochs=30, random_state=0).fit(X[:1000], y[:1000])
    assert r2_score(truth[1000:], model.predict(X[1000:])) > 0.9


def test_robust_statistics_are_those_of_the_weighted_deciles():
    values = np.random.default_rng(0).normal(5, 3, size=(100_000, 1))
    centre, scale = robust_statistics(np.where(np.arange(100_000)[:, None] % 50, values, 1e6), None)
    np.testing.assert_allclose([*centre, *scale], [5, 3], rtol=0.05)
    twice, once = np.array([[1.0], [2.0], [7.0], [np.nan]]), np.array([[1.0], [2.0], [2.0], [7.0]])
    assert robust_statistics(twice, np.array([1.0, 2.0, 1.0, 9.0])) == robust_statistics(once, None)
    np.testing.assert_allclose(robust_statistics(np.array([[4.0]] * 99 + [[9.0]]), None)[0], [4.05])


def test_a_process_without_targets_moves_no_median(monkeypatch):
    values = np.random.default_rng(0).normal(5, 3, size=(1_000, 1))
    alone = robust_statistics(values, None)
    of_other = _weighted_deciles(np.full(10, np.nan), np.ones(10))
    monkeypatch.setattr("sklearn_rnn._statistics.gathered", lambda deciles: [deciles, of_other[None]])
    assert robust_statistics(values, None) == alone
