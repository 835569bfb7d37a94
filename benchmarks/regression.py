"""RNNRegressor's defaults beside its net alone and RidgeCV, with few samples and with many.

With few, each task is the next value from the 12 before, of series that statsmodels has, of made series with noise and
of chaotic ones without; or a function of 12 or 20 random numbers. Fits of 30 and 200 epochs stand beside the defaults
there. With many, it is the next hour or the hour a day ahead of transformer ETTh1 from the 48 hours before, in the
usual year to train on and four months to test on; or again a made series or a function. Where it is not said, the first
two thirds of the samples are for fitting. Errors are root mean squared ones in parts of RidgeCV's, and their geometric
mean over two seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from _datasets import DATA
from _report import print_table
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNRegressor

N_STEPS = 12
SEEDS = (0, 1)
FEW = 1_000
SETTINGS: dict[str, dict[str, Any]] = {"defaults": {}, "net alone": {"blend": False}}
SETTINGS_FOR_FEW: dict[str, dict[str, Any]] = {"30 epochs": {"max_epochs": 30}, "200 epochs": {"max_epochs": 200}}
Samples = tuple[np.ndarray, np.ndarray]
Task = tuple[str, Samples, Samples]


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


def split(X: np.ndarray, y: np.ndarray) -> tuple[Samples, Samples]:
    n_train = 2 * len(X) // 3
    return (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])


def next_values(series: Iterator[tuple[str, np.ndarray]]) -> Iterator[Task]:
    for name, values in series:
        windows = sliding_window_view(np.asarray(values, float), N_STEPS + 1)
        yield name, *split(windows[:, :-1], windows[:, -1])


def functions(random: np.random.Generator) -> Iterator[Task]:
    X, noise = random.normal(size=(300, N_STEPS)), 0.1 * random.normal(size=300)
    yield "product of two", *split(X, X[:, -1] * X[:, -2] + noise)
    yield "largest of twelve", *split(X, X.max(axis=1) + noise)
    X = random.normal(size=(700, 20))
    yield "product over ten steps", *split(X, X[:, 3] + X[:, 10] * X[:, -1])


def hours() -> Iterator[Task]:
    path = DATA / "ett" / "ETTh1.csv"
    if not path.exists():
        print(f"no hours, for there is no {path}")
        return
    table = pd.read_csv(path)
    for column in ("OT", "HUFL", "LULL"):
        for horizon in (1, 24):
            parts = (table[column][:8_640], table[column][11_520 - 48 - horizon + 1 : 14_400])
            windows = [sliding_window_view(part.to_numpy(), 48 + horizon) for part in parts]
            train, test = ((of_part[:, :48], of_part[:, -1]) for of_part in windows)
            yield f"{column}, {horizon} ahead", train, test


def many(random: np.random.Generator) -> Iterator[Task]:
    values, shocks = np.zeros(3_000), random.normal(size=3_000)
    for i in range(2, 3_000):
        values[i] = 1.2 * values[i - 1] - 0.5 * values[i - 2] + shocks[i]
    yield from next_values(iter([("autoregression", values)]))
    X, noise = random.normal(size=(3_000, N_STEPS)), 0.1 * random.normal(size=3_000)
    yield "sum of the last five", *split(X, X[:, -5:].sum(axis=1) + noise)
    yield "mean and product of two", *split(X, 3 * X.mean(axis=1) + X[:, -1] * X[:, -2] + noise)
    yield "largest of twelve", *split(X, X.max(axis=1) + noise)


def tasks() -> dict[str, Iterator[Task]]:
    """By their kind."""
    random = np.random.default_rng(0)
    return {
        "published": next_values(published_series()),
        "noisy": next_values(noisy_series(random)),
        "chaotic": next_values(chaotic_series()),
        "function": functions(random),
        "hours": hours(),
        "many": many(random),
    }


def error(model: Any, train: Samples, test: Samples) -> float:
    return float(np.sqrt(np.mean((model.fit(*train).predict(test[0]) - test[1]) ** 2)))


def rows_of(kind: str, task: Task) -> Iterator[dict[str, Any]]:
    name, train, test = task
    unit = error(make_pipeline(StandardScaler(), RidgeCV(np.logspace(-6, 4, 21))), train, test)
    n_samples = len(train[0])
    for setting, options in (SETTINGS | SETTINGS_FOR_FEW if n_samples < FEW else SETTINGS).items():
        start = time.perf_counter()
        models = [RNNRegressor(**options, random_state=seed) for seed in SEEDS]
        errors = [error(model, train, test) / unit for model in models]
        yield {
            "kind": kind,
            "task": name,
            "samples": n_samples,
            "setting": setting,
            "error": float(np.exp(np.log(errors).mean())),
            "epochs": str([model.n_iter_ for model in models]),
            "net's share": str([round(float(model.net_share_[0]), 2) for model in models]),
            "seconds": (time.perf_counter() - start) / len(SEEDS),
        }


def means_of(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for kind, setting in dict.fromkeys((row["kind"], row["setting"]) for row in rows):
        of_both = [row for row in rows if (row["kind"], row["setting"]) == (kind, setting)]
        yield {
            **dict.fromkeys(rows[0], ""),
            "kind": kind,
            "task": "geometric mean",
            "setting": setting,
            "error": float(np.exp(np.mean([np.log(row["error"]) for row in of_both]))),
            "seconds": float(np.mean([row["seconds"] for row in of_both])),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=list(tasks()), default=list(tasks()))
    parser.add_argument("--json", metavar="FILE", help="write the rows there as JSON, too")
    arguments = parser.parse_args()
    given = tasks().items()
    rows = [
        row for kind, of_kind in given if kind in arguments.kinds for task in of_kind for row in rows_of(kind, task)
    ]
    print_table([*rows, *means_of(rows)], arguments.json)


if __name__ == "__main__":
    main()
