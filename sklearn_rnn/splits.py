"""Cross-validation in time that keeps targets and windows of the training rows out of the test rows."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_consistent_length, indexable
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _num_samples

from sklearn_rnn._errors import reading, warn
from sklearn_rnn._rows import as_names, as_pandas, check_has_columns, read_groups
from sklearn_rnn._times import Times, is_time_index, read_times
from sklearn_rnn._validation import check_parameters


class WindowSplit(BaseCrossValidator):
    """Train on the past, test on what follows it, and leave out the training rows that reach into the test rows.

    The test blocks follow one another at the end of the data. Row ``i`` has a target `horizon` rows ahead, so the rows
    just before a test block have theirs within it: training on them would leak. With time, the cut is one point in
    time for all groups, so no group's future teaches another group's past.

    Parameters
    ----------
    n_splits : int, default=5
        The number of folds, at least 1.
    n_steps : int, default=1
        The rows of a window. Only ``purge="windows"`` needs it.
    horizon : int, default=1
        How many rows after its own row a target ends. 0 for targets that belong to their own row.
    test_size : int, default=None
        The rows of each test block. None takes ``n_rows // (n_splits + 1)``.
    time : str, default=None
        The column of a DataFrame with the times, in any order, or the name of an index of times. None takes the index
        if it consists of timestamps, periods or durations, else the rows in the order given. With times, all lengths
        count distinct times, not rows.
    group : str or list of str, default=None
        With times, the columns that tell series apart. `horizon` and `n_steps` then count the rows of a series, as
        they must where some series lack rows, or have fewer than others: a series' next row may be many times later.
        A row for whose target X has no row of the series is left out, too.
    purge : {"targets", "windows"}, default="targets"
        Which rows before a test block are not trained on: "targets" those whose targets lie in it; "windows" also
        those whose targets lie in the window of a test row.

    Raises
    ------
    ValueError, TypeError
        In `split`, if the data are too short or have no rows, `time` or `group` names no column, `group` stands without
        times, or a parameter is out of range.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : The same without times and with the gap to be worked out by hand.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import WindowSplit
    >>> for train, test in WindowSplit(n_splits=2, horizon=2).split(np.zeros((9, 1))):
    ...     print(train, test)
    [0] [3 4 5]
    [0 1 2 3] [6 7 8]
    """

    _parameter_constraints: dict = {
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "horizon": [Interval(Integral, 0, None, closed="left")],
        "test_size": [Interval(Integral, 1, None, closed="left"), None],
        "time": [str, Integral, None],
        "group": [str, Integral, list, tuple, None],
        "purge": [StrOptions({"targets", "windows"})],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        n_steps: int = 1,
        horizon: int = 1,
        test_size: int | None = None,
        time: str | None = None,
        group: str | list[str] | None = None,
        purge: str = "targets",
    ) -> None:
        self.n_splits = n_splits
        self.n_steps = n_steps
        self.horizon = horizon
        self.test_size = test_size
        self.time = time
        self.group = group
        self.purge = purge

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to train on and the rows to test on, fold by fold.

        Parameters
        ----------
        X : DataFrame, Sequences, array-like or list of length n_rows
            The rows; a DataFrame if `time` is set.
        y : array-like of length n_rows, default=None
            Ignored.
        groups : array-like of length n_rows, default=None
            Ignored, with a warning.

        Yields
        ------
        train : ndarray of int of shape (n_train,)
        test : ndarray of int of shape (n_test,)
        """
        check_parameters(self)
        if groups is not None:
            warn(
                f"{type(self).__name__} ignores groups: with time set, it cuts all groups at the same time. A group's "
                "column is named by group=.",
            )
        with reading("y"):
            check_consistent_length(y)
        gap = int(self.horizon) + (int(self.n_steps) - 1 if self.purge == "windows" else 0)
        with reading("X", "Pass rows of one length with y."):
            X, y = indexable(X, y)
            times = _times_of(X, self.time)
            moments = np.arange(_num_samples(X)) if times is None else np.unique(times.numbers, return_inverse=True)[1]
        n_splits, n_moments = int(self.n_splits), int(moments.max(initial=-1)) + 1
        reached = self._reached(X, times, moments, n_moments, gap)
        test_size = n_moments // (n_splits + 1) if self.test_size is None else int(self.test_size)
        self._check_length("rows" if times is None else "distinct times", n_moments, test_size, gap)
        for fold, begin in enumerate(range(n_moments - n_splits * test_size, n_moments, test_size)):
            train, test = reached < begin, (moments >= begin) & (moments < begin + test_size)
            if not train.any():
                raise ValueError(
                    f"No row is left to train on before test block {fold}: no group has {gap + 1} rows there. Use "
                    "fewer splits, a smaller test_size, horizon or n_steps, or pass more data."
                )
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Give the number of folds.

        Parameters
        ----------
        X, y, groups : object, default=None
            Ignored.

        Returns
        -------
        int
        """
        return self.n_splits

    def _reached(
        self, X: Any, times: Times | None, moments: NDArray[np.intp], n_moments: int, gap: int
    ) -> NDArray[np.intp]:
        """The moment of the row `gap` rows after each row, that of its series if `group` tells; else as if it had one.

        Where a series ends before, nobody knows: later than all.
        """
        if self.group is None:
            changes = np.diff(np.bincount(moments))
            if gap and (changes > 0).any() and (changes[: np.flatnonzero(changes > 0)[-1]] < 0).any():
                warn(
                    "Some times of X have fewer rows than times before and after them, so the next row of a series "
                    "may be later than the next time, and rows to train on may have their targets in the test rows. "
                    "Name the columns that tell series apart by group=.",
                )
            return moments + gap
        if times is None:
            raise ValueError(
                f"group is {self.group!r}, but time is None, and the index of X tells no times. Name the column of "
                "times, too."
            )
        X, names = as_pandas(X), as_names(self.group)
        check_has_columns(X, None, names)
        groups, _ = read_groups(X, names)
        rows, place = np.unique(groups * n_moments + moments, return_inverse=True)  # of each series and time
        later = np.minimum(place + gap, len(rows) - 1)
        is_own = (place + gap < len(rows)) & (rows[later] // n_moments == groups)
        return np.where(is_own, rows[later] % n_moments, n_moments)

    def _check_length(self, what: str, n_moments: int, test_size: int, gap: int) -> None:
        if test_size == 0:
            raise ValueError(
                f"n_splits={self.n_splits} needs at least {self.n_splits + 1} {what}, but X has {n_moments}. Use fewer "
                "splits or pass more data."
            )
        needed = int(self.n_splits) * test_size + gap + 1
        if n_moments < needed:
            raise ValueError(
                f"n_splits={self.n_splits} test blocks of {test_size} {what} and {gap} purged before the first need at "
                f"least {needed} {what}, but X has {n_moments}. Use fewer splits, a smaller test_size, horizon or "
                "n_steps, or pass more data."
            )


def _times_of(X: Any, time: str | None) -> Times | None:
    """The times of the rows, None if they follow each other in the order given."""
    X = as_pandas(X)
    index = X.index if isinstance(X, (pd.DataFrame, pd.Series)) else pd.RangeIndex(0)
    if time is None:
        return read_times(index, "The index of X") if is_time_index(index) and index.dtype.kind not in "iuf" else None
    if index.name == time and time not in getattr(X, "columns", ()):
        return read_times(index, f"time {time!r}")
    check_has_columns(X, time, [])
    return read_times(X[time], f"time {time!r}")
