"""RNNRegressor's "auto" epochs with few samples beside 30 and 200 epochs and RidgeCV, where rows are noisy and are not.

Each task is the next value from the 12 before, of series that statsmodels has, of made series with noise and of chaotic
ones without; or a function of 12 or 20 random numbers. The first two thirds of the samples are for fitting. Errors are
root mean squared ones in parts of RidgeCV's, and their geometric mean over two seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import statsmodels.api as sm
from _report import print_table
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNRegressor

N_STEPS = 12
SEEDS = (0, 1)
EPOCHS: dict[str, int | str] = {"auto": "auto", "30 epochs": 30, "200 epochs": 200}


def published_series() -> Iterator[tuple[str, np.ndarray]]:
    sets = sm.datasets
    table = sets.macrodata.load_pandas().data
    yield "sunspots", sets.sunspots.load_pandas().data["SUNACTIVITY"]
    yield "El Nino", sets.elnino.load_pandas().data.iloc[:, 1:].to_numpy().ravel()
    yield "changes of CO2", sets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate().diff()[1:]
    yield "flow of the Nile", sets.nile.load_pandas().data["volume"]
    yield "unemployment", table["unemp"]
    for name in ("realgdp", "cpi", "m1"):
        yield f"growth of {name}", np.diff(np.log(table[name]))


def noisy_series(random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    second_order, bent = np.zeros(400), np.zeros(400)
    for i, shock in enumerate(random.normal(size=398), 2):
        second_order[i] = 1.2 * second_order[i - 1] - 0.5 * second_order[i - 2] + shock
        bent[i] = 0.5 * bent[i - 1] + np.tanh(2 * bent[i - 1] - bent[i - 2]) + 0.3 * shock
    yield "autoregression", second_order
    yield "bent autoregression", bent
    yield "sine and noise", np.sin(0.3 * np.arange(400)) + 0.3 * random.normal(size=400)


def chaotic_series() -> Iterator[tuple[str, np.ndarray]]:
    delayed, henon = np.full(1_600, 1.2), np.full(500, 0.1)
    for i in range(17, 1_599):
        delayed[i + 1] = 0.9 * delayed[i] + 0.2 * delayed[i - 17] / (1 + delayed[i - 17] ** 10)
    for i in range(2, 500):
        henon[i] = 1 - 1.4 * henon[i - 1] ** 2 + 0.3 * henon[i - 2]
    yield "Mackey-Glass", delayed[300::3]
    yield "Henon", henon
    place, path = np.ones(3), []
    for _ in range(10_000):
        x, y, z = place
        place = place + 0.005 * np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
        path.append(place[0])
    yield "Lorenz", np.array(path)[2_000::20]


def tasks() -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Kinds, names, samples and targets."""
    random = np.random.default_rng(0)
    kinds = {"published": published_series(), "noisy": noisy_series(random), "chaotic": chaotic_series()}
    for kind, series in kinds.items():
        for name, values in series:
            windows = sliding_window_view(np.asarray(values, float), N_STEPS + 1)
            yield kind, name, windows[:, :-1], windows[:, -1]
    X, noise = random.normal(size=(300, N_STEPS)), 0.1 * random.normal(size=300)
    yield "function", "product of two", X, X[:, -1] * X[:, -2] + noise
    yield "function", "largest of twelve", X, X.max(axis=1) + noise
    X = random.normal(size=(700, 20))
    yield "function", "product over ten steps", X, X[:, 3] + X[:, 10] * X[:, -1]


def ridge_error(train: tuple, test: tuple) -> float:
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 4, 21))).fit(*train)
    return float(np.sqrt(np.mean((model.predict(test[0]) - test[1]) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the rows there as JSON, too")
    arguments = parser.parse_args()
    rows = []
    for kind, name, X, y in tasks():
        n = 2 * len(X) // 3
        train, test = (X[:n], y[:n]), (X[n:], y[n:])
        unit = ridge_error(train, test)
        for epochs, max_epochs in EPOCHS.items():
            start, logs, n_epochs = time.perf_counter(), [], []
            for seed in SEEDS:
                model = RNNRegressor(max_epochs=max_epochs, random_state=seed).fit(*train)
                logs.append(np.log(np.sqrt(np.mean((model.predict(test[0]) - test[1]) ** 2)) / unit))
                n_epochs.append(model.n_iter_)
            seconds = (time.perf_counter() - start) / len(SEEDS)
            row = {"kind": kind, "task": name, "samples": n, "epochs": epochs, "error": float(np.exp(np.mean(logs)))}
            rows.append({**row, "trained": str(n_epochs), "seconds": seconds})
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for epochs in EPOCHS:
            errors = [row["error"] for row in rows if (row["kind"], row["epochs"]) == (kind, epochs)]
            row = {"kind": kind, "task": "geometric mean", "samples": "", "epochs": epochs}
            rows.append({**row, "error": float(np.exp(np.log(errors).mean())), "trained": "", "seconds": ""})
    print_table(rows, arguments.json)


if __name__ == "__main__":
    main()
