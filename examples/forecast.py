"""
Your own table, against strong rivals
=====================================

Forecast a time series from its own past, and compare the forecast with simple and with strong rivals::

    python examples/forecast.py                                       next month's temperature of the sea off Peru
    python examples/forecast.py data.csv --target load --horizon 24   a column of your own table, 24 rows ahead

Each row of the table is one moment; every numeric column is an input. The models learn by how much the target changes
within `horizon` rows. Window length and cell are chosen by cross-validation in time on the first four fifths of the
rows; the last fifth is for the comparison alone. RNNForecaster is beside them as it is, without a search. The picture
is written to forecast.png, and the forecast of the rows that follow the table to forecast.csv.
"""

# sphinx_gallery_thumbnail_path = 'images/forecast.png'
import argparse
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sklearn_rnn import RNNForecaster, RNNRegressor, SlidingWindow, WindowSplit

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

TEST_SHARE = 0.2
WORTH_PROCESSES = 5_000  # rows, below which a search is over before more processes have started
SEASONS = {"15min": 96, "30min": 48, "1h": 24, "1D": 7, "7D": 52, "30D": 12, "91D": 4}  # spacing: rows of a season
FEATURES = {"day": "hour", "week": "dayofweek", "year": "dayofyear"}  # of RNNForecaster, one for each cycle
CYCLES = {"day": 1.0, "week": 7.0, "year": 365.25}  # in days
INK, BLUE, ORANGE, GREY = "#22262b", "#1769aa", "#d9540b", "#b5bcc4"


def main():
    options = read_options()
    table = sea_temperature() if options.csv is None else read_table(options.csv, options.time, options.target)
    target, horizon = options.target, options.horizon
    season = options.season or season_of(table.index)
    n_steps = options.n_steps or ([season, 2 * season] if season and season <= 168 else [12, 24])
    check_length(table, n_steps, horizon)

    X = table.join(calendar(table.index))
    future = X[target].shift(-horizon)  # what the target will be, unknown for the last rows
    change = (future - X[target])[:-horizon]
    n_known = len(change)
    first_test = int((1 - TEST_SHARE) * n_known)
    train = slice(0, first_test - horizon)  # the targets of later rows lie in the test part
    test = slice(first_test, n_known)

    print(f"{target}, {rows_ahead(horizon)}, from {', '.join(map(str, X.columns))}")
    print(f"{first_test} rows to learn from, test on the last {n_known - first_test}, from {X.index[first_test]} on\n")
    forecasts = naive_forecasts(X[target], horizon, season, first_test)
    names = list(forecasts)
    searches = {name: search.fit(X[train], change[train]) for name, search in rivals(n_steps, horizon, train).items()}
    for name, search in searches.items():
        forecasts[name] = X[target] + search.predict(X)  # a window never sees a later row
    forecasts.update(forecaster(table, target, horizon, first_test))
    scores = compare({name: forecast[test] for name, forecast in forecasts.items()}, future[test], names)
    print(scores.to_string(float_format="{:.3f}".format))

    search = searches["RNNRegressor"]
    chosen = ", ".join(f"{name.split('__')[1]}={value}" for name, value in search.best_params_.items())
    print(f"\nThe search for RNNRegressor took {chosen}")
    model = clone(search.best_estimator_).fit(X[:-horizon], change)  # now on all rows whose target is known
    following = next_rows(X[target], model.predict(X)[-horizon:])
    tested = pd.DataFrame({"observed": future, "forecast": forecasts["RNNRegressor"]})[test]
    tested.index = X.index[first_test + horizon :]  # the times that the forecasts are for
    following.to_csv(options.output.with_suffix(".csv"))
    draw(tested, following, scores["MAE"]).savefig(options.output, dpi=110)
    print(f"What comes next is in {options.output.with_suffix('.csv')}, the picture in {options.output}")


def read_options():
    parser = argparse.ArgumentParser(description="Forecast a time series and compare recurrent nets with other models.")
    parser.add_argument("csv", nargs="?", type=Path, help="a table with one row per moment; none takes El Nino")
    parser.add_argument("--target", help="the column to forecast")
    parser.add_argument("--horizon", type=positive, default=1, help="how many rows ahead (default: 1)")
    parser.add_argument("--time", help="the column with the times (default: the first column that reads as times)")
    parser.add_argument("--season", type=positive, help="rows of a season (default: by the spacing of the times)")
    parser.add_argument("--n-steps", type=positive, nargs="+", help="window lengths to try (default: 1 and 2 seasons)")
    parser.add_argument("--output", type=Path, default=Path("forecast.png"), help="the picture (default: forecast.png)")
    options = parser.parse_args()
    if options.csv is None:
        options.target = "temperature"
    elif options.target is None:
        parser.error("--target is missing: name the column to forecast")
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def rows_ahead(horizon):
    return f"{horizon} row{'s' if horizon > 1 else ''} ahead"


def fail(message):
    sys.exit(f"forecast.py: error: {message}")


def sea_temperature():
    """Monthly temperature of the sea surface off the coast of Peru, 1950 to 2010, where El Nino shows first."""
    from statsmodels.datasets import elnino

    years = elnino.load_pandas().data.set_index("YEAR")
    months = pd.period_range(f"{years.index[0]:.0f}-01", periods=years.size, freq="M").to_timestamp()
    return pd.DataFrame({"temperature": years.to_numpy().ravel()}, index=months)


def read_table(path, time, target):
    """The numeric columns of a CSV file, in the order of its times."""
    if not path.is_file():
        fail(f"there is no file {path}")
    table = pd.read_csv(path)
    for column in filter(None, [target, time]):
        if column not in table:
            fail(f"{path} has no column {column!r}, only {', '.join(map(str, table.columns))}")
    if not pd.api.types.is_numeric_dtype(table[target]):
        fail(f"column {target!r} of {path} is not numeric, its first value is {table[target].iloc[0]!r}")
    time = time or find_time(table)
    if time is not None:
        table = sorted_by_time(table, time, path)
    left_out = table.columns.difference(table.select_dtypes("number").columns)
    if len(left_out):
        print(f"Columns that are not numeric are left out: {', '.join(left_out)}")
    table = table.select_dtypes("number").astype(float)
    n_missing = table[target].isna().sum()
    if n_missing:
        print(f"{n_missing} missing values of {target} are taken to be as the last one before them")
        table[target] = table[target].ffill()
        table = table[table[target].notna()]
    return table


def find_time(table):
    """The first column of text that reads as times throughout."""
    for column in table.select_dtypes(exclude="number"):
        if pd.to_datetime(table[column], errors="coerce", format="mixed").notna().all():
            return column
    return None


def sorted_by_time(table, time, path):
    if not pd.api.types.is_numeric_dtype(table[time]):
        try:
            table[time] = pd.to_datetime(table[time])
        except ValueError as error:
            fail(f"column {time!r} of {path} does not read as times: {error}")
    if table[time].isna().any() or table[time].duplicated().any():
        wrong = table[time][table[time].isna() | table[time].duplicated()]
        fail(f"column {time!r} of {path} must have one time per row, but row {wrong.index[0] + 2} has {wrong.iloc[0]}")
    return table.set_index(time).sort_index()


def season_of(index):
    """The rows of a day, week or year, whichever is the shortest that has several rows; None without timestamps."""
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return None
    spacing = index.to_series().diff().median()
    near = [rows for length, rows in SEASONS.items() if abs(spacing / pd.Timedelta(length) - 1) < 0.1]
    return near[0] if near else None


def calendar(index):
    """Where each time stands in the day, week and year: two channels for each cycle that the rows cover twice."""
    channels = pd.DataFrame(index=index)
    if isinstance(index, pd.DatetimeIndex):
        days = (index - index[0].normalize()) / pd.Timedelta("1D")
        for name, length in CYCLES.items():
            if np.median(np.diff(days)) < length / 2 and days[-1] >= 2 * length:
                channels[f"{name}_sin"] = np.sin(2 * np.pi * days / length)
                channels[f"{name}_cos"] = np.cos(2 * np.pi * days / length)
    return channels


def check_length(table, n_steps, horizon):
    """Half of the rows to learn from must hold two windows: so much has the first fold of the search."""
    needed = int(2 * (2 * max(n_steps) + horizon) / (1 - TEST_SHARE)) + 2 * horizon + 1
    if len(table) < needed:
        fail(
            f"windows of {max(n_steps)} rows and a horizon of {horizon} need at least {needed} rows, but there are "
            f"{len(table)}. Pass more rows, or a smaller --n-steps or --horizon"
        )


def naive_forecasts(series, horizon, season, n_train):
    """What anyone can say without a model."""
    forecasts = {"last value": series}
    if season:
        since = -horizon % season  # rows from the latest known row of the target's season to this row
        forecasts["one season before"] = series.shift(since)
        phase = np.arange(len(series)) % season
        means = series[:n_train].groupby(phase[:n_train]).mean()
        forecasts["mean of the season"] = pd.Series(means.to_numpy()[(phase + horizon) % season], series.index)
    return forecasts


def rivals(n_steps, horizon, train):
    """Three models, each with as many settings to choose from, on the same windows and the same folds."""
    net = RNNRegressor(hidden_size=32, learning_rate=0.01, batch_size=64, max_epochs=20, random_state=0)
    lags = SlidingWindow(flatten=True)
    trees = HistGradientBoostingRegressor(random_state=0)
    models = {
        "Ridge": (make_pipeline(lags, SimpleImputer(), StandardScaler(), Ridge()), {"ridge__alpha": [1, 10, 100]}),
        "HistGradientBoosting": (
            make_pipeline(lags, trees),
            {"histgradientboostingregressor__learning_rate": [0.01, 0.03, 0.1]},
        ),
        "RNNRegressor": (make_pipeline(SlidingWindow(), net), {"rnnregressor__cell": ["rnn", "lstm", "gru"]}),
    }
    folds = WindowSplit(3, n_steps=max(n_steps), horizon=horizon, test_size=train.stop // 6)
    return {
        name: GridSearchCV(
            model,
            {"slidingwindow__n_steps": n_steps, **settings},
            cv=folds,
            scoring="neg_mean_absolute_error",
            n_jobs=-1 if train.stop > WORTH_PROCESSES else None,
        )
        for name, (model, settings) in models.items()
    }


def forecaster(table, target, horizon, first_test):
    """What RNNForecaster said after each row, `horizon` rows ahead; nothing if it cannot read the times."""
    cycles = [name for cycle, name in FEATURES.items() if f"{cycle}_sin" in calendar(table.index)]
    model = RNNForecaster(target, horizon, calendar=cycles, hidden_size=32, random_state=0)
    try:
        model.fit(table[:first_test])
    except ValueError as error:
        print(f"RNNForecaster is left out: {error}\n")
        return {}
    said = model.backtest(table[first_test:], n_origins=None, stride=1)
    said = said[said["step"] == horizon]
    return {"RNNForecaster": pd.Series(said["forecast"].to_numpy(), said["origin"]).reindex(table.index)}


def compare(forecasts, truth, naive):
    """Errors in the unit of the target; skill is the share of the best naive forecast's MAE that a model saves."""
    errors = pd.DataFrame(forecasts).sub(truth, axis=0)
    scores = pd.DataFrame({"MAE": errors.abs().mean(), "RMSE": (errors**2).mean() ** 0.5})
    scores["skill"] = 1 - scores["MAE"] / scores.loc[naive, "MAE"].min()
    return scores


def next_rows(series, change):
    """The forecast of the rows after the last one, each made from the row `horizon` rows before it."""
    index, horizon = series.index, len(change)
    if isinstance(index, pd.DatetimeIndex):
        step = pd.DatetimeIndex(index, freq="infer").freq or index.to_series().diff().median()
        times = pd.date_range(index[-1], periods=horizon + 1, freq=step)[1:]
    else:
        times = index[-1] + np.arange(1, horizon + 1)
    return pd.Series(
        series.to_numpy()[-horizon:] + change, pd.Index(times, name=index.name or "time"), name=series.name
    )


def draw(tested, following, mae):
    """On the left the end of the test part and what follows it, on the right the errors over the whole test part."""
    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.color": INK})
    figure, (series, errors) = plt.subplots(1, 2, figsize=(11, 3.9), width_ratios=[2.4, 1], layout="constrained")
    end = tested[-84:]
    series.plot(end.index, end["observed"], color=INK, linewidth=1.6, label="observed")
    series.plot(end.index, end["forecast"], color=BLUE, linewidth=1.6, label=f"forecast, {rows_ahead(len(following))}")
    joined = pd.concat([end["observed"][-1:], following])
    series.plot(
        joined.index, joined, ":", color=ORANGE, marker="o", markersize=4, markevery=slice(1, None), label="next rows"
    )
    series.set_title(f"{following.name}, end of the test part", loc="left", fontweight="bold")
    series.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, -0.08))
    series.grid(axis="y", color="#e7eaee")

    bars = errors.barh(mae.index[::-1], mae[::-1], color=[BLUE if "RNN" in name else GREY for name in mae.index[::-1]])
    errors.bar_label(bars, fmt=lambda error: f"{error:,.0f}" if error >= 100 else f"{error:#.3g}", padding=3)
    errors.set_title("mean absolute error, whole test part", loc="right", fontweight="bold")
    errors.tick_params(left=False)
    errors.xaxis.set_visible(False)
    errors.spines[["left", "bottom"]].set_visible(False)
    return figure


if __name__ == "__main__":
    with threadpool_limits(1):  # threads that wait for each other make small trees and nets slow on a busy machine
        main()
