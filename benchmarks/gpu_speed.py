"""Seconds an epoch of RNNRegressor on a CUDA device over those of a hand-written loop with cuDNN's cells.

The loop of fit_speed.py: all windows lie on the device, batches are permutations made there, and AdamW has one kernel.
Everything that a fit of three epochs does is counted; skorch moves each batch from the host.
"""

import sys
from itertools import product

import torch
from _report import benchmark_arguments, print_table
from fit_speed import compare

from sklearn_rnn.nets.recurrent import CELLS

VARIANTS = {"full": {}, "bf16": {"precision": "bf16"}}

if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=5, windows=32_768, hidden=[64, 256], batch=[128, 512])
    if not torch.cuda.is_available():
        sys.exit("This benchmark needs a CUDA device, and this machine has none.")
    print(torch.cuda.get_device_name())
    print_table(
        [
            compare(*size, arguments.windows, arguments.repeats, device="cuda", variants=VARIANTS)
            for size in product(CELLS, arguments.hidden, arguments.batch)
        ],
        arguments.json,
    )
