"""GridSearchCV with two processes over one, both with one thread a net, and whether their scores are equal."""

import time

import numpy as np
from _report import benchmark_arguments, median_ratio, print_table
from sklearn.model_selection import GridSearchCV

from sklearn_rnn import RNNRegressor, Sequences


def search_seconds(X: Sequences, y: np.ndarray, n_jobs: int) -> tuple[float, np.ndarray]:
    model = RNNRegressor(max_epochs=4, early_stopping=False, n_threads=1, random_state=0, device="cpu")
    grid = {"cell": ["rnn", "lstm", "gru"], "hidden_size": [16, 32], "learning_rate": [0.003, 0.01]}
    search = GridSearchCV(model, grid, cv=3, n_jobs=n_jobs)
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start, search.cv_results_["mean_test_score"]


if __name__ == "__main__":
    arguments = benchmark_arguments(__doc__, repeats=5, rows=3_000)
    series = np.random.default_rng(0).normal(size=(arguments.rows + 23, 4)).astype(np.float32)
    X = Sequences(series, np.arange(arguments.rows), np.full(arguments.rows, 24))
    y = series[23:, 0] + series[20:-3, 1]
    search_seconds(X, y, 2)  # starts the workers, once a process
    runs = [(search_seconds(X, y, 1), search_seconds(X, y, 2)) for _ in range(arguments.repeats)]
    one, two = ([run[i][0] for run in runs] for i in (0, 1))
    equal = all(np.array_equal(run[0][1], run[1][1]) for run in runs)
    print_table(
        [
            {
                "candidates x folds": "12 x 3",
                "n_jobs=1_s": sorted(one)[len(one) // 2],
                "n_jobs=2/1": median_ratio(two, one),
                "equal scores": equal,
            }
        ],
        arguments.json,
    )
