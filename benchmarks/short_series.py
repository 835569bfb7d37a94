"""Forecasts of short published series (statsmodels) beside exponential smoothing, Ridge on lags and naive forecasts.

The first three quarters of each series are for fitting. From 24 origins in the rest the next rows are forecast: by
models fitted once to the first part, and by exponential smoothing fitted anew to all rows up to each origin, its
trend and season chosen by the corrected AIC. Errors are mean absolute ones in parts of those of the better naive
forecast, the last value or that of a season before.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import statsmodels.api as sm
from _report import print_table
from forecast import changes, flat
from sklearn.linear_model import RidgeCV
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from sklearn_rnn import RNNForecaster

N_ORIGINS = 24
SEASONS = {"YS": 1, "QS": 4, "MS": 12}
INDICATORS = ["realgdp", "realcons", "realinv", "tbilrate", "unemp", "infl", "m1", "cpi"]


def published_series() -> Iterator[tuple[str, pd.Series, int]]:
    """Names, series with their times, and how many rows to forecast."""
    sets = sm.datasets

    def by_start(values: np.ndarray, start: str, freq: str) -> pd.Series:
        return pd.Series(np.asarray(values, float), pd.date_range(start, periods=len(values), freq=freq, name="time"))

    yield "sunspots, yearly", by_start(sets.sunspots.load_pandas().data["SUNACTIVITY"], "1700", "YS"), 6
    yield "flow of the Nile, yearly", by_start(sets.nile.load_pandas().data["volume"], "1871", "YS"), 6
    yield "El Nino, monthly", by_start(sets.elnino.load_pandas().data.iloc[:, 1:].to_numpy().ravel(), "1950", "MS"), 12
    co2 = sets.co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    yield "CO2, monthly", by_start(co2, "1958-03", "MS"), 12
    table = sets.macrodata.load_pandas().data
    for name in INDICATORS:
        yield f"{name}, quarterly", by_start(table[name], "1959", "QS"), 8


def forecaster(y: pd.Series, n: int, origins: np.ndarray, horizon: int) -> np.ndarray:
    df = y.rename("y").reset_index()
    model = RNNForecaster("y", horizon, time="time", random_state=0).fit(df[:n])
    return np.stack([model.predict(df[: o + 1])["y"] for o in origins])


def ridge(y: pd.Series, n: int, origins: np.ndarray, horizon: int) -> np.ndarray:
    """On the lags of two seasons, a dozen at least, less the last value; its penalty by leave-one-out."""
    values, n_lags = y.to_numpy()[:, None], max(2 * SEASONS[y.index.freqstr[:2]], 12)
    train = np.arange(n_lags - 1, n - horizon)
    lags = flat(values, train, n_lags)
    model = RidgeCV(np.logspace(-2, 5, 15)).fit(lags / lags.std(), changes(values, train, horizon))
    return model.predict(flat(values, origins, n_lags) / lags.std()) + values[origins]


def smoothing(y: pd.Series, n: int, origins: np.ndarray, horizon: int) -> np.ndarray:
    values, season = y.to_numpy(), SEASONS[y.index.freqstr[:2]]
    seasonal = [None, "add"] + (["mul"] if values.min() > 0 else []) if season > 1 else [None]
    forecasts = []
    for o in origins:
        fits = [
            ExponentialSmoothing(
                values[: o + 1],
                trend=trend,
                damped_trend=trend is not None,
                seasonal=kind,
                seasonal_periods=season if kind else None,
                initialization_method="estimated",
            ).fit()
            for trend in (None, "add")
            for kind in seasonal
        ]
        forecasts.append(min(fits, key=lambda fit: fit.aicc).forecast(horizon))
    return np.stack(forecasts)


def naive_errors(values: np.ndarray, actual: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> list[float]:
    """Of the last value and of that of a season before."""
    return [
        float(np.abs(values[(origins + 1 - lag)[:, None] + np.arange(horizon) % lag] - actual).mean())
        for lag in (1, season)
    ]


MODELS: dict[str, Callable[[pd.Series, int, np.ndarray, int], np.ndarray]] = {
    "RNNForecaster": forecaster,
    "exponential smoothing": smoothing,
    "Ridge": ridge,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the rows there as JSON, too")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of optimisers of exponential smoothing
    rows = []
    for name, y, horizon in published_series():
        n = 3 * len(y) // 4
        origins = np.unique(np.linspace(n - 1, len(y) - horizon - 1, N_ORIGINS).astype(int))
        actual = np.lib.stride_tricks.sliding_window_view(y.to_numpy(), horizon)[origins + 1]
        unit = min(naive_errors(y.to_numpy(), actual, origins, horizon, SEASONS[y.index.freqstr[:2]]))
        for model, forecast in MODELS.items():
            start = time.perf_counter()
            error = float(np.abs(forecast(y, n, origins, horizon) - actual).mean()) / unit
            rows.append({"task": name, "model": model, "error": error, "seconds": time.perf_counter() - start})
    for model in MODELS:
        mean = float(np.exp(np.mean([np.log(row["error"]) for row in rows if row["model"] == model])))
        rows.append({"task": "geometric mean", "model": model, "error": mean, "seconds": ""})
    print_table(rows, arguments.json)


if __name__ == "__main__":
    main()
