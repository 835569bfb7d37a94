"""The displays: what they draw is what the model says, on any background, and they refuse what they cannot draw."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from sklearn_rnn import (
    BacktestDisplay,
    ForecastDisplay,
    HistoryDisplay,
    ImportanceDisplay,
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    SlidingWindow,
    channel_importance,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.colors import same_color  # noqa: E402
from matplotlib.dates import ConciseDateFormatter  # noqa: E402

TINY = {"hidden_size": 4, "max_epochs": 3, "random_state": 0, "n_threads": 1, "device": "cpu"}
COLUMNS = ["target", "origin", "step", "time", "actual", "forecast", "scale"]


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def hours(n_rows=120, **index):
    times = pd.date_range("2024-03-20", periods=n_rows, freq="h", name="time", **index)
    rng = np.random.default_rng(0)
    load = np.sin(np.arange(n_rows) * np.pi / 12) + 0.1 * rng.normal(size=n_rows)
    return pd.DataFrame({"load": load, "heat": 100 * load + 500}, index=times)


def stores(n_stores, n_rows=60):
    days = np.arange(n_rows)
    parts = [
        pd.DataFrame({"day": pd.date_range("2024-01-01", periods=n_rows), "store": i, "sales": np.sin(days + i)})
        for i in range(n_stores)
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def forecaster():
    return RNNForecaster("load", 6, quantiles=(0.05, 0.25, 0.75, 0.95), early_stopping=True, **TINY).fit(hours()[:100])


@pytest.fixture(scope="module")
def of_two():
    return RNNForecaster(["load", "heat"], 3, **TINY).fit(hours()[:90])


@pytest.fixture(scope="module")
def of_stores():
    return RNNForecaster("sales", 4, time="day", group="store", **TINY).fit(stores(11, 40))


@pytest.fixture(scope="module")
def regressor():
    X = np.random.default_rng(0).normal(size=(60, 5, 2))
    return RNNRegressor(early_stopping=True, **TINY).fit(X, X[:, -1, 1]), X, X[:, -1, 1]


def drawn(line):
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata(), dtype=float)


# History --------------------------------------------------------------------------------------------------------------


def test_the_history_is_drawn_epoch_by_epoch_and_its_best_epoch_marked(regressor):
    model = regressor[0]
    display = HistoryDisplay.from_estimator(model)
    for line, column in ((display.line_, "train_loss"), (display.valid_line_, "valid_loss")):
        np.testing.assert_array_equal(drawn(line), model.history_[["epoch", column]].to_numpy().T)
    best = model.history_["valid_loss"].min()
    np.testing.assert_array_equal(np.ravel(drawn(display.best_)), [model.best_epoch_, best])
    assert display.ax_.get_ylabel() == "squared error of the standardised target"
    assert display.figure_ is display.ax_.figure


def test_a_pipeline_and_a_search_show_the_training_of_what_they_end_in():
    X, y = hours()[["load"]].to_numpy(), hours()["heat"]
    pipeline = make_pipeline(SlidingWindow(4), RNNRegressor(**TINY)).fit(X, y)
    search = GridSearchCV(pipeline, {"slidingwindow__n_steps": [2, 3]}, cv=KFold(2)).fit(X, y)
    for model, fitted in ((pipeline, pipeline[-1]), (search, search.best_estimator_[-1])):
        line = HistoryDisplay.from_estimator(model).line_
        np.testing.assert_array_equal(drawn(line)[1], fitted.history_["train_loss"])


def test_without_validation_data_only_the_training_is_drawn():
    model = RNNClassifier(early_stopping=False, **TINY).fit(np.eye(12), np.arange(12) % 2)
    display = HistoryDisplay.from_estimator(model)
    assert display.valid_line_ is None
    assert display.best_ is None
    assert len(display.ax_.lines) == 1
    assert display.ax_.get_ylabel() == "cross entropy"


def test_two_models_are_drawn_over_each_other_in_colours_of_their_own(regressor):
    first = HistoryDisplay.from_estimator(regressor[0], name="GRU")
    second = HistoryDisplay.from_history(regressor[0].history_ * 2, name="other", ax=first.ax_)
    assert second.ax_ is first.ax_
    assert len({line.get_color() for line in (first.line_, second.line_, first.valid_line_, second.valid_line_)}) == 4
    labels = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert {"GRU: training", "other: training"} < set(labels)


# Forecasts ------------------------------------------------------------------------------------------------------------


def test_a_forecast_stands_between_its_history_and_what_came(forecaster):
    df = hours()
    display = ForecastDisplay.from_estimator(forecaster, actual=df)
    forecast = forecaster.predict()
    times, values = drawn(display.line_)
    np.testing.assert_array_equal(values, forecast["load"])
    assert (times == forecast.index.to_numpy()).all()
    np.testing.assert_array_equal(drawn(display.actual_lines_[0])[1], df["load"][100:106])
    np.testing.assert_allclose(drawn(display.history_lines_[0])[1], df["load"][76:100], rtol=1e-6)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("time", "load")


def test_quantiles_are_bands_around_the_forecast(forecaster):
    display = ForecastDisplay.from_estimator(forecaster)
    forecast = forecaster.predict()
    assert list(display.bands_[0]) == [(0.05, 0.95), (0.25, 0.75)]
    for (low, high), band in display.bands_[0].items():
        corners = band.get_paths()[0].vertices[:, 1]
        assert corners.min() == forecast[f"load_q{low}"].min()
        assert corners.max() == forecast[f"load_q{high}"].max()
    labels = [text.get_text() for text in display.figure_.legends[0].get_texts()]
    assert labels == ["history", "forecast", "90 % interval", "50 % interval"]


def test_a_quantile_without_its_partner_is_a_line():
    forecast = pd.DataFrame({"load": [1.0, 2.0], "load_q0.9": [3.0, 4.0], "load_q0.5": [1.0, 2.0]})
    display = ForecastDisplay.from_predictions(forecast, "load")
    assert display.bands_ == [{}]
    assert [line.get_label() for line in display.ax_.lines] == ["forecast", "quantile 0.9"]
    np.testing.assert_array_equal(drawn(display.ax_.lines[1])[1], [3, 4])


def test_a_forecast_reads_its_rows_once(forecaster):
    """Or warnings would come twice."""
    rows = hours()[100:].drop(hours().index[110])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ForecastDisplay.from_estimator(forecaster, rows[::2])
    messages = [str(each.message) for each in caught]
    assert messages
    assert len(set(messages)) == len(messages)


def test_a_forecast_of_another_model_is_drawn_from_its_table():
    df = hours()
    forecast = df[["load"]][100:110] + 1
    display = ForecastDisplay.from_predictions(forecast, "load", history=df, actual=df, n_history=30)
    np.testing.assert_array_equal(drawn(display.line_)[1], df["load"][100:110] + 1)
    np.testing.assert_array_equal(drawn(display.history_lines_[0])[1], df["load"][70:100])
    np.testing.assert_array_equal(drawn(display.actual_lines_[0])[1], df["load"][100:110])


def test_a_panel_gets_axes_side_by_side_the_first_nine_of_many(of_stores):
    display = ForecastDisplay.from_estimator(of_stores, actual=stores(11, 44))
    forecast = of_stores.predict()
    assert [ax.get_title() for ax in display.axes_] == [str(i) for i in range(9)]
    assert display.figure_.get_suptitle() == "the first 9 of 11 series"
    for i in range(9):
        np.testing.assert_array_equal(drawn(display.lines_[i])[1], forecast["sales"][forecast["store"] == i])
        assert len(drawn(display.actual_lines_[i])[1]) == 4
    assert [bool(ax.get_xlabel()) for ax in display.axes_] == [False] * 6 + [True] * 3
    assert [bool(ax.get_ylabel()) for ax in display.axes_] == [True, False, False] * 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda df: ForecastDisplay.from_predictions(df[:0], "load"),
            "forecast has no rows. Pass the forecast of at least one",
        ),
        (lambda df: ForecastDisplay.from_predictions(None, "load"), "forecast is a NoneType, but must be a DataFrame"),
        (lambda df: ForecastDisplay.from_predictions(df, []), "target names no column"),
        (lambda df: ForecastDisplay.from_predictions(df, "load", group="load", groups=5), "groups is 5, but must be a"),
        (
            lambda df: ForecastDisplay.from_predictions(df, "load", group="load", groups="ab"),
            "groups is 'ab', but must",
        ),
        (
            lambda df: ImportanceDisplay.from_importances(None),
            "importances is None, but must be what channel_importance",
        ),
        (
            lambda df: BacktestDisplay.from_predictions(pd.DataFrame(columns=COLUMNS), by="target"),
            "backtest has no rows. Pass that of at least one origin",
        ),
        (
            lambda df: BacktestDisplay.from_predictions(pd.DataFrame(columns=COLUMNS), metric=[]),
            r"metric is \[\], but must be one of",
        ),
        (
            lambda df: HistoryDisplay.from_history(
                pd.DataFrame({"epoch": [1, 2], "train_loss": 1.0, "valid_loss": 1.0}), best_epoch=3
            ),
            "best_epoch is 3, but the history has the epochs 1 to 2",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises((ValueError, TypeError), match=message):
        draw(hours())


def test_times_of_two_kinds_are_refused(forecaster):
    forecast = forecaster.predict()
    for name in ("history", "actual"):
        with pytest.raises(ValueError, match=f"The times of {name} are datetime64.*UTC.*, but those of the forecast"):
            ForecastDisplay.from_predictions(forecast, "load", **{name: hours().tz_localize("UTC")})


@pytest.mark.parametrize("ax", [5, "left", [None]])
def test_what_are_no_axes_is_refused(forecaster, ax):
    with pytest.raises(TypeError, match="but must be axes of matplotlib"):
        ForecastDisplay.from_estimator(forecaster, ax=ax)
    with pytest.raises(TypeError, match="but must be axes of matplotlib"):
        HistoryDisplay.from_estimator(forecaster, ax=ax)


def test_lines_over_the_steps_are_not_drawn_by_step(forecaster):
    backtest = forecaster.backtest(hours()[100:], n_origins=2)
    with pytest.raises(ValueError, match="by is 'step', but each line goes over the steps already"):
        BacktestDisplay.from_predictions(backtest, by="step")


def test_the_legend_names_what_is_drawn_in_any_panel(of_stores):
    actual = stores(11, 44)
    display = ForecastDisplay.from_estimator(of_stores, groups=[0, 1], actual=actual[actual["store"] == 1])
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == ["history", "actual", "forecast"]


@pytest.mark.parametrize(("n_history", "n_drawn"), [(0, None), (1, 1), (100, 40), (None, 24)])
def test_as_much_of_the_history_is_drawn_as_asked_for(of_stores, n_history, n_drawn):
    line = ForecastDisplay.from_estimator(of_stores, X=stores(1, 40), n_history=n_history).history_lines_[0]
    assert line is None if n_drawn is None else len(drawn(line)[1]) == n_drawn


@pytest.mark.parametrize("n_history", [-1, 1.5, "all"])
def test_no_other_number_of_rows_is_a_history(of_stores, n_history):
    with pytest.raises(ValueError, match="n_history is .*, but must be an integer that is not negative, or None"):
        ForecastDisplay.from_estimator(of_stores, n_history=n_history)


def test_chosen_groups_are_drawn_in_the_users_axes(of_stores):
    figure, axes = plt.subplots(1, 2)
    display = ForecastDisplay.from_estimator(of_stores, groups=[10, 3], ax=axes)
    assert [ax.get_title() for ax in axes] == ["10", "3"]
    assert display.figure_ is figure
    with pytest.raises(ValueError, match="ax has 2 axes, but there are 3 series"):
        ForecastDisplay.from_estimator(of_stores, groups=[0, 1, 2], ax=axes)
    with pytest.raises(ValueError, match="groups is \\[12\\], but the forecast has"):
        ForecastDisplay.from_estimator(of_stores, groups=[12])


def test_a_group_with_a_tuple_for_a_label_is_chosen_by_it():
    df = pd.DataFrame({"shop": [("a", 1)] * 40 + [("b", 2)] * 40, "y": np.arange(80) % 7.0})
    model = RNNForecaster("y", 3, group="shop", **TINY).fit(df)
    for label in [("b", 2), (("b", 2),)]:
        display = ForecastDisplay.from_estimator(model, groups=[label])
        assert [ax.get_title() for ax in np.atleast_1d(display.axes_)] == ["('b', 2)"]


def test_every_target_has_its_axes(of_two):
    display = ForecastDisplay.from_estimator(of_two, hours())
    assert [ax.get_title() for ax in display.axes_] == ["load", "heat"]
    np.testing.assert_array_equal(drawn(display.lines_[1])[1], of_two.predict(hours())["heat"])


def test_a_target_with_the_name_of_another_and_more_is_no_quantile_of_it():
    df = hours().rename(columns={"heat": "load_quality"})[["load", "load_quality"]]
    model = RNNForecaster(["load", "load_quality"], 3, quantiles=(0.1, 0.9), **TINY).fit(df[:90])
    display = ForecastDisplay.from_estimator(model, df)
    assert [len(bands) for bands in display.bands_] == [1, 1]


def test_dates_are_written_short_and_in_their_own_zone():
    df = hours(tz="Asia/Tokyo")
    display = ForecastDisplay.from_predictions(df[24:48], "load", history=df)
    display.figure_.canvas.draw()
    formatter = display.ax_.xaxis.get_major_formatter()
    assert isinstance(formatter, ConciseDateFormatter)
    first_midnight = matplotlib.dates.date2num(pd.Timestamp("2024-03-20", tz="Asia/Tokyo"))
    assert np.isclose(np.asarray(display.ax_.xaxis.get_majorticklocs()), first_midnight).any()


@pytest.mark.parametrize(
    ("index", "first", "label"),
    [
        (pd.period_range("2024-01", periods=8, freq="M", name="month"), np.datetime64("2024-06-01"), "month"),
        (pd.timedelta_range("0s", periods=8, freq="30min"), 2.5, "time (hours)"),
        (pd.RangeIndex(8), 5, "time"),
    ],
)
def test_times_of_every_kind_have_their_place(index, first, label):
    table = pd.DataFrame({"load": np.arange(8.0)}, index=index)
    display = ForecastDisplay.from_predictions(table[5:], "load", history=table)
    display.figure_.canvas.draw()
    assert drawn(display.line_)[0][0] == first
    assert display.ax_.get_xlabel() == label


def test_rows_without_times_are_counted_from_the_last_one_of_the_history():
    values = hours()["load"].to_numpy()
    model = RNNForecaster(0, 4, **TINY).fit(values[:100])
    display = ForecastDisplay.from_estimator(model, actual=values[100:])
    assert drawn(display.line_)[0].tolist() == drawn(display.actual_lines_[0])[0].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(drawn(display.line_)[1], model.predict())
    assert drawn(display.history_lines_[0])[0][-1] == 0
    assert display.ax_.get_xlabel() == "step (0 is the last row of the history)"


def test_the_legend_lies_outside_the_axes(forecaster):
    display = ForecastDisplay.from_estimator(forecaster)
    display.figure_.canvas.draw()
    legend = display.figure_.legends[0].get_window_extent()
    assert not legend.overlaps(display.ax_.get_tightbbox())


# Backtests ------------------------------------------------------------------------------------------------------------


def test_the_error_of_a_backtest_is_drawn_step_by_step(forecaster):
    backtest = forecaster.backtest(hours()[100:], n_origins=4, stride=2)
    error = (backtest["forecast"] - backtest["actual"]).to_numpy().reshape(4, 6)
    for metric, expected in (("MAE", np.abs(error).mean(axis=0)), ("RMSE", np.sqrt((error**2).mean(axis=0)))):
        display = BacktestDisplay.from_predictions(backtest, metric=metric)
        steps, values = drawn(display.line_)
        assert steps.tolist() == [1, 2, 3, 4, 5, 6]
        np.testing.assert_allclose(values, expected)
    assert display.ax_.get_xlabel() == "steps ahead (1 step = 1 hour)"
    assert display.ax_.get_ylabel() == "root mean squared error of load"


def test_models_are_compared_in_the_same_axes(forecaster):
    df = hours()[100:]
    first = BacktestDisplay.from_estimator(forecaster, df, metric="MASE", name="GRU")
    second = BacktestDisplay.from_estimator(forecaster, df, metric="MASE", name="again", ax=first.ax_)
    labels = [text.get_text() for text in second.ax_.get_legend().get_texts()]
    assert sorted(labels) == ["GRU", "again", "seasonal naive, in the past"]
    assert first.reference_.get_ydata()[0] == 1
    np.testing.assert_array_equal(drawn(first.line_), drawn(second.line_))


def test_several_targets_have_a_line_each_as_they_have_units_of_their_own(of_two):
    display = BacktestDisplay.from_estimator(of_two, hours()[90:])
    assert [line.get_label() for line in display.lines_] == ["load", "heat"]
    summary = of_two.backtest_summary(display.backtest, by=["target", "step"])["MAE"]
    np.testing.assert_array_equal(drawn(display.lines_[1])[1], summary["heat"])


def test_groups_have_a_line_each_where_asked(of_stores):
    display = BacktestDisplay.from_estimator(of_stores, stores(2, 60), by="store", name="GRU")
    assert [line.get_label() for line in display.lines_] == ["GRU, 0", "GRU, 1"]


def test_more_groups_than_colours_can_be_told_apart(of_stores):
    display = BacktestDisplay.from_estimator(of_stores, stores(11, 60), by="store")
    looks = [(line.get_color(), line.get_linestyle()) for line in display.lines_]
    assert len(set(looks)) == 11
    display.figure_.canvas.draw()
    assert display.ax_.get_legend().get_window_extent().x0 >= display.ax_.get_window_extent().x1


def test_a_horizon_of_one_step_has_one_tick(of_stores):
    backtest = of_stores.backtest(stores(2, 60))
    display = BacktestDisplay.from_predictions(backtest[backtest["step"] == 1])
    low, high = display.ax_.get_xlim()
    assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1]


def test_long_names_and_many_labels_stay_within_the_figure(of_stores):
    names = [f"A very long name of a shop in Upper Bavaria no. {i}" for i in range(11)]
    table = stores(11, 40).assign(store=lambda df: np.array(names)[df["store"]])
    levels = (0.01, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95)
    model = clone(of_stores).set_params(quantiles=levels).fit(table)
    one = ForecastDisplay.from_estimator(model, groups=names[:1], actual=stores(11, 44).assign(store=names[0])[40:44])
    many = ForecastDisplay.from_estimator(model)
    assert [ax.get_title().replace("\n", " ") for ax in many.axes_] == names[:9]
    for figure in (one.figure_, many.figure_):
        figure.canvas.draw()
        parts = [*figure.legends, *(ax.title for ax in figure.axes)]
        for extent in (part.get_window_extent() for part in parts):
            assert 0 <= extent.x0 <= extent.x1 <= figure.bbox.width


def test_coverage_is_held_against_the_intended_one(forecaster, of_two):
    display = BacktestDisplay.from_estimator(forecaster, hours()[100:], metric="coverage")
    assert display.reference_.get_ydata()[0] == pytest.approx(0.9)
    with pytest.raises(ValueError, match="metric='coverage' counts .* the backtest has 0 quantiles"):
        BacktestDisplay.from_estimator(of_two, hours()[90:], metric="coverage")
    with pytest.raises(ValueError, match="metric is 'mae', but must be one of MAE, RMSE"):
        BacktestDisplay.from_estimator(of_two, hours()[90:], metric="mae")


@pytest.mark.parametrize(
    ("display", "options", "message"),
    [
        (BacktestDisplay, {"metric": "mae"}, "metric is 'mae'"),
        (BacktestDisplay, {"by": "store"}, "by is 'store', but must name columns of the backtest"),
        (BacktestDisplay, {"ax": "here"}, "ax is 'here', but must be axes of matplotlib"),
        (ForecastDisplay, {"n_history": -1}, "n_history is -1"),
        (ForecastDisplay, {"groups": ["a"]}, "groups is .'a'., but no column is named as group"),
        (ForecastDisplay, {"ax": ["here"]}, "ax is 'here', but must be axes of matplotlib"),
        (ImportanceDisplay, {"y": None, "ax": "here"}, "ax is 'here', but must be axes of matplotlib"),
    ],
)
def test_what_tells_how_to_draw_is_checked_before_anything_is_computed(forecaster, display, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        display.from_estimator(forecaster, "no table", **options)


# Importance -----------------------------------------------------------------------------------------------------------


def test_importances_are_bars_with_their_spread_the_largest_at_the_top(regressor):
    display = ImportanceDisplay.from_estimator(*regressor, random_state=0)
    result = channel_importance(*regressor, random_state=0)
    order = np.argsort(result.importances_mean)
    assert [bar.get_width() for bar in display.bars_] == result.importances_mean[order].tolist()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == [result.channels[i] for i in order]
    spread = display.bars_.errorbar.lines[2][0].get_segments()
    np.testing.assert_allclose([np.ptp(line[:, 0]) for line in spread], 2 * result.importances_std[order], atol=1e-12)


def test_importances_of_lags_stand_where_the_lags_are(regressor):
    display = ImportanceDisplay.from_estimator(*regressor, by="lag", block_size=2, random_state=0)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["0–1", "2–3", "4"]
    assert [bar.get_x() + bar.get_width() / 2 for bar in display.bars_] == pytest.approx([0.5, 2.5, 4])


def test_importances_of_both_are_a_heat_map(regressor):
    display = ImportanceDisplay.from_estimator(*regressor, by="both", random_state=0)
    np.testing.assert_array_equal(display.image_.get_array(), display.importances.importances_mean)
    assert display.colorbar_.ax.get_ylabel() == "decrease of the score"
    assert display.bars_ is None


# On any background, and what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_nothing_vanishes_in_the_background(style, forecaster, regressor):
    with plt.style.context(style):
        displays = [
            HistoryDisplay.from_estimator(regressor[0]),
            ForecastDisplay.from_estimator(forecaster, actual=hours()),
            BacktestDisplay.from_estimator(forecaster, hours()[100:], metric="MASE"),
            ImportanceDisplay.from_estimator(*regressor, random_state=0),
        ]
        for display in displays:
            background = display.ax_.get_facecolor()
            assert display.ax_.lines
            assert not any(same_color(line.get_color(), background) for line in display.ax_.lines)
        errors = displays[-1].bars_.errorbar.lines[2][0]
        assert not same_color(errors.get_color(), background)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: HistoryDisplay.from_estimator(RNNRegressor()),
        lambda: HistoryDisplay.from_estimator(make_pipeline(SlidingWindow(), RNNRegressor())),
        lambda: ForecastDisplay.from_estimator(RNNForecaster("load", 3)),
        lambda: BacktestDisplay.from_estimator(RNNForecaster("load", 3), hours()),
        lambda: ImportanceDisplay.from_estimator(RNNRegressor(), np.eye(5), np.ones(5)),
    ],
)
def test_a_model_that_is_not_fitted_is_refused(draw):
    with pytest.raises(NotFittedError):
        draw()


def test_models_of_another_kind_are_refused(regressor):
    ridge = Ridge().fit(np.eye(3), np.ones(3))
    with pytest.raises(TypeError, match="estimator is a Ridge, but HistoryDisplay draws the training of RNNRegressor"):
        HistoryDisplay.from_estimator(ridge)
    with pytest.raises(TypeError, match="is a RNNRegressor, but ForecastDisplay.from_estimator takes an RNNForecaster"):
        ForecastDisplay.from_estimator(regressor[0])
    with pytest.raises(TypeError, match="is a Ridge, but BacktestDisplay.from_estimator takes an RNNForecaster"):
        BacktestDisplay.from_estimator(ridge, hours())


def test_tables_that_lack_a_column_are_refused_by_its_name(forecaster):
    with pytest.raises(ValueError, match="history has no column 'train_loss'"):
        HistoryDisplay.from_history(pd.DataFrame({"epoch": [1]}))
    with pytest.raises(ValueError, match="backtest has no column 'actual', 'scale'"):
        BacktestDisplay.from_predictions(pd.DataFrame(columns=[c for c in COLUMNS if c not in ("actual", "scale")]))
    with pytest.raises(ValueError, match=r"by is 'store', but must name columns of the backtest: \['target', 'origin'"):
        BacktestDisplay.from_predictions(forecaster.backtest(hours()[100:]), by="store")
    with pytest.raises(ValueError, match="forecast has no column 'store', 'day', 'sales'"):
        ForecastDisplay.from_predictions(hours(), "sales", time="day", group="store")
    with pytest.raises(ValueError, match="actual has no column 'load'"):
        ForecastDisplay.from_estimator(forecaster, actual=hours()[["heat"]])
    with pytest.raises(TypeError, match="forecast is a list, but must be a DataFrame"):
        ForecastDisplay.from_predictions([1, 2], "load")
    of_a_table = permutation_importance(Ridge().fit(np.eye(3), np.ones(3)), np.eye(3), np.ones(3), n_repeats=1)
    with pytest.raises(ValueError, match="importances has no 'channels', 'lags', 'by'"):
        ImportanceDisplay.from_importances(of_a_table)
    with pytest.raises(ValueError, match="importances has by='step', but it must be one of channel, lag, both"):
        ImportanceDisplay.from_importances({**of_a_table, "channels": [], "lags": [], "by": "step"})


def test_what_came_at_other_times_is_refused(forecaster):
    with pytest.raises(ValueError, match="actual has no row at the times of the forecast"):
        ForecastDisplay.from_estimator(forecaster, actual=hours()[:50])
    with pytest.raises(ValueError, match="groups is \\['a'\\], but no column is named as group"):
        ForecastDisplay.from_estimator(forecaster, groups=["a"])


def test_matplotlib_is_only_needed_to_draw_and_its_extra_named_where_it_is_absent():
    code = """
import sys
sys.modules["matplotlib"] = None
import pandas as pd
from sklearn_rnn import HistoryDisplay
try:
    HistoryDisplay.from_history(pd.DataFrame({"epoch": [1], "train_loss": [1.0]}))
except ImportError as error:
    assert 'HistoryDisplay draws with matplotlib' in str(error) and "pip install matplotlib" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("columns", [{"time": 0}, {"group": 0}, {"time": 0, "group": 1}, {}], ids=str)
def test_a_forecast_of_an_array_has_its_own_times_and_groups(columns):
    """The roles are those of fit, whatever the parameters say since."""
    rows = np.column_stack([np.tile(np.arange(40.0), 2), np.repeat([0.0, 1.0], 40), np.sin(np.arange(80))])
    if "group" not in columns:
        rows = rows[:40]
    elif "time" not in columns:
        rows = rows[:, 1:]
    target = rows.shape[1] - 1
    model = RNNForecaster(target, 3, **columns, **TINY).fit(rows)
    display = ForecastDisplay.from_estimator(model.set_params(target="another"))
    assert np.size(display.axes_) == (2 if "group" in columns else 1)
    np.testing.assert_array_equal(display.forecast[target], model.predict())


def test_the_loss_of_a_forecaster_is_not_of_a_standardised_target(forecaster):
    assert "standardised" not in HistoryDisplay.from_estimator(forecaster).ax_.get_ylabel()
    X = np.random.default_rng(0).normal(size=(30, 5))
    assert "standardised" in HistoryDisplay.from_estimator(RNNRegressor(**TINY).fit(X, X[:, 0])).ax_.get_ylabel()


def test_coverage_of_quantiles_of_any_size_is_drawn(forecaster):
    backtest = pd.DataFrame(np.zeros((3, len(COLUMNS))), columns=COLUMNS).assign(step=[1, 2, 3], target="y")
    backtest = backtest.assign(**{"q1.5e-05": -1.0, "q0.99": 1.0, "quality": 3.0, "q7": 0.0})
    line = BacktestDisplay.from_predictions(backtest, metric="coverage").line_
    assert line.get_ydata().tolist() == [1, 1, 1]


def test_importance_passes_on_what_bounds_memory_and_time():
    X = np.random.default_rng(0).normal(size=(60, 5))
    model = RNNRegressor(**TINY).fit(X, X[:, 0])
    options = {"max_samples": 20, "n_jobs": 2, "sample_weight": np.arange(60.0), "random_state": 0}
    display = ImportanceDisplay.from_estimator(model, X, X[:, 0], **options)
    expected = channel_importance(model, X, X[:, 0], **options)
    np.testing.assert_array_equal(display.importances.importances, expected.importances)


def test_a_search_without_a_best_model_is_told_from_other_things():
    X = np.random.default_rng(0).normal(size=(30, 5))
    search = GridSearchCV(RNNRegressor(**TINY), {"cell": ["rnn"]}, cv=2, refit=False).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="refit=False"):
        HistoryDisplay.from_estimator(search)
