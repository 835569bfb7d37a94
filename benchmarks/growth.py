"""How seconds and memory of fit and predict grow with rows, steps, channels and hidden size.

One size is varied, the others stay; the exponent is the slope of a straight line through the logarithms, 1 for growth
by the same share. One epoch of a Pipeline of SlidingWindow and RNNRegressor, each in a process of its own, so that its
peak of memory is its own. Memory is counted above that of a table of a few rows.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
from _report import benchmark_arguments, print_table

STANDARD = {"rows": 20_000, "steps": 24, "channels": 4, "hidden": 32}
SIZES = {
    "rows": [10_000, 100_000, 1_000_000, 10_000_000],
    "steps": [24, 96, 384],
    "channels": [4, 16, 64, 256],
    "hidden": [32, 64, 128, 256],
}


def run(rows: int, steps: int, channels: int, hidden: int) -> dict:
    """Measured in this process."""
    from sklearn.pipeline import make_pipeline

    from sklearn_rnn import RNNRegressor, SlidingWindow

    def fit(n_rows: int) -> tuple[float, float]:
        X = np.random.default_rng(0).normal(size=(n_rows, channels)).astype(np.float32)
        options = {"batch_size": 256, "max_epochs": 1, "early_stopping": False, "device": "cpu", "segment_size": 1}
        net = RNNRegressor(hidden_size=hidden, **options)
        model = make_pipeline(SlidingWindow(steps), net)
        start = time.perf_counter()
        model.fit(X, X[:, 0])
        fitted = time.perf_counter()
        model.predict(X)
        return fitted - start, time.perf_counter() - fitted

    fit(512)  # compiles and warms up
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit_s, predict_s = fit(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"fit_s": fit_s, "predict_s": predict_s, "MB": (peak - before) / 1024}


def measure(**sizes: int) -> dict:
    output = subprocess.run([sys.executable, __file__, json.dumps(sizes)], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def exponent(sizes: list[int], values: list[float]) -> str:
    if min(values) <= 0:
        return ""
    return f"{np.polyfit(np.log(sizes), np.log(values), 1)[0]:.2f}"


def main() -> None:
    arguments = benchmark_arguments(__doc__, largest_rows=1_000_000)
    table = []
    for name, sizes in SIZES.items():
        sizes = [size for size in sizes if name != "rows" or size <= arguments.largest_rows]
        measured = []
        for size in sizes:
            measured.append(measure(**{**STANDARD, name: size}))
            table.append({"varied": name, "size": str(size), **measured[-1]})
        exponents = {key: exponent(sizes, [row[key] for row in measured]) for key in measured[0]}
        table.append({"varied": name, "size": "exponent", **exponents})
    print_table(table, arguments.json)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(run(**json.loads(sys.argv[1]))))
    else:
        main()
