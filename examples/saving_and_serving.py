"""
Saving a model and serving it
=============================

A whole Pipeline goes into a file that holds no code, comes back with the same bits, and then answers one window at a
time, as a service would ask.
"""

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNRegressor, SlidingWindow, load, save

hours = pd.date_range("2026-01-01", periods=60 * 24, freq="h")
noise = np.random.default_rng(0).normal(size=len(hours))
X = pd.DataFrame({"load": 100 + 20 * np.sin(2 * np.pi * hours.hour / 24) + noise}, index=hours)
y = X["load"].shift(-1)[:-1]  # the load of the next hour
model = make_pipeline(SlidingWindow(n_steps=24), RNNRegressor(hidden_size=16, max_epochs=5, random_state=0))
model.fit(X[:-1], y)

# %%
# The file holds weights, parameters and the rows that windows need as their history. It is read without running
# anything that stands in it.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "load.skops"
    save(model, path)
    print(f"{path.stat().st_size / 1024:.0f} kB")
    served = load(path)
print("the same bits:", np.array_equal(served.predict(X), model.predict(X)))

# %%
# One request: the newest 24 hours in, the next hour out. The Pipeline takes the table; the estimator alone takes the
# window, and is quicker.
estimator = served[-1]
window = X["load"].to_numpy(dtype=np.float32)[-24:].reshape(1, 24, 1)


def milliseconds(answer, n_repeats=200):
    seconds = []
    for _ in range(n_repeats):
        start = perf_counter()
        answer()
        seconds.append(perf_counter() - start)
    return 1e3 * float(np.median(seconds))


print(f"the next hour: {estimator.predict(window)[0]:.1f}")
print(f"Pipeline, a table of 24 rows: {milliseconds(lambda: served.predict(X[-24:])[-1]):.1f} ms")
print(f"estimator, one window:        {milliseconds(lambda: estimator.predict(window)):.1f} ms")
