"""channel_importance: it finds what a model looks at, and measures it as a hand-written loop and a closed form do."""

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.utils._param_validation import InvalidParameterError

from sklearn_rnn import (
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    Sequences,
    SlidingWindow,
    as_sequences,
    channel_importance,
    inspection,
)
from sklearn_rnn.inspection import exchanged

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}


class Linear(RegressorMixin, BaseEstimator):
    """A weighted sum of all steps and channels, no net: weights of shape (n_steps, n_channels), the last step last."""

    def __init__(self, weights):
        self.weights = weights

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        steps = np.nan_to_num(np.asarray(X, dtype=np.float64))
        return (steps * np.asarray(self.weights)[-steps.shape[1] :]).sum(axis=(1, 2))

    def __sklearn_is_fitted__(self):
        return True


def only(lag, channel, n_steps=6, n_channels=3):
    weights = np.zeros((n_steps, n_channels))
    weights[-1 - lag, channel] = 1.0
    return Linear(weights)


def noise(n_samples=200, n_steps=6, n_channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_steps, n_channels)).astype(np.float32)


# What it finds --------------------------------------------------------------------------------------------------------


def test_only_the_channel_and_the_lag_that_matter_are_important():
    X, model = noise(), only(lag=2, channel=1)
    result = channel_importance(model, X, model.predict(X), by="both", random_state=0)
    assert result.importances.shape == (3, 6, 5)
    assert result.score == 1
    assert result.importances_mean[1, 2] == pytest.approx(2, abs=0.2)  # R2 of an independent copy is -1
    result.importances[1, 2] = 0
    assert not result.importances.any()
    by_channel = channel_importance(model, X, model.predict(X), by="channel", random_state=0).importances_mean
    by_lag = channel_importance(model, X, model.predict(X), by="lag", random_state=0).importances_mean
    assert by_channel.nonzero()[0].tolist() == [1]
    assert by_lag.nonzero()[0].tolist() == [2]


def test_a_net_looks_where_the_target_comes_from():
    X = noise(500, 5, 2)
    y = X[:, -3, 1]
    model = RNNRegressor(hidden_size=16, max_epochs=40, random_state=0, n_threads=1).fit(X, y)
    result = channel_importance(model, X, y, by="both", random_state=0)
    assert result.importances_mean[1, 2] > 1
    assert np.sort(np.abs(result.importances_mean.ravel()))[-2] < 0.1


def test_the_error_of_a_linear_model_grows_by_twice_the_variance_of_what_is_exchanged():
    rng = np.random.default_rng(0)
    X = rng.normal(scale=[1.0, 3.0], size=(20_000, 4, 2)).astype(np.float32)
    model = Linear(rng.normal(size=(4, 2)))
    options = {"scoring": "neg_mean_squared_error", "n_repeats": 2, "random_state": 0}
    expected = 2 * (np.asarray(model.weights) ** 2 * [1.0, 9.0])[::-1].T  # (n_channels, n_lags)
    y = model.predict(X)
    np.testing.assert_allclose(
        channel_importance(model, X, y, by="both", **options).importances_mean, expected, rtol=0.05
    )
    # Neither steps nor channels depend on each other here, so that what goes over together adds up.
    by_channel = channel_importance(model, X, y, by="channel", **options).importances_mean
    np.testing.assert_allclose(by_channel, expected.sum(axis=1), rtol=0.05)
    by_lag = channel_importance(model, X, y, by="lag", block_size=2, **options).importances_mean
    np.testing.assert_allclose(by_lag, expected.sum(axis=0).reshape(2, 2).sum(axis=1), rtol=0.05)


def test_a_channel_goes_over_with_its_steps_in_order():
    """A model of differences sees constant series only if the steps of a channel stay together."""
    X = np.repeat(noise(100, 1, 1), 4, axis=1)
    model = Linear([[1.0], [-1.0], [1.0], [-1.0]])
    y = model.predict(X)
    options = {"scoring": "neg_mean_absolute_error", "random_state": 0}
    assert channel_importance(model, X, y, by="channel", **options).importances_mean[0] == 0
    assert channel_importance(model, X, y, by="lag", block_size=2, **options).importances_mean.tolist() == [0, 0]
    assert (channel_importance(model, X, y, by="lag", block_size=1, **options).importances_mean > 0.5).all()


# How it exchanges -----------------------------------------------------------------------------------------------------


def exchanged_by_hand(X, order, channels, lags):
    """Sample by sample, lag by lag: the next one around the circle that is long enough gives its value."""
    new = [steps.copy() for steps in X]
    for place, sample in enumerate(order):
        for lag in lags:
            if lag >= len(X[sample]):
                continue
            donor = next(other for other in [*order[place + 1 :], *order[: place + 1]] if len(X[other]) > lag)
            new[sample][-1 - lag, channels] = X[donor][-1 - lag, channels]
    return new


def ragged(seed, n_samples, longest):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rng.integers(1, longest + 1), 2)).astype(np.float32) for _ in range(n_samples)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8), st.integers(1, 6), st.data())
def test_sequences_of_unequal_length_are_exchanged_as_by_hand(seed, n_samples, longest, data):
    X = ragged(seed, n_samples, longest)
    order = np.random.default_rng(seed).permutation(n_samples)
    lags = range(data.draw(st.integers(0, longest - 1)), longest)
    channels = data.draw(st.sampled_from([slice(0, 1), slice(1, 2), slice(None)]))
    own = as_sequences(X).with_own_rows()
    result = exchanged(own, order, channels, lags)
    for steps, expected in zip(result, exchanged_by_hand(X, order, channels, lags), strict=True):
        np.testing.assert_array_equal(steps, expected)
    for steps, expected in zip(own, X, strict=True):
        np.testing.assert_array_equal(steps, expected)
    for lag in range(longest):  # each lag keeps its values, given around
        before, after = ([steps[-1 - lag] for steps in s if len(steps) > lag] for s in (own, result))
        np.testing.assert_array_equal(np.sort(before, axis=0), np.sort(after, axis=0))


def test_windows_that_share_rows_are_exchanged_as_if_they_had_their_own():
    series = noise(1, 60, 2)[0]
    windows = SlidingWindow(5).fit_transform(series)
    model = only(lag=1, channel=0, n_steps=5, n_channels=2)
    y = model.predict(windows)
    shared = channel_importance(model, windows, y, by="both", random_state=0)
    rows, ends = np.concatenate(list(windows)), np.cumsum(windows.lengths)
    apart = Sequences(rows, ends - windows.lengths, windows.lengths)
    own = channel_importance(model, apart, y, by="both", random_state=0)
    assert shared.importances_mean.any()
    np.testing.assert_array_equal(shared.importances, own.importances)


def test_x_is_never_changed():
    series = noise(1, 60, 2)[0]
    windows = SlidingWindow(5).fit_transform(series)
    values, starts = windows.values.copy(), windows.starts.copy()
    windows.values.flags.writeable = False
    model = only(lag=1, channel=0, n_steps=5, n_channels=2)
    channel_importance(model, windows, np.ones(60), by="lag", random_state=0)
    np.testing.assert_array_equal(windows.values, values)
    np.testing.assert_array_equal(windows.starts, starts)


# What it takes --------------------------------------------------------------------------------------------------------


def test_a_pipeline_exchanges_what_its_last_step_is_given():
    X = pd.DataFrame(noise(1, 80, 2)[0], columns=["load", "heat"])
    y = X["load"].to_numpy()
    pipeline = make_pipeline(SlidingWindow(3), RNNRegressor(**TINY)).fit(X, y)
    search = GridSearchCV(pipeline, {"slidingwindow__n_steps": [3]}, cv=KFold(2)).fit(X, y)
    expected = channel_importance(pipeline[-1], pipeline[:-1].transform(X), y, random_state=0)
    for model in (pipeline, search):
        result = channel_importance(model, X, y, random_state=0)
        assert result.channels == ["load", "heat"]
        np.testing.assert_array_equal(result.importances, expected.importances)


def test_every_form_of_the_same_sequences_gives_the_same():
    X, y = noise(40), np.arange(40.0)
    dense, flat = RNNRegressor(**TINY).fit(X, y), RNNRegressor(n_channels=3, **TINY).fit(X.reshape(40, -1), y)
    expected = channel_importance(dense, X, y, random_state=0).importances
    assert expected.any()
    np.testing.assert_array_equal(channel_importance(dense, list(X), y, random_state=0).importances, expected)
    np.testing.assert_array_equal(channel_importance(flat, X.reshape(40, -1), y, random_state=0).importances, expected)
    voting = VotingRegressor([("a", dense), ("b", dense)]).fit(X, y)
    np.testing.assert_array_equal(channel_importance(voting, X, y, random_state=0).importances, expected)


def test_scoring_and_weights_are_those_of_scikit_learn():
    X, weights = noise(50), np.arange(50.0)
    model = only(lag=0, channel=0)
    y = model.predict(X) + noise(50, 1, 1, seed=1)[:, 0, 0]
    options = {"sample_weight": weights, "random_state": 0, "n_repeats": 1}
    orders = np.random.RandomState(0)
    own = as_sequences(X).with_own_rows()
    after = model.predict(exchanged(own, orders.permutation(50), slice(0, 1), range(6)))
    for scoring, measure in (
        (None, r2_score),
        ("neg_mean_absolute_error", lambda *a, **k: -mean_absolute_error(*a, **k)),
    ):
        before = measure(y, model.predict(X), sample_weight=weights)
        result = channel_importance(model, X, y, scoring=scoring, **options)
        assert result.score == pytest.approx(before)
        assert result.importances[0, 0] == pytest.approx(before - measure(y, after, sample_weight=weights))


def test_classes_and_targets_of_every_step_are_scored_as_the_model_does():
    X = noise(30)
    classifier = RNNClassifier(**TINY).fit(X, np.arange(30) % 2)
    assert channel_importance(classifier, X, np.arange(30) % 2, scoring="roc_auc").importances.shape == (3, 5)
    lists = ragged(0, 12, 5)
    y = [steps[:, 0] for steps in lists]
    per_step = RNNRegressor(per_step=True, **TINY).fit(lists, y)
    result = channel_importance(per_step, lists, y, max_samples=8, random_state=0)
    assert result.importances.shape == (2, 5)
    as_sequences_too = channel_importance(
        per_step, lists, as_sequences([target[:, None] for target in y]), max_samples=8, random_state=0
    )
    np.testing.assert_allclose(as_sequences_too.importances, result.importances)
    with pytest.raises(ValueError, match="scoring is 'r2', but scikit-learn's metrics know no targets by step"):
        channel_importance(per_step, lists, y, scoring="r2")


def test_channels_are_checked_as_predict_does():
    df = pd.DataFrame(noise(40)[:, :, 0], columns=list("abcdef"))
    model = RNNRegressor(**TINY).fit(df, df["f"])
    for columns in ("fedcba", "cdef"):
        with pytest.raises(ValueError, match="feature"):
            channel_importance(model, df[list(columns)], df["f"], by="lag")
    Xs = as_sequences(noise(40))
    with pytest.raises(ValueError, match="X has 2 channels, but the model was fitted with 3"):
        channel_importance(RNNRegressor(**TINY).fit(Xs, df["f"]), noise(40, n_channels=2), df["f"])


def test_a_search_scores_by_its_own_scoring():
    X = noise(60)
    y = X[:, -1, 0]
    options = {"param_grid": {"max_epochs": [1, 2]}, "cv": 2}
    search = GridSearchCV(RNNRegressor(**TINY), scoring="neg_mean_absolute_error", **options).fit(X, y)
    assert channel_importance(search, X, y).score == pytest.approx(search.score(X, y))
    assert channel_importance(search, X, y, scoring="r2").score == pytest.approx(r2_score(y, search.predict(X)))
    several = GridSearchCV(RNNRegressor(**TINY), scoring=["r2", "neg_mean_absolute_error"], refit="r2", **options)
    assert channel_importance(several.fit(X, y), X, y).score == pytest.approx(several.score(X, y))


def test_a_scoring_that_takes_no_weights_is_refused_with_them():
    X, model = noise(20), only(lag=1, channel=1)
    y, weights = model.predict(X), np.arange(1.0, 21)
    with pytest.raises(ValueError, match="sample_weight is given, but scoring is .* takes none"):
        channel_importance(model, X, y, scoring=lambda model, X, y: 1.0, sample_weight=weights)

    def weighted(model, X, y, sample_weight=None):
        return r2_score(y, model.predict(X), sample_weight=sample_weight)

    own, named = (
        channel_importance(model, X, y, scoring=scoring, sample_weight=weights, random_state=0)
        for scoring in (weighted, "r2")
    )
    np.testing.assert_allclose(own.importances, named.importances)


@pytest.mark.parametrize("max_samples", [1, 0, 1.5])
def test_a_single_sample_is_not_enough(max_samples):
    X, model = noise(20), only(lag=1, channel=1)
    with pytest.raises(InvalidParameterError, match="max_samples"):
        channel_importance(model, X, model.predict(X), max_samples=max_samples)


def test_jobs_do_not_change_the_result():
    X, model = noise(), only(lag=1, channel=1)
    y = model.predict(X)
    one = channel_importance(model, X, y, by="both", random_state=0)
    with joblib.parallel_config(backend="threading"):
        two = channel_importance(model, X, y, by="both", random_state=0, n_jobs=2)
    np.testing.assert_array_equal(one.importances, two.importances)


@pytest.mark.parametrize(("max_samples", "n_drawn"), [("auto", 50), (20, 20), (0.25, 50), (1.0, 200), (500, 200)])
def test_no_more_samples_are_copied_than_allowed(max_samples, n_drawn, monkeypatch):
    monkeypatch.setattr(inspection, "LARGEST_COPY", 50 * 6 * 3)
    seen = []

    def scoring(model, X, y):
        seen.append((X, y))
        return 0.0

    X = noise()
    channel_importance(only(0, 0), X, np.arange(200), scoring=scoring, n_repeats=1, max_samples=max_samples)
    for sequences, y in seen:
        assert len(sequences) == len(y) == n_drawn
        assert len(sequences.values) == 6 * n_drawn
        assert len(set(y)) == n_drawn
    np.testing.assert_array_equal(np.asarray(seen[0][0]), X[seen[0][1]])


@pytest.mark.parametrize(
    ("n_steps", "segment_size", "block_size", "lags"),
    [
        (5, 1, "auto", [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]),
        (25, 1, "auto", [(0, 2), (3, 5), (6, 8), (9, 11), (12, 14), (15, 17), (18, 20), (21, 23), (24, 24)]),
        (48, 24, "auto", [(0, 23), (24, 47)]),
        (26, 2, "auto", [(0, 3), (4, 7), (8, 11), (12, 15), (16, 19), (20, 23), (24, 25)]),
        (5, 1, 3, [(0, 2), (3, 4)]),
    ],
)
def test_lags_come_in_blocks_of_whole_segments(n_steps, segment_size, block_size, lags):
    model = only(0, 0, n_steps=n_steps, n_channels=1)
    model.segment_size_ = segment_size
    X = noise(4, n_steps, 1)
    result = channel_importance(model, X, np.arange(4.0), by="lag", block_size=block_size, n_repeats=1)
    assert list(map(tuple, result.lags)) == lags
    assert result.importances.shape == (len(lags), 1)


def test_names_of_channels_are_kept_or_made():
    X = noise(10, 4, 2)
    sequences = as_sequences(X)
    named = Sequences(sequences.values, sequences.starts, sequences.lengths, channel_names=["a", "b"])
    model = only(0, 0, n_steps=4, n_channels=2)
    assert channel_importance(model, named, np.arange(10)).channels == ["a", "b"]
    assert channel_importance(model, X, np.arange(10)).channels == ["channel 0", "channel 1"]


# What it refuses ------------------------------------------------------------------------------------------------------


def test_bad_input_is_refused_in_words():
    X, y = noise(10), np.arange(10.0)
    with pytest.raises(NotFittedError):
        channel_importance(RNNRegressor(), X, y)
    with pytest.raises(NotFittedError):
        channel_importance(make_pipeline(SlidingWindow(2), RNNRegressor()), X[:, 0], y)
    with pytest.raises(InvalidParameterError, match="The 'by' parameter"):
        channel_importance(only(0, 0), X, y, by="step")
    with pytest.raises(TypeError, match="Ridge is given a ndarray, but channel_importance permutes sequences"):
        channel_importance(Ridge().fit(X[:, 0], y), X[:, 0], y)
    table = pd.DataFrame({"y": y})
    forecaster = RNNForecaster("y", 2, hidden_size=2, max_epochs=1).fit(table)
    with pytest.raises(TypeError, match="RNNForecaster is given a DataFrame, but channel_importance permutes"):
        channel_importance(forecaster, table, y)
    with pytest.raises(ValueError, match="X has 1 sample, but there must be another one"):
        channel_importance(only(0, 0), X[:1], y[:1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        channel_importance(only(0, 0), X, y[:5])
