"""What each process of a group does for test_distributed.py: train on its share of the rows, and tell of it."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import torch.distributed as dist
from skorch.callbacks import Callback

from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor

TINY = {
    "hidden_size": 6,
    "max_epochs": 4,
    "batch_size": 64,
    "random_state": 0,
    "n_threads": 1,
    "device": "cpu",
    "fused": False,
}
# All rows are in each update, so that nothing depends on their order.
WHOLE = {**TINY, "dtype": "float64", "batch_size": 1_000, "early_stopping": False}
STOPPING = {**TINY, "max_epochs": 20, "batch_size": 32, "learning_rate": 0.02, "average": True, "early_stopping": True}
NOISY = {**TINY, "n_layers": 2, "dropout": 0.2}

random = np.random.default_rng(0)
X = 2 + random.normal(size=(1_000, 6, 2))
Y = 5 + 3 * X[:, -1, 0] - X[:, -2, 1] + random.normal(size=len(X))
WEIGHTS = random.uniform(0.5, 2, size=len(X))
CODES = np.arange(len(X)) % 4  # every second row has the codes 0 and 2 alone
LABELS = np.array(["ash", "beech", "elm", "fir"])[CODES]
RARE = np.where(np.arange(len(X)) < 700, "ash", LABELS)
X_CODED = np.concatenate([X, np.repeat(CODES[:, None, None], X.shape[1], axis=1)], axis=2)
X_HOLED = X.copy()
X_HOLED[::4, 2, 1] = np.nan  # in the rows of the first process alone
TRAIN = slice(0, 800)
VALID = {"X_val": X[800:], "y_val": Y[800:]}


class Killed(BaseException):
    """The end of a process."""


class KillInEpoch3(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            raise Killed


def refusal(model, *data):
    """What the error says."""
    try:
        model.fit(*data)
    except ValueError as error:
        return str(error)
    return "none"


def files():
    """The checkpoints of all processes."""
    dist.barrier()
    names = sorted(path.name for path in Path().glob("checkpoint*"))
    dist.barrier()
    return names


def train_and_tell(rank):
    mine = slice(rank, None, 2)
    unequal = slice(0, 490) if rank == 0 else slice(490, None)
    lone = slice(0, 60) if rank == 0 else slice(60, 61)
    told = {
        "whole": RNNRegressor(**WHOLE).fit(X[mine], Y[mine]),
        "weighted": RNNRegressor(**WHOLE).fit(X[mine], Y[mine], WEIGHTS[mine]),
        "coded": RNNRegressor(**WHOLE, categorical_features=[2]).fit(X_CODED[mine], Y[mine]),
        "holed": RNNRegressor(**WHOLE).fit(X_HOLED[mine], Y[mine]),
        "classes": RNNClassifier(**WHOLE, input_noise=0.0).fit(X[mine], LABELS[mine]),
        "balanced": RNNClassifier(**WHOLE, input_noise=0.0, class_weight="balanced").fit(X[mine], RARE[mine]),
        "stopping": RNNRegressor(**STOPPING).fit(X[TRAIN][mine], Y[TRAIN][mine], **VALID),
        "unequal": RNNRegressor(**{**TINY, "random_state": None}).fit(X[unequal], Y[unequal]),
        "lone": RNNRegressor(**STOPPING).fit(X[lone], Y[lone]),
        "noisy": RNNRegressor(**NOISY).fit(X[mine], Y[mine]),
    }
    path = f"checkpoint{rank}"  # of its own for each process, as if they had no disk in common
    try:
        RNNRegressor(**NOISY, checkpoint=path, callbacks=[KillInEpoch3()]).fit(X[mine], Y[mine])
    except Killed:
        told["written"] = files()
    told["resumed"] = RNNRegressor(**NOISY, checkpoint=path, verbose=1).fit(X[mine], Y[mine])
    told["left"] = files()
    told["other sizes"] = refusal(RNNRegressor(**{**TINY, "hidden_size": 4 + rank}), X[mine], Y[mine])
    told["other weights"] = refusal(RNNRegressor(**TINY), X, Y, [None, WEIGHTS][rank])
    told["forecaster"] = refusal(RNNForecaster("x", horizon=2), pd.DataFrame({"x": np.arange(50.0)}))
    Path(f"told{rank}").write_bytes(pickle.dumps(told))


if __name__ == "__main__":
    dist.init_process_group("gloo")
    train_and_tell(dist.get_rank())
    dist.destroy_process_group()
