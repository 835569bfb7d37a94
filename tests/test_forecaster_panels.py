"""RNNForecaster on panels: groups, times, covariates of the future, static columns."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_rnn import RNNForecaster, Sequences
from sklearn_rnn._forecast_base import BaseForecaster
from sklearn_rnn._forecast_data import scale_after_zeros
from sklearn_rnn._statistics import deviations_of_groups, scales_of_groups

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}


def stores(sizes=(200, 150, 180), seed=0):
    """Daily sales of stores that begin on the same day, with a holiday and the store's kind."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, size in enumerate(sizes):
        days = np.arange(size)
        parts.append(
            pd.DataFrame(
                {
                    "date": pd.date_range("2024-01-01", periods=size),
                    "store": f"store {i}",
                    "sales": 10 * (i + 1) + np.sin(days * 2 * np.pi / 7) + 0.1 * rng.normal(size=size),
                    "holiday": (days % 11 == 0).astype(int),
                    "kind": "city" if i % 2 else "village",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def model_of_stores(**options):
    return RNNForecaster("sales", 5, **{"time": "date", "group": "store", **TINY, **options})


# Groups ---------------------------------------------------------------------------------------------------------------


def test_each_group_gets_the_rows_after_its_own_last_one():
    df = stores()
    forecast = model_of_stores(static="kind", known="holiday").fit(df).predict(future=coming(df))
    assert forecast.columns.tolist() == ["store", "date", "sales"]
    for store, rows in df.groupby("store"):
        expected = pd.date_range(rows["date"].max(), periods=6)[1:]
        assert forecast.loc[forecast["store"] == store, "date"].tolist() == expected.tolist()


def coming(df, horizon=5):
    last = df.groupby("store")["date"].max()
    return pd.concat(
        pd.DataFrame({"store": store, "date": pd.date_range(day, periods=horizon + 1)[1:], "holiday": 0})
        for store, day in last.items()
    )


def test_a_group_is_forecast_alone_as_in_company():
    df = stores()[["date", "store", "sales"]]
    model = model_of_stores().fit(df)
    together = model.predict(df)
    for store, rows in df.groupby("store"):
        alone = model.predict(rows)
        np.testing.assert_allclose(alone["sales"], together.loc[together["store"] == store, "sales"], rtol=1e-5)


def test_groups_that_fit_has_not_seen_are_forecast_too():
    df = stores()[["date", "store", "sales"]]
    model = model_of_stores().fit(df)
    new = df[df["store"] == "store 0"].assign(store="new")
    expected = model.predict(df[df["store"] == "store 0"])["sales"]
    np.testing.assert_array_equal(model.predict(new)["sales"], expected)
    assert model.update(new).predict()["store"].nunique() == 4


@pytest.mark.parametrize("time", [0, None])
def test_groups_keep_their_order_when_some_are_updated(time):
    n = 40
    levels = np.r_[np.zeros(n), np.full(n, 1000.0)] + np.random.default_rng(0).normal(size=2 * n)
    columns = (
        [np.repeat([1, 2], n), levels] if time is None else [np.tile(np.arange(n), 2), np.repeat([1, 2], n), levels]
    )
    model = RNNForecaster(len(columns) - 1, 2, group=len(columns) - 2, time=time, n_steps=5, **TINY)
    model.fit(np.column_stack(columns))
    assert (model.predict() > 500).tolist() == [False, False, True, True]
    model.update(np.array([[2, 1000.0]] if time is None else [[n, 2, 1000.0]]))
    assert (model.predict() > 500).tolist() == [False, False, True, True]
    new = np.column_stack([*([] if time is None else [np.arange(n, n + 6)]), np.full(6, 3), np.full(6, 5000.0)])
    model.update(new)
    assert (model.predict() > 500).tolist() == [False, False, True, True, True, True]


def test_training_goes_on_with_some_groups_and_remembers_the_others():
    df = pd.DataFrame({"d": np.tile(np.arange(60), 2), "s": np.repeat([1, 2], 60), "y": np.arange(120.0)})
    model = RNNForecaster("y", 2, time="d", group="s", n_steps=7, warm_start=True, **TINY).fit(df[df["d"] < 40])
    forecast = model.fit(df[(df["d"] >= 40) & (df["s"] == 1)]).predict()
    assert forecast["s"].tolist() == [1, 1, 2, 2]
    assert forecast["d"].tolist() == [60, 61, 40, 41]


def test_training_goes_on_with_some_groups_and_the_others_are_judged_as_before():
    values = np.random.default_rng(0).normal(size=120).cumsum() * np.repeat([1, 1000], 60)
    df = pd.DataFrame({"d": np.tile(np.arange(60), 2), "s": np.repeat([1, 2], 60), "y": values})
    past, coming = df[df["d"] < 40], df[df["d"] >= 40]
    model = RNNForecaster("y", 2, time="d", group="s", n_steps=7, warm_start=True, **TINY).fit(past)
    score, scales = model.score(coming), model.backtest(coming)["scale"]
    model.set_params(learning_rate=1e-12).fit(past[past["s"] == 2])
    assert model.score(coming) == pytest.approx(score, rel=1e-4)
    pd.testing.assert_series_equal(model.backtest(coming)["scale"], scales)


def test_a_group_of_another_type_is_told_of_beside_groups_that_match():
    df = pd.DataFrame({"d": np.tile(np.arange(40), 2), "s": np.repeat([1, 2], 40), "y": np.arange(80.0)})
    model = RNNForecaster("y", 2, time="d", group="s", n_steps=7, **TINY).fit(df)
    with pytest.raises(ValueError, match="Group '2' of X was 2 in fit"):
        model.update(pd.DataFrame({"d": [40, 40], "s": [1, "2"], "y": [0.0, 0.0]}))


def test_a_row_without_any_value_is_appended_as_missing():
    rng = np.random.default_rng(0)
    df = pd.DataFrame({"d": pd.date_range("2020-01-01", periods=60), "price": rng.random(60), "y": rng.normal(size=60)})
    model = RNNForecaster("y", 3, time="d", n_steps=7, **TINY).fit(df)
    twin = RNNForecaster("y", 3, time="d", n_steps=7, **TINY).fit(df)
    row = {"d": pd.Timestamp("2020-03-01"), "price": None, "y": 4.0}
    forecast = model.update(pd.DataFrame([row])).predict()
    pd.testing.assert_frame_equal(forecast, twin.update(pd.DataFrame([{**row, "price": np.nan}])).predict())


def test_booleans_of_arrow_are_numbers_as_others_are():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    df = pd.DataFrame({"y": np.arange(60.0) % 7, "promo": np.arange(60) % 3 == 0})
    model = RNNForecaster("y", 3, n_steps=7, **TINY).fit(df)
    arrow = df.astype({"promo": "bool[pyarrow]"})
    pd.testing.assert_frame_equal(model.predict(arrow), model.predict(df))
    pd.testing.assert_frame_equal(RNNForecaster("y", 3, n_steps=7, **TINY).fit(arrow).predict(), model.predict())
    as_target = [df.assign(y=df["promo"].astype(dtype)) for dtype in ("bool", "bool[pyarrow]")]
    of_bool, of_arrow = (RNNForecaster("y", 3, n_steps=7, **TINY).fit(table).predict() for table in as_target)
    pd.testing.assert_frame_equal(of_arrow, of_bool)


def test_a_backtest_without_the_models_quantiles_is_refused_by_its_summary():
    df = pd.DataFrame({"y": np.arange(60.0) % 7})
    backtest = RNNForecaster("y", 3, n_steps=7, **TINY).fit(df[:40]).backtest(df[40:])
    with pytest.raises(ValueError, match="backtest has no columns q0.1 and q0.9"):
        RNNForecaster("y", 3, quantiles=(0.1, 0.9)).backtest_summary(backtest)


def test_several_columns_make_a_group():
    df = stores()[["date", "store", "sales"]].assign(country="x")
    forecast = model_of_stores(group=["country", "store"]).fit(df).predict()
    assert forecast.columns.tolist() == ["country", "store", "date", "sales"]
    assert len(forecast) == 15


def test_keys_of_groups_may_be_tuples():
    df = stores()[["date", "store", "sales"]]
    df["store"] = [(store, 1) for store in df["store"]]
    model = model_of_stores().fit(df)
    keys = list(dict.fromkeys(df["store"]))
    assert model.predict()["store"].unique().tolist() == keys
    assert model.backtest(df, n_origins=2)["store"].unique().tolist() == keys


def test_a_panel_without_times_counts_its_rows():
    df = stores()[["store", "sales"]]
    expected = model_of_stores().fit(stores()[["date", "store", "sales"]]).predict()
    forecast = RNNForecaster("sales", 5, group="store", segment_size=7, n_steps=63, **TINY).fit(df).predict()
    assert forecast.index.tolist() == [1, 2, 3, 4, 5] * 3
    assert forecast["store"].tolist() == expected["store"].tolist()
    model = RNNForecaster("sales", 5, group="store", **TINY).fit(df[::-1][:300])
    assert model.predict(df[df["store"] == "store 1"]).index.tolist() == [1, 2, 3, 4, 5]


def held_out_rows(df, monkeypatch, horizon=5):
    """The first held-out row of each group, as a day since the first of all, None where none is."""
    given = {}
    original = BaseForecaster._split

    def split(self, rows, runs, cuts):
        ends = rows.bounds()[1]
        times = (rows.times - rows.times.min()) / pd.Timedelta("1D").value if self._frequency.has_dates else rows.times
        given.update(
            {
                label[0]: times[cut] if cut < end else None
                for label, cut, end in zip(rows.labels, cuts, ends, strict=True)
            }
        )
        return original(self, rows, runs, cuts)

    with monkeypatch.context() as patch:
        patch.setattr(BaseForecaster, "_split", split)
        RNNForecaster("y", horizon, time="t", group="g", early_stopping=True, **TINY).fit(df)
    return given


def between(first_and_last, make_times=lambda days: pd.Timestamp("2024-01-01") + pd.to_timedelta(days, "D")):
    parts = [
        pd.DataFrame({"t": make_times(np.arange(first, last)), "g": name, "y": np.sin(np.arange(first, last))})
        for name, (first, last) in first_and_last.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_panel_is_cut_at_one_time(monkeypatch):
    """What moves all series at the times held out is not to be known from those of them that have ended."""
    series = {"long": (0, 200), "late": (120, 200), "ended": (0, 150), "ends": (50, 190), "new": (183, 200)}
    n_rows = sum(last - first for first, last in series.values())
    held_out = held_out_rows(between(series), monkeypatch)
    (cut,) = set(held_out.values()) - {None}
    assert [name for name, first in held_out.items() if first is None] == ["ended", "new"]  # too few rows before it
    rest = sum(max(last - max(first, cut), 0) for first, last in series.values())
    assert abs(rest - n_rows / 10) <= 2  # a day has four rows
    as_numbers = between(series, make_times=np.asarray)
    assert held_out_rows(as_numbers, monkeypatch) == {"long": 180, "late": 192, "ended": 135, "ends": 176, "new": 195}


def test_series_after_each_other_are_cut_each_at_its_own_time(monkeypatch):
    series = {i: (60 * i, 60 * i + 60) for i in range(20)}
    held_out = held_out_rows(between(series), monkeypatch)
    assert held_out == {i: 60 * i + 54 for i in range(20)}


def test_a_cut_that_leaves_no_series_a_horizon_is_none(monkeypatch):
    series = {**{f"old {i}": (0, 190) for i in range(9)}, "new": (185, 205)}
    held_out = held_out_rows(between(series), monkeypatch, horizon=18)
    assert held_out["old 0"] == 171


@pytest.mark.parametrize(
    ("frequency", "n_rows", "n_steps"),
    [("MS", 40, 24), ("ME", 300, 48), ("D", 300, 98), ("QE", 90, 28), ("BME", 300, 48)],
)
def test_windows_of_months_are_shorter(frequency, n_rows, n_steps):
    df = between(
        {"a": (0, n_rows), "b": (0, n_rows)}, lambda days: pd.date_range("2000-01-01", periods=n_rows, freq=frequency)
    )
    assert RNNForecaster("y", 4, time="t", group="g", **TINY).fit(df).n_steps_ == n_steps


@pytest.mark.parametrize(
    ("frequency", "n_rows", "n_groups", "sizes"),
    [
        ("YS", 20, 1, (4, 4)),
        ("YE", 60, 1, (6, 6)),
        ("YS", 230, 1, (16, 8)),
        ("YS", 20, 30, (5, 5)),
        ("YS", 60, 30, (16, 8)),
        ("9D", 20, 1, (5, 5)),
        ("9D", 230, 1, (72, 8)),
    ],
)
def test_windows_without_a_season_leave_short_series_some_to_learn_from(frequency, n_rows, n_groups, sizes):
    times = pd.date_range("1800-01-01", periods=n_rows, freq=frequency)
    df = between({str(group): (0, n_rows) for group in range(n_groups)}, lambda days: times)
    model = RNNForecaster("y", 4, time="t", group="g", **TINY).fit(df)
    assert (model.n_steps_, model.segment_size_) == sizes


def test_short_series_of_years_go_on_as_they_rise():
    years = pd.date_range("2004-01-01", periods=16, freq="YS", name="year")
    random = np.random.default_rng(0)
    errors, of_last_value = [], []
    for _ in range(5):
        rising = 100 * np.exp(np.cumsum(random.normal(0.03, 0.02, size=19)))  # by 3 % a year, more or less
        df = pd.DataFrame({"sales": rising[:16]}, index=years)
        forecast = RNNForecaster("sales", 3, random_state=0).fit(df).predict()["sales"]
        errors.append(np.abs(forecast - rising[16:]).mean())
        of_last_value.append(np.abs(rising[15] - rising[16:]).mean())
    assert np.sum(errors) < 0.5 * np.sum(of_last_value)  # with windows of eight years more than it


def test_groups_too_short_to_train_on_are_skipped_and_counted():
    df = stores((200, 5, 3))[["date", "store", "sales"]]
    model = model_of_stores().fit(df)
    assert model.n_skipped_groups_ == 2
    with pytest.warns(UserWarning, match="2 of 3 series have fewer rows to forecast from"):
        assert model.predict()["store"].nunique() == 3
    with pytest.raises(ValueError, match="longest group has 5 rows.*at least 6"):
        model_of_stores().fit(df[200:])


def test_a_small_group_is_forecast_beside_a_large_one():
    df = stores((200, 200)).drop(columns=["holiday", "kind"])
    sizes = df["store"].map({"store 0": 1.0, "store 1": 10_000.0})
    df["sales"] = sizes * np.sin(np.arange(len(df)) * 2 * np.pi / 7)
    past, coming = df[df["date"] < "2024-07-01"], df[df["date"] >= "2024-07-01"]
    errors = {}
    for normalize in ("auto", "last"):  # of nets alone: a regression knows sines of any size
        model = model_of_stores(normalize=normalize, max_epochs=30, learning_rate=0.01, blend=False).fit(past)
        both = model.predict().merge(coming, on=["date", "store"], suffixes=("", "_actual"))
        small = both[both["store"] == "store 0"]
        errors[model.normalize_] = np.abs(small["sales"] - small["sales_actual"]).mean()
    assert errors["scaled"] < 0.2
    assert errors["last"] > 1


@pytest.mark.parametrize("normalize", ["scaled", "standard"])
def test_forecasts_and_intervals_of_a_panel_do_not_depend_on_the_sizes_of_its_groups(normalize):
    df = stores((90, 90, 90, 90)).drop(columns=["holiday", "kind"])
    options = {"quantiles": (0.1, 0.9), "conformal": True, "early_stopping": True, "dtype": "float64", "max_epochs": 3}
    model = model_of_stores(normalize=normalize, **options)
    sizes = {f"store {i}": size for i, size in enumerate((1.0, 1e9, 1e-9, 1e3))}
    expected = model.fit(df).predict()
    given = model.fit(df.assign(sales=df["sales"] * df["store"].map(sizes))).predict()
    columns = given.columns.drop(["date", "store"])
    restored = given[columns].div(given["store"].map(sizes), axis=0)
    np.testing.assert_allclose(restored, expected[columns], rtol=1e-6)


def test_a_small_group_that_stood_still_is_not_forecast_in_the_unit_of_the_large_ones():
    df = stores((120,) * 5).drop(columns=["holiday", "kind"])
    rng = np.random.default_rng(0)
    large = df["store"].isin(["store 0", "store 1"])
    df["sales"] = rng.poisson(0.3, len(df)).astype(float)
    df.loc[large, "sales"] = 10_000 * rng.random(large.sum())
    df.loc[~large & (df.groupby("store").cumcount() >= 60), "sales"] = 0.0
    model = model_of_stores(n_steps=28, max_epochs=5).fit(df)
    typical = df.groupby("store")["sales"].std(ddof=0).median()
    assert model.net_.module_.output_scale.item() == pytest.approx(typical)
    small = model.predict().query("store not in ['store 0', 'store 1']")["sales"]
    assert small.abs().max() < 1


def test_the_unit_of_a_panel_is_the_median_of_the_deviations_within_groups():
    values = np.array([[1, np.nan], [3, 5], [100, np.nan], [100, np.nan], [50, 0], [90, 8], [0, 4]], dtype=np.float32)
    deviations, magnitudes = deviations_of_groups(values, np.array([0, 2, 4, 7]), np.array([2, 4, 7, 7]))
    spread = np.std([50, 90, 0])
    np.testing.assert_allclose(deviations[:, 0], [1, np.nan, spread, np.nan])
    np.testing.assert_allclose(magnitudes[:, 0], [2, 100, 140 / 3, 0])
    usual, relative, smallest = scales_of_groups(deviations, magnitudes, np.array([9.0, 9.0]))
    np.testing.assert_allclose(usual, [np.mean([1, spread]), np.std([0, 8, 4])])
    np.testing.assert_allclose(relative, [np.mean([0.5, 3 * spread / 140]), np.std([0, 8, 4]) / 4])
    np.testing.assert_allclose(smallest, [1, np.std([0, 8, 4])])
    usual, relative, smallest = scales_of_groups(deviations[[1]], magnitudes[[1]], np.array([9.0, 8.0]))
    assert usual.tolist() == smallest.tolist() == [9, 8]  # nothing varies: that of the columns
    assert not relative.any()


def test_a_series_that_stands_still_is_forecast_in_the_unit_of_its_level():
    df = stores((300,) * 4).drop(columns=["holiday", "kind"])
    rng = np.random.default_rng(0)
    df["sales"] = 1e4 + 1e3 * rng.normal(size=len(df))
    still = df["store"] == "store 3"
    df.loc[still, "sales"] = 5.0
    model = model_of_stores(n_steps=28, max_epochs=3, quantiles=(0.1, 0.9)).fit(df)
    forecasts = model.predict().set_index("store").loc["store 3"]
    assert (forecasts[["sales_q0.1", "sales", "sales_q0.9"]] - 5).abs().max(axis=None) < 5  # others vary by a tenth
    newcomer = pd.DataFrame({"store": "store 9", "date": [pd.Timestamp("2024-03-01")], "sales": [2.0]})
    with pytest.warns(UserWarning, match="fewer rows to forecast from"):
        forecasts = model.predict(newcomer)[["sales_q0.1", "sales", "sales_q0.9"]]
    assert (forecasts - 2).abs().max(axis=None) < 5


def test_static_columns_tell_groups_apart():
    rng = np.random.default_rng(0)
    df = stores((120,) * 6)
    df["sales"] = np.where(df["kind"] == "city", 5.0, -5.0) * (df["date"].dt.day % 2) + 0.1 * rng.normal(size=len(df))
    df = df.drop(columns="holiday")
    model = model_of_stores(static="kind", calendar=["day"], n_steps=1, segment_size=1, normalize=None, dropout=0.0)
    model.set_params(max_epochs=15, hidden_size=16, learning_rate=0.01).fit(df)
    blind = model_of_stores(n_steps=1, segment_size=1, normalize=None).fit(df.drop(columns="kind"))
    assert model.predict().groupby("store")["sales"].std().notna().all()
    assert model.score(df) > blind.score(df.drop(columns="kind"))


def test_a_static_column_that_changes_is_refused():
    df = stores().drop(columns="kind")
    with pytest.raises(ValueError, match="'holiday' of group 'store 0' changes"):
        model_of_stores(static="holiday").fit(df)


def test_rows_of_asfreq_have_the_static_values_of_their_group():
    df = stores()[["date", "store", "sales"]].assign(
        kind=lambda df: df["store"].map(lambda s: f"kind of {s}"), size=1.0
    )
    df["open"] = df["sales"] > 0
    gone = df.drop(df.index[[50, 60, 300]])
    parts = [part.set_index("date").asfreq("D").assign(store=store) for store, part in gone.groupby("store")]
    even = pd.concat(parts).reset_index()
    assert even["kind"].isna().sum() == 3
    model = model_of_stores(static=["kind", "size"])
    filled = even.assign(**{name: even.groupby("store")[name].transform("first") for name in ("kind", "size")})
    expected = clone(model).fit(filled).predict()
    pd.testing.assert_frame_equal(model.fit(even).predict(), expected)
    pd.testing.assert_frame_equal(model.predict(even), expected)


def test_a_category_that_fit_has_not_seen_counts_as_none():
    df = stores((60, 60)).drop(columns="holiday")
    model = model_of_stores(static="kind").fit(df)
    strange, none = (model.predict(df.assign(kind=kind))["sales"] for kind in ("harbour", None))
    pd.testing.assert_series_equal(strange, none)
    assert not model.predict(df)["sales"].equals(none)


def test_a_category_of_another_type_than_in_fit_is_refused():
    df = stores((60, 60)).drop(columns="holiday").assign(kind=lambda df: pd.factorize(df["kind"])[0])
    df["kind"] = df["kind"].astype("category")
    model = model_of_stores(static="kind").fit(df)
    with pytest.raises(ValueError, match="Column 'kind' has '0', which was 0 in fit. Make int of str"):
        model.predict(df.assign(kind=df["kind"].astype(str)))


def test_a_panel_takes_little_more_memory_than_its_rows():
    n_groups, n_rows = 1000, 400
    rng = np.random.default_rng(0)
    df = pd.DataFrame(rng.normal(size=(n_groups * n_rows, 4)), columns=list("yabc"))
    df.insert(0, "time", np.tile(np.arange(n_rows), n_groups))
    df.insert(0, "group", np.repeat(np.arange(n_groups), n_rows))
    size = df.memory_usage(index=False).sum()
    model = RNNForecaster("y", 24, time="time", group="group", n_steps=168, segment_size=24, **TINY)
    model.set_params(max_epochs=1, batch_size=4096, hidden_size=4).fit(df[:2000])  # what fit imports is no data
    tracemalloc.start()
    model.fit(df)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * size  # beside the table itself


# The future -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda future: None, "Pass them for the next 5 rows"),
        (lambda future: future.drop(columns="holiday"), "no column 'holiday'"),
        (lambda future: future.drop(columns="date"), "no column 'date'"),
        (lambda future: future[future["store"] != "store 1"], "no rows of group 'store 1'"),
        (lambda future: future.groupby("store").head(4), "no row at 2024-07-23 00:00:00.*group 'store 0'"),
        (lambda future: future.assign(date=future["date"] - pd.Timedelta("1D")), "no row at 2024-07-23"),
        (lambda future: pd.concat([future, future[:1]]), "row twice"),
        (lambda future: future.assign(holiday=np.nan), "no value of 'holiday' in row 0"),
        (lambda future: future.assign(date=range(len(future))), "times of future are integers"),
    ],
)
def test_a_future_that_lacks_something_is_refused_by_name(change, message):
    df = stores().drop(columns="kind")
    model = model_of_stores(known="holiday").fit(df)
    model.predict(future=coming(df))
    with pytest.raises(ValueError, match=message):
        model.predict(future=change(coming(df)))


def test_a_future_that_nobody_asked_for_is_refused():
    df = stores()[["date", "store", "sales"]]
    with pytest.raises(ValueError, match="no known covariates"):
        model_of_stores().fit(df).predict(future=coming(df))


def test_the_order_of_future_rows_does_not_matter():
    df = stores().drop(columns="kind")
    model = model_of_stores(known="holiday").fit(df)
    future = coming(df).assign(holiday=np.arange(15) % 2)
    shuffled = future.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(model.predict(future=future), model.predict(future=shuffled))


def test_levels_of_an_index_are_no_columns_until_it_is_reset():
    df = stores().set_index(["date", "store"])
    with pytest.raises(ValueError, match=r"Call X.reset_index\(\) first"):
        model_of_stores().fit(df)


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan], ids=str)
def test_numbers_given_as_objects_are_still_numbers(missing):
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=63, freq="D")
    df = pd.DataFrame({"y": rng.normal(size=63), "price": rng.integers(1, 9, 63).astype(float)}, index=times)
    df.iloc[5] = np.nan
    objects = df.astype(object)
    objects.iloc[5] = missing
    expected, model = (RNNForecaster("y", 3, known="price", **TINY).fit(data[:60]) for data in (df, objects))
    forecast = expected.predict(future=df[["price"]][60:])
    pd.testing.assert_frame_equal(model.predict(future=objects[["price"]][60:]), forecast)
    with pytest.raises(ValueError, match="future has no value of 'price' in row 1"):
        model.predict(future=pd.DataFrame({"price": [1, missing, 2]}, index=times[60:], dtype=object))


def test_truths_given_as_objects_are_still_truths():
    df = stores().astype({"holiday": bool})
    model = model_of_stores(static="kind").fit(df)
    np.testing.assert_array_equal(model.predict(df.astype({"holiday": object}))["sales"], model.predict(df)["sales"])


def test_a_series_that_is_always_zero_stays_so_beside_large_ones():
    """So does a new one; where windows of zeros are followed by something, that is their unit."""
    df = stores((150,) * 4).drop(columns=["holiday", "kind"])
    rng = np.random.default_rng(0)
    df["sales"] = rng.normal(1_000, 300, len(df))
    df.loc[df["store"] == "store 3", "sales"] = 0.0
    options = {"n_steps": 28, "max_epochs": 3, "quantiles": (0.1, 0.9), "conformal": True}
    forecasts = model_of_stores(**options).fit(df).predict().set_index("store")
    columns = ["sales_q0.1", "sales", "sales_q0.9"]
    assert forecasts.loc["store 3", columns].abs().max(axis=None) < 1
    assert forecasts.loc["store 0", "sales"].mean() > 500
    zeros = df[df["store"] == "store 3"].assign(store="new")
    assert model_of_stores(**options).fit(df).predict(zeros)[columns].abs().max(axis=None) < 1


def test_the_unit_behind_windows_of_zeros_is_that_of_what_followed_them():
    values = np.array([[0, 1], [0, 0], [0, 0], [3, 0], [0, 0], [0, np.nan], [0, 4], [np.nan, 0]], dtype=np.float32)
    windows = Sequences(values, np.array([0, 1, 4]), np.array([2, 2, 2]))
    expected = [np.sqrt(np.mean([0, 9, 9, 0, 0])), np.sqrt(np.mean([0, 0, 16, 0]))]
    np.testing.assert_allclose(scale_after_zeros(windows, 2, 2), expected)
    assert np.isnan(scale_after_zeros(Sequences(values + 1, np.array([0]), np.array([2])), 2, 2)).all()


def test_a_group_of_another_type_in_the_future_is_told_of():
    df = stores().drop(columns="kind")
    df["store"] = df["store"].factorize()[0]
    model = model_of_stores(known="holiday").fit(df)
    with pytest.raises(ValueError, match="Group '0' of future was 0 in fit. Make int of str"):
        model.predict(future=coming(df).astype({"store": str}))


@pytest.mark.parametrize("empty", [None, np.nan])
@pytest.mark.parametrize("later", ["xmas", 3.0, None])
def test_a_column_without_a_value_in_fit_tells_nothing_later(empty, later):
    """As a category that fit has not seen: months without a holiday say nothing of one."""
    df = stores().drop(columns="kind").assign(holiday=empty)
    model = model_of_stores(known="holiday").fit(df)
    expected = model.predict(future=coming(df).assign(holiday=empty))
    pd.testing.assert_frame_equal(model.predict(future=coming(df).assign(holiday=later)), expected)
    pd.testing.assert_frame_equal(
        model.predict(df.assign(holiday=later), future=coming(df).assign(holiday=later)), expected
    )


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize("labels", [("a", "b", "c"), (2, "b", ("c", 1))])
def test_nothing_depends_on_the_order_of_rows_or_groups(labels, blend):
    """Not even what is learned: batches are drawn from series in the order of their labels."""
    df = stores()
    df["store"] = df["store"].map(dict(zip(df["store"].unique(), labels, strict=True))).astype(object)
    tables = (df, df[::-1], df.sample(frac=1, random_state=0))
    forecasts = [model_of_stores(static="kind", blend=blend).fit(table).predict() for table in tables]
    forecasts = [forecast.sort_values(["date", "sales"], ignore_index=True) for forecast in forecasts]
    for other in forecasts[1:]:
        pd.testing.assert_frame_equal(other, forecasts[0], rtol=1e-6)


def test_times_as_texts_are_no_category():
    df = stores().drop(columns="kind").astype({"date": str})
    with pytest.raises(ValueError, match="Column 'date' has texts such as '2024-.*which look like times"):
        RNNForecaster("sales", 5, group="store", **TINY).fit(df)


@pytest.mark.parametrize(
    ("others", "lacking"),
    [("Sun Mon Tue Wed Thu Fri Sat", "Saturdays and Sundays"), ("Mon Tue Wed Thu Fri Sat", "Saturdays,")],
)
def test_business_days_beside_other_days_are_told_of(others, lacking):
    of_others = pd.offsets.CustomBusinessDay(weekmask=others)
    days = {
        "stock": pd.bdate_range("2023-01-02", periods=200),
        "coin": pd.date_range("2023-01-02", periods=280, freq=of_others),
    }
    tables = [
        pd.DataFrame({"store": name, "date": times, "y": np.arange(len(times)) % 7.0}) for name, times in days.items()
    ]
    with pytest.warns(UserWarning, match=f"There are no rows of group 'stock' on {lacking}"):
        RNNForecaster("y", 2, time="date", group="store", **TINY).fit(pd.concat(tables))
