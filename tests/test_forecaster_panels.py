"""RNNForecaster on panels: groups, times, covariates of the future, static columns."""

import tracemalloc

import dateutil.tz
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sklearn_rnn import RNNForecaster, load, save
from sklearn_rnn._frequency import Frequency, find_frequency
from sklearn_rnn._panel import CALENDAR, calendar_features
from sklearn_rnn._statistics import deviations_of_groups, scales_of_groups
from sklearn_rnn._times import read_times

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
    for normalize in ("auto", "last"):
        model = model_of_stores(normalize=normalize, max_epochs=30, learning_rate=0.01).fit(past)
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
    with pytest.raises(ValueError, match="'holiday' changes within group 'store 0'"):
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


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "zone",
    [dateutil.tz.gettz("Europe/Berlin"), dateutil.tz.tzutc(), dateutil.tz.tzoffset("home", 7_200), "UTC-03:00"],
    ids=str,
)
def test_time_zones_of_every_kind_go_on(zone, tmp_path):
    pytest.importorskip("skops", reason='the extra "safe" is not installed')
    times = pd.date_range("2024-03-28", periods=100, freq="h", tz=zone)  # Berlin changes its clocks within
    model = RNNForecaster("y", 10, **TINY).fit(pd.DataFrame({"y": np.arange(90.0)}, index=times[:90]))
    save(model, tmp_path / "model.skops")
    for fitted in (model, load(tmp_path / "model.skops")):
        index = fitted.predict().index
        assert (index == times[90:]).all()
        assert [str(time.utcoffset()) for time in index] == [str(time.utcoffset()) for time in times[90:]]


@pytest.mark.parametrize(
    ("freq", "zone", "season"),
    [
        ("h", None, 24),
        ("15min", None, 96),
        ("30min", None, 48),
        ("min", None, 60),
        ("D", None, 7),
        ("B", None, 5),
        ("W-WED", None, 52),
        ("28D", None, 1),
        ("MS", None, 12),
        ("ME", None, 12),
        ("QS", None, 4),
        ("QE", None, 4),
        ("YS", None, 1),
        ("D", "Europe/Berlin", 7),
        ("h", "Europe/Berlin", 24),
        ("B", "America/New_York", 5),
        ("MS", "Europe/Berlin", 12),
    ],
)
def test_the_next_times_are_those_of_the_calendar(freq, zone, season):
    """200 times across changes of summer time, and the 40 after them, against pandas' own calendar."""
    times = pd.date_range("1924-01-03" if freq == "YS" else "2024-01-03", periods=240, freq=freq, tz=zone)
    past = read_times(times[:200], "time")
    frequency = find_frequency(past, np.diff(past.numbers), times[:200])
    following = frequency.as_index(frequency.after(past.numbers[-1:], 40)[0])
    assert following.tolist() == times[200:].tolist()
    assert following.dtype == times.dtype
    assert frequency.season == season
    assert frequency.season % frequency.segment_size == 0 or season == 1


@pytest.mark.parametrize(
    "times",
    [
        pd.RangeIndex(0, 500, 5),
        pd.Index(np.arange(100) / 4),
        pd.period_range("2020-01", periods=100, freq="M"),
        pd.timedelta_range("0s", periods=100, freq="10s"),
        pd.date_range("2024-01-01", periods=100, freq="h").as_unit("s"),
    ],
)
def test_times_of_every_kind_go_on_in_their_kind(times):
    df = pd.DataFrame({"y": np.arange(90.0)}, index=times[:90])
    forecast = RNNForecaster("y", 10, **TINY).fit(df).predict()
    assert forecast.index.tolist() == times[90:].tolist()
    assert forecast.index.dtype == times.dtype


@pytest.mark.parametrize(("freq", "zone"), [("28D", None), ("30D", None), ("91D", None), ("28D", "Europe/Berlin")])
def test_a_missing_row_does_not_make_months_of_as_many_days(freq, zone):
    times = pd.date_range("2020-01-06", periods=43, freq=freq, tz=zone)
    past = times[:40].delete(20)
    read = read_times(past, "time")
    frequency = find_frequency(read, np.diff(read.numbers), past)
    assert frequency.as_index(frequency.after(read.numbers[-1:], 3)[0]).tolist() == times[40:].tolist()
    assert frequency.season == 1


def test_irregular_integers_are_refused_as_other_irregular_times_are():
    times = np.random.default_rng(0).integers(58, 63, 60).cumsum()
    df = pd.DataFrame({"t": times, "y": np.arange(60.0)})
    for kind in (int, float):
        with pytest.raises(ValueError, match="The times are irregular"):
            RNNForecaster("y", 3, time="t", **TINY).fit(df.astype({"t": kind}))


def test_gaps_do_not_hide_the_spacing():
    times = pd.date_range("2024-01-01", periods=300, freq="MS")[np.random.default_rng(0).random(300) < 0.9]
    past = read_times(times, "time")
    frequency = find_frequency(past, np.diff(past.numbers), times)
    assert frequency.as_index(frequency.after(past.numbers[-1:], 2)[0])[0] == times[-1] + pd.DateOffset(months=1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=st.datetimes(min_value=pd.Timestamp("2000-01-01"), max_value=pd.Timestamp("2030-01-01")))
def test_calendar_features_are_points_on_the_circle_of_their_cycle(moment):
    features = calendar_features(read_times(pd.DatetimeIndex([moment]), "time"), list(CALENDAR))[0].reshape(-1, 2)
    np.testing.assert_allclose((features**2).sum(axis=1), 1, atol=1e-5)
    hour = np.arctan2(*features[list(CALENDAR).index("hour")]) / (2 * np.pi) * 24 % 24
    assert round(hour) % 24 == moment.hour


def test_the_calendar_of_coming_rows_is_known_by_itself():
    days = pd.date_range("2022-01-01", periods=700)
    df = pd.DataFrame({"y": np.where(days.day_of_week == 6, 5.0, 0.0)}, index=days)
    model = RNNForecaster("y", 7, calendar="dayofweek", n_steps=2, segment_size=1, normalize=None, random_state=0)
    model.set_params(hidden_size=32, max_epochs=20, learning_rate=0.01, dropout=0.0).fit(df)
    forecast = model.predict()["y"]
    assert forecast.idxmax().day_of_week == 6
    assert np.abs(forecast - np.where(forecast.index.day_of_week == 6, 5.0, 0.0)).max() < 1


@pytest.mark.parametrize("step", [0.1, 1 / 3, 2.5])
def test_future_rows_at_fractions_are_found_though_these_are_rounded(step):
    times = np.arange(105) * step
    df = pd.DataFrame({"y": np.sin(times), "k": 1.0}, index=times)
    model = RNNForecaster("y", 5, known="k", **TINY).fit(df.iloc[:100])
    np.testing.assert_allclose(model.predict(future=df[["k"]].iloc[100:]).index, times[100:])
    with pytest.raises(ValueError, match="future has no row at"):
        model.predict(future=df[["k"]].iloc[100:].set_axis(times[100:] + 0.3 * step))


def test_the_calendar_is_that_of_the_zone_of_fit():
    hours = pd.date_range("2024-01-01", periods=400, freq="h", tz="Asia/Tokyo")
    df = pd.DataFrame({"y": np.where(hours.hour < 12, 0.0, 1.0)}, index=hours)
    model = RNNForecaster("y", 4, calendar=["hour"], **TINY).fit(df[:350])
    there, elsewhere = model.predict(df[300:]), model.predict(df[300:].tz_convert("UTC"))
    np.testing.assert_array_equal(there["y"], elsewhere["y"])


@pytest.mark.parametrize("freq", ["BME", "BMS", "2ME", "6MS", "BQE"])
def test_times_of_any_calendar_of_pandas_go_on(freq):
    times = pd.date_range("2004-01-01", periods=70, freq=freq)
    df = pd.DataFrame({"y": np.arange(60.0)}, index=times[:60])
    model = RNNForecaster("y", 10, **TINY).fit(df)
    assert model.predict().index.tolist() == times[60:].tolist()
    assert model.season_ == {"BME": 12, "BMS": 12, "2ME": 6, "6MS": 2, "BQE": 4}[freq]


def test_months_go_on_on_their_day_behind_a_shorter_month():
    months = pd.period_range("2017-01", periods=41, freq="M")
    days = pd.DatetimeIndex([month.start_time.replace(day=min(30, month.days_in_month)) for month in months])
    model = RNNForecaster("y", 3, **TINY).fit(pd.DataFrame({"y": np.arange(38.0)}, index=days[:38]))
    assert days[37].day == 29  # in February
    assert model.predict().index.tolist() == days[38:].tolist()


def test_months_of_another_series_go_on_on_its_day():
    months = pd.date_range("2017-01-01", periods=38, freq="MS")
    later = pd.DataFrame({"y": np.arange(20.0)}, index=months[:20] + pd.Timedelta(days=14))
    model = RNNForecaster("y", 3, **TINY).fit(pd.DataFrame({"y": np.arange(38.0)}, index=months))
    assert model.predict(later).index.tolist() == (months[20:23] + pd.Timedelta(days=14)).tolist()
    model.fit(pd.DataFrame({"y": np.arange(38.0)}, index=months + pd.offsets.MonthEnd(0)))
    assert model.predict(later).index.tolist() == (months[20:23] + pd.Timedelta(days=14)).tolist()


@pytest.mark.parametrize("unit", ["days", "months"])
def test_days_and_months_keep_the_time_of_day_of_their_zone(unit):
    """As in pandas, but for the one that the clock skips; 02:30 of the day that has two is the first."""
    start = pd.Timestamp("2023-12-31 02:30", tz="Europe/Berlin")
    expected = [start + pd.DateOffset(**{unit: i}) for i in range(1, 400)]
    found = Frequency(unit, 1, zone="Europe/Berlin").after(np.array([start.as_unit("ns").value]), 399)[0]
    pairs = zip(pd.DatetimeIndex(found, tz="UTC").tz_convert("Europe/Berlin"), expected, strict=True)
    spring = pd.Timestamp("2024-03-31 03:00", tz="Europe/Berlin")
    assert [time for time, other in pairs if time != other and other.year < 2025] == [spring]


def test_frequent_gaps_are_pointed_out():
    hours = pd.date_range("2024-01-01", periods=24 * 60, freq="h")
    open_hours = hours[(hours.hour >= 8) & (hours.hour <= 17)]
    df = pd.DataFrame({"y": np.arange(len(open_hours)) % 10.0}, index=open_hours)
    with pytest.warns(UserWarning, match="60 stretches of 10 rows"):
        RNNForecaster("y", 3, **TINY).fit(df)
    RNNForecaster("y", 3, **TINY).fit(df.reset_index(drop=True))  # no warning


def test_an_index_of_texts_that_look_like_times_is_pointed_out():
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    with pytest.warns(UserWarning, match="texts such as '2024-01-01'"):
        RNNForecaster("y", 3, **TINY).fit(pd.DataFrame({"y": np.arange(60.0)}, index=days))
    names = pd.Index([f"{i:06d}" for i in range(60)])
    RNNForecaster("y", 3, **TINY).fit(pd.DataFrame({"y": np.arange(60.0)}, index=names))  # no warning


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_of_arrow_are_times(zone):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    times = pd.date_range("2024-01-01", periods=60, tz=zone)
    column = pd.array(times, dtype=pd.ArrowDtype(arrow.timestamp("us", tz=zone)))
    df = pd.DataFrame({"day": column, "y": np.arange(60.0)})
    expected = RNNForecaster("y", 3, **TINY).fit(df[["y"]].set_axis(times)).predict()
    given = RNNForecaster("y", 3, time="day", **TINY).fit(df).predict()
    assert given["day"].tolist() == expected.index.tolist()
    by_index = RNNForecaster("y", 3, **TINY).fit(df.set_index("day")).predict()
    np.testing.assert_array_equal(by_index["y"], expected["y"])


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
