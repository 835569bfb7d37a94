"""Nothing stays behind a fit: no memory, thread or open file."""

import gc
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from sklearn_rnn import RNNClassifier, RNNRegressor, Sequences

X = np.random.default_rng(0).normal(size=(64, 6))
Y = X.sum(axis=1)

FITS = """
import gc, json, os, pickle, sys, tempfile, threading
import numpy as np, pandas as pd
from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(200, 12, 3))
y = X.sum(axis=(1, 2))
table = pd.DataFrame({"load": np.sin(np.arange(200) / 3)}, index=pd.date_range("2024", periods=200, freq="h"))
options = dict(hidden_size=16, max_epochs=2, random_state=0, device="cpu")
checkpoint = os.path.join(tempfile.mkdtemp(), "fit.checkpoint")

def work(i):
    kind = i % 4
    if kind == 0:
        model = RNNRegressor(**options, early_stopping=True, checkpoint=checkpoint).fit(X, y)
    elif kind == 1:
        model = RNNClassifier(**options, dropout=0.2, cell="lstm").fit(X, y > 0)
    elif kind == 2:
        model = RNNForecaster("load", 4, **options).fit(table)
        model.predict(table)
        return
    else:
        model = RNNRegressor(**options, n_threads=2, bidirectional=True).fit(list(X), y)
        model = pickle.loads(pickle.dumps(model))
    model.predict(X)

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def opened():
    return len(os.listdir("/proc/self/fd"))

for i in range(12):  # libraries take memory and threads at their first use
    work(i)
before = resident(), threading.active_count(), opened(), len(os.listdir("/proc/self/task"))
for i in range(int(sys.argv[1])):
    work(i)
after = resident(), threading.active_count(), opened(), len(os.listdir("/proc/self/task"))
print(json.dumps({"before": before, "after": after, "files": os.listdir(os.path.dirname(checkpoint))}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_200_fits_leave_memory_threads_and_files_as_they_were():
    command = [sys.executable, "-W", "ignore", "-c", FITS, "200"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    report = json.loads(done.stdout)
    print(report)
    assert report["after"][0] < 1.05 * report["before"][0]
    assert report["after"][1:] == report["before"][1:]
    assert report["files"] == []


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"schedule": "plateau"}, {"warm_start": True}])
def test_a_model_that_is_dropped_is_freed(options, tmp_path):
    tiny = {"hidden_size": 4, "max_epochs": 2, "device": "cpu", "fused": False, "checkpoint": tmp_path / "checkpoint"}
    model = RNNRegressor(**tiny, **options).fit(X, Y)
    model.fit(X, Y).predict(X)
    left = [weakref.ref(model.net_), weakref.ref(model.net_.module_)]
    del model
    gc.collect()
    assert [reference() for reference in left] == [None, None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # of which the first are not copied
def test_a_fitted_model_does_not_hold_its_training_data(dtype):
    data = X.astype(dtype)
    gone = weakref.ref(data)
    windows = Sequences(data, np.arange(0, 60), np.full(60, 4))
    model = RNNRegressor(hidden_size=4, max_epochs=2, device="cpu", fused=False, early_stopping=True)
    model.fit(windows, Y[:60])
    del data, windows
    gc.collect()
    assert gone() is None
    assert model.n_iter_ == 2


def test_fits_and_predictions_leave_no_thread():
    model = RNNClassifier(hidden_size=64, max_epochs=1, device="cpu", n_threads=2)
    long = np.random.default_rng(0).normal(size=(256, 40, 6))
    before = threading.active_count()
    model.fit(long, long[:, 0, 0] > 0)
    of_cells = threading.active_count()
    model.fit(long, long[:, 0, 0] > 0).predict(long)
    assert before <= of_cells == threading.active_count() <= before + 2
