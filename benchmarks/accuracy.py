"""Accuracy on real sequences with the defaults and at most three stated parameters; mean of 3 seeds, seconds a fit.

The parameters were chosen by cross-validation on the training parts. The test parts are only measured here.
"""

import time
from collections.abc import Callable

import numpy as np
from _datasets import DATA, adding_problem, archive_task, film_reviews, spoken_digits
from _report import benchmark_arguments, print_table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, RNNRegressor, SequenceVectorizer

ARCHIVE = {
    "JapaneseVowels": {"bidirectional": True, "pooling": "mean"},
    "BasicMotions": {"segment_size": 5, "pooling": "max"},
    "ItalyPowerDemand": {"segment_size": 4, "max_epochs": 50},
    "GunPoint": {"segment_size": 10, "label_smoothing": 0.0, "input_noise": 0.0},
    "ArrowHead": {"segment_size": 25, "bidirectional": True, "pooling": "attention"},
}
SPEECH = {"bidirectional": True, "pooling": "mean"}
TEXT = {"pooling": "max", "dropout": 0.5, "max_epochs": 4}


def measure(name: str, make_model: Callable, parameters: dict, data: tuple, n_seeds: int) -> dict:
    X_train, y_train, X_test, y_test = data
    scores, seconds = [], []
    for seed in range(n_seeds):
        model = make_model(**parameters, random_state=seed)
        start = time.perf_counter()
        model.fit(X_train, y_train)
        seconds.append(time.perf_counter() - start)
        scores.append(model.score(X_test, y_test))
    return _row(name, parameters, "accuracy", scores, seconds)


def measure_text(n_seeds: int) -> list[dict]:
    def make_model(**parameters: object) -> object:
        return make_pipeline(SequenceVectorizer(min_df=2), RNNClassifier(**parameters))

    data = film_reviews()
    start = time.perf_counter()
    baseline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10)).fit(*data[:2])
    row = _row("film reviews", "bag of 1- and 2-grams", "accuracy", [baseline.score(*data[2:])], [0.0])
    row["fit_s"] = time.perf_counter() - start
    return [measure("film reviews", make_model, TEXT, data, n_seeds), row]


def measure_adding(cell: str, n_seeds: int) -> dict:
    X_test, y_test = adding_problem(2_000, 200, seed=99)
    parameters = {"cell": cell, "segment_size": 1, "batch_size": 64, "max_epochs": 30}
    errors, seconds = [], []
    for seed in range(n_seeds):
        X, y = adding_problem(10_000, 200, seed=seed)
        start = time.perf_counter()
        model = RNNRegressor(**parameters, random_state=seed).fit(X, y)
        seconds.append(time.perf_counter() - start)
        errors.append(mean_squared_error(y_test, model.predict(X_test)))
    return _row("adding problem, 200 steps", parameters, "MSE", errors, seconds)


def _row(name: str, parameters: object, metric: str, scores: list[float], seconds: list[float]) -> dict:
    chosen = ", ".join(f"{key}={value}" for key, value in parameters.items()) if isinstance(parameters, dict) else ""
    return {
        "task": name,
        "parameters": chosen or str(parameters),
        "metric": metric,
        "mean": f"{np.mean(scores):.2e}" if metric == "MSE" else f"{np.mean(scores):.4f}",
        "lowest": f"{np.min(scores):.2e}" if metric == "MSE" else f"{np.min(scores):.4f}",
        "fit_s": float(np.mean(seconds)),
    }


def main() -> None:
    arguments = benchmark_arguments(__doc__, seeds=3)
    rows = []
    if DATA.is_dir():
        rows += [
            measure(name, RNNClassifier, parameters, archive_task(name), arguments.seeds)
            for name, parameters in ARCHIVE.items()
        ]
        rows.append(measure("spoken digits", RNNClassifier, SPEECH, spoken_digits(), arguments.seeds))
        rows += measure_text(arguments.seeds)
    else:
        print(f"without the data sets of {DATA.name}, only the adding problem is measured")
    rows += [measure_adding(cell, arguments.seeds) for cell in ("gru", "lstm")]
    print_table(rows, arguments.json)


if __name__ == "__main__":
    main()
