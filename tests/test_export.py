"""Exported models in onnxruntime against predict, at other numbers of sequences and of steps than in fit."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import sklearn_rnn
from sklearn_rnn import (
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    SequenceVectorizer,
    SlidingWindow,
    WindowSplit,
    _files,
    to_onnx,
)
from sklearn_rnn.nets.forecast import FARTHEST
from sklearn_rnn.nets.pooling import POOLINGS
from sklearn_rnn.nets.recurrent import CELLS

onnx = pytest.importorskip("onnx", reason='the extra "onnx" is not installed')
onnxruntime = pytest.importorskip("onnxruntime", reason='the extra "onnx" is not installed')

# The large steps of the one epoch move every weight and bias away from where it starts.
TINY = {"hidden_size": 5, "max_epochs": 1, "learning_rate": 0.1, "random_state": 0, "n_threads": 1, "device": "cpu"}
# Of the target's spread, or of 1 for probabilities.
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


def recordings(n_samples, shortest, longest, n_channels=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, n_channels)) for length in rng.integers(shortest, longest + 1, n_samples)]


TRAINING = recordings(40, 3, 9)
# Other numbers of sequences and steps than in training: one alone, many of unequal length, a few of equal length.
OTHERS = [recordings(1, 4, 4, seed=1), recordings(17, 1, 20, seed=2), recordings(5, 7, 7, seed=3)]


def dense(X, dtype, padding=np.nan):
    """The sequences from step 0 on, with more padding behind them than any needs, and their lengths."""
    lengths = np.array([len(x) for x in X])
    values = np.full((len(X), lengths.max() + 2, X[0].shape[1]), padding, dtype=dtype)
    for i, x in enumerate(X):
        values[i, : len(x)] = x
    return values, lengths


def open_session(model):
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session, X, padding=np.nan, **inputs):
    """The outputs by name for a list of sequences."""
    dtype = {"tensor(float)": np.float32, "tensor(double)": np.float64}[session.get_inputs()[0].type]
    values, lengths = dense(X, dtype, padding)
    outputs = session.run(None, {"X": values, "lengths": lengths, **inputs})
    return {output.name: value for output, value in zip(session.get_outputs(), outputs, strict=True)}


def assert_close(given, expected, tolerance=TOLERANCE["float32"], spread=1.0):
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, rtol=0, atol=tolerance * spread)


def targets(X):
    return 100 + 30 * np.array([x[-1, 0] - 0.5 * x[:, 1].mean() for x in X])


def check_regressor(model, y=None, others=OTHERS):
    y = targets(TRAINING) if y is None else y
    model.fit(TRAINING, y)
    session = open_session(to_onnx(model))
    for X in others:
        outputs = run(session, X)
        expected = model.predict(X)
        tolerance = TOLERANCE[model.dtype]
        assert_close(outputs["prediction"], expected, tolerance, np.std(y))
        if model.loss == "quantile":
            assert_close(outputs["quantiles"], model.predict_quantiles(X), tolerance, np.std(y))


# Nets -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segment_size", [1, 3])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_net_gives_what_predict_gives(cell, bidirectional, pooling, segment_size):
    options = {"cell": cell, "bidirectional": bidirectional, "pooling": pooling, "segment_size": segment_size}
    check_regressor(RNNRegressor(**TINY, **options))


@pytest.mark.parametrize("options", [{}, {"segment_size": 2, "pooling": "mean"}, {"loss": "quantile", "anchor": 0}])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_net_of_float64_keeps_its_digits(cell, bidirectional, options):
    options = {"cell": cell, "bidirectional": bidirectional, "n_layers": 2, **options}
    check_regressor(RNNRegressor(**TINY, dtype="float64", **options))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_layers_are_read_one_after_another(cell, bidirectional):
    check_regressor(RNNRegressor(**TINY, cell=cell, bidirectional=bidirectional, n_layers=3, dropout=0.3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_relu_is_exported(dtype):
    check_regressor(RNNRegressor(**TINY, cell="rnn", nonlinearity="relu", bidirectional=True, dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", CELLS)
def test_what_stands_behind_a_sequence_changes_nothing(cell, dtype):
    model = RNNRegressor(**TINY, cell=cell, bidirectional=True, pooling="attention", segment_size=2, dtype=dtype)
    session = open_session(to_onnx(model.set_params(anchor=0).fit(TRAINING, targets(TRAINING))))
    results = [run(session, OTHERS[1], padding)["prediction"] for padding in (np.nan, np.inf, -3.0)]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def with_gaps(X, seed=0):
    rng = np.random.default_rng(seed)
    return [np.where(rng.random(x.shape) < 0.3, np.nan, x) for x in X]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("anchor", [None, 1])
def test_missing_values_are_marked_and_filled(anchor, dtype):
    model = RNNRegressor(**TINY, anchor=anchor, dtype=dtype).fit(with_gaps(TRAINING), targets(TRAINING))
    session = open_session(to_onnx(model))
    for X in map(with_gaps, OTHERS):
        X[0][:, 1] = np.nan
        assert_close(run(session, X)["prediction"], model.predict(X), TOLERANCE[dtype], 30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_codes_get_their_vectors_and_unseen_ones_none(dtype):
    def coded(X, n_codes):
        return [np.column_stack([x[:, 0], np.floor(np.abs(x[:, 1]) * 10) % n_codes * 1.5 - 3]) for x in X]

    model = RNNRegressor(**TINY, categorical_features=[1], dtype=dtype).fit(coded(TRAINING, 4), targets(TRAINING))
    session = open_session(to_onnx(model))
    for X in (coded(others, 7) for others in OTHERS):
        X[0][0, 1] = np.nan
        assert_close(run(session, X)["prediction"], model.predict(X), TOLERANCE[dtype], 30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"segment_size": 2, "pooling": "mean"}, {"anchor": 0}])
def test_a_regression_beside_the_net_is_exported(options, dtype):
    def mixed(X):
        return [np.column_stack([x, np.floor(np.abs(x[:, :1]) * 10) % 3]) for x in with_gaps(X)]

    options = {**TINY, **options, "early_stopping": True, "validation_fraction": 0.5, "dtype": dtype}
    model = RNNRegressor(**options, categorical_features=[2]).fit(mixed(TRAINING), targets(TRAINING))
    assert model.net_share_[0] < 1
    session = open_session(to_onnx(model))
    for X in map(mixed, OTHERS):
        X[0][-1, 0] = 1e6
        outputs = [run(session, X, padding)["prediction"] for padding in (np.nan, -3.0)]
        assert_close(outputs[0], model.predict(X), TOLERANCE[dtype], max(30, np.abs(model.predict(X)).max()))
        np.testing.assert_array_equal(*outputs)


def test_a_category_that_was_empty_in_training_says_nothing():
    def empty(X):
        return [np.column_stack([x[:, 0], np.full(len(x), np.nan)]) for x in X]

    model = RNNRegressor(**TINY, categorical_features=[1]).fit(empty(TRAINING), targets(TRAINING))
    session = open_session(to_onnx(model))
    for X in map(empty, OTHERS):
        X[0][0, 1] = 3.0
        assert_close(run(session, X)["prediction"], model.predict(X), TOLERANCE["float32"], 30)


@pytest.mark.parametrize("options", [{}, {"pooling": "max"}, {"anchor": 1}, {"loss": "quantile", "anchor": 0}])
def test_several_targets_have_a_column_each(options):
    y = np.column_stack([targets(TRAINING), 1e4 * targets(TRAINING)[::-1]])
    model = RNNRegressor(**TINY, **options).fit(TRAINING, y)
    session = open_session(to_onnx(model))
    for X in OTHERS:
        outputs = run(session, X)
        assert_close(outputs["prediction"] / y.std(axis=0), model.predict(X) / y.std(axis=0))
        if model.loss == "quantile":
            scale = y.std(axis=0)[:, None]
            assert_close(outputs["quantiles"] / scale, model.predict_quantiles(X) / scale)


def test_quantiles_and_the_median_are_two_outputs():
    check_regressor(RNNRegressor(**TINY, loss="quantile", quantiles=(0.05, 0.3, 0.5, 0.9)))


def test_rates_are_rates():
    check_regressor(RNNRegressor(**TINY, loss="poisson"), np.random.default_rng(0).poisson(5, 40).astype(float))


@pytest.mark.parametrize("anchor", [None, 0])
@pytest.mark.parametrize("n_targets", [None, 1, 2])
def test_a_target_a_step_has_nan_behind_the_end(n_targets, anchor):
    def y_of(X):
        return [x[:, 0].cumsum() if n_targets is None else np.repeat(x[:, :1].cumsum(0), n_targets, 1) for x in X]

    model = RNNRegressor(**TINY, per_step=True, anchor=anchor).fit(with_gaps(TRAINING), y_of(TRAINING))
    session = open_session(to_onnx(model))
    for X in map(with_gaps, OTHERS):
        prediction = run(session, X)["prediction"]
        for given, expected in zip(prediction, model.predict(X), strict=True):
            assert_close(given[: len(expected)], expected)
            assert np.isnan(given[len(expected) :]).all()


@pytest.mark.parametrize(
    ("classes", "type_name"),
    [
        (["left", "right", "up"], "tensor(string)"),
        ([3, 5, 900], "tensor(int64)"),
        ([False, True], "tensor(bool)"),
        ([1.0, 4.0], "tensor(double)"),
    ],
)
def test_labels_are_of_the_kind_of_the_classes(classes, type_name):
    y = np.array(classes)[np.arange(40) % len(classes)]
    model = RNNClassifier(**TINY, bidirectional=True).fit(TRAINING, y)
    exported = to_onnx(model)
    session = open_session(exported)
    for X in OTHERS:
        outputs = run(session, X)
        assert outputs["label"].tolist() == model.predict(X).tolist()
        assert_close(outputs["probabilities"], model.predict_proba(X))
    assert session.get_outputs()[0].type == type_name
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == classes


def test_several_labels_a_sample_are_a_row_of_zeros_and_ones():
    y = (np.random.default_rng(0).random((40, 3)) < 0.5).astype(int)
    model = RNNClassifier(**TINY).fit(TRAINING, y)
    session = open_session(to_onnx(model))
    for X in OTHERS:
        outputs = run(session, X)
        np.testing.assert_array_equal(outputs["label"], model.predict(X))
        assert_close(outputs["probabilities"], model.predict_proba(X))


def test_a_label_a_step_is_exported():
    y = [np.where(x[:, 0] > 0, "up", "down") for x in TRAINING]
    model = RNNClassifier(**TINY, per_step=True).fit(TRAINING, y)
    session = open_session(to_onnx(model))
    for X in OTHERS:
        outputs = run(session, X)
        labels, probabilities = model.predict(X), model.predict_proba(X)
        for i, x in enumerate(X):
            assert outputs["label"][i, : len(x)].tolist() == labels[i].tolist()
            assert_close(outputs["probabilities"][i, : len(x)], probabilities[i])
            assert np.isnan(outputs["probabilities"][i, len(x) :]).all()


# Forecasts ------------------------------------------------------------------------------------------------------------

HORIZON = 5


def panel(groups, seed):
    """Hourly series of unequal length, with a known, a past, a static column, two of them categories."""
    rng = np.random.default_rng(seed)
    parts = []
    for group, n_rows in groups.items():
        times = pd.date_range("2024-01-01 07:00", periods=n_rows, freq="h")
        part = pd.DataFrame({"shop": group, "time": times, "promotion": rng.integers(0, 2, n_rows).astype(float)})
        part["weather"] = rng.choice(["rain", "snow", "sun"] if seed else ["rain", "sun"], n_rows)
        part["visitors"] = 100 + rng.normal(size=n_rows).cumsum()
        part["load"] = 10 + rng.normal(size=n_rows).cumsum()
        part["size"] = rng.normal()
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


PANEL = panel({"a": 60, "b": 50}, seed=0)
NEW = panel({"c": 30, "d": 12 + HORIZON, "e": 7 + HORIZON, "f": 1 + HORIZON}, seed=1)
ROLES = {"time": "time", "group": "shop"}
COVARIATES = {"known": "promotion", "static": "size", "calendar": ["hour", "dayofweek"]}


def columns_of(table, channels, categories):
    """The columns of a model by their names in its metadata, as one who only has the file would make them."""
    hour, dayofweek = table["time"].dt.hour, table["time"].dt.day_of_week
    calendar = {
        f"{name}(2 * pi * {what} / {cycle})": wave(2 * np.pi * count / cycle)
        for what, count, cycle in (("hour", hour, 24), ("dayofweek", dayofweek, 7))
        for name, wave in (("sin", np.sin), ("cos", np.cos))
    }
    codes = {
        name: table[name].map(lambda value, values=values: values.index(value) if value in values else -1)
        for name, values in categories.items()
    }
    return np.column_stack([codes.get(name, calendar.get(name, table.get(name))) for name in channels])


pytestmark = pytest.mark.filterwarnings("ignore:. of 4 series have fewer rows to forecast from")  # as those of NEW have


def check_forecaster(model, table=PANEL, new=NEW, reach=1.0):
    """Forecast the last rows of new groups from the table, and from windows cut by hand.

    `reach` is how many deviations the net's inputs may be large.
    """
    model.fit(table)
    exported = to_onnx(model)
    session = open_session(exported)
    about = {
        name: value if name == "estimator" else json.loads(value)
        for name, value in session.get_modelmeta().custom_metadata_map.items()
    }
    history, coming, windows, known = [], [], [], []
    for _, rows in new.groupby("shop"):
        history.append(rows[:-HORIZON])
        coming.append(rows[-HORIZON:])
        columns = columns_of(rows, about["channels"], about.get("categories", {}))
        windows.append(columns[:-HORIZON][-about["n_steps"] :].astype(float))
        known.append(columns_of(rows[-HORIZON:], about.get("known", []), {}) if "known" in about else None)
    future = pd.concat(coming)[["time", "shop", "promotion"]] if model.known else None
    expected = model.predict(pd.concat(history), future)
    inputs = {"known": np.stack(known).astype(model.dtype)} if "known" in about else {}
    outputs = run(session, windows, padding=1e3, **inputs)
    for i, target in enumerate(about["targets"]):
        spread, tolerance = reach * table[target].std(), TOLERANCE[model.dtype]
        shape = (len(windows), HORIZON)
        assert_close(outputs["forecast"][:, :, i], expected[target].to_numpy().reshape(shape), tolerance, spread)
        for j, level in enumerate(about.get("quantiles", [])):
            given = expected[f"{target}_q{level:g}"].to_numpy().reshape(shape)
            assert_close(outputs["quantiles"][:, :, i, j], given, tolerance, spread)
    return outputs


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("normalize", ["scaled", "last", "standard", None])
def test_forecasts_are_those_of_predict(normalize, shared):
    options = {"normalize": normalize, "shared": shared, "n_steps": 12, "segment_size": 4}
    check_forecaster(RNNForecaster(["load", "visitors"], HORIZON, **ROLES, **COVARIATES, **TINY, **options))


@pytest.mark.parametrize(("n_layers", "dtype"), [(2, "float32"), (1, "float64")])
@pytest.mark.parametrize("cell", CELLS)
def test_forecasts_of_every_cell_are_those_of_predict(cell, n_layers, dtype):
    options = {"cell": cell, "n_layers": n_layers, "dtype": dtype, "n_steps": 10, "segment_size": 3}
    check_forecaster(RNNForecaster(["load", "visitors"], HORIZON, **ROLES, **TINY, **options, known="promotion"))


@pytest.mark.parametrize("segment_size", [1, 8])
def test_segments_shorter_and_longer_than_the_horizon_are_decoded(segment_size):
    check_forecaster(RNNForecaster("load", HORIZON, **ROLES, **TINY, n_steps=16, segment_size=segment_size))


@pytest.mark.parametrize("options", [{}, {"conformal": True}, {"conformal": True, "shared": False}])
def test_quantiles_of_forecasts_are_those_asked_for(options):
    model = RNNForecaster(["load", "visitors"], HORIZON, **ROLES, **TINY, **options, quantiles=(0.9, 0.1, 0.25))
    outputs = check_forecaster(model.set_params(n_steps=12, segment_size=4))
    assert outputs["quantiles"].shape == (4, HORIZON, 2, 3)
    assert model.conformal == (not model.net_.module_.factors.isnan().all())


@pytest.mark.parametrize("options", [{}, {"shared": False}, {"quantiles": (0.1, 0.8)}])
def test_blended_forecasts_are_those_of_predict(options):
    model = RNNForecaster(["load", "visitors"], HORIZON, **ROLES, **TINY, **options, n_steps=12, segment_size=2)
    check_forecaster(model.set_params(early_stopping=True, validation_fraction=0.4))
    assert model.net_share_.min() < 1


@pytest.mark.parametrize("shared", [True, False])
def test_what_a_leading_covariate_tells_is_in_the_file(shared):
    table, new = PANEL.copy(), NEW.copy()
    for rows in (table, new):  # visitors come four hours before the load
        rows["load"] = rows["visitors"].groupby(rows["shop"]).shift(4, fill_value=100.0)
        rows["twice"] = 2 * rows["load"]
        rows.loc[rows.index[::9], "visitors"] = np.nan
    options = {"n_steps": 12, "segment_size": 6, "normalize": "last", "shared": shared}
    model = RNNForecaster(["load", "twice"], HORIZON, **ROLES, **TINY, **options)
    check_forecaster(model, table, new)
    assert model.net_.module_.config["reads_changes"]


@pytest.mark.filterwarnings("ignore:1 of 4 series have no value of load")  # NaN in both
@pytest.mark.parametrize("normalize", ["scaled", "last", "standard", None])
def test_missing_values_of_a_window_are_left_out(normalize):
    table, new = PANEL.copy(), NEW.copy()
    for rows in (table, new):
        gaps = np.random.default_rng(0).random(len(rows)) < 0.4
        rows.loc[gaps, "load"] = np.nan
        rows.loc[~gaps, "visitors"] = np.nan
    options = {"normalize": normalize, "n_steps": 12, "segment_size": 4}
    check_forecaster(RNNForecaster("load", HORIZON, **ROLES, **TINY, **options), table, new)


# Pipelines ------------------------------------------------------------------------------------------------------------


def series(n_rows=80, seed=0):
    rng = np.random.default_rng(seed)
    load = 1e5 + 300 * np.sin(np.arange(n_rows) / 4) + 30 * rng.normal(size=n_rows)
    return pd.DataFrame({"load": load, "heat": 1e-3 * rng.normal(size=n_rows)})


def windows_of(table, n_steps):
    values = np.asarray(table, dtype=float)
    return [values[max(i + 1 - n_steps, 0) : i + 1] for i in range(len(values))]


@pytest.mark.parametrize(
    "scalers",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MinMaxScaler((-1, 3))],
        [MinMaxScaler(clip=True)],
        [MaxAbsScaler()],
        [RobustScaler()],
        [RobustScaler(with_centering=False, quantile_range=(10, 90))],
        [RobustScaler(with_scaling=False), "passthrough", MinMaxScaler()],
        [make_pipeline(MaxAbsScaler(), StandardScaler())],
        ["passthrough"],
    ],
    ids=str,
)
def test_scaling_before_the_windows_is_inside(scalers):
    train, new = series(), series(30, seed=1)
    new.iloc[3, 0], new.iloc[5, 1], new.iloc[6] = 2e5, np.nan, -1e5
    train.iloc[4, 1] = np.nan
    y = train["load"].shift(-1, fill_value=1e5)
    model = make_pipeline(*scalers, SlidingWindow(n_steps=6, context="never"), "passthrough", RNNRegressor(**TINY))
    model.fit(train, y)
    session = open_session(to_onnx(model))
    assert_close(run(session, windows_of(new, 6))["prediction"], model.predict(new), spread=y.std())
    assert json.loads(session.get_modelmeta().custom_metadata_map["channels"]) == ["load", "heat"]


def test_columns_that_are_no_channels_are_left_out_of_the_scaling():
    train, new = series(), series(30, seed=1)
    for table in (train, new):
        table.insert(1, "group", np.repeat([0.0, 1.0], len(table) // 2))
    scaler = StandardScaler().set_output(transform="pandas")
    model = make_pipeline(scaler, SlidingWindow(n_steps=6, group="group", context="never"), RNNRegressor(**TINY))
    model.fit(train, train["load"])
    session = open_session(to_onnx(model))
    assert json.loads(session.get_modelmeta().custom_metadata_map["channels"]) == ["load", "heat"]
    X = [window for _, part in new.groupby("group") for window in windows_of(part[["load", "heat"]], 6)]
    assert_close(run(session, X)["prediction"], model.predict(new), spread=train["load"].std())


def test_scalers_of_a_table_whose_rows_are_sequences_scale_step_by_step():
    rng = np.random.default_rng(0)
    table = np.arange(6) * 100 + rng.normal(size=(40, 6))
    table[:5, 4:] = np.nan
    model = make_pipeline(StandardScaler(), RNNClassifier(n_channels=2, **TINY)).fit(table, np.arange(40) % 3)
    session = open_session(to_onnx(model))
    assert session.get_inputs()[0].shape == ["batch", 3, 2]
    lengths = np.repeat([2, 3], [5, 35])
    label, probabilities = session.run(None, {"X": table.reshape(40, 3, 2), "lengths": lengths})
    assert label.tolist() == model.predict(table).tolist()
    assert_close(probabilities, model.predict_proba(table))


def test_scaling_before_a_forecaster_follows_the_columns():
    def forecaster(target):
        options = {"n_steps": 12, "segment_size": 4, "static": "size", "calendar": ["hour"]}
        return RNNForecaster(target, HORIZON, **options, **TINY)

    times = pd.date_range("2024-01-01", periods=60, freq="h")
    table = PANEL[:60][["visitors", "size", "load"]].set_axis(times)
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), forecaster("load")).fit(table)
    session = open_session(to_onnx(model))
    channels = json.loads(session.get_modelmeta().custom_metadata_map["channels"])
    hours = (pd.date_range("2024-01-01", periods=60 + HORIZON, freq="h").hour * 2 * np.pi / 24).to_numpy()
    window = table.assign(sin=np.sin(hours[:60]), cos=np.cos(hours[:60]))[["load", "visitors", "sin", "cos", "size"]]
    assert channels == ["load", "visitors", "sin(2 * pi * hour / 24)", "cos(2 * pi * hour / 24)", "size"]
    known = np.stack([np.sin(hours[60:]), np.cos(hours[60:])], axis=1)[None].astype(np.float32)
    given = run(session, [window.to_numpy()[-12:]], known=known)["forecast"][0, :, 0]
    assert_close(given, model.predict(table)["load"].to_numpy())


def test_texts_go_in_as_codes_of_the_tokens_in_the_metadata():
    texts = ["good food", "bad", "food was bad", "very good food indeed", "good", "bad food"] * 5
    model = make_pipeline(SequenceVectorizer(), RNNClassifier(**TINY)).fit(texts, ["+", "-", "-", "+", "+", "-"] * 5)
    session = open_session(to_onnx(model))
    new = ["bad , bad unheard food", "indeed", "good was good"]
    tokens = json.loads(session.get_modelmeta().custom_metadata_map["tokens"])
    X = [np.array([[tokens.index(w) if w in tokens else 0] for w in text.split()]) for text in new]
    outputs = run(session, X)
    assert outputs["label"].tolist() == model.predict(new).tolist()
    assert_close(outputs["probabilities"], model.predict_proba(new))


def test_categories_of_the_windows_are_listed_with_their_channel():
    table = series().assign(day=pd.Categorical(np.array(["Mon", "Tue", "Wed"])[np.arange(80) % 3]))
    model = make_pipeline(SlidingWindow(n_steps=4, context="never"), RNNRegressor(**TINY)).fit(table, table["load"])
    session = open_session(to_onnx(model))
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["categories"]) == {"day": ["Mon", "Tue", "Wed"]}
    assert json.loads(about["channels"]) == ["load", "heat", "day"]
    X = windows_of(table.assign(day=table["day"].cat.codes), 4)
    assert_close(run(session, X)["prediction"], model.predict(table), spread=table["load"].std())


def test_the_best_estimator_of_a_search_is_exported():
    table = series()
    model = make_pipeline(StandardScaler(), SlidingWindow(n_steps=6, context="never"), RNNRegressor(**TINY))
    grid = {"rnnregressor__cell": ["rnn", "lstm"]}
    search = GridSearchCV(model, grid, cv=WindowSplit(2, n_steps=6)).fit(table, table["load"])
    given = run(open_session(to_onnx(search)), windows_of(table, 6))["prediction"]
    assert_close(given, search.predict(table), spread=table["load"].std())


# The file -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    return RNNRegressor(**TINY).fit(TRAINING, targets(TRAINING))


def test_the_file_holds_the_model_that_is_returned(fitted, tmp_path):
    model = to_onnx(fitted, tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == model
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_crash_while_writing_leaves_the_old_file(fitted, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def crash(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(_files.os, "fsync", crash)
    with pytest.raises(OSError, match="disk full"):
        to_onnx(fitted, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_who_only_has_the_file_learns_what_it_is(fitted):
    model = to_onnx(fitted)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert (model.producer_name, model.producer_version) == ("sklearn_rnn", sklearn_rnn.__version__)
    assert about == {"estimator": "RNNRegressor", "n_steps": "9"}
    assert all(value.doc_string for value in [*model.graph.input, *model.graph.output])


def test_runtimes_of_the_last_years_can_read_the_file(fitted):
    model = to_onnx(fitted)
    assert (model.ir_version, {opset.domain: opset.version for opset in model.opset_import}) == (8, {"": 18})
    names = [node.name for node in model.graph.node]
    assert all(names)
    assert len(set(names)) == len(names)


# What is refused ------------------------------------------------------------------------------------------------------


def test_an_unfitted_model_is_refused():
    unfitted = RNNRegressor()
    with pytest.raises(NotFittedError, match="RNNRegressor"):
        to_onnx(unfitted)
    with pytest.raises(NotFittedError, match="RNNRegressor"):
        to_onnx(make_pipeline(StandardScaler(), SlidingWindow(), unfitted))
    with pytest.raises(NotFittedError, match="GridSearchCV"):
        to_onnx(GridSearchCV(unfitted, {"cell": ["rnn"]}))


def test_a_search_without_a_best_estimator_is_refused(fitted):
    search = GridSearchCV(fitted, {"cell": ["rnn"]}, cv=2, refit=False).fit(np.zeros((20, 3)), np.arange(20.0))
    with pytest.raises(ValueError, match="refit=False"):
        to_onnx(search)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Ridge(), "is, or ends in, a Ridge, but must be a fitted RNNRegressor"),
        (RNNRegressor, "the class RNNRegressor"),
        (make_pipeline(StandardScaler(), Ridge()), "a Ridge"),
        (TransformedTargetRegressor(RNNRegressor()), "Export its regressor_"),
        (Pipeline([("nothing", "passthrough")]), "a Pipeline, but"),
        ("model", "a str"),
    ],
)
def test_another_type_is_refused(model, message):
    with pytest.raises(TypeError, match=message):
        to_onnx(model)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [PCA(n_components=1), SlidingWindow(n_steps=3)],
            "Step 'pca' of the Pipeline, a PCA, cannot .* StandardScaler",
        ),
        (
            [SlidingWindow(n_steps=3, flatten=True)],
            "'slidingwindow' of the Pipeline, a SlidingWindow with flatten=True",
        ),
    ],
)
def test_a_step_that_cannot_be_exported_is_named(steps, message):
    model = make_pipeline(*steps, RNNRegressor(**TINY)).fit(series()[["load", "heat"]], np.arange(80.0))
    with pytest.raises(ValueError, match=message):
        to_onnx(model)


def test_a_scaler_behind_lags_is_refused_with_its_place():
    model = make_pipeline(SlidingWindow(n_steps=3), RNNRegressor(**TINY)).fit(series(), np.arange(80.0))
    model.steps.insert(1, ("late", StandardScaler().fit([[0.0]])))
    with pytest.raises(ValueError, match="'late' of the Pipeline, a StandardScaler behind the windows, cannot"):
        to_onnx(model)


def test_an_unsuitable_path_is_refused_before_any_work(tmp_path):
    for path, error in [
        (3, TypeError),
        (tmp_path / "none" / "a.onnx", FileNotFoundError),
        (tmp_path, IsADirectoryError),
    ]:
        with pytest.raises(error, match="path is"):
            to_onnx(RNNRegressor(), path)


def test_without_onnx_the_extra_is_named(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match="pip install onnx"):
        to_onnx(fitted)


@pytest.mark.parametrize("normalize", ["last", None])  # a window of 12 is at most sqrt(12) of its own deviations wide
def test_a_forecaster_reaches_as_far_with_outliers_as_predict_does(normalize):
    new = NEW.copy()
    new.loc[new.groupby("shop").cumcount() == 5, "load"] = 1e4
    model = RNNForecaster("load", HORIZON, **ROLES, **TINY, normalize=normalize, n_steps=12)
    check_forecaster(model, new=new, reach=FARTHEST)


@pytest.mark.parametrize("unit", ["us", "ns"])  # which are datetimes and integers in a list
def test_classes_that_onnx_lacks_are_refused(unit):
    X, y = np.random.default_rng(0).normal(size=(20, 4, 1)), pd.date_range("2024", periods=2, unit=unit).repeat(10)
    with pytest.raises(TypeError, match="classes are of type datetime64, but ONNX has numbers and texts"):
        sklearn_rnn.to_onnx(sklearn_rnn.RNNClassifier(**TINY).fit(X, y.to_numpy()))
