"""Folds against TimeSeriesSplit, and against the leaks they must not have."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_rnn import Sequences, SlidingWindow, WindowSplit


def assert_same_folds(folds, expected):
    for (train, test), (expected_train, expected_test) in zip(folds, expected, strict=True):
        assert_array_equal(train, expected_train)
        assert_array_equal(test, expected_test)


sizes = st.integers(1, 6)


@settings(deadline=None)
@given(st.integers(1, 80), st.integers(2, 6), sizes, st.integers(0, 6), st.sampled_from([None, 1, 4]), st.booleans())
def test_folds_are_those_of_a_time_series_split_with_the_right_gap(n_rows, n_splits, n_steps, horizon, size, windows):
    gap = horizon + n_steps - 1 if windows else horizon
    purge = "windows" if windows else "targets"
    split = WindowSplit(n_splits, n_steps=n_steps, horizon=horizon, test_size=size, purge=purge)
    block = size or n_rows // (n_splits + 1)
    if block == 0 or n_rows < n_splits * block + gap + 1:
        with pytest.raises(ValueError, match="at least"):
            next(split.split(np.zeros(n_rows)))
        return
    expected = TimeSeriesSplit(n_splits, gap=gap, test_size=block).split(np.zeros(n_rows))
    assert_same_folds(split.split(np.zeros(n_rows)), expected)


@pytest.mark.parametrize("horizon", [1, 5])
def test_no_target_of_training_lies_in_the_test_rows(horizon):
    for train, test in WindowSplit(3, horizon=horizon).split(np.zeros(60)):
        assert train.max() + horizon == test.min() - 1


def test_no_target_of_training_lies_in_the_window_of_a_test_row():
    for train, test in WindowSplit(3, n_steps=7, horizon=2, purge="windows").split(np.zeros(60)):
        first_row_of_windows = test.min() - 7 + 1
        assert train.max() + 2 == first_row_of_windows - 1


def panel(seed=0):
    """Two groups over 30 days, the second from day 10 on, rows in any order."""
    days = pd.date_range("2024-01-01", periods=30)
    rows = pd.concat([pd.DataFrame({"date": days, "shop": "a"}), pd.DataFrame({"date": days[10:], "shop": "b"})])
    return rows.assign(sold=1.0).sample(frac=1, random_state=seed).reset_index(drop=True)


def test_with_time_all_groups_are_cut_at_the_same_time():
    X = panel()
    n_tested = 0
    for train, test in WindowSplit(3, horizon=2, test_size=4, time="date").split(X):
        assert X["date"][train].max() + pd.Timedelta("3D") == X["date"][test].min()
        assert X["date"][test].nunique() == 4
        assert set(X["shop"][test]) == {"a", "b"}
        n_tested += len(test)
    assert n_tested == 3 * 4 * 2


def test_with_time_rows_in_order_are_split_as_without():
    X = pd.DataFrame({"t": np.arange(40), "x": 0.0})
    assert_same_folds(WindowSplit(time="t").split(X), WindowSplit().split(X))


def test_test_rows_follow_one_another_to_the_end():
    tests = [test for _, test in WindowSplit(4, test_size=5).split(np.zeros(50))]
    assert_array_equal(np.concatenate(tests), np.arange(30, 50))


def test_without_parameters_five_folds_predict_one_row_ahead():
    folds = list(WindowSplit().split(np.zeros(60)))
    assert_same_folds(folds, TimeSeriesSplit(5, gap=1).split(np.zeros(60)))
    assert WindowSplit().get_n_splits() == 5


def test_the_smallest_split_trains_on_one_row_and_tests_on_the_next():
    folds = WindowSplit(1, n_steps=1, horizon=0, test_size=1).split(np.zeros(2))
    assert_same_folds(folds, [([0], [1])])


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((20, 2)),
        pd.DataFrame({"x": np.zeros(20)}),
        pd.Series(np.zeros(20)),
        Sequences(np.zeros((20, 1)), np.arange(20), np.ones(20, dtype=int)),
        [[0.0]] * 20,
        [np.zeros((2, 1))] * 20,
    ],
    ids=["array", "frame", "series", "sequences", "list", "list of arrays"],
)
def test_rows_of_every_container_can_be_split(X):
    assert [len(test) for _, test in WindowSplit(3).split(X)] == [5, 5, 5]


def with_holes(seed=0):
    """A daily series that lacks every seventh day, a weekly one, and one that ends early; in any order."""
    days = pd.date_range("2024-01-01", periods=60)
    of_shop = {"holes": days[np.arange(60) % 7 != 3], "weekly": days[::7], "closed": days[:20]}
    rows = pd.concat([pd.DataFrame({"date": when, "shop": shop, "city": "x"}) for shop, when in of_shop.items()])
    return rows.sample(frac=1, random_state=seed).reset_index(drop=True)


@pytest.mark.parametrize("group", ["shop", ["shop", "city"]])
@pytest.mark.parametrize(("horizon", "n_steps", "purge"), [(1, 1, "targets"), (3, 1, "targets"), (2, 3, "windows")])
def test_with_groups_the_rows_of_a_series_count(group, horizon, n_steps, purge):
    X = with_holes()
    gap = horizon + n_steps - 1
    split = WindowSplit(3, horizon=horizon, n_steps=n_steps, purge=purge, test_size=8, time="date", group=group)
    for train, test in split.split(X):
        begin = X["date"][test].min()
        for shop, rows in X.groupby("shop"):
            before = rows.sort_values("date")
            before = before[before["date"] < begin]
            expected = before.index[: max(len(before) - gap, 0)]
            if shop == "closed":  # whose targets behind its end nobody knows
                assert len(expected) == 20 - gap
            assert sorted(train[np.isin(train, rows.index)]) == sorted(expected)


def test_series_that_lack_rows_are_warned_of_where_no_group_is_named():
    with pytest.warns(UserWarning, match="may have their targets in the test rows. Name the columns .* by group="):
        next(WindowSplit(2, time="date").split(with_holes()))
    next(WindowSplit(2, time="date", horizon=0).split(with_holes()))  # nothing to leak: no warning
    X, options = panel(), {"time": "date", "horizon": 2}
    assert_same_folds(WindowSplit(3, **options, group="shop").split(X), WindowSplit(3, **options).split(X))


def test_a_grid_search_can_use_it():
    X = panel()
    model = make_pipeline(SlidingWindow(1, time="date", group="shop", flatten=True), Ridge())
    search = GridSearchCV(model, {"ridge__alpha": [0.1, 1.0]}, cv=WindowSplit(2, time="date"))
    search = clone(search).fit(X, np.arange(len(X)))
    assert search.n_splits_ == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


INDEXES = {
    "timestamps": lambda dates: pd.DatetimeIndex(dates),
    "periods": lambda dates: pd.PeriodIndex(dates, freq="D"),
    "durations": lambda dates: pd.TimedeltaIndex(dates - dates.min()),
    "days": lambda dates: pd.Index(dates.dt.date),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_times_of_the_index_are_those_of_the_column(kind):
    """Rows of shops one below the other, and in any order; the index's name names them, too."""
    X = panel().sample(frac=1, random_state=0).reset_index(drop=True)
    expected = list(WindowSplit(2, horizon=3, time="date", group="shop").split(X))
    indexed = X.drop(columns="date").set_index(INDEXES[kind](X["date"]).rename("date"))
    for time in (None, "date"):
        assert_same_folds(WindowSplit(2, horizon=3, time=time, group="shop").split(indexed), expected)


def test_an_index_of_integers_counts_rows():
    X = pd.DataFrame({"a": np.zeros(9)}, index=np.arange(9)[::-1])
    assert_same_folds(WindowSplit(2).split(X), WindowSplit(2).split(np.zeros(9)))


def test_cross_validation_can_use_it():
    X = np.arange(30.0)[:, None]
    assert len(cross_val_score(Ridge(), X, X[:, 0], cv=WindowSplit(3))) == 3


def test_its_repr_shows_its_parameters():
    expected = "WindowSplit(group=None, horizon=24, n_splits=2, n_steps=1, purge='targets', test_size=None, time=None)"
    assert " ".join(repr(WindowSplit(2, horizon=24)).split()) == expected


def test_groups_are_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="WindowSplit ignores groups"):
        next(WindowSplit(2).split(np.zeros(9), groups=np.zeros(9)))


@pytest.mark.parametrize(
    ("split", "X", "message"),
    [
        (
            WindowSplit(5),
            np.zeros(4),
            r"n_splits=5 needs at least 6 rows, but X has 4\. Use fewer splits or pass more data\.$",
        ),
        (WindowSplit(5), np.zeros((0, 1)), "needs at least 6 rows, but X has 0"),
        (
            WindowSplit(2, horizon=24, test_size=10),
            np.zeros(44),
            "2 test blocks of 10 rows and 24 purged before the first need at least 45 rows, but X has 44. "
            r"Use fewer splits, a smaller test_size, horizon or n_steps, or pass more data\.$",
        ),
        (WindowSplit(8, test_size=4, time="date"), panel(), "need at least 34 distinct times, but X has 30"),
        (WindowSplit(time="day"), panel(), r"X has no column 'day'. Its columns are \['date', 'shop', 'sold'\]"),
        (WindowSplit(time="date"), np.zeros(30), r"X is a ndarray, but only a DataFrame has the columns"),
        (WindowSplit(time="shop"), panel(), "time 'shop' is .*pd.to_datetime"),
        (WindowSplit(group="shop"), panel(), "group is 'shop', but time is None, .* Name the column of times"),
        (WindowSplit(time="date", group="town"), panel(), "X has no column 'town'"),
        (
            WindowSplit(2, time="date", group="shop", test_size=8, horizon=3),
            pd.DataFrame({"date": range(20), "shop": ["a", "b"] * 10}),
            r"No row is left to train on before test block 0: no group has 4 rows there. Use",
        ),
        (WindowSplit(0), np.zeros(9), "'n_splits' parameter of WindowSplit must be"),
        (WindowSplit(n_steps=0), np.zeros(9), "'n_steps' parameter"),
        (WindowSplit(horizon=-1), np.zeros(9), "'horizon' parameter"),
        (WindowSplit(test_size=0), np.zeros(9), "'test_size' parameter"),
        (WindowSplit(purge="all"), np.zeros(9), "'purge' parameter"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(split, X, message):
    with pytest.raises(ValueError, match=message):
        next(split.split(X))


def test_rows_without_one_target_each_are_refused():
    with pytest.raises(ValueError, match=r"^X cannot be used: .*\[9, 8\]\. Pass rows of one length with y\.$"):
        next(WindowSplit(2).split(np.zeros(9), np.zeros(8)))


def test_a_number_instead_of_targets_is_refused():
    with pytest.raises(TypeError, match="^y cannot be used"):
        next(WindowSplit(2).split(np.zeros(9), 3.0))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (WindowSplit(n_steps="two"), "'n_steps' parameter of WindowSplit must be an int"),
        (WindowSplit(time=1.5), "'time' parameter of WindowSplit must be an instance of 'str'"),
    ],
)
def test_a_parameter_of_the_wrong_type_is_a_type_error(split, message):
    with pytest.raises(TypeError, match=message):
        next(split.split(np.zeros(9)))
