"""The one data structure of the package: many sequences over rows that are stored once."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sklearn_rnn._errors import reading

ALIGNMENTS = ("end", "start")


class Sequences:
    """Sequences of unequal length over one shared table of rows, without copies.

    Sequence ``i`` is ``values[starts[i] : starts[i] + lengths[i]]``. Sequences may overlap, as sliding windows do: a
    million windows of 168 steps are the series itself and a million starts and lengths. To scikit-learn it behaves as
    an array of shape (n_samples, longest, n_channels): it can be indexed, split, searched over and pickled.

    Parameters
    ----------
    values : array-like of shape (n_rows, n_channels)
        The rows. float32 and float64 are kept as they are and never copied, anything else becomes float32. NaN is a
        missing value.
    starts : array-like of int of shape (n_samples,)
        The row at which each sequence begins.
    lengths : array-like of int of shape (n_samples,)
        The number of steps of each sequence, at least 1.
    align : {"end", "start"}, default="end"
        Which side of a dense array the steps lean on when the sequence is shorter than the longest: "end" for
        windows, whose last step is now; "start" for texts and recordings.
    channel_names : sequence of str of length n_channels, default=None
        The names of the channels.
    categorical : sequence of int, default=()
        Positions of channels that hold codes of categories or tokens.

    Attributes
    ----------
    shape : tuple of int
        (n_samples, longest length, n_channels).

    Raises
    ------
    ValueError
        If a sequence is empty or leaves the table, or if shapes disagree.
    TypeError
        If values, starts or lengths are no numbers, or names no list.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import Sequences
    >>> X = Sequences(np.arange(4.0), starts=[0, 0, 1], lengths=[1, 2, 3])
    >>> X.shape
    (3, 3, 1)
    >>> np.asarray(X)[:, :, 0]
    array([[nan, nan,  0.],
           [nan,  0.,  1.],
           [ 1.,  2.,  3.]])
    >>> X[[0, 2]]
    Sequences(n_samples=2, n_steps=1 to 3, n_channels=1)
    """

    _times: NDArray | None = None

    def __init__(
        self,
        values: ArrayLike,
        starts: ArrayLike,
        lengths: ArrayLike,
        *,
        align: str = "end",
        channel_names: Iterable[str] | None = None,
        categorical: Iterable[int] = (),
    ) -> None:
        with reading("values", "Pass numbers of shape (n_rows, n_channels)."):
            self.values = _as_table(values)
        self.starts = _as_positions(starts, "starts")
        self.lengths = _as_positions(lengths, "lengths")
        self.align = align
        with reading("channel_names", "Pass a list of names."):
            self.channel_names = None if channel_names is None else tuple(map(str, channel_names))
        with reading("categorical", "Pass a list of positions of channels."):
            self.categorical = tuple(map(operator.index, categorical))
        self._validate()

    def _validate(self) -> None:
        if not isinstance(self.align, str) or self.align not in ALIGNMENTS:
            raise ValueError(f"align is {self.align!r}, but must be one of {ALIGNMENTS}.")
        if self.starts.shape != self.lengths.shape:
            raise ValueError(
                f"starts has {len(self.starts)} entries and lengths {len(self.lengths)}: give one of each per sequence."
            )
        if self.channel_names is not None and len(self.channel_names) != self.n_channels:
            raise ValueError(
                f"channel_names has {len(self.channel_names)} names, but values has {self.n_channels} channels."
            )
        if any(not 0 <= channel < self.n_channels for channel in self.categorical):
            raise ValueError(f"categorical is {self.categorical}, but values has {self.n_channels} channels.")
        outside = (self.starts < 0) | (self.lengths < 1) | (self.lengths > len(self.values) - self.starts)
        if outside.any():
            i = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"Sequence {i} starts at row {self.starts[i]} and has {self.lengths[i]} steps, but it must have at "
                f"least 1 step and lie within the {len(self.values)} rows of values."
            )

    @property
    def n_channels(self) -> int:
        return self.values.shape[1]

    @property
    def ends(self) -> NDArray[np.int64]:
        """The row behind the last one of each sequence, (n_samples,)."""
        return self.starts + self.lengths

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.starts), int(self.lengths.max(initial=0)), self.n_channels

    @property
    def ndim(self) -> int:
        return 3

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: Any) -> Any:
        """One sequence as an array for an integer, else the chosen sequences, which share the rows."""
        if isinstance(key, tuple):
            key = _rows_of_key(key)
        if key is Ellipsis:
            key = slice(None)
        if isinstance(key, Integral):
            start = self.starts[key]
            return self.values[start : start + self.lengths[key]]
        rows = key if isinstance(key, slice) else _as_row_selector(key)
        return self._with_samples(None, self.starts[rows], self.lengths[rows])

    def __iter__(self) -> Iterator[NDArray]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        """A dense copy of shape (n_samples, longest, n_channels), NaN where a sequence has no step."""
        if copy is False:
            raise ValueError("Sequences cannot be seen as a dense array without a copy. Use copy=None.")
        n_samples, n_steps, n_channels = self.shape
        dtype = np.dtype(dtype or self.dtype)
        has_nan = dtype.kind not in "iub"
        if not has_nan and (self.lengths < n_steps).any():
            raise ValueError(f"{dtype} has no NaN for the missing steps of shorter sequences. Choose a float type.")
        dense = np.full((n_samples, n_steps, n_channels), np.nan if has_nan else 0, dtype=dtype)
        first = n_steps - self.lengths if self.align == "end" else np.zeros_like(self.lengths)
        step = np.arange(n_steps) - first[:, None]  # (n_samples, n_steps): the sequence's own count
        filled = (step >= 0) & (step < self.lengths[:, None])
        used = self.values[(self.starts[:, None] + step)[filled]]
        if not has_nan and np.isnan(used).any():
            raise ValueError(f"{dtype} has no NaN for the missing values. Choose a float type, or fill them first.")
        dense[filled] = used
        return dense

    def astype(self, dtype: DTypeLike) -> Sequences:
        """The same sequences over rows of another float type; itself if that changes nothing."""
        if self.dtype == dtype:
            return self
        some = self.cropped()
        with np.errstate(over="ignore"):
            return some.over(some.values.astype(dtype))

    def cropped(self) -> Sequences:
        """The same sequences over the rows from the first to the last one in use, a view."""
        first, end = self.bounds()
        return self._with_samples(slice(first, end), self.starts - first, self.lengths)

    def bounds(self) -> tuple[int, int]:
        """The first row in use, and the end of the last ones."""
        return self.starts.min(initial=len(self.values)), self.ends.max(initial=0)

    def used_rows(self, weights: NDArray | None = None) -> NDArray:
        """How often, or with which summed sample weight, each row occurs in the sequences.

        Parameters
        ----------
        weights : ndarray of shape (n_samples,), default=None
            A weight per sequence; None counts each once.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        n_rows = len(self.values)
        if weights is None:
            change = np.bincount(self.starts, minlength=n_rows + 1)
            change -= np.bincount(self.ends, minlength=n_rows + 1)
            return np.cumsum(change[:-1])
        change = np.bincount(self.starts, weights, minlength=n_rows + 1)
        change -= np.bincount(self.ends, weights, minlength=n_rows + 1)
        # Summing leaves dust of 1e-16 where no sequence is: the exact count says which rows are used at all.
        return np.where(self.used_rows() > 0, np.maximum(np.cumsum(change[:-1]), 0.0), 0.0)

    def without_unused_rows(self) -> Sequences:
        """The same sequences over the rows that one of them uses; itself if that is all of them."""
        used = self.used_rows() > 0
        if used.all():
            return self
        new_position = np.cumsum(used) - 1
        return self._with_samples(used, new_position[self.starts], self.lengths)

    def with_own_rows(self) -> Sequences:
        """The same sequences that share no rows, one after the other."""
        return self._with_samples(self.rows_by_step(), starts_of(self.lengths), self.lengths)

    def over(self, values: NDArray) -> Sequences:
        """The same sequences over other numbers in the place of these, (n_rows, n_channels)."""
        made = self._with_samples(None, self.starts, self.lengths)
        made.values = values
        return made

    def with_times(self, times: NDArray) -> Sequences:
        """The same sequences, of whose rows it is known when each was, (n_rows,)."""
        made = self._with_samples(None, self.starts, self.lengths)
        made._times = times
        return made

    def order_in_time(self) -> NDArray[np.int64]:
        """Positions of the sequences by the times of their last rows; as they stand where these are not known."""
        if self._times is None:
            return np.arange(len(self))
        return self._times[self.ends - 1].argsort(kind="stable")

    def rows_by_step(self) -> NDArray[np.int64]:
        """The row of each step of all sequences, one after the other."""
        return np.repeat(self.starts, self.lengths) + count_within(self.lengths)

    def __getstate__(self) -> dict[str, Any]:
        """Only the rows that a sequence uses travel in a pickle."""
        return vars(self.without_unused_rows()).copy()

    def __repr__(self) -> str:
        n_samples, longest, n_channels = self.shape
        shortest = int(self.lengths.min(initial=longest))
        steps = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        return f"Sequences(n_samples={n_samples}, n_steps={steps}, n_channels={n_channels})"

    def _with_samples(self, rows: slice | NDArray | None, starts: NDArray, lengths: NDArray) -> Sequences:
        """Sequences over some of the rows, or the same, known to be valid: not all of them are checked again."""
        made = object.__new__(Sequences)
        vars(made).update(vars(self), starts=starts, lengths=lengths)
        if rows is not None:
            made.values = self.values[rows]
            made._times = None if self._times is None else self._times[rows]
        return made


def as_sequences(X: Any, *, n_channels: int = 1, dtype: DTypeLike = np.float32) -> Sequences:
    """The one door through which every input becomes :class:`Sequences`.

    Parameters
    ----------
    X : Sequences or array-like
        One of: ``Sequences``; an array or DataFrame of shape (n_samples, n_steps * n_channels), a row being one
        sequence read step by step; an array of shape (n_samples, n_steps, n_channels); a list, or an array or
        Series of objects or lists, of arrays of shape (n_steps_i, n_channels) or (n_steps_i,); nested lists, if all are
        of one length, are the array that they make. Steps at the head or the tail of a dense sequence that are NaN in
        every channel are padding; other NaN are missing values.
    n_channels : int, default=1
        How many numbers make one step of a 2-D X.
    dtype : {np.float32, np.float64}, default=np.float32
        The type of the rows.

    Returns
    -------
    Sequences

    Raises
    ------
    ValueError, TypeError
        If X is no container of numbers or empty, a sequence has no step, sequences differ in channels, or the columns
        of a 2-D X are no multiple of `n_channels`.

    Examples
    --------
    >>> from sklearn_rnn import as_sequences
    >>> as_sequences([[1.0, 2.0, 3.0], [4.0, 5.0]])
    Sequences(n_samples=2, n_steps=2 to 3, n_channels=1)
    """
    if str(getattr(dtype, "__name__", dtype)) not in ("float32", "float64", "float"):
        raise ValueError(f"dtype is {dtype!r}, but must be float32 or float64.")
    with reading("n_channels", "Pass an integer of at least 1."):
        n_channels = operator.index(n_channels)
    if n_channels < 1:
        raise ValueError(f"n_channels is {n_channels}, but must be at least 1.")
    if isinstance(X, Sequences):
        return X.astype(dtype)
    if is_ragged(X):
        return _from_list(list(X), dtype)
    table = _to_numeric(X, dtype, "X")
    if table.ndim == 2:
        table = _split_channels(table, n_channels)
    if table.ndim != 3:
        raise ValueError(
            f"X has {table.ndim} dimensions, but must have 2 (n_samples, n_steps * n_channels) or 3 (n_samples, "
            "n_steps, n_channels), or be a list of arrays of unequal length."
        )
    return _from_dense(table)


def is_table(X: Any) -> bool:
    """Whether each row of X is one sequence, of which the shape does not tell the channels: an array or DataFrame."""
    if isinstance(X, Sequences) or is_ragged(X):
        return False
    return np.ndim(X[:1]) < 3 if isinstance(X, (list, tuple)) else getattr(X, "ndim", 2) < 3


def is_ragged(X: Any) -> bool:
    """Whether X is a list of sequences: arrays as items, an array or Series of them, or unequal lists."""
    if _has_lists(X):
        return len(X) > 0
    if may_hold_sequences(X):
        return len(X) > 0 and all(_is_sequence(item) for item in X)
    if not isinstance(X, (list, tuple)) or not X or not all(_is_sequence(item) for item in X):
        return False
    return not all(isinstance(item, (list, tuple)) for item in X) or len({len(item) for item in X}) > 1


def may_hold_sequences(X: Any) -> bool:
    """Whether X is an array or Series of objects, or of lists as polars and Arrow have them, of one dimension."""
    return _has_lists(X) or (str(getattr(X, "dtype", "")).lower() == "object" and len(getattr(X, "shape", ())) == 1)


def _has_lists(X: Any) -> bool:
    return str(getattr(X, "dtype", "")).lower().startswith(("list", "large_list", "fixed_size_list", "array("))


def _is_sequence(item: Any) -> bool:
    return isinstance(item, (list, tuple)) or (hasattr(item, "__array__") and np.ndim(item) > 0)


def _as_table(values: ArrayLike) -> NDArray:
    table = np.asanyarray(values)
    is_double = table.dtype.kind == "f" and table.dtype.itemsize == 8
    table = _to_numeric(table, np.float64 if is_double else np.float32, "values")
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"values has shape {table.shape}, but must be (n_rows, n_channels) with at least 1 channel.")
    return table


def starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where sequences of these lengths begin that stand one after the other."""
    return np.cumsum(lengths) - lengths


def count_within(sizes: NDArray) -> NDArray[np.int64]:
    """0, 1, 2... within each of parts of these sizes, one part after the other."""
    return np.arange(sizes.sum()) - np.repeat(starts_of(sizes), sizes)


def _as_positions(positions: ArrayLike, name: str) -> NDArray[np.int64]:
    with reading(name, "Pass one integer for each sequence."):
        array = np.asarray(positions)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be a 1-D array of integers, got {array.dtype} of shape {array.shape}.")
    return array.astype(np.int64, copy=False)


def _rows_of_key(key: tuple) -> Any:
    rows, *rest = key or (Ellipsis,)
    if any(part is not Ellipsis and not (isinstance(part, slice) and part == slice(None)) for part in rest):
        raise IndexError(
            "Sequences can be indexed by sample alone: X[rows] or X[rows, ...]. Use np.asarray(X) to index steps "
            "or channels."
        )
    return rows


def _as_row_selector(key: Any) -> NDArray:
    selector = np.asarray(key)
    if selector.ndim != 1 or (selector.size and selector.dtype.kind not in "iub"):
        raise IndexError(f"Sequences are indexed by integers, booleans or a slice, got {selector.dtype}.")
    return selector.astype(np.intp) if selector.size == 0 else selector


def _to_numeric(X: Any, dtype: DTypeLike, name: str) -> NDArray:
    with reading(name, "Pass numbers: arrays of shape (n_steps, n_channels), or (n_samples, n_steps, n_channels)."):
        array = np.asarray(X)
        if array.dtype == object and array.ndim == 1 and len(array) and all(map(_is_sequence, array)):
            array = np.array(array.tolist())  # of steps that are arrays, as Parquet files have them
        if array.dtype == object and hasattr(X, "isna"):  # pandas' nullable types
            array = np.where(X.isna(), np.nan, array)
        if array.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: {name} is {array.dtype}. Pass real numbers.")
        if array.dtype.kind in "mM":
            raise TypeError(f"{name} has times ({array.dtype}) where numbers are expected.")
        if isinstance(X, np.ma.MaskedArray):
            return np.ma.filled(X.astype(dtype), np.nan)
        return array.astype(dtype, copy=False)


def _split_channels(table: NDArray, n_channels: int) -> NDArray:
    n_samples, n_columns = table.shape
    if n_columns == 0 or n_columns % n_channels:
        raise ValueError(
            f"X has {n_columns} columns, which is no positive multiple of n_channels={n_channels}. Each row of a "
            "2-D X is one sequence, step by step: set n_channels to the numbers that make one step."
        )
    return table.reshape(n_samples, n_columns // n_channels, n_channels)


def _from_dense(dense: NDArray) -> Sequences:
    n_samples, n_steps, n_channels = dense.shape
    if dense.size == 0:
        raise ValueError(f"X has shape {dense.shape}: there must be at least one sample, step and channel.")
    starts = np.arange(0, n_samples * n_steps, n_steps)
    lengths = np.full(n_samples, n_steps)
    align = "start"
    if np.isnan(dense[:, 0]).all(axis=1).any() or np.isnan(dense[:, -1]).all(axis=1).any():
        is_step = ~np.isnan(dense).all(axis=2)  # (n_samples, n_steps)
        empty = ~is_step.any(axis=1)
        if empty.any():
            raise ValueError(f"Sample {int(np.flatnonzero(empty)[0])} of X is all NaN. Drop samples without any step.")
        head = is_step.argmax(axis=1)
        tail = is_step[:, ::-1].argmax(axis=1)
        starts, lengths = starts + head, lengths - head - tail
        align = "end" if head.any() and not tail.any() else "start"
    return Sequences(dense.reshape(n_samples * n_steps, n_channels), starts, lengths, align=align)


def _from_list(items: list, dtype: DTypeLike) -> Sequences:
    arrays = [_to_numeric(item, dtype, f"Sample {i} of X") for i, item in enumerate(items)]
    arrays = [array[:, None] if array.ndim == 1 else array for array in arrays]
    for i, array in enumerate(arrays):
        if array.ndim != 2 or array.size == 0:
            raise ValueError(
                f"Sample {i} of X has shape {array.shape}, but must be (n_steps, n_channels) or (n_steps,) with at "
                "least one step."
            )
        if array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"Sample {i} of X has {array.shape[1]} channels, but sample 0 has {arrays[0].shape[1]}. All samples "
                "must have the same channels."
            )
    for i, array in enumerate(arrays):
        if np.isnan(array).all():
            raise ValueError(f"Sample {i} of X is all NaN. Drop samples without any value.")
    lengths = np.array([len(array) for array in arrays], dtype=np.int64)
    starts = starts_of(lengths)
    return Sequences(np.concatenate(arrays), starts, lengths, align="start", channel_names=_column_names(items))


def _column_names(items: list) -> tuple[str, ...] | None:
    """The channels' names where every item is a DataFrame with the same columns."""
    if not all(hasattr(item, "columns") for item in items):
        return None
    names = {tuple(map(str, getattr(item, "column_names", item.columns))) for item in items}  # Arrow's, or pandas'
    if len(names) > 1:
        raise ValueError(f"The DataFrames of X differ in their columns: {sorted(names)[:2]}. Pass the same columns.")
    return names.pop()
