"""Peak memory of a Pipeline of SlidingWindow and one epoch of RNNRegressor, over the size of the series.

The series is loaded and everything is imported before the count begins; the rest, a batch's activations included, is
counted. Materialised windows of 168 steps alone would be 168 times the series.
"""

import resource

import numpy as np
import torch
from _report import benchmark_arguments, print_table
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNRegressor, SlidingWindow


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def warm_up() -> None:
    """Load what torch loads on first use."""
    X = np.zeros((200, 8), dtype=np.float32)
    make_pipeline(SlidingWindow(2), RNNRegressor(max_epochs=1, hidden_size=32)).fit(X, np.zeros(200))


def measure(n_rows: int, n_steps: int, n_channels: int) -> dict:
    warm_up()
    series = np.random.default_rng(0).normal(size=(n_rows, n_channels)).astype(np.float32)
    y = series[:, 0].copy()
    before = peak_bytes()
    options = {"hidden_size": 32, "segment_size": 1, "max_epochs": 1, "batch_size": 256, "early_stopping": False}
    model = make_pipeline(SlidingWindow(n_steps), RNNRegressor(**options, device="cpu"))
    model.fit(series, y)
    fitted = peak_bytes()
    model.predict(series)
    return {
        "rows": n_rows,
        "steps": n_steps,
        "series_MB": series.nbytes / 1e6,
        "fit_peak_MB": (fitted - before) / 1e6,
        "fit_peak/series": (fitted - before) / series.nbytes,
        "predict_peak/series": (peak_bytes() - before) / series.nbytes,
        "windows/series": float(n_steps),
    }


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, rows=1_000_000, steps=168, channels=8)
    torch.manual_seed(0)
    print_table([measure(arguments.rows, arguments.steps, arguments.channels)], arguments.json)
