"""The same bits for the same seed: in threads, in processes, in another interpreter, before and after pickling."""

import hashlib
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import cross_val_predict

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
X = np.random.default_rng(0).normal(size=(96, 7, 2))
Y = X[:, -1, 0] - X[:, 3, 1]
RAGGED = [x[: 1 + i % 7] for i, x in enumerate(X)]
TABLE = pd.DataFrame({"load": np.sin(np.arange(90) / 3)}, index=pd.date_range("2024", periods=90, freq="h"))


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def results():
    """Digests of predictions of every estimator, of parts that draw random numbers and parts that do not."""
    return {
        "regressor": digest(RNNRegressor(**TINY, dropout=0.3, n_layers=2).fit(X, Y).predict(X)),
        "classifier": digest(RNNClassifier(**TINY, pooling="attention").fit(RAGGED, Y > 0).predict_proba(RAGGED)),
        "stopping": digest(RNNRegressor(**TINY, early_stopping=True, validation_split="random").fit(X, Y).predict(X)),
        "forecaster": digest(RNNForecaster("load", 3, **TINY).fit(TABLE).predict()),
        "lstm": digest(RNNRegressor(**{**TINY, "fused": True}, cell="lstm", bidirectional=True).fit(X, Y).predict(X)),
    }


def test_another_interpreter_gives_the_same_bits():
    script = "import json, test_repeatability; print(json.dumps(test_repeatability.results()))"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
        "PYTHONHASHSEED": "7",
    }
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == results()


@contextmanager
def default(kind, value):
    get, put = getattr(torch, f"get_default_{kind}"), getattr(torch, f"set_default_{kind}")
    before = get()
    put(value)
    try:
        yield
    finally:
        put(before if kind == "dtype" else None)


@pytest.mark.parametrize(
    "modes_of_caller",
    [
        lambda: default("dtype", torch.float64),
        lambda: default("dtype", torch.float16),
        lambda: default("device", "meta"),
        torch.inference_mode,
        torch.no_grad,
    ],
    ids=["float64", "float16", "another device", "inference", "no gradients"],
)
def test_defaults_and_modes_of_torch_change_no_bit(modes_of_caller):
    def of_loaded():
        model = pickle.loads(pickle.dumps(RNNRegressor(**TINY).fit(X, Y)))
        before = model.predict(X)
        return model, digest(before, model.partial_fit(X, Y).predict(X))

    expected = results(), of_loaded()[1]
    with modes_of_caller():
        model, found = of_loaded()
        assert (results(), found) == expected
    model.partial_fit(X, Y)  # outside again


def test_processes_give_the_same_bits_as_one():
    model = RNNRegressor(**TINY, dropout=0.3)
    alone, in_two = (cross_val_predict(model, X, Y, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(alone, in_two)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_fits_in_threads_give_the_same_bits_as_one_after_the_other(dropout):
    def fit(seed):
        return RNNRegressor(**{**TINY, "random_state": seed}, dropout=dropout).fit(X, Y).predict(X)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(fit, range(8)))
    for seed, predicted in enumerate(together):
        np.testing.assert_array_equal(predicted, fit(seed))


@pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="torch's own cells round by the number of threads"
)
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_compiled_cells_of_small_nets_give_the_same_bits_in_two_threads(cell):
    one, two = ({**TINY, "fused": True, "n_threads": n} for n in (1, 2))
    first = RNNRegressor(**one, cell=cell).fit(X, Y).predict(X)
    np.testing.assert_array_equal(RNNRegressor(**two, cell=cell).fit(X, Y).predict(X), first)


FITTED = {
    "regressor": lambda: (RNNRegressor(**TINY).fit(X, Y), X),
    "compiled": lambda: (RNNRegressor(**{**TINY, "fused": True, "n_threads": 2}).fit(X, Y), X),
    "classifier": lambda: (RNNClassifier(**TINY, per_step=True).fit(RAGGED, [x[:, 0] > 0 for x in RAGGED]), RAGGED),
    "forecaster": lambda: (RNNForecaster("load", 3, **TINY, quantiles=(0.1, 0.9)).fit(TABLE), TABLE),
}


@pytest.mark.parametrize("kind", FITTED)
def test_eight_threads_predict_on_one_model_as_one_does(kind):
    model, data = FITTED[kind]()
    expected = pickle.dumps(model.predict(data))
    fresh = pickle.loads(pickle.dumps(model))
    together = threading.Barrier(8)

    def predict(model):
        together.wait()
        return [pickle.dumps(model.predict(data)) for _ in range(5)]

    for shared in (model, fresh):
        with ThreadPoolExecutor(8) as pool:
            for predictions in pool.map(predict, [shared] * 8):
                assert all(prediction == expected for prediction in predictions)


def test_threads_that_unpickle_a_net_at_once_share_one():
    data = pickle.dumps(RNNRegressor(**TINY).fit(X, Y))
    for _ in range(20):
        model, together = pickle.loads(data), threading.Barrier(4)

        def net(model=model, together=together):
            together.wait()
            return model.net_

        with ThreadPoolExecutor(4) as pool:
            nets = {id(net) for net in [future.result() for future in [pool.submit(net) for _ in range(4)]]}
        assert len(nets) == 1


def test_a_fit_on_a_cpu_leaves_the_seeds_of_gpus():
    """torch.manual_seed is for all devices: on a machine with GPUs it would begin their streams anew."""
    queued = torch.cuda._lazy_seed_tracker.get_calls()
    before = [len(queued), *queued]
    RNNRegressor(**{**TINY, "dropout": 0.2}).fit(X, Y)
    assert [len(queued), *queued] == before


def test_a_net_is_unpickled_without_a_random_number():
    model = pickle.loads(pickle.dumps(RNNRegressor(**TINY, quantiles=[0.1, 0.5], loss="quantile").fit(X, Y)))
    before = torch.get_rng_state()
    weights = model.net_.module_.state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert not any(weight.is_meta for weight in weights.values())
