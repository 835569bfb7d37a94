"""The estimators on the data that people bring: few samples, forms of lists, padding, weights, levels."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, RNNRegressor, Sequences, SlidingWindow, _statistics

TINY = {"hidden_size": 8, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu"}


def test_an_anchor_at_every_step_is_near_the_level_of_the_data():
    walks = 1_000 + np.random.default_rng(0).normal(size=(80, 21)).cumsum(axis=1)
    X, y = walks[:, :-1, None], walks[:, 1:]
    model = RNNRegressor(per_step=True, anchor=0, hidden_size=8, max_epochs=3, random_state=0).fit(X[:60], y[:60])
    persistence = np.sqrt(np.mean((X[60:, :, 0] - y[60:]) ** 2))
    assert np.sqrt(np.mean((model.predict(X[60:]) - y[60:]) ** 2)) < 1.1 * persistence
    mean_change = (y[:60] - X[:60, :, 0]).mean()
    assert float(model.net_.module_.output_mean) == pytest.approx(mean_change, rel=1e-4)


# The first has no value to start from; those of the others are elsewhere missing at first, between, and at last.
GAPS = [(0, slice(None)), (1, slice(0, 3)), (2, slice(4, 6)), (3, slice(-2, None))]


def walks_with_gaps(n_walks=40):
    """Two channels, walks near 1,000 and noise without gaps, and their change of the next step."""
    rng = np.random.default_rng(0)
    walks = 1_000 + rng.normal(size=(n_walks, 11)).cumsum(axis=1)
    X = np.stack([walks[:, :-1], rng.normal(size=(n_walks, 10))], axis=2)
    for sample, steps in GAPS:
        X[sample, steps, 0] = np.nan
    return X, walks[:, 1:]


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_samples_without_an_anchor_take_no_part_in_training(loss):
    X, y = walks_with_gaps()
    weights = np.linspace(1, 2, 40)
    model = RNNRegressor(anchor=0, loss=loss, **TINY)
    all_samples, others = clone(model).fit(X, y[:, -1], weights), clone(model).fit(X[1:], y[1:, -1], weights[1:])
    np.testing.assert_array_equal(all_samples.predict(X), others.predict(X))
    assert float(all_samples.net_.module_.output_scale) < 5
    start = np.nanmean(X[1:, :, 0])
    assert np.abs(all_samples.predict(X[:1]) - start).max() < 10  # it changes from the mean of the channel


@pytest.mark.parametrize("as_form", [np.asarray, list], ids=["dense", "list"])
def test_steps_before_the_first_anchor_take_no_part_in_training(as_form):
    X, y = walks_with_gaps()
    elsewhere = y.copy()
    elsewhere[0], elsewhere[1, :3] = -9_999, 9_999
    model = RNNRegressor(anchor=0, per_step=True, **TINY)
    fits = [clone(model).fit(as_form(X), as_form(targets)) for targets in (y, elsewhere)]
    predicted, same = (np.stack(fit.predict(as_form(X))) for fit in fits)
    np.testing.assert_array_equal(predicted, same)
    filled = pd.DataFrame(X[2, :, 0]).ffill()[0].to_numpy()
    assert np.abs(predicted[2] - filled).max() < 5
    assert float(fits[0].net_.module_.output_scale) < 3


def test_steps_that_samples_share_have_an_anchor_in_some():
    rows = np.random.default_rng(0).normal(size=(60, 1)).cumsum(axis=0)
    rows[::4] = np.nan
    starts, lengths = np.arange(50), 3 + np.arange(50) % 4
    own = [np.arange(start, start + length, dtype=float) for start, length in zip(starts, lengths, strict=True)]
    shared_targets = Sequences(np.arange(60.0), starts, lengths)
    model = RNNRegressor(anchor=0, per_step=True, **TINY)
    X = Sequences(rows, starts, lengths)
    shared, apart = (clone(model).fit(X, targets) for targets in (shared_targets, own))
    assert np.isfinite(shared.history_["train_loss"]).all()
    np.testing.assert_array_equal(np.concatenate(list(shared.predict(X)))[:, 0], np.concatenate(apart.predict(X)))


@pytest.mark.parametrize("per_step", [False, True])
def test_an_anchor_that_no_sample_has_is_refused(per_step):
    X, y = walks_with_gaps()
    y, missing = y if per_step else y[:, -1], X.copy()
    missing[:, :, 0] = np.nan
    model = RNNRegressor(anchor=0, per_step=per_step, **TINY)
    with pytest.raises(
        ValueError, match="anchor is 0, but that channel is missing in all samples of X. Pass some that"
    ):
        model.fit(missing, y)
    with pytest.raises(ValueError, match="anchor is 0, but that channel is missing in all samples of X_val"):
        model.fit(X, y, X_val=missing, y_val=y)
    model.fit(X, y, X_val=X, y_val=y)
    with pytest.raises(ValueError, match="missing in all samples of X"):
        model.partial_fit(missing, y)


def test_few_samples_are_not_learned_by_heart():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(250, 12)), rng.normal(size=250)  # nothing to learn
    model = RNNRegressor(random_state=0, device="cpu", hidden_size=16).fit(X[:200], y[:200])
    assert model.n_iter_ == model.best_epoch_ == len(model.history_) <= 30
    assert "valid_loss" not in model.history_
    assert np.sqrt(np.mean((model.predict(X[200:]) - y[200:]) ** 2)) < 1.1 * y[200:].std()


def henon_windows():
    """Three values of a chaotic series without noise, and the next."""
    values = np.full(203, 0.1)
    for i in range(2, 203):
        values[i] = 1 - 1.4 * values[i - 1] ** 2 + 0.3 * values[i - 2]
    windows = np.lib.stride_tricks.sliding_window_view(values, 4)
    return windows[:, :-1], windows[:, -1]


def test_few_samples_without_noise_are_learned_as_long_as_they_teach():
    X, y = henon_windows()
    model = RNNRegressor(random_state=0, device="cpu", hidden_size=16).fit(X[:150], y[:150])
    assert model.n_iter_ > 60
    assert model.score(X[150:], y[150:]) > 0.99
    assert model.set_params(warm_start=True).fit(X[:150], y[:150]).n_iter_ == len(model.history_) == model.best_epoch_
    assert len(model.history_) - 30 in range(61, 201)  # 30 more, for now all samples are known


def test_parts_that_tell_the_epochs_are_in_order_or_at_random():
    t = np.linspace(-1, 1, 120)
    X = np.repeat(t[:, None], 3, axis=1)
    y = np.cos(9 * t)  # a third says nothing of the others
    epochs = {}
    for split in ("tail", "random"):
        model = RNNRegressor(random_state=0, device="cpu", hidden_size=16, validation_split=split).fit(X, y)
        epochs[split] = model.n_iter_
    assert 2 * epochs["tail"] < epochs["random"]


@pytest.mark.parametrize("how", ["max_epochs", "X_val", "early_stopping", "1000 samples", "classes"])
def test_epochs_are_not_cross_validated_where_something_else_says_them(how, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("sklearn_rnn._estimator.cross_validated_epochs", fail)
    X = np.random.default_rng(0).normal(size=(1_000 if how == "1000 samples" else 40, 3))
    y, options, validation = X[:, -1], {}, {}
    if how == "max_epochs":
        options = {"max_epochs": 2}
    elif how == "X_val":
        validation = {"X_val": X, "y_val": y}
    elif how == "early_stopping":
        options = {"early_stopping": True}
    estimator = RNNClassifier if how == "classes" else RNNRegressor
    model = estimator(hidden_size=2, random_state=0, device="cpu", n_iter_no_change=1, **options)
    model.fit(X, y > 0 if how == "classes" else y, **validation)
    for estimator, options, y in (  # else they are
        (RNNRegressor, {}, X[:, -1]),
        (RNNRegressor, {"per_step": True}, X),
        (RNNClassifier, {"per_step": True}, X > 0),
    ):
        with pytest.raises(AssertionError):
            estimator(hidden_size=2, device="cpu", **options).fit(X[:40], y[:40])


@pytest.mark.parametrize("kind", ["nested lists", "tensors", "Series"])
def test_lists_of_one_length_are_sequences_as_those_of_several_are(kind):
    X = np.random.default_rng(0).normal(size=(20, 5, 2))
    forms = {"nested lists": X.tolist(), "tensors": [torch.tensor(x) for x in X], "Series": pd.Series(list(X))}
    expected, given = (RNNRegressor(**TINY).fit(data, X[:, -1, 0]) for data in (X, forms[kind]))
    np.testing.assert_array_equal(given.predict(forms[kind]), expected.predict(X))


def test_scores_take_the_tensors_that_fit_takes():
    X = np.random.default_rng(0).normal(size=(40, 5))
    for model, y in ((RNNRegressor(**TINY), X[:, 0]), (RNNClassifier(**TINY), (X[:, 0] > 0).astype(float))):
        targets = torch.tensor(y, requires_grad=True)
        assert model.fit(X, targets).score(X, targets) == model.score(X, y)


def test_sequences_of_numbers_are_predicted_as_a_table_as_well():
    """As nested lists are; after a table of one column, wider ones are refused as ever."""
    X = np.random.default_rng(0).normal(size=(40, 6, 1))
    model = RNNRegressor(**TINY).fit(X, X[:, -1, 0])
    np.testing.assert_array_equal(model.predict(X[:, :, 0]), model.predict(X))
    with pytest.raises(ValueError, match="X has 6 features, but RNNRegressor is expecting 1"):
        RNNRegressor(**TINY).fit(X[:, 0], X[:, 0, 0]).predict(X[:, :, 0])


def test_a_list_of_arrow_tables_is_one_of_data_frames():
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    X = np.random.default_rng(0).normal(size=(40, 6, 2))
    frames = [pd.DataFrame(x, columns=["a", "b"]) for x in X]
    model = RNNRegressor(**TINY).fit([arrow.table(frame) for frame in frames], X[:, -1, 0])
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(model.predict(frames), model.predict(X))


def test_a_batch_of_one_length_is_read_as_one_of_several():
    model = RNNRegressor(**TINY).fit([[1.0, 2, 3], [4.0, 5]] * 10, [1, 2] * 10)
    together = model.predict([[1.0, 2, 3], [4.0, 5]])
    np.testing.assert_array_equal(model.predict([[1.0, 2, 3]]), together[:1])
    np.testing.assert_array_equal(model.predict([[4.0, 5], [4.0, 5]]), together[[1, 1]])


def test_targets_at_each_step_come_back_where_they_stood():
    y = np.full((20, 10), np.nan)
    for row, length in zip(y, [8, 3, 5, 8] * 5, strict=True):
        first = (10 - length) // 2
        row[first : first + length] = np.sin(np.arange(length))
    model = RNNRegressor(per_step=True, **TINY).fit(y[:, :, None], y)
    predicted = model.predict(y[:, :, None])
    np.testing.assert_array_equal(np.isnan(predicted), np.isnan(y))
    np.testing.assert_array_equal(model.predict(y[1:2, :, None]), predicted[1:2])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"hidden_size": 16}, "hidden_size is 16 and was 4"),
        ({"cell": "rnn"}, "cell is 'rnn' and was 'gru'"),
        ({"pooling": "max"}, "pooling is 'max'"),
        ({"anchor": 0}, "anchor is 0 and was None"),
        ({"loss": "huber"}, "loss is 'huber'"),
        ({"loss": "quantile"}, "loss is 'quantile'"),
        ({"embedding_size": 2}, "embedding_size is 2 and was 'auto'"),
        ({"categorical_features": [1]}, "categorical_features is .1. and was 'from_dtype'"),
    ],
    ids=str,
)
def test_a_warm_start_goes_on_with_the_same_net(change, name):
    X = np.random.default_rng(0).normal(size=(40, 6))
    model = RNNRegressor(**{**TINY, "hidden_size": 4}, warm_start=True).fit(X, X[:, -1])
    before = model.predict(X)
    with pytest.raises(ValueError, match=f"goes on with the net of the last fit, but {name}"):
        model.set_params(**change).fit(X, X[:, -1])
    model.set_params(**RNNRegressor(**{**TINY, "hidden_size": 4}).get_params())
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    "change", [{"class_weight": "balanced"}, {"label_smoothing": 0.2}, {"input_noise": 0.5}], ids=str
)
def test_a_classifier_goes_on_with_the_same_loss(change):
    X = np.random.default_rng(0).normal(size=(40, 6))
    model = RNNClassifier(**TINY).partial_fit(X, X[:, -1] > 0)
    with pytest.raises(ValueError, match=f"goes on with .* but {next(iter(change))} is .* and was (None|'auto')"):
        model.set_params(**change).partial_fit(X, X[:, -1] > 0)


def test_parameters_as_arrays_are_as_those_that_were_lists():
    X = np.random.default_rng(0).integers(0, 3, size=(40, 6, 2)).astype(float)
    model = RNNRegressor(**TINY, categorical_features=[True, False], warm_start=True).fit(X, X[:, -1, 1])
    model.set_params(categorical_features=np.array([True, False])).fit(X, X[:, -1, 1])
    with pytest.raises(ValueError, match="categorical_features is .*True,  True.* and was .*True, False"):
        model.set_params(categorical_features=np.array([True, True])).fit(X, X[:, -1, 1])


def test_how_a_net_computes_can_change_while_training_goes_on():
    X = np.random.default_rng(0).normal(size=(40, 6))
    model = RNNRegressor(**TINY, warm_start=True).fit(X, X[:, -1])
    before = model.predict(X)
    module = model.set_params(dropout=0.5, fused=False, learning_rate=1e-30).fit(X, X[:, -1]).net_.module_
    assert module.dropout.p == 0.5
    assert not module.recurrent.fused
    np.testing.assert_allclose(model.predict(X), before, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", torch.optim.Adagrad], ids=str)
def test_another_optimizer_begins_without_the_moments_of_the_last(optimizer):
    X = np.random.default_rng(0).normal(size=(40, 6))
    model = RNNRegressor(**TINY, warm_start=True).fit(X, X[:, -1])
    without = pickle.loads(pickle.dumps(model))  # a pickle has no optimizer
    expected = without.set_params(optimizer=optimizer).fit(X, X[:, -1]).predict(X)
    np.testing.assert_array_equal(model.set_params(optimizer=optimizer).fit(X, X[:, -1]).predict(X), expected)


@pytest.mark.parametrize("options", [{}, {"loss": "huber"}, {"anchor": 0}, {"per_step": True}], ids=str)
def test_a_first_batch_of_one_target_does_not_fix_its_scale(options):
    X = np.random.default_rng(0).normal(size=(320, 6, 1)).astype(np.float32).astype(np.float64)
    by_step = options.get("per_step", False)
    y = 30 * X[:, :, 0] + 100 if by_step else 30 * X[:, -1, 0] + 100
    alike = np.full_like(y[:32], 7.0) + (X[:32, -1, 0] if "anchor" in options else 0)
    model = RNNRegressor(**{**TINY, "hidden_size": 16, "learning_rate": 0.01}, **options).partial_fit(X[:32], alike)
    np.testing.assert_allclose(model.predict(X[:32]), alike, rtol=1e-4)
    for _ in range(15):
        for start in range(0, len(X), 32):
            model.partial_fit(X[start : start + 32], y[start : start + 32])
    assert model.score(X, y) > 0.9


def test_samples_can_come_one_by_one():
    X = np.random.default_rng(0).normal(size=(600, 3))
    y = 2 * X[:, -1] + X[:, 0] + 5
    model = RNNRegressor(**TINY)
    for i in range(500):
        model.partial_fit(X[i : i + 1], y[i : i + 1])
    assert model.score(X[500:], y[500:]) > 0.5  # with the scale of a single sample it learns nothing


def test_validation_data_of_other_channels_or_rows_are_refused():
    rng = np.random.default_rng(0)
    frames = [pd.DataFrame(rng.normal(size=(6, 2)), columns=["a", "b"]) for _ in range(20)]
    with pytest.raises(ValueError, match="X_val has the channels b, a, but X has a, b"):
        RNNRegressor(**TINY).fit(frames, np.arange(20), X_val=[f[["b", "a"]] for f in frames[:5]], y_val=np.arange(5))
    rows = rng.normal(size=(60, 1))
    windows = SlidingWindow(6).fit_transform(rows)
    with pytest.raises(ValueError, match="X_val is a table, but X is Sequences"):
        RNNRegressor(**TINY).fit(windows, rows[:, 0], X_val=rows[:20], y_val=rows[:20, 0])


def test_a_column_of_targets_keeps_the_scale_it_has():
    X = np.random.default_rng(0).normal(size=(80, 6))
    first, second = X[:40, -2:].copy(), 5 * X[40:, -2:]
    first[:, 1] = 3.0
    model = RNNRegressor(**TINY).partial_fit(X[:40], first).partial_fit(X[40:], second)
    mean, scale = model.net_.module_.output_mean, model.net_.module_.output_scale
    np.testing.assert_allclose(mean, [first[:, 0].mean(), second[:, 1].mean()], rtol=1e-6)
    np.testing.assert_allclose(scale, [first[:, 0].std(), second[:, 1].std()], rtol=1e-6)


def test_steps_are_predicted_as_they_were_fitted():
    X = np.random.default_rng(0).normal(size=(40, 6))
    model = RNNClassifier(**TINY).fit(X, X[:, -1] > 0)
    expected, score = model.predict_proba(X), model.score(X, X[:, -1] > 0)
    np.testing.assert_array_equal(model.set_params(per_step=True).predict_proba(X), expected)
    assert model.score(X, X[:, -1] > 0) == score


def test_a_sparse_matrix_of_labels_is_one_of_labels():
    X = np.random.default_rng(0).normal(size=(40, 6))
    labels = (X[:, :3] > 0).astype(int)
    expected = RNNClassifier(**TINY).fit(X, labels)
    model = RNNClassifier(**TINY).fit(X, scipy.sparse.csr_matrix(labels))
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.score(X, scipy.sparse.csr_matrix(labels)) == expected.score(X, labels)


def test_rows_of_no_sequence_do_not_matter():
    values = np.random.default_rng(0).normal(size=(40, 2))
    sequences = Sequences(values, np.arange(0, 40, 4), np.full(10, 4))
    y = np.arange(8.0)
    expected = RNNRegressor(**TINY, categorical_features=[]).fit(sequences[:8], y).predict(sequences[:8])
    values[35] = np.inf, 2e7
    beside = Sequences(values, sequences.starts, sequences.lengths)[:8]
    np.testing.assert_array_equal(RNNRegressor(**TINY).fit(beside, y).predict(beside), expected)
    codes = Sequences(np.where(values > 1e6, 2e7, values.round()), sequences.starts, sequences.lengths)[:8]
    RNNRegressor(**TINY, categorical_features=[1]).fit(codes, y)


def test_a_validation_table_is_read_as_the_training_table_is():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 4)), columns=list("abcd"))
    y = X["d"].to_numpy()
    model = RNNRegressor(**TINY)
    with pytest.raises(ValueError, match="X_val.*feature names should match"):
        model.fit(X, y, X_val=X[list("badc")], y_val=y)
    nullable = X.astype("Float64")
    np.testing.assert_array_equal(
        clone(model).fit(nullable, y, X_val=nullable, y_val=y).predict(X), model.fit(X, y, X_val=X, y_val=y).predict(X)
    )
    windows = make_pipeline(SlidingWindow(4), RNNRegressor(**TINY))
    with pytest.raises(ValueError, match="X_val is a table, but X is Sequences"):
        windows.fit(X, y, rnnregressor__X_val=X, rnnregressor__y_val=y)


def test_nullable_numbers_in_lists_of_tables_are_missing_where_they_are_not_there():
    rng = np.random.default_rng(0)
    plain = [pd.DataFrame({"a": rng.normal(size=4), "b": rng.integers(0, 9, 4).astype(float)}) for _ in range(20)]
    for i, table in enumerate(plain):
        table.iloc[i % 4, i % 2] = np.nan
    nullable = [table.astype({"a": "Float64", "b": "Int64"}) for table in plain]
    expected = RNNRegressor(**TINY).fit(plain, np.arange(20.0)).predict(plain)
    np.testing.assert_array_equal(RNNRegressor(**TINY).fit(nullable, np.arange(20.0)).predict(nullable), expected)
    columns = [[table["a"] for table in tables] for tables in (plain, nullable)]
    plain, nullable = (RNNRegressor(**TINY).fit(X, np.arange(20.0)).predict(X) for X in columns)
    np.testing.assert_array_equal(nullable, plain)


def test_targets_of_steps_come_as_a_nullable_table_or_a_series_of_arrays():
    rng = np.random.default_rng(0)
    X = np.where(np.arange(6) < rng.integers(3, 7, (20, 1)), rng.normal(size=(20, 6)), np.nan)
    y = np.where(np.isnan(X), np.nan, rng.normal(size=(20, 6)))
    model = RNNRegressor(**TINY, per_step=True)
    expected = clone(model).fit(X, y).predict(X)
    np.testing.assert_array_equal(clone(model).fit(X, pd.DataFrame(y).astype("Float64")).predict(X), expected)
    arrays = [row[~np.isnan(row)] for row in y]
    predicted = clone(model).fit(X, pd.Series(arrays)).predict(X)
    for given, whole in zip(predicted, expected, strict=True):
        np.testing.assert_array_equal(given, whole[~np.isnan(whole)])


@pytest.mark.parametrize("kind", [RNNRegressor, RNNClassifier])
def test_targets_stand_at_the_steps_of_their_samples(kind):
    """Differences lack the first step, targets of the next step the last: as many, but at other steps."""
    x = np.random.default_rng(0).normal(size=(40, 8))
    X, y = x[:, :, None].copy(), (x if kind is RNNRegressor else (x > 0).astype(float))
    X[:, 0] = np.nan
    shifted, beside = y.copy(), y.copy()
    shifted[:, -1], beside[:, 0] = np.nan, np.nan
    with pytest.raises(ValueError, match="Sample 0 begins at step 1 in X, but its targets at step 0 in y"):
        kind(per_step=True, **TINY).fit(X, shifted)
    model = kind(per_step=True, **TINY).fit(X, beside)
    with pytest.raises(ValueError, match="Sample 0 begins at step 1 in X"):
        model.score(X, shifted)
    at_steps = model.predict(X)[:, 1:]
    expected = r2_score(y[:, 1:].ravel(), at_steps.ravel()) if kind is RNNRegressor else (at_steps == y[:, 1:]).mean()
    assert model.score(X, beside) == pytest.approx(expected)


def test_one_target_a_step_comes_back_in_a_column_of_its_own_if_it_was_in_one():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5, 2)), rng.normal(size=(20, 5))
    flat, column = (RNNRegressor(per_step=True, **TINY).fit(X, each) for each in (y, y[:, :, None]))
    np.testing.assert_array_equal(column.predict(X), flat.predict(X)[:, :, None])
    assert column.score(X, y[:, :, None]) == flat.score(X, y)
    labels = (y > 0).astype(int)[:, :, None]
    assert RNNClassifier(per_step=True, **TINY).fit(X, labels).predict(X).shape == (20, 5)


def test_nested_lists_are_arrays_in_validation_too():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5, 2)), rng.normal(size=20)
    model, expected = (
        RNNRegressor(**TINY).fit(make(X), y, X_val=make(X[:6]), y_val=y[:6]) for make in (np.ndarray.tolist, np.array)
    )
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


@pytest.mark.parametrize("unused", [7.0, np.nan])
@pytest.mark.parametrize("overlap", [0, 4])
def test_targets_of_samples_that_are_left_out_do_not_count(unused, overlap):
    """A fold of Sequences shares its table of rows with the other folds."""
    rng = np.random.default_rng(0)
    starts, lengths = np.arange(20) * (5 - overlap) + np.arange(20) // 15 * 10, np.full(20, 5)
    values = rng.integers(0, 2, (120, 1)).astype("float32")
    values[starts[15] :] = unused
    X, y = Sequences(rng.normal(size=(120, 2)), starts, lengths), Sequences(values, starts, lengths)
    model = RNNClassifier(per_step=True, **TINY).fit(X[:15], y[:15])
    assert model.classes_.tolist() == [0, 1]
    assert model.score(X[:15], y[:15]) == model.score(X[:15], [values[start : start + 5, 0] for start in starts[:15]])
    regressor = RNNRegressor(per_step=True, **TINY).fit(X[:15], y[:15])
    expected = RNNRegressor(per_step=True, **TINY).fit(X[:15], list(y[:15]))
    np.testing.assert_array_equal(regressor.predict(X), np.array(expected.predict(X)))


def test_samples_padded_at_either_end_score_as_their_steps_do():
    X = np.random.default_rng(0).normal(size=(30, 6, 1))
    X[::2, :2], X[1::2, -2:] = np.nan, np.nan
    y = 2 * X[:, :, 0]
    model = RNNRegressor(per_step=True, **TINY).fit(X, y)
    predicted, steps = model.predict(X), ~np.isnan(y)
    assert model.score(X, y) == pytest.approx(r2_score(y[steps], predicted[steps]))


@pytest.mark.parametrize("offset", [345_678_901.3, 1_234_567_891.3, 1e12])
def test_targets_far_from_zero_are_learned_as_those_near_it(offset):
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = 2 * X[:, -1] + X[:, -2]
    model = RNNRegressor(**{**TINY, "max_epochs": 10})
    near, far = clone(model).fit(X, y), clone(model).fit(X, y + offset)
    rounding = 4 * np.spacing(offset)
    np.testing.assert_allclose(far.predict(X) - offset, near.predict(X), rtol=0, atol=1e-5 + rounding)
    again = pickle.loads(pickle.dumps(far))
    np.testing.assert_array_equal(again.predict(X), far.predict(X))
    beside = clone(model).fit(X, np.column_stack([y, y]))
    both = clone(model).fit(X, np.column_stack([y, y + offset]))
    np.testing.assert_allclose(both.predict(X)[:, 0], beside.predict(X)[:, 0], rtol=0, atol=1e-5 + rounding)


@pytest.mark.parametrize(("offset", "deviation"), [(1e9, 5e-4), (1.76e9, 1e-3), (1e12, 0.5)])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_targets_that_vary_in_their_last_digits_are_not_constant(offset, deviation, loss):
    X = np.random.default_rng(0).normal(size=(80, 5))
    y = offset + deviation * X[:, -1]
    model = RNNRegressor(hidden_size=8, max_epochs=30, loss=loss, random_state=0, n_threads=1).fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("n_samples", [3, 100_003])
def test_constant_targets_are_constant_in_spite_of_rounding(n_samples):
    targets = np.full((n_samples, 1), 1_234_567.891)
    mean, scale = _statistics.target_statistics(targets, np.linspace(0.1, 1, n_samples))
    assert scale == pytest.approx(1.234567891)  # a millionth
    assert mean == pytest.approx(1_234_567.891, rel=1e-15)


def test_a_net_of_float64_has_the_units_of_its_targets_to_the_last_bit():
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = X[:, -1] / 3
    module = RNNRegressor(**TINY, dtype="float64").fit(X, y).net_.module_
    assert module.output_scale.item() == pytest.approx(y.std(), rel=1e-15)
    assert module.output_mean.item() == pytest.approx(y.mean(), rel=1e-14)


def test_a_stream_of_targets_that_begins_constant_far_from_zero_is_learned():
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = 1_234_567_891.3 + np.r_[np.zeros(30), 2 * X[30:, -1]]
    model = RNNRegressor(**{**TINY, "learning_rate": 0.02}).partial_fit(X[:30], y[:30])
    for _ in range(40):
        model.partial_fit(X[30:], y[30:])
    assert model.score(X[30:], y[30:]) > 0.8


def test_quantiles_are_those_of_the_fit():
    X = np.random.default_rng(0).normal(size=(20, 5))
    model = RNNRegressor(**TINY).fit(X, X[:, -1]).set_params(loss="quantile")
    with pytest.raises(AttributeError) as refused:
        model.predict_quantiles(X)
    assert "needs loss='quantile', but loss was another one in fit" in str(refused.value.__cause__)
    model = RNNRegressor(loss="quantile", **TINY).fit(X, X[:, -1]).set_params(loss="huber")
    assert model.predict_quantiles(X).shape == (20, 1, 3)


def test_few_windows_of_a_long_table_read_few_of_its_rows(monkeypatch):
    rows = np.zeros((1_000, 2), dtype=np.float32)
    windows = Sequences(rows, [3, 40], [5, 5])
    monkeypatch.setattr(_statistics, "_CHUNK", 40)  # numbers, 20 rows
    assert [(rows.start, rows.stop) for rows in _statistics._chunks(windows)] == [(3, 23), (23, 43), (43, 45)]
    rows[44] = np.inf
    assert _statistics.first_infinite(windows) == 44


def test_the_first_infinite_number_is_named_by_sample_step_and_channel():
    X = np.zeros((20, 6, 2))
    X[12, 3, 1] = np.inf
    model = RNNRegressor(**TINY)
    with pytest.raises(ValueError, match="infinity .*: sample 12, step 3, channel 1"):
        model.fit(X, np.zeros(20))
    with pytest.raises(ValueError, match="infinity .*: sample 12, step 3, channel 1"):
        model.fit(list(X), np.zeros(20))


def test_arrays_of_four_dimensions_are_refused():
    with pytest.raises(ValueError, match="X has 4 dimensions, but must have 2 .* or 3"):
        RNNRegressor(**TINY).fit(np.zeros((3, 4, 5, 2)), np.zeros(3))


def test_the_classes_of_a_partial_fit_stay_those_of_the_first():
    X, y = np.random.default_rng(0).normal(size=(20, 5)), np.array(["n", "p"] * 10)
    model = RNNClassifier(**TINY).partial_fit(X, y, classes=["p", "n"]).partial_fit(X, y, classes=["n", "p"])
    with pytest.raises(ValueError, match=r"classes is \['p', 'q'\], but was \['n', 'p'\] before"):
        model.partial_fit(X, y, classes=["p", "q"])


@pytest.mark.parametrize("model", [RNNRegressor(**TINY), RNNClassifier(**TINY)], ids=lambda model: type(model).__name__)
@pytest.mark.parametrize(
    ("y", "message"), [(None, "requires y to be passed"), ([0, 1, 0], "inconsistent numbers of samples")], ids=str
)
def test_a_score_looks_at_y_before_it_predicts(model, y, message, monkeypatch):
    X = np.random.default_rng(0).normal(size=(4, 5))
    model.fit(X, [0, 1, 0, 1])
    monkeypatch.setattr(type(model), "_outputs_of", lambda *_: pytest.fail("has predicted"))
    with pytest.raises(ValueError, match=message):
        model.score(X, y)


@pytest.mark.parametrize("classes", [[], [0.0, 1.0, np.nan]], ids=str)
def test_classes_that_are_none_or_missing_are_refused(classes):
    model = RNNClassifier(**TINY)
    with pytest.raises(ValueError, match="classes is .*, but must have classes, and none of them missing"):
        model.partial_fit(np.zeros((4, 5)), [0, 1, 0, 1], classes=classes)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    "coded", [lambda L: 2 * L - 1, lambda L: L + 1, lambda L: 255 * L, lambda L: np.full(L.shape, 5)]
)
@pytest.mark.parametrize("as_form", [np.asarray, scipy.sparse.csr_matrix], ids=["dense", "sparse"])
def test_labels_of_a_matrix_are_0_or_1(coded, as_form):
    X = np.random.default_rng(0).normal(size=(40, 5))
    labels = (X[:, -2:] > 0).astype(int)
    with pytest.raises(ValueError, match="y is a matrix of labels and has the value .*, but each must be 0 or 1"):
        RNNClassifier(**TINY).fit(X, as_form(coded(labels)))
    with pytest.raises(ValueError, match="each must be 0 or 1"):
        RNNClassifier(**TINY).fit(X, labels, X_val=X, y_val=as_form(coded(labels)))


@pytest.mark.parametrize(
    ("class_weight", "of_the_absent"), [({0: 1, 1: 1, 2: 0.01}, 0.01), ({0: 1, 1: 1, 2: 50}, 50), ("balanced", 1)]
)
def test_a_class_that_the_first_rows_lack_has_its_weight(class_weight, of_the_absent):
    X = np.random.default_rng(0).normal(size=(60, 5))
    model = RNNClassifier(class_weight=class_weight, **TINY).partial_fit(X, np.arange(60) % 2, classes=[0, 1, 2])
    np.testing.assert_allclose(model.net_.criterion_.config["class_weights"], [1, 1, of_the_absent])


def test_classes_by_step_are_counted_in_the_rows_that_are_trained_on():
    X = np.random.default_rng(0).normal(size=(60, 8, 1))
    y = (X[:, :, 0] > 1).astype(int)
    y[50:] = 1  # held out
    options = {"validation_split": "tail", "validation_fraction": 1 / 6, "early_stopping": True}
    model = RNNClassifier(per_step=True, class_weight="balanced", **TINY, **options).fit(X, y)
    factors = 1 / np.bincount(y[:50].ravel())
    expected = factors / factors[y[:50].ravel()].mean()
    np.testing.assert_allclose(model.net_.criterion_.config["class_weights"], expected)


def test_balanced_classes_count_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), np.repeat([0, 1], 100)
    options = {"class_weight": "balanced", "max_epochs": 20, "hidden_size": 4, "random_state": 0, "input_noise": 0.0}
    weighted = RNNClassifier(**options).fit(X, y, sample_weight=np.where(y, 9.0, 1.0))
    assert weighted.predict_proba(X)[:, 1].mean() == pytest.approx(0.5, abs=0.02)
    factors = weighted.net_.criterion_.config["class_weights"]
    assert factors[0] / factors[1] == pytest.approx(9)
