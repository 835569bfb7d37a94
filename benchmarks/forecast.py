"""Forecasts beside Ridge on the flattened windows, gradient boosting and naive forecasts, on real data.

ETTh1: the usual protocol, 8,640 rows to train on, 2,880 to stop by, 2,880 to test on, every origin; errors in standard
deviations of the training rows. Household power: week ahead from 46 Saturdays, RMSE. Beijing PM2.5: one hour ahead over
the fifth year, RMSE of the hours that are there. The peers see what the forecaster sees: Ridge and boosting get the
last values less the last one, as many as the forecaster's window has, 96 for OT alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _datasets import DATA
from _report import print_table
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge

from sklearn_rnn import RNNForecaster

SEED = 0
SAMPLES_OF_BOOSTING = 100_000


def timed(task: Callable[[], float]) -> tuple[float, float]:
    start = time.perf_counter()
    return task(), time.perf_counter() - start


def row(task: str, model: str, measure: str, error: float, seconds: float, limit: float | str = "") -> dict:
    return {"task": task, "model": model, "measure": measure, "error": error, "seconds": seconds, "limit": limit}


# Peers ----------------------------------------------------------------------------------------------------------------


def origins_of(values: np.ndarray, first: int, last: int, horizon: int) -> np.ndarray:
    """Rows after which `horizon` rows lie within [first, last)."""
    return np.arange(first - 1, last - horizon)


def flat(values: np.ndarray, origins: np.ndarray, n_steps: int) -> np.ndarray:
    """Values of the window less the last one, one row an origin and channel: (n_origins * n_channels, n_steps)."""
    windows = np.lib.stride_tricks.sliding_window_view(values, n_steps, axis=0)[origins - n_steps + 1]
    return (windows - windows[:, :, -1:]).reshape(-1, n_steps)


def changes(values: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
    """The next values less the last one, (n_origins * n_channels, horizon)."""
    following = np.lib.stride_tricks.sliding_window_view(values, horizon, axis=0)[origins + 1]
    return (following - values[origins][:, :, None]).reshape(-1, horizon)


def naive_error(values: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> float:
    actual = np.stack([values[o + 1 : o + 1 + horizon] for o in origins])
    source = (origins + 1 - season)[:, None] + np.arange(horizon) % season
    return float(np.square(values[source] - actual).mean())


def ridge_error(values: np.ndarray, train: np.ndarray, test: np.ndarray, n_steps: int, horizon: int) -> float:
    model = Ridge().fit(flat(values, train, n_steps), changes(values, train, horizon))
    predicted = model.predict(flat(values, test, n_steps)).reshape(-1, horizon)  # 1-D for a single output
    return float(np.square(predicted - changes(values, test, horizon)).mean())


def boosting_error(values: np.ndarray, train: np.ndarray, test: np.ndarray, n_steps: int, horizon: int) -> float:
    """One model for all steps, the step being a feature; a sample of rows, as is usual with so many."""
    rng = np.random.default_rng(SEED)

    def sample(origins: np.ndarray, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
        lags, targets = flat(values, origins, n_steps), changes(values, origins, horizon)
        n_samples = min(n_samples, targets.size)
        rows, steps = np.divmod(rng.choice(targets.size, n_samples, replace=False), horizon)
        same_hour = lags[rows, n_steps - 24 + steps % 24]  # a day before the target or earlier, by the clock
        chosen = lags[rows][:, -48:]
        return np.column_stack([chosen, same_hour, lags[rows].mean(axis=1), steps]), targets[rows, steps]

    model = HistGradientBoostingRegressor(random_state=SEED).fit(*sample(train, SAMPLES_OF_BOOSTING))
    features, targets = sample(test, 2 * SAMPLES_OF_BOOSTING)
    return float(np.square(model.predict(features) - targets).mean())


# ETTh1 ----------------------------------------------------------------------------------------------------------------


def forecaster_error(model: RNNForecaster, df: pd.DataFrame, scale: pd.Series) -> float:
    model.fit(df[:11_520])
    horizon, total, count = model.horizon, 0.0, 0
    for first in range(11_519, 14_400 - horizon, 256):  # a few origins at a time: a long table of all is large
        last = min(first + 256, 14_400 - horizon)
        part = model.backtest(df[first + 1 - model.n_steps_ : last + horizon], n_origins=last - first, stride=1)
        errors = (part["forecast"] - part["actual"]) / part["target"].map(scale)
        total, count = total + float((errors**2).sum()), count + len(errors)
    return total / count


def ett_rows(path: Path, targets: list[str], horizon: int, limit: float | str, **options: object) -> list[dict]:
    df = pd.read_csv(path / "ett" / "ETTh1.csv", parse_dates=["date"])[["date", *targets]]
    mean, scale = df[targets][:8_640].mean(), df[targets][:8_640].std(ddof=0)
    values = ((df[targets] - mean) / scale).to_numpy(np.float64)
    n_steps = int(options.get("n_steps", 336))  # type: ignore[call-overload]
    lags = 96 if len(targets) == 1 else n_steps  # more of them do the peers no good there
    train, test = origins_of(values, n_steps, 8_640, horizon), origins_of(values, 11_520, 14_400, horizon)
    model = RNNForecaster(
        targets,
        horizon,
        time="date",
        validation_fraction=0.25,
        random_state=SEED,
        **{**options},  # type: ignore[arg-type]
    )
    name = f"ETTh1 {'OT' if len(targets) == 1 else f'{len(targets)} targets'}, {horizon} steps, n_steps {n_steps}"
    results = {
        "RNNForecaster": timed(lambda: forecaster_error(model, df, scale)),
        "Ridge": timed(lambda: ridge_error(values, train, test, lags, horizon)),
        "HistGradientBoosting": timed(lambda: boosting_error(values, train, test, lags, horizon)),
        "persistence": timed(lambda: naive_error(values, test, horizon, 1)),
        "seasonal naive": timed(lambda: naive_error(values, test, horizon, 24)),
    }
    return [
        row(name, model_name, "MSE", *result, limit if model_name == "RNNForecaster" else "")
        for model_name, result in results.items()
    ]


def coverage_rows(path: Path) -> list[dict]:
    """The share of later values within the 80 % interval, plain and conformal."""
    ett = pd.read_csv(path / "ett" / "ETTh1.csv", parse_dates=["date"])[["date", "OT"]]
    power = read_power(path)
    beijing = read_beijing(path)
    year = beijing["time"].dt.year
    options = {"quantiles": (0.1, 0.9), "random_state": SEED, "validation_fraction": 0.25}
    cases = {
        "ETTh1 OT, 24 steps": (RNNForecaster("OT", 24, time="date", **options), ett[:11_520], ett[11_520:14_400]),
        "household power, 7 steps": (
            RNNForecaster("Global_active_power", 7, time="Datetime", **options),
            power[1:-328],
            power[-328:-6],
        ),
        "Beijing PM2.5, 1 step": (
            RNNForecaster("pm2.5", 1, time="time", **options),
            beijing[year < 2014],
            beijing[year == 2014],
        ),
    }
    rows = []
    for name, (model, train, test) in cases.items():
        for conformal in (False, True):
            start = time.perf_counter()
            backtest = model.set_params(conformal=conformal).fit(train).backtest(test, n_origins=None, stride=1)
            coverage = float(model.backtest_summary(backtest, "target")["coverage"].iloc[0])
            kind = "conformal quantiles" if conformal else "quantiles"
            seconds = time.perf_counter() - start
            rows.append(row(f"{name}, 80 % interval", kind, "coverage", coverage, seconds, "0.77 to 0.83"))
    return rows


def read_power(path: Path) -> pd.DataFrame:
    return pd.read_csv(path / "household_power" / "household_power_consumption_days.csv", parse_dates=["Datetime"])


def read_beijing(path: Path) -> pd.DataFrame:
    df = pd.read_csv(path / "beijing_pm25" / "pollution.csv")
    df.insert(0, "time", pd.to_datetime(df[["year", "month", "day", "hour"]]))
    return df.drop(columns=["No", "year", "month", "day", "hour"])


# Household power and Beijing ------------------------------------------------------------------------------------------


def power_rows(path: Path) -> list[dict]:
    df = read_power(path)
    target = "Global_active_power"
    train, test = df[1:-328], df[-328:-6]  # 159 and 46 weeks from Sunday to Saturday
    y = df[target].to_numpy()
    saturdays = np.arange(len(df) - 329, len(df) - 7, 7)
    fit = np.arange(28, len(df) - 328 - 7)

    def forecaster() -> float:
        model = RNNForecaster(target, 7, time="Datetime", random_state=SEED).fit(train)
        return rmse_of(model.backtest(test, n_origins=None, stride=7))

    def peer(model: Ridge | HistGradientBoostingRegressor) -> float:
        lags = np.stack([y[o - 27 : o + 1] for o in range(27, len(y))])
        errors = []
        for step in range(1, 8):
            model.fit(lags[fit - 27], y[fit + step])
            errors.append(model.predict(lags[saturdays - 27]) - y[saturdays + step])
        return float(np.sqrt(np.square(errors).mean()))

    results = {
        "RNNForecaster": timed(forecaster),
        "Ridge": timed(lambda: peer(Ridge(alpha=100.0))),
        "HistGradientBoosting": timed(lambda: peer(HistGradientBoostingRegressor(random_state=SEED))),
        "last week again": timed(lambda: naive_error(y[:, None], saturdays, 7, 7) ** 0.5),
    }
    name = "household power, week ahead"
    return [
        row(name, model, "RMSE", *result, 380 if model == "RNNForecaster" else "") for model, result in results.items()
    ]


def panel_rows(path: Path) -> list[dict]:
    """All eight columns of household power as a panel of series in their own units, week ahead, every origin; MASE."""
    df = read_power(path)[1:]
    panel = df.melt("Datetime", var_name="series", value_name="value")
    first = df["Datetime"].iloc[-328]
    past, coming = panel[panel["Datetime"] < first], panel[panel["Datetime"] >= first]
    values = df.drop(columns="Datetime").to_numpy(np.float64)
    n_past, horizon, n_steps = len(df) - 328, 7, 28
    unit = np.abs(values[7:n_past] - values[: n_past - 7]).mean(axis=0)  # of each series: last week's error in training
    train = origins_of(values, n_steps, n_past, horizon)
    test = origins_of(values, n_past + 1, len(df), horizon)

    def forecaster(**options: object) -> float:
        model = RNNForecaster("value", horizon, time="Datetime", group="series", random_state=SEED, **options)
        part = model.fit(past).backtest(coming, n_origins=len(test), stride=1)
        return float((np.abs(part["forecast"] - part["actual"]) / part["series"].map(units)).mean())

    def peer(model: Ridge | HistGradientBoostingRegressor) -> float:
        def scaled(origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            lags = flat(values, origins, n_steps)
            return lags, np.maximum(lags.std(axis=1), 1e-9)[:, None]

        (lags, spread), (new, new_spread) = scaled(train), scaled(test)
        targets = changes(values, train, horizon) / spread
        steps = [model.fit(lags / spread, targets[:, step]).predict(new / new_spread) for step in range(horizon)]
        errors = np.stack(steps, axis=1) * new_spread - changes(values, test, horizon)
        return float((np.abs(errors).reshape(len(test), -1, horizon) / unit[:, None]).mean())

    def week_again() -> float:
        errors = [np.abs(values[o - 6 : o + 1] - values[o + 1 : o + 8]) / unit for o in test]
        return float(np.mean(errors))

    units = dict(zip(df.columns.drop("Datetime"), unit, strict=True))
    results = {
        "RNNForecaster": timed(forecaster),
        'RNNForecaster, normalize="last"': timed(lambda: forecaster(normalize="last")),
        "Ridge": timed(lambda: peer(Ridge())),
        "HistGradientBoosting": timed(lambda: peer(HistGradientBoostingRegressor(random_state=SEED))),
        "last week again": timed(week_again),
    }
    return [row("household power, 8 series, week ahead", name, "MASE", *result) for name, result in results.items()]


def short_rows(path: Path) -> list[dict]:
    """Fewer than 1,000 windows, past covariates or a calendar: mixed with a ridge regression, and the net alone."""
    power = read_power(path).rename(columns={"Datetime": "time"})[1:]
    ett = pd.read_csv(path / "ett" / "ETTh1.csv", parse_dates=["date"]).rename(columns={"date": "time"})
    week = {"horizon": 7, "calendar": ["dayofweek", "month"]}
    day = {"horizon": 24, "calendar": ["hour"]}
    columns = ["Global_active_power", "Voltage", "Sub_metering_3"]
    cases = [(power[300 : 450 + n], name, 150, week) for name in columns for n in (500, 900)]
    cases += [(ett[first : first + 1_200], "OT", 200, day) for first in (2_000, 6_000, 9_000)]
    rows = []
    for table, target, n_test, options in cases:
        for with_others in (False, True):
            part = table if with_others else table[["time", target]]
            chosen = {"horizon": options["horizon"]} if with_others else options
            for name, blend in (("mixture", True), ("net alone", False)):
                model = RNNForecaster(target, time="time", blend=blend, random_state=SEED, **chosen)  # type: ignore[arg-type]

                def error(model: RNNForecaster = model, part: pd.DataFrame = part, n_test: int = n_test) -> float:
                    backtest = model.fit(part[:-n_test]).backtest(part[-n_test:], n_origins=None, stride=1)
                    return float((backtest["forecast"] - backtest["actual"]).abs().mean())

                what = f"{target}, {len(part)} rows, {'past covariates' if with_others else 'calendar'}"
                rows.append(row(what, name, "MAE", *timed(error)))
    ratios = np.array([first["error"] / second["error"] for first, second in zip(rows[::2], rows[1::2], strict=True)])
    rows.append(row("all of these", "mixture / net alone", "geometric mean", float(np.exp(np.log(ratios).mean())), 0.0))
    return rows


def rmse_of(backtest: pd.DataFrame) -> float:
    return float(np.sqrt(((backtest["forecast"] - backtest["actual"]) ** 2).mean()))


def beijing_rows(path: Path) -> list[dict]:
    df = read_beijing(path)
    year = df["time"].dt.year
    test = df[year == 2014]

    def forecaster() -> float:
        model = RNNForecaster("pm2.5", 1, time="time", validation_fraction=0.25, random_state=SEED).fit(df[year < 2014])
        return rmse_of(model.backtest(test, n_origins=None, stride=1))

    y = df["pm2.5"].to_numpy()
    weather = pd.get_dummies(df.drop(columns=["time", "pm2.5"])).to_numpy(np.float64)
    last = pd.Series(y).ffill().fillna(0).to_numpy()
    features = np.column_stack([np.stack([np.roll(last, lag) for lag in range(24)], axis=1), weather])[:-1]
    past, coming = (year < 2013).to_numpy()[1:], (year == 2014).to_numpy()[1:]
    past = past.copy()
    there = ~np.isnan(y[1:])
    past[:24] = False

    def peer(model: Ridge | HistGradientBoostingRegressor) -> float:
        change = y[1:] - last[:-1]
        model.fit(features[past & there], change[past & there])
        return float(np.sqrt(np.square(model.predict(features) - change)[coming & there].mean()))

    persistence = float(np.sqrt(np.square(last[:-1] - y[1:])[coming & there].mean()))
    results = {
        "RNNForecaster": timed(forecaster),
        "Ridge": timed(lambda: peer(Ridge())),
        "HistGradientBoosting": timed(lambda: peer(HistGradientBoostingRegressor(random_state=SEED))),
        "persistence": (persistence, 0.0),
    }
    limit = round(0.97 * persistence, 2)
    name = "Beijing PM2.5, hour ahead"
    return [
        row(name, model, "RMSE", *result, limit if model == "RNNForecaster" else "")
        for model, result in results.items()
    ]


ALL = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
LONG = {"n_steps": 720, "dropout": 0.5}
TASKS: dict[str, Callable[[Path], list[dict]]] = {
    "ot24": lambda path: ett_rows(path, ["OT"], 24, 0.0265),
    "ot1": lambda path: ett_rows(path, ["OT"], 1, 0.0039),
    "power": power_rows,
    "panel": panel_rows,
    "short": short_rows,
    "beijing": beijing_rows,
    "coverage": coverage_rows,
    "ett96": lambda path: ett_rows(path, ALL, 96, 0.365),
    "long96": lambda path: ett_rows(path, ALL, 96, "", **LONG),
    "long192": lambda path: ett_rows(path, ALL, 192, "", **LONG),
    "long336": lambda path: ett_rows(path, ALL, 336, "", **LONG),
    "long720": lambda path: ett_rows(path, ALL, 720, "mean 0.405", **LONG),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), help=f"some of {', '.join(TASKS)}")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets")
    parser.add_argument("--json", metavar="FILE", help="write the rows there as JSON, too")
    arguments = parser.parse_args()
    rows = []
    for task in arguments.tasks:
        try:
            rows += TASKS[task](arguments.data)
            print(f"{task} is done", flush=True)
        except FileNotFoundError as error:
            print(f"{task} is skipped: there is no {error.filename}")
    if rows:
        print_table(rows, arguments.json)


if __name__ == "__main__":
    main()
