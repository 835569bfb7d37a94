"""With what stands around the estimators: tables of polars, metadata routing, scikit-learn's pictures of estimators."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from sklearn_rnn import (
    ForecastDisplay,
    RNNClassifier,
    RNNForecaster,
    RNNRegressor,
    SequenceVectorizer,
    SlidingWindow,
    WindowSplit,
)

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}


def sales(n_rows=40):
    """Two shops, day by day, with a promotion known in advance and a kind of shop."""
    days = pd.date_range("2024-01-01", periods=n_rows)
    parts = [
        pd.DataFrame(
            {
                "day": days,
                "shop": shop,
                "sold": np.sin(np.arange(n_rows)) + scale,
                "promotion": (np.arange(n_rows) % 5 == 0).astype(float),
                "kind": kind,
            }
        )
        for scale, (shop, kind) in enumerate([("a", "city"), ("b", "village")])
    ]
    return pd.concat(parts, ignore_index=True)


def polars_of(frame):
    """The same columns as a table of polars, made without its pandas reader."""
    polars = pytest.importorskip("polars")
    return polars.DataFrame({name: frame[name].tolist() for name in frame.columns})


# polars ---------------------------------------------------------------------------------------------------------------


def test_a_table_of_polars_is_read_as_one_of_pandas_by_the_estimators():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 4)), columns=list("abcd"))
    table, y = polars_of(X), polars_of(X)["a"]
    for model, targets in ((RNNRegressor(**TINY), y), (RNNClassifier(**TINY), y > 0)):
        of_polars, of_pandas = clone(model).fit(table, targets), clone(model).fit(X, targets.to_numpy())
        np.testing.assert_array_equal(of_polars.predict(table), of_pandas.predict(X))
        of_scikit_learn = Ridge().fit(table, y)
        np.testing.assert_array_equal(*[getattr(m, "feature_names_in_", None) for m in (of_polars, of_scikit_learn)])


@pytest.mark.parametrize(
    "lists", [[[1.0, 2.0], [3.0]], [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]], ids=["(n,)", "(n, 2)"]
)
def test_a_column_of_lists_of_polars_is_read_as_a_list_of_arrays(lists):
    polars, y = pytest.importorskip("polars"), np.arange(40.0)
    column, arrays = polars.Series(lists * 20), [np.array(item) for item in lists * 20]
    model = RNNRegressor(**TINY)
    np.testing.assert_array_equal(model.fit(column, y).predict(column), clone(model).fit(arrays, y).predict(arrays))


@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_a_column_of_arrays_of_polars_is_read_as_a_list_of_arrays(shape):
    polars, y = pytest.importorskip("polars"), np.arange(40.0)
    X = np.random.default_rng(0).normal(size=(40, *shape)).astype(np.float32)
    column = polars.Series(X.tolist(), dtype=polars.Array(polars.Float32, shape))
    model = RNNRegressor(**TINY).fit(column, y)
    assert model.n_features_in_ == X[0, :, None].reshape(4, -1).shape[1]
    np.testing.assert_array_equal(model.predict(column), clone(model).fit(list(X), y).predict(list(X)))


def test_a_type_that_pandas_lacks_is_refused_by_a_value_error():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"v": np.arange(9.0), "c": polars.Series(range(9), dtype=polars.Int128)})
    with pytest.raises(ValueError, match="X cannot be used: .*Cast its columns"):
        SlidingWindow(3).fit(table)


def test_windows_of_a_table_of_polars_are_those_of_pandas():
    frame = sales()
    window = SlidingWindow(3, time="day", group="shop")
    expected = clone(window).fit_transform(frame[["day", "shop", "sold"]])
    result = clone(window).fit_transform(polars_of(frame[["day", "shop", "sold"]]))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))
    assert result.channel_names == ("sold",)


def test_rows_of_a_table_without_index_follow_each_other():
    """As those of an array: the count that pandas would give them is no time, in a later table least of all."""
    frame = pd.DataFrame({"load": np.arange(8.0)})
    window = SlidingWindow(3, context="always").fit(polars_of(frame[:5]))
    later = window.transform(polars_of(frame[5:]))
    np.testing.assert_array_equal(np.asarray(later)[:, :, 0], [[3, 4, 5], [4, 5, 6], [5, 6, 7]])


def test_lag_features_of_polars_are_polars_where_wanted():
    polars = pytest.importorskip("polars")
    table = polars_of(pd.DataFrame({"load": np.arange(4.0)}))
    lags = SlidingWindow(2, flatten=True).set_output(transform="polars").fit_transform(table)
    assert isinstance(lags, polars.DataFrame)
    assert lags.columns == ["load_lag1", "load_lag0"]


def test_a_panel_of_polars_is_forecast_backtested_and_drawn_as_one_of_pandas():
    frame = sales()
    old, new = frame[frame["day"] < "2024-02-06"], frame[frame["day"] >= "2024-02-06"]
    model = RNNForecaster(
        "sold", 3, time="day", group="shop", known="promotion", static="kind", quantiles=(0.1, 0.9), **TINY
    )
    of_pandas, of_polars = clone(model).fit(old), clone(model).fit(polars_of(old))
    forecast = of_polars.predict(future=polars_of(new))
    expected = of_pandas.predict(future=new)
    pd.testing.assert_frame_equal(forecast, expected, check_dtype=False)
    assert of_polars.score(polars_of(new)) == of_pandas.score(new)
    backtests = [
        fitted.backtest(table, n_origins=2, refit=True)["forecast"]
        for fitted, table in ((of_pandas, frame), (of_polars, polars_of(frame)))
    ]
    pd.testing.assert_series_equal(*backtests)
    pytest.importorskip("matplotlib").use("Agg")
    display = ForecastDisplay.from_predictions(
        polars_of(forecast), "sold", history=polars_of(frame), time="day", group="shop"
    )
    np.testing.assert_array_equal(display.line_.get_ydata(), expected["sold"][:3])


def test_a_forecaster_of_polars_without_times_counts_steps():
    series = pd.DataFrame({"load": np.sin(np.arange(60.0))})
    table = polars_of(series)
    model = RNNForecaster("load", 3, **TINY).fit(table[:50])
    forecast = model.predict()
    assert forecast.index.tolist() == [1, 2, 3]
    expected = RNNForecaster(0, 3, **TINY).fit(series["load"].to_numpy()[:50])
    np.testing.assert_array_equal(forecast["load"], expected.predict())
    assert model.score(table[50:]) == expected.score(series["load"].to_numpy()[50:])
    np.testing.assert_array_equal(model.update(table[50:]).predict(), model.predict(table))


def test_a_search_in_time_takes_a_table_of_polars():
    frame = sales()[["day", "shop", "sold"]]
    model = make_pipeline(SlidingWindow(3, time="day", group="shop"), RNNRegressor(**TINY))
    searches = [
        GridSearchCV(model, {"slidingwindow__n_steps": [2, 3]}, cv=WindowSplit(2, time="day")).fit(X, frame["sold"])
        for X in (frame, polars_of(frame))
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(scores[0], scores[1])


# Metadata routing -----------------------------------------------------------------------------------------------------


@pytest.fixture
def routed():
    with config_context(enable_metadata_routing=True):
        yield


def test_weights_and_validation_data_reach_the_last_step_of_a_pipeline(routed):
    X, y = sales(60)[["sold"]].to_numpy(), np.arange(120.0)
    weights = np.linspace(0.1, 1, 120)
    model = RNNRegressor(**TINY).set_fit_request(sample_weight=True, X_val=True, y_val=True)
    pipeline = make_pipeline(SlidingWindow(3), model, transform_input=["X_val"])
    pipeline.fit(X, y, sample_weight=weights, X_val=X[:20], y_val=y[:20])
    window = SlidingWindow(3).fit(X)
    alone = RNNRegressor(**TINY).fit(window.fit_transform(X), y, weights, X_val=window.transform(X[:20]), y_val=y[:20])
    pd.testing.assert_frame_equal(*[m.history_.drop(columns="seconds") for m in (pipeline[-1], alone)])
    assert "valid_loss" in alone.history_


def test_a_search_gives_each_fold_its_weights_and_all_the_same_validation_data(routed):
    X, y = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40.0)
    weights = np.linspace(0.1, 1, 40)
    model = RNNRegressor(**TINY).set_fit_request(sample_weight=True, X_val=True, y_val=True)
    model.set_score_request(sample_weight=True)
    search = GridSearchCV(model, {"cell": ["gru"]}, cv=KFold(2))
    search.fit(X, y, sample_weight=weights, X_val=X[:10], y_val=y[:10])
    for fold, (train, test) in enumerate(KFold(2).split(X)):
        alone = RNNRegressor(**TINY).fit(X[train], y[train], weights[train], X_val=X[:10], y_val=y[:10])
        score = search.cv_results_[f"split{fold}_test_score"][0]
        assert score == pytest.approx(alone.score(X[test], y[test], weights[test]))


# HTML -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "X"),
    [
        (RNNRegressor(**TINY), np.eye(4)),
        (RNNClassifier(**TINY), np.eye(4)),
        (RNNForecaster(0, 2, **TINY), np.arange(20.0)),
        (SlidingWindow(2), np.eye(4)),
        (SequenceVectorizer(), ["a", "b c", "d", "e"]),
        (make_pipeline(SlidingWindow(2), RNNRegressor(**TINY)), np.eye(4)),
    ],
    ids=lambda part: type(part).__name__,
)
def test_notebooks_show_an_estimator_before_and_after_fit(estimator, X):
    name = type(estimator).__name__
    fitted = clone(estimator).fit(X, [0, 1, 0, 1])
    assert name in estimator._repr_html_()
    assert name in fitted._repr_html_()
    assert "<span>Fitted</span>" in fitted._repr_html_()
    assert "<span>Not fitted</span>" in estimator._repr_html_()
