"""Processes that train together end with one model, the one that a single process makes of all rows."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from together import LABELS, RARE, STOPPING, TRAIN, VALID, WEIGHTS, WHOLE, X_CODED, X_HOLED, X, Y

from sklearn_rnn import RNNClassifier, RNNRegressor, load

TESTS = Path(__file__).parent
EXAMPLE = TESTS.parent / "examples" / "distributed.py"


def torchrun(script, folder):
    """What two processes print. torchrun chooses a free port, and ends all where one fails."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def printed(folder):
    return torchrun(TESTS / "together.py", folder)


@pytest.fixture(scope="module")
def told(folder, printed):
    """What each of the two processes tells."""
    return [pickle.loads((folder / f"told{rank}").read_bytes()) for rank in (0, 1)]


def weights_of(model):
    return model.net_.module_.state_dict()


@pytest.mark.parametrize(
    "name",
    ["whole", "weighted", "coded", "holed", "classes", "balanced", "stopping", "unequal", "lone", "noisy", "resumed"],
)
def test_all_processes_have_the_same_weights_scaling_and_losses(told, name):
    first, second = (of_process[name] for of_process in told)
    assert first.net_.module_.config == second.net_.module_.config
    for key, value in weights_of(first).items():
        assert torch.equal(value, weights_of(second)[key]), key
    losses = [model.history_.drop(columns="seconds") for model in (first, second)]
    assert losses[0].equals(losses[1])
    assert first.best_epoch_ == second.best_epoch_


@pytest.mark.parametrize(
    ("name", "model", "data"),
    [
        ("whole", RNNRegressor(**WHOLE), (X, Y)),
        ("weighted", RNNRegressor(**WHOLE), (X, Y, WEIGHTS)),
        ("coded", RNNRegressor(**WHOLE, categorical_features=[2]), (X_CODED, Y)),
        ("holed", RNNRegressor(**WHOLE), (X_HOLED, Y)),
        ("classes", RNNClassifier(**WHOLE, input_noise=0.0), (X, LABELS)),
        ("balanced", RNNClassifier(**WHOLE, input_noise=0.0, class_weight="balanced"), (X, RARE)),
    ],
)
def test_updates_from_all_rows_are_those_of_one_process(told, name, model, data):
    together, alone = told[0][name], model.fit(*data)
    for key, value in weights_of(alone).items():
        np.testing.assert_allclose(weights_of(together)[key], value, rtol=1e-6, atol=1e-9, err_msg=key)
    np.testing.assert_allclose(together.history_["train_loss"], alone.history_["train_loss"], rtol=1e-9)


def test_the_loss_is_that_of_one_process_within_two_percent(told):
    together, alone = told[0]["stopping"], RNNRegressor(**STOPPING).fit(X[TRAIN], Y[TRAIN], **VALID)
    losses = [np.mean((model.predict(X[800:]) - Y[800:]) ** 2) for model in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    of_net = together.history_["valid_loss"].min() * np.var(Y[TRAIN])
    assert losses[0] < of_net  # the mixture is the best one for these rows
    assert together.net_share_ == pytest.approx(alone.net_share_, abs=0.051)


def test_only_the_first_process_writes_and_prints(told, printed):
    assert [of_process["written"] for of_process in told] == [["checkpoint0"]] * 2
    assert [of_process["left"] for of_process in told] == [[]] * 2
    assert printed.count("2 epochs in") == 1  # behind the two of the checkpoint


def test_a_checkpoint_goes_on_to_the_same_bits_in_all_processes(told):
    for of_process in told:
        for key, value in weights_of(of_process["noisy"]).items():
            assert torch.equal(value, weights_of(of_process["resumed"])[key]), key


def test_all_processes_are_told_of_what_does_not_fit_together(told):
    for of_process in told:
        assert "differ in inputs or outputs" in of_process["other sizes"]
        assert "differ in sample weight" in of_process["other weights"]
        assert "RNNForecaster is trained by one process, but torch.distributed" in of_process["forecaster"]


def test_the_example_runs(tmp_path):
    output = torchrun(EXAMPLE, tmp_path)
    assert output.count("2 processes, R2") == 1
    assert float(output.split()[-1]) > 0.9
    assert load(tmp_path / "distributed.skops").n_iter_ == 10
