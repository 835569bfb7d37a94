"""
A panel of shops
================

Two weeks ahead with promotions known in advance, intervals, and a backtest.

The sales are made up, so that it is known what there is to find: a week, a year, the effect of a promotion, which city
shops feel more than village shops, and noise that nobody can forecast.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_rnn import ForecastDisplay, RNNForecaster

HORIZON = 14


def make_shops(n_shops: int = 12, n_days: int = 900) -> pd.DataFrame:
    """Daily sales; shops open on different days, so their series have unequal lengths."""
    rng = np.random.default_rng(0)
    shops = []
    for i in range(n_shops):
        kind = "city" if i % 3 else "village"
        date = pd.date_range("2022-01-01", periods=n_days)[rng.integers(0, 200) :]
        promotion = rng.random(len(date)) < 0.1
        week = (
            np.where(date.day_of_week >= 5, 1.3, 1.0) if kind == "city" else np.where(date.day_of_week >= 5, 0.7, 1.0)
        )
        year = 1 + 0.15 * np.sin(2 * np.pi * date.day_of_year / 365)
        lift = np.where(promotion, 1.6 if kind == "city" else 1.2, 1.0)
        sales = rng.uniform(50, 200) * week * year * lift * rng.lognormal(sigma=0.08, size=len(date))
        shops.append(
            pd.DataFrame({"date": date, "shop": f"shop {i}", "kind": kind, "promotion": promotion, "sales": sales})
        )
    return pd.concat(shops, ignore_index=True)


# %%
df = make_shops()
last_day = df["date"].max()
past, coming = (
    df[df["date"] <= last_day - pd.Timedelta(days=HORIZON)],
    df[df["date"] > last_day - pd.Timedelta(days=HORIZON)],
)

model = RNNForecaster(
    "sales",
    HORIZON,
    time="date",
    group="shop",
    known="promotion",  # planned, so the coming days are known
    static="kind",
    calendar=["dayofweek", "dayofyear"],
    quantiles=(0.1, 0.9),
    conformal=True,  # intervals that keep their promise on the held-out days
    hidden_size=32,
    random_state=0,
    verbose=0,
).fit(past)
print(
    f"Windows of {model.n_steps_} days in segments of {model.segment_size_}; on the held-out days the error is "
    f"{model.skill_['skill']:.0%} below that of the better naive forecast.\n"
)

forecast = model.predict(future=coming[["shop", "date", "promotion"]])
table = forecast.merge(coming, on=["shop", "date"], suffixes=("", "_actual"))
print(table[table["shop"] == "shop 1"].drop(columns=["shop", "kind"]).to_string(index=False, float_format="%.0f"))

inside = (table["sales_actual"] >= table["sales_q0.1"]) & (table["sales_actual"] <= table["sales_q0.9"])
print(f"\nOf {len(table)} sales of all shops {inside.mean():.0%} lie within the 80 % interval.")

naive = past.groupby("shop").tail(7).assign(date=lambda week: week["date"] + pd.Timedelta(days=7))
naive = pd.concat([naive, naive.assign(date=naive["date"] + pd.Timedelta(days=7))])[["shop", "date", "sales"]]
week_before = table.merge(naive, on=["shop", "date"], suffixes=("", "_naive"))
print(
    f"Mean absolute error {np.abs(table['sales'] - table['sales_actual']).mean():.1f}; the week before, repeated: "
    f"{np.abs(week_before['sales_naive'] - week_before['sales_actual']).mean():.1f}.\n"
)

backtest = model.backtest(coming, n_origins=1)
print(model.backtest_summary(backtest, by="shop").round(2).to_string())

# %%
# Three of the shops: the forecast behind the last weeks, its interval, and what came.
ForecastDisplay.from_estimator(
    model, future=coming[["shop", "date", "promotion"]], actual=coming, groups=["shop 0", "shop 1", "shop 2"]
)
plt.show()
