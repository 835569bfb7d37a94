"""Seconds an epoch of RNNRegressor over those of a hand-written torch loop and of skorch, same net and data.

The loop is what a careful person writes: windows in memory, a permutation, an index, AdamW. The estimator also clips
gradients, moves the learning rate, records a history and gathers its windows from the series; it is measured with
torch's own cells (fused=False) and with the compiled ones (the default where numba is installed). Everything that a
fit of three epochs does is counted.
"""

from functools import partial
from itertools import product

import numpy as np
import torch
from _report import benchmark_arguments, interleaved_seconds, median_ratio, print_table
from sklearn.base import clone
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_rnn import RNNRegressor, Sequences
from sklearn_rnn.nets.recurrent import CELLS

N_STEPS, N_CHANNELS, N_EPOCHS = 48, 8, 3


class HandWritten(nn.Module):
    def __init__(self, cell: str, hidden_size: int) -> None:
        super().__init__()
        self.recurrent = CELLS[cell](N_CHANNELS, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.head(self.recurrent(X)[0][:, -1])


def hand_written_fit(net: nn.Module, X: torch.Tensor, y: torch.Tensor, batch_size: int) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=X.is_cuda)
    for _ in range(N_EPOCHS):
        for rows in torch.randperm(len(X), device=X.device).split(batch_size):
            optimizer.zero_grad()
            nn.functional.mse_loss(net(X[rows]), y[rows]).backward()
            optimizer.step()
    if X.is_cuda:
        torch.cuda.synchronize()


def compare(
    cell: str,
    hidden_size: int,
    batch_size: int,
    n_windows: int,
    n_repeats: int,
    *,
    device: str,
    variants: dict[str, dict],
) -> dict:
    """One row: seconds of RNNRegressor, with the parameters of each variant, and of skorch over those of the loop."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(n_windows + N_STEPS - 1, N_CHANNELS)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(series, N_STEPS, axis=0).transpose(0, 2, 1).copy()
    sequences = Sequences(series, np.arange(n_windows), np.full(n_windows, N_STEPS))
    y = rng.normal(size=(n_windows, 1)).astype(np.float32)
    common = {"batch_size": batch_size, "max_epochs": N_EPOCHS, "device": device}
    model = RNNRegressor(cell=cell, hidden_size=hidden_size, early_stopping=False, **common)
    models = {name: clone(model).set_params(**parameters) for name, parameters in variants.items()}
    net = HandWritten(cell, hidden_size).to(device)
    tensors = torch.from_numpy(windows).to(device), torch.from_numpy(y).to(device)
    peer = NeuralNetRegressor(
        HandWritten(cell, hidden_size),
        optimizer=torch.optim.AdamW,
        optimizer__fused=device == "cuda",
        lr=1e-3,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        **common,
    )
    seconds = interleaved_seconds(
        {
            "loop": lambda: hand_written_fit(net, *tensors, batch_size),
            **{name: partial(estimator.fit, sequences, y) for name, estimator in models.items()},
            "skorch": lambda: peer.fit(windows, y),
        },
        n_repeats,
    )
    return {
        "cell": cell,
        "hidden": hidden_size,
        "batch": batch_size,
        "loop_s/epoch": min(seconds["loop"]) / N_EPOCHS,
        **{f"{name}/loop": median_ratio(seconds[name], seconds["loop"]) for name in (*models, "skorch")},
    }


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=7, windows=8_192, hidden=[32, 64], batch=[128])
    n_threads = torch.get_num_threads()
    variants = {"torch cells": {"n_threads": n_threads, "fused": False}, "compiled": {"n_threads": n_threads}}
    print_table(
        [
            compare(*size, arguments.windows, arguments.repeats, device="cpu", variants=variants)
            for size in product(CELLS, arguments.hidden, arguments.batch)
        ],
        arguments.json,
    )
