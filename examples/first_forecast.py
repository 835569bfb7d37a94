"""
Next year's carbon dioxide
==========================

A series with a trend, a season and missing weeks: carbon dioxide in the air over Mauna Loa, 1958 to 2001. Each row of
the table is a week; the last year is kept apart to see what the forecast is worth.
"""

import matplotlib.pyplot as plt
from statsmodels.datasets import co2

from sklearn_rnn import ForecastDisplay, RNNForecaster

table = co2.load_pandas().data  # one column, "co2", and the weeks in the index
past, year = table[:-52], table[-52:]
print(f"{len(past)} weeks to learn from, {int(past['co2'].isna().sum())} of them missing")

# %%
# Nothing is scaled or filled in by hand, and no window is cut: the forecaster does so, and looks back three years.
# The quantiles make an interval in which 80 % of the values should lie.
model = RNNForecaster("co2", horizon=52, n_steps=3 * 52, quantiles=(0.1, 0.9), hidden_size=32, random_state=0).fit(past)
forecast = model.predict()
print(forecast.tail(3).round(1).to_string())
print(f"\nWindows of {model.n_steps_} weeks in segments of {model.segment_size_}")

# %%
# How good is that? The naive forecast repeats the year before, and so misses the trend. About an interval a single year
# says little: a backtest, with many origins, says more.
error = (forecast["co2"] - year["co2"]).abs().mean()
naive = (table["co2"].shift(52) - table["co2"])[-52:].abs().mean()
inside = year["co2"].between(forecast["co2_q0.1"], forecast["co2_q0.9"]).mean()
print(f"mean absolute error: {error:.2f} ppm")
print(f"the year before:     {naive:.2f} ppm")
print(f"within the interval: {inside:.0%} of the weeks")

# %%
ForecastDisplay.from_estimator(model, actual=year)
plt.show()
