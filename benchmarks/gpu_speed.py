"""Seconds an epoch of RNNRegressor on a CUDA device over those of a hand-written loop with cuDNN's cells.

In the loop all windows lie on the device, batches are permutations made there, and AdamW has one kernel. Everything
that a fit of three epochs does is counted; skorch moves each batch from the host.
"""

import sys
from functools import partial
from itertools import product

import numpy as np
import torch
from _report import benchmark_arguments, interleaved_seconds, median_ratio, print_table
from fit_speed import HandWritten, hand_written_fit
from sklearn.base import clone
from skorch import NeuralNetRegressor

from sklearn_rnn import RNNRegressor, Sequences
from sklearn_rnn.nets.recurrent import CELLS

N_STEPS, N_CHANNELS, N_EPOCHS = 48, 8, 3


def compare(cell: str, hidden_size: int, batch_size: int, n_windows: int, n_repeats: int) -> dict:
    rng = np.random.default_rng(0)
    series = rng.normal(size=(n_windows + N_STEPS - 1, N_CHANNELS)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series, N_STEPS, axis=0).transpose(0, 2, 1).copy()
    sequences = Sequences(series, np.arange(n_windows), np.full(n_windows, N_STEPS))
    y = rng.normal(size=(n_windows, 1)).astype(np.float32)
    options = {"cell": cell, "hidden_size": hidden_size, "batch_size": batch_size, "max_epochs": N_EPOCHS}
    full = RNNRegressor(**options, early_stopping=False, device="cuda")
    rounded = clone(full).set_params(precision="bf16")
    net, tensors = HandWritten(cell, hidden_size).cuda(), (torch.from_numpy(windows).cuda(), torch.from_numpy(y).cuda())
    peer = NeuralNetRegressor(
        HandWritten(cell, hidden_size),
        optimizer=partial(torch.optim.AdamW, fused=True),
        lr=1e-3,
        batch_size=batch_size,
        max_epochs=N_EPOCHS,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        device="cuda",
    )

    def loop() -> None:
        hand_written_fit(net, *tensors, batch_size, N_EPOCHS)
        torch.cuda.synchronize()

    seconds = interleaved_seconds(
        {
            "loop": loop,
            "full": lambda: full.fit(sequences, y),
            "bf16": lambda: rounded.fit(sequences, y),
            "skorch": lambda: peer.fit(windows, y),
        },
        n_repeats,
    )
    return {
        "cell": cell,
        "hidden": hidden_size,
        "batch": batch_size,
        "loop_ms/step": min(seconds["loop"]) / N_EPOCHS / -(-n_windows // batch_size) * 1e3,
        "full/loop": median_ratio(seconds["full"], seconds["loop"]),
        "bf16/loop": median_ratio(seconds["bf16"], seconds["loop"]),
        "skorch/loop": median_ratio(seconds["skorch"], seconds["loop"]),
    }


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=5, windows=32_768, hidden=[64, 256], batch=[128, 512])
    if not torch.cuda.is_available():
        sys.exit("This benchmark needs a CUDA device, and this machine has none.")
    print(torch.cuda.get_device_name())
    sizes = product(CELLS, arguments.hidden, arguments.batch)
    print_table([compare(*size, arguments.windows, arguments.repeats) for size in sizes], arguments.json)
