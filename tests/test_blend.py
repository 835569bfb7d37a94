"""The ridge regression beside RNNRegressor's net: its weights, its share, what becomes of the predictions."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge

from sklearn_rnn import RNNClassifier, RNNRegressor, _blend, load, save
from sklearn_rnn.sequences import as_sequences

STOPPING = {"hidden_size": 4, "max_epochs": 2, "early_stopping": True, "random_state": 0, "n_threads": 1}
N_TRAIN = 270  # of 300 samples, the others are held out


def linear_task(n_samples=300, n_steps=8, noise=0.1, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_samples, n_steps))
    return X, X[:, -1] - 2 * X[:, -3] + noise * random.normal(size=n_samples)


def sequences_of_all_kinds(seed=0):
    """Two numeric channels, one of them with gaps, and categories; from 3 to 9 steps; two targets."""
    random = np.random.default_rng(seed)
    X, y = [], []
    for length in random.integers(3, 10, size=300):
        numbers, codes = random.normal([5, -100], [2, 30], size=(length, 2)), random.integers(0, 3, size=length)
        y.append([numbers[-1, 0] + numbers[-2, 1] / 10, numbers[-3, 0] + codes[-1]])
        numbers[random.random(length) < 0.2, 1] = np.nan
        X.append(np.column_stack([numbers, codes]))
    return X, np.array(y)


def newest_numbers(X, n_steps, mean, scale, missing=()):
    """What the regression is to read, sequence by sequence and step by step."""
    rows = []
    for sequence in X:
        row = []
        for step in range(len(sequence) - n_steps, len(sequence)):
            if step < 0:
                row += [0.0] * (len(mean) + len(missing))
                continue
            values = sequence[step, : len(mean)]
            row += np.nan_to_num(np.clip((values - mean) / scale, -10, 10)).tolist()
            row += [float(np.isnan(values[i])) for i in missing]
        rows.append(row)
    return np.array(rows)


def ridge(rows, y, penalty, weights=None):
    """scikit-learn's, with the penalty in units of the mean variance."""
    weights = np.ones(len(rows)) if weights is None else weights
    mean = np.average(rows, axis=0, weights=weights)
    variance = np.average(np.square(rows - mean), axis=0, weights=weights).mean()
    return Ridge(alpha=penalty * variance * weights.sum()).fit(rows, y, sample_weight=weights)


def best_ridge(train, held_out, weights, held_out_weights):
    fits = [ridge(*train, float(penalty), weights) for penalty in _blend.PENALTIES]
    losses = [np.average((fit.predict(held_out[0]) - held_out[1]) ** 2, weights=held_out_weights) for fit in fits]
    assert 0 < np.argmin(losses) < len(fits) - 1
    return fits[np.argmin(losses)]


@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_the_nets_share_and_the_rest_of_the_best_ridge_regression(weighted):
    X, y = linear_task(n_steps=60, noise=4.0)
    weights = np.random.default_rng(1).uniform(0.1, 2, size=len(y)) if weighted else None
    given = np.ones(len(y)) if weights is None else weights
    model, net = (RNNRegressor(**STOPPING, dtype="float64", blend=blend).fit(X, y, weights) for blend in (True, False))
    train, held_out = (X[:N_TRAIN], y[:N_TRAIN]), (X[N_TRAIN:], y[N_TRAIN:])
    rows = [newest_numbers(part[0][:, :, None], 60, *units(model)) for part in (train, held_out)]
    fit = best_ridge((rows[0], train[1]), (rows[1], held_out[1]), given[:N_TRAIN], given[N_TRAIN:])
    of_net, of_ridge = net.predict(held_out[0]), fit.predict(rows[1])
    shares = np.linspace(1, 0, 21)
    losses = [
        np.average((share * of_net + (1 - share) * of_ridge - held_out[1]) ** 2, weights=given[N_TRAIN:])
        for share in shares
    ]
    share = shares[np.argmin(losses)]
    np.testing.assert_allclose(model.net_share_, share, rtol=1e-6)
    assert share < 0.5
    new = np.random.default_rng(2).normal(size=(50, 60))
    expected = share * net.predict(new) + (1 - share) * fit.predict(newest_numbers(new[:, :, None], 60, *units(model)))
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-9, atol=1e-9)


def units(model):
    encoder = model.net_.module_.encoder
    return encoder.mean.double().numpy(), encoder.scale.double().numpy()


def test_it_reads_numbers_gaps_and_unequal_lengths_of_the_newest_steps():
    X, y = sequences_of_all_kinds()
    options = {**STOPPING, "dtype": "float64", "categorical_features": [2], "validation_split": "random"}
    model, net = (RNNRegressor(**options, blend=blend).fit(X[:250], y[:250]) for blend in (True, False))
    module = model.net_.module_
    assert module.linear_steps == 9
    rows = newest_numbers(X[250:], 9, *units(model), missing=[1])
    weights, bias = module.linear_weight.numpy(), module.linear_bias.numpy()
    mean, scale = (part.numpy() for part in module.output_units())
    share = model.net_share_
    of_net = share * (net.predict(X[250:]) - mean)
    np.testing.assert_allclose(model.predict(X[250:]), of_net + scale * (rows @ weights.T + bias) + mean, rtol=1e-9)
    errors = [np.mean((fitted.predict(X[250:]) - y[250:]) ** 2, axis=0) for fitted in (model, net)]
    assert (errors[0] < 0.7 * errors[1]).all()


def test_it_learns_the_change_from_the_anchor():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 10)).cumsum(axis=1) + 1e4 * random.random(size=(300, 1))
    y = X[:, -1] + 0.5 * (X[:, -1] - X[:, -2])
    model = RNNRegressor(**STOPPING, dtype="float64", anchor=0).fit(X, y)
    assert model.net_share_[0] < 0.5
    errors = model.predict(X[N_TRAIN:]) - y[N_TRAIN:]
    assert np.abs(errors).mean() < 0.1 * np.abs(y - X[:, -1])[N_TRAIN:].mean()


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_the_share_is_that_of_the_smallest_loss(loss):
    X, y = linear_task()
    y = y + np.where(np.random.default_rng(3).random(len(y)) < 0.1, 15, 0) + X[:, -2] * X[:, -1]
    options = {**STOPPING, "max_epochs": 30, "hidden_size": 16, "loss": loss}
    model, net = (RNNRegressor(**options, blend=blend).fit(X, y) for blend in (True, False))
    module = model.net_.module_
    share = model.net_share_[0]
    if share == 1:
        assert module.linear_steps == 0
        return
    mean, scale = (float(part) for part in module.output_units())
    of_net = (net.predict(X[N_TRAIN:]) - mean) / scale
    rows = newest_numbers(X[N_TRAIN:, :, None], 8, *units(model))
    linear = (rows @ module.linear_weight[0].numpy() + module.linear_bias.numpy()) / (1 - share)
    losses = {
        "squared_error": np.square,
        "absolute_error": np.abs,
        "huber": lambda e: np.where(np.abs(e) < 1, e**2 / 2, np.abs(e) - 0.5),
    }
    shares = np.linspace(1, 0, 21)
    wanted = (y[N_TRAIN:] - mean) / scale
    means = [losses[loss](s * of_net + (1 - s) * linear - wanted).mean() for s in shares]
    assert share == pytest.approx(shares[np.argmin(means)], abs=1e-6)


def test_of_few_samples_each_third_is_predicted_by_models_without_it():
    """Held-out thirds tell both kinds of tasks apart, where rows that were learned from would not."""
    random = np.random.default_rng(0)
    X = random.normal(size=(150, 40))
    options = {"hidden_size": 16, "random_state": 0, "n_threads": 1}
    of_noise = RNNRegressor(**options).fit(X, random.normal(size=150))
    of_lines = RNNRegressor(**options).fit(X[:, -6:], X[:, -6:] @ [1, 2, 3, -2, -1, 1])
    of_products = RNNRegressor(**options).fit(X[:, -3:], X[:, -1] * X[:, -2])
    assert of_lines.net_share_[0] == 0
    assert of_products.net_share_[0] > 0.9
    assert of_lines.score(X[:, -6:], X[:, -6:] @ [1, 2, 3, -2, -1, 1]) > 1 - 1e-6
    new = random.normal(size=(500, 40))
    assert np.var(of_noise.predict(new)) < 0.2  # of 40 weights by least squares it would be 40 / 110


def test_shares_of_few_samples_are_found_in_any_order():
    X, y = linear_task(200)
    order = np.argsort(y)
    for split in ("tail", "random"):
        model = RNNRegressor(hidden_size=8, validation_split=split, random_state=0).fit(X[order], y[order])
        assert model.net_share_[0] == 0
        assert np.mean((model.predict(X) - y) ** 2) < 0.02


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "poisson"},
        {"loss": "quantile"},
        {"max_epochs": 2, "early_stopping": False},
        {"blend": False},
        {"per_step": True},
    ],
)
def test_the_net_is_alone_where_the_docs_say_so(options):
    X, y = linear_task(60)
    targets = np.abs(X) if options.get("per_step") else np.abs(y)
    model = RNNRegressor(**{"hidden_size": 4, "random_state": 0, **options}).fit(X, targets)
    assert model.net_share_.tolist() == [1.0]
    assert model.net_.module_.linear_steps == 0


def test_it_reads_512_numbers_at_most():
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 90, 6))
    y = X[:, -1].sum(axis=1)
    model = RNNRegressor(**STOPPING).fit(X, y)
    assert model.net_.module_.linear_steps == 85
    wide = random.normal(size=(300, 1, 513))
    assert RNNRegressor(**STOPPING).fit(wide, wide[:, 0, 0]).net_share_ == 1


def test_it_is_fitted_to_samples_from_all_over(monkeypatch):
    X, y = linear_task(3_000, noise=1.0)
    y[::2] += 5  # every thirtieth sample would be one of these
    monkeypatch.setattr(_blend, "LARGEST", 99)
    model = RNNRegressor(**STOPPING).fit(X, y)
    assert model.net_share_[0] < 1
    assert model.predict(X).mean() == pytest.approx(y.mean(), abs=0.5)


def test_an_outlier_counts_as_ten_deviations():
    X, y = linear_task()
    model = RNNRegressor(**STOPPING).fit(X, y)
    far = X[:1].copy()
    predictions = []
    for value in (10, 1e3, 1e9, np.inf):
        far[0, -1] = value * X.std() + X.mean() if np.isfinite(value) else 1e30
        predictions.append(model.predict(far)[0])
    assert max(predictions) - min(predictions) < 1.0
    assert predictions[0] > 5  # as far as a line goes


def test_training_that_goes_on_trains_the_net_beside_the_regression():
    X, y = linear_task()
    model = RNNRegressor(**{**STOPPING, "early_stopping": "auto", "max_epochs": "auto"}).fit(X, y)
    assert model.net_share_[0] == 0
    before = model.net_.module_.linear_weight.clone()
    bent = y + 2 * np.tanh(X[:, -2])
    errors = [np.mean((model.predict(X) - bent) ** 2)]
    model.set_params(warm_start=True, max_epochs=30, early_stopping=False).fit(X, bent)
    errors.append(np.mean((model.predict(X) - bent) ** 2))
    for _ in range(5):
        model.partial_fit(X, bent)
    assert errors[1] < 0.3 * errors[0]
    assert torch.equal(model.net_.module_.linear_weight, before)
    with pytest.raises(ValueError, match="blend is False and was True"):
        model.set_params(blend=False).fit(X, bent)


def test_a_mixture_outlives_pickle_files_clone_and_onnx(tmp_path):
    X, y = sequences_of_all_kinds()
    model = RNNRegressor(**STOPPING, categorical_features=[2], anchor=0).fit(X, y)
    assert model.net_.module_.linear_steps
    expected = model.predict(X)
    save(model, tmp_path / "model.rnn")
    for copy in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model.rnn"), clone(model).fit(X, y)):
        np.testing.assert_array_equal(copy.predict(X), expected)
        np.testing.assert_array_equal(copy.net_share_, model.net_share_)


def test_a_sequence_is_predicted_alike_in_any_company():
    X, y = sequences_of_all_kinds()
    model = RNNRegressor(**STOPPING, categorical_features=[2]).fit(X, y)
    assert model.net_.module_.linear_steps
    together = model.predict(X)
    for i in (0, 17, 299):
        assert (model.predict(X[i : i + 1]) == together[i]).all()


def test_no_prediction_depends_on_steps_that_the_user_did_not_give():
    """Padding behind a short sequence repeats its last row, which is not to be read."""
    X, y = sequences_of_all_kinds()
    model = RNNRegressor(**STOPPING, categorical_features=[2]).fit(X, y)
    order = np.argsort([len(sequence) for sequence in X])
    each = np.concatenate([model.predict(as_sequences([X[i]])) for i in order])
    np.testing.assert_array_equal(model.predict([X[i] for i in order]), each)


def test_windows_of_a_table_are_forecast_as_well_as_by_ridge():
    random = np.random.default_rng(0)
    values = np.zeros(700)
    for i in range(2, 700):
        values[i] = 1.2 * values[i - 1] - 0.5 * values[i - 2] + random.normal()
    windows = np.lib.stride_tricks.sliding_window_view(values, 13)
    train, test = windows[:500], windows[500:]
    fit = ridge(train[:, :-1], train[:, -1], 1e-3)
    best = np.mean((fit.predict(test[:, :-1]) - test[:, -1]) ** 2)
    model = RNNRegressor(hidden_size=16, random_state=0).fit(pd.DataFrame(train[:, :-1]), train[:, -1])
    assert np.mean((model.predict(pd.DataFrame(test[:, :-1])) - test[:, -1]) ** 2) < 1.03 * best


@pytest.mark.parametrize("weights", [0.5 ** (np.arange(300)[::-1] / 3), np.where(np.arange(300) < 200, 1e-20, 1.0)])
def test_a_part_that_has_nearly_all_weight_leaves_the_others_theirs(weights):
    X, y = linear_task()
    options = {"hidden_size": 4, "random_state": 0, "batch_size": 300, "n_threads": 1}
    model = RNNRegressor(**options).fit(X, y, sample_weight=weights)
    assert np.average((model.predict(X) - y) ** 2, weights=weights) < np.average(y**2, weights=weights)


def test_parts_are_those_of_hand_made_regressions_where_weights_differ_by_much(monkeypatch):
    X, y = linear_task()
    weights = 0.5 ** (np.arange(300)[::-1] / 12)
    seen = []
    best_share = _blend.best_share
    monkeypatch.setattr(_blend, "best_share", lambda *args: seen.append(args[3]) or best_share(*args))
    options = {"hidden_size": 4, "random_state": 0, "dtype": "float64", "batch_size": 300, "n_threads": 1}
    model = RNNRegressor(**options).fit(X, y, sample_weight=weights)
    rows = newest_numbers(X[:, :, None], 8, *units(model))
    mean, scale = (float(part) for part in model.net_.module_.output_units())
    for i, of_part in enumerate(seen[0]):
        others = np.flatnonzero(np.arange(300) // 100 != i)
        fits = [ridge(rows[others], (y[others] - mean) / scale, float(p), weights[others]) for p in _blend.PENALTIES]
        assert min(np.abs(fit.coef_ - of_part[1:, 0].numpy()).max() for fit in fits) < 1e-7


def test_what_is_found_in_fit_is_not_there_before():
    assert not hasattr(RNNRegressor(), "net_share_")
    assert not hasattr(RNNRegressor(), "segment_size_")
    assert not hasattr(RNNClassifier(), "segment_size_")


@pytest.mark.parametrize("n_steps", [3, 8, 20])
def test_it_reads_the_newest_steps_of_any_length(n_steps):
    X = [
        np.random.default_rng(i).normal([5, -100], [2, 30], size=(length, 2)) for i, length in enumerate([8, 3, 8, 11])
    ]
    net = RNNRegressor(**STOPPING, blend=False).fit(X * 10, np.arange(40.0)).net_.module_
    mean, scale = net.encoder.mean.numpy(), net.encoder.scale.numpy()
    lengths = torch.tensor([len(x) for x in X])
    padded = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(x).float() for x in X], batch_first=True, padding_value=9
    )
    expected = newest_numbers(X, n_steps, mean, scale)
    np.testing.assert_allclose(net.linear_inputs(net.encoder(padded), lengths, n_steps=n_steps), expected, atol=1e-5)
    alike = padded[[0, 2], :8]
    np.testing.assert_allclose(
        net.linear_inputs(net.encoder(alike), None, n_steps=n_steps), expected[[0, 2]], atol=1e-5
    )
