"""
What LSTM and GRU are for: remembering over a hundred steps
===========================================================

The adding problem (Hochreiter and Schmidhuber 1997): a sequence has two channels, random numbers and marks. Two of the
steps are marked, one in each half, and the answer is the sum of the numbers beside the marks. To learn it, a net must
carry the first number over many steps that do not matter. In a plain RNN the gradient vanishes on the way, and the net
does no better than to answer with the mean; the gates of LSTM and GRU keep it alive. `segment_size=1` makes them read
step by step, where the default would join pairs of steps.
"""

from time import perf_counter

import numpy as np

from sklearn_rnn import RNNRegressor

N_STEPS = 100
SETTINGS = {"hidden_size": 32, "learning_rate": 0.01, "batch_size": 50, "max_epochs": 12, "random_state": 0}


def adding_problem(n_samples, n_steps, random):
    numbers = random.uniform(size=(n_samples, n_steps))
    marks = np.zeros((n_samples, n_steps))
    rows = np.arange(n_samples)
    first = random.integers(0, n_steps // 2, size=n_samples)
    second = random.integers(n_steps // 2, n_steps, size=n_samples)
    marks[rows, first] = marks[rows, second] = 1
    return np.stack([numbers, marks], axis=2), numbers[rows, first] + numbers[rows, second]


X_train, y_train = adding_problem(2_000, N_STEPS, np.random.default_rng(0))
X_test, y_test = adding_problem(1_000, N_STEPS, np.random.default_rng(1))

print(f"Adding problem over {N_STEPS} steps: mean squared error of the sum, on 1,000 new sequences")
print(f"{'mean':5} {np.mean((y_test - y_train.mean()) ** 2):.4f}")
for cell in ["rnn", "lstm", "gru"]:
    start = perf_counter()
    model = RNNRegressor(cell=cell, segment_size=1, **SETTINGS).fit(X_train, y_train)
    error = np.mean((y_test - model.predict(X_test)) ** 2)
    print(f"{cell:5} {error:.4f}   trained in {perf_counter() - start:.0f} s")
