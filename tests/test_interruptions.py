"""Ctrl-C, checkpoints and kill -9: what a training that does not end by itself leaves behind."""

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EarlyStopping

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor
from sklearn_rnn._checkpoints import HEADER, _fingerprint, read_checkpoint
from sklearn_rnn._course import Course

TINY = {"hidden_size": 4, "max_epochs": 6, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
X = np.random.default_rng(0).normal(size=(60, 5))
Y = X[:, -1] + X[:, 1]
TABLE = pd.DataFrame({"load": np.sin(np.arange(80) / 2)}, index=pd.date_range("2024", periods=80, freq="h"))


class In(Callback):
    """Raise something after the second batch of an epoch, and remember the weights after each."""

    def __init__(self, epoch, error):
        self.epoch, self.error, self.weights, self.n_batches = epoch, error, [], 0

    def on_batch_end(self, net, training, **kwargs):
        if training and len(net.history) == self.epoch:
            self.n_batches += 1
            if self.n_batches == 2:
                raise self.error

    def on_epoch_end(self, net, **kwargs):
        self.weights.append({name: value.clone() for name, value in net.module_.state_dict().items()})


class Killed(BaseException):
    """The end of a process, for tests within one."""


def assert_same_weights(model, weights):
    for name, value in model.net_.module_.state_dict().items():
        assert torch.equal(value, weights[name]), name


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


def test_an_interrupt_leaves_the_last_whole_epoch():
    spy = In(4, KeyboardInterrupt())
    with pytest.warns(UserWarning, match="interrupted after epoch 3.* weights of epoch 3") as caught:
        model = RNNRegressor(**TINY, callbacks=[spy]).fit(X, Y)
    assert caught[0].filename == __file__
    assert model.n_iter_ == model.best_epoch_ == len(model.history_) == 3
    assert_same_weights(model, spy.weights[2])
    assert np.isfinite(model.predict(X)).all()
    model.set_params(callbacks=None)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    model.set_params(warm_start=True).fit(X, Y)
    assert model.n_iter_ == 9


class InterruptedAdam(torch.optim.AdamW):
    """Ctrl-C at the 20th update that any of them makes."""

    n_updates = 0

    def step(self, closure=None):
        InterruptedAdam.n_updates += 1
        if InterruptedAdam.n_updates == 20:
            raise KeyboardInterrupt
        return super().step(closure)


def test_an_interrupt_while_epochs_are_cross_validated_leaves_nothing():
    model = RNNRegressor(**{**TINY, "max_epochs": "auto", "optimizer": InterruptedAdam})
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "n_features_in_")
    assert len(model.fit(X, Y).history_) == model.n_iter_


def test_cross_validation_of_epochs_is_none_of_the_callbacks_business(tmp_path):
    spy, file = In(0, None), tmp_path / "training.ckpt"
    model = RNNRegressor(**{**TINY, "max_epochs": "auto", "checkpoint": file}, callbacks=[spy]).fit(X, Y)
    assert len(spy.weights) == model.n_iter_
    assert not file.exists()


def test_an_interrupt_leaves_the_best_epoch_where_there_is_validation():
    spy = In(6, KeyboardInterrupt())
    noise = np.random.default_rng(1).normal(size=len(X))
    options = {**TINY, "learning_rate": 3.0, "early_stopping": True, "blend": False, "callbacks": [spy]}
    with pytest.warns(UserWarning, match="interrupted after epoch 5"):
        model = RNNRegressor(**options).fit(X, noise)
    losses = model.history_["valid_loss"]
    assert len(losses) == 5
    assert model.best_epoch_ == losses.idxmin() + 1 < 5
    assert_same_weights(model, spy.weights[model.best_epoch_ - 1])


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_interrupt_while_an_epoch_is_judged_leaves_history_and_weights_of_one_epoch(is_kept, monkeypatch):
    keep = Course._keep

    def interrupted(course, net):
        if is_kept or len(net.history) < 4:
            keep(course, net)
        if len(net.history) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Course, "_keep", interrupted)
    with pytest.warns(UserWarning, match=f"interrupted after epoch {3 + is_kept}"):
        model = RNNRegressor(**TINY, early_stopping=True).fit(X, Y)
    losses = model.history_["valid_loss"]
    assert model.best_epoch_ == losses.idxmin() + 1 == len(losses) == 3 + is_kept


def test_an_interrupt_in_the_first_epoch_changes_nothing():
    model = RNNRegressor(**TINY).fit(X, Y)
    before, expected = vars(model).copy(), model.predict(X)
    model.set_params(callbacks=[In(1, KeyboardInterrupt())])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    model.set_params(callbacks=None)
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict(X), expected)


def test_an_interrupted_warm_start_leaves_the_moments_of_the_optimizer():
    model = RNNRegressor(**TINY, warm_start=True).fit(X, Y)
    model.set_params(callbacks=[In(1, KeyboardInterrupt())], batch_size=10)
    spared = RNNRegressor(**TINY, warm_start=True).fit(X, Y)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    model.set_params(callbacks=None, batch_size="auto").fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), spared.fit(X, Y).predict(X))


def test_skorchs_own_early_stopping_is_no_interrupt():
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, threshold_mode="abs")
    model = RNNRegressor(**TINY, callbacks=[stop]).fit(X, Y)
    assert model.n_iter_ < 6
    assert model.best_epoch_ == model.n_iter_  # the last, as always where none is held out


def test_skorchs_own_early_stopping_may_stop_at_the_best_epoch():
    class StopAtThree(EarlyStopping):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    options = {**TINY, "schedule": "constant", "early_stopping": True, "learning_rate": 1e-3}
    expected = RNNRegressor(**{**options, "max_epochs": 3}).fit(X, Y)
    model = RNNRegressor(**options, callbacks=[StopAtThree()]).fit(X, Y)
    assert model.best_epoch_ == expected.best_epoch_ == 3
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_an_interrupted_forecaster_forecasts():
    with pytest.warns(UserWarning, match="interrupted after epoch 2"):
        model = RNNForecaster("load", 2, **TINY, callbacks=[In(3, KeyboardInterrupt())]).fit(TABLE)
    assert model.n_iter_ == 2
    assert np.isfinite(model.predict()["load"]).all()


# Checkpoints ----------------------------------------------------------------------------------------------------------

STOPPING = {"early_stopping": True, "n_iter_no_change": 2, "tol": 10.0}
VARIANTS = {
    "dropout": {"dropout": 0.4, "n_layers": 2},
    "plateau": {"schedule": "plateau", "n_iter_no_change": 1, "learning_rate": 0.5},
    "best epoch": {"early_stopping": True, "learning_rate": 0.5, "n_iter_no_change": 3},
    "stopping": STOPPING,
    "average": {"average": True, "early_stopping": True},
    "sgd": {"optimizer": "sgd", "schedule": "constant"},
    "float64": {"dtype": "float64", "cell": "lstm", "schedule": "cosine"},
    "class of optimizer": {"optimizer": torch.optim.Adagrad},
}


def fit_regressor(**options):
    return RNNRegressor(**{**TINY, **options}).fit(X, Y)


def fit_classifier(**options):
    return RNNClassifier(**{**TINY, **options}).fit(X, Y > 0, np.linspace(0, 1, len(X)))


def fit_steps(**options):
    return RNNRegressor(**{**TINY, **options}, per_step=True).fit(list(X), list(X.cumsum(axis=1)))


def fit_forecaster(**options):
    return RNNForecaster("load", 2, **{**TINY, **options}).fit(TABLE)


def assert_same_fit(model, expected):
    assert_same_weights(model, expected.net_.module_.state_dict())
    columns = ["epoch", "train_loss", "learning_rate"]
    pd.testing.assert_frame_equal(model.history_[columns], expected.history_[columns])
    assert model.best_epoch_ == expected.best_epoch_


def die_in(epoch, fit, **options):
    with pytest.raises(Killed):
        fit(**options, callbacks=[In(epoch, Killed())])


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_a_resumed_fit_equals_an_uninterrupted_one(options, tmp_path):
    path = tmp_path / "fit.checkpoint"
    expected = fit_regressor(**options)
    for epoch in {2, expected.n_iter_}:
        die_in(epoch, fit_regressor, checkpoint=path, **options)
        assert len(read_checkpoint(path)["history"]) == epoch - 1
    assert_same_fit(fit_regressor(checkpoint=path, **options), expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fit", [fit_classifier, fit_steps, fit_forecaster])
def test_every_estimator_goes_on_from_its_checkpoint(fit, tmp_path):
    path = str(tmp_path / "fit.checkpoint")
    die_in(4, fit, checkpoint=path)
    assert_same_fit(fit(checkpoint=path), fit())


def test_a_checkpoint_whose_folder_is_gone_says_so(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()

    class Remove(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                shutil.rmtree(folder)

    with pytest.raises(ValueError, match="cannot be written: its folder is gone"):
        fit_regressor(checkpoint=folder / "fit.checkpoint", callbacks=[Remove()])


def test_a_checkpoint_of_the_last_epoch_needs_no_further_one(tmp_path):
    """The process may end between the last writing and the removal."""
    path = tmp_path / "fit.checkpoint"
    for options in ({}, STOPPING):
        expected = fit_regressor(**options)
        spy = In(0, None)
        copy = []
        spy.on_train_end = lambda net, copy=copy, **kwargs: copy.append(path.read_bytes())
        fit_regressor(checkpoint=path, callbacks=[spy], **options)
        path.write_bytes(copy[0])
        assert_same_fit(fit_regressor(checkpoint=path, **options), expected)


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_a_checkpoint_behind_a_link_leaves_the_link(tmp_path):
    link, path = tmp_path / "link", tmp_path / "fit.checkpoint"
    link.symlink_to(path)
    die_in(3, fit_regressor, checkpoint=link)
    path.chmod(0o640)
    die_in(5, fit_regressor, checkpoint=link)
    assert link.is_symlink()
    assert len(read_checkpoint(path)["history"]) == 4
    assert path.stat().st_mode & 0o777 == 0o640
    assert_same_fit(fit_regressor(checkpoint=link), fit_regressor())
    assert link.is_symlink()
    assert not path.exists()


def test_a_warm_start_goes_on_from_its_checkpoint(tmp_path):
    path = tmp_path / "fit.checkpoint"
    expected = fit_regressor(warm_start=True).fit(X, Y)
    model = fit_regressor(warm_start=True)
    model.set_params(checkpoint=path, callbacks=[In(3, Killed())])
    with pytest.raises(Killed):
        model.fit(X, Y)
    model.set_params(callbacks=None).fit(X, Y)
    assert_same_fit(model, expected)


def test_checkpoints_come_every_few_epochs(tmp_path):
    path = tmp_path / "fit.checkpoint"
    die_in(3, fit_regressor, checkpoint=path, checkpoint_every=3)
    assert not path.exists()
    die_in(6, fit_regressor, checkpoint=path, checkpoint_every=3)
    assert len(read_checkpoint(path)["history"]) == 3
    assert_same_fit(fit_regressor(checkpoint=path), fit_regressor())


def test_without_a_seed_the_checkpoint_knows_it(tmp_path):
    path = tmp_path / "fit.checkpoint"
    options = {"random_state": None, "checkpoint": path, "early_stopping": True, "validation_split": "random"}
    die_in(4, fit_regressor, **options)
    seed = read_checkpoint(path)["seed"]
    losses = [row["train_loss"] for row in read_checkpoint(path)["history"]]
    model = fit_regressor(**options)
    assert model.history_["train_loss"].tolist()[:3] == losses
    assert_same_fit(model, RNNRegressor(**{**TINY, **options, "random_state": FixedSeed(seed)}).fit(X, Y))


class FixedSeed(np.random.RandomState):
    """Draws the seed of a fit that is to be repeated."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def randint(self, *args, **kwargs):
        return self.seed


def test_an_interrupt_keeps_the_checkpoint(tmp_path):
    path = tmp_path / "fit.checkpoint"
    with pytest.warns(UserWarning, match="the same call goes on"):
        fit_regressor(checkpoint=path, callbacks=[In(3, KeyboardInterrupt())])
    assert_same_fit(fit_regressor(checkpoint=path), fit_regressor())


def test_an_interrupted_warm_start_goes_on_when_the_checkpoint_is_deleted(tmp_path):
    path = tmp_path / "fit.checkpoint"
    first, second = ({"warm_start": True, "callbacks": [In(3, KeyboardInterrupt())]} for _ in range(2))
    with pytest.warns(UserWarning, match="or with warm_start=True one from these weights, when the file is deleted"):
        model = fit_regressor(checkpoint=path, **first).set_params(callbacks=None)
    with pytest.raises(ValueError, match="other parameters"):
        model.fit(X, Y)
    path.unlink()
    with pytest.warns(UserWarning, match="fit with warm_start=True goes on"):
        expected = fit_regressor(**second).set_params(callbacks=None)
    assert_same_fit(model.fit(X, Y), expected.fit(X, Y))


def test_a_fit_that_goes_on_leaves_the_generator_of_the_caller(tmp_path):
    path = tmp_path / "fit.checkpoint"
    die_in(3, fit_regressor, checkpoint=path)
    before = torch.manual_seed(7).get_state()
    fit_regressor(checkpoint=path)
    assert torch.equal(torch.get_rng_state(), before)


def test_partial_fit_writes_no_checkpoint(tmp_path):
    RNNRegressor(**TINY, checkpoint=tmp_path / "fit.checkpoint").partial_fit(X, Y)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hidden_size": 5}, "parameters"),
        ({"dropout": 0.1}, "parameters"),
        ({"learning_rate": 0.1}, "parameters"),
        ({"random_state": 1}, "parameters"),
        ({"max_epochs": 7}, "parameters"),
        ({"X": X + 1e-6}, "data"),
        ({"Y": Y[::-1]}, "data"),
        ({"sample_weight": np.arange(1.0, 61)}, "data"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(change, what, tmp_path):
    path = tmp_path / "fit.checkpoint"
    die_in(3, fit_regressor, checkpoint=path)
    data = {"X": X, "Y": Y, "sample_weight": None}
    options = {**TINY, **{name: value for name, value in change.items() if name not in data}}
    data.update({name: value for name, value in change.items() if name in data})
    with pytest.raises(ValueError, match=f"written by a fit with other {what}"):
        RNNRegressor(**options, checkpoint=path).fit(data["X"], data["Y"], data["sample_weight"])
    assert_same_fit(fit_regressor(checkpoint=path), fit_regressor())


@pytest.mark.parametrize("make", [np.asarray, torch.tensor], ids=["array", "tensor"])
def test_a_difference_in_the_middle_of_long_data_counts(make):
    before, after = np.arange(5_000), np.arange(5_000)
    after[2_500] = 7
    assert repr(before) == repr(after)
    assert _fingerprint([make(before)]) == _fingerprint([make(before)]) != _fingerprint([make(after)])


WRITTEN_MEANWHILE = "checkpoint '.*' is written by another fit at the same time. .*in a search, .* checkpoint=None"


def test_a_checkpoint_that_another_fit_writes_meanwhile_is_left_to_it(tmp_path):
    path = tmp_path / "fit.checkpoint"

    class Rival(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if not path.exists():
                die_in(3, fit_regressor, checkpoint=path)

    with pytest.raises(ValueError, match=WRITTEN_MEANWHILE):
        fit_regressor(checkpoint=path, callbacks=[Rival()], learning_rate=0.1)
    assert len(read_checkpoint(path)["history"]) == 2
    assert_same_fit(fit_regressor(checkpoint=path), fit_regressor())


def test_two_fits_that_write_a_checkpoint_at_the_same_moment_are_told(tmp_path, monkeypatch):
    replace = os.replace

    def replaced_by_the_other(source, target):
        replace(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", replaced_by_the_other)
    with pytest.raises(ValueError, match=WRITTEN_MEANWHILE):
        fit_regressor(checkpoint=tmp_path / "fit.checkpoint")


def test_a_search_of_one_job_may_share_a_checkpoint(tmp_path):
    model = RNNRegressor(**TINY, checkpoint=tmp_path / "fit.checkpoint")
    grid = {"hidden_size": [4, 5], "learning_rate": [0.01, 0.001]}
    one_by_one = GridSearchCV(model, grid, cv=2).fit(X, Y)
    assert np.isfinite(one_by_one.cv_results_["mean_test_score"]).all()
    assert not list(tmp_path.iterdir())


class Bomb:
    def __reduce__(self):
        return os.mkdir, (str(Path(os.environ["PYTEST_BOMB"])),)


def seal(data):
    return HEADER + hashlib.blake2b(data, digest_size=32).digest() + data


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file[:-10],
        lambda file: file[: len(file) // 2],
        lambda file: b"",
        lambda file: b"something else",
        lambda file: file[:900] + bytes([file[900] ^ 1]) + file[901:],
        lambda file: seal(pickle.dumps(Bomb())),
        lambda file: seal(b""),
    ],
    ids=["ten bytes less", "half", "empty", "another file", "a bit flipped", "code", "nothing sealed"],
)
def test_a_damaged_checkpoint_is_refused(damage, tmp_path, monkeypatch):
    path, hole = tmp_path / "fit.checkpoint", tmp_path / "hole"
    monkeypatch.setenv("PYTEST_BOMB", str(hole))
    die_in(3, fit_regressor, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint '.*' (is damaged|holds more than numbers).*[Dd]elete it"):
        fit_regressor(checkpoint=path)
    assert not hole.exists()


@pytest.mark.parametrize("path", ["no/such/folder/file", "."])
def test_a_path_that_cannot_be_written_is_refused_before_training(path, tmp_path):
    with pytest.raises(ValueError, match="checkpoint is .*, but must be the path of a file"):
        fit_regressor(checkpoint=tmp_path / path)


def test_the_models_pickle_is_free_of_the_training(tmp_path):
    model = fit_regressor(checkpoint=tmp_path / "fit.checkpoint", early_stopping=True)
    assert len(pickle.dumps(model)) < len(pickle.dumps(fit_regressor(early_stopping=True))) + 200


# Other processes ------------------------------------------------------------------------------------------------------

# One process imports the package and forks another for each training, which it kills or interrupts.
LAB = """
import hashlib, json, os, random, signal, sys, time, warnings
import numpy as np, torch
from sklearn_rnn import RNNRegressor

n_kills, path = int(sys.argv[1]), sys.argv[2]
X = np.random.default_rng(0).normal(size=(240, 4))
options = dict(hidden_size=4, max_epochs=15, batch_size=16, dropout=0.2, random_state=0, n_threads=1, device="cpu",
               fused=False, early_stopping=True, n_iter_no_change=40)

def train(checkpoint):
    model = RNNRegressor(**options, checkpoint=checkpoint).fit(X, X.sum(axis=1))
    weights = b"".join(value.numpy().tobytes() for value in model.net_.module_.state_dict().values())
    losses = model.history_[["train_loss", "valid_loss"]].to_numpy().tobytes()
    return hashlib.sha256(weights + losses + model.predict(X).tobytes()).hexdigest(), model.n_iter_

def forked(work):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    return child, reader

def result_of(child, reader):
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    return json.loads(text) if text else None, os.waitpid(child, 0)[1]

def watch(child, seconds):
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        time.sleep(0.001)

train(None)  # the first one of a process is slow
begin = time.process_time()
expected = train(None)
duration = time.process_time() - begin

random.seed(int(sys.argv[3]))
kills, starts, epochs = 0, 0, []
result = None
while result is None:
    child, reader = forked(lambda: train(path))
    starts += 1
    if kills < n_kills:
        watch(child, random.uniform(0, 1.5 * duration / 4))
        os.kill(child, signal.SIGKILL)
    result, status = result_of(child, reader)
    if status:
        kills += 1
    if result is not None and kills < n_kills:  # it was ready before it could be killed: once more
        assert tuple(result) == expected
        result = None

def interrupted():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options["max_epochs"] = 100_000
        options["n_iter_no_change"] = 100_000
        model = RNNRegressor(**options).fit(X, X.sum(axis=1))
    finite = bool(np.isfinite(model.predict(X)).all())
    best = int(model.history_["valid_loss"].idxmin()) + 1
    return [str(warning.message) for warning in caught], model.best_epoch_, best, model.n_iter_, finite

child, reader = forked(interrupted)
watch(child, 2 * duration)
os.kill(child, signal.SIGINT)
report, _ = result_of(child, reader)
print(json.dumps({"expected": expected, "result": result, "kills": kills, "starts": starts, "interrupted": report,
                  "left": os.path.exists(path)}))
"""


def run_lab(n_kills, path, seed):
    command = [sys.executable, "-W", "ignore", "-c", LAB, str(n_kills), str(path), str(seed)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
@pytest.mark.parametrize("n_kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_process_and_ctrl_c_cost_nothing(n_kills, tmp_path):
    report = run_lab(n_kills, tmp_path / "fit.checkpoint", n_kills)
    assert report["kills"] == n_kills
    assert report["result"] == report["expected"]
    assert not report["left"]
    messages, best_epoch, expected_best, n_epochs, finite = report["interrupted"]
    assert len(messages) == 1
    assert f"interrupted after epoch {n_epochs}" in messages[0]
    assert best_epoch == expected_best <= n_epochs
    assert finite
