"""Windows against a loop over rows, and against the promise that no row sees its future."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_rnn import RNNRegressor, Sequences, SlidingWindow
from sklearn_rnn.windows import lag_features, window_bounds

NEIGHBOURS = "a row's window is made of the rows around it"


@parametrize_with_checks(
    [SlidingWindow(n_steps=3), SlidingWindow(n_steps=3, flatten=True)],
    expected_failed_checks=lambda _: {
        "check_methods_sample_order_invariance": NEIGHBOURS,
        "check_methods_subset_invariance": NEIGHBOURS,
    },
)
def test_the_contract_of_scikit_learn_holds(estimator, check):
    check(estimator)


def test_it_declares_that_values_may_be_missing():
    assert get_tags(SlidingWindow()).input_tags.allow_nan


# ---------------------------------------------------------------- windows of rows


def windows_by_loop(frame, n_steps, max_gap):
    """The windows of a frame with columns time, group and channels, row by row."""
    channels = frame.drop(columns=["time", "group"]).to_numpy(dtype=np.float32)
    times, groups = frame["time"].tolist(), frame["group"].tolist()
    windows = []
    for i in range(len(frame)):
        past = sorted((times[j], j) for j in range(len(frame)) if groups[j] == groups[i] and times[j] <= times[i])
        rows = [past[-1][1]]
        for (time, j), (next_time, _) in zip(past[-2::-1], past[:0:-1], strict=True):
            if len(rows) == n_steps or (max_gap is not None and next_time - time > max_gap):
                break
            rows.insert(0, j)
        windows.append(channels[rows])
    return windows


def assert_same_windows(windows, expected):
    assert len(windows) == len(expected)
    for window, other in zip(windows, expected, strict=True):
        assert_array_equal(window, other)


@st.composite
def panels(draw, min_rows=3):
    """Rows of up to three groups in any order, with gaps and missing values."""
    row = st.tuples(st.integers(0, 20), st.sampled_from("abc"))
    rows = draw(st.lists(row, min_size=min_rows, max_size=30, unique=True))
    load = st.one_of(st.just(np.nan), st.integers(-99, 99).map(float))
    loads = draw(st.lists(load, min_size=len(rows), max_size=len(rows)))
    return pd.DataFrame({"time": [t for t, _ in rows], "load": loads, "group": [g for _, g in rows]})


def longest_group(frame):
    return int(frame["group"].value_counts().max())


def hourly(n_rows, start="2024-01-01", freq="h", **columns):
    index = pd.date_range(start, periods=n_rows, freq=freq)
    return pd.DataFrame(columns or {"load": np.arange(float(n_rows))}, index=index)


@settings(deadline=None, max_examples=60)
@given(panels(), st.integers(1, 5), st.sampled_from([None, 1, 2.5, 4]))
def test_windows_equal_those_of_a_loop_over_rows(frame, n_steps, max_gap):
    n_steps = min(n_steps, longest_group(frame))
    window = SlidingWindow(n_steps, time="time", group="group", max_gap=max_gap or 100)
    assert_same_windows(window.fit_transform(frame), windows_by_loop(frame, n_steps, max_gap))


@settings(deadline=None, max_examples=60)
@given(panels(), panels(min_rows=0), st.integers(1, 5), st.integers(0, 20))
def test_a_window_never_sees_the_future(frame, other, n_steps, now):
    """Whatever is appended, changed or dropped after a time, the windows until then stay as they are."""
    past, later = frame[frame["time"] <= now], other[other["time"] > now]
    assume(len(past) > 0)
    n_steps = min(n_steps, longest_group(past))
    window = SlidingWindow(n_steps, time="time", group="group", max_gap=3)
    expected = window.fit_transform(past)
    changed = pd.concat([later.iloc[::2], past, later.iloc[1::2]])
    among_past = (changed["time"] <= now).to_numpy()
    assert_same_windows(window.fit_transform(changed)[among_past], expected)
    assert_same_windows(window.fit(frame).transform(changed)[among_past], expected)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(panels(min_rows=6), st.integers(1, 5), st.integers(3, 18), st.sampled_from([1, 3, 100]))
def test_later_rows_have_the_windows_they_would_have_had_in_fit(frame, n_steps, now, max_gap):
    past, later = frame[frame["time"] <= now], frame[frame["time"] > now]
    assume(len(past) > 0 and len(later) > 0)
    n_steps = min(n_steps, longest_group(past))
    window = SlidingWindow(n_steps, time="time", group="group", max_gap=max_gap)
    everything = window.fit_transform(frame)
    assert_same_windows(window.fit(past).transform(later), everything[(frame["time"] > now).to_numpy()])


def test_window_bounds_say_where_windows_begin_among_sorted_rows():
    order, starts, lengths = window_bounds(np.array([0, 1, 0, 0]), np.array([5, 1, 3, 4]), n_steps=2)
    assert_array_equal(order, [2, 3, 0, 1])
    assert_array_equal(starts, [1, 3, 0, 0])
    assert_array_equal(lengths, [2, 1, 1, 2])


def test_an_array_becomes_windows_that_share_its_memory():
    X = np.arange(12, dtype=np.float32).reshape(6, 2)
    windows = SlidingWindow(3).fit_transform(X)
    assert isinstance(windows, Sequences)
    assert np.shares_memory(windows.values, X)
    assert windows.shape == (6, 3, 2)
    assert_array_equal(windows[0], X[:1])
    assert_array_equal(windows[5], X[3:])


def test_a_million_windows_need_little_more_than_their_bounds():
    X = np.zeros((200_000, 8), dtype=np.float32)
    tracemalloc.start()
    SlidingWindow(168).fit_transform(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    bounds = 2 * 8 * len(X)
    assert peak < 2 * bounds


def test_boolean_and_nullable_columns_are_channels():
    frame = pd.DataFrame({"open": [True, False], "sold": pd.array([3, None], dtype="Int64"), "price": [1, 2]})
    windows = SlidingWindow(1).fit_transform(frame)
    assert windows.channel_names == ("open", "sold", "price")
    assert_array_equal(windows.values, np.array([[1, 3, 1], [0, np.nan, 2]], dtype=np.float32))


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]", "int64[pyarrow]", "double[pyarrow]"])
def test_columns_of_any_nullable_type_are_channels(dtype):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    frame = pd.DataFrame({"open": pd.array([1, 0, None], dtype=dtype)})
    assert_array_equal(SlidingWindow(1).fit_transform(frame).values[:, 0], np.array([1, 0, np.nan], dtype=np.float32))


def test_a_group_of_another_type_than_in_fit_is_no_new_group():
    frame = pd.DataFrame({"shop": [1, 1, 2, 2], "t": [0, 1, 0, 1], "sold": [1.0, 2, 3, 4]})
    window = SlidingWindow(2, time="t", group="shop").fit(frame)
    later = frame.assign(t=frame["t"] + 2, shop=frame["shop"].astype(str))
    with pytest.raises(ValueError, match="Group '1' of X was 1 in fit. Make int of str"):
        window.transform(later)
    assert_array_equal(window.transform(later.assign(shop="x" + later["shop"])[:2]).lengths, [1, 2])  # a new one


def test_categories_are_counted_among_the_channels():
    frame = pd.DataFrame({"t": [0, 1], "load": [1.0, 2.0], "kind": pd.Categorical(["ash", "elm"])})
    windows = SlidingWindow(1, time="t").fit_transform(frame)
    assert windows.categorical == (1,)
    assert_array_equal(windows.values, [[1, 0], [2, 1]])


@pytest.mark.parametrize("change", [str, lambda code: f"{code}.0"])
def test_a_category_of_another_type_than_in_fit_is_refused(change):
    frame = pd.DataFrame({"kind": pd.Categorical([1, 2, 1]), "load": [1.0, 2.0, 3.0]})
    window = SlidingWindow(2).fit(frame)
    texts = frame.assign(kind=frame["kind"].map(change).astype("category"))
    with pytest.raises(ValueError, match=r"Column 'kind' has '1.*', which was 1 in fit. Make int of str"):
        window.transform(texts)
    numbers = frame.assign(kind=frame["kind"].astype(float).astype("category"))
    assert_array_equal(window.transform(numbers).values, window.transform(frame).values)
    other = frame.assign(kind=pd.Categorical(["x", None, "y"]))  # they count as none
    assert np.isnan(window.transform(other).values[:, 0]).all()


def test_a_table_is_computed_once_by_fit_transform():
    class Lazy:
        computed, npartitions, index = 0, 1, None

        def compute(self):
            Lazy.computed += 1
            return hourly(6)

    SlidingWindow(2).fit_transform(Lazy())
    assert Lazy.computed == 1


def test_several_columns_can_make_a_group():
    frame = pd.DataFrame({"t": [0, 1, 0, 1], "shop": [1, 1, 1, 2], "item": list("aabb"), "sold": [1.0, 2, 3, 4]})
    windows = SlidingWindow(2, time="t", group=["shop", "item"]).fit_transform(frame)
    assert_array_equal(windows.lengths, [1, 2, 1, 1])


def test_groups_without_times_take_their_rows_in_the_order_given():
    frame = pd.DataFrame({"g": list("abab"), "x": [1.0, 2, 3, 4]}, index=list("wxyz"))
    windows = SlidingWindow(2, group="g").fit_transform(frame)
    assert_same_windows(windows, [[[1]], [[2]], [[1], [3]], [[2], [4]]])


def test_a_categorical_group_is_read_by_its_values():
    frame = pd.DataFrame({"t": [0, 1], "g": pd.Categorical(["a", "a"], categories=["b", "a"]), "x": [1.0, 2.0]})
    window = SlidingWindow(2, time="t", group="g").fit(frame)
    later = pd.DataFrame({"t": [2], "g": ["a"], "x": [3.0]})
    assert_array_equal(window.transform(later)[0], [[2], [3]])


def test_the_users_rows_are_not_changed():
    frame = hourly(6).sample(frac=1, random_state=0)
    before = frame.copy()
    SlidingWindow(2).fit_transform(frame)
    pd.testing.assert_frame_equal(frame, before)


# ---------------------------------------------------------------- times and gaps


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("h", "1h"),
        ("15min", "15min"),
        ("D", "1D"),
        ("W", "7D"),
        ("B", "5D"),
        ("MS", "31D"),
        ("ME", "31D"),
        ("QE", "92D"),
        ("QS-NOV", "92D"),
        ("YS", "366D"),
    ],
)
def test_the_limit_of_a_regular_series_is_its_longest_step(freq, expected):
    window = SlidingWindow(5).fit(hourly(60, freq=freq))
    assert window.max_gap_ == pd.Timedelta(expected)
    assert_array_equal(window.transform(hourly(60, freq=freq)).lengths, [1, 2, 3, 4] + [5] * 56)


@pytest.mark.parametrize(("freq", "n_rows"), [("h", 8000), ("D", 400), ("B", 300), ("MS", 24), ("YS", 24)])
def test_the_clock_changes_of_a_time_zone_are_no_gaps(freq, n_rows):
    index = pd.date_range("2024-01-01", periods=n_rows, freq=freq, tz="Europe/Berlin")
    windows = SlidingWindow(2).fit_transform(pd.DataFrame({"x": np.zeros(n_rows)}, index=index))
    assert_array_equal(windows.lengths, [1] + [2] * (n_rows - 1))


@pytest.mark.parametrize(("days", "expected"), [("Mon Tue Wed Thu Fri Sat", "4D"), ("Sun Tue Thu", "5D")])
def test_days_of_the_week_without_rows_are_no_gaps(days, expected):
    index = pd.date_range("2024-01-01", periods=60, freq=pd.offsets.CustomBusinessDay(weekmask=days))
    window = SlidingWindow(5)
    windows = window.fit_transform(pd.DataFrame({"x": np.zeros(60)}, index=index))
    assert window.max_gap_ == pd.Timedelta(expected)
    assert_array_equal(windows.lengths, [1, 2, 3, 4] + [5] * 56)


def test_missing_months_are_gaps():
    frame = hourly(24, freq="MS").drop(pd.Timestamp("2024-06-01"))
    window = SlidingWindow(12).fit(frame)
    assert window.max_gap_ == pd.Timedelta("31D")
    assert window.transform(frame).lengths[5] == 1


def test_a_gap_in_regular_timestamps_cuts_windows():
    windows = SlidingWindow(4).fit_transform(hourly(8).drop(pd.Timestamp("2024-01-01 03:00")))
    assert_array_equal(windows.lengths, [1, 2, 3, 1, 2, 3, 4])


def test_a_longer_max_gap_bridges_what_the_default_cuts():
    frame = hourly(8).drop(pd.Timestamp("2024-01-01 03:00"))
    for max_gap in ["2h", pd.Timedelta(hours=2), np.timedelta64(2, "h"), pd.offsets.Hour(2)]:
        windows = SlidingWindow(4, max_gap=max_gap).fit_transform(frame)
        assert_array_equal(windows.lengths, [1, 2, 3, 4, 4, 4, 4])


def test_irregular_times_are_counted_in_one_warning():
    index = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 02:17"])
    with pytest.warns(UserWarning, match=r"1 of 3 spacings are no multiple of 0 days 01:00:00.*Set max_gap") as caught:
        window = SlidingWindow(2).fit(pd.DataFrame({"x": range(4)}, index=index))
    assert len(caught) == 1
    assert window.max_gap_ is None


def test_integer_times_follow_each_other_at_one():
    window = SlidingWindow(3)
    frame = pd.DataFrame({"x": [1.0, 2, 3, 4]}, index=[0, 1, 3, 4])
    assert_array_equal(window.fit_transform(frame).lengths, [1, 2, 1, 2])
    assert window.max_gap_ == 1


def test_integer_times_that_leave_every_row_alone_are_warned_of():
    with pytest.warns(UserWarning, match="the smallest spacing of the integer times is 10.*Set max_gap=10"):
        SlidingWindow(2).fit(pd.DataFrame({"x": range(4)}, index=[0, 10, 20, 30]))


def test_float_times_are_regular_despite_rounding():
    frame = pd.DataFrame({"seconds": 0.1 * np.arange(100), "x": np.arange(100.0)}).drop(index=range(50, 80))
    for max_gap in [None, 0.1]:
        lengths = SlidingWindow(3, time="seconds", max_gap=max_gap).fit_transform(frame).lengths
        assert_array_equal(np.flatnonzero(lengths == 1), [0, 50])


def test_spacings_are_measured_within_groups():
    frame = pd.concat([hourly(5).assign(g="a"), hourly(5, start="2024-03-01 00:17").assign(g="b")])
    assert SlidingWindow(2, group="g").fit(frame).max_gap_ == pd.Timedelta("1h")


@pytest.mark.parametrize(
    "times",
    [
        pd.period_range("2024-01", periods=6, freq="M"),
        pd.timedelta_range("0h", periods=6, freq="h"),
        pd.Index(pd.date_range("2024-01-01", periods=6).date),
        pd.date_range("2024-01-01", periods=6, freq="h", unit="s"),
        pd.Index(range(6), dtype="Int64"),
    ],
    ids=lambda times: str(times.dtype),
)
@pytest.mark.parametrize("as_column", [False, True])
def test_times_of_any_kind_put_rows_in_order(times, as_column):
    frame = pd.DataFrame({"x": range(6)}, index=times)
    frame = frame.reset_index(names="t") if as_column else frame
    shuffled = frame.iloc[[3, 0, 5, 1, 2, 4]]
    windows = SlidingWindow(2, time="t" if as_column else None).fit_transform(shuffled)
    assert_same_windows(windows, [[[2], [3]], [[0]], [[4], [5]], [[0], [1]], [[1], [2]], [[3], [4]]])


def test_time_zones_may_differ_between_rows_and_between_fit_and_transform():
    utc = pd.date_range("2024-01-01", periods=6, freq="h", tz="UTC")
    mixed = [utc[0], utc[1].tz_convert("Europe/Berlin"), utc[2].tz_convert("Asia/Tokyo"), utc[3]]
    window = SlidingWindow(2, time="t").fit(pd.DataFrame({"t": pd.Series(mixed, dtype=object), "x": range(4)}))
    later = pd.DataFrame({"t": utc[4:].tz_convert("America/New_York"), "x": [4, 5]})
    assert_same_windows(window.transform(later), [[[3], [4]], [[4], [5]]])


def test_an_index_that_is_no_time_leaves_rows_in_their_order():
    frame = pd.DataFrame({"x": [1.0, 2, 3]}, index=["c", "a", "b"])
    assert_array_equal(SlidingWindow(3).fit_transform(frame).lengths, [1, 2, 3])


# ---------------------------------------------------------------- context


def test_the_first_new_rows_have_the_rows_of_fit_as_history():
    frame = hourly(10)
    window = SlidingWindow(4).fit(frame[:6])
    assert_array_equal(window.transform(frame[6:])[0][:, 0], [3, 4, 5, 6])


def test_a_single_new_row_has_its_whole_history():
    frame = hourly(10)
    assert_array_equal(SlidingWindow(4).fit(frame[:9]).transform(frame[9:])[0][:, 0], [6, 7, 8, 9])


def test_rows_after_a_gap_have_no_history_unless_always():
    frame = hourly(10)
    first_length = {
        context: SlidingWindow(4, context=context).fit(frame[:5]).transform(frame[7:]).lengths[0]
        for context in ["auto", "always", "never"]
    }
    assert first_length == {"auto": 1, "always": 4, "never": 1}


def test_rows_that_continue_have_no_history_if_never():
    frame = hourly(10)
    assert SlidingWindow(4, context="never").fit(frame[:5]).transform(frame[5:]).lengths[0] == 1


def test_always_joins_each_group_to_its_own_rows():
    frame = pd.DataFrame({"t": [0, 1, 0, 1], "g": list("aabb"), "x": [1.0, 2, 3, 4]})
    later = pd.DataFrame({"t": [9, 5, 9], "g": list("bac"), "x": [6.0, 5, 7]})
    windows = SlidingWindow(2, time="t", group="g", context="always", max_gap=1).fit(frame)
    assert_same_windows(windows.transform(later), [[[4], [6]], [[2], [5]], [[7]]])


def test_always_joins_groups_without_times_in_the_order_given():
    frame = pd.DataFrame({"g": list("abab"), "x": [1.0, 2, 3, 4]}, index=list("wxyz"))
    later = pd.DataFrame({"g": list("ba"), "x": [6.0, 5]}, index=list("uv"))
    windows = SlidingWindow(2, group="g", context="always").fit(frame).transform(later)
    assert_same_windows(windows, [[[4], [6]], [[3], [5]]])


def test_arrays_continue_the_rows_of_fit_only_if_always():
    X = np.arange(6.0)[:, None]
    lengths = {
        context: SlidingWindow(3, context=context).fit(X[:3]).transform(X[3:]).lengths.tolist()
        for context in ["auto", "always", "never"]
    }
    assert lengths == {"auto": [1, 2, 3], "always": [3, 3, 3], "never": [1, 2, 3]}


@pytest.mark.parametrize("context", ["auto", "always", "never"])
def test_the_rows_of_fit_themselves_get_the_same_windows_again(context):
    frame = hourly(8).sample(frac=1, random_state=0)
    window = SlidingWindow(3, context=context)
    assert_same_windows(window.fit_transform(frame), window.transform(frame))


def test_context_is_a_copy_of_few_rows():
    X = np.zeros((100, 2), dtype=np.float32)
    window = SlidingWindow(5).fit(X)
    X[:] = 7
    assert len(pickle.dumps(window)) < 3000
    assert len(window._context_values) == 5  # a window of the last row reaches no further back
    assert not window._context_values.any()


# ---------------------------------------------------------------- lag features


def test_lag_features_are_the_dense_windows_side_by_side():
    X = np.arange(10, dtype=np.float32).reshape(5, 2)
    lags = SlidingWindow(3, flatten=True).fit_transform(X)
    assert lags.dtype == np.float32
    assert_array_equal(lags, np.asarray(SlidingWindow(3).fit_transform(X)).reshape(5, 6))


def test_lag_features_of_a_few_rows_keep_their_width():
    window = SlidingWindow(3, flatten=True).fit(np.arange(5.0)[:, None])
    assert_array_equal(window.transform([[7.0]]), [[np.nan, np.nan, 7.0]])


def test_lag_features_of_no_rows_keep_their_width():
    windows = SlidingWindow(3).fit_transform(np.zeros((5, 2)))
    assert lag_features(windows[:0], 3).shape == (0, 6)


def test_lag_features_are_named_oldest_first():
    window = SlidingWindow(2, flatten=True, group="shop").fit(hourly(3, load=1.0, shop="a", temp=2.0))
    names = window.get_feature_names_out()
    assert names.dtype == object
    assert names.tolist() == ["load_lag1", "temp_lag1", "load_lag0", "temp_lag0"]
    assert SlidingWindow(2, flatten=True).fit(np.zeros((3, 1))).get_feature_names_out().tolist() == [
        "x0_lag1",
        "x0_lag0",
    ]


def test_lag_features_are_named_after_columns_that_are_given():
    window = SlidingWindow(2, flatten=True).fit(np.zeros((3, 2)))
    names = window.get_feature_names_out(["load", "temp"]).tolist()
    assert names == ["load_lag1", "temp_lag1", "load_lag0", "temp_lag0"]
    with pytest.raises(TypeError, match=r"^input_features cannot be used: .*\. Pass the names of the columns\.$"):
        window.get_feature_names_out(2)


def test_windows_have_no_feature_names():
    window = SlidingWindow(2).fit(np.zeros((3, 1)))
    with pytest.raises(AttributeError, match="get_feature_names_out") as caught:
        window.get_feature_names_out()
    reason = "Only lag features have names: get_feature_names_out needs flatten=True."
    assert str(caught.value.__cause__) == reason


@pytest.mark.parametrize(
    "regressor", [HistGradientBoostingRegressor(max_iter=2), make_pipeline(SimpleImputer(), Ridge())]
)
def test_lag_features_feed_other_regressors_under_pandas_output(regressor):
    X = hourly(40)
    with config_context(transform_output="pandas"):
        model = make_pipeline(SlidingWindow(3, flatten=True), regressor).fit(X, X["load"])
        assert model.predict(X).shape == (40,)


def test_under_pandas_output_lag_features_are_a_table_and_windows_stay_sequences():
    X = hourly(9)
    lags = SlidingWindow(3, flatten=True).fit(X)
    expected = pd.DataFrame(lags.transform(X), index=X.index, columns=lags.get_feature_names_out())
    with config_context(transform_output="pandas"):
        assert isinstance(make_pipeline(SlidingWindow(3)).fit_transform(X), Sequences)
        pd.testing.assert_frame_equal(make_pipeline(SlidingWindow(3, flatten=True)).fit_transform(X), expected)
    chosen = make_pipeline(StandardScaler(with_mean=False, with_std=False), SlidingWindow(3, flatten=True))
    pd.testing.assert_frame_equal(chosen.set_output(transform="pandas").fit_transform(X), expected)
    assert isinstance(chosen.set_params(slidingwindow__flatten=False).set_output(transform="pandas")[1], SlidingWindow)
    assert isinstance(chosen.fit_transform(X), Sequences)


@pytest.mark.parametrize("copy", [clone, lambda window: pickle.loads(pickle.dumps(window.fit(hourly(9))))])
def test_copies_make_the_same_windows(copy):
    window = SlidingWindow(3, max_gap=pd.Timedelta("1h"))
    assert_same_windows(copy(window).fit_transform(hourly(9)), window.fit_transform(hourly(9)))


# ---------------------------------------------------------------- errors


FRAME = pd.DataFrame(
    {"date": pd.date_range("2024-01-01", periods=4), "shop": list("abab"), "sold": [1.0, 2.0, 3.0, 4.0]}
)


@pytest.mark.parametrize(
    ("window", "X", "message"),
    [
        (SlidingWindow(48), hourly(12), r"n_steps is 48, but the longest group has 12 rows"),
        (SlidingWindow(3, time="date", group="shop"), FRAME, "n_steps is 3, but the longest group has 2 rows"),
        (SlidingWindow(2, time="day"), FRAME, r"X has no column 'day'. Its columns are \['date', 'shop', 'sold'\]"),
        (SlidingWindow(2, group=["shop", "item"]), FRAME, "X has no column 'item'"),
        (SlidingWindow(2, time="date"), np.zeros((3, 1)), r"X is a ndarray, but only a DataFrame has .*'date'"),
        (SlidingWindow(2, time="date"), FRAME, r"Column 'shop' is .*Name it with time= or group="),
        (SlidingWindow(2, group="shop"), FRAME, r"Column 'date' is datetime64"),
        (SlidingWindow(2, time="date"), FRAME[["date"]], "minimum of 1 is required"),
        (SlidingWindow(2), hourly(0), "minimum of 1 is required"),
        (SlidingWindow(2, time="date"), FRAME.astype({"date": str}), "time 'date' is .*pd.to_datetime"),
        (SlidingWindow(2, time="date"), FRAME.assign(date=[pd.NaT] * 4), "time 'date' has no value in row 0"),
        (SlidingWindow(2, time="sold", group="shop"), FRAME.assign(sold=[1, 2, np.inf, 3]), "infinite in row 2"),
        (
            SlidingWindow(2, time="date", group="shop"),
            FRAME.assign(shop=["a", None, "b", "b"]),
            "group .* has no value in row 1",
        ),
        (SlidingWindow(2), pd.DataFrame({"x": [1, 2]}, index=[7, 7]), r"Time 7 occurs more than once, .*group=.*reset"),
        (SlidingWindow(2), hourly(4, load=[1, 2, np.inf, 4]), "Column 'load' has infinity, .* in row 2"),
        (SlidingWindow(2), np.array([[1.0], [1e300], [2.0]]), "Column 0 has .* too large for float32, in row 1"),
        (SlidingWindow(2), pd.DataFrame({"x": [1j, 2]}), "Complex data not supported: column 'x'"),
        (SlidingWindow(2), hourly(4).index.to_numpy()[:, None], r"^X has times \(datetime64"),
        (
            SlidingWindow(2),
            np.array([["a"], ["b"]]),
            r"^X cannot be used: .*'a'.*\. Pass a DataFrame or numbers of shape \(n_rows, n_columns\)\.$",
        ),
        (SlidingWindow(2), FRAME.set_index(["shop", "date"]), r"MultiIndex \['shop', 'date'\]. Call X.reset_index"),
        (SlidingWindow(2, max_gap=1), hourly(4), "max_gap is 1, but the times are timestamps.*'1h'"),
        (SlidingWindow(2, max_gap="soon"), hourly(4), "max_gap is 'soon', but the times are timestamps"),
        (SlidingWindow(2, max_gap="-1h"), hourly(4), "max_gap is '-1h'.*positive"),
        (SlidingWindow(2, max_gap=pd.offsets.MonthEnd()), hourly(4), "max_gap is <MonthEnd>"),
        (
            SlidingWindow(2, max_gap="1h"),
            pd.DataFrame({"x": [1, 2]}),
            "times are integers. Set max_gap to a number",
        ),
        (SlidingWindow(2, max_gap=1), np.zeros((3, 1)), "X has no times"),
        (SlidingWindow(0), hourly(4), "'n_steps' parameter"),
        (SlidingWindow(2, context="maybe"), hourly(4), "'context' parameter"),
        (SlidingWindow(2, max_gap=0), hourly(4), "'max_gap' parameter"),
        (SlidingWindow(2, time=1.5), hourly(4), "'time' parameter"),
        (SlidingWindow(2, group=1.5), hourly(4), "'group' parameter"),
        (SlidingWindow(2, flatten="yes"), hourly(4), "'flatten' parameter"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(window, X, message):
    with pytest.raises(ValueError, match=message):
        window.fit(X)


def test_the_first_duplicate_is_named_with_its_time_and_group():
    frame = FRAME.assign(date=FRAME["date"].iloc[[0, 1, 0, 2]].to_numpy())
    with pytest.raises(
        ValueError, match=r"Time 2024-01-01 00:00:00 of group 'a' occurs more than once, .*Drop or average"
    ):
        SlidingWindow(2, time="date", group="shop").fit(frame)


def test_duplicates_are_refused_in_transform_too():
    window = SlidingWindow(2).fit(hourly(4))
    with pytest.raises(ValueError, match="Time 2024-01-01 01:00:00 occurs more than once"):
        window.transform(hourly(4).iloc[[1, 0, 1]])


def test_other_columns_than_in_fit_are_refused():
    window = SlidingWindow(2).fit(hourly(4))
    with pytest.raises(ValueError, match="^X cannot be used: The feature names should match"):
        window.transform(hourly(4, price=1.0))


def test_another_kind_of_times_than_in_fit_is_refused():
    window = SlidingWindow(2).fit(hourly(4))
    message = r"times of X are integers, but fit had timestamps\. Pass the same kind of times\.$"
    with pytest.raises(ValueError, match=message):
        window.transform(hourly(4).reset_index(drop=True))


def test_times_do_not_count_if_those_of_fit_had_none():
    window = SlidingWindow(2).fit(pd.DataFrame({"load": [1.0, 2.0]}, index=["a", "b"]))
    latest_first = hourly(3).iloc[::-1]
    assert_same_windows(window.transform(latest_first), [[[2]], [[2], [1]], [[1], [0]]])


def test_rows_without_times_may_follow_a_fit_with_times():
    window = SlidingWindow(2).fit(pd.DataFrame(np.zeros((4, 1))))
    assert_array_equal(window.transform(np.zeros((3, 1))).lengths, [1, 2, 2])


def test_an_index_that_counts_the_rows_of_all_groups_is_pointed_out():
    df = pd.DataFrame({"shop": [0, 1, 2, 3] * 25, "a": np.arange(100.0)})
    with pytest.warns(UserWarning, match="Every window has a single row"):
        SlidingWindow(5, group="shop").fit(df)
    mixed = df.assign(shop=np.random.default_rng(0).integers(0, 4, 100))
    with pytest.warns(UserWarning, match="of the steps within a group are gaps"):
        SlidingWindow(5, group="shop").fit(mixed)
    SlidingWindow(5, group="shop").fit(mixed.set_index(mixed.groupby("shop").cumcount()))  # no warning


@pytest.mark.parametrize("form", ["table", "array"])
def test_numbers_that_float32_rounds_away_are_pointed_out(form):
    column = 1e8 + np.random.default_rng(0).normal(size=100)
    X = pd.DataFrame({"meter": column}) if form == "table" else column[:, None]
    with pytest.warns(UserWarning, match="varies by .* around 1e.08, of which float32 loses"):
        SlidingWindow(3).fit(X)
    SlidingWindow(3).fit(X - 1e8)  # no warning


def test_even_times_of_float32_are_even():
    for dtype in (np.float32, np.float64):
        df = pd.DataFrame({"x": np.arange(60.0)}, index=pd.Index(np.arange(60) * 0.1, dtype=dtype))
        assert SlidingWindow(3).fit(df).max_gap_ == pytest.approx(0.1, abs=1e-12)


def test_times_of_arrow_are_times():
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    times = pd.date_range("2024", periods=6, freq="h")[::-1]
    df = pd.DataFrame({"hour": np.arange(6.0)[::-1]}, index=times)
    given = SlidingWindow(3).fit_transform(df.set_axis(times.astype("timestamp[ns][pyarrow]")))
    np.testing.assert_array_equal(np.asarray(given), np.asarray(SlidingWindow(3).fit_transform(df)))


@pytest.mark.parametrize("max_gap", [None, "1D", pd.Timedelta(days=1)])
def test_local_days_are_one_series_over_a_clock_change(max_gap):
    days = pd.date_range("2024-10-20", periods=20, tz="Europe/Berlin")
    X = pd.DataFrame({"a": np.arange(20.0)}, index=days)
    assert SlidingWindow(20, max_gap=max_gap).fit_transform(X).lengths.tolist() == list(range(1, 21))
    whole = SlidingWindow(20, max_gap=max_gap).fit(X).transform(X.drop(days[10])).lengths
    assert whole.tolist() == [*range(1, 11), *range(1, 10)]  # a day that is not there is a gap


def test_the_last_row_of_fit_has_its_whole_window_alone():
    X = pd.DataFrame({"a": np.arange(10.0)}, index=pd.date_range("2024", periods=10, freq="h"))
    window = SlidingWindow(4).fit(X)
    np.testing.assert_array_equal(window.transform(X[-1:])[0], window.transform(X)[9])


def test_series_whose_windows_all_have_a_single_row_are_told_of():
    hourly = pd.DataFrame({"g": "a", "t": pd.date_range("2024", periods=240, freq="h"), "v": 1.0})
    daily = [hourly[:48].assign(g=g, t=pd.date_range("2024", periods=48, freq="D")) for g in "bc"]
    with pytest.warns(
        UserWarning, match="No two rows of group 'b' are within max_gap, 0 days 01:00:00.*in 2 groups in"
    ):
        SlidingWindow(5, time="t", group="g").fit(pd.concat([hourly, *daily]))
    with pytest.warns(UserWarning, match="No two rows are within max_gap, 0 days 00:01:00, of each other"):
        SlidingWindow(5, time="t", max_gap="1min").fit(hourly[["t", "v"]])


@pytest.mark.parametrize(
    "index",
    [pd.period_range("1000", periods=5, freq="Y"), pd.date_range("3000", periods=5, freq="YS", unit="s")],
    ids=str,
)
def test_times_that_nanoseconds_do_not_reach_are_refused(index):
    X = pd.DataFrame({"a": np.arange(5.0)}, index=index)
    with pytest.raises(ValueError, match="The index of X is out of reach: .* Pass numbers, such as years or days"):
        SlidingWindow(3).fit(X)
    assert SlidingWindow(3).fit_transform(X.set_axis(index.year)).lengths.tolist() == [1, 2, 3, 3, 3]


def test_the_commonest_spacing_of_irregular_times_is_told_without_rounding_dust():
    X = pd.DataFrame({"a": 1.0}, index=pd.date_range("2024", periods=15, freq="6MS"))
    with pytest.warns(UserWarning, match="no multiple of 184 days 00:00:00, the most common one"):
        SlidingWindow(3).fit(X)


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan], ids=str)
def test_numbers_given_as_objects_are_numbers(missing):
    numbers = pd.DataFrame({"a": [1.0, 2, np.nan, 4] * 5, "b": np.arange(20.0)})
    objects = numbers.astype({"a": object}).where(numbers.notna(), missing)
    expected, given = (SlidingWindow(3).fit_transform(table) for table in (numbers, objects))
    np.testing.assert_array_equal(given.values, expected.values)


def test_what_is_held_out_of_a_panel_are_the_last_times_however_it_is_sorted():
    """By rows these would be the last shops, which the same things move as the others."""
    parts = [pd.DataFrame({"t": np.arange(60), "shop": shop, "y": 0.0}) for shop in range(4)]
    df = pd.concat(parts, ignore_index=True)
    targets = np.where(df["t"] >= 54, 1000.0, df["t"] % 2)
    windows = SlidingWindow(5, time="t", group="shop").fit_transform(df)
    model = RNNRegressor(early_stopping=True, hidden_size=4, max_epochs=1, random_state=0)
    assert model.fit(windows, targets).net_.module_.output_mean < 1  # of the rows learned from

    some = pickle.loads(pickle.dumps(windows[100:].astype(np.float64)))
    times = df["t"].to_numpy()[100:]
    assert_array_equal(times[some.order_in_time()], np.sort(times))
    thirds = [times[part.numpy()] for part in RNNRegressor(max_epochs="auto")._parts_for_epochs(some, 0)]
    assert [len(third) for third in thirds] == [47, 47, 46]
    assert_array_equal(np.concatenate(thirds), np.sort(times))
    by_time = df.sort_values("t", kind="stable")
    in_order = SlidingWindow(5, time="t", group="shop").fit_transform(by_time)
    assert_array_equal(in_order.order_in_time(), np.arange(240))
    shuffled = np.random.default_rng(0).permutation(240)
    assert_array_equal(by_time["t"].to_numpy()[shuffled][in_order[shuffled].order_in_time()], by_time["t"])


def test_windows_are_not_made_longer_or_shorter_after_fit():
    """The rows that are remembered suit those of fit alone."""
    frame = pd.DataFrame({"a": np.arange(9.0)}, index=pd.date_range("2024-01-01", periods=9))
    window = SlidingWindow(2, flatten=True).fit(frame[:6]).set_params(n_steps=4)
    with pytest.raises(ValueError, match="n_steps is 4, but was 2 in fit. Set it back, or fit again"):
        window.transform(frame[6:])
    with pytest.raises(ValueError, match="n_steps is 4, but was 2 in fit"):
        window.get_feature_names_out()
    assert window.fit_transform(frame).shape == (9, 4)
