"""Prediction: all windows of a series over torch's own inference, and milliseconds of `predict` for one window.

Torch's inference is the module alone in large batches, without validation or units.
"""

import time

import numpy as np
import torch
from _report import benchmark_arguments, interleaved_seconds, median_ratio, print_table

from sklearn_rnn import RNNRegressor, Sequences
from sklearn_rnn.nets.recurrent import CELLS

N_WINDOWS, N_STEPS, N_CHANNELS, BATCH_SIZE = 8_192, 48, 8, 256


@torch.inference_mode()
def torch_predict(net: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
    return torch.cat([net(batch, None) for batch in windows.split(BATCH_SIZE)])


def milliseconds_of_one(model: RNNRegressor, window: np.ndarray, n_repeats: int = 500) -> float:
    seconds = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        model.predict(window)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1e3


def compare(cell: str, hidden_size: int, fused: bool, n_repeats: int) -> dict:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(N_WINDOWS + N_STEPS - 1, N_CHANNELS)).astype(np.float32)
    X = Sequences(series, np.arange(N_WINDOWS), np.full(N_WINDOWS, N_STEPS))
    model = RNNRegressor(cell=cell, hidden_size=hidden_size, fused=fused, max_epochs=1, device="cpu", random_state=0)
    model.fit(X[:256], series[:256, 0])
    torchs = RNNRegressor(cell=cell, hidden_size=hidden_size, fused=False, max_epochs=1, device="cpu", random_state=0)
    net = torchs.fit(X[:256], series[:256, 0]).net_.module_
    windows = torch.from_numpy(np.asarray(X))
    seconds = interleaved_seconds(
        {"predict": lambda: model.predict(X), "torch": lambda: torch_predict(net, windows)}, n_repeats
    )
    return {
        "cell": cell,
        "hidden": hidden_size,
        "compiled": fused,
        "all windows/torch": median_ratio(seconds["predict"], seconds["torch"]),
        "one window_ms": milliseconds_of_one(model, np.asarray(X[:1])),
    }


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=7)
    print_table(
        [
            compare(cell, hidden_size, fused, arguments.repeats)
            for cell in CELLS
            for hidden_size in (32, 64)
            for fused in (True, False)
        ],
        arguments.json,
    )
