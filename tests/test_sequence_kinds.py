"""Missing values, categories, targets by step, quantiles, anchors, several labels."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, RNNRegressor, Sequences, SlidingWindow, as_sequences

TINY = {"hidden_size": 8, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu"}
LEARNS = {**TINY, "hidden_size": 16, "max_epochs": 40, "batch_size": 8}


@pytest.fixture
def ragged():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, 2)).astype(np.float32) for length in rng.integers(2, 12, size=80)]


# Lengths and missing values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "pooling": "attention", "n_layers": 2}])
def test_a_sequence_is_the_same_in_every_form_and_padding(ragged, options):
    y = np.array([x.sum() for x in ragged])
    model = RNNRegressor(**TINY, **options, dtype="float64").fit(ragged, y)
    expected = model.predict(ragged)
    tail, head = np.full((80, 20, 2), np.nan), np.full((80, 15, 2), np.nan)
    for i, x in enumerate(ragged):
        tail[i, : len(x)], head[i, -len(x) :] = x, x
    as_object = np.empty(80, dtype=object)
    as_object[:] = ragged
    alone = np.concatenate([model.predict([x]) for x in ragged])
    for form in (tail, head, as_object):
        np.testing.assert_allclose(model.predict(form), expected, rtol=1e-10)
    np.testing.assert_allclose(alone, expected, rtol=1e-10)


def test_ragged_lists_go_through_searches_and_folds(ragged):
    y = np.array([len(x) > 6 for x in ragged])
    search = GridSearchCV(RNNClassifier(**LEARNS), {"pooling": ["last", "max"]}, cv=StratifiedKFold(2))
    assert search.fit(ragged, y).best_score_ > 0.9
    assert cross_val_predict(RNNClassifier(**TINY), ragged, y, cv=3, method="predict_proba").shape == (80, 2)


def test_a_missing_value_can_carry_the_signal():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 8, 2)).astype(np.float32)
    y = rng.integers(2, size=200)
    X[y == 1, 3, 1] = np.nan
    model = RNNClassifier(**{**LEARNS, "max_epochs": 20}).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.net_.module_.encoder.missing == [1]


def test_missing_values_that_training_lacked_are_read_as_the_mean(ragged):
    model = RNNRegressor(**TINY).fit(ragged, np.arange(80.0))
    holed, filled = ragged[0].copy(), ragged[0].copy()
    holed[1, 0], filled[1, 0] = np.nan, model.net_.module_.encoder.mean[0]
    np.testing.assert_allclose(model.predict([holed]), model.predict([filled]), rtol=1e-6)


# Categories -----------------------------------------------------------------------------------------------------------


def category_series(n_rows=400):
    """The target is the effect of the category two rows ago, which no order of codes reveals."""
    rng = np.random.default_rng(0)
    kinds = np.array(["ash", "birch", "cedar", "date", "elm"])
    kind = rng.choice(kinds, n_rows)
    effect = dict(zip(kinds, [3.0, -2.0, 1.0, -1.0, 2.0], strict=True))
    y = np.array([0.0, 0.0, *[effect[name] for name in kind[:-2]]])
    return pd.DataFrame({"noise": rng.normal(size=n_rows), "kind": pd.Categorical(kind)}), y


def test_categorical_columns_are_found_by_their_type():
    X, y = category_series()
    model = make_pipeline(SlidingWindow(4), RNNRegressor(**LEARNS)).fit(X[:300], y[:300])
    assert model[-1].net_.module_.encoder.categorical == [1]
    assert model.score(X[300:], y[300:]) > 0.95


@pytest.mark.parametrize("chosen", [["kind"], [1], [-1], [False, True]])
def test_categorical_channels_by_name_position_or_mask(chosen):
    X, y = category_series(60)
    windows = SlidingWindow(4).fit_transform(X.assign(kind=X["kind"].cat.codes))
    model = RNNRegressor(**TINY, categorical_features=chosen).fit(windows, y)
    assert model.net_.module_.encoder.categorical == [1]


def test_unseen_categories_predict_without_error():
    X, y = category_series(60)
    model = make_pipeline(SlidingWindow(4, context="never"), RNNRegressor(**TINY)).fit(X, y)
    new = X.assign(kind=pd.Categorical(["zebrano"] * 60))
    missing = X.assign(kind=pd.Categorical([None] * 60, categories=X["kind"].cat.categories))
    np.testing.assert_array_equal(model.predict(new), model.predict(missing))


def test_codes_that_float32_cannot_hold_are_refused():
    X = np.array([[[2.0**24]], [[1.0]]])
    with pytest.raises(ValueError, match="code 16777216.* float32 holds integers exactly"):
        RNNRegressor(**TINY, categorical_features=[0]).fit(X, [0.0, 1.0])


@pytest.mark.parametrize("chosen", [["colour"], [2], [True]])
def test_absent_categorical_channels_are_named_with_those_there_are(chosen):
    X = SlidingWindow(2).fit_transform(pd.DataFrame({"load": np.ones(9), "kind": np.ones(9)}))
    with pytest.raises(ValueError, match=r"categorical_features is .* but X has 2 channels \(load, kind\)"):
        RNNRegressor(**TINY, categorical_features=chosen).fit(X, np.ones(9))


# Targets by step ------------------------------------------------------------------------------------------------------


def running_sums(X):
    return [np.cumsum(x[:, 0]) for x in X]


def test_a_value_for_every_step_is_learned_and_scored_over_valid_steps(ragged):
    y = running_sums(ragged)
    model = RNNRegressor(**LEARNS, per_step=True).fit(ragged, y)
    predicted = model.predict(ragged)
    assert [p.shape for p in predicted] == [t.shape for t in y]
    assert model.score(ragged, y) == pytest.approx(r2_score(np.concatenate(y), np.concatenate(predicted)))
    assert model.score(ragged, y) > 0.9


def test_a_label_for_every_step_depends_on_the_past_alone(ragged):
    y = [np.where(total > 0, "up", "down") for total in running_sums(ragged)]
    model = RNNClassifier(**LEARNS, per_step=True).fit(ragged, y)
    predicted = model.predict(ragged)
    assert model.score(ragged, y) == accuracy_score(np.concatenate(y), np.concatenate(predicted)) > 0.85
    cut = [x[: len(x) // 2 + 1] for x in ragged]
    for whole, part in zip(predicted, model.predict(cut), strict=True):
        assert whole[: len(part)].tolist() == part.tolist()
    assert [p.shape for p in model.predict_proba(ragged)] == [(len(x), 2) for x in ragged]


def test_targets_by_step_come_back_in_the_form_of_y(ragged):
    items = running_sums(ragged)
    rows, lengths = np.concatenate(items), [len(item) for item in items]
    padded = np.full((80, 11), np.nan)
    for i, item in enumerate(items):
        padded[i, : len(item)] = item
    expected = RNNRegressor(**TINY, per_step=True).fit(ragged, items).predict(ragged)
    as_sequences = Sequences(rows, np.cumsum(lengths) - lengths, lengths)
    for y, kind in ((as_sequences, Sequences), (padded, np.ndarray)):
        predicted = RNNRegressor(**TINY, per_step=True).fit(ragged, y).predict(ragged)
        assert isinstance(predicted, kind)
        for i, item in enumerate(expected):
            np.testing.assert_allclose(np.asarray(predicted[i]).ravel()[: len(item)], item, rtol=1e-5)
    assert np.isnan(predicted).sum() == np.isnan(padded).sum()


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
@pytest.mark.parametrize("kind", ["labels", "numbers", "Int64"])
def test_labels_by_step_can_be_padded_whatever_their_type(ragged, kind, missing):
    items = [np.sign(item).astype(int) for item in running_sums(ragged)]
    padded = np.full((80, 11), missing, dtype=object)
    names = {-1: "down", 0: "none", 1: "up"} if kind == "labels" else {-1: -1, 0: 0, 1: 1}
    for row, item in zip(padded, items, strict=True):
        row[: len(item)] = [names[value] for value in item]
    y = pd.DataFrame(padded).astype("Int64") if kind == "Int64" else padded
    predicted = RNNClassifier(**TINY, per_step=True).fit(ragged, y).predict(ragged)
    expected = RNNClassifier(**TINY, per_step=True).fit(ragged, items).predict(ragged)
    assert predicted.shape == padded.shape
    assert pd.isna(predicted).sum() == pd.isna(padded).sum()
    for of_sample, item in zip(predicted, expected, strict=True):
        assert list(of_sample[: len(item)]) == [names[value] for value in item]


def test_weights_of_whole_samples_act_on_targets_by_step(ragged):
    kept = np.arange(80) % 2 == 0
    y = running_sums(ragged)
    weighted = RNNRegressor(**TINY, per_step=True).fit(ragged, y, sample_weight=kept.astype(float))
    halved = RNNRegressor(**TINY, per_step=True).fit(ragged[::2], y[::2])
    np.testing.assert_allclose(np.concatenate(weighted.predict(ragged)), np.concatenate(halved.predict(ragged)))


def test_a_sample_with_too_few_targets_is_named(ragged):
    y = running_sums(ragged)
    y[7] = y[7][:-1]
    with pytest.raises(ValueError, match=f"Sample 7 has {len(ragged[7])} steps in X, but {len(y[7])} targets in y"):
        RNNRegressor(**TINY, per_step=True).fit(ragged, y)


@pytest.mark.parametrize("form", [list, as_sequences])
def test_a_sample_without_a_target_at_a_step_is_named(ragged, form):
    y = running_sums(ragged)
    y[7][1] = np.nan
    with pytest.raises(ValueError, match="Sample 7 has no target at its step 1.*Cut such sequences in two there"):
        RNNRegressor(**TINY, per_step=True).fit(ragged, form(y))


def test_a_sample_without_a_label_at_a_step_is_named(ragged):
    labels = [np.where(item > 0, "up", "down").astype(object) for item in running_sums(ragged)]
    labels[7][1] = None
    with pytest.raises(ValueError, match="Sample 7 has no target at its step 1"):
        RNNClassifier(**TINY, per_step=True).fit(ragged, labels)


def test_one_target_a_sample_is_refused_where_every_step_needs_one(ragged):
    with pytest.raises(ValueError, match="per_step=True takes a target for every step"):
        RNNRegressor(**TINY, per_step=True).fit(ragged, np.ones(80))


@pytest.mark.parametrize("options", [{"segment_size": 2}, {"pooling": "mean"}])
def test_targets_by_step_exclude_what_joins_steps(ragged, options):
    with pytest.raises(ValueError, match="per_step=True gives every step its own output.* Leave them at 'auto'"):
        RNNRegressor(**TINY, per_step=True, **options).fit(ragged, running_sums(ragged))


def test_what_auto_pools_is_told_by_the_net_in_use(ragged):
    """By the size of the head: a classifier reads last state, mean and maximum of 8 features each."""
    y = running_sums(ragged)
    labels = [item > 0 for item in y]
    models = {
        "concat": RNNClassifier(**TINY).fit(ragged, [label[-1] for label in labels]),
        "last": RNNRegressor(**TINY).fit(ragged, [item[-1] for item in y]),
        "last by step": RNNClassifier(**TINY, per_step=True).fit(ragged, labels),
        "mean": RNNClassifier(**TINY, pooling="mean").fit(ragged, [label[-1] for label in labels]),
    }
    for name, model in models.items():
        assert model.pooling_ == name.split()[0]
        assert model.net_.module_.head.in_features == (24 if name == "concat" else 8)
    assert not hasattr(RNNClassifier(), "pooling_")
    assert models["concat"].set_params(pooling="max").pooling_ == "concat"


# Quantiles, anchor, labels --------------------------------------------------------------------------------------------


def test_quantiles_cover_what_they_say_and_never_cross():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 4, 1)).astype(np.float32)
    y = X[:, -1, 0] + np.exp(X[:, -2, 0]) * rng.normal(size=1500)  # its spread depends on X
    levels = (0.1, 0.5, 0.9)
    model = RNNRegressor(**{**LEARNS, "max_epochs": 15, "batch_size": 32}, loss="quantile", quantiles=levels).fit(
        X[:1000], y[:1000]
    )
    quantiles = model.predict_quantiles(X[1000:])
    assert quantiles.shape == (500, 1, 3)
    assert (np.diff(quantiles) >= 0).all()
    below = (y[1000:, None] < quantiles[:, 0]).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.05)
    np.testing.assert_array_equal(model.predict(X[1000:]), quantiles[:, 0, 1])
    width = quantiles[:, 0, 2] - quantiles[:, 0, 0]
    assert np.corrcoef(np.log(width), X[1000:, -2, 0])[0, 1] > 0.9


@pytest.mark.parametrize("quantiles", [(0.5, 0.1), (0.0, 0.5), (0.1, 0.9), (0.5, 0.5), (0.5, 1.0)])
def test_quantiles_must_increase_within_0_and_1_and_hold_the_median(ragged, quantiles):
    with pytest.raises(ValueError, match="must increase and contain 0.5|must be numbers between 0 and 1"):
        RNNRegressor(**TINY, loss="quantile", quantiles=quantiles).fit(ragged, np.ones(80))


def test_quantiles_without_their_loss_are_refused(ragged):
    with pytest.raises(ValueError, match="quantiles are for loss='quantile', but loss is 'squared_error'"):
        RNNRegressor(**TINY, quantiles=(0.1, 0.5)).fit(ragged, np.ones(80))
    assert not hasattr(RNNRegressor(), "predict_quantiles")


@pytest.mark.parametrize("anchor", [0, "level"])
def test_an_anchor_makes_a_random_walk_no_worse_than_persistence(anchor):
    rng = np.random.default_rng(0)
    walk = pd.DataFrame({"level": rng.normal(size=601).cumsum(), "other": rng.normal(size=601)})
    X, y = walk[:-1], walk["level"].to_numpy()[1:]
    model = make_pipeline(SlidingWindow(8), RNNRegressor(**TINY, anchor=anchor)).fit(X[:400], y[:400])
    error = np.sqrt(np.mean((model.predict(X[400:]) - y[400:]) ** 2))
    persistence = np.sqrt(np.mean((X["level"][400:] - y[400:]) ** 2))
    assert error < 1.05 * persistence


def test_an_anchor_skips_missing_values_at_the_end():
    X = np.array([[1.0, 5.0, np.nan], [2.0, np.nan, 7.0]] * 10)[:, :, None]
    model = RNNRegressor(**TINY, anchor=0).fit(X, np.tile([5.0, 7.0], 10))
    np.testing.assert_allclose(model.predict(X), np.tile([5.0, 7.0], 10), atol=1e-3)


def test_an_anchor_on_an_absent_channel_is_refused(ragged):
    with pytest.raises(ValueError, match=r"anchor is \['load'\], but X has 2 channels without names"):
        RNNRegressor(**TINY, anchor="load").fit(ragged, np.ones(80))


def test_several_labels_a_sample():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5, 3)).astype(np.float32)
    Y = (X[:, -1] > 0).astype(int)
    model = RNNClassifier(**LEARNS).fit(X, Y)
    assert model.predict(X).shape == model.predict_proba(X).shape == (200, 3)
    assert (model.predict(X) == Y).mean() > 0.95
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)


def test_label_smoothing_keeps_probabilities_from_the_ends():
    X = np.repeat([[0.0, 0, 0], [5, 5, 5]], 30, axis=0)
    y = np.repeat([0, 1], 30)
    sharp = RNNClassifier(**LEARNS, label_smoothing=0.0).fit(X, y).predict_proba(X).max()
    smooth = RNNClassifier(**LEARNS, label_smoothing=0.2).fit(X, y).predict_proba(X).max()
    assert smooth == pytest.approx(0.9, abs=0.03)
    assert sharp > 0.97


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 0.1), ({"class_weight": "balanced"}, 0.5), ({"class_weight": {0: 1, 1: 3}}, 0.25)],
    ids=str,
)
def test_smoothed_probabilities_are_right_on_average(options, expected):
    X = np.random.default_rng(0).normal(size=(400, 4))
    y = (np.arange(400) % 10 == 0).astype(int)  # of which X tells nothing
    model = RNNClassifier(hidden_size=2, max_epochs=20, label_smoothing=0.5, random_state=0, device="cpu", **options)
    assert model.fit(X, y).predict_proba(X)[:, 1].mean() == pytest.approx(expected, abs=0.05)


def test_labels_that_may_be_missing_are_scored_as_integers_are():
    X = np.random.default_rng(0).normal(size=(40, 5))
    Y = pd.DataFrame({"up": X[:, 0] > 0, "far": np.abs(X[:, 0]) > 1}).astype(int)
    model = RNNClassifier(**TINY).fit(X, Y.astype("Int64"))
    assert model.score(X, Y.astype("Int64")) == model.score(X, Y) == accuracy_score(Y, model.predict(X))


def test_labels_of_a_matrix_are_numbered():
    X = np.random.default_rng(0).normal(size=(40, 5))
    with pytest.raises(ValueError, match="y has 2 labels, numbered from 0, but the classes known before are .5, 7."):
        RNNClassifier(**TINY).partial_fit(X, (X[:, :2] > 0).astype(int), classes=[5, 7])


def test_smoothed_labels_of_a_matrix_are_right_on_average():
    X = np.random.default_rng(0).normal(size=(400, 4))
    labels = np.arange(400)[:, None] % [10, 2] == 0
    model = RNNClassifier(hidden_size=2, max_epochs=20, label_smoothing=0.5, random_state=0, device="cpu")
    np.testing.assert_allclose(model.fit(X, labels).predict_proba(X).mean(axis=0), [0.1, 0.5], atol=0.05)


def test_few_sequences_with_one_class_each_are_not_learned_by_heart(ragged):
    y = np.arange(80) % 2
    automatic, sharp = {"label_smoothing": 0.1, "input_noise": 0.2}, {"label_smoothing": 0.0, "input_noise": 0.0}

    def probabilities(X, y, **parameters):
        return np.concatenate(RNNClassifier(**TINY, **parameters).fit(X, y).predict_proba(X), axis=None)

    np.testing.assert_array_equal(probabilities(ragged, y), probabilities(ragged, y, **automatic))
    assert np.abs(probabilities(ragged, y) - probabilities(ragged, y, **sharp)).max() > 1e-3
    many, many_y = np.random.default_rng(0).normal(size=(1_000, 3)), np.arange(1_000) % 2
    options = {"early_stopping": False}
    np.testing.assert_array_equal(
        probabilities(many, many_y, **options), probabilities(many, many_y, **options, **sharp)
    )
    steps = [np.arange(len(x)) % 2 for x in ragged]
    np.testing.assert_array_equal(
        probabilities(ragged, steps, per_step=True), probabilities(ragged, steps, per_step=True, **sharp)
    )
    labels = np.column_stack([y, 1 - y, np.ones_like(y)])
    np.testing.assert_array_equal(probabilities(ragged, labels), probabilities(ragged, labels, **sharp))


def test_segments_longer_than_every_sequence_are_refused(ragged):
    with pytest.raises(ValueError, match="segment_size is 50, but the longest sequence of X has 11 steps"):
        RNNRegressor(**TINY, segment_size=50).fit(ragged, np.ones(80))


def test_long_sequences_are_joined_into_64_segments_unless_steps_hold_categories():
    random = np.random.default_rng(0)

    def segment_size(lengths, **options):
        X = [random.integers(0, 5, size=(length, 1)).astype(float) for length in lengths]
        y = [np.arange(length) % 2 for length in lengths] if options.get("per_step") else np.arange(len(X)) % 2
        model = RNNClassifier(**{**TINY, "max_epochs": 1, **options}).fit(X, y)
        assert model.segment_size_ == model.net_.module_.segment_size
        return model.segment_size_

    assert [segment_size([length] * 4) for length in (1, 64, 65, 128, 129, 1_000)] == [1, 1, 2, 2, 3, 16]
    assert segment_size([3, 70, 70, 1_000]) == 2
    assert segment_size([3, 3, 3, 1_000]) == 1
    assert segment_size([200] * 4, categorical_features=[0]) == 1
    assert segment_size([200] * 4, per_step=True) == 1
    assert segment_size([200] * 4, segment_size=7) == 7


def test_a_model_that_goes_on_keeps_its_segments():
    random = np.random.default_rng(0)
    y = np.arange(20.0)
    model = RNNRegressor(**TINY, warm_start=True).fit(random.normal(size=(20, 130, 1)), y)
    model.fit(random.normal(size=(20, 10, 1)), y).partial_fit(random.normal(size=(20, 500, 1)), y)
    assert model.segment_size_ == model.net_.module_.segment_size == 3


@pytest.mark.parametrize("quantiles", [["a"], [[0.1, 0.5]], 0.5, []], ids=str)
def test_quantiles_that_are_no_list_of_numbers_are_refused_by_name(ragged, quantiles):
    with pytest.raises((ValueError, TypeError), match="quantiles"):
        RNNRegressor(loss="quantile", quantiles=quantiles).fit(ragged, np.arange(len(ragged)))


@pytest.mark.parametrize("anchor", [True, False])
def test_a_truth_is_no_channel(ragged, anchor):
    with pytest.raises(TypeError, match=f"anchor is {anchor}, but must be the position or name"):
        RNNRegressor(anchor=anchor).fit(ragged, np.arange(len(ragged)))


def test_constants_of_a_loss_are_those_of_the_nets_type():
    model = RNNRegressor(loss="quantile", dtype="float64", hidden_size=4, max_epochs=1)
    X = np.random.default_rng(0).normal(size=(20, 3))
    model.fit(X, X[:, 0])
    for fitted in (model, pickle.loads(pickle.dumps(model))):
        assert fitted.net_.criterion_.quantiles.tolist() == [0.1, 0.5, 0.9]


def noisy_states(n_samples, seed=0):
    """Sequences of unequal length, and the hidden state at each of their steps."""
    rng = np.random.default_rng(seed)
    states = [np.zeros(rng.integers(20, 41)) for _ in range(n_samples)]
    for of_one in states:
        for step in range(1, len(of_one)):
            of_one[step] = 0.9 * of_one[step - 1] + rng.normal()
    return [(of_one + 2 * rng.normal(size=len(of_one)))[:, None] for of_one in states], states


@pytest.mark.parametrize("estimator", [RNNRegressor, RNNClassifier])
def test_few_sequences_tell_how_many_epochs_are_best_per_step(estimator):
    X, states = noisy_states(200)
    y = states if estimator is RNNRegressor else [np.digitize(of_one, [-1, 1]) for of_one in states]
    options = {"per_step": True, "hidden_size": 32, "random_state": 0, "device": "cpu", "n_threads": 1}
    chosen = estimator(**options).fit(X[:80], y[:80])
    assert chosen.n_iter_ < 100
    all_epochs = estimator(**options, max_epochs=200).fit(X[:80], y[:80])
    assert chosen.score(X[80:], y[80:]) > all_epochs.score(X[80:], y[80:]) + 0.03


def test_per_step_epochs_are_not_sought_where_they_are_given_or_known():
    X, states = noisy_states(30)
    options = {"per_step": True, "hidden_size": 4, "random_state": 0, "device": "cpu", "n_threads": 1}
    assert RNNRegressor(**options, max_epochs=3).fit(X, states).n_iter_ == 3
    held_out = RNNRegressor(**options, early_stopping=True, n_iter_no_change=1, tol=10.0).fit(X, states)
    assert "valid_loss" in held_out.history_
    assert RNNRegressor(**options).fit(X[:2], states[:2]).n_iter_ == 200  # too few to leave any out
