"""RNNForecaster at past origins: leak guards, backtests, scores, searches, intervals."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate

from sklearn_rnn import RNNForecaster, WindowSplit

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}
HORIZON = 4


def series(n_rows=300, seed=0):
    rng = np.random.default_rng(seed)
    days = np.arange(n_rows)
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=n_rows),
            "y": np.sin(days * 2 * np.pi / 7) + 0.2 * rng.normal(size=n_rows),
            "wind": rng.normal(size=n_rows),
        }
    )


def panel(n_rows=150):
    return pd.concat([series(n_rows - 20 * i, seed=i).assign(site=f"site {i}") for i in range(3)], ignore_index=True)


def model_of_days(**options):
    return RNNForecaster("y", HORIZON, **{"time": "day", "n_steps": 21, **TINY, **options})


@pytest.fixture(scope="module")
def fitted():
    return model_of_days(quantiles=(0.1, 0.9)).fit(series()[:200])


# Leak guards ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(origin=st.integers(205, 290), data=st.data())
def test_no_forecast_changes_when_later_rows_change(fitted, origin, data):
    df = series()
    changed = df.copy()
    row = data.draw(st.integers(origin + 1, 299))
    changed.loc[row:, ["y", "wind"]] = data.draw(st.sampled_from([1e6, -3.0, np.nan]))
    before, after = (fitted.backtest(table[200:], n_origins=None, stride=1) for table in (df, changed))
    names = ["forecast", "q0.1", "q0.9"]
    chosen = df["day"][row]
    expected = before[before["origin"] < chosen].set_index(["origin", "step"])[names]
    seen = after[after["origin"] < chosen].set_index(["origin", "step"])[names]
    common = expected.index.intersection(seen.index)
    assert len(common) >= 4 * (row - 204)
    pd.testing.assert_frame_equal(seen.loc[common], expected.loc[common])


def test_scaling_comes_from_training_rows():
    df = series()
    changed = df.copy()
    changed.loc[270:, ["y", "wind"]] += 1000  # the tenth that is held out
    states = [
        model_of_days(early_stopping=True, max_epochs=1).fit(table).net_.module_.output_mean.item()
        for table in (df, changed)
    ]
    assert states[0] == states[1] == pytest.approx(df["y"][:270].mean(), abs=1e-6)


@pytest.mark.parametrize("blend", [False, True])
def test_held_out_rows_teach_the_net_nothing(blend):
    """The weights after one epoch are the same whatever the held-out rows are; a mixture's shares are not."""
    df = series()
    changed = df.copy()
    changed.loc[270:, ["y", "wind"]] = np.random.default_rng(5).normal(size=(30, 2))
    models = [model_of_days(early_stopping=True, max_epochs=1, blend=blend).fit(table) for table in (df, changed)]
    states = [model.net_.module_.state_dict() for model in models]
    of_the_mixture = {"direct.weight", "share"} if blend else set()
    assert {name for name, value in states[0].items() if not torch.equal(value, states[1][name])} == of_the_mixture
    if not blend:
        recent = df[100:270]
        pd.testing.assert_frame_equal(models[0].predict(recent), models[1].predict(recent))


def test_a_fold_is_trained_on_nothing_of_its_test_rows():
    df = panel()
    for train, test in WindowSplit(2, horizon=0, test_size=20, time="day").split(df):
        assert df["day"].iloc[train].max() < df["day"].iloc[test].min()
        changed = df.copy()
        changed.loc[changed.index[test], ["y", "wind"]] = 1e6
        fits = [model_of_days(group="site").fit(table.iloc[train]).predict() for table in (df, changed)]
        pd.testing.assert_frame_equal(*fits)


# Backtests ------------------------------------------------------------------------------------------------------------


def test_a_backtest_is_predict_at_each_origin(fitted):
    df = series()
    backtest = fitted.backtest(df[200:], n_origins=5, stride=3)
    assert backtest["origin"].unique().tolist() == df["day"][[283, 286, 289, 292, 295]].tolist()
    for origin, part in backtest.groupby("origin"):
        past = df[df["day"] <= origin]
        expected = fitted.predict(past)
        assert part["time"].tolist() == expected["day"].tolist()
        assert part["step"].tolist() == [1, 2, 3, 4]
        np.testing.assert_allclose(part["forecast"], expected["y"], rtol=1e-5)
        np.testing.assert_allclose(part["q0.9"], expected["y_q0.9"], rtol=1e-5, atol=2e-7)  # of values about 1
        np.testing.assert_allclose(part["actual"], df["y"][len(past) : len(past) + 4], rtol=1e-6)


def test_the_first_forecast_of_new_rows_starts_from_the_remembered_ones(fitted):
    origins = fitted.backtest(series()[200:], n_origins=None, stride=1)["origin"]
    assert origins.min() == series()["day"][199]
    assert origins.nunique() == 97


def test_a_backtest_of_a_panel_has_origins_in_each_group():
    df = panel()
    model = model_of_days(group="site").fit(df[df["day"] < "2024-03-20"])
    backtest = model.backtest(df, n_origins=2)
    assert backtest.groupby("site")["origin"].nunique().tolist() == [2, 2, 2]
    last = df.groupby("site")["day"].max()
    assert (backtest.groupby("site")["time"].max() == last).all()


def test_the_summary_has_the_textbook_errors(fitted):
    df = series()
    backtest = fitted.backtest(df[200:], n_origins=None, stride=1)
    summary = fitted.backtest_summary(backtest)
    assert summary.index.tolist() == [1, 2, 3, 4]
    second = backtest[backtest["step"] == 2]
    actual, forecast = second["actual"].to_numpy(), second["forecast"].to_numpy()
    past = df["y"].to_numpy()[:200]  # the rows of fit
    change = np.abs(past[7:] - past[:-7]).mean()
    expected = {
        "MAE": np.abs(actual - forecast).mean(),
        "RMSE": np.sqrt(((actual - forecast) ** 2).mean()),
        "sMAPE": (200 * np.abs(actual - forecast) / (np.abs(actual) + np.abs(forecast))).mean(),
        "MASE": np.abs(actual - forecast).mean() / change,
        "coverage": ((actual >= second["q0.1"]) & (actual <= second["q0.9"])).mean(),
    }
    pd.testing.assert_series_equal(summary.loc[2], pd.Series(expected, name=2), rtol=1e-5)


def test_a_backtest_with_refits_trains_on_the_past_of_each_origin():
    df = series(120)
    backtest = model_of_days(max_epochs=1).backtest(df, n_origins=2, stride=5, refit=True)
    assert backtest["origin"].unique().tolist() == df["day"][[110, 115]].tolist()
    expected = model_of_days(max_epochs=1).fit(df[:111]).predict()
    np.testing.assert_allclose(backtest["forecast"][:4], expected["y"])
    arrays = RNNForecaster(0, 4, **TINY).backtest(df[["y"]].to_numpy(), n_origins=2, refit=True)
    assert arrays["origin"].unique().tolist() == [111, 115]


def test_a_backtest_with_refits_counts_the_steps_of_each_group_where_clocks_differ():
    hours = pd.date_range("2024-01-01", periods=60, freq="h")
    parts = [
        pd.DataFrame({"site": site, "time": hours + pd.Timedelta(minutes=late), "y": np.arange(60.0)})
        for site, late in (("a", 0), ("b", 20))
    ]
    df = pd.concat(parts, ignore_index=True)
    model = RNNForecaster("y", 4, time="time", group="site", hidden_size=4, max_epochs=1, random_state=0)
    backtest = model.backtest(df, n_origins=3, refit=True)
    for _, part in backtest.groupby("site"):
        assert part["actual"].tolist() == list(range(48, 60))
        assert part["step"].tolist() == [1, 2, 3, 4] * 3


def test_too_few_rows_for_an_origin_are_refused(fitted):
    with pytest.raises(ValueError, match="no row to forecast from"):
        fitted.backtest(series()[200:203])
    with pytest.raises(ValueError, match="at least 9"):
        model_of_days().backtest(series()[:8], refit=True)
    with pytest.raises(ValueError, match="stride"):
        fitted.backtest(series(), stride=0)


# Scores and searches --------------------------------------------------------------------------------------------------


def test_the_score_is_the_error_over_that_of_the_seasonal_naive_forecast(fitted):
    """Origin by origin, with predict and with the values of a week before."""
    df = series()
    y, errors, naive = df["y"].to_numpy(), [], []
    for origin in range(199, 210 - HORIZON):
        forecast = fitted.predict(df[: origin + 1])["y"].to_numpy()
        actual = y[origin + 1 : origin + 1 + HORIZON]
        errors.append(np.abs(actual - forecast))
        naive.append(np.abs(actual - y[origin - 6 : origin - 6 + HORIZON]))
    assert fitted.score(df[200:210]) == pytest.approx(1 - np.mean(errors) / np.mean(naive), rel=1e-4)


def test_grid_search_runs_on_a_panel_with_cuts_in_time():
    df = panel()
    search = GridSearchCV(
        model_of_days(group="site"),
        {"n_steps": [7, 14], "cell": ["gru", "rnn"]},
        cv=WindowSplit(2, horizon=0, test_size=20, time="day"),
        error_score="raise",
    ).fit(df)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.best_estimator_.predict()) == 3 * HORIZON


def test_a_gap_between_the_folds_is_pointed_out():
    df = series()
    model = model_of_days().fit(df[:200])
    with pytest.warns(UserWarning, match="horizon=0"):
        model.score(df[204:250])


def test_a_backtest_with_refits_says_where_an_origin_has_too_few_rows_to_train_on():
    model = model_of_days(quantiles=(0.1, 0.9), conformal=True)
    assert model.backtest(series(60), n_origins=2, refit=True)["origin"].nunique() == 2
    with pytest.raises(ValueError, match="^Training on the 8 rows up to an origin fails: conformal=True .* n_origins"):
        model.backtest(series(60), n_origins=None, refit=True)


@pytest.mark.parametrize("gone", [[205], [203, 204, 230], range(200, 206), range(210, 231)], ids=str)
def test_a_backtest_behind_a_gap_forecasts_as_predict_does(gone):
    df = pd.concat([series(seed=seed).assign(site=seed) for seed in range(2)])
    model = model_of_days(group="site").fit(df[df.index < 200])
    coming = df[(df.index >= 200) & ~(df.index.isin(gone) & (df["site"] == 1))]
    table = model.backtest(coming, n_origins=None, stride=1).query("site == 1")
    rows = coming[coming["site"] == 1].reset_index(drop=True)
    n_steps = np.diff(rows["day"]) // np.timedelta64(1, "D")
    whole = [i for i in range(len(rows) - HORIZON) if (n_steps[i : i + HORIZON] == 1).all()]
    assert set(rows["day"][whole]) <= set(table["origin"])
    for i in whole:
        part = table[table["origin"] == rows["day"][i]]
        forecast = model.predict(rows[: i + 1])
        np.testing.assert_allclose(part["forecast"], forecast["y"], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(part["actual"], rows["y"][i + 1 : i + 1 + HORIZON], rtol=1e-6)
        np.testing.assert_array_equal(part["time"], rows["day"][i + 1 : i + 1 + HORIZON])


def test_random_search_and_cross_validation_run_on_arrays():
    values = series()[["y", "wind"]].to_numpy()
    model = RNNForecaster(0, HORIZON, n_steps=14, **TINY)
    split = WindowSplit(2, horizon=0, test_size=30)
    search = RandomizedSearchCV(model, {"dropout": [0.0, 0.2]}, n_iter=2, cv=split, error_score="raise").fit(values)
    assert search.best_estimator_.predict().shape == (HORIZON,)
    assert len(cross_validate(model, values, cv=split, error_score="raise")["test_score"]) == 2


def test_halving_search_spends_epochs():
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401 makes the next import possible
    from sklearn.model_selection import HalvingRandomSearchCV

    search = HalvingRandomSearchCV(
        model_of_days(),
        {"hidden_size": [4, 8, 12], "cell": ["gru", "rnn"]},
        resource="max_epochs",
        min_resources=1,
        max_resources=2,
        factor=2,
        cv=WindowSplit(1, horizon=0, test_size=30, time="day"),
        random_state=0,
        error_score="raise",
    ).fit(series())
    assert search.best_estimator_.max_epochs in (1, 2)


# Intervals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("conformal", [False, True])
def test_quantiles_never_cross_and_the_median_lies_between(conformal):
    df = series()
    model = model_of_days(quantiles=(0.9, 0.25, 0.1, 0.75), conformal=conformal).fit(df[:250])
    forecast = model.predict()
    assert forecast.columns.tolist() == ["day", "y", "y_q0.9", "y_q0.25", "y_q0.1", "y_q0.75"]
    ordered = forecast[["y_q0.1", "y_q0.25", "y", "y_q0.75", "y_q0.9"]].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()


# What tables bring with them ------------------------------------------------------------------------------------------


def test_nothing_is_scored_where_nothing_can_be_compared():
    every_second_day = series().iloc[::2].set_index("day")[["y"]].asfreq("D")
    model = RNNForecaster("y", 3, **TINY).fit(every_second_day[:200])
    with pytest.raises(ValueError, match="Nothing can be scored.* 7 rows before"):
        model.score(every_second_day[200:])


@pytest.mark.parametrize("fault", ["a gap", "no target"])
def test_a_backtest_with_refits_leaves_out_the_origins_that_it_cannot_compare(fault):
    df = series(120)
    expected = model_of_days().backtest(df, n_origins=4, refit=True)["origin"].unique()
    if fault == "a gap":
        df = df.drop(index=df.index[-6])
    else:
        df.loc[df.index[-8:-4], "y"] = np.nan  # the whole horizon of the last origin but one
    given = model_of_days().backtest(df, n_origins=4, refit=True)["origin"].unique()
    assert len(given) == 3
    if fault == "no target":
        assert set(given) < set(expected)
    with pytest.raises(ValueError, match="There is no row to forecast from"):
        model_of_days().backtest(df[:-4], n_origins=1, refit=True)


def test_the_scale_is_that_of_the_rows_of_fit_where_a_season_is_longer_than_the_window():
    weeks = pd.date_range("2020-01-05", periods=200, freq="W")
    df = pd.DataFrame({"y": np.random.default_rng(0).normal(size=200).cumsum()}, index=weeks)
    model = RNNForecaster("y", 3, **TINY).fit(df[:-20])
    assert model.season_ == 52
    y = df["y"].to_numpy()[:-20]
    backtest = model.backtest(df[-20:], n_origins=None, stride=1)
    np.testing.assert_allclose(backtest["scale"], np.abs(y[52:] - y[:-52]).mean(), rtol=1e-6)


@pytest.mark.parametrize("name", ["step", "target", "origin", "time", "actual", "forecast", "scale", "q0.1"])
def test_a_group_column_with_a_name_of_the_backtest_is_refused(name):
    df = panel().rename(columns={"site": name})
    model = model_of_days(group=name, quantiles=(0.1, 0.9)).fit(df)
    for refit in (False, True):
        with pytest.raises(ValueError, match=f"^The group column '{name}' has the name of another column"):
            model.backtest(df, refit=refit)


def test_without_times_origins_count_the_rows_of_the_table():
    y = series()["y"].to_numpy()
    model = RNNForecaster(0, HORIZON, **TINY).fit(y[:200])
    backtest = model.backtest(y[200:], n_origins=None, stride=1)
    assert backtest["origin"].min() == -1  # the last row of fit
    assert backtest["time"].max() == 99
    last = backtest.tail(HORIZON)
    np.testing.assert_allclose(last["actual"], y[200:][last["time"]], rtol=1e-6)
    refitted = model.backtest(y[200:], n_origins=2, refit=True)
    assert refitted["time"].max() == 99


def test_without_times_groups_end_together_where_a_backtest_refits():
    ys = {"long": np.arange(60.0), "short": 100 + np.arange(25.0), "new": np.array([7.0, 8.0])}
    df = pd.DataFrame([(name, value) for name, values in ys.items() for value in values], columns=["site", "y"])
    backtest = RNNForecaster("y", HORIZON, group="site", **TINY).backtest(df, n_origins=3, refit=True)
    assert set(backtest["site"]) == {"long", "short"}
    for name, part in backtest.groupby("site"):
        size = len(ys[name])
        assert part["origin"].unique().tolist() == [size - 1 - n * HORIZON for n in (3, 2, 1)]
        np.testing.assert_array_equal(part["actual"], ys[name][part["time"]])


def test_the_summary_is_in_the_order_of_the_steps_even_if_the_first_actual_values_are_missing(fitted):
    df = series()[180:220].reset_index(drop=True)
    df.loc[22, "y"] = np.nan
    summary = fitted.backtest_summary(fitted.backtest(df, n_origins=None, stride=1))
    assert summary.index.tolist() == [1, 2, 3, 4]
    assert summary["coverage"].between(0, 1).all()


def test_a_forecast_of_zero_that_is_right_has_no_error():
    """As in the M4 competition, where 0 / 0 counts as 0."""
    backtest = pd.DataFrame({"step": 1, "actual": [0.0, 0, 0, 1, np.nan], "forecast": [0.0, 0, 0, 3, 1], "scale": 1.0})
    assert RNNForecaster("y", 1).backtest_summary(backtest)["sMAPE"].item() == pytest.approx(25)


@pytest.mark.parametrize(("options", "message"), [({"horizon": 0}, "horizon"), ({"horizon": "3"}, "horizon")])
def test_a_backtest_with_refits_looks_at_the_parameters_first(options, message):
    with pytest.raises(ValueError, match=f"The '{message}' parameter"):
        model_of_days().set_params(**options).backtest(series(60), stride=1, refit=True)


def test_a_backtest_with_refits_of_a_single_row_says_how_many_it_needs():
    for rows in (series(1), series(1).reset_index(drop=True)):
        with pytest.raises(ValueError, match="The data have 1 rows, but a horizon"):
            RNNForecaster("y", 2, **TINY).backtest(rows[["y"]], refit=True)


def test_a_backtest_with_refits_tells_of_groups_that_end_before_its_origins():
    days = pd.date_range("2024-01-01", periods=60)
    df = pd.concat(
        [pd.DataFrame({"g": g, "d": days[:n], "y": np.sin(np.arange(n))}) for g, n in zip("ab", (60, 40), strict=True)]
    )
    model = RNNForecaster("y", 3, time="d", group="g", **TINY)
    with pytest.warns(UserWarning, match="1 of 2 groups, such as 'b', have no rows behind any origin"):
        assert model.backtest(df, n_origins=2, refit=True)["g"].unique().tolist() == ["a"]


def test_the_targets_of_a_backtest_have_their_names():
    df = pd.DataFrame({0: np.arange(60) % 7.0, ("a", 1): np.arange(60) % 5.0})
    model = RNNForecaster([0, ("a", 1)], 2, **TINY).fit(df)
    assert list(model.backtest(df, n_origins=1)["target"]) == [0, 0, ("a", 1), ("a", 1)]
    assert RNNForecaster(0, 2, **TINY).fit(df[[0]]).backtest(df[[0]], n_origins=1)["target"].tolist() == [0, 0]


def test_a_backtest_of_texts_cannot_be_summarised(fitted):
    backtest = fitted.backtest(series(), n_origins=1)
    with pytest.raises(ValueError, match="Column 'actual' of backtest is str, but must be numbers"):
        fitted.backtest_summary(backtest.astype({"actual": "str"}))
