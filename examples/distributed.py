"""
One model from several processes or machines
============================================

Each process passes its own share of the rows to ``fit``, and the net that comes out is the same in all of them. torch's
``torchrun`` starts the script, here twice on one machine::

    torchrun --nproc-per-node 2 examples/distributed.py
"""

import numpy as np
import torch.distributed as dist

from sklearn_rnn import RNNRegressor, save

dist.init_process_group("gloo")  # the page "GPUs" says what else changes where each process has a GPU
rank, n_processes = dist.get_rank(), dist.get_world_size()

# Here each process makes up all rows. Of your own data, let each read its share only.
random = np.random.default_rng(0)
X = random.normal(size=(3_000, 12, 2)).astype(np.float32)
y = X[:, -1, 0] + X[:, -3, 0] * X[:, -2, 1] + random.normal(scale=0.1, size=len(X))
X, X_test, y, y_test = X[:2_000], X[2_000:], y[:2_000], y[2_000:]

model = RNNRegressor(hidden_size=32, max_epochs=10, device="cpu", random_state=0, verbose=1)
model.fit(X[rank::n_processes], y[rank::n_processes])

if rank == 0:
    save(model, "distributed.skops")
    print(f"{n_processes} processes, R2 on {len(X_test)} new sequences: {model.score(X_test, y_test):.3f}")
dist.destroy_process_group()
