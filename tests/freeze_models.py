"""The models of each release that later ones must load: `python tests/freeze_models.py` writes those of this one.

Files of a release stay as they are from then on. Data are sines, so that they can be made again to the last bit.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_rnn
from sklearn_rnn import RNNClassifier, RNNForecaster, RNNRegressor, SequenceVectorizer, SlidingWindow, WindowSplit

FOLDER = Path(__file__).parent / "data"
TINY = {"hidden_size": 3, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu", "fused": False}
TEXTS = ["good film", "bad film", "a good one", "bad, so bad"]


def hourly(n_rows=48):
    hours = np.arange(n_rows)
    columns = {"load": np.sin(hours * np.pi / 12), "wind": np.cos(hours / 5)}
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=n_rows, freq="h", name="hour"))


def sales(n_days=40):
    """Two shops, day by day."""
    days = np.arange(n_days)
    parts = [
        pd.DataFrame(
            {
                "date": pd.date_range("2024-01-01", periods=n_days),
                "shop": shop,
                "sold": 10 * number + np.sin(days * 2 * np.pi / 7),
                "holiday": (days % 11 == 0).astype(int),
                "kind": kind,
            }
        )
        for number, (shop, kind) in enumerate([("north", "city"), ("south", "village")])
    ]
    return pd.concat(parts, ignore_index=True)


def make_search():
    X = hourly()
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), SlidingWindow(4), RNNRegressor(**TINY))
    model.set_params(rnnregressor__loss="quantile")
    return GridSearchCV(model, {"slidingwindow__n_steps": [2, 4]}, cv=WindowSplit(2)).fit(X[:-1], X["load"][1:])


def make_forecaster():
    options = {"time": "date", "group": "shop", "known": "holiday", "static": "kind", "calendar": ["dayofweek"]}
    return RNNForecaster("sold", 3, n_steps=7, quantiles=(0.1, 0.9), conformal=True, **options, **TINY).fit(sales())


def make_texts():
    return make_pipeline(SequenceVectorizer(), RNNClassifier(**TINY)).fit(TEXTS, ["yes", "no", "yes", "no"])


def forecast(model):
    days = pd.date_range("2024-02-10", periods=3)
    future = pd.DataFrame({"date": [*days, *days], "shop": np.repeat(["north", "south"], 3), "holiday": 0})
    return model.predict(future=future).select_dtypes("number").to_numpy()


# How each model is made, and what it says.
MODELS = {
    "search": (make_search, lambda model: model.predict(hourly())),
    "forecaster": (make_forecaster, forecast),
    "texts": (make_texts, lambda model: model.predict_proba(TEXTS)),
}

if __name__ == "__main__":
    folder = FOLDER / sklearn_rnn.__version__
    folder.mkdir(parents=True)  # an error if it is there: a release is frozen once
    models = {name: make() for name, (make, _) in MODELS.items()}
    for name, model in models.items():
        sklearn_rnn.save(model, folder / f"{name}.skops")
    predictions = {name: MODELS[name][1](model).tolist() for name, model in models.items()}
    (folder / "predictions.json").write_text(json.dumps(predictions) + "\n", encoding="utf-8")
