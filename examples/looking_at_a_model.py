"""
Looking at a model
==================

Four pictures: how training went, what the model looks at, its error at each step ahead, and a forecast. Each display
keeps its artists and takes `ax=`, as scikit-learn's do.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from sklearn_rnn import (
    BacktestDisplay,
    ForecastDisplay,
    HistoryDisplay,
    ImportanceDisplay,
    RNNForecaster,
    RNNRegressor,
    SlidingWindow,
)

# %%
# The heat that a house needs follows the cold outside with a delay of three hours, and does not care about the wind.
rng = np.random.default_rng(0)
hours = pd.date_range("2026-01-01", periods=90 * 24, freq="h", name="time")
cold = 10 - 3 * np.sin(2 * np.pi * hours.hour / 24) + 2 * rng.normal(size=len(hours))
table = pd.DataFrame({"cold": cold, "wind": rng.normal(size=len(hours))}, index=hours)
heat = table["cold"].shift(3).bfill() + rng.normal(scale=0.2, size=len(hours))

model = make_pipeline(SlidingWindow(n_steps=8), RNNRegressor(hidden_size=16, max_epochs=15, random_state=0))
n_train = 76 * 24
model.fit(table[:n_train], heat[:n_train])
HistoryDisplay.from_estimator(model)
plt.show()

# %%
# The importance of a channel and a lag is what the score loses when the samples exchange their values of it, here on
# rows that the model was not fitted to. Lag 3 stands out, and the wind has none.
ImportanceDisplay.from_estimator(model, table[n_train:], heat[n_train:], by="both", block_size=1, random_state=0)
plt.show()

# %%
# Two forecasters on the same backtest, in one picture: here it makes little difference how windows are normalised.
table["heat"] = heat
train, test = table[:n_train], table[n_train:]
ax = None
for normalize in ("last", None):
    forecaster = RNNForecaster(
        "heat", horizon=24, normalize=normalize, quantiles=(0.1, 0.9), hidden_size=16, max_epochs=8, random_state=0
    ).fit(train)
    ax = BacktestDisplay.from_estimator(forecaster, test, name=f"normalize={normalize!r}", ax=ax).ax_
plt.show()

# %%
# And what the last of them says about the day after training, with what came.
ForecastDisplay.from_estimator(forecaster, actual=test[:24])
plt.show()
