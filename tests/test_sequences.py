"""Sequences against a plain list of arrays."""

import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import KFold, cross_val_predict, train_test_split
from sklearn.utils import _safe_indexing, resample, shuffle
from sklearn.utils.validation import _num_samples, check_consistent_length, indexable

from sklearn_rnn import RNNRegressor, Sequences, as_sequences
from sklearn_rnn.sequences import is_ragged

ROWS = np.arange(20.0).reshape(10, 2)
STARTS, LENGTHS = [0, 2, 2, 7], [2, 5, 1, 3]
AS_LIST = [ROWS[start : start + length] for start, length in zip(STARTS, LENGTHS, strict=True)]


def sequences(**kwargs):
    return Sequences(ROWS, STARTS, LENGTHS, **kwargs)


def assert_same(made, expected):
    assert len(made) == len(expected)
    for sequence, array in zip(made, expected, strict=True):
        assert_array_equal(sequence, array)


def padded(arrays, align="end"):
    """Arrays as one dense array, by a loop over steps."""
    n_steps = max(len(array) for array in arrays)
    dense = np.full((len(arrays), n_steps, arrays[0].shape[1]), np.nan)
    for i, array in enumerate(arrays):
        offset = n_steps - len(array) if align == "end" else 0
        for step in range(len(array)):
            dense[i, offset + step] = array[step]
    return dense


# ---------------------------------------------------------------- as an array


def test_an_integer_gives_one_sequence_that_shares_the_rows():
    X = sequences()
    for i in [0, 3, -1, np.int64(1)]:
        assert_array_equal(X[i], AS_LIST[i])
        assert np.shares_memory(X[i], X.values)


@pytest.mark.parametrize(
    "rows",
    [slice(1, 3), slice(None, None, -1), [3, 0, 0], np.array([2]), [], np.array([True, False, True, False])],
    ids=str,
)
def test_a_selection_gives_the_chosen_sequences_that_share_the_rows(rows):
    X = sequences(channel_names=["a", "b"])
    chosen = np.arange(4)[rows if isinstance(rows, slice) or len(rows) else slice(0)]
    for selection in [X[rows], X[rows, ...], X[rows, :, :]]:
        assert_same(selection, [AS_LIST[i] for i in chosen])
        assert selection.values is X.values
        assert selection.channel_names == ("a", "b")


@pytest.mark.parametrize("everything", [(), ..., (..., slice(None))], ids=str)
def test_everything_can_be_chosen(everything):
    assert_same(sequences()[everything], AS_LIST)


def test_integers_hold_sequences_of_one_length_alone():
    X = sequences()
    longest = np.flatnonzero(X.lengths == X.lengths.max())
    np.testing.assert_array_equal(np.asarray(X[longest], dtype=int), np.asarray(X[longest]).astype(int))
    with pytest.raises(ValueError, match="int64 has no NaN for the missing values"):
        np.asarray(Sequences([np.nan, 1.0], [0], [2]), dtype=int)


@pytest.mark.parametrize("key", [(0, 1), ([0, 1], slice(0, 2)), ([0], np.array([0, 1]))], ids=str)
def test_steps_cannot_be_indexed(key):
    with pytest.raises(IndexError, match="indexed by sample alone.*Use np.asarray"):
        sequences()[key]


@pytest.mark.parametrize("key", [[0.5], ["a"], np.zeros((2, 2), dtype=int)], ids=str)
def test_samples_are_chosen_by_integers_and_booleans_alone(key):
    with pytest.raises(IndexError, match="integers, booleans or a slice"):
        sequences()[key]


def test_a_sample_beyond_the_last_is_an_index_error():
    with pytest.raises(IndexError):
        sequences()[4]


@pytest.mark.parametrize("align", ["end", "start"])
def test_the_dense_array_pads_on_the_side_that_is_not_aligned(align):
    X = sequences(align=align)
    assert_array_equal(np.asarray(X), padded(AS_LIST, align))
    assert np.asarray(X).shape == X.shape == (4, 5, 2)


def test_it_has_the_shape_and_type_of_its_dense_array():
    X = sequences()
    assert (X.ndim, X.dtype, len(X), X.n_channels) == (3, np.dtype(np.float64), 4, 2)
    for dtype in [np.float32, np.float64]:
        assert np.asarray(X.astype(dtype)).dtype == dtype
        assert np.asarray(X, dtype=dtype).dtype == dtype
    assert X[[2]].shape == (1, 1, 2)
    assert X[[]].shape == (0, 0, 2)


def test_a_dense_array_of_objects_is_padded_with_nan_too():
    dense = np.asarray(sequences(), dtype=object)
    assert dense.dtype == object
    assert_array_equal(dense.astype(float), padded(AS_LIST))
    assert None not in dense.ravel().tolist()


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="asarray takes copy from numpy 2 on")
def test_there_is_no_dense_array_without_a_copy():
    with pytest.raises(ValueError, match=r"^Sequences cannot be seen .* without a copy\. Use copy=None\.$"):
        np.asarray(sequences(), copy=False)


def test_iteration_goes_through_the_sequences():
    assert_same(list(sequences()), AS_LIST)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_never_copied(dtype):
    values = ROWS.astype(dtype)
    assert np.shares_memory(Sequences(values, STARTS, LENGTHS).values, values)
    assert np.shares_memory(Sequences(values[:, 0], STARTS, LENGTHS).values, values)


def test_anything_else_becomes_float32():
    assert Sequences(np.arange(4), [0], [4]).dtype == np.float32


def test_astype_changes_only_what_differs():
    X = sequences()
    assert X.astype(np.float64) is X
    assert X.astype(np.float32).dtype == np.float32
    assert_same(X.astype(np.float32), AS_LIST)


def test_astype_reads_no_rows_but_those_between_the_first_and_the_last_one_in_use():
    X = Sequences(np.arange(1e6)[:, None], [500_000, 500_003], [2, 4])
    converted = X.astype(np.float32)
    assert len(converted.values) == 7
    assert_same(converted, [X[0], X[1]])
    assert len(X[:0].astype(np.float32)) == 0


def test_astype_makes_numbers_too_large_infinite_in_silence():
    assert_same(Sequences(np.array([1.0, 1e300]), [0], [2]).astype(np.float32), [[[1.0], [np.inf]]])


def test_its_repr_counts():
    assert repr(sequences()) == "Sequences(n_samples=4, n_steps=1 to 5, n_channels=2)"
    assert repr(sequences()[:1]) == "Sequences(n_samples=1, n_steps=2, n_channels=2)"
    assert repr(sequences()[:0]) == "Sequences(n_samples=0, n_steps=0, n_channels=2)"


# ---------------------------------------------------------------- rows in use


@st.composite
def random_sequences(draw):
    n_rows = draw(st.integers(1, 15))
    starts = draw(st.lists(st.integers(0, n_rows - 1), max_size=8))
    lengths = [draw(st.integers(1, n_rows - start)) for start in starts]
    return Sequences(np.arange(float(n_rows)), np.array(starts, dtype=int), np.array(lengths, dtype=int))


@settings(deadline=None)
@given(random_sequences(), st.booleans())
def test_used_rows_are_those_that_a_loop_over_sequences_counts(X, weighted):
    weights = np.linspace(0.1, 0.7, len(X)) if weighted else np.ones(len(X))
    expected = np.zeros(len(X.values))
    for start, length, weight in zip(X.starts, X.lengths, weights, strict=True):
        expected[start : start + length] += weight
    used = X.used_rows(weights if weighted else None)
    assert_allclose(used, expected, atol=1e-12)
    assert_array_equal(used > 0, expected > 0)


@settings(deadline=None)
@given(random_sequences())
def test_a_pickle_carries_the_used_rows_alone(X):
    again = pickle.loads(pickle.dumps(X))
    assert_same(again, list(X))
    assert len(again.values) == (X.used_rows() > 0).sum()
    assert (again.align, again.shape) == (X.align, X.shape)


def test_a_pickle_of_few_windows_is_small():
    X = Sequences(np.zeros(100_000), np.arange(90_000), np.full(90_000, 9))
    assert len(pickle.dumps(X[:10])) < 2000
    assert_same(deepcopy(X[:10]), list(X[:10]))


# ---------------------------------------------------------------- in scikit-learn


class LastValue(RegressorMixin, BaseEstimator):
    """Predicts the last value of each sequence."""

    def fit(self, X, y):
        assert isinstance(X, Sequences)
        self.is_fitted_ = True
        return self

    def predict(self, X):
        return np.array([sequence[-1, 0] for sequence in X])


def windows(n_samples=30):
    lengths = np.minimum(np.arange(n_samples) + 1, 4)
    return Sequences(np.arange(float(n_samples)), np.arange(n_samples) - lengths + 1, lengths)


def test_train_test_split_keeps_samples_with_their_targets():
    X, y = windows(), np.arange(30)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert isinstance(X_train, Sequences)
    for part, target in [(X_train, y_train), (X_test, y_test)]:
        assert_array_equal(LastValue().predict(part), target)
        assert part.values is X.values


def test_cross_validation_splits_it_by_samples():
    X, y = windows(), np.arange(30.0)
    assert_array_equal(cross_val_predict(LastValue(), X, y, cv=KFold(3, shuffle=True)), y)


@pytest.mark.parametrize("rows", [[2, 5], np.array([1, 1]), slice(3, 6), np.arange(30) > 20], ids=str)
def test_safe_indexing_chooses_samples(rows):
    assert_array_equal(LastValue().predict(_safe_indexing(windows(), rows)), np.arange(30)[rows])


def test_scikit_learns_utilities_take_it_for_an_array():
    X, y = windows(), np.arange(30)
    assert _num_samples(X) == 30
    check_consistent_length(X, y)
    assert indexable(X)[0] is X
    for change in [shuffle, resample]:
        changed, targets = change(X, y, random_state=0)
        assert_array_equal(LastValue().predict(changed), targets)


# ---------------------------------------------------------------- the one door


def test_rows_of_a_table_are_sequences_read_step_by_step():
    X = np.arange(12.0).reshape(2, 6)
    assert_same(as_sequences(X), X[:, :, None])
    assert_same(as_sequences(X, n_channels=2), X.reshape(2, 3, 2))
    assert_same(as_sequences(pd.DataFrame(X), n_channels=3), X.reshape(2, 2, 3))


def test_a_dense_array_of_the_right_type_is_not_copied():
    X = np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)
    made = as_sequences(X)
    assert np.shares_memory(made.values, X)
    assert_same(made, X)


def test_sequences_pass_through():
    X = sequences()
    assert as_sequences(X, dtype=np.float64) is X
    assert as_sequences(X).dtype == np.float32


@pytest.mark.parametrize("align", ["end", "start"])
def test_nan_at_the_ends_of_a_dense_array_is_padding(align):
    made = as_sequences(padded(AS_LIST, align))
    assert made.align == align
    assert_same(made, AS_LIST)


def test_one_step_of_padding_is_padding():
    X = np.arange(8.0).reshape(2, 4)
    for step, kept, align in [(0, slice(1, None), "end"), (-1, slice(-1), "start")]:
        padded_by_one = X.copy()
        padded_by_one[0, step] = np.nan
        made = as_sequences(padded_by_one)
        assert made.align == align
        assert_same(made, [X[0, kept, None], X[1][:, None]])


def test_nan_at_both_ends_is_padding_and_nan_within_is_missing():
    X = np.array([[np.nan, 1, np.nan, 2, np.nan], [1, 2, 3, 4, 5]])
    made = as_sequences(X)
    assert made.align == "start"
    assert_same(made, [[[1], [np.nan], [2]], X[1][:, None]])


def test_a_step_with_one_channel_missing_is_a_step():
    X = np.array([[[np.nan, 1.0], [2, 3]], [[np.nan, np.nan], [4, 5]]])
    assert_same(as_sequences(X), [X[0], X[1, 1:]])


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.mark.parametrize("make", [list, tuple, object_array], ids=["list", "tuple", "object array"])
@pytest.mark.parametrize("item", [np.asarray, pd.DataFrame, np.ndarray.tolist], ids=["array", "frame", "list"])
def test_a_ragged_list_becomes_sequences(make, item):
    made = as_sequences(make([item(array) for array in AS_LIST]))
    assert made.align == "start"
    assert_same(made, AS_LIST)


def test_steps_may_be_arrays_within_an_array_as_parquet_files_have_them():
    assert_same(as_sequences([object_array(list(array)) for array in AS_LIST]), AS_LIST)
    assert_same(as_sequences(pd.Series([object_array(list(array)) for array in AS_LIST])), AS_LIST)
    with pytest.raises(ValueError, match="Sample 0 of X cannot be used: .* Pass numbers"):
        as_sequences([object_array([[1.0, 2.0], [3.0]])])


def test_a_column_of_lists_of_another_library_becomes_sequences():
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for lists, depth, make in (
        ([[1.0, None], [3.0]], 1, arrow.list_),
        ([[1.0, None], [3.0]], 1, arrow.large_list),
        ([array.tolist() for array in AS_LIST], 2, arrow.list_),
    ):
        kind = arrow.float64()
        for _ in range(depth):
            kind = make(kind)
        column = pd.Series(arrow.array(lists, type=kind), dtype=pd.ArrowDtype(kind))
        expected = AS_LIST if depth == 2 else [[[1], [np.nan]], [[3]]]
        assert_same(as_sequences(column), expected)


def test_a_ragged_list_of_one_channel_needs_no_second_dimension():
    assert_same(as_sequences([[1.0, 2.0], np.array([3.0])]), [[[1], [2]], [[3]]])
    assert_same(as_sequences([pd.Series([1.0, 2.0]), pd.Series([3.0])]), [[[1], [2]], [[3]]])


def test_arrays_of_equal_length_are_still_one_sequence_each():
    assert is_ragged([np.zeros(3), np.zeros(3)])
    assert not is_ragged([[1, 2], [3, 4]])
    assert as_sequences([np.zeros((3, 2)), np.zeros((3, 2))]).shape == (2, 3, 2)


def test_frames_name_the_channels():
    made = as_sequences([pd.DataFrame({"a": [1.0], "b": [2.0]}), pd.DataFrame({"a": [1.0, 3.0], "b": [2.0, 4.0]})])
    assert made.channel_names == ("a", "b")


def test_the_users_array_is_not_changed():
    X = padded(AS_LIST)
    before = X.copy()
    np.asarray(as_sequences(X, dtype=np.float64))[:] = 0
    assert_array_equal(X, before)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ROWS, [0], [11]), "Sequence 0 starts at row 0 and has 11 steps.*within the 10 rows"),
        ((ROWS, [0, 3], [1, 0]), "Sequence 1 starts at row 3 and has 0 steps.*at least 1 step"),
        ((ROWS, [-1], [1]), "Sequence 0 starts at row -1"),
        ((ROWS, [2**62], [2**62]), "within the 10 rows"),
        ((ROWS, [0, 1], [1]), "starts has 2 entries and lengths 1: give one of each"),
        ((ROWS, [0.0], [1]), "starts must be a 1-D array of integers, got float64"),
        ((ROWS, [0], [[1]]), r"lengths must be a 1-D array of integers, got int64 of shape \(1, 1\)"),
        ((np.zeros((2, 2, 2)), [0], [1]), r"values has shape \(2, 2, 2\), but must be \(n_rows, n_channels\)"),
        ((np.zeros((2, 0)), [0], [1]), "at least 1 channel"),
        ((np.array(["a"]), [0], [1]), "values cannot be used: could not convert"),
    ],
)
def test_bounds_outside_the_rows_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sequences(*arguments)


def test_names_and_alignment_are_checked():
    with pytest.raises(ValueError, match="channel_names has 1 names, but values has 2 channels"):
        sequences(channel_names=["a"])
    with pytest.raises(ValueError, match="align is 'left', but must be one of"):
        sequences(align="left")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros(3), "X has 1 dimensions, but must have 2"),
        (np.zeros((2, 2, 2, 2)), "X has 4 dimensions"),
        (np.zeros((0, 3)), "at least one sample, step and channel"),
        (np.zeros((2, 0)), "X has 0 columns"),
        (
            np.zeros((2, 5)),
            "X has 5 columns, which is no positive multiple of n_channels=2. Each row of a 2-D X is one sequence, "
            r"step by step: set n_channels to the numbers that make one step\.$",
        ),
        (np.array([["a", "b"]]), "X cannot be used: could not convert"),
        (np.array([[1j, 2]]), "Complex data not supported: X is complex128"),
        (np.array([[[1.0]], [[np.nan]]]), "Sample 1 of X is all NaN. Drop samples"),
        ([np.zeros((2, 2)), np.zeros((2, 3))], "Sample 1 of X has 3 channels, but sample 0 has 2"),
        ([np.zeros(2), np.zeros(0)], r"Sample 1 of X has shape \(0, 1\)"),
        ([np.zeros((2, 1)), np.zeros((2, 1, 1))], r"Sample 1 of X has shape \(2, 1, 1\)"),
        ([np.zeros(1), np.array([np.nan, np.nan])], "Sample 1 of X is all NaN"),
        ([np.zeros(1), np.array(["a", "b"])], "Sample 1 of X cannot be used: could not convert"),
        (
            [pd.DataFrame({name: [1.0]}) for name in "cab"],
            r"differ in their columns: \[\('a',\), \('b',\)\]. Pass the same columns",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_no_table_of_numbers_is_refused_with_what_to_do(X, message):
    with pytest.raises(ValueError, match=message):
        as_sequences(X, n_channels=2 if "n_channels=2" in message else 1)


def test_a_list_of_rows_is_what_its_array_is():
    """Also where the rows of fit had one number each, so that two columns are not two steps."""
    X = np.random.default_rng(0).normal(size=(20, 1))
    model = RNNRegressor(hidden_size=4, max_epochs=1, random_state=0).fit(X, X[:, 0])
    for rows in (np.ones((3, 2)), [[1.0, 1.0]] * 3):
        with pytest.raises(ValueError, match="X has 2 features"):
            model.predict(rows)
    np.testing.assert_array_equal(model.predict(X.tolist()), model.predict(X))
