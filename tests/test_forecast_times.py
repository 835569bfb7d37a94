"""Which times come next: calendars, zones and panels of several of them, against pandas' own calendars."""

import dateutil.tz
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_rnn import RNNForecaster, load, save
from sklearn_rnn._frequency import Frequency, find_frequency
from sklearn_rnn._panel import CALENDAR, calendar_features
from sklearn_rnn._rows import Rows
from sklearn_rnn._schedule import find_schedule
from sklearn_rnn._times import read_times

TINY = {"hidden_size": 8, "max_epochs": 2, "random_state": 0, "n_threads": 1, "device": "cpu"}


def one_series(times):
    n_rows = len(times.numbers)
    return Rows(np.zeros((n_rows, 1)), np.zeros(n_rows, dtype=np.int64), [()], times.numbers)


def panel(**series):
    """Numbers at the times of each group."""
    tables = [
        pd.DataFrame({"group": name, "time": times, "y": np.arange(len(times)) % 7.0}) for name, times in series.items()
    ]
    return pd.concat(tables, ignore_index=True)


def forecast_times(df, horizon):
    """Of each group, by a fit to all."""
    forecast = RNNForecaster("y", horizon, time="time", group="group", **TINY).fit(df).predict()
    return {name: pd.DatetimeIndex(times) for name, times in forecast.groupby("group")["time"]}


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
    frequency = find_frequency(past, one_series(past))
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
    frequency = find_frequency(read, one_series(read))
    assert frequency.as_index(frequency.after(read.numbers[-1:], 3)[0]).tolist() == times[40:].tolist()
    assert frequency.season == 1


def test_irregular_integers_are_refused_as_other_irregular_times_are():
    times = np.random.default_rng(0).integers(58, 63, 60).cumsum()
    df = pd.DataFrame({"t": times, "y": np.arange(60.0)})
    for kind in (int, float):
        with pytest.raises(ValueError, match="The times are irregular"):
            RNNForecaster("y", 3, time="t", **TINY).fit(df.astype({"t": kind}))


def monthly(day, months):
    return pd.DatetimeIndex([pd.Timestamp(m.year, m.month, min(day, m.days_in_month)) for m in months])


@pytest.mark.parametrize(("days", "end"), [((28, 31), "2021-02"), ((30, 31), "2021-04"), ((15, 28, 29, 30), "2023-02")])
def test_each_series_of_months_stays_on_its_day(days, end):
    """Where the last month is short, they may all be on its last day."""
    past, coming = pd.period_range(end=end, periods=30, freq="M"), pd.period_range(end, periods=4, freq="M")[1:]
    df = pd.concat([pd.DataFrame({"t": monthly(day, past), "g": day, "y": np.arange(30.0), "k": 0.0}) for day in days])
    expected = pd.concat([pd.DataFrame({"t": monthly(day, coming), "g": day, "k": 0.0}) for day in days])
    model = RNNForecaster("y", 3, time="t", group="g", known="k", **TINY).fit(df)
    pd.testing.assert_series_equal(
        model.predict(future=expected)["t"], expected["t"], check_index=False, check_dtype=False
    )


@pytest.mark.parametrize("day", [1, 15])
def test_a_new_series_at_the_ends_of_months_stays_there(day):
    months = pd.period_range("2019-01", "2021-02", freq="M")
    model = RNNForecaster("y", 3, time="t", **TINY).fit(
        pd.DataFrame({"t": monthly(day, months), "y": 1.0 * months.month})
    )
    forecast = model.predict(pd.DataFrame({"t": monthly(31, months), "y": 1.0 * months.month}))
    assert forecast["t"].astype(str).tolist() == ["2021-03-31", "2021-04-30", "2021-05-31"]


def test_gaps_do_not_hide_the_spacing():
    times = pd.date_range("2024-01-01", periods=300, freq="MS")[np.random.default_rng(0).random(300) < 0.9]
    past = read_times(times, "time")
    frequency = find_frequency(past, one_series(past))
    assert frequency.as_index(frequency.after(past.numbers[-1:], 2)[0])[0] == times[-1] + pd.DateOffset(months=1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=st.datetimes(min_value=pd.Timestamp("2000-01-01"), max_value=pd.Timestamp("2030-01-01")))
def test_calendar_features_are_points_on_the_circle_of_their_cycle(moment):
    features = calendar_features(pd.DatetimeIndex([moment]), list(CALENDAR))[0].reshape(-1, 2)
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


def days_of_week(days, n_rows=120):
    return pd.date_range("2024-03-04", periods=n_rows, freq=pd.offsets.CustomBusinessDay(weekmask=days), name="time")


def hours_of_days(first, last, step="h", days="D", n_days=40, zone=None):
    hours = pd.timedelta_range(first, last, freq=step).to_numpy()
    starts = pd.date_range("2024-03-04", periods=n_days, freq=days).to_numpy()
    return pd.DatetimeIndex((starts[:, None] + hours).ravel(), name="time").tz_localize(zone)


@pytest.mark.parametrize(
    ("times", "season"),
    [
        (days_of_week("Mon Tue Wed Thu Fri Sat"), 6),
        (days_of_week("Sun Mon Tue Wed Thu"), 5),
        (days_of_week("Mon Tue Fri"), 3),
        (days_of_week("Mon Wed Fri").tz_localize("Europe/Berlin"), 3),
        (hours_of_days("8h", "19h"), 12),
        (hours_of_days("8h", "19h", zone="Europe/Berlin"), 12),
        (hours_of_days("9h30min", "16h", "30min", "B"), 14),
        (hours_of_days("7h", "21h", "7h"), 3),
        (hours_of_days("0h", "23h", "h", "B"), 24),
        (hours_of_days("8h", "19h").difference(hours_of_days("14h", "19h", days="W-SAT", n_days=6)), 78),
    ],
    ids=lambda of: "" if isinstance(of, int) else f"{of[0]} to {of[-1]}",
)
def test_a_weekly_schedule_goes_on(times, season, tmp_path):
    pytest.importorskip("skops", reason='the extra "safe" is not installed')
    known, coming = times[: 3 * len(times) // 4], times[3 * len(times) // 4 :][:10]
    model = RNNForecaster("y", 10, **TINY).fit(pd.DataFrame({"y": np.arange(len(known)) % 7.0}, index=known))
    save(model, tmp_path / "model.skops")
    for fitted in (model, load(tmp_path / "model.skops")):
        forecast = fitted.predict()
        assert forecast.index.tolist() == coming.tolist()
        assert forecast.index.dtype == times.dtype
    assert model.season_ == season


def test_rows_that_lack_in_a_schedule_count_as_rows_of_nan():
    times = hours_of_days("8h", "19h", n_days=50)
    df = pd.DataFrame({"y": np.sin(np.arange(600) / 2), "p": np.arange(600) % 5, "s": 2.0}, index=times)
    lacking = [*range(24, 36), 100, 101, 460, *range(540, 545)]  # a day off, and some hours
    full = df.copy()
    full.iloc[lacking, :2] = np.nan
    holes = df.drop(df.index[lacking])
    of_full, of_holes = (
        RNNForecaster("y", 6, static=["s"], **TINY).fit(table[table.index < times[500]]) for table in (full, holes)
    )
    pd.testing.assert_frame_equal(of_holes.predict(), of_full.predict())
    late_full, late_holes = (table[table.index >= times[500]] for table in (full, holes))
    pd.testing.assert_frame_equal(of_holes.predict(late_holes), of_full.predict(late_full))
    assert of_holes.score(late_holes) == of_full.score(late_full)
    pd.testing.assert_frame_equal(of_holes.backtest(late_holes), of_full.backtest(late_full))
    pd.testing.assert_frame_equal(of_holes.update(late_holes).predict(), of_full.update(late_full).predict())


def test_more_than_a_week_without_rows_is_a_gap_in_a_schedule():
    times = hours_of_days("8h", "19h", n_days=80)
    for n_days, is_bridged in ((7, True), (8, False)):
        known = times[: 12 * 60].append(times[12 * (60 + n_days) :])
        df = pd.DataFrame({"y": np.arange(len(known)) % 5.0}, index=known)
        model = RNNForecaster("y", 2, n_steps=300, **TINY).fit(df)
        assert np.isnan(model._last_values).sum() == 12 * n_days * is_bridged


def test_rows_outside_of_a_schedule_do_not_move_it():
    times = days_of_week("Mon Tue Wed Thu Fri Sat")
    model = RNNForecaster("y", 2, **TINY).fit(pd.DataFrame({"y": np.arange(114) % 6.0}, index=times[:114]))
    sunday = times[113] + pd.Timedelta("1D")
    assert sunday.day_name() == "Sunday"
    forecast = model.predict(pd.DataFrame({"y": [1.0]}, index=pd.DatetimeIndex([sunday], name="time")))
    assert forecast.index.day_name().tolist() == ["Monday", "Tuesday"]


def test_single_rows_at_other_moments_are_no_part_of_a_schedule():
    times = hours_of_days("9h", "17h", days="B", n_days=100)
    stray = pd.DatetimeIndex(["2024-03-08 20:00", "2024-05-05 12:00"])
    df = pd.DataFrame({"y": np.arange(902) % 9.0}, index=times.append(stray).sort_values().rename("time"))
    model = RNNForecaster("y", 20, **TINY).fit(df[df.index < times[870]])
    assert model.season_ == 9
    assert model.predict().index.tolist() == times[870:890].tolist()


def test_no_origin_is_at_a_row_that_the_user_never_had():
    times = hours_of_days("8h", "19h", n_days=60).delete(range(600, 612))
    df = pd.DataFrame({"y": np.arange(708) % 12.0}, index=times)
    model = RNNForecaster("y", 5, **TINY).fit(df[:500])
    for backtest in (
        model.backtest(df[500:], n_origins=None, stride=1),
        model.backtest(df[:640], n_origins=12, stride=5, refit=True),
    ):
        assert backtest["origin"].isin(times).all()


def test_a_midnight_that_a_clock_skips_is_not_filled():
    days = days_of_week("Mon Tue Wed Thu Fri Sat", 400)
    times = days.tz_localize("Africa/Cairo", nonexistent="shift_forward")  # the last Friday of April begins at one
    assert (times.hour == 1).any()
    df = pd.DataFrame({"y": np.arange(400) % 6.0}, index=times)
    model = RNNForecaster("y", 3, **TINY).fit(df[:300])
    assert model.season_ == 6
    assert (np.diff(model._remembered.times) > 0).all()
    assert model.update(df[300:330]).predict().index.tolist() == times[330:333].tolist()
    assert model.backtest(df[330:], n_origins=None, stride=1)["origin"].isin(times).all()


def test_series_at_hours_of_their_own_have_no_schedule_together():
    days = pd.date_range("2024-01-01", periods=100)
    df = panel(a=days.delete(40), b=days + pd.Timedelta("6h"), c=days + pd.Timedelta("10min"))
    for name, hour in {"a": "0h", "b": "6h", "c": "10min"}.items():
        assert (
            forecast_times(df, 3)[name] == days[-1] + pd.Timedelta(hour) + pd.timedelta_range("1D", periods=3)
        ).all()


def test_many_rows_at_other_moments_than_those_of_fit_are_told_of():
    times = hours_of_days("9h", "17h")
    model = RNNForecaster("y", 2, **TINY).fit(pd.DataFrame({"y": np.arange(len(times)) % 9.0}, index=times))
    hours = pd.date_range(times[-1], periods=48, freq="h", name="time")
    with pytest.warns(UserWarning, match="30 of 48 rows are at moments of the week at which fit had none"):
        model.predict(pd.DataFrame({"y": np.arange(48) % 9.0}, index=hours))


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2024-01-01", periods=1_000, freq="h"),
        pd.date_range("2024-01-01", periods=1_000, freq="h").delete([50, 51, 300]),
        pd.date_range("2024-01-01", periods=1_000, freq="h", tz="Europe/Berlin")[::5],
        hours_of_days("0h", "22h"),  # every hour but one
        hours_of_days("8h", "19h", n_days=13),
        days_of_week("Mon Tue Wed Thu Fri Sat")[np.random.default_rng(0).random(120) < 0.6],
        days_of_week("Mon Tue Wed Thu Fri Sat", 22),
        pd.date_range("2024-01-01", periods=2_000, freq="h").insert(100, pd.Timestamp("2024-01-05 04:30")),
        pd.date_range("2022-01-01", periods=700, tz="UTC")
        .tz_localize(None)
        .tz_localize("America/Santiago", nonexistent="shift_forward", ambiguous=np.ones(700, dtype=bool)),
        hours_of_days("0h", "6h", n_days=20, zone="Europe/Berlin"),
        pd.date_range("2024-01-01", periods=1_000, freq="h") + pd.to_timedelta(np.arange(1_000) % 7, "s"),
        pd.date_range("2020-01-01", periods=60, freq="MS"),
    ],
    ids=[
        "hours",
        "missing hours",
        "every fifth hour",
        "but one",
        "few days of hours",
        "few rows",
        "few days",
        "one more",
        "midnights that lack",
        "nights of a zone",
        "rough",
        "months",
    ],
)
def test_other_times_are_no_schedule(times):
    assert find_schedule(times, np.diff(times.as_unit("ns").asi8)) is None


def test_an_open_hour_that_lacks_in_most_weeks_stays_in_the_schedule():
    times = hours_of_days("8h", "16h")
    is_noon_of_tuesday = (times.day_of_week == 1) & (times.hour == 12)
    some_lack = times.delete(np.flatnonzero(is_noon_of_tuesday)[2:])
    df = pd.DataFrame({"y": np.arange(len(some_lack)) % 9.0}, index=some_lack)
    model = RNNForecaster("y", 45, **TINY).fit(df)
    assert model.season_ == 9
    noons = model.predict().index
    assert 1 in noons[noons.hour == 12].day_of_week

    closed = times[~is_noon_of_tuesday]
    assert find_schedule(closed, np.diff(closed.as_unit("ns").asi8)).season == 62


@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize(
    ("form", "behind", "freq"),
    [
        ("%Y%m%d", "", "D"),
        ("%Y%m", "", "MS"),
        ("%Y%m%d", "", "W"),
        ("%G%V%u", "1", "W-MON"),
        ("%Y%j", "", "D"),
    ],
)
def test_numbers_that_read_as_dates_are_refused(form, behind, freq, kind):
    """The advice makes times of them again."""
    days = pd.date_range("2023-12-04", periods=60, freq=freq)
    written = days.strftime(form).str.removesuffix(behind) if behind else days.strftime(form)
    df = pd.DataFrame({"day": written.astype(int).astype(kind), "y": np.arange(60) % 7.0})
    with pytest.raises(ValueError, match=f"for example 202.*format='{form}'") as refusal:
        RNNForecaster("y", 3, time="day", **TINY).fit(df)
    advice = str(refusal.value).split("for example with ")[1].removesuffix(".")
    df["day"] = eval(advice, {"pd": pd, "times": df["day"]})
    assert (df["day"].dt.strftime(form) == days.strftime(form)).all()
    assert RNNForecaster("y", 3, time="day", **TINY).fit(df).predict()["day"].iloc[0] > days[-1]


@pytest.mark.parametrize(
    "numbers", [np.arange(20_240_101, 20_240_161), np.arange(202_401, 202_461), 1900 + np.arange(60)]
)
def test_other_integers_are_numbers(numbers):
    df = pd.DataFrame({"day": numbers, "y": np.arange(60) % 7.0})
    forecast = RNNForecaster("y", 3, time="day", **TINY).fit(df).predict()
    assert forecast["day"].tolist() == [numbers[-1] + step for step in (1, 2, 3)]


def test_frequent_gaps_are_pointed_out():
    hours = hours_of_days("8h", "17h", n_days=13)
    df = pd.DataFrame({"y": np.arange(len(hours)) % 10.0}, index=hours)
    with pytest.warns(UserWarning, match="13 stretches of 10 rows"):
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


@pytest.mark.parametrize(
    ("first", "second", "freq"),
    [
        ("2000-01-01", "2000-04-01", "6MS"),
        ("2000-01-01", "2000-02-01", "2MS"),
        ("2000-01-31", "2000-02-29", "2ME"),
        ("2000-01-03", "2000-02-01", "3BMS"),
        ("2000-01-31", "2000-02-29", "3BME"),
        ("2000-01-31", "2000-04-28", "6BME"),
        ("2000-01-01", "2000-07-15", "MS"),
    ],
)
def test_series_of_one_spacing_that_begin_at_different_times_each_go_on(first, second, freq):
    all_times = {
        name: pd.date_range(start, periods=40, freq=freq) for name, start in zip("ab", (first, second), strict=True)
    }
    found = forecast_times(panel(**{name: times[:36] for name, times in all_times.items()}), 4)
    for name, times in all_times.items():
        assert found[name].tolist() == times[36:].tolist()


@pytest.mark.parametrize("freq", ["LWOM-FRI", "WOM-2TUE", "SME"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_weekdays_of_months_go_on(freq, zone):
    """pandas itself takes the last Friday of each month for the fourth."""
    times = pd.date_range("2020-01-01", periods=50, freq=freq, tz=zone)
    model = RNNForecaster("y", 10, **TINY).fit(pd.DataFrame({"y": np.arange(40.0)}, index=times[:40]))
    assert model.predict().index.tolist() == times[40:].tolist()


@pytest.mark.parametrize("n_months", range(58, 66))
def test_ends_of_months_stay_ends_beside_beginnings_of_months(n_months):
    """Whatever month the series ends in, and after an update, too."""
    ends = pd.date_range("2019-01-31", periods=n_months + 4, freq="ME")
    df = panel(begin=pd.date_range("2019-01-01", periods=n_months, freq="MS"), end=ends[:n_months])
    model = RNNForecaster("y", 3, time="time", group="group", **TINY).fit(df)
    assert model.predict().query("group == 'end'")["time"].tolist() == ends[n_months : n_months + 3].tolist()
    model.update(panel(end=ends[n_months : n_months + 1]))
    assert model.predict().query("group == 'end'")["time"].tolist() == ends[n_months + 1 :].tolist()


def test_a_gap_in_a_calendar_is_one():
    """Of the last business days of months, where another series tells the calendar."""
    times = pd.date_range("2000-01-01", periods=60, freq="BME")
    model = RNNForecaster("y", 2, time="time", group="group", **TINY)
    model.fit(panel(whole=times[:50], broken=times[:50].delete(range(20, 30))))
    assert model._frequency.count == "BME"
    longest = int(np.diff(times.as_unit("ns").asi8).max())
    assert model._frequency.max_gap <= longest


def test_irregular_months_are_refused():
    times = pd.DatetimeIndex(["2020-01-01", "2020-01-30", "2020-03-02", "2020-04-03", "2020-05-06"])
    with pytest.raises(ValueError, match="The times are irregular"):
        RNNForecaster("y", 2, **TINY).fit(pd.DataFrame({"y": np.arange(5.0)}, index=times))
