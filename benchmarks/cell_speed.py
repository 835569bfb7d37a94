"""Milliseconds of one training step (forward and backward) of the compiled cells and of torch's own modules.

Same weights, same batch, taken in turn. A turn is some steps in a row, as in training, of which the first is not
counted: it wakes threads and fills caches that the other's turn emptied. Torch's threads spin for some milliseconds
after each parallel part, which would take a core from whoever comes next, so there is a pause behind torch's turn with
several threads.
"""

import os
import time
from itertools import product

import numpy as np
import torch
from _report import benchmark_arguments, median_ratio, print_table

from sklearn_rnn._device import computing
from sklearn_rnn.nets.recurrent import CELLS, RecurrentLayers

N_STEPS, N_CHANNELS = 48, 8
STEPS_OF_A_TURN = 5
PAUSE = 0.012  # seconds


def step_of(layers: RecurrentLayers, X: torch.Tensor) -> None:
    layers.zero_grad()
    layers.ends(X).sum().backward()


def seconds_of(layers: RecurrentLayers, X: torch.Tensor, n_threads: int) -> float:
    """A step of one turn, with the threads that an estimator would take for it."""
    with computing(n_threads, layers, "cpu"):
        step_of(layers, X)
        start = time.perf_counter()
        for _ in range(STEPS_OF_A_TURN):
            step_of(layers, X)
        seconds = time.perf_counter() - start
    if not layers.runs_compiled("cpu") and n_threads > 1:
        time.sleep(PAUSE)
    return seconds / STEPS_OF_A_TURN


def compare(cell: str, hidden_size: int, batch_size: int, n_threads: int, n_repeats: int) -> dict:
    X = torch.randn(batch_size, N_STEPS, N_CHANNELS)
    layers = {fused: RecurrentLayers(N_CHANNELS, hidden_size, cell=cell, fused=fused) for fused in (True, False)}
    tasks = [(fused, threads) for fused in layers for threads in (1, n_threads)]
    seconds: dict[tuple, list[float]] = {task: [] for task in tasks}
    for repeat in range(n_repeats + 1):
        for fused, threads in tasks:
            measured = seconds_of(layers[fused], X, threads)
            if repeat:  # the first compiles and warms up
                seconds[fused, threads].append(measured)
    return {
        "cell": cell,
        "hidden": hidden_size,
        "batch": batch_size,
        f"compiled_ms, {n_threads} threads": float(np.median(seconds[True, n_threads])) * 1e3,
        f"torch/compiled, {n_threads} threads": median_ratio(seconds[False, n_threads], seconds[True, n_threads]),
        "torch/compiled, 1 thread": median_ratio(seconds[False, 1], seconds[True, 1]),
    }


if __name__ == "__main__":
    arguments = benchmark_arguments(
        __doc__, repeats=15, threads=os.cpu_count() or 1, hidden=[32, 64, 128], batch=[32, 128, 256, 512]
    )
    torch.manual_seed(0)
    sizes = product(CELLS, arguments.hidden, arguments.batch)
    print_table([compare(*size, arguments.threads, arguments.repeats) for size in sizes], arguments.json)
