"""Data larger than the memory: what is mapped from a file is read in pieces and never copied."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("resource", reason="limits of memory are a matter of Unix")

# Fits and predicts with less memory to spare than the table takes, and proves that the limit holds.
SCRIPT = """
import resource, sys
import numpy as np, pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn_rnn import RNNRegressor, SlidingWindow

def fit_and_predict(X, y):
    net = RNNRegressor(hidden_size=4, max_epochs=1, batch_size=256, early_stopping=False, n_threads=1, device="cpu")
    return make_pipeline(SlidingWindow(3), net).fit(X, y).predict(X)

path, n_rows, n_channels, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
X, y = np.memmap(path, dtype=np.float32, mode="r", shape=(n_rows, n_channels)), np.arange(n_rows) % 7.0
fit_and_predict(np.zeros((500, n_channels), np.float32), y[:500])  # what libraries allocate once
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmData")]
limit = 1024 * int(line.split()[1]) + X.nbytes // 2
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    copy = np.array(X)
except MemoryError:
    print("no room for a copy")
predicted = fit_and_predict(pd.DataFrame(X, copy=False) if kind == "table" else X, y)
print(np.isfinite(predicted).all() and predicted.shape == (n_rows,))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory in use from /proc")
@pytest.mark.parametrize("kind", ["array", "table"])
def test_a_mapped_table_trains_without_room_for_a_copy(tmp_path, kind):
    n_rows, n_channels = 50_000, 512
    mapped = np.memmap(tmp_path / "rows", dtype=np.float32, mode="w+", shape=(n_rows, n_channels))
    mapped[:] = np.random.default_rng(0).normal(size=(500, n_channels)).repeat(n_rows // 500, axis=0)
    mapped.flush()
    command = [sys.executable, "-c", SCRIPT, tmp_path / "rows", str(n_rows), str(n_channels), kind]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.stdout.splitlines() == ["no room for a copy", "True"], result.stderr[-2_000:]
