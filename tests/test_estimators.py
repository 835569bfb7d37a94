"""RNNRegressor and RNNClassifier beyond scikit-learn's own checks."""

import pickle
import subprocess
import sys
from functools import partialmethod

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import StackingRegressor, VotingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
)

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, Sequences
from sklearn_rnn._device import is_joblib_worker, torch_threads
from sklearn_rnn._net_estimator import automatic_batch_size
from sklearn_rnn._optimizers import OPTIMIZERS
from sklearn_rnn._validation import stratified_split
from sklearn_rnn.nets.fused import n_threads_here

TINY = {"hidden_size": 8, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu"}


@pytest.fixture
def series():
    """Noisy sums of the last two steps, as windows of 6 steps with 2 channels."""
    values = np.random.default_rng(0).normal(size=(305, 2)).astype(np.float32)
    X = Sequences(values, np.arange(300), np.full(300, 6))
    y = np.array([window[-1, 0] + window[-2, 1] for window in X], dtype=float)
    return X, y


# What it learns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_every_cell_learns_a_sum_over_steps(series, cell):
    X, y = series
    model = RNNRegressor(cell=cell, hidden_size=16, max_epochs=40, random_state=0).fit(X[:250], y[:250])
    assert model.score(X[250:], y[250:]) > 0.9


@pytest.mark.parametrize("loss", ["absolute_error", "huber"])
def test_robust_losses_resist_outliers(series, loss):
    X, y = series
    spoiled = y.copy()
    spoiled[::25] += 100
    model = RNNRegressor(hidden_size=16, max_epochs=40, loss=loss, random_state=0).fit(X, spoiled)
    squared = clone(model).set_params(loss="squared_error").fit(X, spoiled)
    assert np.median(abs(model.predict(X) - y)) < np.median(abs(squared.predict(X) - y)) / 2


def test_poisson_predicts_rates_in_units_of_y(series):
    X, y = series
    counts = np.random.default_rng(1).poisson(np.exp(y))
    model = RNNRegressor(hidden_size=16, max_epochs=30, loss="poisson", random_state=0).fit(X, counts)
    assert (model.predict(X) > 0).all()
    assert model.predict(X).mean() == pytest.approx(counts.mean(), rel=0.1)
    assert np.corrcoef(np.log(model.predict(X)), y)[0, 1] > 0.9


def test_units_of_x_and_y_do_not_matter(series):
    X, y = series
    scaled = Sequences(X.values * np.float32(2**20) + np.float32(2**18), X.starts, X.lengths)
    plain = RNNRegressor(**TINY).fit(X, y).predict(X)
    large = RNNRegressor(**TINY).fit(scaled, y * 1e6 + 1e9).predict(scaled)
    np.testing.assert_allclose((large - 1e9) / 1e6, plain, atol=1e-3)


def test_several_outputs_come_back_in_their_shape(series):
    X, y = series
    both = RNNRegressor(hidden_size=16, max_epochs=40, random_state=0).fit(X, np.column_stack([y, -2 * y]))
    assert both.predict(X[:7]).shape == (7, 2)
    assert both.score(X, np.column_stack([y, -2 * y])) > 0.9
    assert RNNRegressor(**TINY).fit(X, y).predict(X[:7]).shape == (7,)
    assert RNNRegressor(**TINY).fit(X, y[:, None]).predict(X[:7]).shape == (7, 1)


def test_every_form_of_the_same_input_gives_the_same_model(series):
    X, y = series
    dense = np.asarray(X)
    expected = RNNRegressor(**TINY).fit(X, y).predict(X)
    for form in (dense, list(dense), dense.reshape(len(dense), -1)):
        model = RNNRegressor(**TINY, n_channels=2).fit(form, y)
        np.testing.assert_array_equal(model.predict(form), expected)


def test_unequal_lengths_predict_alone_as_in_company():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 2)).astype(np.float32) for length in rng.integers(1, 30, size=60)]
    y = np.array([len(x) for x in X]) > 15
    model = RNNClassifier(hidden_size=8, max_epochs=100, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9
    together = model.predict_proba(X)
    alone = np.concatenate([model.predict_proba([x]) for x in X])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_predictions_have_the_same_bits_alone_and_in_any_batch(series):
    X, y = series
    model = RNNRegressor(**TINY).fit(X, y)
    together = model.predict(X)
    for rows in ([0], [299], list(range(8, 17)), list(range(299, -1, -1))):
        np.testing.assert_array_equal(model.predict(X[rows]), together[rows])


@pytest.mark.parametrize("n_outputs", [1, 2, 3, 5])
@pytest.mark.parametrize("hidden_size", [6, 30, 64, 200])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_products_of_few_rows_are_rounded_as_those_of_many(pooling, fused, hidden_size, n_outputs):
    X = np.random.default_rng(0).normal(size=(300, 9))
    options = {"hidden_size": hidden_size, "fused": fused, "pooling": pooling}
    model = RNNRegressor(**options, max_epochs=1, random_state=0, early_stopping=True)
    together = model.fit(X, X[:, -n_outputs:]).predict(X)
    for rows in ([0], list(range(8)), list(range(3, 20)), list(range(290))):
        np.testing.assert_array_equal(model.predict(X[rows]), together[rows])


@pytest.mark.parametrize("horizon", [1, 3, 10])
def test_a_series_is_forecast_alike_alone_and_in_company(horizon):
    """Windows of 98 rows and states of 30 features, which fill no whole cache line."""
    days = pd.date_range("2023-01-01", periods=400)
    y = np.random.default_rng(0).normal(size=(20, 400)).cumsum(axis=1)
    df = pd.concat([pd.DataFrame({"day": days, "shop": shop, "y": y[shop]}) for shop in range(20)])
    model = RNNForecaster("y", horizon, time="day", group="shop", hidden_size=30, max_epochs=1, random_state=0).fit(df)
    assert model.n_steps_ == 98
    together = model.predict(df)
    for shop in (0, 5, 19):
        alone = model.predict(df[df["shop"] == shop])
        np.testing.assert_array_equal(alone["y"], together[together["shop"] == shop]["y"])


# Weights, classes -----------------------------------------------------------------------------------------------------


def test_class_weights_move_the_decision(series):
    X, y = series
    rare = y > 1.5
    plain = RNNClassifier(**TINY).fit(X, rare)
    balanced = RNNClassifier(**TINY, class_weight="balanced").fit(X, rare)
    assert balanced.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean() + 0.1


def test_samples_of_weight_zero_are_as_absent(series):
    X, y = series
    kept = np.arange(len(y)) % 3 > 0
    weighted = RNNRegressor(**TINY).fit(X, np.where(kept, y, 1e6), sample_weight=kept.astype(float))
    np.testing.assert_array_equal(weighted.predict(X), RNNRegressor(**TINY).fit(X[kept], y[kept]).predict(X))


def test_one_class_is_predicted_with_certainty(series):
    X, _ = series
    model = RNNClassifier(**TINY).fit(X, np.full(len(X), "only"))
    assert set(model.predict(X)) == {"only"}
    assert (model.predict_proba(X) == 1).all()


def test_string_labels_come_back():
    X = np.array([[0.0, 0, 0], [5, 5, 5]] * 20)
    model = RNNClassifier(hidden_size=8, max_epochs=20, random_state=0).fit(X, ["low", "high"] * 20)
    assert model.classes_.tolist() == ["high", "low"]
    assert model.predict([[0.0, 0, 0], [5, 5, 5]]).tolist() == ["low", "high"]


# Training -------------------------------------------------------------------------------------------------------------


def test_the_best_epochs_weights_come_back(series):
    X, _ = series
    noise = np.random.default_rng(5).normal(size=len(X))  # nothing to learn, so it overfits
    model = RNNRegressor(hidden_size=32, early_stopping=True, max_epochs=60, learning_rate=0.02, random_state=0)
    model.fit(X, noise)
    losses = model.history_["valid_loss"]
    assert model.best_epoch_ == losses.idxmin() + 1
    assert model.n_iter_ == len(losses) < 60
    held_out = X[-30:]
    std = noise[:-30].std()
    loss = np.mean(((model.predict(held_out) - noise[-30:]) / std) ** 2)
    assert loss == pytest.approx(losses.min(), rel=1e-4)


@pytest.mark.parametrize("seed", [1, 2])
def test_training_waits_for_a_net_that_has_yet_to_begin_to_learn(seed):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, size=(2_000, 6)).astype(float)
    parity = bits.sum(axis=1) % 2 == 1  # no bit tells of it alone
    model = RNNClassifier(random_state=seed, device="cpu").fit(bits[:1_500], parity[:1_500])
    assert "valid_loss" in model.history_
    assert model.score(bits[1_500:], parity[1_500:]) == 1


def test_training_does_not_wait_for_a_net_that_learns_by_heart():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 12)), rng.normal(size=600)
    model = RNNRegressor(max_epochs=200, early_stopping=True, random_state=0, device="cpu").fit(X, y)
    assert model.best_epoch_ + 10 <= model.n_iter_ < 60  # the learning rate rises until then


def test_the_last_rows_validate_a_regressor(series):
    X, y = series
    changed = y.copy()
    changed[-30:] = 50.0
    first = RNNRegressor(**TINY, early_stopping=True).fit(X, y)
    second = RNNRegressor(**TINY, early_stopping=True).fit(X, changed)
    np.testing.assert_array_equal(first.history_["train_loss"], second.history_["train_loss"])
    assert (second.history_["valid_loss"] > 100 * first.history_["valid_loss"]).all()


def test_a_stratified_split_keeps_the_shares_of_classes():
    codes = np.repeat([0, 1, 2], [700, 200, 100])
    train, held_out = stratified_split(codes, 100, np.random.RandomState(0))
    assert np.bincount(codes[held_out]).tolist() == [70, 20, 10]
    assert sorted([*train, *held_out]) == list(range(1000))


@pytest.mark.parametrize("seed", range(40))
def test_no_class_loses_its_last_sample_to_validation(seed):
    codes = np.r_[np.zeros(200, int), np.arange(1, 101)]
    train, held_out = stratified_split(codes, 30, np.random.RandomState(seed))
    assert set(codes[train]) == set(codes)
    assert 10 <= len(held_out) <= 30
    assert sorted([*train, *held_out]) == list(range(300))
    train, held_out = stratified_split(np.arange(20), 2, np.random.RandomState(seed))  # there is nothing else
    assert len(held_out) == 2


def test_validation_data_of_ones_own_replace_the_held_out_share(series):
    X, y = series
    given = RNNRegressor(**TINY).fit(X[:250], y[:250], X_val=X[250:], y_val=y[250:])
    assert "valid_loss" in given.history_
    alone = RNNRegressor(**TINY).fit(X[:250], y[:250])
    np.testing.assert_array_equal(given.history_["train_loss"], alone.history_["train_loss"])


def test_warm_start_goes_on_where_fit_ended(series):
    X, y = series
    model = RNNRegressor(**{**TINY, "max_epochs": 15}, warm_start=True).fit(X, y)
    before = model.history_["train_loss"].iloc[-1]
    model.fit(X, y)
    assert model.n_iter_ == 30
    assert model.history_["train_loss"].iloc[-1] < before
    assert model.history_["epoch"].tolist() == list(range(1, 31))
    assert clone(model).set_params(warm_start=False).fit(X, y).n_iter_ == 15


def test_partial_fit_adds_an_epoch_a_call(series):
    X, y = series
    model = RNNRegressor(**{**TINY, "learning_rate": 0.01})
    for _ in range(20):
        model.partial_fit(X, y)
    assert model.n_iter_ == 20
    assert model.score(X, y) > 0.8


def test_partial_fit_knows_classes_that_come_later(series):
    X, y = series
    model = RNNClassifier(**TINY).partial_fit(X[:10], np.zeros(10), classes=[0, 1, 2])
    model.partial_fit(X[:10], np.full(10, 2))
    assert model.predict_proba(X).shape == (300, 3)
    with pytest.raises(ValueError, match="class .*7.* not among"):
        model.partial_fit(X[:10], np.full(10, 7))


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "plateau", "constant"])
def test_schedules_move_the_learning_rate_as_named(series, schedule):
    X, y = series
    model = RNNRegressor(**{**TINY, "max_epochs": 30}, learning_rate=0.01, schedule=schedule, n_iter_no_change=2)
    noise = np.random.default_rng(0).normal(size=len(X))
    model.set_params(early_stopping=False).fit(X[:250], noise[:250], X_val=X[250:], y_val=noise[250:])
    rates = model.history_["learning_rate"]
    assert rates.max() <= 0.01 + 1e-9
    if schedule == "constant":
        assert (rates == 0.01).all()
    elif schedule == "one_cycle":
        assert 5 <= rates.idxmax() <= 11
        assert rates.iloc[-1] < 1e-3 * rates.max()
    else:
        assert rates.is_monotonic_decreasing
        assert rates.iloc[-1] < 0.01


@pytest.mark.parametrize(("name", "optimizer"), OPTIMIZERS.items())
def test_an_optimizer_by_name_does_what_torchs_own_class_does(series, name, optimizer):
    X, y = series
    decay = {"decoupled_weight_decay": True} if name in ("nadam", "radam") else {}
    own = type("Own", (optimizer,), {"__init__": partialmethod(optimizer.__init__, **decay)})
    options = {**TINY, "dtype": "float64", "weight_decay": 0.1, "learning_rate": 0.01}
    by_name, by_class = (RNNRegressor(**options, optimizer=choice).fit(X, y).predict(X) for choice in (name, own))
    np.testing.assert_allclose(by_name, by_class, rtol=1e-10)


@pytest.mark.parametrize("optimizer", ["adam", "nadam"])
def test_weight_decay_does_not_rule_the_steps(series, optimizer):
    """A decay of 0.01 in Adam's gradient does: of the variance it left 65 times as much."""
    X, y = series
    options = {**TINY, "max_epochs": 30, "learning_rate": 0.02}
    scores = {name: RNNRegressor(**options, optimizer=name).fit(X, y).score(X, y) for name in (optimizer, "adamw")}
    assert 1 - scores[optimizer] < 4 * (1 - scores["adamw"])


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", torch.optim.Adagrad])
def test_optimizers_by_name_or_class(series, optimizer):
    X, y = series
    history = RNNRegressor(**{**TINY, "max_epochs": 10}, optimizer=optimizer, learning_rate=0.02).fit(X, y).history_
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]


def test_callbacks_are_skorchs(series):
    class CountBatches(Callback):
        n_batches = 0

        def on_batch_end(self, net, training, **kwargs):
            self.n_batches += training
            assert net.history[-1, "batches", -1, "train_loss"] > 0

    X, y = series
    counter = CountBatches()
    RNNRegressor(**TINY, callbacks=[counter], batch_size=100, early_stopping=False).fit(X, y)
    assert counter.n_batches == 9


@pytest.mark.parametrize("monitor", ["valid_loss_best", "train_loss_best"])
def test_skorchs_checkpoint_keeps_the_best_epochs(series, monitor, tmp_path):
    X, y = series
    checkpoint = Checkpoint(monitor=monitor, dirname=tmp_path, f_optimizer=None, f_criterion=None, f_history=None)
    options = {**TINY, "max_epochs": 12, "learning_rate": 0.3, "schedule": "constant", "n_iter_no_change": 12, "tol": 0}
    model = RNNRegressor(**options, callbacks=[checkpoint], early_stopping=True, blend=False).fit(X, y)
    losses = model.history_[monitor.removesuffix("_best")]
    saved = model.history_["event_cp"]
    assert saved.tolist() == (losses < losses.cummin().shift(fill_value=np.inf)).tolist()
    assert not saved.all()
    if monitor == "valid_loss_best":
        weights = torch.load(tmp_path / "params.pt", weights_only=True)
        assert all(torch.equal(weights[name], value) for name, value in model.net_.module_.state_dict().items())
    assert not [name for name in model.history_ if name.endswith("_best")]


@pytest.mark.parametrize("callback", [EpochScoring("r2"), ("by_batch", BatchScoring("r2")), PassthroughScoring])
def test_callbacks_that_score_are_refused(series, callback):
    with pytest.raises(TypeError, match=r"callbacks has \w+Scoring, .* ScoringMonitor .*, set by"):
        RNNRegressor(**TINY, callbacks=[callback]).fit(*series)


@pytest.mark.parametrize(
    "callback", [EarlyStopping, Checkpoint(), LRScheduler("ReduceLROnPlateau", monitor="valid_loss")]
)
def test_callbacks_that_watch_what_is_not_there_are_refused(series, callback):
    model = RNNRegressor(**TINY, schedule="constant", callbacks=[callback], early_stopping=False)
    with pytest.raises(
        ValueError, match="watches 'valid_loss(_best)?', but nothing is held out. Set early_stopping=True"
    ):
        model.fit(*series)
    model.set_params(callbacks=[EarlyStopping(monitor="train_loss")]).fit(*series)


class SeenRates(Callback):
    def initialize(self):
        self.rates = []
        return self

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])


def test_a_callback_that_sets_the_learning_rate_has_the_last_word(series):
    """As it would in skorch: a rate set at the end of an epoch is that of each update of the next one."""
    X, y = series
    seen, decay = SeenRates(), LRScheduler("StepLR", step_size=1, gamma=0.1)
    options = {**TINY, "max_epochs": 3, "batch_size": -(-len(X) // 4), "learning_rate": 0.01}
    model = RNNRegressor(**options, schedule="constant", callbacks=[seen, decay], early_stopping=False).fit(X, y)
    np.testing.assert_allclose(np.reshape(seen.rates, (3, 4)), np.repeat([[0.01], [0.001], [0.0001]], 4, axis=1))
    for schedule in ("one_cycle", "cosine"):
        with pytest.raises(ValueError, match=f"callbacks has LRScheduler, .* but so does schedule='{schedule}'"):
            model.set_params(schedule=schedule, callbacks=[("decay", decay)]).fit(X, y)


def test_silent_by_default(series, capfd):
    X, y = series
    RNNRegressor(**TINY).fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")


# Repeatability and state ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits_and_leaves_global_generators_alone(series):
    X, y = series
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 the legacy generator is what must stay untouched
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 as above
    first = RNNRegressor(**TINY, dropout=0.3).fit(X, y).predict(X)
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002 as above
    torch.manual_seed(4)
    np.testing.assert_array_equal(first, RNNRegressor(**TINY, dropout=0.3).fit(X, y).predict(X))


def test_a_pickle_holds_arrays_and_plain_values_alone(series):
    X, y = series
    model = RNNRegressor(**TINY).fit(X, y)
    data = pickle.dumps(model)
    assert b"torch" not in data
    assert b"skorch" not in data
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.net_.module_.config == model.net_.module_.config
    pd.testing.assert_frame_equal(again.history_, model.history_)
    again.partial_fit(X, y)


def test_a_model_of_an_absent_device_predicts_here(series):
    X, y = series
    model = RNNRegressor(**TINY).fit(X, y)
    state = {**model.__getstate__(), "device_": "cuda:7"}
    moved = RNNRegressor()
    moved.__setstate__(state)
    np.testing.assert_array_equal(moved.predict(X), model.predict(X))
    assert moved.device_ != "cuda:7"


def test_threads_that_compute_at_a_time_leave_torchs_setting():
    """One that begins while another computes finds that one's setting: the last to end restores the first's."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, second = torch_threads(1), torch_threads(1)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
        assert torch.get_num_threads() == 2
        with torch_threads(1), torch_threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_callers_threads_are_restored_even_after_an_error(series):
    X, y = series
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        RNNRegressor(**TINY).fit(X, y).predict(X)
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="loss became"):
            RNNRegressor(**{**TINY, "learning_rate": 1e30}, gradient_clip=None).fit(X, y)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class WeightsOfUpdates(Callback):
    """The weights of the head that each update leaves."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            self.seen.append(net.module_.head.weight.detach().numpy().copy())


def test_averaged_weights_are_the_mean_of_all_updates_the_later_the_heavier():
    X = np.random.default_rng(0).normal(size=(100, 5))
    seen = WeightsOfUpdates()
    model = RNNRegressor(**TINY, dtype="float64", average=True, callbacks=[seen]).fit(X, X.sum(axis=1))
    updates = np.arange(1, len(seen.seen) + 1)
    expected = np.average(seen.seen, axis=0, weights=updates)
    np.testing.assert_allclose(model.net_.module_.head.weight.detach().numpy(), expected, rtol=1e-12)
    plain = RNNRegressor(**TINY, dtype="float64", callbacks=[other := WeightsOfUpdates()]).fit(X, X.sum(axis=1))
    np.testing.assert_array_equal(other.seen, seen.seen)  # training goes on from the last weights, not from their mean
    np.testing.assert_array_equal(plain.net_.module_.head.weight.detach().numpy(), other.seen[-1])


class ThreadsInUse(Callback):
    """Threads of torch and of the compiled cells during training."""

    def on_train_begin(self, net, **kwargs):
        self.in_use = torch.get_num_threads(), n_threads_here()


def threads_of_a_fit(series, **options):
    seen = ThreadsInUse()
    RNNRegressor(**{**TINY, "n_threads": None, **options}, callbacks=[seen]).fit(*series)
    return seen.in_use


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_only_threads_that_sleep_are_used_for_small_nets(series):
    pytest.importorskip("numba", reason='the extra "fast" is not installed')
    assert threads_of_a_fit(series) == (1, 2)
    assert threads_of_a_fit(series, fused=False) == (1, 1)
    assert threads_of_a_fit(series, fused=False, n_threads=2) == (2, 2)
    assert threads_of_a_fit(series, n_threads=3) == (1, 3)


@pytest.mark.usefixtures("_two_threads")
def test_a_worker_of_joblib_has_one_thread(series):
    in_use = Parallel(n_jobs=2, backend="threading")(delayed(threads_of_a_fit)(series) for _ in range(2))
    assert in_use == [(1, 1), (1, 1)]


@pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
def test_a_worker_of_joblib_is_known_by_any_backend(backend):
    assert Parallel(n_jobs=2, backend=backend)(delayed(is_joblib_worker)() for _ in range(2)) == [True, True]
    assert not is_joblib_worker()


def test_float64_is_float64_throughout(series):
    X, y = series
    model = RNNRegressor(**TINY, dtype="float64").fit(X.astype(np.float64), y)
    assert {weight.dtype for weight in model.net_.module_.state_dict().values()} == {torch.float64}


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_compiled_cells_and_torchs_own_give_the_same_model(series, cell):
    X, y = series
    options = {**TINY, "dtype": "float64", "cell": cell, "bidirectional": True}
    compiled = RNNRegressor(**options).fit(X, y).predict(X)
    np.testing.assert_allclose(compiled, RNNRegressor(**options, fused=False).fit(X, y).predict(X), rtol=1e-8)


def test_auto_batches_are_powers_of_two():
    assert [automatic_batch_size(n) for n in (5, 36, 300, 1000, 10**6)] == [5, 16, 16, 32, 128]


def test_importing_the_package_leaves_the_users_threads_alone():
    imports = "import torch; torch.set_num_threads(2); from sklearn_rnn import RNNForecaster, RNNRegressor"
    script = f"{imports}; assert torch.get_num_threads() == 2"
    subprocess.run([sys.executable, "-c", script], check=True)


# Through scikit-learn -------------------------------------------------------------------------------------------------


def test_sequences_go_through_scikit_learns_tools(series):
    X, y = series
    model = RNNRegressor(**TINY)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert isinstance(X_train, Sequences)
    assert cross_val_predict(model, X, y, cv=3).shape == y.shape
    voting = VotingRegressor([("a", model), ("b", clone(model).set_params(cell="rnn"))]).fit(X_train, y_train)
    assert voting.predict(X_test).shape == y_test.shape
    stacking = StackingRegressor([("a", model)], LinearRegression(), cv=2).fit(X_train, y_train)
    assert stacking.predict(X_test).shape == y_test.shape
    scaled = TransformedTargetRegressor(model, func=np.sinh, inverse_func=np.arcsinh).fit(X_train, y_train)
    assert scaled.predict(X_test).shape == y_test.shape


def test_a_search_gives_the_same_scores_in_processes(series):
    X, y = series
    grid = {"cell": ["rnn", "gru"], "hidden_size": [4, 8]}
    searches = [GridSearchCV(RNNRegressor(**TINY), grid, cv=2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)


# Bad input ------------------------------------------------------------------------------------------------------------

GOOD_X, GOOD_Y = np.random.default_rng(0).normal(size=(20, 6, 2)), np.arange(20.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cell": "lsmt"}, "'cell' parameter .* must be a str among .*gru"),
        ({"loss": "mse"}, "'loss' parameter .* must be a str among .*squared_error"),
        ({"device": "cuda:9"}, r"device is 'cuda:9', but this machine has \['cpu'\]|cuda:0"),
        ({"hidden_size": 0}, "'hidden_size' parameter .* must be an int in the range"),
        ({"nonlinearity": "relu"}, "relu' is for cell='rnn' alone, but cell is 'gru'"),
        ({"learning_rate": 1e30, "gradient_clip": None}, "loss became .* in epoch 1.* Lower learning_rate"),
        ({"optimizer": "adamx"}, "'optimizer' parameter .* must be a str among .*adamw"),
    ],
)
def test_bad_parameters_are_named_with_what_is_allowed(parameters, message):
    with pytest.raises(ValueError, match=message):
        RNNRegressor(**{**TINY, **parameters}).fit(GOOD_X, GOOD_Y)


def _with(X, value, position=(3, 2, 1)):
    X = X.copy()
    X[position] = value
    return X


BAD_DATA = {
    "inf": (_with(GOOD_X, np.inf), GOOD_Y, "infinity"),
    "too large for float32": (_with(GOOD_X, 1e300), GOOD_Y, "infinity or a value too large for float32"),
    "all NaN": (np.full_like(GOOD_X, np.nan), GOOD_Y, "Sample 0 of X is all NaN"),
    "a sample all NaN": (_with(GOOD_X, np.nan, 4), GOOD_Y, "Sample 4 of X is all NaN"),
    "strings": ([["a", "b"], ["c", "d"]], [0.0, 1.0], "could not convert string to float"),
    "strings in a ragged list": ([["a"], ["c", "d"]], [0.0, 1.0], "Sample 0 of X cannot be used: could not convert"),
    "empty": (np.empty((0, 6, 2)), np.empty(0), "at least one sample"),
    "a Series of numbers": (pd.Series(GOOD_Y), GOOD_Y, "Expected 2D array|Expected a 2-dimensional container"),
    "a table of sequences": (
        pd.DataFrame({"a": [1.0] * 20, "b": list(GOOD_X)}),
        GOOD_Y,
        "Column 'b' of X has a sequence in each cell. Pass X\\['b'\\] itself",
    ),
    "no steps": (np.empty((20, 0, 2)), GOOD_Y, "at least one sample, step and channel"),
    "ragged channels": ([np.ones((3, 2)), np.ones((4, 3))], [0.0, 1.0], "Sample 1 of X has 3 channels, but sample 0"),
    "y of another length": (GOOD_X, GOOD_Y[:-1], "inconsistent numbers of samples"),
    "y with NaN": (GOOD_X, _with(GOOD_Y, np.nan, 3), "Input y contains NaN, first in row 3. Leave out"),
    "y with inf": (GOOD_X, _with(GOOD_Y, np.inf, 3), "Input y contains infinity"),
    "no y": (GOOD_X, None, "requires y to be passed"),
    "y of three dimensions": (GOOD_X, np.ones((20, 2, 2)), "y has shape|Found array with dim 3"),
    "four dimensions": (np.ones((20, 2, 2, 2)), GOOD_Y, "dim 4|4 dimensions"),
}


@pytest.mark.parametrize(("X", "y", "message"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data_is_refused_before_training_and_an_earlier_fit_stays(X, y, message):
    model = RNNRegressor(**TINY).fit(GOOD_X, GOOD_Y)
    before, expected = vars(model).copy(), model.predict(GOOD_X)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    np.testing.assert_array_equal(model.predict(GOOD_X), expected)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(20), "not all zero"),
        (np.linspace(-1, 5, 20), "must not be negative"),
        (np.ones(7), r"sample_weight.shape is \(7,\), but must be \(20,\)"),
        (np.full(20, np.nan), "sample_weight contains NaN"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        RNNRegressor(**TINY).fit(GOOD_X, GOOD_Y, sample_weight=weights)


def test_other_channels_than_in_fit_are_refused_by_name():
    names = ["load", "wind"]
    X = Sequences(np.ones((20, 2)), np.arange(20), np.ones(20, int), channel_names=names)
    model = RNNRegressor(**TINY).fit(X, GOOD_Y)
    assert model.feature_names_in_.tolist() == names
    with pytest.raises(ValueError, match=r"X has 3 channels, but the model was fitted with 2 \(load, wind\)"):
        model.predict(np.ones((5, 6, 3)))
    with pytest.raises(ValueError, match="X has the channels wind, load, but the model was fitted with load, wind"):
        model.predict(Sequences(X.values, X.starts, X.lengths, channel_names=names[::-1]))


def test_other_columns_than_in_fit_are_refused():
    model = RNNRegressor(**TINY).fit(GOOD_X[:, :, 0], GOOD_Y)
    with pytest.raises(ValueError, match="X has 5 features, but RNNRegressor is expecting 6 features"):
        model.predict(GOOD_X[:, :5, 0])


def test_columns_must_make_whole_steps():
    with pytest.raises(ValueError, match="X has 6 columns, which is no positive multiple of n_channels=4"):
        RNNRegressor(**TINY, n_channels=4).fit(GOOD_X[:, :, 0], GOOD_Y)


def test_prediction_before_fit_says_so():
    with pytest.raises(NotFittedError):
        RNNRegressor().predict("anything at all")


def test_half_of_the_validation_data_is_refused():
    with pytest.raises(ValueError, match="X_val is given without y_val"):
        RNNRegressor(**TINY).fit(GOOD_X, GOOD_Y, X_val=GOOD_X)


def test_early_stopping_needs_a_second_sample():
    with pytest.raises(ValueError, match="there is 1 sample"):
        RNNRegressor(**TINY, early_stopping=True).fit(GOOD_X[:1], GOOD_Y[:1])


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="loss='poisson' is for counts, but y has a smallest value of -1"):
        RNNRegressor(**TINY, loss="poisson").fit(GOOD_X, GOOD_Y - 1)


def test_a_table_with_a_time_index_is_warned_about():
    table = pd.DataFrame(GOOD_X[:, :, 0], index=pd.date_range("2020", periods=20)).rename(columns=str)
    with pytest.warns(UserWarning, match="each of its rows is read as one sequence.*SlidingWindow"):
        RNNRegressor(**TINY).fit(table, GOOD_Y)


def test_a_failing_first_fit_leaves_nothing_behind():
    model = RNNRegressor(**TINY)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(GOOD_X[:, :, 0], _with(GOOD_Y, np.nan, 0))
    assert vars(model) == vars(RNNRegressor(**TINY))


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e9, 1e-20])
def test_a_constant_target_is_predicted_to_rounding(constant):
    predicted = RNNRegressor(**TINY).fit(GOOD_X, np.full(20, constant)).predict(GOOD_X)
    np.testing.assert_allclose(predicted, constant, rtol=1e-5, atol=1e-5 if constant == 0 else 0)
